package main

import (
	"fmt"
	"path"
	"strings"
	"time"

	"github.com/vmware/govmomi/simulator"
	"github.com/vmware/govmomi/vim25/methods"
	"github.com/vmware/govmomi/vim25/soap"
	"github.com/vmware/govmomi/vim25/types"
)

// CreateSnapshotTask freezes the disks and records the snapshot.
func (x *ext) CreateSnapshotTask(ctx *simulator.Context, req *types.CreateSnapshot_Task) soap.HasFault {
	body := new(methods.CreateSnapshot_TaskBody)
	ref, fault := x.s.startSnapshot(ctx, req.This, "CreateSnapshot_Task", req.Quiesce,
		types.CreateSnapshotEx_Task{Name: req.Name, Description: req.Description, Memory: req.Memory})
	if fault != nil {
		body.Fault_ = newFault(fault)
		return body
	}
	body.Res = &types.CreateSnapshot_TaskResponse{Returnval: ref}
	return body
}

// CreateSnapshotExTask is the newer form of CreateSnapshotTask.
func (x *ext) CreateSnapshotExTask(ctx *simulator.Context, req *types.CreateSnapshotEx_Task) soap.HasFault {
	body := new(methods.CreateSnapshotEx_TaskBody)
	ref, fault := x.s.startSnapshot(ctx, req.This, "CreateSnapshotEx_Task", req.QuiesceSpec != nil,
		types.CreateSnapshotEx_Task{Name: req.Name, Description: req.Description, Memory: req.Memory})
	if fault != nil {
		body.Fault_ = newFault(fault)
		return body
	}
	body.Res = &types.CreateSnapshotEx_TaskResponse{Returnval: ref}
	return body
}

func (s *Sim) startSnapshot(ctx *simulator.Context, this types.ManagedObjectReference, method string, quiesce bool, req types.CreateSnapshotEx_Task) (types.ManagedObjectReference, types.BaseMethodFault) {
	vm := s.vm(this)
	vm.mu.Lock()
	lease := vm.lease
	vm.mu.Unlock()
	if lease != nil && lease.snap == nil {
		return this, &types.TaskInProgress{Task: lease.task}
	}
	return s.startTask(ctx, vm, method, "createSnapshot", func(ctx *simulator.Context) (types.AnyType, types.BaseMethodFault) {
		quiesced, fault := s.quiesce(ctx, vm, method, quiesce)
		if fault != nil {
			return nil, fault
		}
		return s.createSnapshot(ctx, vm, quiesced, req)
	})
}

// quiesce says whether the guest was quiesced. Without running Tools the
// request is silently ignored, as a real host does.
func (s *Sim) quiesce(ctx *simulator.Context, vm *VM, method string, asked bool) (bool, types.BaseMethodFault) {
	on := vm.powerState(ctx) == types.VirtualMachinePowerStatePoweredOn
	if !asked || !on || !vm.spec.toolsRun() {
		return false, nil
	}
	ev := match{names: []string{method, "CreateSnapshot_Task"}, object: vm.name}
	if r := s.faults.take("quiesce_fault", ev); r != nil {
		return false, r.methodFault("ApplicationQuiesceFault")
	}
	return s.faults.take("quiesce_ignored", ev) == nil, nil
}

func (s *Sim) createSnapshot(ctx *simulator.Context, vm *VM, quiesced bool, req types.CreateSnapshotEx_Task) (types.AnyType, types.BaseMethodFault) {
	first := false
	ctx.WithLock(vm.obj, func() { first = vm.obj.Snapshot == nil })
	sn := &Snapshot{vm: vm, name: req.Name, quiesced: quiesced}
	var err error
	if sn.disks, err = s.freezeDisks(ctx, vm, "snapshot", first); err != nil {
		return nil, &types.SystemError{Reason: err.Error()}
	}
	if quiesced {
		req.QuiesceSpec = &types.VirtualMachineGuestQuiesceSpec{}
	}
	res, fault := s.inner(ctx, vm.obj, func() soap.HasFault { return vm.obj.CreateSnapshotExTask(ctx, &req) })
	if fault != nil {
		return nil, fault
	}
	sn.ref = res.(types.ManagedObjectReference)
	s.mu.Lock()
	s.snapSeq++
	sn.seq = s.snapSeq
	s.snapshots[sn.ref.Value] = sn
	s.mu.Unlock()
	obj := s.reg.Get(sn.ref).(*simulator.VirtualMachineSnapshot)
	ctx.WithLock(obj, func() {
		for _, dev := range obj.Config.Hardware.Device {
			if st := sn.disks[dev.GetVirtualDevice().Key]; st != nil {
				setChangeID(dev, st.changeID)
				st.frozen.Snapshot, st.frozen.Name = sn.ref.Value, sn.name
			}
		}
	})
	s.rebase(ctx, vm)
	s.journal.note(vm.name, "snapshot_created", sn.name)
	return sn.ref, nil
}

