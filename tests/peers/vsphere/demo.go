package main

import "fmt"

const (
	mib = int64(1) << 20
	gib = int64(1) << 30
)

func yes(b bool) *bool    { return &b }
func unit(n int32) *int32 { return &n }

// demoVMs is the set that the quickstart and most tests use.
func demoVMs() []*VMSpec {
	return []*VMSpec{
		{Name: "web01", Folder: "/prod/web", Power: "on", GuestID: "debian12_64Guest", Firmware: "bios",
			CPUs: 2, CoresPerSocket: 2, MemoryMB: 2048, Hardware: "vmx-19", CBT: true,
			Notes: "Shop front end\nowner: web team", Tags: []string{"env:prod", "tier:web"},
			Attributes: map[string]string{"owner": "web team", "cost-center": "4711"},
			NICs:       []NICSpec{{Network: "VM Network", Model: "vmxnet3"}, {Network: "backend", Model: "vmxnet3"}},
			Disks: []*DiskSpec{
				{Size: gib, Controller: "pvscsi", Ext4Tree: true, treeBytes: 128 * mib},
				{Size: 2 * gib, Controller: "pvscsi", Ext4Tree: true, treeBytes: 160 * mib},
			}},
		{Name: "db01", Folder: "/prod/db", Power: "off", GuestID: "rhel9_64Guest", Firmware: "efi", SecureBoot: true,
			CPUs: 4, CoresPerSocket: 4, MemoryMB: 8192, Hardware: "vmx-19", CDROM: "[LocalDS_0] iso/rhel-9.4-boot.iso",
			Tags: []string{"env:prod", "tier:db"}, Attributes: map[string]string{"owner": "dba"},
			NICs: []NICSpec{{Network: "backend", Model: "vmxnet3"}},
			Disks: []*DiskSpec{
				{Size: 4 * gib, Controller: "pvscsi", Ext4Tree: true, treeBytes: 32 * mib},
				{Size: gib, Controller: "nvme", treeBytes: 8 * mib},
			}},
		{Name: "Win App #1 (old)", Folder: "/legacy/Windows & Co", Power: "off", GuestID: "windows7Server64Guest",
			Firmware: "bios", CPUs: 1, MemoryMB: 4096, Hardware: "vmx-08", Tools: yes(false), Datastore: "nfs tier 2",
			Notes: "do not touch <before> \"migration\"", Tags: []string{"env:legacy"},
			NICs: []NICSpec{{Network: "VM Network", Model: "e1000e", MAC: "00:50:56:01:02:03"},
				{Network: "backend", Model: "e1000", Connected: yes(false)}},
			Disks: []*DiskSpec{
				{Size: gib, Controller: "lsilogic", treeBytes: 16 * mib},
				{Size: gib + 512, Controller: "ide", Unit: unit(0), treeBytes: 2 * mib},
			}},
		{Name: "scratch01", Folder: "/test", Power: "on", GuestID: "ubuntu64Guest", Firmware: "efi",
			CPUs: 2, MemoryMB: 1024, Hardware: "vmx-21", CBT: true, Tags: []string{"env:test"},
			NICs: []NICSpec{{Network: "VM Network"}},
			Disks: []*DiskSpec{
				{Size: gib, Controller: "sata", treeBytes: 16 * mib},
				{Size: gib, Controller: "sata", Mode: "independent_persistent", treeBytes: 4 * mib},
			}},
	}
}

// fillerVMs are VMs without files, for scale. Their facts are plausible and
// the same at every start.
func fillerVMs(n int) []*VMSpec {
	roles := []string{"app", "web", "db", "cache", "queue", "build", "mail", "ldap"}
	guests := []string{"rhel8_64Guest", "ubuntu64Guest", "windows2019srv_64Guest", "debian11_64Guest", "sles15_64Guest"}
	envs := []string{"prod", "stage", "test", "dev"}
	var out []*VMSpec
	for i := 0; i < n; i++ {
		role, env := roles[i%len(roles)], envs[i/7%len(envs)]
		v := &VMSpec{
			Name:   fmt.Sprintf("%s-%s-%04d", env, role, i),
			Folder: fmt.Sprintf("/fleet/%s/%s", env, role),
			Power:  []string{"on", "on", "off"}[i%3], GuestID: guests[i%len(guests)],
			Firmware: []string{"bios", "efi"}[i/3%2], CPUs: int32(1 << (i % 5)), MemoryMB: int32(1024 << (i % 6)),
			Hardware: fmt.Sprintf("vmx-%02d", []int{10, 13, 15, 19, 21}[i%5]), CBT: i%4 == 0,
			Tools: yes(i%11 != 0), Tags: []string{"env:" + env, "role:" + role},
			NICs: []NICSpec{{Network: []string{"VM Network", "backend"}[i%2]}},
		}
		if i%10 == 3 {
			v.Notes = fmt.Sprintf("ticket CHG%06d", 100000+i)
		}
		for k := 0; k <= i%3; k++ {
			size := gib * int64(20+20*k+10*(i%9))
			v.Disks = append(v.Disks, &DiskSpec{Size: size, used: size / int64(2+(i+k)%6) &^ (mib - 1),
				Controller: []string{"pvscsi", "lsilogic", "sata"}[i%3]})
		}
		if i%25 == 7 {
			v.Snapshots = []string{"before patch"}
		}
		out = append(out, v)
	}
	return out
}
