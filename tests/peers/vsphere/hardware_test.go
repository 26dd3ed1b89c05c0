package main

import (
	"bytes"
	"crypto/sha256"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/vmware/govmomi/object"
	"github.com/vmware/govmomi/vim25/methods"
	"github.com/vmware/govmomi/vim25/mo"
	"github.com/vmware/govmomi/vim25/types"
)

// refused posts what must not be done now.
func (b *bench) refused(path, body string) {
	b.Helper()
	res, err := http.Post(b.ctl.URL+path, "application/json", bytes.NewReader([]byte(body)))
	b.must(err)
	_ = res.Body.Close()
	if res.StatusCode != http.StatusConflict {
		b.Errorf("%s: %d", path, res.StatusCode)
	}
}

// virtualDisks are the disks that a snapshot, or the VM, says it has.
func (b *bench) virtualDisks(ref types.ManagedObjectReference) []*types.VirtualDisk {
	b.Helper()
	var devices object.VirtualDeviceList
	if ref.Type == "VirtualMachine" {
		var m mo.VirtualMachine
		b.props(ref, &m, "config.hardware.device")
		devices = m.Config.Hardware.Device
	} else {
		var m mo.VirtualMachineSnapshot
		b.props(ref, &m, "config.hardware.device")
		devices = m.Config.Hardware.Device
	}
	var out []*types.VirtualDisk
	for _, dev := range devices.SelectByType((*types.VirtualDisk)(nil)) {
		out = append(out, dev.(*types.VirtualDisk))
	}
	return out
}

func changeIDOf(d *types.VirtualDisk) string {
	return d.Backing.(*types.VirtualDiskFlatVer2BackingInfo).ChangeId
}

// flat reads a disk's extent file through /folder.
func (b *bench) flat(i int) ([]byte, int) {
	b.Helper()
	d := b.s.order[0].diskList()[i]
	u := b.url()
	u.Path = "/folder/vm1/" + flatName(d.file)
	u.RawQuery = "dcPath=" + url.QueryEscape(b.s.datacenter) + "&dsName=LocalDS_0"
	req, err := http.NewRequest(http.MethodGet, u.String(), nil)
	b.must(err)
	req.SetBasicAuth("administrator@vsphere.local", testPassword)
	res, err := b.c.Client.Client.Client.Do(req)
	b.must(err)
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	b.must(err)
	return body, res.StatusCode
}

func TestADiskComesGrowsAndGoes(t *testing.T) {
	b := newBench(t, nil)
	vm := b.vm().Reference()
	b.post("/disk-add", map[string]any{"vm": "vm1", "size": 1 << 20})
	b.post("/guest-write", map[string]any{"vm": "vm1", "disk": 2, "offset": 0, "length": 1000, "seed": 1})
	if n := len(b.virtualDisks(vm)); n != 3 {
		t.Fatalf("%d disks after one was added", n)
	}
	sn := b.snapshot(false)
	disks := b.virtualDisks(sn)
	if len(disks) != 3 || changeIDOf(disks[2]) == "" || disks[2].CapacityInBytes != 1<<20 {
		t.Fatalf("the snapshot's disks: %d", len(disks))
	}
	b.refused("/disk-grow", `{"vm":"vm1","disk":2,"size":2097152}`)
	before := changeIDOf(disks[2])
	b.removeSnapshot(sn)
	b.post("/disk-grow", map[string]any{"vm": "vm1", "disk": 2, "size": 2 << 20})
	sn = b.snapshot(false)
	grown := b.virtualDisks(sn)[2]
	if grown.CapacityInBytes != 2<<20 {
		t.Errorf("it has %d bytes", grown.CapacityInBytes)
	}
	info := b.call(&types.QueryChangedDiskAreas{This: vm, Snapshot: &sn, DeviceKey: grown.Key, ChangeId: before}).(types.DiskChangeInfo)
	if len(info.ChangedArea) != 1 || info.ChangedArea[0].Start+info.ChangedArea[0].Length != 2<<20 || info.ChangedArea[0].Start > 1<<20 {
		t.Errorf("changed: %v", info.ChangedArea)
	}
	b.removeSnapshot(sn)
	b.post("/disk-grow", map[string]any{"vm": "vm1", "disk": 2, "size": 3 << 20, "cbt_reset": true})
	sn = b.snapshot(false)
	_, err := b.callErr(&types.QueryChangedDiskAreas{This: vm, Snapshot: &sn, DeviceKey: grown.Key, ChangeId: before})
	b.fault(err, "FileFault")
	b.removeSnapshot(sn)
	b.post("/disk-remove", map[string]any{"vm": "vm1", "disk": 2})
	if n := len(b.virtualDisks(vm)); n != 2 {
		t.Errorf("%d disks after one was removed", n)
	}
}

