package main

import (
	"os"
	"testing"

	"github.com/vmware/govmomi/object"
	"github.com/vmware/govmomi/vim25/mo"
	"github.com/vmware/govmomi/vim25/types"
)

func (b *bench) changeID(sn types.ManagedObjectReference, key int32) string {
	b.Helper()
	var m mo.VirtualMachineSnapshot
	b.props(sn, &m, "config.hardware.device")
	for _, d := range m.Config.Hardware.Device {
		if v := d.GetVirtualDevice(); v.Key == key {
			return v.Backing.(*types.VirtualDiskFlatVer2BackingInfo).ChangeId
		}
	}
	b.Fatalf("no device %d", key)
	return ""
}

func (b *bench) query(sn *types.ManagedObjectReference, key int32, start int64, id string) (types.DiskChangeInfo, error) {
	v, err := b.callErr(&types.QueryChangedDiskAreas{This: b.vm().Reference(), Snapshot: sn, DeviceKey: key, StartOffset: start, ChangeId: id})
	if err != nil {
		return types.DiskChangeInfo{}, err
	}
	return v.(types.DiskChangeInfo), nil
}

// areas asks until the capacity is reached.
func (b *bench) areas(sn *types.ManagedObjectReference, key int32, id string) (all []types.DiskChangeExtent, calls int) {
	b.Helper()
	size := b.s.order[0].disk(key).size
	for start := int64(0); start < size; calls++ {
		info, err := b.query(sn, key, start, id)
		b.must(err)
		if info.StartOffset != start || info.Length <= 0 {
			b.Fatalf("reply for %d speaks about %d+%d", start, info.StartOffset, info.Length)
		}
		for _, a := range info.ChangedArea {
			if a.Start < start || a.Start+a.Length > start+info.Length {
				b.Fatalf("area %+v is outside %d+%d", a, start, info.Length)
			}
		}
		all = append(all, info.ChangedArea...)
		start += info.Length
	}
	return all, calls
}

func TestChangedAreasAreWhatWasWritten(t *testing.T) {
	b := newBench(t, func(o *Options, v *VMSpec) { o.maxAreas = 3 })
	first := b.snapshot(false)
	id1 := b.changeID(first, 2000)
	if !changeIDForm(id1) {
		t.Fatalf("change ID '%s'", id1)
	}
	writes := [][2]int64{{5, 10}, {1 << 20, 70000}, {9 << 20, 65536}, {20 << 20, 3 << 20}, {39 << 20, 1 << 20}}
	for i, w := range writes {
		b.post("/guest-write", map[string]any{"vm": "vm1", "disk": 0, "offset": w[0], "length": w[1], "seed": i})
	}
	b.removeSnapshot(first)
	second := b.snapshot(false)
	id2 := b.changeID(second, 2000)
	b.post("/guest-write", map[string]any{"vm": "vm1", "disk": 0, "offset": 30 << 20, "length": 100, "seed": 9})
	got, calls := b.areas(&second, 2000, id1)
	if len(got) != len(writes) || calls < 2 {
		t.Fatalf("%d areas in %d calls: %+v", len(got), calls, got)
	}
	for i, w := range writes {
		if a := got[i]; a.Start > w[0] || a.Start+a.Length < w[0]+w[1] || a.Start%blockSize != 0 {
			t.Errorf("area %+v does not cover write %v", a, w)
		}
	}
	if got, _ := b.areas(&second, 16000, b.changeID(second, 16000)); len(got) != 0 {
		t.Errorf("nobody wrote to the other disk: %v", got)
	}
	if got, _ := b.areas(&second, 2000, id2); len(got) != 0 {
		t.Errorf("nothing changed since the snapshot itself: %v", got)
	}
	// a start inside an area, and a disk whose writes lie outside the window
	info, err := b.query(&second, 2000, 21<<20, id1)
	b.must(err)
	if len(info.ChangedArea) == 0 || info.ChangedArea[0].Start != 21<<20 {
		t.Errorf("from inside an area: %+v", info)
	}
	b.post("/options", map[string]any{"area_window": 1 << 20})
	got, calls = b.areas(&second, 2000, id1)
	if calls != 40 || len(got) < len(writes) {
		t.Errorf("%d calls, %d areas with a window of 1 MiB", calls, len(got))
	}
	b.post("/options", map[string]any{"area_window": 0, "max_areas": 2000})
	// powered off, the VM itself can be asked
	_, err = b.query(nil, 2000, 0, id2)
	b.fault(err, "InvalidPowerState")
	b.wait(b.vm().PowerOff(b.ctx))
	if got, _ := b.areas(nil, 2000, id2); len(got) != 1 || got[0].Start != 30<<20 {
		t.Errorf("since the second snapshot: %v", got)
	}
}

