package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"math/rand"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/vmware/govmomi"
	"github.com/vmware/govmomi/nfc"
	"github.com/vmware/govmomi/object"
	"github.com/vmware/govmomi/property"
	"github.com/vmware/govmomi/vim25/mo"
	"github.com/vmware/govmomi/vim25/types"
)

// bench is a running simulator with a client on it.
type bench struct {
	*testing.T
	s   *Sim
	c   *govmomi.Client
	ctx context.Context
	ctl *httptest.Server
	dir string
}

const testPassword = "test-Pa55"

// newBench starts a simulator with one two-disk VM, changed by mod.
func newBench(t *testing.T, mod func(*Options, *VMSpec)) *bench {
	t.Helper()
	dir := t.TempDir()
	opt, _, err := parse([]string{"--dir", dir, "--password", testPassword, "--task-delay", "20ms", "--shutdown-delay", "50ms"})
	if err != nil {
		t.Fatal(err)
	}
	vm := &VMSpec{Name: "vm1", Folder: "/prod/db", Power: "on", CBT: true, GuestID: "debian12_64Guest",
		Tags: []string{"env:prod"}, NICs: []NICSpec{{Network: "VM Network"}, {Network: "backend", Model: "e1000e"}},
		Disks: []*DiskSpec{{Path: testImage(t, dir, "a.raw", 40<<20, 11)}, {Path: testImage(t, dir, "b.raw", 10<<20+512, 12), Controller: "sata"}}}
	if mod != nil {
		mod(&opt, vm)
	}
	b, err := json.Marshal([]*VMSpec{vm})
	if err != nil {
		t.Fatal(err)
	}
	opt.vmsFile = filepath.Join(dir, "vms.json")
	if err := os.WriteFile(opt.vmsFile, b, 0o600); err != nil {
		t.Fatal(err)
	}
	s, err := start(opt)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Close)
	ctl := httptest.NewServer(s.control())
	t.Cleanup(ctl.Close)
	be := &bench{T: t, s: s, ctx: context.Background(), ctl: ctl, dir: dir}
	be.c = be.login()
	return be
}

// testImage makes a sparse file with data in every third 64 KiB.
func testImage(t *testing.T, dir, name string, size int64, seed int64) string {
	t.Helper()
	path := filepath.Join(dir, name)
	if err := sparse(path, size); err != nil {
		t.Fatal(err)
	}
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	r := rand.New(rand.NewSource(seed))
	buf := make([]byte, blockSize)
	for off := int64(0); off+blockSize <= size; off += 3 * blockSize {
		r.Read(buf[:blockSize/2])
		if _, err := f.WriteAt(buf, off); err != nil {
			t.Fatal(err)
		}
	}
	return path
}

func (b *bench) url() *url.URL {
	return &url.URL{Scheme: "https", Host: fmt.Sprintf("127.0.0.1:%d", b.s.port), Path: "/sdk",
		User: url.UserPassword("administrator@vsphere.local", testPassword)}
}

func (b *bench) login() *govmomi.Client {
	b.Helper()
	c, err := govmomi.NewClient(b.ctx, b.url(), true)
	b.must(err)
	return c
}

func (b *bench) must(err error) {
	b.Helper()
	if err != nil {
		b.Fatal(err)
	}
}

// fault wants err to be the named vSphere fault.
func (b *bench) fault(err error, name string) {
	b.Helper()
	f := faultOf(err)
	if f == nil {
		var te interface{ Fault() types.BaseMethodFault }
		if t, ok := err.(interface{ Fault() types.BaseMethodFault }); ok {
			te = t
			f = te.Fault()
		}
	}
	if f == nil || faultName(f) != name {
		b.Fatalf("got %v, want the fault %s", err, name)
	}
}

func (b *bench) vm() *object.VirtualMachine {
	return object.NewVirtualMachine(b.c.Client, b.s.order[0].ref)
}

func (b *bench) wait(t *object.Task, err error) *types.TaskInfo {
	b.Helper()
	info, err := b.try(t, err)
	b.must(err)
	return info
}

func (b *bench) try(t *object.Task, err error) (*types.TaskInfo, error) {
	if err != nil {
		return nil, err
	}
	return t.WaitForResult(b.ctx, nil)
}

