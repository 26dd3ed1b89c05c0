package main

import (
	"fmt"
	"strings"

	"github.com/vmware/govmomi/simulator"
	"github.com/vmware/govmomi/vim25/methods"
	"github.com/vmware/govmomi/vim25/soap"
	"github.com/vmware/govmomi/vim25/types"
)

// CIM resource types of an OVF item.
const (
	cimCPU    = 3
	cimMemory = 4
	cimIDE    = 5
	cimSCSI   = 6
	cimNIC    = 10
	cimCDROM  = 15
	cimDisk   = 17
	cimOther  = 20
)

// CreateDescriptor describes a VM. Without files it is a dry run, with the
// names that the lease would give.
func (x *ext) CreateDescriptor(ctx *simulator.Context, req *types.CreateDescriptor) soap.HasFault {
	body := new(methods.CreateDescriptorBody)
	vm := x.s.vmOf(req.Obj)
	if vm == nil {
		body.Fault_ = newFault(&types.ManagedObjectNotFound{Obj: req.Obj})
		return body
	}
	o := &ovfWriter{vm: vm, cdp: req.Cdp}
	ctx.WithLock(vm.obj, func() { o.document() })
	body.Res = &types.CreateDescriptorResponse{Returnval: types.OvfCreateDescriptorResult{
		OvfDescriptor: o.b.String(), IncludeImageFiles: types.NewBool(vm.spec.CDROM != ""),
	}}
	return body
}

type ovfWriter struct {
	b    strings.Builder
	vm   *VM
	cdp  types.OvfCreateDescriptorParams
	item int
	ids  map[int32]int // device key: InstanceID
}

func (o *ovfWriter) line(format string, args ...any) {
	for i, a := range args {
		if s, ok := a.(string); ok {
			args[i] = escape(s)
		}
	}
	fmt.Fprintf(&o.b, format+"\n", args...)
}

// file returns the href and size of disk i; listed is false when the caller
// gave files and this one is not among them.
func (o *ovfWriter) file(i int, d *Disk) (href string, size int64, listed bool) {
	if len(o.cdp.OvfFiles) == 0 {
		return exportName(i), 0, true
	}
	for _, f := range o.cdp.OvfFiles {
		if f.DeviceId == d.label {
			return f.Path, f.Size, true
		}
	}
	return "", 0, false
}

func (o *ovfWriter) document() {
	vm, c := o.vm, o.vm.obj.Config
	name := o.cdp.Name
	if name == "" {
		name = vm.name
	}
	o.ids = map[int32]int{}
	o.line(`<?xml version="1.0" encoding="UTF-8"?>`)
	o.line(`<Envelope xmlns="http://schemas.dmtf.org/ovf/envelope/1" xmlns:cim="http://schemas.dmtf.org/wbem/wscim/1/common"` +
		` xmlns:ovf="http://schemas.dmtf.org/ovf/envelope/1"` +
		` xmlns:rasd="http://schemas.dmtf.org/wbem/wscim/1/cim-schema/2/CIM_ResourceAllocationSettingData"` +
		` xmlns:vmw="http://www.vmware.com/schema/ovf"` +
		` xmlns:vssd="http://schemas.dmtf.org/wbem/wscim/1/cim-schema/2/CIM_VirtualSystemSettingData"` +
		` xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance">`)
	o.references()
	o.networks()
	o.line(`  <VirtualSystem ovf:id="%s">`, name)
	o.line(`    <Info>A virtual machine</Info>`)
	o.line(`    <Name>%s</Name>`, name)
	o.line(`    <OperatingSystemSection ovf:id="%d" vmw:osType="%s">`, cimOS(c.GuestId), c.GuestId)
	o.line(`      <Info>The kind of installed guest operating system</Info>`)
	o.line(`      <Description>%s</Description>`, c.GuestFullName)
	o.line(`    </OperatingSystemSection>`)
	o.hardware(name)
	note := o.cdp.Description
	if note == "" {
		note = c.Annotation
	}
	if note != "" {
		o.line(`    <AnnotationSection>`)
		o.line(`      <Info>A human-readable annotation</Info>`)
		o.line(`      <Annotation>%s</Annotation>`, note)
		o.line(`    </AnnotationSection>`)
	}
	o.line(`  </VirtualSystem>`)
	o.line(`</Envelope>`)
}

