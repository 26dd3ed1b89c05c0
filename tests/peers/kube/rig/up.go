package main

import (
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"
)

// options of `kube-rig up`, as the supervisor gets them too.
type options struct {
	dir       string
	bin       string
	readyFile string
	images    map[string]string
	bare      bool
	without   map[string]bool
	dieWith   int // a process; 0: none
}

func parseOptions(args []string) (*options, error) {
	o := &options{images: map[string]string{}, without: map[string]bool{}}
	var dieWithParent bool
	f := flag.NewFlagSet("kube-rig up", flag.ContinueOnError)
	f.StringVar(&o.dir, "dir", "", "folder of this rig, made when missing, empty otherwise (required)")
	f.StringVar(&o.bin, "bin", "", "folder of the built programs (required)")
	f.StringVar(&o.readyFile, "ready-file", "", "file to write when everything answers")
	f.BoolVar(&o.bare, "bare", false, "a control plane only, without custom resource definitions")
	f.BoolVar(&dieWithParent, "die-with-parent", false, "end when the parent process does")
	f.IntVar(&o.dieWith, "die-with", 0, "end when the process of that `PID` does")
	f.Func("image", "`NAME=PROGRAM`: what pods of that image run", func(value string) error {
		name, program, found := strings.Cut(value, "=")
		if !found || name == "" || !filepath.IsAbs(program) {
			return errors.New("NAME=PROGRAM with an absolute path is expected")
		}
		o.images[name] = program
		return nil
	})
	f.Func("without", "`cdi|kubevirt|runner|storage`: leave that part out", func(value string) error {
		switch value {
		case "cdi", "kubevirt", "runner", "storage":
			o.without[value] = true
			return nil
		}
		return errors.New("no such part")
	})
	if err := f.Parse(args); err != nil {
		return nil, err
	}
	if f.NArg() > 0 {
		return nil, fmt.Errorf("unexpected argument '%s'", f.Arg(0))
	}
	if o.dir == "" || o.bin == "" {
		return nil, errors.New("--dir and --bin are required")
	}
	for _, path := range []*string{&o.dir, &o.bin, &o.readyFile} {
		if *path == "" {
			continue
		}
		absolute, err := filepath.Abs(*path)
		if err != nil {
			return nil, err
		}
		*path = absolute
	}
	if dieWithParent {
		o.dieWith = os.Getppid()
	}
	return o, nil
}

// up starts the rig in PID and mount namespaces of its own. When the first process there ends, the
// kernel ends all others and undoes the mounts; and it ends when the pipe from here does, even if
// this process was killed. So nothing outlives the rig, whatever it started.
func up(args []string) error {
	o, err := parseOptions(args)
	if err != nil {
		return err
	}
	if os.Geteuid() != 0 {
		return errors.New("namespaces, mounts and the users of containers need root")
	}
	if err := makeEmpty(o.dir); err != nil {
		return err
	}
	var gone <-chan error // stays nil without --die-with
	if o.dieWith != 0 {
		if gone, err = watchProcess(o.dieWith); err != nil {
			return err
		}
	}
	reader, writer, err := os.Pipe()
	if err != nil {
		return err
	}
	defer writer.Close()
	// Relative names in the arguments mean the same there: the folder is inherited.
	first := exec.Command("/proc/self/exe", append([]string{"first"}, args...)...)
	first.Args[0] = "kube-rig"
	first.Stdout = os.Stdout
	first.Stderr = os.Stderr
	first.ExtraFiles = []*os.File{reader}
	first.SysProcAttr = &syscall.SysProcAttr{
		Cloneflags: syscall.CLONE_NEWPID | syscall.CLONE_NEWNS,
		Setpgid:    true,
	}
	signals := make(chan os.Signal, 4)
	signal.Notify(signals, syscall.SIGTERM, syscall.SIGINT, syscall.SIGHUP)
	if err := first.Start(); err != nil {
		return err
	}
	reader.Close()
	ended := make(chan error, 1)
	go func() { ended <- first.Wait() }()
	for {
		select {
		case <-signals:
			_ = first.Process.Signal(syscall.SIGTERM)
		case err := <-gone:
			if err != nil {
				fmt.Fprintln(os.Stderr, "kube-rig: the process to end with:", err)
			}
			_ = first.Process.Signal(syscall.SIGTERM)
			gone = nil
		case err := <-ended:
			var exit *exec.ExitError
			if errors.As(err, &exit) {
				return exitStatus(exit.ExitCode())
			}
			return err
		}
	}
}

// exitStatus is an error that has been told about already.
type exitStatus int

func (e exitStatus) Error() string { return fmt.Sprintf("ended with status %d", int(e)) }

// makeEmpty makes the folder, or makes sure that it is empty.
func makeEmpty(dir string) error {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	entries, err := os.ReadDir(dir)
	if err != nil {
		return err
	}
	if len(entries) > 0 {
		return fmt.Errorf("the folder %s is not empty", dir)
	}
	return nil
}

// watchProcess gives a value when that process has ended.
func watchProcess(pid int) (<-chan error, error) {
	fd, err := unix.PidfdOpen(pid, 0)
	if err != nil {
		return nil, fmt.Errorf("process %d: %w", pid, err)
	}
	gone := make(chan error, 1)
	go func() {
		for {
			_, err := unix.Poll([]unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}, -1)
			if err != unix.EINTR {
				gone <- err
				return
			}
		}
	}()
	return gone, nil
}

// first is the first process in the rig's PID namespace: it reaps what was orphaned there, and ends
// with the supervisor, or when the pipe (descriptor 3) from outside ends.
func first(args []string) error {
	if os.Getpid() != 1 {
		return errors.New("only `kube-rig up` runs this")
	}
	runtime.LockOSThread()
	// Mounts of outside are still seen here, those made here are not seen outside.
	if err := unix.Mount("none", "/", "", unix.MS_REC|unix.MS_SLAVE, ""); err != nil {
		return fmt.Errorf("making / a slave mount: %w", err)
	}
	if err := unix.Mount("proc", "/proc", "proc", unix.MS_NOSUID|unix.MS_NODEV|unix.MS_NOEXEC, ""); err != nil {
		return fmt.Errorf("mounting /proc: %w", err)
	}
	unix.CloseOnExec(3)
	go func() {
		_, _ = os.NewFile(3, "alive").Read(make([]byte, 1))
		os.Exit(1)
	}()
	supervisor, err := syscall.ForkExec("/proc/self/exe", append([]string{"kube-rig", "supervise"}, args...),
		&syscall.ProcAttr{Env: os.Environ(), Files: []uintptr{0, 1, 2}, Sys: &syscall.SysProcAttr{Setpgid: true}})
	if err != nil {
		return err
	}
	signals := make(chan os.Signal, 4)
	signal.Notify(signals, syscall.SIGTERM)
	go func() {
		for range signals {
			_ = syscall.Kill(supervisor, syscall.SIGTERM)
		}
	}()
	for {
		var status syscall.WaitStatus
		pid, err := syscall.Wait4(-1, &status, 0, nil)
		switch {
		case err == syscall.EINTR:
		case err != nil:
			return err
		case pid == supervisor && status.Exited():
			os.Exit(status.ExitStatus())
		case pid == supervisor:
			return fmt.Errorf("the supervisor was ended by signal %d", status.Signal())
		}
	}
}
