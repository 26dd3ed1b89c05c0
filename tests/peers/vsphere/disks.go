package main

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"sync"
	"syscall"
	"time"

	"github.com/vmware/govmomi/vim25/types"
	"golang.org/x/sys/unix"
)

// blockSize is the unit of copy-on-write and of change tracking. It is also
// the size of a VMDK grain, so an export needs no second cut.
const blockSize = 64 << 10

var zeroBlock [blockSize]byte

// Disk is one virtual disk over a raw file. A disk without a file (fillers)
// reads as zeros and takes no writes.
//
// Frozen states are a chain, oldest first. A write saves the old block in the
// newest state only; a state reads a block from its own overlay, else from the
// next newer one that has it, else from the live file.
type Disk struct {
	spec  *DiskSpec
	key   int32
	path  string
	size  int64
	label string
	uuid  string
	file  string // datastore path of the base disk, "[ds] vm/vm.vmdk"
	dsRef types.ManagedObjectReference

	mu      sync.RWMutex
	live    *os.File
	alloc   bitset
	chain   []*Frozen
	history []*Frozen
	cbt     tracker
}

// Frozen is the content of a disk at one moment.
type Frozen struct {
	d        *Disk
	id       int
	Kind     string    `json:"kind"`
	Snapshot string    `json:"snapshot,omitempty"`
	Name     string    `json:"name,omitempty"`
	At       time.Time `json:"at"`
	dropped  bool

	overlay *os.File
	have    bitset // the block is decided here
	data    bitset // and its bytes are in the overlay
	alloc   bitset // allocated when frozen
}

func (d *Disk) blocks() int64 { return (d.size + blockSize - 1) / blockSize }

// open attaches the live file, making a sparse one when it is absent.
func (d *Disk) open() error {
	d.alloc = newBitset(d.blocks())
	d.cbt.init(d.blocks())
	if d.path == "" {
		return nil
	}
	f, err := os.OpenFile(d.path, os.O_RDWR, 0)
	if err != nil {
		return err
	}
	d.live = f
	return eachExtent(f, d.size, func(off, end int64) {
		for b := off / blockSize; b*blockSize < end; b++ {
			d.alloc.set(b)
		}
	})
}

// eachExtent calls fn for each part of f below size that is not a hole.
func eachExtent(f *os.File, size int64, fn func(off, end int64)) error {
	for off := int64(0); off < size; {
		data, err := unix.Seek(int(f.Fd()), off, unix.SEEK_DATA)
		if errors.Is(err, syscall.ENXIO) {
			return nil
		}
		if err != nil {
			return fmt.Errorf("seek data in '%s': %w", f.Name(), err)
		}
		hole, err := unix.Seek(int(f.Fd()), data, unix.SEEK_HOLE)
		if err != nil {
			return fmt.Errorf("seek hole in '%s': %w", f.Name(), err)
		}
		if data >= size {
			return nil
		}
		fn(data, min(hole, size))
		off = hole
	}
	return nil
}

func (d *Disk) allocated() int64 {
	d.mu.RLock()
	defer d.mu.RUnlock()
	return min(d.alloc.count()*blockSize, d.size)
}

// freeze starts a new frozen state. The caller keeps writers out.
func (d *Disk) freeze(dir, kind string) (*Frozen, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	f := &Frozen{d: d, id: len(d.history), Kind: kind, At: time.Now(),
		have: newBitset(d.blocks()), data: newBitset(d.blocks()), alloc: d.alloc.clone()}
	if d.live != nil {
		name := filepath.Join(dir, fmt.Sprintf("frozen-%s-%d-%d", filepath.Base(d.path), d.key, f.id))
		o, err := os.OpenFile(name, os.O_RDWR|os.O_CREATE|os.O_TRUNC, 0o600)
		if err != nil {
			return nil, err
		}
		_ = os.Remove(name) // it lives as long as the descriptor
		f.overlay = o
	}
	d.chain = append(d.chain, f)
	d.history = append(d.history, f)
	return f, nil
}

// drop forgets a frozen state; what an older one needs moves there.
func (f *Frozen) drop() error {
	d := f.d
	d.mu.Lock()
	defer d.mu.Unlock()
	at := -1
	for i, c := range d.chain {
		if c == f {
			at = i
		}
	}
	if at < 0 {
		return nil
	}
	if at > 0 {
		older, buf := d.chain[at-1], make([]byte, blockSize)
		for b := f.have.next(0); b >= 0; b = f.have.next(b + 1) {
			if older.have.get(b) {
				continue
			}
			older.have.set(b)
			if !f.data.get(b) {
				continue
			}
			if err := preadBlock(f.overlay, b, buf); err != nil {
				return err
			}
			if _, err := older.overlay.WriteAt(buf, b*blockSize); err != nil {
				return err
			}
			older.data.set(b)
		}
	}
	d.chain = append(d.chain[:at:at], d.chain[at+1:]...)
	f.dropped = true
	if f.overlay != nil {
		return f.overlay.Close()
	}
	return nil
}

func preadBlock(f *os.File, b int64, buf []byte) error {
	n, err := f.ReadAt(buf, b*blockSize)
	if err == io.EOF {
		clear(buf[n:])
		return nil
	}
	return err
}

