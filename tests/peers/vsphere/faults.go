package main

import (
	"encoding/json"
	"fmt"
	"net/http"
	"reflect"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/vmware/govmomi/simulator"
	"github.com/vmware/govmomi/vim25/soap"
	"github.com/vmware/govmomi/vim25/types"
)

// Rule is one ordered failure. It fires on matching events, after skipping
// After of them, Count times (-1: always).
type Rule struct {
	ID         int     `json:"id"`
	Target     string  `json:"target"`
	Kind       string  `json:"kind"`
	Count      *int    `json:"count,omitempty"`
	After      int     `json:"after,omitempty"`
	AfterBytes int64   `json:"after_bytes,omitempty"`
	Seconds    float64 `json:"seconds,omitempty"`
	Fault      string  `json:"fault,omitempty"`
	Match      string  `json:"match,omitempty"`    // part of a URL path, or a VM's name
	Executed   bool    `json:"executed,omitempty"` // reset: after the call was carried out
	Seen       int     `json:"seen"`
	Hits       int     `json:"hits"`
}

// kinds says which targets a kind has when none is given.
var kinds = map[string][]string{
	"http503":              {"sdk"},
	"reset":                {"sdk"},
	"drop":                 {"nfc"},
	"truncate":             {"nfc"},
	"stall":                {"nfc"},
	"bitflip":              {"nfc"},
	"not_authenticated":    {"sdk"},
	"fault":                nil,
	"task_error":           nil,
	"task_slow":            nil,
	"lease_timeout":        {"nfc"},
	"quiesce_fault":        {"CreateSnapshot_Task", "CreateSnapshotEx_Task"},
	"quiesce_ignored":      {"CreateSnapshot_Task", "CreateSnapshotEx_Task"},
	"shutdown_hang":        {"ShutdownGuest"},
	"consolidation_needed": {"RemoveSnapshot_Task", "RemoveAllSnapshots_Task"},
}

// match is one event: the names it goes by, and what it is about.
type match struct {
	names  []string
	object string
}

type faultBook struct {
	mu    sync.Mutex
	rules []*Rule
	last  int
}

