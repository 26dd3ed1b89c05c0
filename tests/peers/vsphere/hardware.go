package main

import (
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"

	"github.com/vmware/govmomi/simulator"
	"github.com/vmware/govmomi/vim25/types"
)

// diskList is the VM's disks as they are now.
func (vm *VM) diskList() []*Disk {
	vm.shape.RLock()
	defer vm.shape.RUnlock()
	return vm.disks
}

func (vm *VM) setDisks(disks []*Disk) {
	vm.shape.Lock()
	vm.disks = disks
	vm.shape.Unlock()
}

func refuse(w http.ResponseWriter, format string, args ...any) {
	http.Error(w, fmt.Sprintf(format, args...), http.StatusConflict)
}

// free says why the VM's hardware cannot be changed now.
func (vm *VM) free(w http.ResponseWriter) bool {
	if vm.busy() != nil || vm.held() != nil {
		refuse(w, "VM '%s' is busy", vm.name)
		return false
	}
	return true
}

// setDevices changes the list of devices by fn, which gets a copy of it.
func (s *Sim) setDevices(ctx *simulator.Context, vm *VM, fn func([]types.BaseVirtualDevice) []types.BaseVirtualDevice) {
	ctx.WithLock(vm.obj, func() {
		old := append([]types.BaseVirtualDevice(nil), vm.obj.Config.Hardware.Device...)
		ctx.Update(vm.obj, []types.PropertyChange{{Name: "config.hardware.device", Val: fn(old)}})
		s.setStorage(vm)
	})
	s.rebase(ctx, vm)
}

// serveDiskAdd plugs a disk in, beside one that is there.
func (s *Sim) serveDiskAdd(w http.ResponseWriter, r *http.Request) {
	var in struct {
		VM   string `json:"vm"`
		Path string `json:"path"`
		Size int64  `json:"size"`
		Mode string `json:"mode"`
	}
	if !decode(w, r, &in) {
		return
	}
	vm, first := s.pick(w, in.VM, 0)
	if vm == nil || !vm.free(w) {
		return
	}
	disks := vm.diskList()
	unit := int32(0)
	for _, d := range disks {
		if d.spec.Controller == first.spec.Controller {
			unit = max(unit, *d.spec.Unit+1)
		}
	}
	if unit == 7 && strings.Contains("pvscsi lsilogic", first.spec.Controller) {
		unit++
	}
	setDefault(&in.Mode, "persistent")
	setDefault(&in.Path, filepath.Join(s.opt.dir, fmt.Sprintf("%s-added-%d.raw", fileName(vm.name), unit)))
	st, err := os.Stat(in.Path)
	if err == nil {
		setDefault(&in.Size, st.Size())
	} else if in.Size > 0 && in.Size%512 == 0 {
		err = sparse(in.Path, in.Size)
	}
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	d := &Disk{spec: &DiskSpec{Path: in.Path, Size: in.Size, Mode: in.Mode, Controller: first.spec.Controller, Unit: &unit, Thin: first.spec.Thin},
		key: first.key + unit - *first.spec.Unit, path: in.Path, size: in.Size, dsRef: first.dsRef,
		label: fmt.Sprintf("%s:%d", first.label[:strings.LastIndex(first.label, ":")], unit),
		file:  fmt.Sprintf("%s_added_%d.vmdk", strings.TrimSuffix(first.file, ".vmdk"), unit)}
	d.uuid = "6000C29" + stableUUID("6000c29", vm.name+in.Path)[7:]
	if err := d.open(); err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	ctx := s.context()
	vm.writers.Lock()
	vm.setDisks(append(append([]*Disk(nil), disks...), d))
	vm.writers.Unlock()
	s.setDevices(ctx, vm, func(devices []types.BaseVirtualDevice) []types.BaseVirtualDevice {
		dev := &types.VirtualDisk{CapacityInKB: d.size / 1024, CapacityInBytes: d.size}
		for _, other := range devices {
			if other.GetVirtualDevice().Key == first.key {
				dev.ControllerKey = other.GetVirtualDevice().ControllerKey
			}
		}
		dev.Key, dev.UnitNumber, dev.Backing = d.key, &unit, d.baseBacking()
		dev.DeviceInfo = description(fmt.Sprintf("Hard disk %d", len(disks)+1), thousands(d.size/1024)+" KB")
		return append(devices, dev)
	})
	s.journal.note(vm.name, "disk_added", fmt.Sprint(d.key))
	reply(w, map[string]any{"key": d.key, "path": d.path, "disk": len(disks)})
}

