package main

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/google/uuid"
	"github.com/vmware/govmomi/simulator"
	"github.com/vmware/govmomi/vim25/methods"
	"github.com/vmware/govmomi/vim25/mo"
	"github.com/vmware/govmomi/vim25/soap"
	"github.com/vmware/govmomi/vim25/types"
)

// HttpNfcLease is the managed object; the name is vSphere's.
type HttpNfcLease struct {
	mo.HttpNfcLease
	l *Lease
}

// Lease is one export: what it holds, what it serves, and its clock.
type Lease struct {
	s       *Sim
	vm      *VM
	snap    *Snapshot
	obj     *HttpNfcLease
	session *simulator.Session
	task    types.ManagedObjectReference
	ticket  string
	files   map[string]*leaseFile
	ctx     context.Context
	cancel  context.CancelCauseFunc

	mu       sync.Mutex
	state    types.HttpNfcLeaseState
	renewed  time.Time // last progress report
	moved    time.Time // last byte that a peer took
	streams  int
	percent  int32
	sent     map[string]int64
	timedOut bool
}

// leaseFile is one thing to download.
type leaseFile struct {
	view    view
	content []byte // when it is not a disk
}

// leaseLife is how long an ended lease can still be read.
const leaseLife = time.Minute

var errLeaseOver = fmt.Errorf("the lease is over")

// ExportVm exports the powered off VM as it is.
func (x *ext) ExportVm(ctx *simulator.Context, req *types.ExportVm) soap.HasFault {
	body := new(methods.ExportVmBody)
	vm := x.s.vm(req.This)
	if state := vm.powerState(ctx); state != poweredOff {
		body.Fault_ = newFault(&types.InvalidPowerState{RequestedState: poweredOff, ExistingState: state})
		return body
	}
	ref, fault := x.s.startLease(ctx, vm, nil)
	if fault != nil {
		body.Fault_ = newFault(fault)
		return body
	}
	body.Res = &types.ExportVmResponse{Returnval: ref}
	return body
}

// ExportSnapshot exports the state at the snapshot; the VM may run.
func (x *ext) ExportSnapshot(ctx *simulator.Context, req *types.ExportSnapshot) soap.HasFault {
	body := new(methods.ExportSnapshotBody)
	sn := x.s.snapshot(req.This)
	ref, fault := x.s.startLease(ctx, sn.vm, sn)
	if fault != nil {
		body.Fault_ = newFault(fault)
		return body
	}
	body.Res = &types.ExportSnapshotResponse{Returnval: ref}
	return body
}

func (s *Sim) startLease(ctx *simulator.Context, vm *VM, sn *Snapshot) (types.ManagedObjectReference, types.BaseMethodFault) {
	vm.mu.Lock()
	defer vm.mu.Unlock()
	none := types.ManagedObjectReference{}
	if vm.lease != nil {
		return none, &types.TaskInProgress{Task: vm.lease.task}
	}
	if vm.task != nil {
		return none, &types.TaskInProgress{Task: *vm.task}
	}
	l := &Lease{s: s, vm: vm, snap: sn, session: ctx.Session, ticket: uuid.NewString(),
		files: map[string]*leaseFile{}, sent: map[string]int64{},
		state: types.HttpNfcLeaseStateInitializing,
		task:  types.ManagedObjectReference{Type: "Task", Value: "task-export-" + uuid.NewString()[:8]}}
	l.ctx, l.cancel = context.WithCancelCause(context.Background())
	l.obj = &HttpNfcLease{l: l}
	l.obj.State = l.state
	l.obj.Mode = string(types.HttpNfcLeaseModePushOrGet)
	l.obj.Capabilities = types.HttpNfcLeaseCapabilities{PullModeSupported: true, CorsSupported: true}
	ctx.Session.Put(l.obj)
	vm.lease = l
	s.mu.Lock()
	s.leases[l.ticket] = l
	s.allLeases = append(s.allLeases, l)
	s.mu.Unlock()
	s.journal.note(vm.name, "lease_opened", l.obj.Self.Value)
	go l.initialize()
	return l.obj.Self, nil
}

// change tells the property collectors, under the object's lock. A method of
// the lease has that lock already, by its own context.
func (l *Lease) change(ctx *simulator.Context, c ...types.PropertyChange) {
	ctx.WithLock(l.obj, func() { ctx.Update(l.obj, c) })
}

