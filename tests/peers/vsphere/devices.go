package main

import (
	"crypto/sha1"
	"fmt"
	"path"
	"strings"

	"github.com/vmware/govmomi/vim25/types"
)

// stableUUID derives a UUID from a name; prefix overwrites its beginning.
func stableUUID(prefix, name string) string {
	h := fmt.Sprintf("%x", sha1.Sum([]byte(name)))
	h = prefix + h[len(prefix):32]
	return strings.Join([]string{h[0:8], h[8:12], h[12:16], h[16:20], h[20:32]}, "-")
}

func description(label, summary string) *types.Description {
	return &types.Description{Label: label, Summary: summary}
}

// baseDevices are what every VM has, with the keys of a real one.
func baseDevices() []types.BaseVirtualDevice {
	dev := func(key, controller int32, label, summary string) types.VirtualDevice {
		return types.VirtualDevice{Key: key, ControllerKey: controller, DeviceInfo: description(label, summary)}
	}
	return []types.BaseVirtualDevice{
		&types.VirtualIDEController{VirtualController: types.VirtualController{VirtualDevice: dev(200, 0, "IDE 0", "IDE 0")}},
		&types.VirtualIDEController{VirtualController: types.VirtualController{VirtualDevice: dev(201, 0, "IDE 1", "IDE 1"), BusNumber: 1}},
		&types.VirtualPS2Controller{VirtualController: types.VirtualController{VirtualDevice: dev(300, 0, "PS2 controller 0", "PS2 controller 0"), Device: []int32{600, 700}}},
		&types.VirtualPCIController{VirtualController: types.VirtualController{VirtualDevice: dev(100, 0, "PCI controller 0", "PCI controller 0"), Device: []int32{500, 12000}}},
		&types.VirtualSIOController{VirtualController: types.VirtualController{VirtualDevice: dev(400, 0, "SIO controller 0", "SIO controller 0")}},
		&types.VirtualKeyboard{VirtualDevice: dev(600, 300, "Keyboard", "Keyboard")},
		&types.VirtualPointingDevice{VirtualDevice: dev(700, 300, "Pointing device", "Pointing device; Device")},
		&types.VirtualMachineVideoCard{VirtualDevice: dev(500, 100, "Video card", "Video card"),
			VideoRamSizeInKB: 4096, NumDisplays: 1, UseAutoDetect: types.NewBool(false)},
		&types.VirtualMachineVMCIDevice{VirtualDevice: dev(12000, 100, "VMCI device",
			"Device on the virtual machine PCI bus that provides support for the virtual machine communication interface"), Id: -1},
	}
}

// placement says where a controller kind keeps its things.
type placement struct {
	controller, firstDisk int32
	adapter               string
	typeName              string
}

var placements = map[string]placement{
	"pvscsi":   {1000, 2000, "lsilogic", "ParaVirtualSCSIController"},
	"lsilogic": {1001, 2016, "lsilogic", "VirtualLsiLogicController"},
	"sata":     {15000, 16000, "lsilogic", "VirtualAHCIController"},
	"nvme":     {31000, 32000, "lsilogic", "VirtualNVMEController"},
	"ide":      {200, 3000, "ide", "VirtualIDEController"},
}

// controllerDevice makes the controller of a kind. IDE is always there.
func controllerDevice(kind string, bus int32) types.BaseVirtualDevice {
	p := placements[kind]
	base := types.VirtualController{BusNumber: bus}
	base.Key, base.ControllerKey = p.controller, 100
	label := map[string]string{"pvscsi": "SCSI controller", "lsilogic": "SCSI controller",
		"sata": "SATA controller", "nvme": "NVME controller"}[kind]
	summary := map[string]string{"pvscsi": "VMware paravirtual SCSI", "lsilogic": "LSI Logic",
		"sata": "AHCI", "nvme": "NVME Controller"}[kind]
	base.DeviceInfo = description(fmt.Sprintf("%s %d", label, bus), summary)
	scsi := types.VirtualSCSIController{VirtualController: base, HotAddRemove: types.NewBool(true),
		SharedBus: types.VirtualSCSISharingNoSharing, ScsiCtlrUnitNumber: 7}
	switch kind {
	case "pvscsi":
		return &types.ParaVirtualSCSIController{VirtualSCSIController: scsi}
	case "lsilogic":
		return &types.VirtualLsiLogicController{VirtualSCSIController: scsi}
	case "sata":
		return &types.VirtualAHCIController{VirtualSATAController: types.VirtualSATAController{VirtualController: base}}
	case "nvme":
		return &types.VirtualNVMEController{VirtualController: base}
	}
	return nil
}

// address is a disk's place: controller key, bus, unit and device key.
func (d *DiskSpec) address(scsiBus map[string]int32) (controller, bus, unit, key int32) {
	p := placements[d.Controller]
	unit = *d.Unit
	if d.Controller == "ide" {
		return 200 + unit/2, unit / 2, unit % 2, p.firstDisk + unit
	}
	bus = scsiBus[d.Controller]
	controller, key = p.controller, p.firstDisk+unit
	if d.Controller == "pvscsi" || d.Controller == "lsilogic" {
		controller, key = 1000+bus, 2000+16*bus+unit
	}
	return controller, bus, unit, key
}

