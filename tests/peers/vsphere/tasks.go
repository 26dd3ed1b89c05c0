package main

import (
	"reflect"
	"time"

	"github.com/vmware/govmomi/simulator"
	"github.com/vmware/govmomi/vim25/methods"
	"github.com/vmware/govmomi/vim25/mo"
	"github.com/vmware/govmomi/vim25/soap"
	"github.com/vmware/govmomi/vim25/types"
)

// Task is a task that a client can watch: it is queued for a while, then runs
// with rising progress, then ends. vcsim's own has neither queue nor progress.
type Task struct {
	mo.Task
}

// CancelTask is refused: none of these operations can be cancelled.
func (t *Task) CancelTask(*simulator.Context, *types.CancelTask) soap.HasFault {
	return &methods.CancelTaskBody{Fault_: newFault(&types.NotSupported{})}
}

// taskLife is how long an ended task stays readable.
const taskLife = 10 * time.Minute

type taskFunc func(ctx *simulator.Context) (types.AnyType, types.BaseMethodFault)

// startTask makes a task for vm and runs fn at its end. A VM has one task at
// a time; a second one is TaskInProgress.
func (s *Sim) startTask(caller *simulator.Context, vm *VM, method, id string, fn taskFunc) (types.ManagedObjectReference, types.BaseMethodFault) {
	vm.mu.Lock()
	defer vm.mu.Unlock()
	if vm.task != nil {
		return types.ManagedObjectReference{}, &types.TaskInProgress{Task: *vm.task}
	}
	user := s.opt.user
	if caller != nil && caller.Session != nil && caller.Session.UserName != "" {
		user = caller.Session.UserName
	}
	t := &Task{}
	t.Info = types.TaskInfo{
		Name:          method,
		DescriptionId: "VirtualMachine." + id,
		Entity:        &vm.ref,
		EntityName:    vm.name,
		State:         types.TaskInfoStateQueued,
		Reason:        &types.TaskReasonUser{UserName: user},
		QueueTime:     time.Now(),
		EventChainId:  int32(time.Now().Unix() % 100000),
	}
	s.reg.Put(t)
	ctx := s.context()
	ctx.WithLock(t, func() {
		t.Info.Key = t.Self.Value
		t.Info.Task = t.Self
	})
	ref := t.Self
	vm.task = &ref
	go s.runTask(t, vm, method, fn)
	return ref, nil
}

func (s *Sim) runTask(t *Task, vm *VM, method string, fn taskFunc) {
	ctx := s.context()
	total := s.delay(method)
	if r := s.faults.take("task_slow", match{names: []string{method}, object: vm.name}); r != nil {
		total += r.duration(10 * time.Second)
	}
	update := func(c ...types.PropertyChange) { s.reg.AtomicUpdate(ctx, t, c) }
	ctx.WithLock(vm.obj, func() {
		recent := append(append([]types.ManagedObjectReference(nil), vm.obj.RecentTask...), t.Self)
		ctx.Update(vm.obj, []types.PropertyChange{{Name: "recentTask", Val: recent[max(0, len(recent)-20):]}})
	})
	time.Sleep(total / 5)
	update(types.PropertyChange{Name: "info.state", Val: types.TaskInfoStateRunning},
		types.PropertyChange{Name: "info.startTime", Val: time.Now()})
	for _, percent := range []int32{0, 20, 50, 80} {
		update(types.PropertyChange{Name: "info.progress", Val: percent})
		time.Sleep(total / 5)
	}
	vm.awaitAnswer()
	var res types.AnyType
	var fault types.BaseMethodFault
	if r := s.faults.take("task_error", match{names: []string{method}, object: vm.name}); r != nil {
		fault = r.methodFault("SystemError")
	} else {
		res, fault = fn(ctx)
	}
	if s.pages != nil {
		s.pages.changed() // some of vcsim's changes are made without an event
	}
	vm.mu.Lock()
	vm.task = nil
	vm.mu.Unlock()
	end := []types.PropertyChange{{Name: "info.completeTime", Val: time.Now()}}
	if fault != nil {
		end = append(end, types.PropertyChange{Name: "info.error", Val: localized(fault)},
			types.PropertyChange{Name: "info.state", Val: types.TaskInfoStateError})
	} else {
		end = append(end, types.PropertyChange{Name: "info.progress", Val: int32(100)},
			types.PropertyChange{Name: "info.result", Val: res},
			types.PropertyChange{Name: "info.state", Val: types.TaskInfoStateSuccess})
	}
	update(end...)
	time.AfterFunc(taskLife, func() { s.reg.Remove(s.context(), t.Self) })
}

// inner runs one of vcsim's own task methods to its end, so that the
// inventory is changed by the code that owns it.
func (s *Sim) inner(ctx *simulator.Context, obj mo.Reference, call func() soap.HasFault) (types.AnyType, types.BaseMethodFault) {
	var body soap.HasFault
	ctx.WithLock(obj, func() { body = call() })
	if f := body.Fault(); f != nil {
		return nil, f.VimFault().(types.BaseMethodFault)
	}
	ref := reflect.ValueOf(body).Elem().FieldByName("Res").Elem().FieldByName("Returnval").
		Interface().(types.ManagedObjectReference)
	t := s.reg.Get(ref).(*simulator.Task)
	t.Wait()
	if t.Info.Error != nil {
		return nil, t.Info.Error.Fault
	}
	return t.Info.Result, nil
}
