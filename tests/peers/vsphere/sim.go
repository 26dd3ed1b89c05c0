package main

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"strings"
	"sync"
	"time"

	"github.com/vmware/govmomi/simulator"
	"github.com/vmware/govmomi/vim25"
	"github.com/vmware/govmomi/vim25/mo"
	"github.com/vmware/govmomi/vim25/types"
)

// Options are the command line.
type Options struct {
	dir, listen, nfcListen string
	readyFile              string
	user, password         string
	esx, demo              bool
	vmsFile                string
	fillers                int
	pageSize               int
	maxAreas               int
	areaWindow             int64
	sessionTimeout         time.Duration
	leaseTimeout           time.Duration
	taskDelay              time.Duration
	shutdownDelay          time.Duration
	nfcRate                int64
	nfcWorkers             int
	folderLocked           bool
	keepFrozen             bool
	cache                  string
	xsi                    string
	taskDelays             map[string]time.Duration // in the place of taskDelay
	mergeRate              int64                    // bytes a second of removals, 0: no time
}

// Sim is one simulated vCenter or ESXi host.
//
// Lock order: VM.mu, then VM.writers, then Disk.mu; Sim.mu is taken last and
// for lookups only. vcsim's object locks come after VM.mu.
type Sim struct {
	opt   Options
	model *simulator.Model
	svc   *simulator.Service
	reg   *simulator.Registry
	rest  http.Handler
	log   io.Writer

	id         *identity // certificate of the server
	nfcID      *identity // certificate of the host that device URLs name
	host       string
	datacenter string
	port       int
	nfcHost    string // host:port of device URLs
	faults     faultBook
	calls      *callBook
	journal    journal
	away       outage
	denials    denials
	sessions   *sessionTable
	pages      *pageCache // nil: none

	listener, nfcListener, controlListener net.Listener
	servers                                []*http.Server
	failed                                 chan error

	mu        sync.Mutex
	vms       map[string]*VM
	order     []*VM
	snapshots map[string]*Snapshot
	leases    map[string]*Lease
	allLeases []*Lease
	restIDs   map[string]bool
	snapSeq   int
	clockSkew time.Duration // of CurrentTime
}

// VM is what the extension knows about a machine beyond vcsim's object.
type VM struct {
	ref    types.ManagedObjectReference
	obj    *simulator.VirtualMachine
	name   string
	spec   *VMSpec
	disks  []*Disk
	filler bool

	mu       sync.Mutex
	task     *types.ManagedObjectReference
	lease    *Lease
	leftover bool // a removed snapshot's delta is still there
	cbtWant  bool

	load     map[int32]*load // by disk key
	question string          // stands in the way of tasks and of the guest's end
	answered chan struct{}   // closed with the answer

	writers sync.RWMutex      // readers write to the disks, a freeze locks them out
	halted  bool              // the guest does not run; guarded by writers
	shape   sync.RWMutex      // guards disks, whose elements and length may change
	base    map[int32]*Frozen // what a leftover delta stands on; guarded by mu
	locked  *bool             // in the place of the option folderLocked; guarded by mu
}

// Snapshot is a snapshot with the state of its disks.
type Snapshot struct {
	ref      types.ManagedObjectReference
	vm       *VM
	seq      int
	name     string
	quiesced bool
	disks    map[int32]*snapDisk
}

type snapDisk struct {
	frozen   *Frozen
	changeID string
	epoch    int
}

// ext takes the calls that vcsim lacks or does too simply. It is one object
// for all VMs; the methods find theirs by the request's own _this.
type ext struct {
	mo.OvfManager // any managed object that is not an inventory entity
	s             *Sim
}

// Lock and Unlock keep vcsim from serialising the calls of different VMs.
func (*ext) Lock()   {}
func (*ext) Unlock() {}

var extRef = types.ManagedObjectReference{Type: "VmferryExtension", Value: "extension"}

// routed are the methods of an object type that go to ext.
var routed = map[string]map[string]bool{
	"VirtualMachine": {
		"PowerOnVM_Task": true, "PowerOffVM_Task": true, "ShutdownGuest": true,
		"AnswerVM":        true,
		"ReconfigVM_Task": true, "CreateSnapshot_Task": true, "CreateSnapshotEx_Task": true,
		"RemoveAllSnapshots_Task": true, "ConsolidateVMDisks_Task": true,
		"QueryChangedDiskAreas": true, "ExportVm": true,
	},
	"VirtualMachineSnapshot": {
		"RemoveSnapshot_Task": true, "RevertToSnapshot_Task": true, "ExportSnapshot": true,
	},
	"OvfManager":           {"CreateDescriptor": true},
	"AuthorizationManager": {"HasUserPrivilegeOnEntities": true},
	"ServiceInstance":      {"CurrentTime": true},
}

// heldMethods are refused while a lease holds the VM.
var heldMethods = map[string]bool{
	"PowerOnVM_Task": true, "MigrateVM_Task": true, "RelocateVM_Task": true,
	"Destroy_Task": true, "RevertToSnapshot_Task": true, "RemoveSnapshot_Task": true,
	"RemoveAllSnapshots_Task": true, "UnregisterVM": true,
}

