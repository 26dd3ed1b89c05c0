package runner

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"time"
)

// serveKubelet opens the part of a kubelet's API by which the API server reads logs. The API server
// shows a client certificate.
func (n *node) serveKubelet(ctx context.Context) error {
	pair, err := n.host.CA.Server(n.host.NodeAddress())
	if err != nil {
		return err
	}
	certificate, err := pair.TLS()
	if err != nil {
		return err
	}
	listener, err := net.Listen("tcp", n.host.NodeAddress()+":0")
	if err != nil {
		return err
	}
	n.port = listener.Addr().(*net.TCPAddr).Port
	mux := http.NewServeMux()
	mux.HandleFunc("GET /containerLogs/{namespace}/{pod}/{container}", n.serveLog)
	server := &http.Server{
		Handler:           mux,
		ReadHeaderTimeout: 10 * time.Second,
		TLSConfig: &tls.Config{Certificates: []tls.Certificate{certificate}, MinVersion: tls.VersionTLS12,
			ClientAuth: tls.RequireAndVerifyClientCert, ClientCAs: n.host.CA.Pool()},
		ErrorLog: log.New(io.Discard, "", 0),
	}
	n.host.Go(ctx, "kubelet", func(ctx context.Context) error {
		stop := context.AfterFunc(ctx, func() { server.Close() })
		defer stop()
		if err := server.ServeTLS(listener, "", ""); !errors.Is(err, http.ErrServerClosed) {
			return err
		}
		return nil
	})
	return nil
}

// logOptions are those of a log request (k8s.io/api/core/v1, PodLogOptions).
type logOptions struct {
	follow, timestamps, previous bool
	lines                        int64 // -1: all
	limit                        int64 // bytes; -1: no limit
	since                        time.Time
}

func parseLogOptions(query url.Values) (logOptions, error) {
	o := logOptions{lines: -1, limit: -1}
	for name, flag := range map[string]*bool{"follow": &o.follow, "timestamps": &o.timestamps, "previous": &o.previous} {
		if text := query.Get(name); text != "" {
			is, err := strconv.ParseBool(text)
			if err != nil {
				return o, fmt.Errorf("%s: %w", name, err)
			}
			*flag = is
		}
	}
	for name, number := range map[string]*int64{"tailLines": &o.lines, "limitBytes": &o.limit} {
		if text := query.Get(name); text != "" {
			n, err := strconv.ParseUint(text, 10, 62)
			if err != nil {
				return o, fmt.Errorf("%s: %w", name, err)
			}
			*number = int64(n)
		}
	}
	if text := query.Get("sinceSeconds"); text != "" {
		seconds, err := strconv.ParseUint(text, 10, 31)
		if err != nil {
			return o, fmt.Errorf("sinceSeconds: %w", err)
		}
		o.since = time.Now().Add(-time.Duration(seconds) * time.Second)
	}
	if text := query.Get("sinceTime"); text != "" {
		var err error
		if o.since, err = time.Parse(time.RFC3339, text); err != nil {
			return o, fmt.Errorf("sinceTime: %w", err)
		}
	}
	return o, nil
}

func (n *node) serveLog(w http.ResponseWriter, r *http.Request) {
	options, err := parseLogOptions(r.URL.Query())
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	c := n.findContainer(r.PathValue("namespace"), r.PathValue("pod"), r.PathValue("container"))
	if c == nil {
		http.Error(w, "no such pod or container", http.StatusNotFound)
		return
	}
	path, problem := c.logFile(options.previous)
	if problem != "" {
		http.Error(w, problem, http.StatusBadRequest)
		return
	}
	w.Header().Set("Content-Type", "text/plain")
	out := &logWriter{out: w, options: options}
	offset, err := out.send(path, 0)
	for err == nil && options.follow && !options.previous {
		over := c.logIsOver(path)
		http.NewResponseController(w).Flush()
		if sleep(r.Context(), 100*time.Millisecond) != nil {
			return
		}
		if offset, err = out.send(path, offset); over {
			return
		}
	}
}

func (n *node) findContainer(namespace, podName, name string) *container {
	p := n.findByName(namespace, podName)
	if p == nil {
		return nil
	}
	for _, c := range append(append([]*container(nil), p.initContainers...), p.containers...) {
		if c.spec.Name == name {
			return c
		}
	}
	return nil
}

// logFile is a container's, or why there is none.
func (c *container) logFile(previous bool) (string, string) {
	c.pod.mutex.Lock()
	defer c.pod.mutex.Unlock()
	if previous {
		if c.oldLog == "" {
			return "", fmt.Sprintf("previous terminated container %q in pod %q not found", c.spec.Name, c.pod.name)
		}
		return c.oldLog, ""
	}
	if c.log == "" {
		reason := "ContainerCreating"
		if c.status.State.Waiting != nil {
			reason = c.status.State.Waiting.Reason
		}
		return "", fmt.Sprintf("container %q in pod %q is waiting to start: %s", c.spec.Name, c.pod.name, reason)
	}
	return c.log, ""
}

// logIsOver tells that nothing will be added to the log: its container has ended.
func (c *container) logIsOver(path string) bool {
	c.pod.mutex.Lock()
	defer c.pod.mutex.Unlock()
	return c.log != path || c.status.State.Running == nil && c.running == nil
}

type logWriter struct {
	out     io.Writer
	options logOptions
	begun   bool
	inLine  bool
	sent    int64
}

var errLogLimit = errors.New("as many bytes as were asked for")

// send writes what is in the log from the offset on.
func (l *logWriter) send(path string, offset int64) (int64, error) {
	entries, offset, err := readEntries(path, offset)
	if err != nil {
		return offset, err
	}
	if !l.begun && l.options.lines >= 0 {
		entries = tail(entries, l.options.lines)
	}
	l.begun = true
	for _, e := range entries {
		if e.time.Before(l.options.since) {
			continue
		}
		text := e.text
		if l.options.timestamps && !l.inLine {
			text = append([]byte(e.time.Format(time.RFC3339Nano)+" "), text...)
		}
		l.inLine = len(e.text) == 0 || e.text[len(e.text)-1] != '\n'
		if l.options.limit >= 0 && l.sent+int64(len(text)) >= l.options.limit {
			_, _ = l.out.Write(text[:l.options.limit-l.sent])
			return offset, errLogLimit
		}
		n, err := l.out.Write(text)
		l.sent += int64(n)
		if err != nil {
			return offset, err
		}
	}
	return offset, nil
}
