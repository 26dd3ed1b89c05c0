package cdi

import (
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"

	"golang.org/x/sys/unix"
)

// sandbox is a network and a mount namespace, as a pod has them: CDI's servers listen on port 8443
// of all addresses, and read their certificates and their service account from fixed paths.
//
// The namespaces belong to one thread, which runs what it is given by do. A socket belongs to the
// namespace that it was made in, and a child process to those of the thread that forked it: no
// helper program is needed on either side. The thread ends with the sandbox, and never runs other
// goroutines.
type sandbox struct {
	calls  chan func()
	thread int
}

// newSandbox makes one in which only the loopback interface is up. It ends with ctx.
func newSandbox(ctx context.Context) (*sandbox, error) {
	s := &sandbox{calls: make(chan func())}
	made := make(chan error)
	go func() {
		runtime.LockOSThread() // never unlocked: the thread cannot go back
		s.thread = unix.Gettid()
		err := enterNamespaces()
		made <- err
		for err == nil {
			select {
			case call := <-s.calls:
				call()
			case <-ctx.Done():
				return
			}
		}
	}()
	return s, <-made
}

func enterNamespaces() error {
	if err := unix.Unshare(unix.CLONE_NEWNET | unix.CLONE_NEWNS); err != nil {
		return fmt.Errorf("cannot make namespaces: %w", err)
	}
	if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""); err != nil {
		return fmt.Errorf("cannot make mounts private: %w", err)
	}
	socket, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer unix.Close(socket)
	request, err := unix.NewIfreq("lo")
	if err != nil {
		return err
	}
	request.SetUint16(unix.IFF_UP | unix.IFF_RUNNING)
	if err := unix.IoctlIfreq(socket, unix.SIOCSIFFLAGS, request); err != nil {
		return fmt.Errorf("cannot bring up lo: %w", err)
	}
	return nil
}

// do runs the call in the namespaces. It must not wait for another one.
func (s *sandbox) do(ctx context.Context, call func() error) error {
	result := make(chan error, 1)
	select {
	case s.calls <- func() { result <- call() }:
		return <-result
	case <-ctx.Done():
		return ctx.Err()
	}
}

// listen is net.Listen there.
func (s *sandbox) listen(ctx context.Context, address string) (listener net.Listener, err error) {
	err = s.do(ctx, func() error {
		listener, err = net.Listen("tcp4", address)
		return err
	})
	return listener, err
}

// listenPacket is net.ListenPacket there.
func (s *sandbox) listenPacket(ctx context.Context, address string) (conn net.PacketConn, err error) {
	err = s.do(ctx, func() error {
		conn, err = net.ListenPacket("udp4", address)
		return err
	})
	return conn, err
}

// dial is net.Dial there; the address is numeric, or it would be looked up by another thread.
func (s *sandbox) dial(ctx context.Context, address string) (conn net.Conn, err error) {
	err = s.do(ctx, func() error {
		var dialer net.Dialer
		conn, err = dialer.DialContext(ctx, "tcp4", address)
		return err
	})
	return conn, err
}

// run runs a command of the machine there.
func (s *sandbox) run(ctx context.Context, name string, args ...string) error {
	return s.do(ctx, func() error {
		if text, err := exec.Command(name, args...).CombinedOutput(); err != nil {
			return fmt.Errorf("%s %s: %w: %s", name, strings.Join(args, " "), err, strings.TrimSpace(string(text)))
		}
		return nil
	})
}

// place is a file for furnish; the path is absolute.
type place struct {
	path string
	data []byte
}

// furnish gives the sandbox a /run, an /etc and a /tmp of its own with these files, and the program
// at /run/program. What is below keep stays where it is.
func (s *sandbox) furnish(ctx context.Context, program, keep string, files []place) error {
	return s.do(ctx, func() error {
		// Both may be below a folder that is about to be covered.
		programFile, err := os.Open(program)
		if err != nil {
			return err
		}
		defer programFile.Close()
		keepFolder, err := os.Open(keep)
		if err != nil {
			return err
		}
		defer keepFolder.Close()
		for _, folder := range []string{"/run", "/etc", "/tmp"} {
			if err := unix.Mount("tmpfs", folder, "tmpfs", unix.MS_NOSUID|unix.MS_NODEV, "mode=0755"); err != nil {
				return fmt.Errorf("cannot mount a tmpfs on %s: %w", folder, err)
			}
		}
		if err := os.Chmod("/tmp", 0o777|os.ModeSticky); err != nil {
			return err
		}
		if _, err := os.Stat(keep); err != nil {
			if err := os.MkdirAll(keep, 0o755); err != nil {
				return err
			}
			if err := bind(keepFolder, keep); err != nil {
				return err
			}
		}
		if err := os.WriteFile("/run/program", nil, 0o755); err != nil {
			return err
		}
		if err := bind(programFile, "/run/program"); err != nil {
			return err
		}
		for _, file := range files {
			if err := os.MkdirAll(filepath.Dir(file.path), 0o755); err != nil {
				return err
			}
			if err := os.WriteFile(file.path, file.data, 0o644); err != nil {
				return err
			}
		}
		return nil
	})
}

func bind(file *os.File, path string) error {
	source := fmt.Sprintf("/proc/thread-self/fd/%d", file.Fd())
	if err := unix.Mount(source, path, "", unix.MS_BIND, ""); err != nil {
		return fmt.Errorf("cannot bind %s to %s: %w", file.Name(), path, err)
	}
	return nil
}
