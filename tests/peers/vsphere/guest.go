package main

import (
	"fmt"
	"net"
	"slices"
	"strings"

	"github.com/vmware/govmomi/simulator"
	"github.com/vmware/govmomi/vim25/types"
)

// guestNames are the display names of the guest IDs we use.
var guestNames = map[string]string{
	"otherLinux64Guest":          "Other Linux (64-bit)",
	"otherGuest":                 "Other (32-bit)",
	"rhel7_64Guest":              "Red Hat Enterprise Linux 7 (64-bit)",
	"rhel8_64Guest":              "Red Hat Enterprise Linux 8 (64-bit)",
	"rhel9_64Guest":              "Red Hat Enterprise Linux 9 (64-bit)",
	"centos7_64Guest":            "CentOS 7 (64-bit)",
	"debian11_64Guest":           "Debian GNU/Linux 11 (64-bit)",
	"debian12_64Guest":           "Debian GNU/Linux 12 (64-bit)",
	"ubuntu64Guest":              "Ubuntu Linux (64-bit)",
	"sles15_64Guest":             "SUSE Linux Enterprise 15 (64-bit)",
	"windows7Server64Guest":      "Microsoft Windows Server 2008 R2 (64-bit)",
	"windows9Server64Guest":      "Microsoft Windows Server 2016 or later (64-bit)",
	"windows2019srv_64Guest":     "Microsoft Windows Server 2019 (64-bit)",
	"windows2019srvNext_64Guest": "Microsoft Windows Server 2022 (64-bit)",
	"windows9_64Guest":           "Microsoft Windows 10 (64-bit)",
	"windows2022srvNext_64Guest": "Microsoft Windows Server 2025 (64-bit)",
	"windows11_64Guest":          "Microsoft Windows 11 (64-bit)",
	"windows12_64Guest":          "Microsoft Windows 12 (64-bit)",
	"windows12Server64Guest":     "Microsoft Windows Server 2025 (64-bit)",
	"windows8Server64Guest":      "Microsoft Windows Server 2012 (64-bit)",
	"windows8_64Guest":           "Microsoft Windows 8.x (64-bit)",
	"windows7_64Guest":           "Microsoft Windows 7 (64-bit)",
	"winNetEnterpriseGuest":      "Microsoft Windows Server 2003 (32-bit)",
	"winXPProGuest":              "Microsoft Windows XP Professional (32-bit)",
	"rhel5_64Guest":              "Red Hat Enterprise Linux 5 (64-bit)",
	"rhel6_64Guest":              "Red Hat Enterprise Linux 6 (64-bit)",
	"rhel10_64Guest":             "Red Hat Enterprise Linux 10 (64-bit)",
	"centos8_64Guest":            "CentOS 8 (64-bit)",
	"centos9_64Guest":            "CentOS 9 (64-bit)",
	"rockylinux_64Guest":         "Rocky Linux (64-bit)",
	"almalinux_64Guest":          "AlmaLinux (64-bit)",
	"oracleLinux9_64Guest":       "Oracle Linux 9 (64-bit)",
	"fedora64Guest":              "Red Hat Fedora (64-bit)",
	"debian5Guest":               "Debian GNU/Linux 5 (32-bit)",
	"debian13_64Guest":           "Debian GNU/Linux 13 (64-bit)",
	"sles16_64Guest":             "SUSE Linux Enterprise 16 (64-bit)",
	"opensuse64Guest":            "SUSE openSUSE (64-bit)",
	"amazonlinux3_64Guest":       "Amazon Linux 3 (64-bit)",
	"vmwarePhoton64Guest":        "VMware Photon OS (64-bit)",
	"coreos64Guest":              "CoreOS Linux (64-bit)",
	"crxPod1Guest":               "VMware CRX Pod 1 (64-bit)",
	"other5xLinux64Guest":        "Other 5.x or later Linux (64-bit)",
	"other6xLinux64Guest":        "Other 6.x or later Linux (64-bit)",
	"freebsd13_64Guest":          "FreeBSD 13 or later versions (64-bit)",
	"freebsd14_64Guest":          "FreeBSD 14 or later versions (64-bit)",
	"solaris11_64Guest":          "Oracle Solaris 11 (64-bit)",
	"darwin19_64Guest":           "Apple macOS 10.15 (64-bit)",
	"dosGuest":                   "Microsoft MS-DOS",
	"other26xLinuxGuest":         "Other 2.6.x Linux (32-bit)",
}