func (b *bench) post(path string, body any) map[string]any {
	b.Helper()
	j, err := json.Marshal(body)
	b.must(err)
	res, err := http.Post(b.ctl.URL+path, "application/json", bytes.NewReader(j))
	b.must(err)
	defer res.Body.Close()
	text, _ := io.ReadAll(res.Body)
	if res.StatusCode != http.StatusOK {
		b.Fatalf("POST %s: %d %s", path, res.StatusCode, text)
	}
	out := map[string]any{}
	_ = json.Unmarshal(text, &out)
	return out
}

func (b *bench) props(ref types.ManagedObjectReference, out any, names ...string) {
	b.Helper()
	b.must(property.DefaultCollector(b.c.Client).RetrieveOne(b.ctx, ref, names, out))
}

func (b *bench) snapshot(quiesce bool) types.ManagedObjectReference {
	b.Helper()
	info := b.wait(b.vm().CreateSnapshot(b.ctx, "test", "", false, quiesce))
	return info.Result.(types.ManagedObjectReference)
}

func (b *bench) removeSnapshot(ref types.ManagedObjectReference) {
	b.Helper()
	b.wait(object.NewTask(b.c.Client, b.call(&types.RemoveSnapshot_Task{This: ref}).(types.ManagedObjectReference)), nil)
}

// download fetches one device URL into a file and converts it to raw.
func (b *bench) download(u string) ([]byte, error) {
	parsed, err := b.c.ParseURL(u)
	b.must(err)
	res, err := b.c.Client.Client.Client.Get(parsed.String())
	if err != nil {
		return nil, err
	}
	defer res.Body.Close()
	if res.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("status %d", res.StatusCode)
	}
	if res.ContentLength != -1 {
		b.Errorf("the stream has a Content-Length: %d", res.ContentLength)
	}
	return io.ReadAll(res.Body)
}

func (b *bench) toRaw(vmdk []byte) []byte {
	b.Helper()
	if _, err := exec.LookPath("qemu-img"); err != nil {
		b.Skip("qemu-img is not installed")
	}
	in, out := filepath.Join(b.dir, "x.vmdk"), filepath.Join(b.dir, "x.raw")
	b.must(os.WriteFile(in, vmdk, 0o600))
	msg, err := exec.Command("qemu-img", "convert", "-f", "vmdk", "-O", "raw", in, out).CombinedOutput()
	if err != nil {
		b.Fatalf("qemu-img: %v %s", err, msg)
	}
	raw, err := os.ReadFile(out)
	b.must(err)
	return raw
}

func (b *bench) export(ref types.ManagedObjectReference) (*nfc.Lease, *nfc.LeaseInfo, error) {
	var lease *nfc.Lease
	var err error
	if ref.Type == "VirtualMachine" {
		lease, err = object.NewVirtualMachine(b.c.Client, ref).Export(b.ctx)
	} else {
		lease, err = b.vm().ExportSnapshot(b.ctx, &ref)
	}
	if err != nil {
		return nil, nil, err
	}
	info, err := lease.Wait(b.ctx, nil)
	return lease, info, err
}