// freezeDisks stops the guest's writes for a moment and freezes all disks at
// once. Independent disks stay outside. Change tracking that was asked for
// becomes active here when no snapshot was there before.
func (s *Sim) freezeDisks(ctx *simulator.Context, vm *VM, kind string, first bool) (map[int32]*snapDisk, error) {
	vm.writers.Lock()
	defer vm.writers.Unlock()
	if first {
		vm.switchTracking()
	}
	out := map[int32]*snapDisk{}
	for _, d := range vm.diskList() {
		if kind == "snapshot" && d.spec.independent() {
			continue
		}
		f, err := d.freeze(s.opt.dir, kind)
		if err != nil {
			return nil, err
		}
		st := &snapDisk{frozen: f}
		if kind == "snapshot" {
			d.mu.Lock()
			st.changeID, st.epoch = d.cbt.closeEpoch()
			d.mu.Unlock()
		}
		out[d.key] = st
	}
	return out, nil
}

// switchTracking makes the tracking what the configuration asks for; it
// happens when the disks are reopened.
func (vm *VM) switchTracking() {
	for _, d := range vm.diskList() {
		d.mu.Lock()
		switch {
		case vm.cbtWant && !d.cbt.active && !d.spec.independent():
			d.cbt.reset()
		case !vm.cbtWant && d.cbt.active:
			d.cbt.stop()
		}
		d.mu.Unlock()
	}
}

func setChangeID(dev types.BaseVirtualDevice, id string) {
	setBackingChangeID(dev.GetVirtualDevice().Backing, id)
}

// rebase gives the VM's own disks the backing chain that its snapshots make:
// the base is the snapshot's, the VM runs on a delta.
func (s *Sim) rebase(ctx *simulator.Context, vm *VM) {
	chain := s.snapshotChain(ctx, vm)
	ctx.WithLock(vm.obj, func() {
		old := vm.obj.Config.Hardware.Device
		devices := make([]types.BaseVirtualDevice, len(old))
		copy(devices, old)
		for i, dev := range old {
			disk, ok := dev.(*types.VirtualDisk)
			d := vm.disk(dev.GetVirtualDevice().Key)
			if !ok || d == nil || d.spec.independent() {
				continue
			}
			c := *disk
			c.Backing = d.backing(chain, vm.leftover)
			devices[i] = &c
		}
		ctx.Update(vm.obj, []types.PropertyChange{{Name: "config.hardware.device", Val: devices}})
		s.setStorage(vm)
	})
}

// backing builds the disk's current backing; each delta's parent is the one
// before it. The object is fresh: no snapshot shares it.
func (d *Disk) backing(chain []*Snapshot, leftover bool) types.BaseVirtualDeviceBackingInfo {
	b := d.baseBacking()
	names := []string{}
	for _, sn := range chain {
		names = append(names, fmt.Sprintf("-%06d.vmdk", sn.seq))
	}
	if leftover && len(names) == 0 {
		names = append(names, "-000999.vmdk")
	}
	for _, suffix := range names {
		b = d.deltaBacking(b, suffix)
	}
	d.mu.RLock()
	if d.cbt.active {
		setBackingChangeID(b, d.cbt.changeID(d.cbt.epoch))
	}
	d.mu.RUnlock()
	return b
}

// snapshotChain lists the snapshots from the root to the current one.
func (s *Sim) snapshotChain(ctx *simulator.Context, vm *VM) []*Snapshot {
	var refs []types.ManagedObjectReference
	ctx.WithLock(vm.obj, func() {
		if vm.obj.Snapshot != nil && vm.obj.Snapshot.CurrentSnapshot != nil {
			refs = pathTo(vm.obj.Snapshot.RootSnapshotList, *vm.obj.Snapshot.CurrentSnapshot)
		}
	})
	var chain []*Snapshot
	for _, ref := range refs {
		if sn := s.snapshot(ref); sn != nil {
			chain = append(chain, sn)
		}
	}
	return chain
}

func pathTo(tree []types.VirtualMachineSnapshotTree, ref types.ManagedObjectReference) []types.ManagedObjectReference {
	for _, t := range tree {
		if t.Snapshot == ref {
			return []types.ManagedObjectReference{ref}
		}
		if sub := pathTo(t.ChildSnapshotList, ref); sub != nil {
			return append([]types.ManagedObjectReference{t.Snapshot}, sub...)
		}
	}
	return nil
}

func subtree(tree []types.VirtualMachineSnapshotTree, ref types.ManagedObjectReference, inside bool) []types.ManagedObjectReference {
	var out []types.ManagedObjectReference
	for _, t := range tree {
		in := inside || t.Snapshot == ref
		if in {
			out = append(out, t.Snapshot)
		}
		out = append(out, subtree(t.ChildSnapshotList, ref, in)...)
	}
	return out
}

