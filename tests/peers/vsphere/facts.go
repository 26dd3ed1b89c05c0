package main

import (
	"fmt"
	"path"
	"strings"
	"time"

	"github.com/vmware/govmomi/simulator"
	"github.com/vmware/govmomi/vim25/soap"
	"github.com/vmware/govmomi/vim25/types"
)

func (vm *VM) configInfo(ds string) *types.VirtualMachineConfigInfo {
	v := vm.spec
	dir := fmt.Sprintf("[%s] %s", ds, fileName(vm.name))
	made := time.Now().Add(-400 * 24 * time.Hour)
	rs := types.DefaultResourceConfigSpec()
	cores := v.CoresPerSocket
	return &types.VirtualMachineConfigInfo{
		ChangeVersion: made.UTC().Format("2006-01-02T15:04:05.000000Z"),
		Modified:      made, CreateDate: &made,
		Name: escapeName(v.Name), GuestFullName: guestName(v.GuestID), GuestId: v.GuestID,
		Version: v.Hardware, Annotation: v.Notes, Firmware: v.Firmware,
		Uuid: stableUUID("4232", v.Name), InstanceUuid: stableUUID("5032", v.Name),
		NpivTemporaryDisabled: types.NewBool(true),
		ChangeTrackingEnabled: types.NewBool(v.CBT),
		Files: types.VirtualMachineFileInfo{
			VmPathName:        fmt.Sprintf("%s/%s.vmx", dir, path.Base(dir)),
			SnapshotDirectory: dir + "/", SuspendDirectory: dir + "/", LogDirectory: dir + "/",
		},
		Tools: &types.ToolsConfigInfo{ToolsVersion: 12389, AfterPowerOn: types.NewBool(true),
			AfterResume: types.NewBool(true), BeforeGuestStandby: types.NewBool(true),
			BeforeGuestShutdown: types.NewBool(true), ToolsUpgradePolicy: "manual"},
		Flags: types.VirtualMachineFlagInfo{DisableAcceleration: types.NewBool(false), EnableLogging: types.NewBool(true)},
		BootOptions: &types.VirtualMachineBootOptions{EnterBIOSSetup: types.NewBool(false),
			EfiSecureBootEnabled: types.NewBool(v.SecureBoot), NetworkBootProtocol: "ipv4"},
		Hardware: types.VirtualHardware{NumCPU: v.CPUs, NumCoresPerSocket: &cores, MemoryMB: v.MemoryMB,
			VirtualICH7MPresent: types.NewBool(false), VirtualSMCPresent: types.NewBool(false)},
		CpuAllocation: &rs.CpuAllocation, MemoryAllocation: &rs.MemoryAllocation,
		LatencySensitivity: &types.LatencySensitivity{Level: types.LatencySensitivitySensitivityLevelNormal},
		CpuHotAddEnabled:   types.NewBool(false), MemoryHotAddEnabled: types.NewBool(false),
		SwapPlacement: "inherit",
		ExtraConfig: []types.BaseOptionValue{
			&types.OptionValue{Key: "nvram", Value: path.Base(dir) + ".nvram"},
			&types.OptionValue{Key: "ctkEnabled", Value: fmt.Sprint(v.CBT)},
			&types.OptionValue{Key: "disk.EnableUUID", Value: "TRUE"},
		},
	}
}

func (s *Sim) setSummary(vm *VM) {
	o, c := vm.obj, vm.obj.Config
	o.Summary.Vm = &vm.ref
	o.Summary.Runtime = o.Runtime
	o.Summary.OverallStatus = types.ManagedEntityStatusGreen
	o.Summary.Config = types.VirtualMachineConfigSummary{
		Name: c.Name, VmPathName: c.Files.VmPathName, MemorySizeMB: c.Hardware.MemoryMB,
		NumCpu: c.Hardware.NumCPU, NumEthernetCards: int32(len(vm.spec.NICs)),
		NumVirtualDisks: int32(len(vm.diskList())), Uuid: c.Uuid, InstanceUuid: c.InstanceUuid,
		GuestId: c.GuestId, GuestFullName: c.GuestFullName, Annotation: c.Annotation,
		HwVersion: c.Version,
	}
	if !s.opt.esx {
		o.AvailableField = simulator.GetCustomFieldsAvailable(s.context(), &vm.ref)
		byName := map[string]int32{}
		for _, f := range o.AvailableField {
			byName[f.Name] = f.Key
		}
		for name, value := range vm.spec.Attributes {
			v := &types.CustomFieldStringValue{Value: value}
			v.Key = byName[name]
			o.Value = append(o.Value, v)
			o.CustomValue = append(o.CustomValue, v)
			o.Summary.CustomValue = append(o.Summary.CustomValue, v)
		}
	}
}

// setStorage computes the space a VM takes. The caller holds the VM's lock,
// except before the VM is registered.
func (s *Sim) setStorage(vm *VM) {
	defer func() {
		if s.pages != nil {
			s.pages.touch(vm.ref)
		}
	}()
	now := time.Now()
	o := vm.obj
	const small = 300 << 10 // .vmx, .nvram, logs
	use := types.VirtualMachineUsageOnDatastore{Datastore: o.Datastore[0], Committed: small, Unshared: small}
	ex := &types.VirtualMachineFileLayoutEx{Timestamp: now}
	layout := &types.VirtualMachineFileLayout{}
	file := func(name, kind string, size int64) int32 {
		key := int32(len(ex.File))
		ex.File = append(ex.File, types.VirtualMachineFileLayoutExFileInfo{Key: key, Name: name, Type: kind,
			Size: size, UniqueSize: size, Accessible: types.NewBool(true)})
		return key
	}
	file(o.Config.Files.VmPathName, "config", 3277)
	for _, d := range vm.diskList() {
		taken := d.allocated()
		if d.path == "" {
			taken = d.spec.used
		}
		if !d.spec.thin() {
			taken = d.size
		}
		use.Committed += taken
		use.Unshared += taken
		use.Uncommitted += d.size - taken
		base := strings.TrimSuffix(d.file, ".vmdk")
		keys := []int32{file(d.file, "diskDescriptor", 572), file(base+"-flat.vmdk", "diskExtent", taken)}
		ex.Disk = append(ex.Disk, types.VirtualMachineFileLayoutExDiskLayout{Key: d.key,
			Chain: []types.VirtualMachineFileLayoutExDiskUnit{{FileKey: keys}}})
		layout.Disk = append(layout.Disk, types.VirtualMachineFileLayoutDiskLayout{Key: d.key, DiskFile: []string{d.file}})
	}
	if o.LayoutEx != nil {
		ex.Snapshot = o.LayoutEx.Snapshot
		layout.Snapshot = o.Layout.Snapshot
	}
	o.LayoutEx, o.Layout = ex, layout
	o.Storage = &types.VirtualMachineStorageInfo{Timestamp: now,
		PerDatastoreUsage: []types.VirtualMachineUsageOnDatastore{use}}
	o.Summary.Storage = &types.VirtualMachineStorageSummary{Timestamp: now,
		Committed: use.Committed, Uncommitted: use.Uncommitted, Unshared: use.Unshared}
}

// faultOf digs the vSphere fault out of a client's error, nil if none.
func faultOf(err error) types.BaseMethodFault {
	if soap.IsSoapFault(err) {
		f, _ := soap.ToSoapFault(err).VimFault().(types.BaseMethodFault)
		return f
	}
	if soap.IsVimFault(err) {
		f, _ := soap.ToVimFault(err).(types.BaseMethodFault)
		return f
	}
	return nil
}