func cimOS(guest string) int {
	switch guestFamily(guest) {
	case "windowsGuest":
		return 103
	case "linuxGuest":
		return 101
	}
	return 1
}

func (o *ovfWriter) references() {
	o.line(`  <References>`)
	for i, d := range o.vm.diskList() {
		if href, size, ok := o.file(i, d); ok {
			o.line(`    <File ovf:href="%s" ovf:id="file%d"%s/>`, href, i+1, sizeAttr(size))
		}
	}
	o.line(`  </References>`)
	o.line(`  <DiskSection>`)
	o.line(`    <Info>Virtual disk information</Info>`)
	for i, d := range o.vm.diskList() {
		if _, _, ok := o.file(i, d); ok {
			o.line(`    <Disk ovf:capacity="%d" ovf:capacityAllocationUnits="byte" ovf:diskId="vmdisk%d" ovf:fileRef="file%d"`+
				` ovf:format="http://www.vmware.com/interfaces/specifications/vmdk.html#streamOptimized" ovf:populatedSize="%d"/>`,
				d.size, i+1, i+1, d.allocated())
		}
	}
	o.line(`  </DiskSection>`)
}

type rawAttr string

func sizeAttr(size int64) rawAttr {
	if size == 0 {
		return ""
	}
	return rawAttr(fmt.Sprintf(` ovf:size="%d"`, size))
}

func (o *ovfWriter) networks() {
	o.line(`  <NetworkSection>`)
	o.line(`    <Info>The list of logical networks</Info>`)
	seen := map[string]bool{}
	for _, n := range o.vm.spec.NICs {
		if !seen[n.Network] {
			o.line(`    <Network ovf:name="%s">`, n.Network)
			o.line(`      <Description>The %s network</Description>`, n.Network)
			o.line(`    </Network>`)
		}
		seen[n.Network] = true
	}
	o.line(`  </NetworkSection>`)
}

// entry writes one hardware item; the elements come in the alphabetical
// order that the schema wants.
func (o *ovfWriter) entry(key int32, kind int, fields map[string]string) {
	o.item++
	o.ids[key] = o.item
	fields["InstanceID"] = fmt.Sprint(o.item)
	fields["ResourceType"] = fmt.Sprint(kind)
	o.line(`      <Item>`)
	for _, f := range []string{"Address", "AddressOnParent", "AllocationUnits", "AutomaticAllocation", "Connection",
		"Description", "ElementName", "HostResource", "InstanceID", "Parent", "ResourceSubType", "ResourceType", "VirtualQuantity"} {
		if v, ok := fields[f]; ok {
			o.line(`        <rasd:`+f+`>%s</rasd:`+f+`>`, v)
		}
	}
	if cores, ok := fields["cores"]; ok {
		o.line(`        <vmw:CoresPerSocket ovf:required="false">%s</vmw:CoresPerSocket>`, cores)
	}
	o.line(`      </Item>`)
}

func (o *ovfWriter) hardware(name string) {
	c := o.vm.obj.Config
	o.line(`    <VirtualHardwareSection>`)
	o.line(`      <Info>Virtual hardware requirements</Info>`)
	o.line(`      <System>`)
	o.line(`        <vssd:ElementName>Virtual Hardware Family</vssd:ElementName>`)
	o.line(`        <vssd:InstanceID>0</vssd:InstanceID>`)
	o.line(`        <vssd:VirtualSystemIdentifier>%s</vssd:VirtualSystemIdentifier>`, name)
	o.line(`        <vssd:VirtualSystemType>%s</vssd:VirtualSystemType>`, c.Version)
	o.line(`      </System>`)
	cpu := map[string]string{"AllocationUnits": "hertz * 10^6", "Description": "Number of Virtual CPUs",
		"ElementName": fmt.Sprintf("%d virtual CPU(s)", c.Hardware.NumCPU), "VirtualQuantity": fmt.Sprint(c.Hardware.NumCPU)}
	if n := c.Hardware.NumCoresPerSocket; n != nil && *n > 1 {
		cpu["cores"] = fmt.Sprint(*n)
	}
	o.entry(-1, cimCPU, cpu)
	o.entry(-2, cimMemory, map[string]string{"AllocationUnits": "byte * 2^20", "Description": "Memory Size",
		"ElementName": fmt.Sprintf("%dMB of memory", c.Hardware.MemoryMB), "VirtualQuantity": fmt.Sprint(c.Hardware.MemoryMB)})
	for _, dev := range c.Hardware.Device {
		o.device(dev)
	}
	config := func(key, value string) {
		o.line(`      <vmw:Config ovf:required="false" vmw:key="%s" vmw:value="%s"/>`, key, value)
	}
	config("firmware", c.Firmware)
	if b := c.BootOptions; b != nil && b.EfiSecureBootEnabled != nil {
		config("bootOptions.efiSecureBootEnabled", fmt.Sprint(*b.EfiSecureBootEnabled))
	}
	o.line(`    </VirtualHardwareSection>`)
}

