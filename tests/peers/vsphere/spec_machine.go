package main

import (
	"fmt"
	"net"
	"slices"
	"strconv"
	"strings"

	"github.com/vmware/govmomi/vim25/types"
)

// MachineSpec is what a VM may have beyond the usual. Nothing of it is needed.
type MachineSpec struct {
	GuestName    string          `json:"guestName"` // config.guestFullName, by guestId otherwise
	BIOSUUID     string          `json:"biosUuid"`  // config.uuid
	InstanceUUID string          `json:"instanceUuid"`
	Host         string          `json:"host"` // DC0_C0_H1; hosts take turns otherwise
	Template     bool            `json:"template"`
	Connection   string          `json:"connection"` // connected, disconnected, orphaned, inaccessible, invalid
	Question     string          `json:"question"`   // asked from the start
	Encrypted    bool            `json:"encrypted"`
	FT           bool            `json:"faultTolerant"`
	VTPM         bool            `json:"vtpm"`
	NestedHV     bool            `json:"nestedHV"`
	CPUHotAdd    bool            `json:"cpuHotAdd"`
	CPUHotRemove bool            `json:"cpuHotRemove"`
	MemoryHotAdd bool            `json:"memoryHotAdd"`
	MemoryLocked bool            `json:"memoryLocked"`
	CPU          *AllocationSpec `json:"cpuAllocation"`    // MHz
	Memory       *AllocationSpec `json:"memoryAllocation"` // MB
	CPUAffinity  []int32         `json:"cpuAffinity"`
	NUMAAffinity string          `json:"numaAffinity"` // of extraConfig, "0,1"
	Latency      string          `json:"latency"`      // low, normal, medium, high, custom
	EVCMode      string          `json:"evcMode"`      // "intel-skylake"
	Consolidate  bool            `json:"consolidationNeeded"`
	CDROMs       []CDROMSpec     `json:"cdroms"`       // in the place of cdrom; [] is none
	Devices      []string        `json:"devices"`      // see peripheralKinds
	BootOrder    []string        `json:"bootOrder"`    // disk:0, nic:0, cdrom, floppy
	HostName     *string         `json:"hostname"`     // as the guest says
	ToolsVersion string          `json:"toolsVersion"` // current, unmanaged, outdated, unsupported
	ToolsRunning *bool           `json:"toolsRunning"` // of a VM that is on; true
	GuestDisks   []GuestDiskSpec `json:"guestDisks"`   // one for each disk otherwise; [] is none
	DNS          []string        `json:"dns"`
	Search       []string        `json:"searchDomains"`
}

// AllocationSpec is a share of a host. A limit of -1, or none, is no limit.
type AllocationSpec struct {
	Reservation int64  `json:"reservation"`
	Limit       *int64 `json:"limit"`
	Level       string `json:"level"` // low, normal, high, custom
	Shares      int32  `json:"shares"`
}

// CDROMSpec is a drive: iso with a file, else empty, remote or host.
type CDROMSpec struct {
	Kind       string `json:"kind"`
	ISO        string `json:"iso"`
	Controller string `json:"controller"` // ide, sata
	Unit       *int32 `json:"unit"`       // IDE: 2 and 3 are of the second bus
	Connected  *bool  `json:"connected"`
}

// AddressSpec is an address as the guest's tools tell it.
type AddressSpec struct {
	IP     string `json:"ip"`
	Prefix int32  `json:"prefix"`
	Origin string `json:"origin"` // manual, dhcp, linklayer, random, other; none: not told
}

// GuestDiskSpec is a file system of the guest.
type GuestDiskSpec struct {
	Path     string `json:"path"`
	Capacity int64  `json:"capacity"`
	Free     int64  `json:"free"`
	Type     string `json:"type"`
}

// toolsRun says whether tools run in the guest while it does.
func (v *VMSpec) toolsRun() bool {
	return v.tools() && (v.ToolsRunning == nil || *v.ToolsRunning)
}

func (a *AllocationSpec) complete() error {
	if a == nil {
		return nil
	}
	setDefault(&a.Level, "normal")
	if a.Level == "custom" && a.Shares <= 0 {
		return fmt.Errorf("custom shares need a number")
	}
	return oneOf("shares", a.Level, "low", "normal", "high", "custom")
}

