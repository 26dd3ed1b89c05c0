package main

import (
	"context"
	"fmt"
	"os"
	"path"
	"path/filepath"
	"slices"
	"sort"
	"strings"
	"time"

	"github.com/vmware/govmomi/object"
	"github.com/vmware/govmomi/simulator"
	"github.com/vmware/govmomi/vim25"
	"github.com/vmware/govmomi/vim25/mo"
	"github.com/vmware/govmomi/vim25/types"
)

// estate is the inventory around the VMs.
type estate struct {
	s          *Sim
	client     *vim25.Client
	dc         string
	root       *object.Folder
	folders    map[string]types.ManagedObjectReference
	hosts      []*simulator.HostSystem
	datastores []*simulator.Datastore
	pool       types.ManagedObjectReference
	networks   map[string]mo.Reference
	number     int
}

func byRef[T mo.Reference](list []T) []T {
	sort.Slice(list, func(i, j int) bool {
		a, b := list[i].Reference().Value, list[j].Reference().Value
		return len(a) < len(b) || len(a) == len(b) && a < b
	})
	return list
}

func newEstate(s *Sim) (*estate, error) {
	ctx := context.Background()
	c, err := vim25.NewClient(ctx, s.svc)
	if err != nil {
		return nil, err
	}
	e := &estate{s: s, client: c, folders: map[string]types.ManagedObjectReference{},
		networks: map[string]mo.Reference{}, number: 40}
	for _, o := range s.reg.All("HostSystem") {
		e.hosts = append(e.hosts, o.(*simulator.HostSystem))
	}
	for _, o := range s.reg.All("Datastore") {
		e.datastores = append(e.datastores, o.(*simulator.Datastore))
	}
	byRef(e.hosts)
	byRef(e.datastores)
	dc := s.reg.Any("Datacenter").(*simulator.Datacenter)
	e.dc = dc.Name
	e.root = object.NewFolder(c, dc.VmFolder)
	for _, o := range s.reg.All("ResourcePool") {
		if o.Entity().Parent.Type != "ResourcePool" {
			e.pool = o.Reference()
		}
	}
	for _, n := range dc.Network {
		e.networks[networkName(s.reg.Get(n))] = s.reg.Get(n)
	}
	e.furnish()
	return e, nil
}

func networkName(o mo.Reference) string {
	switch n := o.(type) {
	case *mo.Network:
		return n.Name
	case *simulator.DistributedVirtualPortgroup:
		return n.Name
	}
	return ""
}

// furnish gives the datastores the facts of real ones. The second one has a
// name that needs escaping in a URL.
func (e *estate) furnish() {
	for i, ds := range e.datastores {
		if i == 1 {
			ds.Name = "nfs tier 2"
			ds.Info.GetDatastoreInfo().Name = ds.Name
		}
		ds.Summary.Name = ds.Name
		ds.Summary.Type = []string{"VMFS", "NFS"}[min(i, 1)]
		ds.Summary.Capacity = 4 << 40
		ds.Summary.FreeSpace = 3 << 40
		ds.Summary.MultipleHostAccess = types.NewBool(len(e.hosts) > 1)
		ds.Info.GetDatastoreInfo().FreeSpace = ds.Summary.FreeSpace
	}
}

func (e *estate) datastore(name string) (*simulator.Datastore, error) {
	for _, ds := range e.datastores {
		if ds.Name == name || name == "" {
			return ds, nil
		}
	}
	return nil, fmt.Errorf("no datastore '%s'", name)
}

// folder makes the folders of a path like /prod/db. A bare host has none.
func (e *estate) folder(p string) (types.ManagedObjectReference, error) {
	p = strings.Trim(path.Clean("/"+p), "/")
	if p == "" || e.s.opt.esx {
		return e.root.Reference(), nil
	}
	if ref, ok := e.folders[p]; ok {
		return ref, nil
	}
	parent, err := e.folder(path.Dir(p))
	if path.Dir(p) == "." {
		parent, err = e.root.Reference(), nil
	}
	if err != nil {
		return parent, err
	}
	f, err := object.NewFolder(e.client, parent).CreateFolder(context.Background(), path.Base(p))
	if err != nil {
		return parent, fmt.Errorf("folder '%s': %w", p, err)
	}
	e.folders[p] = f.Reference()
	return f.Reference(), nil
}

