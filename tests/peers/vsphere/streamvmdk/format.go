// Package streamvmdk writes streamOptimized VMDK files the way an ESXi host
// sends them: nothing is known up front, so the grain directory follows the
// data and a footer says where it is.
package streamvmdk

import (
	"encoding/binary"
	"fmt"
	"strings"
)

// On-disk constants of the "Virtual Disk Format 5.0" note. All integers are
// little-endian, all addresses count 512-byte sectors.
const (
	SectorSize      = 512
	GrainSectors    = 128
	GrainSize       = GrainSectors * SectorSize
	EntriesPerTable = 512

	magic          = 0x564d444b // "KDMV"
	version        = 3
	flagNewline    = 1 << 0
	flagCompressed = 1 << 16
	flagMarkers    = 1 << 17
	gdAtEnd        = ^uint64(0)
	overHead       = GrainSectors
	descriptorAt   = 1
	descriptorLen  = 1

	markerEndOfStream    = 0
	markerGrainTable     = 1
	markerGrainDirectory = 2
	markerFooter         = 3

	tableSectors = EntriesPerTable * 4 / SectorSize
)

// header returns the 512-byte sparse header; the footer is the same thing
// with the true address of the grain directory.
func header(capacitySectors, gdOffset uint64) []byte {
	b := make([]byte, SectorSize)
	le := binary.LittleEndian
	le.PutUint32(b[0:], magic)
	le.PutUint32(b[4:], version)
	le.PutUint32(b[8:], flagNewline|flagCompressed|flagMarkers)
	le.PutUint64(b[12:], capacitySectors)
	le.PutUint64(b[20:], GrainSectors)
	le.PutUint64(b[28:], descriptorAt)
	le.PutUint64(b[36:], descriptorLen)
	le.PutUint32(b[44:], EntriesPerTable)
	le.PutUint64(b[48:], 0)
	le.PutUint64(b[56:], gdOffset)
	le.PutUint64(b[64:], overHead)
	copy(b[73:], "\n \r\n")
	le.PutUint16(b[77:], 1)
	return b
}

// marker returns the sector that announces sectors of metadata.
func marker(sectors uint64, kind uint32) []byte {
	b := make([]byte, SectorSize)
	binary.LittleEndian.PutUint64(b[0:], sectors)
	binary.LittleEndian.PutUint32(b[12:], kind)
	return b
}

// descriptor returns the embedded text, padded to its sector. Trailing
// spaces are part of what VMware writes.
func descriptor(o Options, capacitySectors uint64) ([]byte, error) {
	cid := o.CID
	if cid == 0 {
		cid = 0xfffffffe
	}
	adapter := o.Adapter
	if adapter == "" {
		adapter = "lsilogic"
	}
	hw := o.Hardware
	if hw == 0 {
		hw = 19
	}
	cylinders := capacitySectors / (255 * 63)
	var t strings.Builder
	t.WriteString("# Disk DescriptorFile\nversion=1 \n")
	fmt.Fprintf(&t, "CID=%08x \nparentCID=ffffffff \n", cid)
	t.WriteString("createType=\"streamOptimized\" \n\n# Extent description\n")
	fmt.Fprintf(&t, "RDONLY %d SPARSE \"generated-stream.vmdk\"\n\n", capacitySectors)
	t.WriteString("# The Disk Data Base \n#DDB\n\n")
	fmt.Fprintf(&t, "ddb.adapterType = \"%s\"\n", adapter)
	fmt.Fprintf(&t, "ddb.geometry.cylinders = \"%d\"\n", cylinders)
	t.WriteString("ddb.geometry.heads = \"255\"\nddb.geometry.sectors = \"63\"\n")
	fmt.Fprintf(&t, "ddb.virtualHWVersion = \"%d\"", hw)
	if t.Len() > descriptorLen*SectorSize {
		return nil, fmt.Errorf("descriptor of %d bytes does not fit its sector", t.Len())
	}
	b := make([]byte, descriptorLen*SectorSize)
	copy(b, t.String())
	return b, nil
}
