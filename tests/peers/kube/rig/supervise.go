package main

import (
	"context"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/signal"
	"sync"
	"syscall"
	"time"

	"vmferry/tests/peers/kube/rig/cdi"
	"vmferry/tests/peers/kube/rig/cluster"
	"vmferry/tests/peers/kube/rig/host"
	"vmferry/tests/peers/kube/rig/kubevirt"
	"vmferry/tests/peers/kube/rig/port"
	"vmferry/tests/peers/kube/rig/process"
	"vmferry/tests/peers/kube/rig/runner"
	"vmferry/tests/peers/kube/rig/storage"
)

// How long the parts have to undo what the end of their processes does not.
const endTimeout = 10 * time.Second

// ready is the ready file.
type ready struct {
	Server          string `json:"server"`
	Kubeconfig      string `json:"kubeconfig"`
	CAFile          string `json:"ca_file"`
	AdminToken      string `json:"admin_token_file"`
	TesterToken     string `json:"tester_token_file"`
	Control         string `json:"control"`
	AuditLog        string `json:"audit_log"`
	UploadProxy     string `json:"upload_proxy,omitempty"`
	UploadProxyCA   string `json:"upload_proxy_ca,omitempty"`
	CDIVersion      string `json:"cdi_version,omitempty"`
	KubeVirtVersion string `json:"kubevirt_version,omitempty"`
}

// supervise is the rig itself: it starts all parts and waits for the end.
func supervise(args []string) error {
	o, err := parseOptions(args)
	if err != nil {
		return err
	}
	ctx, cancel := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	defer cancel()
	h := &host.Host{Dir: o.dir, Bin: o.bin, Images: o.images, Control: http.NewServeMux()}
	h.Init()
	failed := run(ctx, h, o)
	cancel()
	ended := make(chan struct{})
	go func() {
		h.Wait()
		close(ended)
	}()
	select {
	case <-ended:
	case <-time.After(endTimeout):
		h.Logf("some parts did not end within %v", endTimeout)
	}
	return failed
}

func run(ctx context.Context, h *host.Host, o *options) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	started := time.Now()
	result := &ready{}
	starting := make(chan error, 1)
	go func() { starting <- startAll(ctx, h, o, result) }()
	select {
	case err := <-starting:
		if err != nil && ctx.Err() == nil {
			return err
		}
	case err := <-h.Failed():
		return err
	}
	if ctx.Err() != nil {
		return nil
	}
	if o.readyFile != "" {
		if err := writeReady(o.readyFile, result); err != nil {
			return err
		}
	}
	h.Logf("ready after %.1f s: %s", time.Since(started).Seconds(), result.Server)
	select {
	case <-ctx.Done():
		return nil
	case err := <-h.Failed():
		return err
	}
}

func startAll(ctx context.Context, h *host.Host, o *options, result *ready) error {
	var err error
	if h.Processes, err = process.NewGroup(h.Dir + "/log"); err != nil {
		return err
	}
	if h.Network, err = port.Network(); err != nil {
		return err
	}
	if result.Control, err = serveControl(h); err != nil {
		return err
	}
	began := time.Now()
	plane, err := cluster.Start(ctx, h)
	if err != nil {
		return err
	}
	h.Logf("API server: %.1f s", time.Since(began).Seconds())
	result.Server, result.Kubeconfig, result.CAFile = plane.Server, plane.Kubeconfig, plane.CAFile
	result.AuditLog = plane.AuditLog
	result.AdminToken, result.TesterToken = h.Dir+"/admin.token", h.Dir+"/tester.token"
	if o.bare {
		return plane.StartControllers()
	}
	began = time.Now()
	var without []string
	for part := range o.without {
		without = append(without, part)
	}
	if err := cluster.LoadCRDs(ctx, h, without); err != nil {
		return err
	}
	h.Logf("custom resource definitions: %.1f s", time.Since(began).Seconds())
	if err := plane.StartControllers(); err != nil {
		return err
	}
	return startParts(ctx, h, o, result)
}