func (v *VMSpec) completeMachine() error {
	setDefault(&v.Connection, "connected")
	setDefault(&v.Latency, "normal")
	setDefault(&v.ToolsVersion, "unmanaged")
	for _, err := range []error{
		oneOf("connection", v.Connection, "connected", "disconnected", "orphaned", "inaccessible", "invalid"),
		oneOf("latency", v.Latency, "low", "normal", "medium", "high", "custom"),
		oneOf("toolsVersion", v.ToolsVersion, "current", "unmanaged", "outdated", "unsupported"),
		v.CPU.complete(), v.Memory.complete(), v.completeDrives(), v.completeAddresses(),
	} {
		if err != nil {
			return err
		}
	}
	for _, kind := range v.Devices {
		if peripheralKinds[kind] == nil {
			return fmt.Errorf("there is no device '%s'", kind)
		}
	}
	if v.VTPM && v.Firmware != "efi" {
		return fmt.Errorf("a vTPM needs EFI")
	}
	_, err := v.bootDevices(nil)
	return err
}

// completeDrives makes `cdrom` and `cdroms` say the same. Without either there
// is one drive of the client.
func (v *VMSpec) completeDrives() error {
	if v.CDROMs == nil {
		v.CDROMs = []CDROMSpec{{ISO: v.CDROM}}
	} else if v.CDROM != "" && !slices.ContainsFunc(v.CDROMs, func(c CDROMSpec) bool { return c.ISO == v.CDROM }) {
		return fmt.Errorf("cdrom and cdroms are given both")
	}
	taken := map[string]bool{}
	for _, d := range v.Disks {
		taken[fmt.Sprint(d.Controller, *d.Unit)] = d.Controller == "ide" || *d.Bus == 0
	}
	for i := range v.CDROMs {
		c := &v.CDROMs[i]
		if c.ISO != "" {
			setDefault(&c.Kind, "iso")
			setDefault(&v.CDROM, c.ISO)
		}
		setDefault(&c.Kind, "remote")
		setDefault(&c.Controller, "ide")
		for _, err := range []error{
			oneOf("CD-ROM drive", c.Kind, "iso", "empty", "remote", "host"),
			oneOf("CD-ROM controller", c.Controller, "ide", "sata"),
		} {
			if err != nil {
				return err
			}
		}
		if (c.Kind == "iso") != (c.ISO != "") {
			return fmt.Errorf("CD-ROM drive %d: kind '%s' and iso '%s'", i, c.Kind, c.ISO)
		}
		if c.Unit == nil {
			n := int32(2) // the second channel of IDE first
			for n < placements[c.Controller].units && taken[fmt.Sprint(c.Controller, n)] {
				n++
			}
			c.Unit = &n
		}
		place := fmt.Sprint(c.Controller, *c.Unit)
		if *c.Unit < 0 || *c.Unit >= placements[c.Controller].units || taken[place] {
			return fmt.Errorf("CD-ROM drive %d: %s is taken, or there is none", i, place)
		}
		taken[place] = true
	}
	return nil
}

func (v *VMSpec) completeAddresses() error {
	for i := range v.NICs {
		n := &v.NICs[i]
		for _, a := range n.Addresses {
			if net.ParseIP(a.IP) == nil {
				return fmt.Errorf("NIC %d: '%s' is no address", i, a.IP)
			}
			if err := oneOf("origin", a.Origin, "", "manual", "dhcp", "linklayer", "random", "other"); err != nil {
				return err
			}
		}
		for _, g := range []string{n.Gateway4, n.Gateway6} {
			if g != "" && net.ParseIP(g) == nil {
				return fmt.Errorf("NIC %d: gateway '%s' is no address", i, g)
			}
		}
	}
	return nil
}