// storageDevices makes the controllers that the disks need, and the disks.
// SCSI controllers are numbered in the order of first use.
func (vm *VM) storageDevices(dsRef types.ManagedObjectReference) []types.BaseVirtualDevice {
	scsiBus := map[string]int32{}
	controllers := map[int32]*types.VirtualController{}
	var out []types.BaseVirtualDevice
	buses := int32(0)
	for i, spec := range vm.spec.Disks {
		kind := spec.Controller
		if _, ok := scsiBus[kind]; !ok && kind != "ide" {
			bus := int32(0)
			if kind == "pvscsi" || kind == "lsilogic" {
				bus = buses
				buses++
			}
			scsiBus[kind] = bus
			c := controllerDevice(kind, bus)
			vc := c.(types.BaseVirtualController).GetVirtualController()
			if kind == "pvscsi" || kind == "lsilogic" {
				vc.Key = 1000 + bus
			}
			controllers[vc.Key] = vc
			out = append(out, c)
		}
		controller, bus, unit, key := spec.address(scsiBus)
		if c := controllers[controller]; c != nil {
			c.Device = append(c.Device, key)
		}
		d := vm.disks[i]
		d.key = key
		d.label = fmt.Sprintf("/%s/%s%d:%d", vm.ref.Value, placements[kind].typeName, bus, unit)
		dev := &types.VirtualDisk{CapacityInKB: d.size / 1024, CapacityInBytes: d.size,
			DiskObjectId: fmt.Sprintf("%s-%d", strings.TrimPrefix(vm.ref.Value, "vm-"), key)}
		dev.Key, dev.ControllerKey, dev.UnitNumber = key, controller, &unit
		dev.DeviceInfo = description(fmt.Sprintf("Hard disk %d", i+1), fmt.Sprintf("%s KB", thousands(d.size/1024)))
		b := d.baseBacking()
		b.Datastore = &dsRef
		d.dsRef = dsRef
		dev.Backing = b
		out = append(out, dev)
	}
	return out
}

func thousands(n int64) string {
	s := fmt.Sprint(n)
	for i := len(s) - 3; i > 0; i -= 3 {
		s = s[:i] + "," + s[i:]
	}
	return s
}

// baseBacking is the disk as it is without snapshots.
func (d *Disk) baseBacking() *types.VirtualDiskFlatVer2BackingInfo {
	b := &types.VirtualDiskFlatVer2BackingInfo{
		DiskMode:        d.spec.Mode,
		ThinProvisioned: types.NewBool(d.spec.thin()),
		EagerlyScrub:    types.NewBool(false),
		Split:           types.NewBool(false),
		WriteThrough:    types.NewBool(false),
		DigestEnabled:   types.NewBool(false),
		Uuid:            d.uuid,
		ContentId:       strings.ReplaceAll(stableUUID("", d.file), "-", ""),
		Sharing:         string(types.VirtualDiskSharingSharingNone),
	}
	b.FileName = d.file
	if d.dsRef.Value != "" {
		ref := d.dsRef
		b.Datastore = &ref
	}
	return b
}

// cdrom is a CD-ROM drive on IDE 1; with an image it is connected.
func cdromDevice(iso string, on bool, ds *types.ManagedObjectReference) types.BaseVirtualDevice {
	unit := int32(0)
	c := &types.VirtualCdrom{}
	c.Key, c.ControllerKey, c.UnitNumber = 3002, 201, &unit
	c.Connectable = &types.VirtualDeviceConnectInfo{AllowGuestControl: true,
		StartConnected: iso != "", Connected: iso != "" && on, Status: "untried"}
	if iso == "" {
		c.DeviceInfo = description("CD/DVD drive 1", "Remote device")
		c.Backing = &types.VirtualCdromRemotePassthroughBackingInfo{}
		return c
	}
	c.DeviceInfo = description("CD/DVD drive 1", "ISO "+iso)
	b := &types.VirtualCdromIsoBackingInfo{}
	b.FileName, b.Datastore = iso, ds
	c.Backing = b
	return c
}

// nicDevice is network card i, keys 4000 and up, PCI slots from 7.
func nicDevice(i int, n NICSpec, mac string, on bool, backing types.BaseVirtualDeviceBackingInfo) types.BaseVirtualDevice {
	card := types.VirtualEthernetCard{MacAddress: mac, AddressType: "assigned",
		WakeOnLanEnabled: types.NewBool(true), UptCompatibilityEnabled: types.NewBool(false)}
	if n.MAC != "" {
		card.AddressType = "manual"
	}
	unit := int32(7 + i)
	card.Key, card.ControllerKey, card.UnitNumber = 4000+int32(i), 100, &unit
	connected := n.Connected == nil || *n.Connected
	card.Connectable = &types.VirtualDeviceConnectInfo{MigrateConnect: "unset", StartConnected: connected,
		AllowGuestControl: true, Connected: connected && on, Status: "ok"}
	card.DeviceInfo = description(fmt.Sprintf("Network adapter %d", i+1), n.Network)
	card.Backing = backing
	switch n.Model {
	case "e1000e":
		return &types.VirtualE1000e{VirtualEthernetCard: card}
	case "e1000":
		return &types.VirtualE1000{VirtualEthernetCard: card}
	}
	return &types.VirtualVmxnet3{VirtualVmxnet: types.VirtualVmxnet{VirtualEthernetCard: card}}
}

// exportName is the file name in a lease's URL.
func exportName(i int) string { return fmt.Sprintf("disk-%d.vmdk", i) }

// flatName is the extent file beside a descriptor.
func flatName(file string) string {
	return strings.TrimSuffix(path.Base(file), ".vmdk") + "-flat.vmdk"
}
