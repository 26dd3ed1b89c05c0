package main

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"

	"github.com/vmware/govmomi/vim25/types"
)

// control is the tests' own door, on plain HTTP.
func (s *Sim) control() http.Handler {
	m := http.NewServeMux()
	m.HandleFunc("/faults", s.serveFaults)
	m.HandleFunc("GET /state", func(w http.ResponseWriter, r *http.Request) { reply(w, s.state()) })
	m.HandleFunc("GET /calls", func(w http.ResponseWriter, r *http.Request) {
		s.calls.mu.Lock()
		defer s.calls.mu.Unlock()
		reply(w, s.calls)
	})
	m.HandleFunc("DELETE /calls", func(w http.ResponseWriter, r *http.Request) {
		s.calls.reset()
		reply(w, struct{}{})
	})
	m.HandleFunc("POST /expire-sessions", func(w http.ResponseWriter, r *http.Request) {
		n := s.sessions.expireAll()
		s.expireREST()
		reply(w, map[string]int{"expired": n})
	})
	m.HandleFunc("POST /options", s.serveOptions)
	m.HandleFunc("POST /privileges", s.servePrivileges)
	m.HandleFunc("POST /host", s.serveHost)
	m.HandleFunc("POST /cluster", s.serveCluster)
	m.HandleFunc("POST /datastore", s.serveDatastore)
	m.HandleFunc("POST /guest-write", s.serveGuestWrite)
	m.HandleFunc("POST /guest-load", s.serveGuestLoad)
	m.HandleFunc("GET /journal", s.journal.serve)
	m.HandleFunc("DELETE /journal", s.journal.serve)
	m.HandleFunc("POST /restart", s.serveRestart)
	m.HandleFunc("POST /disk-add", s.serveDiskAdd)
	m.HandleFunc("POST /disk-remove", s.serveDiskRemove)
	m.HandleFunc("POST /disk-grow", s.serveDiskGrow)
	m.HandleFunc("POST /vmotion", s.serveMove)
	m.HandleFunc("POST /rename", s.serveRename)
	m.HandleFunc("GET /digest", s.serveDigest)
	m.HandleFunc("POST /question", s.serveQuestion)
	m.HandleFunc("POST /cbt-reset", s.serveCBTReset)
	m.HandleFunc("GET /frozen", s.serveFrozen)
	m.HandleFunc("GET /snapshot-image", s.serveImage)
	m.HandleFunc("POST /save-frozen", s.serveSave)
	return m
}

func (s *Sim) pick(w http.ResponseWriter, name string, disk int) (*VM, *Disk) {
	vm := s.vmByName(name)
	switch {
	case vm == nil:
		http.Error(w, fmt.Sprintf("no VM '%s'", name), http.StatusNotFound)
	case disk < 0 || disk >= len(vm.diskList()):
		http.Error(w, fmt.Sprintf("VM '%s' has no disk %d", name, disk), http.StatusNotFound)
	default:
		return vm, vm.diskList()[disk]
	}
	return nil, nil
}

// pattern makes the bytes of a guest write; the same seed gives the same.
func pattern(kind string, seed uint64, p []byte) error {
	switch kind {
	case "zero":
		clear(p)
	case "text", "random", "":
		fillRandom(p, rand.New(rand.NewPCG(seed, 3)), kind == "text")
	default:
		return fmt.Errorf("pattern '%s' is none of random, zero, text", kind)
	}
	return nil
}

// writeAs is the guest's write, or, forced, one from outside.
func (vm *VM) writeAs(force bool, d *Disk, p []byte, off int64) error {
	if !force {
		return vm.write(d, p, off)
	}
	vm.writers.RLock()
	defer vm.writers.RUnlock()
	return d.write(p, off)
}

