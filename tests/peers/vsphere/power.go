package main

import (
	"time"

	"github.com/vmware/govmomi/simulator"
	"github.com/vmware/govmomi/vim25/methods"
	"github.com/vmware/govmomi/vim25/soap"
	"github.com/vmware/govmomi/vim25/types"
)

const (
	poweredOn  = types.VirtualMachinePowerStatePoweredOn
	poweredOff = types.VirtualMachinePowerStatePoweredOff
)

// PowerOnVMTask starts the VM; tracking that was asked for becomes active.
func (x *ext) PowerOnVMTask(ctx *simulator.Context, req *types.PowerOnVM_Task) soap.HasFault {
	s, body := x.s, new(methods.PowerOnVM_TaskBody)
	vm := s.vm(req.This)
	ref, fault := s.startTask(ctx, vm, "PowerOnVM_Task", "powerOn", func(ctx *simulator.Context) (types.AnyType, types.BaseMethodFault) {
		_, fault := s.inner(ctx, vm.obj, func() soap.HasFault { return vm.obj.PowerOnVMTask(ctx, req) })
		if fault != nil {
			return nil, fault
		}
		if len(s.snapshotChain(ctx, vm)) == 0 {
			vm.switchTracking()
			s.rebase(ctx, vm)
		}
		ctx.WithLock(vm.obj, func() { s.setGuest(ctx, vm, true) })
		return nil, nil
	})
	if fault != nil {
		body.Fault_ = newFault(fault)
		return body
	}
	body.Res = &types.PowerOnVM_TaskResponse{Returnval: ref}
	return body
}

// PowerOffVMTask is the hard stop.
func (x *ext) PowerOffVMTask(ctx *simulator.Context, req *types.PowerOffVM_Task) soap.HasFault {
	s, body := x.s, new(methods.PowerOffVM_TaskBody)
	vm := s.vm(req.This)
	ref, fault := s.startTask(ctx, vm, "PowerOffVM_Task", "powerOff", func(ctx *simulator.Context) (types.AnyType, types.BaseMethodFault) {
		return nil, s.powerOff(ctx, vm)
	})
	if fault != nil {
		body.Fault_ = newFault(fault)
		return body
	}
	body.Res = &types.PowerOffVM_TaskResponse{Returnval: ref}
	return body
}

func (s *Sim) powerOff(ctx *simulator.Context, vm *VM) types.BaseMethodFault {
	s.stopLoads(vm)
	_, fault := s.inner(ctx, vm.obj, func() soap.HasFault {
		return vm.obj.PowerOffVMTask(ctx, &types.PowerOffVM_Task{This: vm.ref})
	})
	if fault == nil {
		ctx.WithLock(vm.obj, func() { s.setGuest(ctx, vm, false) })
	}
	return fault
}

// ShutdownGuest asks the guest and returns; the guest takes its time, or
// never ends when so ordered.
func (x *ext) ShutdownGuest(ctx *simulator.Context, req *types.ShutdownGuest) soap.HasFault {
	s, body := x.s, new(methods.ShutdownGuestBody)
	vm := s.vm(req.This)
	state := vm.powerState(ctx)
	switch {
	case state != poweredOn:
		body.Fault_ = newFault(&types.InvalidPowerState{RequestedState: poweredOn, ExistingState: state})
		return body
	case !vm.spec.tools():
		body.Fault_ = newFault(&types.ToolsUnavailable{})
		return body
	}
	body.Res = new(types.ShutdownGuestResponse)
	r := s.faults.take("shutdown_hang", match{names: []string{"ShutdownGuest"}, object: vm.name})
	if r != nil && r.Seconds == 0 {
		return body
	}
	delay := s.opt.shutdownDelay
	if r != nil {
		delay = r.duration(delay)
	}
	time.AfterFunc(delay, func() {
		ctx := s.context()
		if vm.powerState(ctx) == poweredOn {
			_ = s.powerOff(ctx, vm)
		}
	})
	return body
}

// ReconfigVMTask is vcsim's; only change tracking has a meaning of its own
// here: it becomes active when the disks are next reopened.
func (x *ext) ReconfigVMTask(ctx *simulator.Context, req *types.ReconfigVM_Task) soap.HasFault {
	s, body := x.s, new(methods.ReconfigVM_TaskBody)
	vm := s.vm(req.This)
	vm.mu.Lock()
	lease := vm.lease
	vm.mu.Unlock()
	if lease != nil && lease.snap == nil {
		body.Fault_ = newFault(&types.TaskInProgress{Task: lease.task})
		return body
	}
	ref, fault := s.startTask(ctx, vm, "ReconfigVM_Task", "reconfigure", func(ctx *simulator.Context) (types.AnyType, types.BaseMethodFault) {
		want := req.Spec.ChangeTrackingEnabled
		if want != nil && *want && !vm.obj.Capability.ChangeTrackingSupported {
			return nil, &types.InvalidVmConfig{Property: "changeTrackingEnabled"}
		}
		res, fault := s.inner(ctx, vm.obj, func() soap.HasFault { return vm.obj.ReconfigVMTask(ctx, req) })
		if fault != nil {
			return nil, fault
		}
		if want != nil {
			vm.cbtWant = *want
		}
		ctx.WithLock(vm.obj, func() { s.setStorage(vm) })
		return res, nil
	})
	if fault != nil {
		body.Fault_ = newFault(fault)
		return body
	}
	body.Res = &types.ReconfigVM_TaskResponse{Returnval: ref}
	return body
}