func (l *Lease) initialize() {
	ctx := l.s.context()
	for _, p := range []int32{0, 40, 80} {
		l.change(ctx, types.PropertyChange{Name: "initializeProgress", Val: p})
		time.Sleep(l.s.opt.taskDelay / 3)
	}
	states, err := l.states()
	if err != nil {
		l.fail(ctx, &types.SystemError{Reason: err.Error()})
		return
	}
	info := &types.HttpNfcLeaseInfo{
		Lease: l.obj.Self, Entity: l.vm.ref,
		LeaseTimeout: int32((l.s.opt.leaseTimeout + time.Second - 1) / time.Second),
	}
	for i, d := range l.vm.diskList() {
		st := states[d.key]
		if st == nil {
			continue
		}
		name := exportName(i)
		l.files[name] = &leaseFile{view: view{d, st.frozen}}
		info.TotalDiskCapacityInKB += d.size / 1024
		info.DeviceUrl = append(info.DeviceUrl, l.deviceURL(d.label, name, true, 0))
	}
	l.extraFiles(info)
	l.mu.Lock()
	if l.state != types.HttpNfcLeaseStateInitializing {
		l.mu.Unlock()
		return
	}
	l.state = types.HttpNfcLeaseStateReady
	l.renewed, l.moved = time.Now(), time.Now()
	l.mu.Unlock()
	l.change(ctx, types.PropertyChange{Name: "initializeProgress", Val: int32(100)},
		types.PropertyChange{Name: "info", Val: info},
		types.PropertyChange{Name: "state", Val: types.HttpNfcLeaseStateReady})
	go l.watch()
}

// states are the frozen disks to export. A powered off VM is frozen here, so
// that a test can ask later what was exported.
func (l *Lease) states() (map[int32]*snapDisk, error) {
	if l.snap != nil {
		return l.snap.disks, nil
	}
	return l.s.freezeDisks(l.s.context(), l.vm, "export", false)
}

// extraFiles adds what comes along without being a disk.
func (l *Lease) extraFiles(info *types.HttpNfcLeaseInfo) {
	if iso := l.vm.spec.CDROM; iso != "" {
		name := "file-1.iso"
		content := make([]byte, 350<<10)
		copy(content[32769:], "CD001")
		copy(content[40<<10:], iso)
		l.files[name] = &leaseFile{content: content}
		info.DeviceUrl = append(info.DeviceUrl, l.deviceURL(
			fmt.Sprintf("/%s/VirtualCdrom1:0", l.vm.ref.Value), name, false, int64(len(content))))
	}
	if l.vm.spec.Firmware == "efi" {
		name := "file-2.nvram"
		content := make([]byte, nvramSize(l.vm.spec))
		copy(content, "MRVN")
		l.files[name] = &leaseFile{content: content}
		info.DeviceUrl = append(info.DeviceUrl, l.deviceURL(
			fmt.Sprintf("/%s/nvram", l.vm.ref.Value), name, false, int64(len(content))))
	}
}

func (l *Lease) deviceURL(key, name string, disk bool, size int64) types.HttpNfcLeaseDeviceUrl {
	host, prefix := l.s.nfcHost, "/nfc/"
	if l.s.opt.esx {
		_, port, _ := strings.Cut(host, ":")
		if i := strings.LastIndex(host, ":"); i >= 0 {
			port = host[i+1:]
		}
		host, prefix = "*:"+port, "/ha-nfc/"
	}
	return types.HttpNfcLeaseDeviceUrl{
		Key: key, ImportKey: strings.Replace(key, "/"+l.vm.ref.Value, "/"+l.vm.name, 1),
		Url:           "https://" + host + prefix + l.ticket + "/" + name,
		SslThumbprint: l.s.nfcID.sha1, Disk: types.NewBool(disk), TargetId: name, FileSize: size,
	}
}

// watch ends the lease when nobody reports progress, or when a peer stops
// taking bytes.
func (l *Lease) watch() {
	limit := l.s.opt.leaseTimeout
	tick := time.NewTicker(min(max(limit/20, 5*time.Millisecond), time.Second))
	defer tick.Stop()
	for {
		select {
		case <-l.ctx.Done():
			return
		case <-tick.C:
		}
		l.mu.Lock()
		late := time.Since(l.renewed) > limit || l.streams > 0 && time.Since(l.moved) > limit
		l.mu.Unlock()
		if late {
			l.fail(l.s.context(), &types.Timedout{})
			return
		}
	}
}

