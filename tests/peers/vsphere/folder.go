package main

import (
	"fmt"
	"io"
	"net/http"
	"net/url"
	"path"
	"strings"
	"time"
)

// serveFolder answers GET and HEAD /folder/DIR/FILE?dcPath=DC&dsName=DS. The
// flat file of a disk is the disk; anything else is vcsim's.
func (s *Sim) serveFolder(w http.ResponseWriter, r *http.Request) {
	ev := match{names: []string{"folder"}, object: r.URL.Path}
	if s.faults.take("not_authenticated", ev) != nil {
		s.sessions.remove(sessionCookie(r))
	}
	over, rule := strikeFirst(w, r, s.faults.take("http503 "+bodyKinds, ev))
	if over {
		return
	}
	if !s.authorized(r) {
		w.Header().Set("WWW-Authenticate", `Basic realm="VMware HTTP server"`)
		http.Error(w, "401 Unauthorized", http.StatusUnauthorized)
		return
	}
	q := r.URL.Query()
	dc, ds := twice(q.Get("dcPath")), twice(q.Get("dsName"))
	if !s.validDatacenter(dc) {
		http.Error(w, "datacenter '"+dc+"' was not found", http.StatusNotFound)
		return
	}
	if !s.mayBrowse(ds) {
		http.Error(w, "403 Forbidden", http.StatusForbidden)
		return
	}
	file := strings.TrimPrefix(strings.TrimPrefix(r.URL.Path, "/folder"), "/")
	if r.Method == http.MethodGet || r.Method == http.MethodHead {
		if vm, d, flat := s.diskFile(ds, file); d != nil {
			s.serveDisk(w, r, vm, d, flat, rule)
			return
		}
	}
	q.Set("dsName", ds)
	if s.opt.esx {
		q.Set("dcPath", "ha-datacenter")
	} else {
		q.Set("dcPath", dc)
	}
	r.URL.RawQuery = q.Encode()
	s.svc.ServeDatastore(w, r)
}

// twice decodes what the client encoded a second time. A name that was
// encoded once passes unchanged, unless it has a percent sign of its own.
func twice(v string) string {
	if d, err := url.PathUnescape(v); err == nil {
		return d
	}
	return v
}

func (s *Sim) validDatacenter(dc string) bool {
	dc = strings.Trim(dc, "/")
	if dc == "" {
		return true
	}
	return path.Base(dc) == s.datacenter
}

// diskFile finds the disk whose descriptor or extent the path names.
func (s *Sim) diskFile(ds, file string) (*VM, *Disk, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, vm := range s.order {
		for _, d := range vm.diskList() {
			prefix := fmt.Sprintf("[%s] ", ds)
			if ds == "" {
				prefix = d.file[:strings.Index(d.file, "] ")+2]
			}
			if !strings.HasPrefix(d.file, prefix) {
				continue
			}
			rel := strings.TrimPrefix(d.file, prefix)
			switch file {
			case rel:
				return vm, d, false
			case path.Join(path.Dir(rel), flatName(rel)):
				return vm, d, true
			}
		}
	}
	return nil, nil, false
}

func (s *Sim) serveDisk(w http.ResponseWriter, r *http.Request, vm *VM, d *Disk, flat bool, rule *Rule) {
	ctx := s.context()
	on := vm.powerState(ctx) == poweredOn
	s.mu.Lock()
	locked := s.opt.folderLocked
	s.mu.Unlock()
	vm.mu.Lock()
	if vm.locked != nil {
		locked = *vm.locked
	}
	left := vm.base[d.key]
	vm.mu.Unlock()
	if on && locked {
		w.Header().Set("Content-Type", "text/html")
		w.WriteHeader(http.StatusInternalServerError)
		fmt.Fprintf(w, "<html><head><title>500 Internal Server Error</title></head><body>The file %s is locked by a running virtual machine.</body></html>\n",
			escape(d.file))
		return
	}
	if !flat {
		sectors := d.size / 512
		text := fmt.Sprintf("# Disk DescriptorFile\nversion=1\nencoding=\"UTF-8\"\nCID=fffffffe\nparentCID=ffffffff\ncreateType=\"vmfs\"\n\n"+
			"# Extent description\nRW %d VMFS \"%s\"\n\n# The Disk Data Base\n#DDB\n\nddb.adapterType = \"%s\"\nddb.uuid = \"%s\"\nddb.virtualHWVersion = \"%d\"\n",
			sectors, flatName(d.file), placements[d.spec.Controller].adapter, d.uuid, vm.spec.hardwareVersion())
		http.ServeContent(w, r, "", time.Time{}, strings.NewReader(text))
		return
	}
	v := view{d, nil}
	if chain := s.snapshotChain(ctx, vm); len(chain) > 0 {
		if st := chain[0].disks[d.key]; st != nil {
			v.f = st.frozen // the base stands still, the guest writes to a delta
		}
	}
	if left != nil {
		v.f = left
	}
	w.Header().Set("Content-Type", "application/octet-stream")
	fw := &folderWriter{ResponseWriter: w}
	fw.body = newBodyWriter(w, r, rule, 0, nil)
	http.ServeContent(fw, r, "", time.Time{}, io.NewSectionReader(v, 0, d.size))
	if fw.failed {
		panic(http.ErrAbortHandler)
	}
}

// folderWriter lets ordered faults strike inside the body that ServeContent
// writes.
type folderWriter struct {
	http.ResponseWriter
	body   *bodyWriter
	failed bool
}

func (f *folderWriter) Write(p []byte) (int, error) {
	n, err := f.body.Write(p)
	f.failed = f.failed || err != nil
	return n, err
}
