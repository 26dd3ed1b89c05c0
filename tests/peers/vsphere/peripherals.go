package main

import (
	"fmt"

	"github.com/vmware/govmomi/vim25/types"
)

// peripheralKinds are the entries of `devices`: what makes one, its key and
// its label without number. Keys are those of a real vSphere.
var peripheralKinds = map[string]*struct {
	key   int32
	label string
	make  func(base types.VirtualDevice) types.BaseVirtualDevice
}{
	"pci": {13000, "PCI device", func(d types.VirtualDevice) types.BaseVirtualDevice {
		d.Backing = &types.VirtualPCIPassthroughDeviceBackingInfo{Id: "0000:5e:00.0", DeviceId: "1db6", SystemId: "sim-host", VendorId: 4318}
		return &types.VirtualPCIPassthrough{VirtualDevice: d}
	}},
	"vgpu": {13000, "PCI device", func(d types.VirtualDevice) types.BaseVirtualDevice {
		d.Backing = &types.VirtualPCIPassthroughVmiopBackingInfo{Vgpu: "grid_t4-4q"}
		return &types.VirtualPCIPassthrough{VirtualDevice: d}
	}},
	"usb-ehci": {7000, "USB controller", func(d types.VirtualDevice) types.BaseVirtualDevice {
		return &types.VirtualUSBController{VirtualController: types.VirtualController{VirtualDevice: d}, EhciEnabled: types.NewBool(true)}
	}},
	"usb-xhci": {14000, "USB xHCI controller", func(d types.VirtualDevice) types.BaseVirtualDevice {
		return &types.VirtualUSBXHCIController{VirtualController: types.VirtualController{VirtualDevice: d}}
	}},
	"usb": {8000, "USB", func(d types.VirtualDevice) types.BaseVirtualDevice {
		d.ControllerKey = 14000
		d.Backing = &types.VirtualUSBUSBBackingInfo{VirtualDeviceDeviceBackingInfo: types.VirtualDeviceDeviceBackingInfo{DeviceName: "path:1/0/3"}}
		return &types.VirtualUSB{VirtualDevice: d, Connected: true, Vendor: 1133, Product: 2109}
	}},
	"serial": {9000, "Serial port", func(d types.VirtualDevice) types.BaseVirtualDevice {
		d.ControllerKey = 400
		d.Backing = &types.VirtualSerialPortURIBackingInfo{VirtualDeviceURIBackingInfo: types.VirtualDeviceURIBackingInfo{
			ServiceURI: "telnet://:7001", Direction: "server"}}
		return &types.VirtualSerialPort{VirtualDevice: d, YieldOnPoll: true}
	}},
	"parallel": {10000, "Parallel port", func(d types.VirtualDevice) types.BaseVirtualDevice {
		d.ControllerKey = 400
		d.Backing = &types.VirtualParallelPortDeviceBackingInfo{VirtualDeviceDeviceBackingInfo: types.VirtualDeviceDeviceBackingInfo{DeviceName: "/dev/parport0"}}
		return &types.VirtualParallelPort{VirtualDevice: d}
	}},
	"floppy": {8500, "Floppy drive", func(d types.VirtualDevice) types.BaseVirtualDevice {
		d.ControllerKey = 400
		d.Backing = &types.VirtualFloppyImageBackingInfo{VirtualDeviceFileBackingInfo: types.VirtualDeviceFileBackingInfo{FileName: "[LocalDS_0] floppy/boot.flp"}}
		return &types.VirtualFloppy{VirtualDevice: d}
	}},
	"floppy-empty": {8500, "Floppy drive", func(d types.VirtualDevice) types.BaseVirtualDevice {
		d.ControllerKey = 400
		d.Backing = &types.VirtualFloppyRemoteDeviceBackingInfo{}
		return &types.VirtualFloppy{VirtualDevice: d}
	}},
	"sound": {5000, "Sound card", func(d types.VirtualDevice) types.BaseVirtualDevice {
		return &types.VirtualHdAudioCard{VirtualSoundCard: types.VirtualSoundCard{VirtualDevice: d}}
	}},
	"nvdimm": {30000, "NVDIMM", func(d types.VirtualDevice) types.BaseVirtualDevice {
		d.ControllerKey = 29000
		return &types.VirtualNVDIMM{VirtualDevice: d, CapacityInMB: 1024}
	}},
	"watchdog": {18000, "Watchdog Timer", func(d types.VirtualDevice) types.BaseVirtualDevice {
		return &types.VirtualWDT{VirtualDevice: d, RunOnBoot: true}
	}},
	"3d": {}, // of the video card that every VM has
}

// peripherals makes the devices that the specification lists, and the TPM.
func (v *VMSpec) peripherals() []types.BaseVirtualDevice {
	var out []types.BaseVirtualDevice
	count := map[string]int32{}
	for _, name := range v.Devices {
		kind := peripheralKinds[name]
		if kind.make == nil {
			continue
		}
		n := count[kind.label]
		count[kind.label]++
		d := types.VirtualDevice{Key: kind.key + n, ControllerKey: 100}
		d.DeviceInfo = description(fmt.Sprintf("%s %d", kind.label, n+1), kind.label)
		out = append(out, kind.make(d))
	}
	if v.VTPM {
		out = append(out, &types.VirtualTPM{VirtualDevice: types.VirtualDevice{Key: 11000, ControllerKey: 100,
			DeviceInfo: description("Virtual TPM", "Trusted Platform Module")}})
	}
	return out
}