// end takes the lease to its last state, once.
func (l *Lease) end(ctx *simulator.Context, state types.HttpNfcLeaseState, cause error, c ...types.PropertyChange) bool {
	l.mu.Lock()
	if l.state == types.HttpNfcLeaseStateDone || l.state == types.HttpNfcLeaseStateError {
		l.mu.Unlock()
		return false
	}
	l.state = state
	l.mu.Unlock()
	l.cancel(cause)
	l.vm.mu.Lock()
	if l.vm.lease == l {
		l.vm.lease = nil
	}
	l.vm.mu.Unlock()
	l.s.journal.note(l.vm.name, "lease_"+string(state), l.obj.Self.Value)
	l.change(ctx, append(c, types.PropertyChange{Name: "state", Val: state})...)
	time.AfterFunc(leaseLife, func() {
		l.session.Remove(l.s.context(), l.obj.Self)
		if l.snap != nil || l.s.opt.keepFrozen {
			return
		}
		for _, f := range l.files { // no stream lives that long after the end
			if f.view.f != nil {
				_ = f.view.f.drop()
			}
		}
	})
	return true
}

func (l *Lease) fail(ctx *simulator.Context, f types.BaseMethodFault) {
	if _, ok := f.(*types.Timedout); ok {
		l.mu.Lock()
		l.timedOut = true
		l.mu.Unlock()
	}
	l.end(ctx, types.HttpNfcLeaseStateError, errLeaseOver,
		types.PropertyChange{Name: "error", Val: localized(f)})
}

// alive says why a call on the lease is refused, nil if it is not.
func (l *Lease) alive() types.BaseMethodFault {
	l.mu.Lock()
	defer l.mu.Unlock()
	switch {
	case l.timedOut:
		return &types.Timedout{}
	case l.state != types.HttpNfcLeaseStateReady:
		return &types.InvalidState{}
	}
	return nil
}

// HttpNfcLeaseProgress renews the lease.
func (o *HttpNfcLease) HttpNfcLeaseProgress(ctx *simulator.Context, req *types.HttpNfcLeaseProgress) soap.HasFault {
	body, l := new(methods.HttpNfcLeaseProgressBody), o.l
	if l.s.faults.take("lease_timeout", match{names: []string{"HttpNfcLeaseProgress"}, object: l.vm.name}) != nil {
		l.fail(ctx, &types.Timedout{})
	}
	if f := l.alive(); f != nil {
		body.Fault_ = newFault(f)
		return body
	}
	if req.Percent < 0 || req.Percent > 100 {
		body.Fault_ = newFault(&types.InvalidArgument{InvalidProperty: "percent"})
		return body
	}
	l.mu.Lock()
	l.renewed, l.percent = time.Now(), req.Percent
	l.mu.Unlock()
	l.change(ctx, types.PropertyChange{Name: "transferProgress", Val: req.Percent})
	body.Res = new(types.HttpNfcLeaseProgressResponse)
	return body
}

// HttpNfcLeaseComplete ends the export well.
func (o *HttpNfcLease) HttpNfcLeaseComplete(ctx *simulator.Context, req *types.HttpNfcLeaseComplete) soap.HasFault {
	body := new(methods.HttpNfcLeaseCompleteBody)
	f := o.l.alive()
	if f == nil && !o.l.end(ctx, types.HttpNfcLeaseStateDone, errLeaseOver) {
		f = &types.InvalidState{}
	}
	if f != nil {
		body.Fault_ = newFault(f)
		return body
	}
	body.Res = new(types.HttpNfcLeaseCompleteResponse)
	return body
}

// HttpNfcLeaseAbort ends the export badly; the caller may say why.
func (o *HttpNfcLease) HttpNfcLeaseAbort(ctx *simulator.Context, req *types.HttpNfcLeaseAbort) soap.HasFault {
	body := new(methods.HttpNfcLeaseAbortBody)
	why := localized(&types.RequestCanceled{})
	if req.Fault != nil {
		why = *req.Fault
	}
	if !o.l.end(ctx, types.HttpNfcLeaseStateError, errLeaseOver, types.PropertyChange{Name: "error", Val: why}) {
		f := o.l.alive()
		if f == nil {
			f = &types.InvalidState{}
		}
		body.Fault_ = newFault(f)
		return body
	}
	body.Res = new(types.HttpNfcLeaseAbortResponse)
	return body
}

// HttpNfcLeaseGetManifest lists what was sent.
func (o *HttpNfcLease) HttpNfcLeaseGetManifest(ctx *simulator.Context, _ *types.HttpNfcLeaseGetManifest) soap.HasFault {
	return &methods.HttpNfcLeaseGetManifestBody{Fault_: newFault(&types.NotSupported{})}
}
