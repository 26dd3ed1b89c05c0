// Package libnbd stands where CDI's importer imports libguestfs.org/libnbd, the cgo binding that its
// VDDK source reads through. It has the names which that source compiles against, and is a client of
// the NBD protocol of its own, in Go: without the binding CDI's programs need no C compiler.
//
// One request at a time, no TLS, no retries: as CDI's importer uses it.
//
// Source: NetworkBlockDevice/nbd, doc/proto.md (fixed newstyle handshake, structured replies,
// NBD_OPT_SET_META_CONTEXT, NBD_CMD_BLOCK_STATUS).
package libnbd

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"net/url"
)

// LibnbdError is what the binding returns for a failed call.
type LibnbdError struct {
	Op     string
	Errmsg string
}

func (e *LibnbdError) Error() string {
	return e.Op + ": " + e.Errmsg
}

func failed(op string, err error) error {
	return &LibnbdError{Op: op, Errmsg: err.Error()}
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

// Libnbd is a handle.
type Libnbd struct {
	conn     net.Conn
	contexts []string          // asked for
	names    map[uint32]string // of contexts that the server gives
	size     uint64
	cookie   uint64
}

// Create makes a handle that is not connected yet.
func Create() (*Libnbd, error) {
	return &Libnbd{names: map[uint32]string{}}, nil
}

// AddMetaContext asks for block status of that kind; before the connection.
func (h *Libnbd) AddMetaContext(name string) error {
	h.contexts = append(h.contexts, name)
	return nil
}

// ConnectUri takes nbd+unix://?socket=PATH alone.
func (h *Libnbd) ConnectUri(uri string) error {
	parsed, err := url.Parse(uri)
	if err != nil {
		return failed("nbd_connect_uri", err)
	}
	if parsed.Scheme != "nbd+unix" || parsed.Query().Get("socket") == "" {
		return failed("nbd_connect_uri", fmt.Errorf("%q is no URI of a socket", uri))
	}
	if h.conn, err = net.Dial("unix", parsed.Query().Get("socket")); err != nil {
		return failed("nbd_connect_uri", err)
	}
	if err = h.negotiate(); err != nil {
		return failed("nbd_connect_uri", err)
	}
	return nil
}

// GetSize is the export's size in bytes.
func (h *Libnbd) GetSize() (uint64, error) {
	if h.conn == nil {
		return 0, failed("nbd_get_size", errNotConnected)
	}
	return h.size, nil
}

// Pread fills the buffer from the offset on.
func (h *Libnbd) Pread(buf []byte, offset uint64, _ *PreadOptargs) error {
	covered := 0
	err := h.command(cmdRead, 0, offset, uint32(len(buf)), func(kind uint16, data []byte) error {
		if len(data) < 8 {
			return errShortChunk
		}
		start := binary.BigEndian.Uint64(data) - offset
		data = data[8:]
		switch kind {
		case replyOffsetData:
		case replyOffsetHole:
			if len(data) != 4 {
				return errShortChunk
			}
			data = make([]byte, min(int(binary.BigEndian.Uint32(data)), len(buf)))
		default:
			return fmt.Errorf("chunk of type %d in a read", kind)
		}
		if start > uint64(len(buf)) || uint64(len(data)) > uint64(len(buf))-start {
			return errors.New("chunk outside of what was asked for")
		}
		covered += copy(buf[start:], data)
		return nil
	})
	if err == nil && covered != len(buf) {
		err = fmt.Errorf("%d of %d bytes came", covered, len(buf))
	}
	if err != nil {
		return failed("nbd_pread", err)
	}
	return nil
}

// BlockStatus calls back with the extents from the offset on, of each context.
func (h *Libnbd) BlockStatus(count, offset uint64, extent ExtentCallback, opt *BlockStatusOptargs) error {
	var flags uint16
	if opt != nil && opt.FlagsSet {
		flags = uint16(opt.Flags)
	}
	err := h.command(cmdBlockStatus, flags, offset, uint32(min(count, maxRequest)), func(kind uint16, data []byte) error {
		if kind != replyBlockStatus || len(data) < 12 || len(data)%8 != 4 {
			return fmt.Errorf("chunk of type %d and %d bytes as block status", kind, len(data))
		}
		var entries []uint32
		for rest := data[4:]; len(rest) > 0; rest = rest[4:] {
			entries = append(entries, binary.BigEndian.Uint32(rest))
		}
		code := 0
		if extent(h.names[binary.BigEndian.Uint32(data)], offset, entries, &code) < 0 {
			return errors.New("the callback refused it")
		}
		return nil
	})
	if err != nil {
		return failed("nbd_block_status", err)
	}
	return nil
}

// Close tells the server, and ends the connection.
func (h *Libnbd) Close() *LibnbdError {
	if h.conn == nil {
		return nil
	}
	_, _ = h.conn.Write(h.request(cmdDisconnect, 0, 0, 0))
	err := h.conn.Close()
	h.conn = nil
	if err != nil {
		return &LibnbdError{Op: "nbd_close", Errmsg: err.Error()}
	}
	return nil
}

var (
	errNotConnected = errors.New("not connected")
	errShortChunk   = errors.New("chunk cut short")
)

func (h *Libnbd) read(n uint32) ([]byte, error) {
	data := make([]byte, n)
	_, err := io.ReadFull(h.conn, data)
	return data, err
}