func (s *Sim) serveGuestWrite(w http.ResponseWriter, r *http.Request) {
	var in struct {
		VM      string `json:"vm"`
		Disk    int    `json:"disk"`
		Offset  int64  `json:"offset"`
		Length  int64  `json:"length"`
		Pattern string `json:"pattern"`
		Seed    uint64 `json:"seed"`
		Force   bool   `json:"force"` // write though the VM is off
	}
	if !decode(w, r, &in) {
		return
	}
	vm, d := s.pick(w, in.VM, in.Disk)
	if vm == nil {
		return
	}
	if in.Length < 0 || in.Offset < 0 || in.Length > d.size-in.Offset {
		http.Error(w, "the area is outside the disk", http.StatusBadRequest)
		return
	}
	buf := make([]byte, min(in.Length, mib))
	for done := int64(0); done < in.Length; {
		p := buf[:min(in.Length-done, int64(len(buf)))]
		err := pattern(in.Pattern, in.Seed+uint64(done/mib), p)
		if err == nil {
			err = vm.writeAs(in.Force, d, p, in.Offset+done)
		}
		if errors.Is(err, errHalted) {
			http.Error(w, fmt.Sprintf("VM '%s' is not running", vm.name), http.StatusConflict)
			return
		}
		if err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		done += int64(len(p))
	}
	reply(w, map[string]int64{"written": in.Length})
}

func (s *Sim) serveCBTReset(w http.ResponseWriter, r *http.Request) {
	var in struct {
		VM string `json:"vm"`
	}
	if !decode(w, r, &in) {
		return
	}
	vm := s.vmByName(in.VM)
	if vm == nil {
		http.Error(w, fmt.Sprintf("no VM '%s'", in.VM), http.StatusNotFound)
		return
	}
	vm.writers.Lock()
	for _, d := range vm.diskList() {
		d.mu.Lock()
		if d.cbt.active {
			d.cbt.reset()
		}
		d.mu.Unlock()
	}
	vm.writers.Unlock()
	s.rebase(s.context(), vm)
	reply(w, struct{}{})
}

// state is everything a test may want to see afterwards.
func (s *Sim) state() map[string]any {
	type snap struct {
		Moref    string `json:"moref"`
		Name     string `json:"name"`
		Quiesced bool   `json:"quiesced"`
	}
	ctx := s.context()
	vms, leases := []map[string]any{}, []map[string]any{}
	s.mu.Lock()
	order, all := append([]*VM(nil), s.order...), append([]*Lease(nil), s.allLeases...)
	s.mu.Unlock()
	for _, vm := range order {
		if vm.filler {
			continue
		}
		snaps := []snap{}
		v := map[string]any{"name": vm.name, "moref": vm.ref.Value}
		ctx.WithLock(vm.obj, func() {
			o := vm.obj
			if o.Snapshot != nil {
				walkTree(o.Snapshot.RootSnapshotList, func(t types.VirtualMachineSnapshotTree) {
					snaps = append(snaps, snap{t.Snapshot.Value, t.Name, t.Quiesced})
				})
			}
			v["power"] = map[bool]string{true: "on", false: "off"}[o.Runtime.PowerState == poweredOn]
			v["consolidationNeeded"] = o.Runtime.ConsolidationNeeded
			v["annotation"] = o.Config.Annotation
			v["changeTrackingEnabled"] = o.Config.ChangeTrackingEnabled != nil && *o.Config.ChangeTrackingEnabled
		})
		vm.mu.Lock()
		v["busy"], v["held"] = vm.task != nil, vm.lease != nil
		vm.mu.Unlock()
		disks := []map[string]any{}
		for _, d := range vm.diskList() {
			d.mu.RLock()
			one := map[string]any{"key": d.key, "path": d.path, "size": d.size,
				"cbtActive": d.cbt.active, "changeId": d.cbt.changeID(d.cbt.epoch), "frozen": len(d.chain)}
			d.mu.RUnlock()
			vm.mu.Lock()
			if l := vm.load[d.key]; l != nil {
				one["load"] = l.state()
			}
			vm.mu.Unlock()
			disks = append(disks, one)
		}
		v["snapshots"], v["disks"] = snaps, disks
		vms = append(vms, v)
	}
	for _, l := range all {
		l.mu.Lock()
		sent := map[string]int64{}
		for k, n := range l.sent {
			sent[k] = n
		}
		leases = append(leases, map[string]any{"vm": l.vm.name, "lease": l.obj.Self.Value, "state": l.state,
			"held": l.ctx.Err() == nil, "timedOut": l.timedOut, "percent": l.percent, "streams": l.streams, "sent": sent})
		l.mu.Unlock()
	}
	return map[string]any{"vms": vms, "leases": leases, "sessions": s.sessions.live()}
}

func walkTree(tree []types.VirtualMachineSnapshotTree, fn func(types.VirtualMachineSnapshotTree)) {
	for _, t := range tree {
		fn(t)
		walkTree(t.ChildSnapshotList, fn)
	}
}