// startParts starts what needs the API server only, all at once.
func startParts(ctx context.Context, h *host.Host, o *options, result *ready) error {
	if !o.without["cdi"] {
		cdi.AddImages(h)
	}
	parts := map[string]func() error{
		"storage": func() error { return storage.Start(ctx, h) },
		"runner":  func() error { return runner.Start(ctx, h) },
		"kubevirt": func() (err error) {
			result.KubeVirtVersion, err = kubevirt.Start(ctx, h)
			return err
		},
		"cdi": func() error {
			r, err := cdi.Start(ctx, h)
			if err == nil {
				result.CDIVersion, result.UploadProxy, result.UploadProxyCA = r.Version, r.UploadProxy, r.UploadProxyCA
			}
			return err
		},
	}
	var waiting sync.WaitGroup
	failed := make(chan error, len(parts))
	for name, start := range parts {
		if o.without[name] {
			continue
		}
		waiting.Add(1)
		go func() {
			defer waiting.Done()
			began := time.Now()
			if err := start(); err != nil {
				failed <- fmt.Errorf("%s: %w", name, err)
				return
			}
			h.Logf("%s: %.1f s", name, time.Since(began).Seconds())
		}()
	}
	done := make(chan struct{})
	go func() {
		waiting.Wait()
		close(done)
	}()
	select {
	case err := <-failed:
		return err
	case <-done:
	}
	select {
	case err := <-failed:
		return err
	default:
		return nil
	}
}

// serveControl opens the control door. It serves from the start; the parts add their patterns.
func serveControl(h *host.Host) (string, error) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	h.Control.HandleFunc("POST /pause", func(w http.ResponseWriter, r *http.Request) { pause(h, w, r) })
	h.Control.HandleFunc("POST /restart", func(w http.ResponseWriter, r *http.Request) { restart(h, w, r) })
	h.Control.HandleFunc("GET /processes", func(w http.ResponseWriter, r *http.Request) { listProcesses(h, w) })
	server := &http.Server{Handler: h.Control, ReadHeaderTimeout: 10 * time.Second}
	go func() { h.Fail(server.Serve(listener)) }()
	return "http://" + listener.Addr().String(), nil
}

// pause stops a process, or a part of this one, for a while; it answers at once.
func pause(h *host.Host, w http.ResponseWriter, r *http.Request) {
	what, duration, ok := whatAndHowLong(w, r)
	if !ok {
		return
	}
	if p := h.Processes.Find(what); p != nil {
		if err := p.Signal(syscall.SIGSTOP); err != nil {
			http.Error(w, err.Error(), http.StatusConflict)
			return
		}
		time.AfterFunc(duration, func() { _ = p.Signal(syscall.SIGCONT) })
		return
	}
	if gate := h.Find(what); gate != nil {
		gate.Close()
		time.AfterFunc(duration, gate.Open)
		return
	}
	http.Error(w, "no such part: "+what, http.StatusNotFound)
}

// restart kills a process and starts it again after a while; it answers at once.
func restart(h *host.Host, w http.ResponseWriter, r *http.Request) {
	what, duration, ok := whatAndHowLong(w, r)
	if !ok {
		return
	}
	p := h.Processes.Find(what)
	if p == nil {
		http.Error(w, "no such process: "+what, http.StatusNotFound)
		return
	}
	if err := p.Restart(duration); err != nil {
		http.Error(w, err.Error(), http.StatusConflict)
	}
}

// whatAndHowLong are the parameters; when they are not right it has answered.
func whatAndHowLong(w http.ResponseWriter, r *http.Request) (string, time.Duration, bool) {
	what := r.URL.Query().Get("what")
	if what == "apiserver" {
		what = "kube-apiserver"
	}
	duration, err := time.ParseDuration(r.URL.Query().Get("seconds") + "s")
	if err != nil || duration <= 0 || duration > time.Hour {
		http.Error(w, "seconds must be a number above 0", http.StatusBadRequest)
		return "", 0, false
	}
	return what, duration, true
}

func listProcesses(h *host.Host, w http.ResponseWriter) {
	type entry struct {
		Name   string `json:"name"`
		Starts int    `json:"starts"`
		Log    string `json:"log"`
	}
	list := []entry{}
	for _, p := range h.Processes.All() {
		list = append(list, entry{p.Name, p.Starts(), p.Log})
	}
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(list)
}

func writeReady(path string, result *ready) error {
	text, err := json.MarshalIndent(result, "", "  ")
	if err != nil {
		return err
	}
	part := path + ".part"
	if err := os.WriteFile(part, append(text, '\n'), 0o644); err != nil {
		return err
	}
	return os.Rename(part, path)
}