func TestStarIsWhatIsAllocated(t *testing.T) {
	b := newBench(t, nil)
	sn := b.snapshot(false)
	got, _ := b.areas(&sn, 2000, "*")
	f, err := os.Open(b.s.order[0].disks[0].path)
	b.must(err)
	defer f.Close()
	want := newBitset(b.s.order[0].disks[0].blocks())
	b.must(eachExtent(f, 40<<20, func(off, end int64) {
		for k := off / blockSize; k*blockSize < end; k++ {
			want.set(k)
		}
	}))
	have := newBitset(b.s.order[0].disks[0].blocks())
	for _, a := range got {
		for k := a.Start / blockSize; k*blockSize < a.Start+a.Length; k++ {
			have.set(k)
		}
	}
	if have.count() != want.count() || want.count() == 0 {
		t.Errorf("%d blocks, want %d", have.count(), want.count())
	}
}

func TestChangeTrackingErrors(t *testing.T) {
	b := newBench(t, nil)
	sn := b.snapshot(false)
	id := b.changeID(sn, 2000)
	for _, c := range []struct {
		key   int32
		start int64
		id    string
		fault string
	}{
		{2000, 40 << 20, id, "InvalidArgument"},
		{2000, -1, id, "InvalidArgument"},
		{2000, 0, "nonsense", "InvalidArgument"},
		{2000, 0, "52 de c0 d9 b9 43 9d 10-61 d5 4c 1b e9 7b 65 63/81", "FileFault"},
		{2000, 0, id + "9", "FileFault"},
		{4000, 0, id, "NotFound"},
	} {
		_, err := b.query(&sn, c.key, c.start, c.id)
		b.fault(err, c.fault)
	}
	b.post("/cbt-reset", map[string]any{"vm": "vm1"})
	_, err := b.query(&sn, 2000, 0, id)
	b.fault(err, "FileFault")
	b.removeSnapshot(sn)
	sn = b.snapshot(false)
	if next := b.changeID(sn, 2000); next[:47] == id[:47] {
		t.Error("a reset must change the identity")
	}
	_, err = b.query(&sn, 2000, 0, id)
	b.fault(err, "FileFault")
	b.order(map[string]any{"target": "QueryChangedDiskAreas", "kind": "fault", "fault": "FileFault"})
	_, err = b.query(&sn, 2000, 0, "*")
	b.fault(err, "FileFault")
}

func TestTrackingBecomesActiveWithTheNextSnapshot(t *testing.T) {
	b := newBench(t, func(o *Options, v *VMSpec) { v.CBT = false })
	sn := b.snapshot(false)
	if id := b.changeID(sn, 2000); id != "" {
		t.Errorf("a change ID without tracking: %s", id)
	}
	_, err := b.query(&sn, 2000, 0, "*")
	b.fault(err, "FileFault")
	b.removeSnapshot(sn)
	b.wait(b.vm().Reconfigure(b.ctx, types.VirtualMachineConfigSpec{ChangeTrackingEnabled: yes(true)}))
	var m mo.VirtualMachine
	b.props(b.vm().Reference(), &m, "config.changeTrackingEnabled")
	if m.Config.ChangeTrackingEnabled == nil || !*m.Config.ChangeTrackingEnabled {
		t.Error("the configuration must say so")
	}
	if b.s.order[0].disks[0].cbt.active {
		t.Error("tracking must wait for the disks to be reopened")
	}
	sn = b.snapshot(false)
	if b.changeID(sn, 2000) == "" {
		t.Error("no change ID after a snapshot")
	}
}