func guestName(id string) string {
	if n := guestNames[id]; n != "" {
		return n
	}
	return id
}

func guestFamily(id string) string {
	switch {
	case strings.HasPrefix(id, "win"):
		return string(types.VirtualMachineGuestOsFamilyWindowsGuest)
	case id == "otherGuest", slices.ContainsFunc([]string{"freebsd", "solaris", "darwin", "dos"},
		func(p string) bool { return strings.HasPrefix(id, p) }):
		return string(types.VirtualMachineGuestOsFamilyOtherGuestFamily)
	}
	return string(types.VirtualMachineGuestOsFamilyLinuxGuest)
}

func (vm *VM) hostName() string {
	if vm.spec.HostName != nil {
		return *vm.spec.HostName
	}
	n := strings.ToLower(vm.name)
	n = strings.Map(func(r rune) rune {
		if r >= 'a' && r <= 'z' || r >= '0' && r <= '9' || r == '-' {
			return r
		}
		return -1
	}, n)
	return n + ".sim.example"
}

// toolsStatus is what is said of the tools' version, by toolsVersion.
var toolsStatus = map[string]struct {
	version, version2 string
	status            types.VirtualMachineToolsStatus
}{
	"current":     {"guestToolsCurrent", "guestToolsCurrent", types.VirtualMachineToolsStatusToolsOk},
	"unmanaged":   {"guestToolsUnmanaged", "guestToolsUnmanaged", types.VirtualMachineToolsStatusToolsOk},
	"outdated":    {"guestToolsNeedUpgrade", "guestToolsSupportedOld", types.VirtualMachineToolsStatusToolsOld},
	"unsupported": {"guestToolsNeedUpgrade", "guestToolsTooOld", types.VirtualMachineToolsStatusToolsOld},
}

// setGuest makes what the guest tells its host fit the power state. The
// caller holds the VM's lock, except before the VM is registered.
func (s *Sim) setGuest(ctx *simulator.Context, vm *VM, on bool) {
	g := &types.GuestInfo{
		ToolsStatus:         types.VirtualMachineToolsStatusToolsNotInstalled,
		ToolsVersionStatus:  "guestToolsNotInstalled",
		ToolsVersionStatus2: "guestToolsNotInstalled",
		ToolsRunningStatus:  string(types.VirtualMachineToolsRunningStatusGuestToolsNotRunning),
		ToolsVersion:        "0",
		GuestState:          "notRunning",
	}
	if vm.spec.tools() {
		status := toolsStatus[vm.spec.ToolsVersion]
		g.ToolsStatus = types.VirtualMachineToolsStatusToolsNotRunning
		g.ToolsVersionStatus, g.ToolsVersionStatus2 = status.version, status.version2
		g.ToolsVersion = "12389"
		if on && vm.spec.toolsRun() {
			g.ToolsStatus = status.status
			s.runningGuest(vm, g)
		}
	}
	sum := &types.VirtualMachineGuestSummary{
		GuestId: g.GuestId, GuestFullName: g.GuestFullName, ToolsStatus: g.ToolsStatus,
		ToolsVersionStatus: g.ToolsVersionStatus, ToolsVersionStatus2: g.ToolsVersionStatus2,
		ToolsRunningStatus: g.ToolsRunningStatus, HostName: g.HostName, IpAddress: g.IpAddress,
	}
	if s.reg.Get(vm.ref) == nil {
		vm.obj.Guest, vm.obj.Summary.Guest = g, sum
		return
	}
	ctx.Update(vm.obj, []types.PropertyChange{{Name: "guest", Val: g}, {Name: "summary.guest", Val: sum}})
}