// serveDiskRemove pulls a disk out; its raw file stays.
func (s *Sim) serveDiskRemove(w http.ResponseWriter, r *http.Request) {
	var in struct {
		VM   string `json:"vm"`
		Disk int    `json:"disk"`
	}
	if !decode(w, r, &in) {
		return
	}
	vm, d := s.pick(w, in.VM, in.Disk)
	if vm == nil || !vm.free(w) {
		return
	}
	vm.replaceLoad(&load{d: d}, false)
	vm.writers.Lock()
	left := []*Disk{}
	for _, other := range vm.diskList() {
		if other != d {
			left = append(left, other)
		}
	}
	vm.setDisks(left)
	vm.writers.Unlock()
	s.setDevices(s.context(), vm, func(devices []types.BaseVirtualDevice) []types.BaseVirtualDevice {
		kept := devices[:0]
		for _, dev := range devices {
			if dev.GetVirtualDevice().Key != d.key {
				kept = append(kept, dev)
			}
		}
		return kept
	})
	s.journal.note(vm.name, "disk_removed", fmt.Sprint(d.key))
	reply(w, struct{}{})
}

// serveDiskGrow makes a disk larger, which needs a VM without snapshots. Its
// frozen states are gone after that. Tracking goes on and counts the new part
// as changed, or, as on old hosts, starts anew.
func (s *Sim) serveDiskGrow(w http.ResponseWriter, r *http.Request) {
	var in struct {
		VM    string `json:"vm"`
		Disk  int    `json:"disk"`
		Size  int64  `json:"size"`
		Reset bool   `json:"cbt_reset"`
	}
	if !decode(w, r, &in) {
		return
	}
	vm, d := s.pick(w, in.VM, in.Disk)
	if vm == nil || !vm.free(w) {
		return
	}
	ctx := s.context()
	if len(s.snapshotChain(ctx, vm)) > 0 {
		refuse(w, "VM '%s' has snapshots", vm.name)
		return
	}
	if in.Size <= d.size || in.Size%512 != 0 {
		http.Error(w, "the size must grow, by sectors", http.StatusBadRequest)
		return
	}
	vm.replaceLoad(&load{d: d}, false)
	vm.writers.Lock()
	grown, err := d.grow(in.Size, in.Reset)
	if err == nil {
		disks := append([]*Disk(nil), vm.diskList()...)
		disks[in.Disk] = grown
		vm.setDisks(disks)
	}
	vm.writers.Unlock()
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	s.setDevices(ctx, vm, func(devices []types.BaseVirtualDevice) []types.BaseVirtualDevice {
		for i, dev := range devices {
			if disk, ok := dev.(*types.VirtualDisk); ok && disk.Key == d.key {
				c := *disk
				c.CapacityInKB, c.CapacityInBytes = in.Size/1024, in.Size
				devices[i] = &c
			}
		}
		return devices
	})
	s.journal.note(vm.name, "disk_grown", fmt.Sprint(d.key))
	reply(w, struct{}{})
}

