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
func baseDevices(enable3D bool) []types.BaseVirtualDevice {
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
			VideoRamSizeInKB: 4096, NumDisplays: 1, UseAutoDetect: types.NewBool(false), Enable3DSupport: types.NewBool(enable3D)},
		&types.VirtualMachineVMCIDevice{VirtualDevice: dev(12000, 100, "VMCI device",
			"Device on the virtual machine PCI bus that provides support for the virtual machine communication interface"), Id: -1},
	}
}

// placement says where a controller kind keeps its things.
type placement struct {
	controller, firstDisk int32 // keys
	buses, units          int32
	scsi                  bool
	adapter               string
	typeName              string
	label, summary        string
}

var placements = map[string]placement{
	"pvscsi":   {1000, 2000, 4, 16, true, "lsilogic", "ParaVirtualSCSIController", "SCSI controller", "VMware paravirtual SCSI"},
	"lsilogic": {1000, 2000, 4, 16, true, "lsilogic", "VirtualLsiLogicController", "SCSI controller", "LSI Logic"},
	"lsisas":   {1000, 2000, 4, 16, true, "lsilogic", "VirtualLsiLogicSASController", "SCSI controller", "LSI Logic SAS"},
	"buslogic": {1000, 2000, 4, 16, true, "buslogic", "VirtualBusLogicController", "SCSI controller", "BusLogic"},
	"sata":     {15000, 16000, 4, 30, false, "lsilogic", "VirtualAHCIController", "SATA controller", "AHCI"},
	"nvme":     {31000, 32000, 4, 15, false, "lsilogic", "VirtualNVMEController", "NVME controller", "NVME Controller"},
	"ide":      {200, 3000, 1, 4, false, "ide", "VirtualIDEController", "IDE", ""},
}

// controllerDevice makes the controller of a kind. IDE is always there.
func controllerDevice(kind string, bus int32, shared string) types.BaseVirtualDevice {
	p := placements[kind]
	base := types.VirtualController{BusNumber: bus}
	base.Key, base.ControllerKey = p.controller+bus, 100
	base.DeviceInfo = description(fmt.Sprintf("%s %d", p.label, bus), p.summary)
	sharing := map[string]types.VirtualSCSISharing{"": types.VirtualSCSISharingNoSharing,
		"virtual": types.VirtualSCSISharingVirtualSharing, "physical": types.VirtualSCSISharingPhysicalSharing}
	scsi := types.VirtualSCSIController{VirtualController: base, HotAddRemove: types.NewBool(true),
		SharedBus: sharing[shared], ScsiCtlrUnitNumber: 7}
	switch kind {
	case "pvscsi":
		return &types.ParaVirtualSCSIController{VirtualSCSIController: scsi}
	case "lsilogic":
		return &types.VirtualLsiLogicController{VirtualSCSIController: scsi}
	case "lsisas":
		return &types.VirtualLsiLogicSASController{VirtualSCSIController: scsi}
	case "buslogic":
		return &types.VirtualBusLogicController{VirtualSCSIController: scsi}
	case "sata":
		return &types.VirtualAHCIController{VirtualSATAController: types.VirtualSATAController{VirtualController: base}}
	}
	return &types.VirtualNVMEController{VirtualController: base}
}

// scsiBuses numbers the SCSI controllers, whatever their kind, in the order of
// first use.
func scsiBuses(disks []*DiskSpec) map[string]int32 {
	buses := map[string]int32{}
	for _, d := range disks {
		group := fmt.Sprint(d.Controller, *d.Bus)
		if _, ok := buses[group]; !ok && isSCSI(d.Controller) {
			buses[group] = int32(len(buses))
		}
	}
	return buses
}