func TestAMovedVMKeepsItsReferenceAndItsTracking(t *testing.T) {
	b := newBench(t, nil)
	ref := b.vm().Reference()
	host := func() string {
		var m mo.VirtualMachine
		b.props(ref, &m, "runtime.host")
		return m.Runtime.Host.Value
	}
	sn := b.snapshot(false)
	before, was := changeIDOf(b.virtualDisks(sn)[0]), host()
	b.removeSnapshot(sn)
	b.post("/vmotion", map[string]any{"vm": "vm1", "datastore": "nfs tier 2"})
	if host() == was {
		t.Error("it is where it was")
	}
	if name := b.virtualDisks(ref)[0].Backing.(*types.VirtualDiskFlatVer2BackingInfo).FileName; name != "[nfs tier 2] vm1/vm1.vmdk" {
		t.Errorf("file %s", name)
	}
	ask := func() error {
		sn := b.snapshot(false)
		defer b.removeSnapshot(sn)
		_, err := b.callErr(&types.QueryChangedDiskAreas{This: ref, Snapshot: &sn, DeviceKey: b.s.order[0].disks[0].key, ChangeId: before})
		return err
	}
	b.must(ask())
	b.post("/vmotion", map[string]any{"vm": "vm1", "cbt_reset": true})
	b.fault(ask(), "FileFault")
	b.post("/rename", map[string]any{"vm": "vm1", "name": "other"})
	var m mo.VirtualMachine
	b.props(ref, &m, "name")
	if m.Name != "other" || b.s.vmByName("other") == nil {
		t.Errorf("its name is %s", m.Name)
	}
}

func TestTheFlatFileStandsStillUnderSnapshotsAndLeftovers(t *testing.T) {
	b := newBench(t, func(o *Options, v *VMSpec) { o.folderLocked = false })
	write := func(seed int) {
		b.post("/guest-write", map[string]any{"vm": "vm1", "disk": 1, "offset": seed * 100_000, "length": 5000, "seed": seed})
	}
	holds := func(what string, want []byte) {
		t.Helper()
		if got, status := b.flat(1); status != http.StatusOK || !bytes.Equal(got, want) {
			t.Errorf("%s: status %d, or other bytes", what, status)
		}
	}
	content := func(sn types.ManagedObjectReference) []byte {
		d := b.s.order[0].disks[1]
		return b.content(view{d, b.s.snapshot(sn).disks[d.key].frozen})
	}
	first := b.snapshot(false)
	atFirst := content(first)
	write(1)
	second := b.snapshot(false)
	atSecond := content(second)
	write(2)
	if bytes.Equal(atFirst, atSecond) {
		t.Fatal("nothing changed")
	}
	holds("two snapshots: the first one's state", atFirst)
	b.removeSnapshot(first)
	holds("the first merged: the second one's state", atSecond)
	b.order(map[string]any{"kind": "consolidation_needed", "fault": "FileLocked"})
	_, err := b.try(object.NewTask(b.c.Client, b.call(&types.RemoveSnapshot_Task{This: second}).(types.ManagedObjectReference)), nil)
	b.fault(err, "FileLocked")
	var m mo.VirtualMachine
	b.props(b.vm().Reference(), &m, "snapshot", "runtime.consolidationNeeded")
	if m.Snapshot != nil || !m.Runtime.ConsolidationNeeded {
		t.Errorf("snapshot %v, consolidation needed %v", m.Snapshot, m.Runtime.ConsolidationNeeded)
	}
	holds("a delta left behind: the base as it was under it", atSecond)
	b.wait(object.NewTask(b.c.Client, b.call(&types.ConsolidateVMDisks_Task{This: b.vm().Reference()}).(types.ManagedObjectReference)), nil)
	live, err := os.ReadFile(b.s.order[0].disks[1].path)
	b.must(err)
	holds("consolidated: the disk as it is", live)

	b.post("/options", map[string]any{"vm": "vm1", "folder_locked": true})
	if _, status := b.flat(1); status != http.StatusInternalServerError {
		t.Errorf("locked, it answers %d", status)
	}
	b.post("/options", map[string]any{"vm": "vm1"})
	holds("not locked any more", live)

	saved := filepath.Join(b.dir, "live.raw")
	b.post("/save-frozen", map[string]any{"vm": "vm1", "disk": 1, "live": true, "path": saved})
	if got, _ := os.ReadFile(saved); !bytes.Equal(got, live) {
		t.Error("the saved live state differs")
	}
	var digest struct{ SHA256 string }
	b.get("/digest?vm=vm1&disk=1&live=1", &digest)
	if digest.SHA256 != fmt.Sprintf("%x", sha256.Sum256(live)) {
		t.Errorf("digest %s", digest.SHA256)
	}
}