// grow makes the disk that takes this one's place. The caller keeps writers
// out.
func (d *Disk) grow(size int64, reset bool) (*Disk, error) {
	if err := os.Truncate(d.path, size); err != nil {
		return nil, err
	}
	for _, f := range d.history {
		_ = f.drop()
	}
	spec := *d.spec
	spec.Size = size
	n := &Disk{spec: &spec, key: d.key, path: d.path, size: size, label: d.label, uuid: d.uuid, file: d.file, dsRef: d.dsRef}
	if err := n.open(); err != nil {
		return nil, err
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	wider := func(b bitset) bitset {
		w := newBitset(n.blocks())
		copy(w, b)
		return w
	}
	switch {
	case !d.cbt.active:
	case reset:
		n.cbt.reset()
	default:
		n.cbt = d.cbt
		n.cbt.blocks, n.cbt.now, n.cbt.past = n.blocks(), wider(d.cbt.now), map[int]bitset{}
		for e, b := range d.cbt.past {
			n.cbt.past[e] = wider(b)
		}
		for b := (d.size - 1) / blockSize; b < n.blocks(); b++ {
			n.cbt.now.set(b)
		}
	}
	return n, nil
}

// serveMove is a vMotion to the next host, and, with a datastore, one of the
// VM's files.
func (s *Sim) serveMove(w http.ResponseWriter, r *http.Request) {
	var in struct {
		VM        string `json:"vm"`
		Datastore string `json:"datastore"`
		Reset     bool   `json:"cbt_reset"`
	}
	if !decode(w, r, &in) {
		return
	}
	vm := s.vmByName(in.VM)
	if vm == nil {
		http.Error(w, fmt.Sprintf("no VM '%s'", in.VM), http.StatusNotFound)
		return
	}
	if !vm.free(w) {
		return
	}
	ctx := s.context()
	if in.Datastore != "" {
		if err := s.moveFiles(ctx, vm, in.Datastore); err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
	}
	host := s.nextHost(ctx, vm)
	vm.writers.Lock()
	if len(s.snapshotChain(ctx, vm)) == 0 {
		vm.switchTracking() // the disks are opened anew, on another host
	}
	for _, d := range vm.diskList() {
		d.mu.Lock()
		if in.Reset && d.cbt.active {
			d.cbt.reset()
		}
		d.mu.Unlock()
	}
	vm.writers.Unlock()
	s.rebase(ctx, vm)
	s.journal.note(vm.name, "moved", host)
	reply(w, map[string]string{"host": host})
}

func (s *Sim) nextHost(ctx *simulator.Context, vm *VM) string {
	hosts := []*simulator.HostSystem{}
	for _, o := range s.reg.All("HostSystem") {
		hosts = append(hosts, o.(*simulator.HostSystem))
	}
	byRef(hosts)
	var next *simulator.HostSystem
	ctx.WithLock(vm.obj, func() {
		for i, h := range hosts {
			if h.Self == *vm.obj.Runtime.Host {
				next = hosts[(i+1)%len(hosts)]
			}
		}
		ref := next.Self
		ctx.Update(vm.obj, []types.PropertyChange{
			{Name: "runtime.host", Val: &ref}, {Name: "summary.runtime.host", Val: &ref}})
	})
	return next.Name
}

func (s *Sim) moveFiles(ctx *simulator.Context, vm *VM, name string) error {
	for _, o := range s.reg.All("Datastore") {
		ds := o.(*simulator.Datastore)
		if ds.Name != name {
			continue
		}
		disks := vm.diskList()
		s.mu.Lock()
		for _, d := range disks {
			d.mu.Lock()
			_, rest, _ := strings.Cut(d.file, "] ")
			d.file, d.dsRef = fmt.Sprintf("[%s] %s", name, rest), ds.Self
			d.mu.Unlock()
		}
		s.mu.Unlock()
		ctx.WithLock(vm.obj, func() {
			_, rest, _ := strings.Cut(vm.obj.Config.Files.VmPathName, "] ")
			ctx.Update(vm.obj, []types.PropertyChange{
				{Name: "datastore", Val: []types.ManagedObjectReference{ds.Self}},
				{Name: "config.files.vmPathName", Val: fmt.Sprintf("[%s] %s", name, rest)}})
		})
		return nil
	}
	return fmt.Errorf("no datastore '%s'", name)
}

// serveRename gives the VM another name; /state and control go by it then.
func (s *Sim) serveRename(w http.ResponseWriter, r *http.Request) {
	var in struct {
		VM   string `json:"vm"`
		Name string `json:"name"`
	}
	if !decode(w, r, &in) {
		return
	}
	vm := s.vmByName(in.VM)
	if vm == nil || in.Name == "" {
		http.Error(w, fmt.Sprintf("no VM '%s', or no name for it", in.VM), http.StatusNotFound)
		return
	}
	ctx := s.context()
	ctx.WithLock(vm.obj, func() {
		ctx.Update(vm.obj, []types.PropertyChange{
			{Name: "name", Val: escapeName(in.Name)}, {Name: "config.name", Val: escapeName(in.Name)},
			{Name: "summary.config.name", Val: escapeName(in.Name)}})
	})
	s.mu.Lock()
	vm.name = in.Name
	s.mu.Unlock()
	s.journal.note(in.Name, "renamed", in.VM)
	reply(w, struct{}{})
}
