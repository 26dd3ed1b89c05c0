package main

import (
	"crypto/sha256"
	"fmt"
	"net/http"
	"strconv"
)

// frozenOf finds a frozen state by snapshot, or by its place in the history.
func (d *Disk) frozenOf(snapshot string, index int) (*Frozen, error) {
	d.mu.RLock()
	defer d.mu.RUnlock()
	if snapshot != "" {
		for _, f := range d.history {
			if f.Snapshot == snapshot && !f.dropped {
				return f, nil
			}
		}
		return nil, fmt.Errorf("no frozen state of snapshot '%s'", snapshot)
	}
	if index < 0 {
		index += len(d.history)
	}
	if index < 0 || index >= len(d.history) {
		return nil, fmt.Errorf("there are %d frozen states", len(d.history))
	}
	if f := d.history[index]; !f.dropped {
		return f, nil
	}
	return nil, fmt.Errorf("that frozen state is gone (start with --keep-frozen)")
}

func (s *Sim) serveFrozen(w http.ResponseWriter, r *http.Request) {
	disk, _ := strconv.Atoi(r.URL.Query().Get("disk"))
	vm, d := s.pick(w, r.URL.Query().Get("vm"), disk)
	if vm == nil {
		return
	}
	type entry struct {
		Index int `json:"index"`
		*Frozen
		Kept bool `json:"kept"`
	}
	d.mu.RLock()
	out := []entry{}
	for i, f := range d.history {
		c := *f
		out = append(out, entry{i, &c, !f.dropped})
	}
	d.mu.RUnlock()
	reply(w, out)
}

// asked is the state of the disk that a query names.
func (d *Disk) asked(w http.ResponseWriter, r *http.Request) (view, bool) {
	q, v := r.URL.Query(), view{d, nil}
	if q.Get("live") != "" {
		return v, true
	}
	index := -1
	if i, err := strconv.Atoi(q.Get("index")); err == nil {
		index = i
	}
	f, err := d.frozenOf(q.Get("snapshot"), index)
	if err != nil {
		http.Error(w, err.Error(), http.StatusNotFound)
		return v, false
	}
	v.f = f
	return v, true
}

// serveDigest gives the SHA-256 of a disk's content, without moving it.
func (s *Sim) serveDigest(w http.ResponseWriter, r *http.Request) {
	disk, _ := strconv.Atoi(r.URL.Query().Get("disk"))
	vm, d := s.pick(w, r.URL.Query().Get("vm"), disk)
	if vm == nil {
		return
	}
	v, ok := d.asked(w, r)
	if !ok {
		return
	}
	sum, buf := sha256.New(), make([]byte, blockSize)
	for b := int64(0); b < d.blocks(); b++ {
		if _, err := v.ReadGrain(b, buf); err != nil {
			http.Error(w, err.Error(), http.StatusInternalServerError)
			return
		}
		sum.Write(buf[:min(blockSize, d.size-b*blockSize)])
	}
	reply(w, map[string]any{"sha256": fmt.Sprintf("%x", sum.Sum(nil)), "size": d.size})
}

func (s *Sim) serveImage(w http.ResponseWriter, r *http.Request) {
	q := r.URL.Query()
	disk, _ := strconv.Atoi(q.Get("disk"))
	vm, d := s.pick(w, q.Get("vm"), disk)
	if vm == nil {
		return
	}
	v, ok := d.asked(w, r)
	if !ok {
		return
	}
	w.Header().Set("Content-Type", "application/octet-stream")
	w.Header().Set("Content-Length", strconv.FormatInt(d.size, 10))
	buf := make([]byte, blockSize)
	for b := int64(0); b < d.blocks(); b++ {
		if _, err := v.ReadGrain(b, buf); err != nil {
			panic(http.ErrAbortHandler)
		}
		if _, err := w.Write(buf[:min(blockSize, d.size-b*blockSize)]); err != nil {
			return
		}
	}
}

func (s *Sim) serveSave(w http.ResponseWriter, r *http.Request) {
	in := struct {
		VM       string `json:"vm"`
		Disk     int    `json:"disk"`
		Snapshot string `json:"snapshot"`
		Index    int    `json:"index"`
		Live     bool   `json:"live"`
		Path     string `json:"path"`
	}{Index: -1}
	if !decode(w, r, &in) {
		return
	}
	vm, d := s.pick(w, in.VM, in.Disk)
	if vm == nil {
		return
	}
	v, err := view{d, nil}, error(nil)
	if !in.Live {
		v.f, err = d.frozenOf(in.Snapshot, in.Index)
	}
	if err == nil {
		err = v.save(in.Path)
	}
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	out := map[string]any{"path": in.Path, "size": d.size}
	if v.f != nil {
		out["snapshot"], out["id"] = v.f.Snapshot, v.f.id
	}
	reply(w, out)
}
