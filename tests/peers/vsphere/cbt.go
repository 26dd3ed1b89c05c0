package main

import (
	"crypto/rand"
	"fmt"
	"strconv"
	"strings"

	"github.com/vmware/govmomi/simulator"
	"github.com/vmware/govmomi/vim25/methods"
	"github.com/vmware/govmomi/vim25/soap"
	"github.com/vmware/govmomi/vim25/types"
)

// tracker is the change tracking of one disk. Each snapshot closes an epoch
// and keeps the blocks written in it, so that a question between any two
// epochs has an exact answer.
type tracker struct {
	active bool
	id     [16]byte
	epoch  int
	first  int
	blocks int64
	now    bitset
	past   map[int]bitset
}

func (t *tracker) init(blocks int64) { t.blocks = blocks }

// reset starts a new identity: every change ID given out before is void.
func (t *tracker) reset() {
	_, _ = rand.Read(t.id[:])
	t.active, t.epoch, t.first = true, 1, 1
	t.now, t.past = newBitset(t.blocks), map[int]bitset{}
}

func (t *tracker) stop() { *t = tracker{blocks: t.blocks} }

func (t *tracker) mark(b int64) {
	if t.active {
		t.now.set(b)
	}
}

// changeID is what a client sees: 16 bytes in two groups, and the epoch.
func (t *tracker) changeID(epoch int) string {
	if !t.active {
		return ""
	}
	var s strings.Builder
	for i, b := range t.id {
		switch {
		case i == 8:
			s.WriteByte('-')
		case i > 0:
			s.WriteByte(' ')
		}
		fmt.Fprintf(&s, "%02x", b)
	}
	return fmt.Sprintf("%s/%d", s.String(), epoch)
}

// closeEpoch ends the current epoch and returns its change ID.
func (t *tracker) closeEpoch() (string, int) {
	if !t.active {
		return "", 0
	}
	e := t.epoch
	t.past[e] = t.now
	t.now = newBitset(t.blocks)
	t.epoch++
	return t.changeID(e), e
}

// since returns the blocks written after the epoch of id and up to the epoch
// until, or up to now when until is 0.
func (t *tracker) since(id string, until int) (bitset, bool) {
	uuid, num, ok := strings.Cut(id, "/")
	mine, _, _ := strings.Cut(t.changeID(0), "/")
	from, err := strconv.Atoi(num)
	if !ok || !t.active || uuid != mine || err != nil || from < t.first || from >= t.epoch {
		return nil, false
	}
	sum := newBitset(t.blocks)
	last := until
	if until == 0 {
		last = t.epoch - 1
		sum.or(t.now)
	}
	if from > last {
		return nil, false
	}
	for e := from + 1; e <= last; e++ {
		sum.or(t.past[e])
	}
	return sum, true
}

// changeIDForm tells a malformed ID from an unknown one.
func changeIDForm(id string) bool {
	uuid, num, ok := strings.Cut(id, "/")
	_, err := strconv.Atoi(num)
	return ok && err == nil && len(uuid) == 47 && uuid[23] == '-'
}

// QueryChangedDiskAreas answers for a snapshot of the VM, or for the VM
// itself while it is powered off.
func (x *ext) QueryChangedDiskAreas(ctx *simulator.Context, req *types.QueryChangedDiskAreas) soap.HasFault {
	body := new(methods.QueryChangedDiskAreasBody)
	info, fault := x.s.changedAreas(ctx, req)
	if fault != nil {
		body.Fault_ = newFault(fault)
		return body
	}
	body.Res = &types.QueryChangedDiskAreasResponse{Returnval: *info}
	return body
}

func (s *Sim) changedAreas(ctx *simulator.Context, req *types.QueryChangedDiskAreas) (*types.DiskChangeInfo, types.BaseMethodFault) {
	vm := s.vm(req.This)
	d := vm.disk(req.DeviceKey)
	if d == nil {
		return nil, &types.NotFound{}
	}
	var snap *Snapshot
	if req.Snapshot != nil {
		if snap = s.snapshot(*req.Snapshot); snap == nil || snap.vm != vm {
			return nil, &types.ManagedObjectNotFound{Obj: *req.Snapshot}
		}
	} else if vm.powerState(ctx) != types.VirtualMachinePowerStatePoweredOff {
		return nil, &types.InvalidPowerState{
			RequestedState: types.VirtualMachinePowerStatePoweredOff,
			ExistingState:  vm.powerState(ctx),
		}
	}
	if req.StartOffset < 0 || req.StartOffset >= d.size {
		return nil, &types.InvalidArgument{InvalidProperty: "startOffset"}
	}
	if req.ChangeId != "*" && !changeIDForm(req.ChangeId) {
		return nil, &types.InvalidArgument{InvalidProperty: "changeId"}
	}
	changed, ok := d.changed(req.ChangeId, snap)
	if !ok {
		return nil, &types.FileFault{File: vmfsPath(d.file)}
	}
	return s.areaReply(d, changed, req.StartOffset), nil
}

// changed returns the blocks a question is about; false when the tracking
// cannot tell.
func (d *Disk) changed(id string, snap *Snapshot) (bitset, bool) {
	d.mu.RLock()
	defer d.mu.RUnlock()
	if !d.cbt.active {
		return nil, false
	}
	if snap == nil {
		if id == "*" {
			return d.alloc.clone(), true
		}
		return d.cbt.since(id, 0)
	}
	st := snap.disks[d.key]
	if st == nil || st.changeID == "" || st.changeID != d.cbt.changeID(st.epoch) {
		return nil, false
	}
	if id == "*" {
		return st.frozen.alloc.clone(), true
	}
	return d.cbt.since(id, st.epoch)
}

// areaReply cuts one reply out of the changed blocks. Its length says how far
// it speaks: to the capacity, to the end of the window the server allows, or
// to the end of the last area that fits.
func (s *Sim) areaReply(d *Disk, changed bitset, start int64) *types.DiskChangeInfo {
	s.mu.Lock()
	limit, window := s.opt.maxAreas, s.opt.areaWindow
	s.mu.Unlock()
	end := d.size
	if window > 0 {
		end = min(end, start+window)
	}
	r := &types.DiskChangeInfo{StartOffset: start, Length: end - start}
	for b := changed.next(start / blockSize); b >= 0 && b*blockSize < end; {
		from := max(b*blockSize, start)
		last := b
		for (last+1)*blockSize < end && changed.get(last+1) {
			last++
		}
		to := min((last+1)*blockSize, end)
		if len(r.ChangedArea) == limit {
			prev := r.ChangedArea[limit-1]
			r.Length = prev.Start + prev.Length - start
			break
		}
		r.ChangedArea = append(r.ChangedArea, types.DiskChangeExtent{Start: from, Length: to - from})
		b = changed.next(last + 1)
	}
	return r
}