func (o *ovfWriter) device(dev types.BaseVirtualDevice) {
	v := dev.GetVirtualDevice()
	label := ""
	if v.DeviceInfo != nil {
		label = v.DeviceInfo.GetDescription().Label
	}
	f := map[string]string{"ElementName": label}
	if v.UnitNumber != nil {
		f["AddressOnParent"] = fmt.Sprint(*v.UnitNumber)
	}
	if id, ok := o.ids[v.ControllerKey]; ok {
		f["Parent"] = fmt.Sprint(id)
	}
	bus := func(kind int, sub string, n int32) {
		f["Address"] = fmt.Sprint(n)
		if sub != "" {
			f["ResourceSubType"] = sub
		}
		o.entry(v.Key, kind, f)
	}
	switch d := dev.(type) {
	case *types.VirtualIDEController:
		bus(cimIDE, "", d.BusNumber)
	case *types.ParaVirtualSCSIController:
		bus(cimSCSI, "VirtualSCSI", d.BusNumber)
	case *types.VirtualLsiLogicController:
		bus(cimSCSI, "lsilogic", d.BusNumber)
	case *types.VirtualLsiLogicSASController:
		bus(cimSCSI, "lsilogicsas", d.BusNumber)
	case *types.VirtualBusLogicController:
		bus(cimSCSI, "buslogic", d.BusNumber)
	case *types.VirtualAHCIController:
		bus(cimOther, "vmware.sata.ahci", d.BusNumber)
	case *types.VirtualNVMEController:
		bus(cimOther, "vmware.nvme.controller", d.BusNumber)
	case *types.VirtualCdrom:
		f["AutomaticAllocation"] = "false"
		f["ResourceSubType"] = "vmware.cdrom.remotepassthrough"
		if _, iso := d.Backing.(*types.VirtualCdromIsoBackingInfo); iso {
			f["ResourceSubType"] = "vmware.cdrom.iso"
		}
		o.entry(v.Key, cimCDROM, f)
	case *types.VirtualDisk:
		for i, disk := range o.vm.diskList() {
			if _, _, ok := o.file(i, disk); ok && disk.key == v.Key {
				f["HostResource"] = fmt.Sprintf("ovf:/disk/vmdisk%d", i+1)
				o.entry(v.Key, cimDisk, f)
			}
		}
	case types.BaseVirtualEthernetCard:
		i := int(v.Key - 4000)
		f["AddressOnParent"] = fmt.Sprint(i)
		f["AutomaticAllocation"] = "true"
		f["Address"] = d.GetVirtualEthernetCard().MacAddress
		if i >= 0 && i < len(o.vm.spec.NICs) {
			f["Connection"] = o.vm.spec.NICs[i].Network
			f["ResourceSubType"] = map[string]string{"vmxnet3": "VmxNet3", "vmxnet2": "VmxNet2", "vmxnet": "VmxNet", "e1000e": "E1000e", "e1000": "E1000",
				"pcnet32": "PCNet32", "sriov": "SriovEthernetCard", "vmxnet3vrdma": "VmxNet3Vrdma"}[o.vm.spec.NICs[i].Model]
		}
		o.entry(v.Key, cimNIC, f)
	}
}