// RemoveSnapshotTask removes one snapshot, with its children if told so.
func (x *ext) RemoveSnapshotTask(ctx *simulator.Context, req *types.RemoveSnapshot_Task) soap.HasFault {
	s, body := x.s, new(methods.RemoveSnapshot_TaskBody)
	sn := s.snapshot(req.This)
	vm := sn.vm
	merge := req.Consolidate == nil || *req.Consolidate
	ref, fault := s.startTask(ctx, vm, "RemoveSnapshot_Task", "removeSnapshot", func(ctx *simulator.Context) (types.AnyType, types.BaseMethodFault) {
		obj, ok := s.reg.Get(req.This).(*simulator.VirtualMachineSnapshot)
		if !ok {
			return nil, &types.ManagedObjectNotFound{Obj: req.This}
		}
		time.Sleep(s.mergeTime(sn))
		gone := []types.ManagedObjectReference{req.This}
		if req.RemoveChildren {
			ctx.WithLock(vm.obj, func() { gone = subtree(vm.obj.Snapshot.RootSnapshotList, req.This, false) })
		}
		if _, fault := s.inner(ctx, obj, func() soap.HasFault { return obj.RemoveSnapshotTask(ctx, req) }); fault != nil {
			return nil, fault
		}
		return nil, s.forget(ctx, vm, "RemoveSnapshot_Task", gone, merge)
	})
	if fault != nil {
		body.Fault_ = newFault(fault)
		return body
	}
	body.Res = &types.RemoveSnapshot_TaskResponse{Returnval: ref}
	return body
}

// RemoveAllSnapshotsTask removes the whole tree.
func (x *ext) RemoveAllSnapshotsTask(ctx *simulator.Context, req *types.RemoveAllSnapshots_Task) soap.HasFault {
	s, body := x.s, new(methods.RemoveAllSnapshots_TaskBody)
	vm := s.vm(req.This)
	merge := req.Consolidate == nil || *req.Consolidate
	ref, fault := s.startTask(ctx, vm, "RemoveAllSnapshots_Task", "removeAllSnapshots", func(ctx *simulator.Context) (types.AnyType, types.BaseMethodFault) {
		var gone []types.ManagedObjectReference
		ctx.WithLock(vm.obj, func() {
			if vm.obj.Snapshot != nil {
				gone = subtree(vm.obj.Snapshot.RootSnapshotList, types.ManagedObjectReference{}, true)
			}
		})
		if _, fault := s.inner(ctx, vm.obj, func() soap.HasFault { return vm.obj.RemoveAllSnapshotsTask(ctx, req) }); fault != nil {
			return nil, fault
		}
		return nil, s.forget(ctx, vm, "RemoveAllSnapshots_Task", gone, merge)
	})
	if fault != nil {
		body.Fault_ = newFault(fault)
		return body
	}
	body.Res = &types.RemoveAllSnapshots_TaskResponse{Returnval: ref}
	return body
}

// forget drops the frozen states of removed snapshots and says whether the
// deltas were merged.
func (s *Sim) forget(ctx *simulator.Context, vm *VM, method string, gone []types.ManagedObjectReference, merge bool) types.BaseMethodFault {
	var fault types.BaseMethodFault
	if r := s.faults.take("consolidation_needed", match{names: []string{method}, object: vm.name}); r != nil {
		merge = false
		if r.Fault != "" {
			fault = r.methodFault("")
		}
	}
	if !merge {
		s.keepBase(ctx, vm, gone)
	}
	for _, ref := range gone {
		s.mu.Lock()
		sn := s.snapshots[ref.Value]
		delete(s.snapshots, ref.Value)
		s.mu.Unlock()
		s.reg.Remove(ctx, ref)
		if sn != nil {
			s.journal.note(vm.name, "snapshot_removed", sn.name)
		}
		if sn == nil || s.opt.keepFrozen || !merge {
			continue
		}
		for _, st := range sn.disks {
			if err := st.frozen.drop(); err != nil {
				return &types.SystemError{Reason: err.Error()}
			}
		}
	}
	if !merge {
		s.setConsolidation(ctx, vm, true)
	} else if len(s.snapshotChain(ctx, vm)) == 0 {
		vm.switchTracking()
	}
	s.rebase(ctx, vm)
	return fault
}

// keepBase remembers what the flat files hold while a delta that was not
// merged stands on them: the oldest state of those that were ever left.
func (s *Sim) keepBase(ctx *simulator.Context, vm *VM, gone []types.ManagedObjectReference) {
	oldest := s.snapshot(gone[0])
	if chain := s.snapshotChain(ctx, vm); oldest == nil || len(chain) > 0 && chain[0].seq < oldest.seq {
		return
	}
	vm.mu.Lock()
	defer vm.mu.Unlock()
	if vm.base == nil {
		vm.base = map[int32]*Frozen{}
		for key, st := range oldest.disks {
			vm.base[key] = st.frozen
		}
	}
}

