package host

import (
	"context"
	"sync"
)

// Gate is where a part of this process stops while a test has it paused (POST /pause).
type Gate struct {
	mutex sync.Mutex
	open  chan struct{} // closed while the gate is open
}

// Gate makes the gate of that name, which POST /pause?what=NAME closes for a while.
func (h *Host) Gate(name string) *Gate {
	h.mutex.Lock()
	defer h.mutex.Unlock()
	gate := h.gates[name]
	if gate == nil {
		gate = &Gate{open: make(chan struct{})}
		close(gate.open)
		h.gates[name] = gate
	}
	return gate
}

// Find is the gate of that name, or nil.
func (h *Host) Find(name string) *Gate {
	h.mutex.Lock()
	defer h.mutex.Unlock()
	return h.gates[name]
}

// Wait returns when the gate is open, or with the context's error.
func (g *Gate) Wait(ctx context.Context) error {
	g.mutex.Lock()
	open := g.open
	g.mutex.Unlock()
	select {
	case <-open:
		return ctx.Err()
	case <-ctx.Done():
		return ctx.Err()
	}
}

// Close stops whoever comes to the gate.
func (g *Gate) Close() {
	g.mutex.Lock()
	defer g.mutex.Unlock()
	select {
	case <-g.open:
		g.open = make(chan struct{})
	default:
	}
}

// Open lets all go on.
func (g *Gate) Open() {
	g.mutex.Lock()
	defer g.mutex.Unlock()
	select {
	case <-g.open:
	default:
		close(g.open)
	}
}