// network finds a network or makes a port group of that name on every host.
func (e *estate) network(name string) (mo.Reference, error) {
	if n := e.networks[name]; n != nil {
		return n, nil
	}
	ctx := context.Background()
	for _, h := range e.hosts {
		ns := object.NewHostNetworkSystem(e.client, *h.ConfigManager.NetworkSystem)
		err := ns.AddPortGroup(ctx, types.HostPortGroupSpec{Name: name, VswitchName: "vSwitch0"})
		if err != nil && !strings.Contains(err.Error(), "DuplicateName") {
			if _, dup := faultOf(err).(*types.DuplicateName); !dup {
				return nil, fmt.Errorf("network '%s': %w", name, err)
			}
		}
	}
	for _, o := range e.s.reg.AllReference("Network") {
		if networkName(o) == name {
			e.networks[name] = o
			return o, nil
		}
	}
	return nil, fmt.Errorf("network '%s' was not made", name)
}

func nicBacking(n mo.Reference) types.BaseVirtualDeviceBackingInfo {
	if pg, ok := n.(*simulator.DistributedVirtualPortgroup); ok {
		b := &types.VirtualEthernetCardDistributedVirtualPortBackingInfo{}
		b.Port.PortgroupKey = pg.Key
		b.Port.PortKey = "8"
		return b
	}
	ref := n.Reference()
	b := &types.VirtualEthernetCardNetworkBackingInfo{Network: &ref}
	b.DeviceName = networkName(n)
	return b
}

// add makes one VM. Its disks' files exist already; fillers have none.
func (e *estate) add(spec *VMSpec, filler bool) (*VM, error) {
	s := e.s
	ds, err := e.datastore(spec.Datastore)
	if err != nil {
		return nil, err
	}
	folder, err := e.folder(spec.Folder)
	if err != nil {
		return nil, err
	}
	e.number++
	value := fmt.Sprintf("vm-%d", e.number)
	if s.opt.esx {
		value = fmt.Sprint(e.number - 40)
	}
	vm := &VM{ref: types.ManagedObjectReference{Type: "VirtualMachine", Value: value},
		name: spec.Name, spec: spec, filler: filler, cbtWant: spec.CBT, load: map[int32]*load{}, halted: spec.Power != "on"}
	if err := vm.openDisks(ds.Name); err != nil {
		return nil, err
	}
	host, err := e.host(spec.Host)
	if err != nil {
		return nil, err
	}
	obj := &simulator.VirtualMachine{DataSets: map[string]*simulator.DataSet{}}
	vm.obj = obj
	obj.Self = vm.ref
	obj.Name = escapeName(spec.Name)
	obj.ResourcePool = &e.pool
	obj.Datastore = []types.ManagedObjectReference{ds.Self}
	obj.Runtime = runtimeInfo(spec, host.Self)
	obj.Config = vm.configInfo(ds.Name)
	if err := e.addDevices(vm, ds.Self); err != nil {
		return nil, err
	}
	obj.Capability = types.VirtualMachineCapability{
		SnapshotOperationsSupported: true, MultipleSnapshotsSupported: true,
		PoweredOffSnapshotsSupported: true, MemorySnapshotsSupported: true,
		QuiescedSnapshotsSupported: true, DisableSnapshotsSupported: false,
		ChangeTrackingSupported:  spec.hardwareVersion() >= 7,
		ToolsAutoUpdateSupported: true, BootOptionsSupported: true,
	}
	for _, p := range hostParent(s.reg, host) {
		obj.EnvironmentBrowser = p
	}
	obj.Snapshot = nil
	vm.applyMachine(obj.Config)
	spec.applyRuntime(&obj.Runtime)
	s.setSummary(vm)
	ctx := s.context()
	s.setGuest(ctx, vm, spec.Power == "on")
	s.setStorage(vm)
	if spec.Power == "on" {
		vm.switchTracking()
		for _, dev := range obj.Config.Hardware.Device {
			if d := vm.disk(dev.GetVirtualDevice().Key); d != nil && d.cbt.active {
				setChangeID(dev, d.cbt.changeID(d.cbt.epoch))
			}
		}
	}
	e.register(vm, folder, host, ds)
	if spec.Question != "" {
		s.ask(ctx, vm, spec.Question)
	}
	vm.leftover = spec.Consolidate
	return vm, e.writeConfigFiles(vm, ds)
}

// host is the one of that name, or, without, the next in turn.
func (e *estate) host(name string) (*simulator.HostSystem, error) {
	for _, h := range e.hosts {
		if h.Name == name {
			return h, nil
		}
	}
	if name != "" {
		return nil, fmt.Errorf("no host '%s'", name)
	}
	return e.hosts[e.number%len(e.hosts)], nil
}

func hostParent(r *simulator.Registry, h *simulator.HostSystem) []types.ManagedObjectReference {
	switch p := r.Get(*h.Parent).(type) {
	case *simulator.ClusterComputeResource:
		return []types.ManagedObjectReference{*p.EnvironmentBrowser}
	case *mo.ComputeResource:
		return []types.ManagedObjectReference{*p.EnvironmentBrowser}
	}
	return nil
}