// saveOld keeps block b for the newest frozen state before it changes.
// The caller holds d.mu.
func (d *Disk) saveOld(b int64) error {
	if len(d.chain) == 0 {
		return nil
	}
	f := d.chain[len(d.chain)-1]
	if f.have.get(b) {
		return nil
	}
	if d.alloc.get(b) {
		buf := make([]byte, blockSize)
		if err := preadBlock(d.live, b, buf); err != nil {
			return err
		}
		if !bytes.Equal(buf, zeroBlock[:]) {
			if _, err := f.overlay.WriteAt(buf, b*blockSize); err != nil {
				return err
			}
			f.data.set(b)
		}
	}
	f.have.set(b)
	return nil
}

// write is the guest's write: old blocks are saved, changes are tracked.
func (d *Disk) write(p []byte, off int64) error {
	if d.live == nil {
		return fmt.Errorf("disk %d has no file behind it", d.key)
	}
	if off < 0 || int64(len(p)) > d.size-off {
		return fmt.Errorf("write of %d bytes at %d is outside the disk of %d bytes", len(p), off, d.size)
	}
	if len(p) == 0 {
		return nil
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	for b := off / blockSize; b*blockSize < off+int64(len(p)); b++ {
		if err := d.saveOld(b); err != nil {
			return err
		}
		d.alloc.set(b)
		d.cbt.mark(b)
	}
	_, err := d.live.WriteAt(p, off)
	return err
}

// discard is the guest's trim: what it names reads as zeros, and whole blocks
// are given back. Tracking counts it as a change.
func (d *Disk) discard(off, n int64) error {
	if d.live == nil || off < 0 || n < 0 || n > d.size-off {
		return fmt.Errorf("trim of %d bytes at %d is outside the disk", n, off)
	}
	if n == 0 {
		return nil
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	for b := off / blockSize; b*blockSize < off+n; b++ {
		if err := d.saveOld(b); err != nil {
			return err
		}
		d.cbt.mark(b)
		if off <= b*blockSize && min((b+1)*blockSize, d.size) <= off+n {
			d.alloc.unset(b)
		}
	}
	err := unix.Fallocate(int(d.live.Fd()), unix.FALLOC_FL_PUNCH_HOLE|unix.FALLOC_FL_KEEP_SIZE, off, n)
	if !errors.Is(err, syscall.EOPNOTSUPP) {
		return err
	}
	_, err = d.live.WriteAt(make([]byte, n), off)
	return err
}

// readBlock reads block b of a frozen state, or of the live disk when f is
// nil. It reports false for a block that is known to be zero.
func (d *Disk) readBlock(f *Frozen, b int64, buf []byte) (bool, error) {
	d.mu.RLock()
	defer d.mu.RUnlock()
	if f != nil {
		if f.dropped {
			return false, errors.New("the frozen state is gone")
		}
		found := false
		for _, c := range d.chain {
			found = found || c == f
			if !found || !c.have.get(b) {
				continue
			}
			if !c.data.get(b) {
				clear(buf)
				return false, nil
			}
			return true, preadBlock(c.overlay, b, buf)
		}
	}
	if d.live == nil || !d.alloc.get(b) {
		clear(buf)
		return false, nil
	}
	return true, preadBlock(d.live, b, buf)
}

// view is a disk as it was frozen, or live; it serves exports and downloads.
type view struct {
	d *Disk
	f *Frozen
}

func (v view) Size() int64 { return v.d.size }

func (v view) NextData(b int64) int64 {
	if v.f != nil {
		return v.f.alloc.next(b)
	}
	v.d.mu.RLock()
	defer v.d.mu.RUnlock()
	return v.d.alloc.next(b)
}

func (v view) ReadGrain(b int64, buf []byte) (bool, error) { return v.d.readBlock(v.f, b, buf) }

func (v view) ReadAt(p []byte, off int64) (int, error) {
	n, buf := 0, make([]byte, blockSize)
	for n < len(p) {
		at := off + int64(n)
		if at >= v.d.size {
			return n, io.EOF
		}
		if _, err := v.d.readBlock(v.f, at/blockSize, buf); err != nil {
			return n, err
		}
		end := min(int64(blockSize), v.d.size-at/blockSize*blockSize)
		n += copy(p[n:], buf[at%blockSize:end])
	}
	return n, nil
}

// save writes the view as a sparse raw file.
func (v view) save(path string) error {
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE|os.O_TRUNC, 0o644)
	if err != nil {
		return err
	}
	defer f.Close()
	if err := f.Truncate(v.d.size); err != nil {
		return err
	}
	buf := make([]byte, blockSize)
	for b := v.NextData(0); b >= 0; b = v.NextData(b + 1) {
		data, err := v.ReadGrain(b, buf)
		if err != nil {
			return err
		}
		if !data || bytes.Equal(buf, zeroBlock[:]) {
			continue
		}
		n := min(int64(blockSize), v.d.size-b*blockSize)
		if _, err := f.WriteAt(buf[:n], b*blockSize); err != nil {
			return err
		}
	}
	return f.Close()
}
