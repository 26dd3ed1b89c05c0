package streamvmdk

import (
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"io"
	"runtime"
	"sync"

	"github.com/klauspost/compress/zlib"
)

// Source is the disk to be sent. Its methods are called from several
// goroutines at once.
type Source interface {
	// Size is the capacity in bytes, a multiple of 512.
	Size() int64
	// NextData returns the first grain at or after grain that may hold
	// something else than zeros, or a negative number when there is none.
	NextData(grain int64) int64
	// ReadGrain fills buf, one grain long, with zeros beyond the capacity.
	// It reports false when it knows that the grain is all zero.
	ReadGrain(grain int64, buf []byte) (bool, error)
}

// Options shape the stream. The zero value is usable.
type Options struct {
	CID      uint32
	Adapter  string
	Hardware int
	Workers  int
}

// job is one grain on its way through a deflating worker.
type job struct {
	grain int64
	in    []byte
	out   bytes.Buffer
	empty bool
	err   error
	done  chan struct{}
}

var zeroGrain [GrainSize]byte

// Write sends the whole disk to w: header, descriptor, the non-zero grains
// with a table after each 512, grain directory, footer, end of stream.
func Write(ctx context.Context, w io.Writer, src Source, o Options) error {
	size := src.Size()
	if size <= 0 || size%SectorSize != 0 {
		return fmt.Errorf("disk size %d is not a positive multiple of %d", size, SectorSize)
	}
	capacity := uint64(size / SectorSize)
	desc, err := descriptor(o, capacity)
	if err != nil {
		return err
	}
	e := &emitter{w: w, capacity: capacity}
	tables := (capacity + GrainSectors*EntriesPerTable - 1) / (GrainSectors * EntriesPerTable)
	e.directory = make([]uint32, tables)
	e.put(header(capacity, gdAtEnd))
	e.put(desc)
	e.put(make([]byte, (overHead-1-descriptorLen)*SectorSize))
	if err := e.grains(ctx, src, o.Workers); err != nil {
		return err
	}
	return e.finish()
}

// emitter writes records in order and remembers where the grains went.
type emitter struct {
	w         io.Writer
	err       error
	at        uint64
	capacity  uint64
	directory []uint32
	table     [EntriesPerTable]uint32
	tableNo   int64
	tableUsed bool
}

func (e *emitter) put(b []byte) {
	if e.err != nil {
		return
	}
	if _, err := e.w.Write(b); err != nil {
		e.err = err
		return
	}
	e.at += uint64(len(b)) / SectorSize
}

// grains runs the pipeline: one goroutine hands out grain numbers, workers
// read and deflate, and this goroutine writes in order.
func (e *emitter) grains(ctx context.Context, src Source, workers int) error {
	if workers <= 0 {
		workers = runtime.GOMAXPROCS(0)
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	depth := workers * 16
	pool := sync.Pool{New: func() any {
		return &job{in: make([]byte, GrainSize)}
	}}
	work := make(chan *job, depth)
	order := make(chan *job, depth)
	var wg sync.WaitGroup
	for i := 0; i < workers; i++ {
		wg.Add(1)
		go func() {
			defer wg.Done()
			deflateJobs(src, work)
		}()
	}
	go func() {
		defer close(order)
		defer close(work)
		total := (src.Size() + GrainSize - 1) / GrainSize
		for g := src.NextData(0); g >= 0 && g < total; g = src.NextData(g + 1) {
			j := pool.Get().(*job)
			j.grain, j.done = g, make(chan struct{})
			select {
			case work <- j:
			case <-ctx.Done():
				return
			}
			order <- j
		}
	}()
	for j := range order {
		<-j.done
		if j.err != nil && e.err == nil {
			e.err = j.err
		}
		if e.err == nil && ctx.Err() == nil {
			e.grain(j)
		}
		if e.err != nil {
			cancel()
		}
		pool.Put(j)
	}
	wg.Wait()
	if e.err == nil && ctx.Err() != nil {
		e.err = context.Cause(ctx)
	}
	e.flushTable()
	return e.err
}

func deflateJobs(src Source, work <-chan *job) {
	z, err := zlib.NewWriterLevel(io.Discard, zlib.BestSpeed)
	for j := range work {
		j.out.Reset()
		j.err, j.empty = err, false
		if err == nil {
			deflate(src, z, j)
		}
		close(j.done)
	}
}

func deflate(src Source, z *zlib.Writer, j *job) {
	data, err := src.ReadGrain(j.grain, j.in)
	if err != nil {
		j.err = err
		return
	}
	if !data || bytes.Equal(j.in, zeroGrain[:]) {
		j.empty = true
		return
	}
	var head [12]byte
	j.out.Write(head[:])
	z.Reset(&j.out)
	if _, j.err = z.Write(j.in); j.err != nil {
		return
	}
	if j.err = z.Close(); j.err != nil {
		return
	}
	b := j.out.Bytes()
	binary.LittleEndian.PutUint64(b[0:], uint64(j.grain)*GrainSectors)
	binary.LittleEndian.PutUint32(b[8:], uint32(len(b)-12))
	if pad := -len(b) & (SectorSize - 1); pad > 0 {
		j.out.Write(zeroGrain[:pad])
	}
}

func (e *emitter) grain(j *job) {
	if j.empty {
		return
	}
	if no := j.grain / EntriesPerTable; no != e.tableNo {
		e.flushTable()
		e.tableNo = no
	}
	e.table[j.grain%EntriesPerTable] = uint32(e.at)
	e.tableUsed = true
	e.put(j.out.Bytes())
}

// flushTable writes the current grain table; a table without grains is
// absent and its directory entry stays 0.
func (e *emitter) flushTable() {
	if !e.tableUsed {
		return
	}
	e.put(marker(tableSectors, markerGrainTable))
	e.directory[e.tableNo] = uint32(e.at)
	e.put(packed(e.table[:]))
	clear(e.table[:])
	e.tableUsed = false
}

func (e *emitter) finish() error {
	dir := packed(e.directory)
	e.put(marker(uint64(len(dir)/SectorSize), markerGrainDirectory))
	gd := e.at
	e.put(dir)
	e.put(marker(1, markerFooter))
	e.put(header(e.capacity, gd))
	e.put(marker(0, markerEndOfStream))
	return e.err
}

// packed returns the entries as bytes, padded to a sector.
func packed(entries []uint32) []byte {
	n := len(entries) * 4
	b := make([]byte, n+(-n&(SectorSize-1)))
	for i, v := range entries {
		binary.LittleEndian.PutUint32(b[i*4:], v)
	}
	return b
}