// runningGuest is what tools that run tell.
func (s *Sim) runningGuest(vm *VM, g *types.GuestInfo) {
	g.ToolsRunningStatus = string(types.VirtualMachineToolsRunningStatusGuestToolsRunning)
	g.GuestId, g.GuestFullName = vm.spec.GuestID, guestName(vm.spec.GuestID)
	g.GuestFamily = guestFamily(vm.spec.GuestID)
	g.HostName = vm.hostName()
	g.GuestState = "running"
	g.GuestOperationsReady = types.NewBool(true)
	s.guestNet(vm, g)
	for _, d := range vm.spec.GuestDisks {
		g.Disk = append(g.Disk, types.GuestDiskInfo{DiskPath: d.Path, Capacity: d.Capacity, FreeSpace: d.Free, FilesystemType: d.Type})
	}
	if vm.spec.GuestDisks != nil {
		return
	}
	for i, d := range vm.diskList() {
		g.Disk = append(g.Disk, types.GuestDiskInfo{DiskPath: []string{"/", "/srv", "/var"}[min(i, 2)],
			Capacity: d.size * 9 / 10, FreeSpace: max(0, d.size*9/10-d.allocated()), FilesystemType: "ext4"})
	}
}

// madeUpAddresses are those of a card of which the specification says nothing.
func madeUpAddresses(i int, mac net.HardwareAddr) []AddressSpec {
	return []AddressSpec{
		{IP: fmt.Sprintf("10.%d.%d.%d", 20+i, mac[4], max(2, mac[5])), Prefix: 16, Origin: "dhcp"},
		{IP: fmt.Sprintf("fe80::250:56ff:fe%02x:%02x%02x", mac[3], mac[4], mac[5]), Prefix: 64, Origin: "linklayer"},
	}
}

// guestNet is the guest's network. A route names its card by the place in
// guest.net.
func (s *Sim) guestNet(vm *VM, g *types.GuestInfo) {
	var routes []types.NetIpRouteConfigInfoIpRoute
	for _, dev := range vm.obj.Config.Hardware.Device {
		card, ok := dev.(types.BaseVirtualEthernetCard)
		if !ok {
			continue
		}
		c := card.GetVirtualEthernetCard()
		i := int(c.Key - 4000)
		mac, err := net.ParseMAC(c.MacAddress)
		if err != nil || len(mac) != 6 || i < 0 || i >= len(vm.spec.NICs) {
			continue
		}
		spec := vm.spec.NICs[i]
		addresses := spec.Addresses
		if addresses == nil {
			addresses = madeUpAddresses(i, mac)
		}
		info := types.GuestNicInfo{
			Network: spec.Network, MacAddress: c.MacAddress, DeviceConfigId: c.Key,
			Connected: c.Connectable != nil && c.Connectable.StartConnected,
			IpConfig:  &types.NetIpConfigInfo{},
		}
		for _, a := range addresses {
			if g.IpAddress == "" {
				g.IpAddress = a.IP
			}
			info.IpAddress = append(info.IpAddress, a.IP)
			info.IpConfig.IpAddress = append(info.IpConfig.IpAddress, types.NetIpConfigInfoIpAddress{
				IpAddress: a.IP, PrefixLength: a.Prefix, Origin: a.Origin, State: "preferred"})
		}
		for _, gateway := range []string{spec.Gateway4, spec.Gateway6} {
			if gateway != "" {
				routes = append(routes, defaultRoute(gateway, len(g.Net)))
			}
		}
		g.Net = append(g.Net, info)
	}
	if len(g.Net) == 0 {
		return
	}
	stack := types.GuestStackInfo{IpRouteConfig: &types.NetIpRouteConfigInfo{IpRoute: routes}}
	if vm.spec.DNS != nil || vm.spec.Search != nil {
		host, domain, _ := strings.Cut(vm.hostName(), ".")
		stack.DnsConfig = &types.NetDnsConfigInfo{HostName: host, DomainName: domain,
			IpAddress: vm.spec.DNS, SearchDomain: vm.spec.Search}
	}
	g.IpStack = []types.GuestStackInfo{stack}
}

func defaultRoute(gateway string, device int) types.NetIpRouteConfigInfoIpRoute {
	any := "0.0.0.0"
	if net.ParseIP(gateway).To4() == nil {
		any = "::"
	}
	return types.NetIpRouteConfigInfoIpRoute{Network: any,
		Gateway: types.NetIpRouteConfigInfoGateway{IpAddress: gateway, Device: fmt.Sprint(device)}}
}
