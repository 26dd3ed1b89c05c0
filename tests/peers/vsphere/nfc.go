package main

import (
	"bufio"
	"context"
	"errors"
	"net/http"
	"path"
	"strconv"
	"strings"
	"time"

	"vmferry/tests/peers/vsphere/streamvmdk"

	"github.com/vmware/govmomi/vim25/types"
)

// defaultStrike is where a fault hits a stream when nobody says: inside the
// first grain.
const defaultStrike = 65536 + 64

// serveNFC answers GET /nfc/TICKET/FILE. The ticket is all it takes.
func (s *Sim) serveNFC(w http.ResponseWriter, r *http.Request) {
	ev := match{names: []string{"nfc"}, object: r.URL.Path}
	over, rule := strikeFirst(w, r, s.faults.take("http503 "+bodyKinds, ev))
	if over {
		return
	}
	if r.Method != http.MethodGet {
		w.Header().Set("Allow", "GET")
		http.Error(w, "405 Method Not Allowed", http.StatusMethodNotAllowed)
		return
	}
	s.mu.Lock()
	l := s.leases[path.Base(path.Dir(r.URL.Path))]
	s.mu.Unlock()
	if l == nil || l.alive() != nil {
		http.NotFound(w, r)
		return
	}
	f := l.files[path.Base(r.URL.Path)]
	if f == nil {
		http.NotFound(w, r)
		return
	}
	ctx, cancel := context.WithCancelCause(r.Context())
	defer cancel(nil)
	stop := context.AfterFunc(l.ctx, func() {
		cancel(context.Cause(l.ctx))
		// a peer that has stopped reading blocks a write, which no context ends
		_ = http.NewResponseController(w).SetWriteDeadline(time.Now())
	})
	defer stop()
	l.stream(ctx, w, r.WithContext(ctx), f, rule)
}

func (l *Lease) stream(ctx context.Context, w http.ResponseWriter, r *http.Request, f *leaseFile, rule *Rule) {
	s, name := l.s, path.Base(r.URL.Path)
	l.mu.Lock()
	l.streams++
	l.moved = time.Now()
	l.mu.Unlock()
	defer func() {
		l.mu.Lock()
		l.streams--
		l.mu.Unlock()
	}()
	timeout := s.faults.take("lease_timeout", match{names: []string{"nfc", "ExportVm", "ExportSnapshot"}, object: r.URL.Path})
	var out *bodyWriter
	tick := func() {
		l.mu.Lock()
		l.moved = time.Now()
		l.sent[name] = out.done
		l.mu.Unlock()
		if timeout != nil && out.done >= timeout.AfterBytes {
			timeout = nil
			l.fail(s.context(), &types.Timedout{})
		}
	}
	if rule != nil && rule.AfterBytes <= 0 {
		rule.AfterBytes = defaultStrike
	}
	out = newBodyWriter(w, r, rule, s.opt.nfcRate, tick)
	if f.content != nil {
		w.Header().Set("Content-Type", "application/octet-stream")
		w.Header().Set("Content-Length", strconv.Itoa(len(f.content)))
		if _, err := out.Write(f.content); err != nil {
			panic(http.ErrAbortHandler)
		}
		return
	}
	w.Header().Set("Content-Type", "application/x-vnd.vmware-streamVmdk")
	w.WriteHeader(http.StatusOK)
	buf := bufio.NewWriterSize(out, 256<<10)
	err := streamvmdk.Write(ctx, buf, f.view, streamvmdk.Options{
		Workers: s.opt.nfcWorkers, Hardware: l.vm.spec.hardwareVersion(),
		Adapter: placements[f.view.d.spec.Controller].adapter,
		CID:     uint32(len(l.ticket)) ^ uint32(f.view.d.key)<<8,
	})
	if err == nil {
		err = buf.Flush()
	}
	switch {
	case err == nil:
	case errors.Is(err, errCut):
		return // the body ends as if it were whole: nothing in HTTP tells
	default:
		s.access("nfc %s: %v", strings.TrimPrefix(r.URL.Path, "/"), err)
		panic(http.ErrAbortHandler)
	}
}