func TestARemovalTakesAsLongAsWhatItMerges(t *testing.T) {
	b := newBench(t, nil)
	b.post("/options", map[string]any{"merge_rate": 4 << 20, "task_delay_ms": map[string]int{"CreateSnapshot_Task": 400}})
	began := time.Now()
	sn := b.snapshot(false)
	if d := time.Since(began); d < 400*time.Millisecond {
		t.Errorf("the snapshot took %v", d)
	}
	b.post("/guest-write", map[string]any{"vm": "vm1", "disk": 0, "offset": 0, "length": 2 << 20, "seed": 5})
	began = time.Now()
	b.removeSnapshot(sn)
	if d := time.Since(began); d < 500*time.Millisecond {
		t.Errorf("the removal took %v", d)
	}
}

func TestARestartLosesSessionsLeasesAndTasks(t *testing.T) {
	for _, mode := range []string{"refuse", "503"} {
		b := newBench(t, func(o *Options, v *VMSpec) { o.taskDelay = 500 * time.Millisecond })
		sn := b.snapshot(false)
		lease, _, err := b.export(sn)
		b.must(err)
		b.must(lease.Abort(b.ctx, nil))
		lease, _, err = b.export(sn)
		b.must(err)
		task, err := b.vm().CreateSnapshot(b.ctx, "while it restarts", "", false, false)
		b.must(err)
		b.post("/restart", map[string]any{"seconds": 1, "mode": mode})
		began := time.Now()
		if err := b.now(); err == nil {
			t.Errorf("%s: it answered at once", mode)
		}
		b.until("it is back", func() bool {
			_, err := methods.GetServiceContent(b.ctx, b.c.Client)
			return err == nil
		})
		if d := time.Since(began); d < 800*time.Millisecond {
			t.Errorf("%s: it was away for %v", mode, d)
		}
		b.fault(b.now(), "NotAuthenticated")
		b.c = b.login()
		if err := lease.Progress(b.ctx, 1); err == nil {
			t.Errorf("%s: the lease lives", mode)
		}
		var m mo.Task
		err = object.NewTask(b.c.Client, task.Reference()).Properties(b.ctx, task.Reference(), []string{"info"}, &m)
		b.fault(err, "ManagedObjectNotFound")
		b.until("the snapshot that the host went on to make", func() bool {
			b.s.mu.Lock()
			defer b.s.mu.Unlock()
			return len(b.s.snapshots) == 2
		})
	}
}
