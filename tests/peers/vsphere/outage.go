package main

import (
	"crypto/tls"
	"net"
	"net/http"
	"sync"
	"time"

	"github.com/vmware/govmomi/vim25/types"
)

// outage is the time in which the server is away.
type outage struct {
	mu    sync.Mutex
	until time.Time
	mode  string
	conns map[net.Conn]bool
}

// is reports whether the server is away in that way.
func (o *outage) is(mode string) bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.mode == mode && time.Now().Before(o.until)
}

// watch keeps track of open connections (http.Server.ConnState).
func (o *outage) watch(c net.Conn, state http.ConnState) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.conns == nil {
		o.conns = map[net.Conn]bool{}
	}
	switch state {
	case http.StateClosed, http.StateHijacked:
		delete(o.conns, c)
	default:
		o.conns[c] = true
	}
}

// begin makes the server go away and ends every connection.
func (o *outage) begin(mode string, d time.Duration) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.mode, o.until = mode, time.Now().Add(d)
	for c := range o.conns {
		cut(c)
	}
}

// cut ends a connection with a reset.
func cut(c net.Conn) {
	if t, ok := c.(*tls.Conn); ok {
		c = t.NetConn()
	}
	if t, ok := c.(*net.TCPConn); ok {
		_ = t.SetLinger(0)
	}
	_ = c.Close()
}

// gate turns every caller away while nobody is at home. The port is kept, so
// that nobody else gets it meanwhile.
type gate struct {
	net.Listener
	away *outage
}

func (g gate) Accept() (net.Conn, error) {
	for {
		c, err := g.Listener.Accept()
		if err != nil || !g.away.is("refuse") {
			return c, err
		}
		cut(c)
	}
}

// serveRestart is what a restart of vCenter does to its clients: sessions,
// leases and tasks are gone, and for a while so is the server. What runs on
// the hosts goes on to its end.
func (s *Sim) serveRestart(w http.ResponseWriter, r *http.Request) {
	in := struct {
		Seconds float64 `json:"seconds"`
		Mode    string  `json:"mode"`
	}{1, "refuse"}
	if !decode(w, r, &in) {
		return
	}
	if err := oneOf("mode", in.Mode, "refuse", "503"); err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	s.away.begin(in.Mode, time.Duration(in.Seconds*float64(time.Second)))
	s.mu.Lock()
	leases := append([]*Lease(nil), s.allLeases...)
	s.mu.Unlock()
	for _, l := range leases {
		l.fail(s.context(), &types.HostCommunication{})
	}
	n := s.sessions.expireAll()
	s.expireREST()
	ctx := s.context()
	for _, t := range s.reg.AllReference("Task") {
		if own, ok := s.reg.Get(t.Reference()).(*Task); ok {
			s.reg.Remove(ctx, own.Self)
		}
	}
	s.journal.note("", "restarted", in.Mode)
	reply(w, map[string]int{"expired": n})
}