func TestSnapshotsDoNotShareIDs(t *testing.T) {
	b := newBench(t, nil)
	one := b.snapshot(false)
	id := b.changeID(one, 2000)
	two := b.snapshot(false)
	if b.changeID(one, 2000) != id || b.changeID(two, 2000) == id {
		t.Error("two snapshots show one ID")
	}
	var m mo.VirtualMachine
	b.props(b.vm().Reference(), &m, "config.hardware.device")
	disk := object.VirtualDeviceList(m.Config.Hardware.Device).FindByKey(2000).(*types.VirtualDisk)
	back := disk.Backing.(*types.VirtualDiskFlatVer2BackingInfo)
	if back.Parent == nil || back.Parent.Parent == nil || back.Parent.Parent.FileName != "[LocalDS_0] vm1/vm1.vmdk" {
		t.Errorf("backing chain of %s", back.FileName)
	}
	b.removeSnapshot(two)
	b.removeSnapshot(one)
	b.props(b.vm().Reference(), &m, "config.hardware.device")
	back = object.VirtualDeviceList(m.Config.Hardware.Device).FindByKey(2000).(*types.VirtualDisk).Backing.(*types.VirtualDiskFlatVer2BackingInfo)
	if back.Parent != nil || back.FileName != "[LocalDS_0] vm1/vm1.vmdk" {
		t.Errorf("after removal the VM runs on %s", back.FileName)
	}
}

func TestRevertBringsTheContentBack(t *testing.T) {
	b := newBench(t, nil)
	path := b.s.order[0].disks[0].path
	before, err := os.ReadFile(path)
	b.must(err)
	sn := b.snapshot(false)
	b.post("/guest-write", map[string]any{"vm": "vm1", "disk": 0, "offset": 77, "length": 9 << 20, "seed": 3})
	b.wait(object.NewTask(b.c.Client, b.call(&types.RevertToSnapshot_Task{This: sn}).(types.ManagedObjectReference)), nil)
	after, err := os.ReadFile(path)
	b.must(err)
	if string(before) != string(after) {
		t.Error("the content is not the snapshot's")
	}
}

// TestFrozenChain drops frozen states in all orders and wants the others to
// keep their content.
func TestFrozenChain(t *testing.T) {
	for drop := 0; drop < 3; drop++ {
		d := &Disk{spec: &DiskSpec{}, size: 8 * blockSize, path: testImage(t, t.TempDir(), "d", 8*blockSize, 1)}
		if err := d.open(); err != nil {
			t.Fatal(err)
		}
		var want [][]byte
		var frozen []*Frozen
		for i := 0; i < 3; i++ {
			f, err := d.freeze(t.TempDir(), "snapshot")
			if err != nil {
				t.Fatal(err)
			}
			live, _ := os.ReadFile(d.path)
			frozen, want = append(frozen, f), append(want, live)
			for _, blk := range []int64{0, int64(i) + 1, 5} {
				p := make([]byte, blockSize+100)
				for k := range p {
					p[k] = byte(i*31 + k)
				}
				if err := d.write(p, blk*blockSize); err != nil {
					t.Fatal(err)
				}
			}
		}
		if err := frozen[drop].drop(); err != nil {
			t.Fatal(err)
		}
		for i, f := range frozen {
			if i == drop {
				continue
			}
			got := make([]byte, d.size)
			if _, err := (view{d, f}).ReadAt(got, 0); err != nil {
				t.Fatal(err)
			}
			if string(got) != string(want[i]) {
				t.Errorf("dropping %d changed %d", drop, i)
			}
		}
	}
}
