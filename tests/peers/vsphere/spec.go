package main

import (
	"encoding/json"
	"fmt"
	"os"
	"strconv"
	"strings"
)

// VMSpec is a VM as the configuration file describes it.
type VMSpec struct {
	Name           string            `json:"name"`
	Folder         string            `json:"folder"`
	Power          string            `json:"power"`
	GuestID        string            `json:"guestId"`
	Firmware       string            `json:"firmware"`
	SecureBoot     bool              `json:"secureBoot"`
	CPUs           int32             `json:"cpus"`
	CoresPerSocket int32             `json:"coresPerSocket"`
	MemoryMB       int32             `json:"memoryMB"`
	Hardware       string            `json:"hardware"`
	Notes          string            `json:"notes"`
	Tags           []string          `json:"tags"`
	CBT            bool              `json:"cbt"`
	Tools          *bool             `json:"tools"`
	NICs           []NICSpec         `json:"nics"`
	Disks          []*DiskSpec       `json:"disks"`
	Snapshots      []string          `json:"snapshots"`
	CDROM          string            `json:"cdrom"`
	Attributes     map[string]string `json:"attributes"`
	Datastore      string            `json:"datastore"`
}

// NICSpec is a network card.
type NICSpec struct {
	MAC       string `json:"mac"`
	Network   string `json:"network"`
	Model     string `json:"model"`
	Connected *bool  `json:"connected"`
}

// DiskSpec is a disk over a raw file; without a path the file is made.
type DiskSpec struct {
	Path       string `json:"path"`
	Size       int64  `json:"size"`
	Mode       string `json:"mode"`
	Controller string `json:"controller"`
	Unit       *int32 `json:"unit"`
	Ext4Tree   bool   `json:"ext4Tree"`
	Thin       *bool  `json:"thin"`

	treeBytes int64 // how much to put into the tree
	used      int64 // what a disk without a file claims to use
}

func (v *VMSpec) tools() bool { return v.Tools == nil || *v.Tools }

func (v *VMSpec) hardwareVersion() int {
	n, _ := strconv.Atoi(strings.TrimPrefix(v.Hardware, "vmx-"))
	return n
}

func (d *DiskSpec) independent() bool { return strings.HasPrefix(d.Mode, "independent") }

func (d *DiskSpec) thin() bool { return d.Thin == nil || *d.Thin }

// loadSpecs reads --vms; what it does not know is an error.
func loadSpecs(path string) ([]*VMSpec, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	d := json.NewDecoder(f)
	d.DisallowUnknownFields()
	var specs []*VMSpec
	if err := d.Decode(&specs); err != nil {
		return nil, fmt.Errorf("'%s': %w", path, err)
	}
	for _, v := range specs {
		if err := v.complete(); err != nil {
			return nil, fmt.Errorf("'%s': VM '%s': %w", path, v.Name, err)
		}
	}
	return specs, nil
}

func oneOf(what, got string, names ...string) error {
	for _, n := range names {
		if got == n {
			return nil
		}
	}
	return fmt.Errorf("%s '%s' is none of %s", what, got, strings.Join(names, ", "))
}

func setDefault[T comparable](p *T, v T) {
	var zero T
	if *p == zero {
		*p = v
	}
}

// complete fills in defaults and checks what was given.
func (v *VMSpec) complete() error {
	if v.Name == "" {
		return fmt.Errorf("a VM needs a name")
	}
	setDefault(&v.Power, "off")
	setDefault(&v.GuestID, "otherLinux64Guest")
	setDefault(&v.Firmware, "bios")
	setDefault(&v.CPUs, 2)
	setDefault(&v.CoresPerSocket, 1)
	setDefault(&v.MemoryMB, 2048)
	setDefault(&v.Hardware, "vmx-19")
	for _, err := range []error{
		oneOf("power", v.Power, "on", "off"),
		oneOf("firmware", v.Firmware, "bios", "efi"),
	} {
		if err != nil {
			return err
		}
	}
	if v.hardwareVersion() == 0 {
		return fmt.Errorf("hardware '%s' is not like vmx-19", v.Hardware)
	}
	if v.SecureBoot && v.Firmware != "efi" {
		return fmt.Errorf("secure boot needs EFI")
	}
	for _, t := range v.Tags {
		if !strings.Contains(t, ":") {
			return fmt.Errorf("tag '%s' is not like category:name", t)
		}
	}
	for i := range v.NICs {
		n := &v.NICs[i]
		setDefault(&n.Network, "VM Network")
		setDefault(&n.Model, "vmxnet3")
		if err := oneOf("NIC model", n.Model, "vmxnet3", "e1000e", "e1000"); err != nil {
			return err
		}
	}
	return v.completeDisks()
}

func (v *VMSpec) completeDisks() error {
	next := map[string]int32{}
	taken := map[string]bool{}
	for i, d := range v.Disks {
		setDefault(&d.Mode, "persistent")
		setDefault(&d.Controller, "pvscsi")
		for _, err := range []error{
			oneOf("disk mode", d.Mode, "persistent", "independent_persistent", "independent_nonpersistent", "nonpersistent"),
			oneOf("disk controller", d.Controller, "pvscsi", "lsilogic", "sata", "nvme", "ide"),
		} {
			if err != nil {
				return err
			}
		}
		if d.Path != "" {
			st, err := os.Stat(d.Path)
			if err != nil {
				return err
			}
			setDefault(&d.Size, st.Size())
			if d.Size != st.Size() {
				return fmt.Errorf("disk %d: '%s' has %d bytes, not %d", i, d.Path, st.Size(), d.Size)
			}
			if d.Ext4Tree {
				return fmt.Errorf("disk %d: ext4Tree would overwrite '%s'", i, d.Path)
			}
		}
		if d.Size <= 0 || d.Size%512 != 0 {
			return fmt.Errorf("disk %d: size %d is not a positive multiple of 512", i, d.Size)
		}
		if d.Unit == nil {
			n := next[d.Controller]
			if n == 7 && (d.Controller == "pvscsi" || d.Controller == "lsilogic") {
				n++ // the controller's own
			}
			d.Unit = &n
		}
		next[d.Controller] = *d.Unit + 1
		place := fmt.Sprintf("%s:%d", d.Controller, *d.Unit)
		if taken[place] {
			return fmt.Errorf("disk %d: %s is taken", i, place)
		}
		taken[place] = true
	}
	return nil
}
