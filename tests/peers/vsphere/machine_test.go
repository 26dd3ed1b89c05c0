package main

import (
	"fmt"
	"strings"
	"testing"

	"github.com/vmware/govmomi/object"
	"github.com/vmware/govmomi/vim25/methods"
	"github.com/vmware/govmomi/vim25/mo"
	"github.com/vmware/govmomi/vim25/types"
)

func limit(n int64) *int64 { return &n }

// TestMachine wants everything that a specification can say to be seen.
func TestMachine(t *testing.T) {
	localhost := "localhost.localdomain"
	b := newBench(t, func(o *Options, v *VMSpec) {
		v.Firmware, v.VTPM, v.NestedHV, v.CPUHotAdd, v.CPUHotRemove, v.MemoryHotAdd = "efi", true, true, true, true, true
		v.CPU = &AllocationSpec{Reservation: 1000, Limit: limit(4000), Level: "custom", Shares: 1234}
		v.Memory = &AllocationSpec{Reservation: 512, Level: "high"}
		v.CPUAffinity, v.NUMAAffinity, v.Latency, v.EVCMode, v.MemoryLocked = []int32{0, 2}, "0,1", "high", "intel-skylake", true
		v.FT, v.Connection, v.HostName, v.ToolsVersion = true, "inaccessible", &localhost, "outdated"
		v.CDROMs = []CDROMSpec{{ISO: "[LocalDS_0] iso/a.iso"}, {Kind: "empty", Controller: "sata"}, {Kind: "host"}}
		for _, kind := range []string{"pci", "vgpu", "usb-ehci", "usb-xhci", "usb", "serial", "parallel", "floppy", "floppy-empty", "sound", "nvdimm", "watchdog", "3d"} {
			v.Devices = append(v.Devices, kind)
		}
		v.BootOrder = []string{"cdrom", "disk:1", "nic:0"}
		v.GuestDisks = []GuestDiskSpec{{Path: "C:\\", Capacity: 1 << 30, Free: 1 << 20, Type: "NTFS"}}
		v.NICs = []NICSpec{{Model: "sriov", Gateway4: "192.0.2.1", Gateway6: "fe80::1",
			Addresses: []AddressSpec{{IP: "192.0.2.7", Prefix: 24, Origin: "manual"}, {IP: "2001:db8::7", Prefix: 64, Origin: "random"}}},
			{Model: "pcnet32", Addresses: []AddressSpec{}}}
		v.DNS, v.Search = []string{"192.0.2.53"}, []string{"example.org"}
		v.Disks = append(v.Disks, &DiskSpec{Size: 1 << 20, RDM: "physical", RDMDevice: "naa.6001"},
			&DiskSpec{Size: 1 << 20, Sharing: "multiwriter", Encrypted: true, Controller: "lsisas", SharedBus: "physical"})
	})
	var m mo.VirtualMachine
	b.props(b.vm().Reference(), &m, "config", "runtime", "guest")
	c := m.Config
	if *c.CpuAllocation.Reservation != 1000 || *c.CpuAllocation.Limit != 4000 || c.CpuAllocation.Shares.Shares != 1234 ||
		*c.MemoryAllocation.Limit != -1 || c.MemoryAllocation.Shares.Level != "high" || c.MemoryAllocation.Shares.Shares != 20*2048 {
		t.Errorf("allocations: %+v %+v", c.CpuAllocation, c.MemoryAllocation)
	}
	if len(c.CpuAffinity.AffinitySet) != 2 || c.LatencySensitivity.Level != "high" || !*c.MemoryReservationLockedToMax || c.KeyId == nil ||
		!*c.CpuHotRemoveEnabled || !*c.NestedHVEnabled || len(c.BootOptions.BootOrder) != 3 {
		t.Errorf("config: %+v", c)
	}
	if b := c.BootOptions.BootOrder[1].(*types.VirtualMachineBootOptionsBootableDiskDevice); b.DeviceKey != 16000 {
		t.Errorf("boot order: %+v", b)
	}
	r := m.Runtime
	if r.FaultToleranceState != "running" || r.ConnectionState != "inaccessible" || r.MinRequiredEVCModeKey != "intel-skylake" {
		t.Errorf("runtime: %+v", r)
	}
	g := m.Guest
	route := g.IpStack[0].IpRouteConfig.IpRoute
	if g.HostName != localhost || g.ToolsVersionStatus2 != "guestToolsSupportedOld" || len(g.Disk) != 1 || len(g.Net) != 2 ||
		g.Net[0].IpConfig.IpAddress[0].Origin != "manual" || len(g.Net[1].IpAddress) != 0 || len(route) != 2 ||
		route[1].Network != "::" || route[1].Gateway.Device != "0" || g.IpStack[0].DnsConfig.IpAddress[0] != "192.0.2.53" {
		t.Errorf("guest: %+v", g)
	}
	seen := map[string]string{}
	keys := map[int32]bool{}
	for _, dev := range c.Hardware.Device {
		d := dev.GetVirtualDevice()
		if keys[d.Key] {
			t.Errorf("the key %d is there twice", d.Key)
		}
		keys[d.Key] = true
		seen[strings.TrimPrefix(fmt.Sprintf("%T", dev), "*types.")] += fmt.Sprintf("%T ", d.Backing)
	}
	for _, want := range []string{"VirtualPCIPassthrough", "VirtualUSBController", "VirtualUSBXHCIController", "VirtualUSB",
		"VirtualSerialPort", "VirtualParallelPort", "VirtualFloppy", "VirtualHdAudioCard", "VirtualNVDIMM", "VirtualWDT", "VirtualTPM",
		"VirtualSriovEthernetCard", "VirtualPCNet32", "VirtualLsiLogicSASController"} {
		if _, ok := seen[want]; !ok {
			t.Errorf("no %s", want)
		}
	}
	if !strings.Contains(seen["VirtualDisk"], "RawDiskMappingVer1") || !strings.Contains(seen["VirtualCdrom"], "AtapiBacking") {
		t.Errorf("backings: %v", seen)
	}
	key := `config.extraConfig["numa.nodeAffinity"]`
	res, err := methods.RetrieveProperties(b.ctx, b.c.Client, &types.RetrieveProperties{This: b.c.ServiceContent.PropertyCollector,
		SpecSet: []types.PropertyFilterSpec{{PropSet: []types.PropertySpec{{Type: "VirtualMachine", PathSet: []string{key}}},
			ObjectSet: objectSpecs([]types.ManagedObjectReference{b.vm().Reference()})}}})
	b.must(err)
	if p := res.Returnval[0].PropSet; len(p) != 1 || p[0].Name != key || p[0].Val.(types.OptionValue).Value != "0,1" {
		t.Errorf("by key: %+v", p)
	}
}

