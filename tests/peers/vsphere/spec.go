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

	MachineSpec
}

// NICSpec is a network card.
type NICSpec struct {
	MAC       string `json:"mac"`
	Network   string `json:"network"`
	Model     string `json:"model"`
	Connected *bool  `json:"connected"` // when it is on, and at power-on
	Start     *bool  `json:"startConnected"`

	Addresses []AddressSpec `json:"addresses"` // one of each family otherwise; [] is none
	Gateway4  string        `json:"gateway4"`
	Gateway6  string        `json:"gateway6"`
}

// DiskSpec is a disk over a raw file; without a path the file is made.
type DiskSpec struct {
	Path       string `json:"path"`
	Size       int64  `json:"size"`
	Mode       string `json:"mode"`
	Controller string `json:"controller"`
	Bus        *int32 `json:"bus"` // among the controllers of that kind
	Unit       *int32 `json:"unit"`
	Ext4Tree   bool   `json:"ext4Tree"`
	Thin       *bool  `json:"thin"`

	RDM         string `json:"rdm"`       // virtual, physical
	RDMDevice   string `json:"rdmDevice"` // "naa.600..."
	Sharing     string `json:"sharing"`   // multiwriter
	SharedBus   string `json:"sharedBus"` // virtual, physical: of its SCSI controller
	Encrypted   bool   `json:"encrypted"`
	NoDatastore bool   `json:"noDatastore"` // its datastore is away

	treeBytes int64 // how much to put into the tree
	used      int64 // what a disk without a file claims to use
}

func (v *VMSpec) tools() bool { return v.Tools == nil || *v.Tools }

func (v *VMSpec) hardwareVersion() int {
	n, _ := strconv.Atoi(strings.TrimPrefix(v.Hardware, "vmx-"))
	return n
}

// independent disks stay outside snapshots; so do raw devices that the guest
// drives itself.
func (d *DiskSpec) independent() bool {
	return strings.HasPrefix(d.Mode, "independent") || d.RDM == "physical"
}

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
		oneOf("power", v.Power, "on", "off", "suspended"),
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
		if nicModels[n.Model] == nil {
			return fmt.Errorf("there is no NIC model '%s'", n.Model)
		}
	}
	if err := v.completeDisks(); err != nil {
		return err
	}
	return v.completeMachine()
}

func (v *VMSpec) completeDisks() error {
	places := diskPlaces{next: map[string]int32{}, taken: map[string]bool{}}
	for i, d := range v.Disks {
		setDefault(&d.Mode, "persistent")
		setDefault(&d.Controller, "pvscsi")
		for _, err := range []error{
			oneOf("disk mode", d.Mode, "persistent", "independent_persistent", "independent_nonpersistent", "nonpersistent"),
			oneOf("disk controller", d.Controller, "pvscsi", "lsilogic", "lsisas", "buslogic", "sata", "nvme", "ide"),
			oneOf("rdm", d.RDM, "", "virtual", "physical"),
			oneOf("sharing", d.Sharing, "", "multiwriter"),
			oneOf("sharedBus", d.SharedBus, "", "virtual", "physical"),
		} {
			if err != nil {
				return fmt.Errorf("disk %d: %w", i, err)
			}
		}
		if d.SharedBus != "" && !isSCSI(d.Controller) {
			return fmt.Errorf("disk %d: only a SCSI bus is shared", i)
		}
		if err := d.completeFile(); err != nil {
			return fmt.Errorf("disk %d: %w", i, err)
		}
		if err := places.take(d); err != nil {
			return fmt.Errorf("disk %d: %w", i, err)
		}
	}
	if len(scsiBuses(v.Disks)) > 4 {
		return fmt.Errorf("more than 4 SCSI controllers")
	}
	return nil
}

func (d *DiskSpec) completeFile() error {
	if d.Path != "" {
		st, err := os.Stat(d.Path)
		if err != nil {
			return err
		}
		setDefault(&d.Size, st.Size())
		if d.Size != st.Size() {
			return fmt.Errorf("'%s' has %d bytes, not %d", d.Path, st.Size(), d.Size)
		}
		if d.Ext4Tree {
			return fmt.Errorf("ext4Tree would overwrite '%s'", d.Path)
		}
	}
	if d.Size <= 0 || d.Size%512 != 0 {
		return fmt.Errorf("size %d is not a positive multiple of 512", d.Size)
	}
	return nil
}

func isSCSI(controller string) bool { return placements[controller].scsi }

// diskPlaces hands out units, and buses when one is full.
type diskPlaces struct {
	next  map[string]int32
	taken map[string]bool
}

func (p *diskPlaces) take(d *DiskSpec) error {
	at := placements[d.Controller]
	if d.Bus == nil {
		bus := int32(0)
		for d.Unit == nil && p.next[fmt.Sprint(d.Controller, bus)] >= at.units && bus+1 < at.buses {
			bus++
		}
		d.Bus = &bus
	}
	group := fmt.Sprint(d.Controller, *d.Bus)
	if d.Unit == nil {
		n := p.next[group]
		if n == 7 && at.scsi {
			n++ // the controller's own
		}
		d.Unit = &n
	}
	p.next[group] = *d.Unit + 1
	place := fmt.Sprintf("%s:%d:%d", d.Controller, *d.Bus, *d.Unit)
	switch {
	case *d.Bus < 0 || *d.Bus >= at.buses || *d.Unit < 0 || *d.Unit >= at.units:
		return fmt.Errorf("there is no %s", place)
	case p.taken[place]:
		return fmt.Errorf("%s is taken", place)
	}
	p.taken[place] = true
	return nil
}