// mergeTime is how long it takes to merge what was written since a snapshot.
func (s *Sim) mergeTime(sn *Snapshot) time.Duration {
	s.mu.Lock()
	rate := s.opt.mergeRate
	s.mu.Unlock()
	if rate <= 0 {
		return 0
	}
	bytes := int64(0)
	for _, st := range sn.disks {
		st.frozen.d.mu.RLock()
		bytes += st.frozen.have.count() * blockSize
		st.frozen.d.mu.RUnlock()
	}
	return time.Duration(float64(bytes) / float64(rate) * float64(time.Second))
}

func (s *Sim) setConsolidation(ctx *simulator.Context, vm *VM, needed bool) {
	ctx.WithLock(vm.obj, func() {
		vm.leftover = needed
		ctx.Update(vm.obj, []types.PropertyChange{
			{Name: "runtime.consolidationNeeded", Val: needed},
			{Name: "summary.runtime.consolidationNeeded", Val: needed},
		})
	})
}

// ConsolidateVMDisksTask merges what a removal left behind.
func (x *ext) ConsolidateVMDisksTask(ctx *simulator.Context, req *types.ConsolidateVMDisks_Task) soap.HasFault {
	s, body := x.s, new(methods.ConsolidateVMDisks_TaskBody)
	vm := s.vm(req.This)
	ref, fault := s.startTask(ctx, vm, "ConsolidateVMDisks_Task", "consolidateDisks", func(ctx *simulator.Context) (types.AnyType, types.BaseMethodFault) {
		s.setConsolidation(ctx, vm, false)
		vm.mu.Lock()
		vm.base = nil
		vm.mu.Unlock()
		s.rebase(ctx, vm)
		s.journal.note(vm.name, "consolidated", "")
		return nil, nil
	})
	if fault != nil {
		body.Fault_ = newFault(fault)
		return body
	}
	body.Res = &types.ConsolidateVMDisks_TaskResponse{Returnval: ref}
	return body
}

// RevertToSnapshotTask writes the frozen content back. Tracking cannot follow
// that, so it starts over.
func (x *ext) RevertToSnapshotTask(ctx *simulator.Context, req *types.RevertToSnapshot_Task) soap.HasFault {
	s, body := x.s, new(methods.RevertToSnapshot_TaskBody)
	sn := s.snapshot(req.This)
	vm := sn.vm
	ref, fault := s.startTask(ctx, vm, "RevertToSnapshot_Task", "revertToSnapshot", func(ctx *simulator.Context) (types.AnyType, types.BaseMethodFault) {
		if err := s.restore(vm, sn); err != nil {
			return nil, &types.SystemError{Reason: err.Error()}
		}
		obj := s.reg.Get(req.This).(*simulator.VirtualMachineSnapshot)
		_, fault := s.inner(ctx, obj, func() soap.HasFault { return obj.RevertToSnapshotTask(ctx, req) })
		s.rebase(ctx, vm)
		return nil, fault
	})
	if fault != nil {
		body.Fault_ = newFault(fault)
		return body
	}
	body.Res = &types.RevertToSnapshot_TaskResponse{Returnval: ref}
	return body
}

func (s *Sim) restore(vm *VM, sn *Snapshot) error {
	vm.writers.Lock()
	defer vm.writers.Unlock()
	buf := make([]byte, blockSize)
	for _, d := range vm.diskList() {
		st := sn.disks[d.key]
		if st == nil || d.live == nil {
			continue
		}
		for b := int64(0); b < d.blocks(); b++ {
			if !st.frozen.touched(b) {
				continue
			}
			if _, err := d.readBlock(st.frozen, b, buf); err != nil {
				return err
			}
			n := min(int64(blockSize), d.size-b*blockSize)
			if err := d.write(buf[:n], b*blockSize); err != nil {
				return err
			}
		}
		d.mu.Lock()
		if d.cbt.active {
			d.cbt.reset()
		}
		d.mu.Unlock()
	}
	return nil
}

// touched reports whether the block was written after the freeze.
func (f *Frozen) touched(b int64) bool {
	f.d.mu.RLock()
	defer f.d.mu.RUnlock()
	found := false
	for _, c := range f.d.chain {
		found = found || c == f
		if found && c.have.get(b) {
			return true
		}
	}
	return false
}

// vmfsPath is how a host names a datastore file in its faults.
func vmfsPath(file string) string {
	ds, rest, _ := strings.Cut(strings.TrimPrefix(file, "["), "] ")
	return path.Join("/vmfs/volumes", ds, rest)
}