// bootDevices is bootOrder with the keys of the devices; `disks` nil only
// checks it.
func (v *VMSpec) bootDevices(disks []*Disk) ([]types.BaseVirtualMachineBootOptionsBootableDevice, error) {
	var out []types.BaseVirtualMachineBootOptionsBootableDevice
	for _, entry := range v.BootOrder {
		kind, number, _ := strings.Cut(entry, ":")
		i, err := strconv.Atoi(number)
		switch {
		case kind == "cdrom" && number == "":
			out = append(out, &types.VirtualMachineBootOptionsBootableCdromDevice{})
		case kind == "floppy" && number == "":
			out = append(out, &types.VirtualMachineBootOptionsBootableFloppyDevice{})
		case kind == "disk" && err == nil && i >= 0 && i < len(v.Disks):
			key := int32(0)
			if disks != nil {
				key = disks[i].key
			}
			out = append(out, &types.VirtualMachineBootOptionsBootableDiskDevice{DeviceKey: key})
		case kind == "nic" && err == nil && i >= 0 && i < len(v.NICs):
			out = append(out, &types.VirtualMachineBootOptionsBootableEthernetDevice{DeviceKey: 4000 + int32(i)})
		default:
			return nil, fmt.Errorf("boot order: '%s' is none of disk:N, nic:N, cdrom, floppy of this VM", entry)
		}
	}
	return out, nil
}

// info is the share of a host with `standard` shares a unit at level normal.
func (a *AllocationSpec) info(units, standard int32) *types.ResourceAllocationInfo {
	if a == nil {
		a = &AllocationSpec{Level: "normal"}
	}
	limit, reservation := int64(-1), a.Reservation
	if a.Limit != nil {
		limit = *a.Limit
	}
	shares := a.Shares
	switch a.Level {
	case "low":
		shares = units * standard / 2
	case "normal":
		shares = units * standard
	case "high":
		shares = units * standard * 2
	}
	return &types.ResourceAllocationInfo{Reservation: &reservation, ExpandableReservation: types.NewBool(false), Limit: &limit,
		Shares: &types.SharesInfo{Shares: shares, Level: types.SharesLevel(a.Level)}}
}

// applyMachine puts it into the configuration, whose devices are made already.
func (vm *VM) applyMachine(c *types.VirtualMachineConfigInfo) {
	v := vm.spec
	set := func(to *string, s string) {
		if s != "" {
			*to = s
		}
	}
	set(&c.GuestFullName, v.GuestName)
	set(&c.Uuid, v.BIOSUUID)
	set(&c.InstanceUuid, v.InstanceUUID)
	c.Template = v.Template
	if v.Encrypted || v.VTPM {
		c.KeyId = keyOf(v.Name)
	}
	if v.FT {
		c.FtInfo = &types.FaultToleranceConfigInfo{Role: 1, InstanceUuids: []string{c.InstanceUuid}, ConfigPaths: []string{c.Files.VmPathName}}
	}
	c.NestedHVEnabled = types.NewBool(v.NestedHV)
	c.CpuHotAddEnabled, c.CpuHotRemoveEnabled = types.NewBool(v.CPUHotAdd), types.NewBool(v.CPUHotRemove)
	c.MemoryHotAddEnabled = types.NewBool(v.MemoryHotAdd)
	c.MemoryReservationLockedToMax = types.NewBool(v.MemoryLocked)
	c.CpuAllocation, c.MemoryAllocation = v.CPU.info(v.CPUs, 1000), v.Memory.info(v.MemoryMB, 10)
	if len(v.CPUAffinity) > 0 {
		c.CpuAffinity = &types.VirtualMachineAffinityInfo{AffinitySet: v.CPUAffinity}
	}
	if v.NUMAAffinity != "" {
		c.ExtraConfig = append(c.ExtraConfig, &types.OptionValue{Key: "numa.nodeAffinity", Value: v.NUMAAffinity})
	}
	c.LatencySensitivity = &types.LatencySensitivity{Level: types.LatencySensitivitySensitivityLevel(v.Latency)}
	c.BootOptions.BootOrder, _ = v.bootDevices(vm.disks)
}

func keyOf(name string) *types.CryptoKeyId {
	return &types.CryptoKeyId{KeyId: stableUUID("", name+" key"), ProviderId: &types.KeyProviderId{Id: "sim-kms"}}
}

// applyRuntime puts it into what the VM's host tells.
func (v *VMSpec) applyRuntime(r *types.VirtualMachineRuntimeInfo) {
	r.ConnectionState = types.VirtualMachineConnectionState(v.Connection)
	r.MinRequiredEVCModeKey = v.EVCMode
	if v.FT {
		r.FaultToleranceState = types.VirtualMachineFaultToleranceStateRunning
	}
	if v.Consolidate {
		r.ConsolidationNeeded = true
	}
}
