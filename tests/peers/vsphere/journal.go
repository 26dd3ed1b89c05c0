package main

import (
	"net/http"
	"sync"
	"time"
)

// maxEvents bounds the journal; the oldest go first.
const maxEvents = 100000

// Event is one thing that happened to a VM, in the order of happening.
type Event struct {
	At     time.Time `json:"at"`
	VM     string    `json:"vm,omitempty"`
	Event  string    `json:"event"`
	Detail string    `json:"detail,omitempty"`
}

// journal is what happened, for tests that ask in which order it did.
type journal struct {
	mu     sync.Mutex
	events []Event
}

func (j *journal) note(vm, event, detail string) {
	j.mu.Lock()
	defer j.mu.Unlock()
	if len(j.events) >= maxEvents {
		j.events = append([]Event(nil), j.events[maxEvents/10:]...)
	}
	j.events = append(j.events, Event{time.Now(), vm, event, detail})
}

// serve is the control endpoint's /journal.
func (j *journal) serve(w http.ResponseWriter, r *http.Request) {
	name := r.URL.Query().Get("vm")
	j.mu.Lock()
	out := []Event{}
	for _, e := range j.events {
		if name == "" || name == e.VM {
			out = append(out, e)
		}
	}
	if r.Method == http.MethodDelete {
		j.events = nil
	}
	j.mu.Unlock()
	reply(w, out)
}
