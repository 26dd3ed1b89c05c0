// Package host is what the parts of the rig get from it: where they are, how they reach the API
// server, who signs certificates, where their processes and their HTTP doors are registered.
package host

import (
	"context"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"sync"

	"k8s.io/client-go/rest"

	"vmferry/tests/peers/kube/rig/pki"
	"vmferry/tests/peers/kube/rig/process"
)

// NodeName is the one node's.
const NodeName = "rig"

// Host is shared by all parts; its fields do not change once the parts start. The methods may be
// called from any goroutine.
type Host struct {
	// Dir is the rig's folder. Outside programs read below it, so nothing is mounted onto it: the
	// rig's mounts are seen in its own mount namespace only.
	Dir string
	// Bin is the folder of the built programs.
	Bin string
	// Config reaches the API server as the user "rig", a cluster administrator whose requests are
	// kept out of the audit log. Copy it before changing it.
	Config *rest.Config
	// Kubeconfig is a file that says the same, for processes.
	Kubeconfig string
	// APIServerHost and APIServerPort are what a pod gets as KUBERNETES_SERVICE_HOST and _PORT.
	APIServerHost string
	APIServerPort int
	// CA signs and is trusted by everything in the rig.
	CA *pki.Authority
	// Network is the /16 of loopback addresses that is this rig's alone: "127.N.". Address .0.1 is
	// the node's; pods have the others.
	Network string
	// Images maps an image's name (without registry, tag and digest) to the program that it runs.
	Images map[string]string
	// Offline names the images whose containers get a network with nothing in it: their programs
	// listen on a port of all addresses, where they would be in the way of other pods.
	Offline map[string]bool
	// Processes starts processes; they end with the rig.
	Processes *process.Group
	// Control is the control door's multiplexer: a part adds its patterns when it starts.
	Control *http.ServeMux

	mutex  sync.Mutex
	gates  map[string]*Gate
	failed chan error
	tasks  sync.WaitGroup
}

// Init prepares what is not exported.
func (h *Host) Init() {
	h.gates = map[string]*Gate{}
	h.failed = make(chan error, 1)
}

// NodeAddress is the node's own.
func (h *Host) NodeAddress() string {
	return h.Network + "0.1"
}

// Folder makes and names a folder of the rig's.
func (h *Host) Folder(names ...string) (string, error) {
	path := filepath.Join(append([]string{h.Dir}, names...)...)
	return path, os.MkdirAll(path, 0o755)
}

// Program names one of the built programs.
func (h *Host) Program(name string) string {
	return filepath.Join(h.Bin, name)
}

// Logf says one line on stderr.
func (h *Host) Logf(format string, args ...any) {
	fmt.Fprintf(os.Stderr, "kube-rig: "+format+"\n", args...)
}

// Go runs a part's task. That it ends with an error before ctx does ends the rig.
func (h *Host) Go(ctx context.Context, name string, task func(ctx context.Context) error) {
	h.tasks.Add(1)
	go func() {
		defer h.tasks.Done()
		if err := task(ctx); err != nil && ctx.Err() == nil {
			h.Fail(fmt.Errorf("%s: %w", name, err))
		}
	}()
}

// Wait returns once all tasks have ended.
func (h *Host) Wait() {
	h.tasks.Wait()
}

// Watch ends the rig when the process ends by itself.
func (h *Host) Watch(p *process.Process) {
	go func() {
		<-p.Done()
		if err := p.Err(); err != nil {
			h.Fail(err)
		}
	}()
}

// Fail ends the rig, with the first error that it was given.
func (h *Host) Fail(err error) {
	select {
	case h.failed <- err:
	default:
	}
}

// Failed receives what Fail was given.
func (h *Host) Failed() <-chan error {
	return h.failed
}

// Environment is what the rig's servers are started with: none of the machine's proxies, no HOME.
func Environment(more ...string) []string {
	return append([]string{"PATH=/usr/sbin:/usr/bin:/sbin:/bin", "HOME=/nonexistent", "LANG=C.UTF-8",
		"TMPDIR=" + os.TempDir()}, more...)
}