func (vm *VM) openDisks(ds string) error {
	dir := fileName(vm.name)
	for i, spec := range vm.spec.Disks {
		name := dir
		if i > 0 {
			name = fmt.Sprintf("%s_%d", dir, i)
		}
		d := &Disk{spec: spec, path: spec.Path, size: spec.Size,
			file: fmt.Sprintf("[%s] %s/%s.vmdk", ds, dir, name),
			uuid: stableUUID("6000c29", vm.name+fmt.Sprint(i))}
		d.uuid = "6000C29" + d.uuid[7:]
		if err := d.open(); err != nil {
			return fmt.Errorf("disk %d of '%s': %w", i, vm.name, err)
		}
		vm.disks = append(vm.disks, d)
	}
	return nil
}

// register links the VM into its parents, as vcsim does for its own.
func (e *estate) register(vm *VM, folder types.ManagedObjectReference, host *simulator.HostSystem, ds *simulator.Datastore) {
	r := e.s.reg
	f := r.Get(folder).(*simulator.Folder)
	f.ChildEntity = append(f.ChildEntity, vm.ref)
	r.PutEntity(f, vm.obj)
	host.Vm = append(host.Vm, vm.ref)
	ds.Vm = append(ds.Vm, vm.ref)
	if p, ok := r.Get(e.pool).(*simulator.ResourcePool); ok {
		p.Vm = append(p.Vm, vm.ref)
	}
	for _, n := range vm.obj.Network {
		switch o := r.Get(n).(type) {
		case *mo.Network:
			o.Vm = append(o.Vm, vm.ref)
		case *simulator.DistributedVirtualPortgroup:
			o.Vm = append(o.Vm, vm.ref)
		}
	}
	s := e.s
	s.mu.Lock()
	s.vms[vm.ref.Value] = vm
	s.order = append(s.order, vm)
	s.mu.Unlock()
}

func (e *estate) addDevices(vm *VM, ds types.ManagedObjectReference) error {
	on := vm.spec.Power == "on"
	devices := append(baseDevices(slices.Contains(vm.spec.Devices, "3d")), vm.storageDevices(ds)...)
	devices = append(devices, vm.spec.peripherals()...)
	for i, n := range vm.spec.NICs {
		net, err := e.network(n.Network)
		if err != nil {
			return err
		}
		mac := n.MAC
		if mac == "" {
			n := e.number*10 + i
			mac = fmt.Sprintf("00:50:56:%02x:%02x:%02x", 0x80|n>>16&0x3f, n>>8&0xff, n&0xff)
		}
		devices = append(devices, nicDevice(i, n, mac, on, nicBacking(net)))
		vm.obj.Network = append(vm.obj.Network, net.Reference())
	}
	vm.obj.Config.Hardware.Device = devices
	return nil
}

// writeConfigFiles puts the small files of a real VM into the datastore.
func (e *estate) writeConfigFiles(vm *VM, ds *simulator.Datastore) error {
	if vm.filler {
		return nil
	}
	dir := filepath.Join(ds.Summary.Url, fileName(vm.name))
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	vmx := fmt.Sprintf(".encoding = \"UTF-8\"\nvirtualHW.version = \"%d\"\ndisplayName = \"%s\"\nguestOS = \"%s\"\nfirmware = \"%s\"\n",
		vm.spec.hardwareVersion(), vm.name, vm.spec.GuestID, vm.spec.Firmware)
	base := filepath.Base(dir)
	for name, text := range map[string]string{base + ".vmx": vmx, base + ".nvram": string(make([]byte, nvramSize(vm.spec))), "vmware.log": ""} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			return err
		}
	}
	return nil
}

func nvramSize(spec *VMSpec) int {
	if spec.Firmware == "efi" {
		return 270840
	}
	return 8684
}

// escapeName is how vSphere stores the characters / \ % in a name.
func escapeName(n string) string {
	return strings.NewReplacer("%", "%25", "/", "%2f", "\\", "%5c").Replace(n)
}

func runtimeInfo(spec *VMSpec, host types.ManagedObjectReference) types.VirtualMachineRuntimeInfo {
	r := types.VirtualMachineRuntimeInfo{
		Host: &host, ConnectionState: types.VirtualMachineConnectionStateConnected,
		PowerState: poweredOff, FaultToleranceState: types.VirtualMachineFaultToleranceStateNotConfigured,
		MaxCpuUsage: 2294 * spec.CPUs, MaxMemoryUsage: spec.MemoryMB,
	}
	if spec.Power == "suspended" {
		r.PowerState = types.VirtualMachinePowerStateSuspended
	}
	if spec.Power == "on" {
		boot := time.Now().Add(-26 * time.Hour)
		r.PowerState, r.BootTime = poweredOn, &boot
	}
	return r
}
