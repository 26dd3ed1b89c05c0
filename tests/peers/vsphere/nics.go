package main

import (
	"fmt"

	"github.com/vmware/govmomi/vim25/types"
)

// nicModels make a card of each model.
var nicModels = map[string]func(types.VirtualEthernetCard) types.BaseVirtualDevice{
	"vmxnet3": func(c types.VirtualEthernetCard) types.BaseVirtualDevice {
		return &types.VirtualVmxnet3{VirtualVmxnet: types.VirtualVmxnet{VirtualEthernetCard: c}}
	},
	"vmxnet3vrdma": func(c types.VirtualEthernetCard) types.BaseVirtualDevice {
		return &types.VirtualVmxnet3Vrdma{VirtualVmxnet3: types.VirtualVmxnet3{VirtualVmxnet: types.VirtualVmxnet{VirtualEthernetCard: c}}}
	},
	"vmxnet2": func(c types.VirtualEthernetCard) types.BaseVirtualDevice {
		return &types.VirtualVmxnet2{VirtualVmxnet: types.VirtualVmxnet{VirtualEthernetCard: c}}
	},
	"vmxnet": func(c types.VirtualEthernetCard) types.BaseVirtualDevice {
		return &types.VirtualVmxnet{VirtualEthernetCard: c}
	},
	"e1000e": func(c types.VirtualEthernetCard) types.BaseVirtualDevice {
		return &types.VirtualE1000e{VirtualEthernetCard: c}
	},
	"e1000": func(c types.VirtualEthernetCard) types.BaseVirtualDevice {
		return &types.VirtualE1000{VirtualEthernetCard: c}
	},
	"pcnet32": func(c types.VirtualEthernetCard) types.BaseVirtualDevice {
		return &types.VirtualPCNet32{VirtualEthernetCard: c}
	},
	"sriov": func(c types.VirtualEthernetCard) types.BaseVirtualDevice {
		return &types.VirtualSriovEthernetCard{VirtualEthernetCard: c, AllowGuestOSMtuChange: types.NewBool(false),
			SriovBacking: &types.VirtualSriovEthernetCardSriovBackingInfo{
				PhysicalFunctionBacking: &types.VirtualPCIPassthroughDeviceBackingInfo{Id: "0000:3b:00.0", DeviceId: "1572",
					SystemId: "sim-host", VendorId: -32634}}}
	},
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
	start := connected
	if n.Start != nil {
		start = *n.Start
	}
	card.Connectable = &types.VirtualDeviceConnectInfo{MigrateConnect: "unset", StartConnected: start,
		AllowGuestControl: true, Connected: connected && on, Status: "ok"}
	card.DeviceInfo = description(fmt.Sprintf("Network adapter %d", i+1), n.Network)
	card.Backing = backing
	return nicModels[n.Model](card)
}
