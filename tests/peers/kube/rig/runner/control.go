package runner

import (
	"fmt"
	"net/http"
	"strconv"
	"syscall"
)

// serveKill sends a signal to the first process of a pod's containers, or of the one named.
func (n *node) serveKill(w http.ResponseWriter, r *http.Request) {
	p := n.findByName(r.PathValue("namespace"), r.PathValue("name"))
	if p == nil {
		http.Error(w, "no such pod on the node", http.StatusNotFound)
		return
	}
	number := 9
	if text := r.URL.Query().Get("signal"); text != "" {
		var err error
		if number, err = strconv.Atoi(text); err != nil || number < 1 || number > 64 {
			http.Error(w, fmt.Sprintf("'%s' is no number of a signal", text), http.StatusBadRequest)
			return
		}
	}
	reached := 0
	for _, c := range append(append([]*container(nil), p.initContainers...), p.containers...) {
		if name := r.URL.Query().Get("container"); name != "" && name != c.spec.Name {
			continue
		}
		p.mutex.Lock()
		running := c.running
		p.mutex.Unlock()
		if running != nil && running.Signal(syscall.Signal(number)) == nil {
			reached++
		}
	}
	if reached == 0 {
		http.Error(w, "no container of it runs", http.StatusConflict)
		return
	}
	w.WriteHeader(http.StatusNoContent)
}

// serveRefresh writes a pod's Secrets, ConfigMaps and tokens anew, with new tokens.
func (n *node) serveRefresh(w http.ResponseWriter, r *http.Request) {
	p := n.findByName(r.PathValue("namespace"), r.PathValue("name"))
	if p == nil {
		http.Error(w, "no such pod on the node", http.StatusNotFound)
		return
	}
	if err := p.volumes.refresh(r.Context(), true); err != nil {
		http.Error(w, err.Error(), http.StatusConflict)
		return
	}
	w.WriteHeader(http.StatusNoContent)
}

// serveOptions changes what may change at run time.
func (n *node) serveOptions(w http.ResponseWriter, r *http.Request) {
	owns, err := strconv.ParseBool(r.URL.Query().Get("device_ownership"))
	if err != nil {
		http.Error(w, "device_ownership is true or false", http.StatusBadRequest)
		return
	}
	n.mutex.Lock()
	n.deviceOwnership = owns
	n.mutex.Unlock()
	w.WriteHeader(http.StatusNoContent)
}