func (b *faultBook) add(r Rule) (Rule, error) {
	defaults, known := kinds[r.Kind]
	if !known {
		names := make([]string, 0, len(kinds))
		for k := range kinds {
			names = append(names, k)
		}
		slices.Sort(names)
		return r, fmt.Errorf("kind '%s' is unknown, there are %s", r.Kind, strings.Join(names, ", "))
	}
	if r.Target == "" && len(defaults) == 0 {
		return r, fmt.Errorf("kind '%s' needs a target", r.Kind)
	}
	if r.Fault != "" {
		if _, err := faultByName(r.Fault); err != nil {
			return r, err
		}
	}
	if r.Count == nil {
		one := 1
		r.Count = &one
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.last++
	r.ID, r.Seen, r.Hits = b.last, 0, 0
	b.rules = append(b.rules, &r)
	return r, nil
}

func (b *faultBook) clear() {
	b.mu.Lock()
	b.rules = nil
	b.mu.Unlock()
}

func (b *faultBook) list() []Rule {
	b.mu.Lock()
	defer b.mu.Unlock()
	out := []Rule{}
	for _, r := range b.rules {
		out = append(out, *r)
	}
	return out
}

func (r *Rule) targets(m match) bool {
	if r.Match != "" && !strings.Contains(m.object, r.Match) {
		return false
	}
	if r.Target != "" {
		return slices.Contains(m.names, r.Target)
	}
	for _, d := range kinds[r.Kind] {
		if slices.Contains(m.names, d) {
			return true
		}
	}
	return false
}

// take returns a copy of the first rule of one of the kinds that fires for
// this event, and counts the event for every rule it matches.
func (b *faultBook) take(kindList string, m match) *Rule {
	b.mu.Lock()
	defer b.mu.Unlock()
	want := strings.Fields(kindList)
	var hit *Rule
	for _, r := range b.rules {
		if !slices.Contains(want, r.Kind) || !r.targets(m) {
			continue
		}
		r.Seen++
		if hit != nil || r.Seen <= r.After || *r.Count >= 0 && r.Hits >= *r.Count {
			continue
		}
		r.Hits++
		c := *r
		hit = &c
	}
	return hit
}

func (r *Rule) duration(def time.Duration) time.Duration {
	if r.Seconds > 0 {
		return time.Duration(r.Seconds * float64(time.Second))
	}
	return def
}

func (r *Rule) methodFault(def string) types.BaseMethodFault {
	name := r.Fault
	if name == "" {
		name = def
	}
	f, err := faultByName(name)
	if err != nil {
		return &types.SystemError{Reason: err.Error()}
	}
	return f
}

var typeByName = types.TypeFunc()

// faultByName makes an empty fault of a vSphere type.
func faultByName(name string) (types.BaseMethodFault, error) {
	if t, ok := typeByName(name); ok {
		if f, ok := reflect.New(t).Interface().(types.BaseMethodFault); ok {
			return f, nil
		}
	}
	return nil, fmt.Errorf("'%s' is not a vSphere fault", name)
}

// faultText is what a person would read in the real product's words of mouth;
// clients must go by the type.
var faultText = map[string]string{
	"NotAuthenticated":           "The session is not authenticated.",
	"InvalidLogin":               "Login failed: wrong user name or password.",
	"InvalidPowerState":          "The operation is not possible in the current power state.",
	"TaskInProgress":             "Another task is running on this object.",
	"ApplicationQuiesceFault":    "The guest's freeze script failed, the virtual machine could not be quiesced.",
	"FilesystemQuiesceFault":     "The guest's file systems stayed frozen for too long.",
	"ToolsUnavailable":           "VMware Tools is not running in this virtual machine.",
	"InvalidArgument":            "A parameter of the call is not right.",
	"ManagedObjectNotFound":      "The object is gone or not complete yet.",
	"Timedout":                   "The operation timed out.",
	"InvalidState":               "The operation is not allowed in the current state.",
	"NotSupported":               "The operation is not supported on this object.",
	"InvalidCollectorVersion":    "The version is not one that this collector gave out.",
	"InvalidPropertyFault":       "A property name is not known.",
	"NotFound":                   "Nothing was found by that name.",
	"RequestCanceled":            "The request was cancelled.",
	"SystemError":                "An internal error happened.",
	"RestrictedVersion":          "The licence does not allow this operation.",
	"InsufficientResourcesFault": "There are not enough resources.",
}

func faultName(f any) string { return reflect.TypeOf(f).Elem().Name() }

func messageOf(f types.BaseMethodFault) string {
	if ff, ok := f.(*types.FileFault); ok {
		return "Error caused by file " + ff.File
	}
	if ia, ok := f.(*types.InvalidArgument); ok && ia.InvalidProperty != "" {
		return "The parameter is not right: " + ia.InvalidProperty
	}
	if t := faultText[faultName(f)]; t != "" {
		return t
	}
	return faultName(f)
}

func newFault(f types.BaseMethodFault) *soap.Fault { return simulator.Fault(messageOf(f), f) }

func localized(f types.BaseMethodFault) types.LocalizedMethodFault {
	return types.LocalizedMethodFault{Fault: f, LocalizedMessage: messageOf(f)}
}

// serveFaults is the control endpoint's /faults.
func (s *Sim) serveFaults(w http.ResponseWriter, r *http.Request) {
	switch r.Method {
	case http.MethodPost:
		var rule Rule
		if !decode(w, r, &rule) {
			return
		}
		added, err := s.faults.add(rule)
		if err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		reply(w, added)
	case http.MethodDelete:
		s.faults.clear()
		reply(w, []Rule{})
	case http.MethodGet:
		reply(w, s.faults.list())
	default:
		http.Error(w, "GET, POST or DELETE", http.StatusMethodNotAllowed)
	}
}

func reply(w http.ResponseWriter, v any) {
	w.Header().Set("Content-Type", "application/json")
	e := json.NewEncoder(w)
	e.SetIndent("", "  ")
	_ = e.Encode(v)
}

func decode(w http.ResponseWriter, r *http.Request, v any) bool {
	d := json.NewDecoder(http.MaxBytesReader(w, r.Body, 1<<20))
	d.DisallowUnknownFields()
	if err := d.Decode(v); err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return false
	}
	return true
}
