package main

import (
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/google/uuid"
	"github.com/vmware/govmomi/vim25/soap"
	"github.com/vmware/govmomi/vim25/types"
)

// preLogin are the methods a real server answers to anybody.
var preLogin = map[string]bool{
	"RetrieveServiceContent": true,
	"Login":                  true,
	"CloneSession":           true,
}

// sessionTable knows when each SOAP session was last used. vcsim keeps the
// sessions; this table ends them.
type sessionTable struct {
	mu      sync.Mutex
	used    map[string]time.Time
	timeout time.Duration
	end     func(id string)
}

func newSessionTable(timeout time.Duration, end func(string)) *sessionTable {
	return &sessionTable{used: map[string]time.Time{}, timeout: timeout, end: end}
}

// touch reports whether the session lives, and keeps it alive.
func (t *sessionTable) touch(id string) bool {
	t.mu.Lock()
	last, ok := t.used[id]
	if ok && t.timeout > 0 && time.Since(last) > t.timeout {
		delete(t.used, id)
		t.mu.Unlock()
		t.end(id)
		return false
	}
	if ok {
		t.used[id] = time.Now()
	}
	t.mu.Unlock()
	return ok
}

func (t *sessionTable) add(id string) {
	t.mu.Lock()
	t.used[id] = time.Now()
	t.mu.Unlock()
}

func (t *sessionTable) remove(id string) {
	t.mu.Lock()
	_, ok := t.used[id]
	delete(t.used, id)
	t.mu.Unlock()
	if ok {
		t.end(id)
	}
}

func (t *sessionTable) expireAll() int {
	t.mu.Lock()
	ids := make([]string, 0, len(t.used))
	for id := range t.used {
		ids = append(ids, id)
	}
	t.mu.Unlock()
	for _, id := range ids {
		t.remove(id)
	}
	return len(ids)
}

func (t *sessionTable) live() int {
	t.mu.Lock()
	defer t.mu.Unlock()
	n := 0
	for _, last := range t.used {
		if t.timeout <= 0 || time.Since(last) <= t.timeout {
			n++
		}
	}
	return n
}

// endSession removes a session from vcsim itself.
func (s *Sim) endSession(id string) {
	ctx := s.context()
	_ = s.reg.SessionManager().TerminateSession(ctx, &types.TerminateSession{SessionId: []string{id}})
}

func sessionCookie(r *http.Request) string {
	c, err := r.Cookie(soap.SessionCookieName)
	if err != nil {
		return ""
	}
	return strings.Trim(c.Value, `"`)
}

// takeCookie removes vcsim's session cookie from the headers and returns its
// value.
func takeCookie(h http.Header) string {
	id := ""
	kept := h.Values("Set-Cookie")
	h.Del("Set-Cookie")
	for _, line := range kept {
		c, err := http.ParseSetCookie(line)
		if err == nil && c.Name == soap.SessionCookieName {
			id = strings.Trim(c.Value, `"`)
			continue
		}
		h.Add("Set-Cookie", line)
	}
	return id
}

// giveCookie sets the cookie as the real product does, quotes included.
func giveCookie(h http.Header, id string) {
	h.Add("Set-Cookie", soap.SessionCookieName+`="`+id+`"; Path=/; HttpOnly; Secure`)
}

// anonymousCookie is what a client gets with a failed login: a cookie of no
// session.
func anonymousCookie() string { return uuid.NewString() }

func notAuthenticated(this types.ManagedObjectReference) *types.NotAuthenticated {
	return &types.NotAuthenticated{NoPermission: types.NoPermission{
		Object: &this, PrivilegeId: "System.View",
	}}
}

// authorized guards what is not SOAP: a live session or the right password.
func (s *Sim) authorized(r *http.Request) bool {
	if s.sessions.touch(sessionCookie(r)) {
		return true
	}
	user, pass, ok := r.BasicAuth()
	return ok && user == s.opt.user && pass == s.opt.password
}
