// Package process runs the rig's servers as processes that end with it.
package process

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"syscall"
	"time"
)

// Spec is how a process is started.
type Spec struct {
	Name  string // of its log file, and for POST /pause
	Path  string
	Args  []string // without argv[0]
	Argv0 string   // Path when empty
	Env   []string // whole environment; the rig's own when nil
	Dir   string
	// Attr adds namespaces, credentials and the like. Its Setpgid and Pdeathsig are set here.
	Attr *syscall.SysProcAttr
}

// Process is one that was started.
type Process struct {
	Name string
	Log  string // file with its stdout and stderr
	cmd  *exec.Cmd
	done chan struct{}
	err  error
	over bool // it was told to end
	mu   sync.Mutex
}

// Group is all processes of one rig.
type Group struct {
	logs string
	mu   sync.Mutex
	all  []*Process
}

// NewGroup keeps logs in that folder.
func NewGroup(logs string) (*Group, error) {
	return &Group{logs: logs}, os.MkdirAll(logs, 0o755)
}

// Start starts one. The caller may wait for its end (Done, Err); nothing starts it again.
func (g *Group) Start(spec Spec) (*Process, error) {
	p := &Process{Name: spec.Name, Log: filepath.Join(g.logs, spec.Name+".log"), done: make(chan struct{})}
	out, err := os.OpenFile(p.Log, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o644)
	if err != nil {
		return nil, err
	}
	defer out.Close()
	p.cmd = exec.Command(spec.Path, spec.Args...)
	if spec.Argv0 != "" {
		p.cmd.Args[0] = spec.Argv0
	}
	p.cmd.Env = spec.Env
	p.cmd.Dir = spec.Dir
	p.cmd.Stdout = out
	p.cmd.Stderr = out
	p.cmd.SysProcAttr = spec.Attr
	if p.cmd.SysProcAttr == nil {
		p.cmd.SysProcAttr = &syscall.SysProcAttr{}
	}
	// In a group of its own, a terminal's Ctrl-C reaches the rig only, which ends all in order. That
	// nothing outlives a killed rig is the PID namespace's doing (package main): Pdeathsig would
	// fire when the thread that forked ends, which in Go may be any time.
	p.cmd.SysProcAttr.Setpgid = true
	if err := p.cmd.Start(); err != nil {
		return nil, fmt.Errorf("%s: %w", spec.Name, err)
	}
	go func() {
		err := p.cmd.Wait()
		p.mu.Lock()
		p.err = err
		p.mu.Unlock()
		close(p.done)
	}()
	g.mu.Lock()
	g.all = append(g.all, p)
	g.mu.Unlock()
	return p, nil
}

// Find is the last one started by that name, or nil.
func (g *Group) Find(name string) *Process {
	g.mu.Lock()
	defer g.mu.Unlock()
	for i := len(g.all) - 1; i >= 0; i-- {
		if g.all[i].Name == name {
			return g.all[i]
		}
	}
	return nil
}

// Names are all that were started.
func (g *Group) Names() []string {
	g.mu.Lock()
	defer g.mu.Unlock()
	var names []string
	for _, p := range g.all {
		names = append(names, p.Name)
	}
	return names
}

// Stop ends all, the last started first, each within the grace.
func (g *Group) Stop(grace time.Duration) {
	g.mu.Lock()
	all := append([]*Process(nil), g.all...)
	g.mu.Unlock()
	for i := len(all) - 1; i >= 0; i-- {
		all[i].Stop(grace)
	}
}

// Pid is its number in the rig's PID namespace.
func (p *Process) Pid() int {
	return p.cmd.Process.Pid
}

// Done is closed when it has ended.
func (p *Process) Done() <-chan struct{} {
	return p.done
}

// Err says how it ended, once it has: nil after Stop.
func (p *Process) Err() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.over {
		return nil
	}
	if p.err == nil {
		return fmt.Errorf("%s ended, see %s", p.Name, p.Log)
	}
	return fmt.Errorf("%s: %w, see %s", p.Name, p.err, p.Log)
}

// Signal reaches its whole process group.
func (p *Process) Signal(signal syscall.Signal) error {
	select {
	case <-p.done:
		return errors.New(p.Name + " has ended")
	default:
		return syscall.Kill(-p.cmd.Process.Pid, signal)
	}
}

// Stop ends it: SIGTERM, and SIGKILL after the grace.
func (p *Process) Stop(grace time.Duration) {
	p.mu.Lock()
	p.over = true
	p.mu.Unlock()
	_ = p.Signal(syscall.SIGTERM)
	_ = p.Signal(syscall.SIGCONT) // a paused one would not see it
	select {
	case <-p.done:
	case <-time.After(grace):
		_ = p.Signal(syscall.SIGKILL)
		<-p.done
	}
}

// Until calls check every few milliseconds until it returns nil; the last error when the process or
// the context ends first.
func (p *Process) Until(ctx context.Context, check func(context.Context) error) error {
	for {
		err := check(ctx)
		if err == nil {
			return nil
		}
		select {
		case <-p.done:
			return p.Err()
		case <-ctx.Done():
			return fmt.Errorf("%s: %w (last: %w)", p.Name, ctx.Err(), err)
		case <-time.After(50 * time.Millisecond):
		}
	}
}