// address is a disk's place: controller key, bus, unit and device key.
func (d *DiskSpec) address(scsi map[string]int32) (controller, bus, unit, key int32) {
	p := placements[d.Controller]
	unit = *d.Unit
	if d.Controller == "ide" {
		return 200 + unit/2, unit / 2, unit % 2, p.firstDisk + unit
	}
	bus = *d.Bus
	if p.scsi {
		bus = scsi[fmt.Sprint(d.Controller, bus)]
	}
	return p.controller + bus, bus, unit, p.firstDisk + max(16, p.units)*bus + unit
}

// storageDevices makes the controllers that the disks and drives need, and the
// disks.
func (vm *VM) storageDevices(dsRef types.ManagedObjectReference) []types.BaseVirtualDevice {
	scsi := scsiBuses(vm.spec.Disks)
	controllers := map[int32]*types.VirtualController{}
	var out []types.BaseVirtualDevice
	attach := func(kind string, bus, controller, key int32) {
		if controllers[controller] == nil && kind != "ide" {
			shared := ""
			for _, d := range vm.spec.Disks {
				if c, _, _, _ := d.address(scsi); c == controller && d.SharedBus != "" {
					shared = d.SharedBus
				}
			}
			c := controllerDevice(kind, bus, shared)
			controllers[controller] = c.(types.BaseVirtualController).GetVirtualController()
			out = append(out, c)
		}
		if c := controllers[controller]; c != nil {
			c.Device = append(c.Device, key)
		}
	}
	for i, spec := range vm.spec.Disks {
		controller, bus, unit, key := spec.address(scsi)
		attach(spec.Controller, bus, controller, key)
		d := vm.disks[i]
		d.key, d.dsRef = key, dsRef
		d.label = fmt.Sprintf("/%s/%s%d:%d", vm.ref.Value, placements[spec.Controller].typeName, bus, unit)
		dev := &types.VirtualDisk{CapacityInKB: d.size / 1024, CapacityInBytes: d.size,
			DiskObjectId: fmt.Sprintf("%s-%d", strings.TrimPrefix(vm.ref.Value, "vm-"), key)}
		dev.Key, dev.ControllerKey, dev.UnitNumber = key, controller, &unit
		dev.DeviceInfo = description(fmt.Sprintf("Hard disk %d", i+1), fmt.Sprintf("%s KB", thousands(d.size/1024)))
		dev.Backing = d.baseBacking()
		out = append(out, dev)
	}
	for i, c := range vm.spec.CDROMs {
		controller, key := c.keys(i)
		attach(c.Controller, 0, controller, key)
		out = append(out, c.device(i, vm.spec.Power == "on", &dsRef))
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
func (d *Disk) baseBacking() types.BaseVirtualDeviceBackingInfo {
	file := types.VirtualDeviceFileBackingInfo{FileName: d.file}
	if d.spec.NoDatastore {
		_, file.FileName, _ = strings.Cut(d.file, "] ")
	} else if d.dsRef.Value != "" {
		ref := d.dsRef
		file.Datastore = &ref
	}
	sharing := string(types.VirtualDiskSharingSharingNone)
	if d.spec.Sharing == "multiwriter" {
		sharing = string(types.VirtualDiskSharingSharingMultiWriter)
	}
	if d.spec.RDM != "" {
		lun := "0200000000" + strings.ReplaceAll(d.uuid, "-", "") + "5669727475616c"
		return &types.VirtualDiskRawDiskMappingVer1BackingInfo{VirtualDeviceFileBackingInfo: file,
			LunUuid: lun, DeviceName: d.spec.RDMDevice, DiskMode: d.spec.Mode, Uuid: d.uuid, Sharing: sharing,
			CompatibilityMode: d.spec.RDM + "Mode"}
	}
	b := &types.VirtualDiskFlatVer2BackingInfo{
		VirtualDeviceFileBackingInfo: file,
		DiskMode:                     d.spec.Mode,
		ThinProvisioned:              types.NewBool(d.spec.thin()),
		EagerlyScrub:                 types.NewBool(false),
		Split:                        types.NewBool(false),
		WriteThrough:                 types.NewBool(false),
		DigestEnabled:                types.NewBool(false),
		Uuid:                         d.uuid,
		ContentId:                    strings.ReplaceAll(stableUUID("", d.file), "-", ""),
		Sharing:                      sharing,
	}
	if d.spec.Encrypted {
		b.KeyId = keyOf(d.file)
	}
	return b
}

// deltaBacking is a file over a parent's content.
func (d *Disk) deltaBacking(parent types.BaseVirtualDeviceBackingInfo, suffix string) types.BaseVirtualDeviceBackingInfo {
	switch b := d.baseBacking().(type) {
	case *types.VirtualDiskFlatVer2BackingInfo:
		b.FileName = strings.TrimSuffix(b.FileName, ".vmdk") + suffix
		b.Parent = parent.(*types.VirtualDiskFlatVer2BackingInfo)
		return b
	case *types.VirtualDiskRawDiskMappingVer1BackingInfo:
		b.FileName = strings.TrimSuffix(b.FileName, ".vmdk") + suffix
		b.Parent = parent.(*types.VirtualDiskRawDiskMappingVer1BackingInfo)
		return b
	}
	return nil
}

func setBackingChangeID(backing types.BaseVirtualDeviceBackingInfo, id string) {
	switch b := backing.(type) {
	case *types.VirtualDiskFlatVer2BackingInfo:
		b.ChangeId = id
	case *types.VirtualDiskRawDiskMappingVer1BackingInfo:
		b.ChangeId = id
	}
}

// keys are those of the controller and of drive i.
func (c *CDROMSpec) keys(i int) (controller, key int32) {
	if c.Controller == "ide" {
		return 200 + *c.Unit/2, 3000 + *c.Unit
	}
	return 15000, 16000 + *c.Unit
}

// device is drive i. One with an image is connected, unless told otherwise.
func (c *CDROMSpec) device(i int, on bool, ds *types.ManagedObjectReference) types.BaseVirtualDevice {
	unit := *c.Unit
	if c.Controller == "ide" {
		unit %= 2
	}
	d := &types.VirtualCdrom{}
	d.ControllerKey, d.Key = c.keys(i)
	d.UnitNumber = &unit
	connected := c.Kind == "iso"
	if c.Connected != nil {
		connected = *c.Connected
	}
	d.Connectable = &types.VirtualDeviceConnectInfo{AllowGuestControl: true,
		StartConnected: connected, Connected: connected && on, Status: "untried"}
	label := fmt.Sprintf("CD/DVD drive %d", i+1)
	switch c.Kind {
	case "iso":
		d.DeviceInfo = description(label, "ISO "+c.ISO)
		b := &types.VirtualCdromIsoBackingInfo{}
		b.FileName, b.Datastore = c.ISO, ds
		d.Backing = b
	case "empty": // an image was taken out
		d.DeviceInfo = description(label, "ISO []")
		d.Backing = &types.VirtualCdromIsoBackingInfo{VirtualDeviceFileBackingInfo: types.VirtualDeviceFileBackingInfo{FileName: "[]"}}
	case "host":
		d.DeviceInfo = description(label, "/vmfs/devices/cdrom/mpx.vmhba1:C0:T0:L0")
		d.Backing = &types.VirtualCdromAtapiBackingInfo{VirtualDeviceDeviceBackingInfo: types.VirtualDeviceDeviceBackingInfo{
			DeviceName: "/vmfs/devices/cdrom/mpx.vmhba1:C0:T0:L0"}}
	default:
		d.DeviceInfo = description(label, "Remote device")
		d.Backing = &types.VirtualCdromRemotePassthroughBackingInfo{}
	}
	return d
}

// exportName is the file name in a lease's URL.
func exportName(i int) string { return fmt.Sprintf("disk-%d.vmdk", i) }

// flatName is the extent file beside a descriptor.
func flatName(file string) string {
	return strings.TrimSuffix(path.Base(file), ".vmdk") + "-flat.vmdk"
}
