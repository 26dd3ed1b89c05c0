// Package process runs the rig's servers as processes.
package process

import (
	"context"
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
	Env   []string // the whole environment; the rig's own when nil
	Dir   string
	// Attr adds namespaces, credentials and the like. Its Setpgid is set here.
	Attr *syscall.SysProcAttr
	// Again starts it again a second after it ended, as a Deployment would.
	Again bool
	// Enter, where given, runs what starts it, on a thread whose namespaces it is to inherit.
	Enter func(start func() error) error
}

// Process is one that was started. Its methods may be called from any goroutine.
type Process struct {
	Name string
	Log  string // file with its stdout and stderr
	spec Spec
	done chan struct{}

	mutex    sync.Mutex
	cmd      *exec.Cmd
	running  bool
	stopping bool
	away     *time.Duration // it was killed, to be started again after that
	starts   int
	err      error
}

// Group is all processes of one rig.
type Group struct {
	logs  string
	mutex sync.Mutex
	all   []*Process
}

// NewGroup keeps logs in that folder.
func NewGroup(logs string) (*Group, error) {
	return &Group{logs: logs}, os.MkdirAll(logs, 0o755)
}

// Start starts one.
func (g *Group) Start(spec Spec) (*Process, error) {
	p := &Process{
		Name: spec.Name,
		Log:  filepath.Join(g.logs, spec.Name+".log"),
		spec: spec,
		done: make(chan struct{}),
	}
	if err := p.start(); err != nil {
		return nil, err
	}
	go p.watch()
	g.mutex.Lock()
	g.all = append(g.all, p)
	g.mutex.Unlock()
	return p, nil
}

// Find is the last one started by that name, or nil.
func (g *Group) Find(name string) *Process {
	g.mutex.Lock()
	defer g.mutex.Unlock()
	for i := len(g.all) - 1; i >= 0; i-- {
		if g.all[i].Name == name {
			return g.all[i]
		}
	}
	return nil
}

// All are those that were started, the first one first.
func (g *Group) All() []*Process {
	g.mutex.Lock()
	defer g.mutex.Unlock()
	return append([]*Process(nil), g.all...)
}

func (p *Process) start() error {
	if p.spec.Enter != nil {
		return p.spec.Enter(p.fork)
	}
	return p.fork()
}

func (p *Process) fork() error {
	out, err := os.OpenFile(p.Log, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o644)
	if err != nil {
		return err
	}
	defer out.Close()
	cmd := exec.Command(p.spec.Path, p.spec.Args...)
	if p.spec.Argv0 != "" {
		cmd.Args[0] = p.spec.Argv0
	}
	cmd.Env = p.spec.Env
	cmd.Dir = p.spec.Dir
	cmd.Stdout = out
	cmd.Stderr = out
	cmd.SysProcAttr = &syscall.SysProcAttr{}
	if p.spec.Attr != nil {
		attr := *p.spec.Attr
		cmd.SysProcAttr = &attr
	}
	// So that Signal reaches its children too, and a terminal's Ctrl-C reaches the rig only.
	cmd.SysProcAttr.Setpgid = true
	p.mutex.Lock()
	defer p.mutex.Unlock()
	if p.stopping {
		return fmt.Errorf("%s is to end", p.Name)
	}
	if err := cmd.Start(); err != nil {
		return fmt.Errorf("%s: %w", p.Name, err)
	}
	p.cmd = cmd
	p.running = true
	p.starts++
	return nil
}

// watch waits for its end, and starts it again where that is asked for.
func (p *Process) watch() {
	defer close(p.done)
	for {
		err := p.cmd.Wait()
		p.mutex.Lock()
		p.running = false
		p.err = err
		stopping, away := p.stopping, p.away
		p.away = nil
		p.mutex.Unlock()
		switch {
		case stopping || (away == nil && !p.spec.Again):
			return
		case away == nil:
			fmt.Fprintf(os.Stderr, "kube-rig: %s ended (%v), starts again\n", p.Name, err)
			time.Sleep(time.Second)
		default:
			time.Sleep(*away)
		}
		if err := p.start(); err != nil {
			p.mutex.Lock()
			p.err = err
			p.mutex.Unlock()
			return
		}
	}
}

// Pid is its number in the rig's PID namespace.
func (p *Process) Pid() int {
	p.mutex.Lock()
	defer p.mutex.Unlock()
	return p.cmd.Process.Pid
}

// Starts counts how often it was started.
func (p *Process) Starts() int {
	p.mutex.Lock()
	defer p.mutex.Unlock()
	return p.starts
}

// Done is closed when it has ended for good.
func (p *Process) Done() <-chan struct{} {
	return p.done
}

// Err says how it ended; nil when it was told to.
func (p *Process) Err() error {
	p.mutex.Lock()
	defer p.mutex.Unlock()
	switch {
	case p.stopping:
		return nil
	case p.err == nil:
		return fmt.Errorf("%s ended, see %s", p.Name, p.Log)
	}
	return fmt.Errorf("%s: %w, see %s", p.Name, p.err, p.Log)
}

// Signal reaches its whole process group.
func (p *Process) Signal(signal syscall.Signal) error {
	p.mutex.Lock()
	defer p.mutex.Unlock()
	if !p.running {
		return fmt.Errorf("%s does not run", p.Name)
	}
	return syscall.Kill(-p.cmd.Process.Pid, signal)
}

// Restart kills it, and starts it again after that time. It does not wait.
func (p *Process) Restart(after time.Duration) error {
	p.mutex.Lock()
	defer p.mutex.Unlock()
	if !p.running {
		return fmt.Errorf("%s does not run", p.Name)
	}
	p.away = &after
	return syscall.Kill(-p.cmd.Process.Pid, syscall.SIGKILL)
}

// Stop ends it for good: SIGTERM, and SIGKILL after the grace.
func (p *Process) Stop(grace time.Duration) {
	p.mutex.Lock()
	p.stopping = true
	p.mutex.Unlock()
	_ = p.Signal(syscall.SIGTERM)
	_ = p.Signal(syscall.SIGCONT) // a stopped one would not see it
	select {
	case <-p.done:
	case <-time.After(grace):
		_ = p.Signal(syscall.SIGKILL)
		<-p.done
	}
}

// Until calls check again and again until it returns nil. It fails when the process has ended for
// good, or with the context, and then names the check's last error.
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
			return fmt.Errorf("%s: %w, last: %w", p.Name, ctx.Err(), err)
		case <-time.After(50 * time.Millisecond):
		}
	}
}