// context returns a context of its own: vcsim's locks belong to contexts.
func (s *Sim) context() *simulator.Context {
	c := *s.svc.Context
	return &c
}

// apiVersion is what the simulator says it is.
const apiVersion = "8.0.3.0"

// newModel makes the inventory without VMs and puts the extension in.
func newModel(opt Options) (*simulator.Model, error) {
	m := simulator.VPX()
	if opt.esx {
		m = simulator.ESX()
	}
	a := &m.ServiceContent.About
	a.Version, a.ApiVersion, a.Build = "8.0.3", apiVersion, "24022515"
	a.FullName = fmt.Sprintf("%s %s build-%s", a.Name, a.Version, a.Build)
	a.LicenseProductVersion = "8.0"
	m.Machine = 0
	m.Datastore = 2
	m.Autostart = false
	old := os.Getenv("TMPDIR")
	_ = os.Setenv("TMPDIR", opt.dir) // vcsim makes its datastores there
	defer os.Setenv("TMPDIR", old)
	return m, m.Create()
}

// wire connects the parts of a Sim whose model exists.
func (s *Sim) wire(self *url.URL) {
	s.svc = s.model.Service
	s.reg = s.model.Map()
	self.User = url.UserPassword(s.opt.user, s.opt.password)
	s.svc.Listen = self
	s.svc.RegisterSDK(s.reg, s.reg.Path+"/vimService")
	s.reg.SessionManager().ServiceHostName = self.Host
	s.sessions = newSessionTable(s.opt.sessionTimeout, s.endSession)

	s.reg.Put(&ext{OvfManager: mo.OvfManager{Self: extRef}, s: s})
	s.putCollector()
	s.reg.Handler = s.intercept
}

// intercept sees every decoded call before vcsim does.
func (s *Sim) intercept(ctx *simulator.Context, m *simulator.Method) (mo.Reference, types.BaseMethodFault) {
	if ctx.Session == nil && !preLogin[m.Name] {
		return nil, notAuthenticated(m.This)
	}
	ev := match{names: []string{m.Name, "sdk"}, object: s.nameOf(m.This)}
	if r := s.faults.take("fault", ev); r != nil {
		return nil, r.methodFault("SystemError")
	}
	if f := s.refusal(m.Name, m.This); f != nil {
		return nil, f
	}
	if s.pages != nil && !readOnly(m.Name) {
		s.pages.changed()
	}
	vm := s.vmOf(m.This)
	if vm != nil && heldMethods[m.Name] {
		if f := vm.held(); f != nil {
			return nil, f
		}
	}
	switch {
	case routed[m.This.Type][m.Name]:
		if vm != nil || m.This.Type != "VirtualMachine" && m.This.Type != "VirtualMachineSnapshot" {
			m.This = extRef
		}
	case vm != nil && strings.HasSuffix(m.Name, "_Task"):
		if f := vm.busy(); f != nil {
			return nil, f
		}
	}
	return nil, nil
}

func serviceContent(r *simulator.Registry) types.ServiceContent {
	return r.Get(vim25.ServiceInstance).(*simulator.ServiceInstance).Content
}

func (s *Sim) vm(ref types.ManagedObjectReference) *VM {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.vms[ref.Value]
}

func (s *Sim) snapshot(ref types.ManagedObjectReference) *Snapshot {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.snapshots[ref.Value]
}

// vmOf finds the VM that an object is or belongs to.
func (s *Sim) vmOf(ref types.ManagedObjectReference) *VM {
	switch ref.Type {
	case "VirtualMachine":
		return s.vm(ref)
	case "VirtualMachineSnapshot":
		if sn := s.snapshot(ref); sn != nil {
			return sn.vm
		}
	}
	return nil
}

func (s *Sim) nameOf(ref types.ManagedObjectReference) string {
	if vm := s.vmOf(ref); vm != nil {
		return vm.name
	}
	return ref.Value
}

// vmByName takes a name or a managed object ID.
func (s *Sim) vmByName(name string) *VM {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, vm := range s.order {
		if vm.name == name {
			return vm
		}
	}
	return s.vms[name]
}

func (vm *VM) disk(key int32) *Disk {
	for _, d := range vm.diskList() {
		if d.key == key {
			return d
		}
	}
	return nil
}

func (vm *VM) busy() types.BaseMethodFault {
	vm.mu.Lock()
	defer vm.mu.Unlock()
	if vm.task != nil {
		return &types.TaskInProgress{Task: *vm.task}
	}
	return nil
}

func (vm *VM) held() types.BaseMethodFault {
	vm.mu.Lock()
	defer vm.mu.Unlock()
	if vm.lease != nil {
		return &types.TaskInProgress{Task: vm.lease.task}
	}
	return nil
}

func (vm *VM) powerState(ctx *simulator.Context) (state types.VirtualMachinePowerState) {
	ctx.WithLock(vm.obj, func() { state = vm.obj.Runtime.PowerState })
	return state
}
