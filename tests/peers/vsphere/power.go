package main

import (
	"fmt"
	"net/http"
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
		s.journal.note(vm.name, "powered_on", "")
		vm.halt(false)
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
		return nil, s.powerOff(ctx, vm, "powered_off")
	})
	if fault != nil {
		body.Fault_ = newFault(fault)
		return body
	}
	body.Res = &types.PowerOffVM_TaskResponse{Returnval: ref}
	return body
}

func (s *Sim) powerOff(ctx *simulator.Context, vm *VM, event string) types.BaseMethodFault {
	vm.halt(true)
	_, fault := s.inner(ctx, vm.obj, func() soap.HasFault {
		return vm.obj.PowerOffVMTask(ctx, &types.PowerOffVM_Task{This: vm.ref})
	})
	if fault != nil {
		vm.halt(vm.powerState(ctx) != poweredOn)
		return fault
	}
	ctx.WithLock(vm.obj, func() { s.setGuest(ctx, vm, false) })
	s.journal.note(vm.name, event, "")
	return nil
}

// setGuestState is what the guest's tools tell of its state.
func (s *Sim) setGuestState(ctx *simulator.Context, vm *VM, state string) {
	ctx.WithLock(vm.obj, func() {
		ctx.Update(vm.obj, []types.PropertyChange{{Name: "guest.guestState", Val: state}})
	})
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
	case !vm.spec.toolsRun():
		body.Fault_ = newFault(&types.ToolsUnavailable{})
		return body
	}
	body.Res = new(types.ShutdownGuestResponse)
	s.journal.note(vm.name, "shutdown_asked", "")
	r := s.faults.take("shutdown_hang", match{names: []string{"ShutdownGuest"}, object: vm.name})
	if r != nil && r.Seconds == 0 {
		return body
	}
	delay := s.opt.shutdownDelay
	if r != nil {
		delay = r.duration(delay)
	}
	s.setGuestState(ctx, vm, "shuttingDown")
	time.AfterFunc(delay, func() {
		vm.awaitAnswer()
		ctx := s.context()
		if vm.powerState(ctx) == poweredOn {
			_ = s.powerOff(ctx, vm, "guest_shut_down")
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
		if v := req.Spec.ChangeVersion; v != "" && v != vm.obj.Config.ChangeVersion {
			return nil, &types.ConcurrentAccess{}
		}
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
			s.journal.note(vm.name, "tracking", fmt.Sprint(*want))
		}
		if req.Spec.Annotation == emptyNotes {
			req.Spec.Annotation = ""
			ctx.WithLock(vm.obj, func() {
				ctx.Update(vm.obj, []types.PropertyChange{{Name: "config.annotation", Val: ""}})
			})
			s.journal.note(vm.name, "annotated", "")
		}
		if req.Spec.Annotation != "" {
			s.journal.note(vm.name, "annotated", req.Spec.Annotation)
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

// ask puts a question in the way of the VM; "" takes it away.
func (s *Sim) ask(ctx *simulator.Context, vm *VM, text string) {
	var info any // nil, of no type, unsets the property
	vm.mu.Lock()
	if vm.answered != nil {
		close(vm.answered)
		vm.answered = nil
	}
	if vm.question = text; text != "" {
		vm.answered = make(chan struct{})
		info = &types.VirtualMachineQuestionInfo{Id: "1", Text: text, Choice: types.ChoiceOption{
			ChoiceInfo: []types.BaseElementDescription{
				&types.ElementDescription{Description: types.Description{Label: "OK"}, Key: "0"}}}}
	}
	vm.mu.Unlock()
	ctx.WithLock(vm.obj, func() {
		ctx.Update(vm.obj, []types.PropertyChange{{Name: "runtime.question", Val: info}})
	})
	s.journal.note(vm.name, "question", text)
}

// awaitAnswer returns when no question stands in the way.
func (vm *VM) awaitAnswer() {
	for {
		vm.mu.Lock()
		answered := vm.answered
		vm.mu.Unlock()
		if answered == nil {
			return
		}
		<-answered
	}
}

func (s *Sim) serveQuestion(w http.ResponseWriter, r *http.Request) {
	var in struct {
		VM   string `json:"vm"`
		Text string `json:"text"`
	}
	if !decode(w, r, &in) {
		return
	}
	vm := s.vmByName(in.VM)
	if vm == nil {
		http.Error(w, fmt.Sprintf("no VM '%s'", in.VM), http.StatusNotFound)
		return
	}
	s.ask(s.context(), vm, in.Text)
	reply(w, struct{}{})
}

// AnswerVM takes any answer for a good one.
func (x *ext) AnswerVM(ctx *simulator.Context, req *types.AnswerVM) soap.HasFault {
	x.s.ask(ctx, x.s.vm(req.This), "")
	return &methods.AnswerVMBody{Res: new(types.AnswerVMResponse)}
}
