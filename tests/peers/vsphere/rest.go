package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"

	vapi "github.com/vmware/govmomi/vapi/simulator"
	"github.com/vmware/govmomi/vim25/types"
)

const (
	restSession = "/rest/com/vmware/cis/session"
	restTagging = "/rest/com/vmware/cis/tagging"
)

// startREST adds the tagging service; a bare host has none.
func (s *Sim) startREST(self *url.URL) {
	if !s.opt.esx {
		_, s.rest = vapi.New(self, s.reg)
	}
}

// serveREST passes /rest on, and serves the newer /api form of sessions and
// tagging with the same code: there a value comes bare.
func (s *Sim) serveREST(w http.ResponseWriter, r *http.Request) {
	if s.rest == nil {
		http.NotFound(w, r)
		return
	}
	over, rule := strikeFirst(w, r, s.faults.take("http503 "+bodyKinds, match{names: []string{"rest"}, object: r.URL.Path}))
	if over {
		return
	}
	in := r.Clone(r.Context())
	bare := false
	switch p := r.URL.Path; {
	case p == "/api/session":
		in.URL.Path, bare = restSession, true
	case strings.HasPrefix(p, "/api/cis/tagging/"):
		in.URL.Path, bare = restTagging+strings.TrimPrefix(p, "/api/cis/tagging"), true
		if q := in.URL.Query(); q.Get("action") != "" {
			q.Set("~action", q.Get("action"))
			q.Del("action")
			in.URL.RawQuery = q.Encode()
		}
	}
	rec := newRecorder()
	s.rest.ServeHTTP(rec, in)
	s.noteRESTSession(r, in.URL.Path, rec)
	for k, v := range rec.header {
		w.Header()[k] = v
	}
	body, status := rec.body.Bytes(), rec.status
	if bare {
		body, status = unwrap(body, status, r.Method, r.URL.Path)
	}
	sendBody(w, r, status, body, rule)
}

// unwrap takes the value out of {"value": …}.
func unwrap(body []byte, status int, method, path string) ([]byte, int) {
	var v struct {
		Value json.RawMessage `json:"value"`
	}
	if status >= 300 {
		return body, status
	}
	if method == http.MethodDelete {
		return nil, http.StatusNoContent
	}
	if path == "/api/session" && method == http.MethodPost {
		status = http.StatusCreated
	}
	if json.Unmarshal(body, &v) == nil && v.Value != nil {
		return v.Value, status
	}
	return body, status
}

func (s *Sim) noteRESTSession(r *http.Request, path string, rec *recorder) {
	if path != restSession || rec.status >= 300 {
		return
	}
	var v struct {
		Value string `json:"value"`
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case r.Method == http.MethodPost && json.Unmarshal(rec.body.Bytes(), &v) == nil && v.Value != "":
		s.restIDs[v.Value] = true
	case r.Method == http.MethodDelete:
		delete(s.restIDs, r.Header.Get("vmware-api-session-id"))
	}
}

// restCall talks to the tagging service without a network.
func (s *Sim) restCall(method, path, session string, in, out any) error {
	var body io.Reader = http.NoBody
	if in != nil {
		b, err := json.Marshal(in)
		if err != nil {
			return err
		}
		body = bytes.NewReader(b)
	}
	r := httptest.NewRequest(method, path, body)
	r.SetBasicAuth(s.opt.user, s.opt.password)
	if session != "" {
		r.Header.Del("Authorization")
		r.Header.Set("vmware-api-session-id", session)
	}
	rec := newRecorder()
	s.rest.ServeHTTP(rec, r)
	if rec.status >= 300 {
		return fmt.Errorf("%s %s: status %d: %s", method, path, rec.status, rec.body.String())
	}
	if out == nil {
		return nil
	}
	v := struct {
		Value any `json:"value"`
	}{out}
	return json.Unmarshal(rec.body.Bytes(), &v)
}

func (s *Sim) expireREST() {
	s.mu.Lock()
	ids := s.restIDs
	s.restIDs = map[string]bool{}
	s.mu.Unlock()
	for id := range ids {
		_ = s.restCall(http.MethodDelete, restSession, id, nil, nil)
	}
}

type attacher interface {
	AttachTag(types.ManagedObjectReference, string) types.BaseMethodFault
}

// tag makes the categories and tags of all VMs and attaches them.
func (s *Sim) tag() error {
	if s.rest == nil {
		return nil
	}
	var session string
	if err := s.restCall(http.MethodPost, restSession, "", nil, &session); err != nil {
		return err
	}
	categories, tags := map[string]string{}, map[string]string{}
	attach := s.rest.(attacher)
	for _, vm := range s.order {
		for _, t := range vm.spec.Tags {
			cat, name, _ := strings.Cut(t, ":")
			if categories[cat] == "" {
				spec := map[string]any{"create_spec": map[string]any{"name": cat, "description": "",
					"cardinality": "MULTIPLE", "associable_types": []string{"VirtualMachine"}}}
				var id string
				if err := s.restCall(http.MethodPost, restTagging+"/category", session, spec, &id); err != nil {
					return err
				}
				categories[cat] = id
			}
			if tags[t] == "" {
				spec := map[string]any{"create_spec": map[string]any{"name": name, "description": "",
					"category_id": categories[cat]}}
				var id string
				if err := s.restCall(http.MethodPost, restTagging+"/tag", session, spec, &id); err != nil {
					return err
				}
				tags[t] = id
			}
			if f := attach.AttachTag(vm.ref, tags[t]); f != nil {
				return fmt.Errorf("tag '%s' on '%s': %s", t, vm.name, faultName(f))
			}
		}
	}
	return s.restCall(http.MethodDelete, restSession, session, nil, nil)
}

// attributeNames are all custom attributes that VMs use.
func attributeNames(specs []*VMSpec) []string {
	var names []string
	for _, v := range specs {
		for n := range v.Attributes {
			if !slices.Contains(names, n) {
				names = append(names, n)
			}
		}
	}
	slices.Sort(names)
	return names
}
