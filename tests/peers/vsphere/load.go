package main

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"sync/atomic"
	"time"
)

// loadMix weighs the kinds of writes against each other.
type loadMix struct {
	Random     int `json:"random"`     // noise or text anywhere
	Sequential int `json:"sequential"` // noise or text, one piece after the other
	Zero       int `json:"zero"`       // zeros anywhere
	Trim       int `json:"trim"`       // a discard anywhere: zeros, and a hole
}

func (m loadMix) sum() int { return m.Random + m.Sequential + m.Zero + m.Trim }

// loadOrder is the body of POST /guest-load.
type loadOrder struct {
	VM    string  `json:"vm"`
	Disk  int     `json:"disk"`
	Disks []int   `json:"disks"` // in the place of disk
	Rate  int64   `json:"bytes_per_second"`
	Mix   loadMix `json:"mix"`
	Min   int64   `json:"min_bytes"`
	Max   int64   `json:"max_bytes"`
	From  int64   `json:"from"` // the area that is written to
	To    int64   `json:"to"`   // 0: the disk's end
	Seed  uint64  `json:"seed"`
}

// load is one disk's share of an order. The same seed gives the same writes in
// the same order, however fast they come.
type load struct {
	vm   *VM
	d    *Disk
	o    loadOrder
	stop chan struct{}
	rand *rand.Rand
	next int64 // where the sequential writer is

	writes, data, zero, trim atomic.Int64 // writes, and bytes of each kind
}

var errHalted = errors.New("the VM is not running")

// complete fills in what the order leaves open.
func (o *loadOrder) complete(d *Disk) error {
	setDefault(&o.Min, 16<<10)
	setDefault(&o.Max, o.Min)
	if o.To == 0 || o.To > d.size {
		o.To = d.size
	}
	if o.Mix.sum() == 0 {
		o.Mix.Random = 1
	}
	if o.Seed == 0 {
		o.Seed = uint64(time.Now().UnixNano())
	}
	for _, n := range []int{o.Mix.Random, o.Mix.Sequential, o.Mix.Zero, o.Mix.Trim} {
		if n < 0 {
			return fmt.Errorf("a share of the mix is negative")
		}
	}
	if o.Min < 512 || o.Min%512 != 0 || o.Max < o.Min || o.Max > 64*mib {
		return fmt.Errorf("pieces of %d to %d bytes are not 512 bytes to 64 MiB", o.Min, o.Max)
	}
	if o.From < 0 || o.From%512 != 0 || o.From >= o.To {
		return fmt.Errorf("the area from %d to %d is none of the disk", o.From, o.To)
	}
	return nil
}

func (s *Sim) serveGuestLoad(w http.ResponseWriter, r *http.Request) {
	var in loadOrder
	if !decode(w, r, &in) {
		return
	}
	numbers := in.Disks
	if len(numbers) == 0 {
		numbers = []int{in.Disk}
	}
	var orders []*load
	for _, n := range numbers {
		vm, d := s.pick(w, in.VM, n)
		if vm == nil {
			return
		}
		l := &load{vm: vm, d: d, o: in, stop: make(chan struct{})}
		if err := l.o.complete(d); err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		l.rand = rand.New(rand.NewPCG(l.o.Seed, uint64(d.key)))
		l.next = l.o.From
		orders = append(orders, l)
	}
	for _, l := range orders {
		l.vm.replaceLoad(l, in.Rate > 0)
	}
	reply(w, map[string]int64{"bytes_per_second": in.Rate})
}

// replaceLoad ends the disk's load and starts another one.
func (vm *VM) replaceLoad(l *load, start bool) {
	vm.mu.Lock()
	defer vm.mu.Unlock()
	if old := vm.load[l.d.key]; old != nil {
		close(old.stop)
		delete(vm.load, l.d.key)
	}
	if start {
		vm.load[l.d.key] = l
		go l.run()
	}
}

// run writes until it is told to stop. While the VM is off, it waits.
func (l *load) run() {
	buf := make([]byte, l.o.Max)
	start, done := time.Now(), int64(0)
	for {
		due := time.Duration(float64(done) / float64(l.o.Rate) * float64(time.Second))
		select {
		case <-l.stop:
			return
		case <-time.After(due - time.Since(start)):
		}
		n, err := l.write(buf)
		switch {
		case errors.Is(err, errHalted):
			start, done = time.Now().Add(20*time.Millisecond), 0
		case err != nil:
			return
		default:
			done += n
		}
	}
}

// write makes the next piece; its dice are cast before the VM's state is
// looked at, so a halt costs a piece and changes no later one.
func (l *load) write(buf []byte) (int64, error) {
	sizes := 1
	for l.o.Min<<sizes <= l.o.Max {
		sizes++
	}
	n := l.o.Min << l.rand.IntN(sizes)
	room := l.o.To - l.o.From
	n = min(n, room)
	kind := l.rand.IntN(l.o.Mix.sum())
	off := l.o.From + l.rand.Int64N(room-n+1)&^511
	p := buf[:n]
	switch m := l.o.Mix; {
	case kind < m.Random+m.Sequential:
		if kind >= m.Random {
			if l.next+n > l.o.To {
				l.next = l.o.From
			}
			off = l.next
			l.next += n
		}
		fillRandom(p, l.rand, l.rand.IntN(2) == 0)
		return n, l.count(&l.data, n, l.vm.write(l.d, p, off))
	case kind < m.Random+m.Sequential+m.Zero:
		clear(p)
		return n, l.count(&l.zero, n, l.vm.write(l.d, p, off))
	}
	return n, l.count(&l.trim, n, l.vm.discard(l.d, off, n))
}

func (l *load) count(bytes *atomic.Int64, n int64, err error) error {
	if err == nil {
		l.writes.Add(1)
		bytes.Add(n)
	}
	return err
}

// state is what /state tells of a load.
func (l *load) state() map[string]int64 {
	return map[string]int64{"bytes_per_second": l.o.Rate, "writes": l.writes.Load(),
		"data_bytes": l.data.Load(), "zero_bytes": l.zero.Load(), "trim_bytes": l.trim.Load()}
}

// write is the guest's: a freeze or a halt comes between two of them only.
func (vm *VM) write(d *Disk, p []byte, off int64) error {
	vm.writers.RLock()
	defer vm.writers.RUnlock()
	if vm.halted {
		return errHalted
	}
	return d.write(p, off)
}

func (vm *VM) discard(d *Disk, off, n int64) error {
	vm.writers.RLock()
	defer vm.writers.RUnlock()
	if vm.halted {
		return errHalted
	}
	return d.discard(off, n)
}

// halt says whether the guest runs; once it returns no write of the guest is
// under way that was begun before.
func (vm *VM) halt(yes bool) {
	vm.writers.Lock()
	vm.halted = yes
	vm.writers.Unlock()
}