// TestManyDisks wants a controller more when one is full, and 60 keys.
func TestManyDisks(t *testing.T) {
	b := newBench(t, func(o *Options, v *VMSpec) {
		v.Disks, v.CDROMs, v.NICs = nil, []CDROMSpec{}, nil
		for i := 0; i < 60; i++ {
			v.Disks = append(v.Disks, &DiskSpec{Size: 1 << 20})
		}
	})
	keys := map[int32]bool{}
	controllers := map[int32]int{}
	for _, d := range b.virtualDisks(b.vm().Reference()) {
		keys[d.Key] = true
		controllers[d.ControllerKey]++
		if *d.UnitNumber == 7 {
			t.Errorf("disk %d has the controller's unit", d.Key)
		}
	}
	if len(keys) != 60 || len(controllers) != 4 || controllers[1003] != 15 {
		t.Errorf("%d keys, controllers %v", len(keys), controllers)
	}
	var m mo.VirtualMachine
	b.props(b.vm().Reference(), &m, "config.hardware.device")
	if l := object.VirtualDeviceList(m.Config.Hardware.Device).SelectByType((*types.VirtualCdrom)(nil)); len(l) != 0 {
		t.Errorf("drives: %v", l)
	}
}

// TestRawDevices wants virtual ones in snapshots, and physical ones outside.
func TestRawDevices(t *testing.T) {
	b := newBench(t, func(o *Options, v *VMSpec) { v.Disks[0].RDM, v.Disks[1].RDM = "virtual", "physical" })
	b.snapshot(false)
	disks := b.virtualDisks(b.vm().Reference())
	one := disks[0].Backing.(*types.VirtualDiskRawDiskMappingVer1BackingInfo)
	two := disks[1].Backing.(*types.VirtualDiskRawDiskMappingVer1BackingInfo)
	if one.Parent == nil || one.ChangeId == "" || one.CompatibilityMode != "virtualMode" || two.Parent != nil {
		t.Errorf("%+v %+v", one, two)
	}
}

func TestSuspendedAndAsking(t *testing.T) {
	b := newBench(t, func(o *Options, v *VMSpec) {
		v.Power, v.Question, v.Consolidate = "suspended", "moved or copied?", true
	})
	var m mo.VirtualMachine
	b.props(b.vm().Reference(), &m, "runtime", "guest")
	if m.Runtime.PowerState != "suspended" || m.Runtime.Question.Text != "moved or copied?" || !m.Runtime.ConsolidationNeeded || m.Guest.ToolsRunningStatus != "guestToolsNotRunning" {
		t.Errorf("%+v", m.Runtime)
	}
}