func TestExportOfASnapshotWhileTheGuestWrites(t *testing.T) {
	b := newBench(t, nil)
	before, err := os.ReadFile(b.s.order[0].disks[0].path)
	b.must(err)
	sn := b.snapshot(true)
	b.post("/guest-load", map[string]any{"vm": "vm1", "disk": 0, "bytes_per_second": 30 << 20})
	b.post("/guest-write", map[string]any{"vm": "vm1", "disk": 0, "offset": 1000, "length": 3 << 20, "seed": 5})
	lease, info, err := b.export(sn)
	b.must(err)
	if len(info.Items) != 2 || info.TotalDiskCapacityInKB != (40<<20+10<<20)/1024 {
		t.Fatalf("lease: %d items, %d KB", len(info.Items), info.TotalDiskCapacityInKB)
	}
	if got := info.DeviceUrl[1].Key; got != "/vm-41/VirtualAHCIController0:0" {
		t.Errorf("key of the second disk: %s", got)
	}
	if info.DeviceUrl[0].SslThumbprint != b.s.id.sha1 {
		t.Errorf("thumbprint %s", info.DeviceUrl[0].SslThumbprint)
	}
	for i, want := range []string{"a.raw", "b.raw"} {
		vmdk, err := b.download(info.DeviceUrl[i].Url)
		b.must(err)
		raw := b.toRaw(vmdk)
		if i == 0 && !bytes.Equal(raw, before) {
			t.Fatalf("%s: the export is not the disk as it was at the snapshot", want)
		}
		b.must(lease.Progress(b.ctx, int32(50*(i+1))))
	}
	b.post("/guest-load", map[string]any{"vm": "vm1", "disk": 0, "bytes_per_second": 0})
	b.must(lease.Complete(b.ctx))
	if _, err := b.download(info.DeviceUrl[0].Url); err == nil {
		t.Error("the URL must be dead after Complete")
	}
	var l mo.HttpNfcLease
	b.props(lease.Reference(), &l, "state")
	if l.State != types.HttpNfcLeaseStateDone {
		t.Errorf("state after Complete: %s", l.State)
	}
	b.fault(lease.Progress(b.ctx, 5), "InvalidState")
	saved := filepath.Join(b.dir, "saved.raw")
	b.removeSnapshot(sn)
	b.post("/save-frozen", map[string]any{"vm": "vm1", "disk": 0, "index": -1, "path": saved})
	got, err := os.ReadFile(saved)
	b.must(err)
	if !bytes.Equal(got, before) {
		t.Error("the saved frozen state differs")
	}
	live, _ := os.ReadFile(b.s.order[0].disks[0].path)
	if bytes.Equal(live, before) {
		t.Error("the guest's writes did not reach the live disk")
	}
}

func TestExportOfAPoweredOffVM(t *testing.T) {
	b := newBench(t, func(o *Options, v *VMSpec) { v.Firmware, v.CDROM = "efi", "[LocalDS_0] iso/x.iso" })
	vm := b.vm()
	_, _, err := b.export(vm.Reference())
	b.fault(err, "InvalidPowerState")
	b.wait(vm.PowerOff(b.ctx))
	_, err = b.try(vm.PowerOff(b.ctx))
	b.fault(err, "InvalidPowerState")
	lease, info, err := b.export(vm.Reference())
	b.must(err)
	_, err = b.try(vm.PowerOn(b.ctx))
	b.fault(err, "TaskInProgress")
	others := 0
	for _, u := range info.DeviceUrl {
		if u.Disk != nil && !*u.Disk {
			others++
		}
	}
	if others != 2 {
		t.Errorf("%d entries are no disks, want ISO and NVRAM", others)
	}
	want, _ := os.ReadFile(b.s.order[0].disks[0].path)
	vmdk, err := b.download(info.DeviceUrl[0].Url)
	b.must(err)
	if !bytes.Equal(b.toRaw(vmdk), want) {
		t.Error("the export differs from the disk")
	}
	b.must(lease.Abort(b.ctx, nil))
	if _, err := b.download(info.DeviceUrl[0].Url); err == nil {
		t.Error("the URL must be dead after Abort")
	}
	b.wait(vm.PowerOn(b.ctx))
}

func TestLeaseTimesOut(t *testing.T) {
	b := newBench(t, func(o *Options, v *VMSpec) { v.Power = "off"; o.leaseTimeout = 200 * time.Millisecond })
	lease, info, err := b.export(b.vm().Reference())
	b.must(err)
	time.Sleep(120 * time.Millisecond)
	b.must(lease.Progress(b.ctx, 1))
	time.Sleep(120 * time.Millisecond)
	b.must(lease.Progress(b.ctx, 2))
	time.Sleep(400 * time.Millisecond)
	b.fault(lease.Progress(b.ctx, 3), "Timedout")
	var l mo.HttpNfcLease
	b.props(lease.Reference(), &l, "state", "error")
	if l.State != types.HttpNfcLeaseStateError || l.Error == nil || faultName(l.Error.Fault) != "Timedout" {
		t.Errorf("state %s, error %v", l.State, l.Error)
	}
	if _, err := b.download(info.DeviceUrl[0].Url); err == nil {
		t.Error("the URL must be dead after the timeout")
	}
	b.wait(b.vm().PowerOn(b.ctx))
}

// call sends any request and returns its Returnval.
func (b *bench) call(req any) any {
	b.Helper()
	v, err := b.callErr(req)
	b.must(err)
	return v
}

func (b *bench) callErr(req any) (any, error) { return roundTrip(b.ctx, b.c.Client, req) }
