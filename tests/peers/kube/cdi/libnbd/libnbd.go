// Package libnbd stands where CDI's importer imports libguestfs.org/libnbd, the cgo binding that its
// VDDK source reads through. It has the names that source compiles against and refuses every call:
// this cluster runs no VDDK import. The upload server and blank disks never come here, and without
// the binding CDI's programs need no C compiler.
package libnbd

// LibnbdError is what the binding returns for a failed call.
type LibnbdError struct {
	Op     string
	Errmsg string
}

func (e *LibnbdError) Error() string {
	return e.Op + ": " + e.Errmsg
}

func refused(op string) *LibnbdError {
	return &LibnbdError{Op: op, Errmsg: "this build of CDI has no libnbd"}
}

const (
	CMD_FLAG_REQ_ONE CmdFlag = 1 << 3

	STATE_HOLE uint32 = 1 << 0
	STATE_ZERO uint32 = 1 << 1
)

// CmdFlag holds the NBD_CMD_FLAG bits of a request.
type CmdFlag uint32

// ExtentCallback receives block status as pairs of length and flags.
type ExtentCallback func(metacontext string, offset uint64, entries []uint32, error *int) int

// PreadOptargs are the optional arguments of Pread.
type PreadOptargs struct {
	FlagsSet bool
	Flags    CmdFlag
}

// BlockStatusOptargs are the optional arguments of BlockStatus.
type BlockStatusOptargs struct {
	FlagsSet bool
	Flags    CmdFlag
}

// Libnbd is a handle; there is never one.
type Libnbd struct{}

// Create always fails.
func Create() (*Libnbd, error) {
	return nil, refused("nbd_create")
}

func (h *Libnbd) AddMetaContext(string) error { return refused("nbd_add_meta_context") }

func (h *Libnbd) ConnectUri(string) error { return refused("nbd_connect_uri") }

func (h *Libnbd) GetSize() (uint64, error) { return 0, refused("nbd_get_size") }

func (h *Libnbd) Pread([]byte, uint64, *PreadOptargs) error { return refused("nbd_pread") }

func (h *Libnbd) BlockStatus(uint64, uint64, ExtentCallback, *BlockStatusOptargs) error {
	return refused("nbd_block_status")
}

func (h *Libnbd) Close() *LibnbdError { return nil }
