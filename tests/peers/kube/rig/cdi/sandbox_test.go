package cdi

import (
	"context"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

func newTestSandbox(t *testing.T) (context.Context, *sandbox) {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("namespaces need root")
	}
	ctx, cancel := context.WithCancel(context.Background())
	t.Cleanup(cancel)
	s, err := newSandbox(ctx)
	if err != nil {
		t.Fatal(err)
	}
	return ctx, s
}

func TestSandboxesHaveThePortsToThemselves(t *testing.T) {
	const address = "127.0.0.1:8443"
	for range 2 {
		ctx, s := newTestSandbox(t)
		listener, err := s.listen(ctx, address)
		if err != nil {
			t.Fatal(err)
		}
		defer listener.Close()
		go func() {
			conn, err := listener.Accept()
			if err == nil {
				_, _ = io.WriteString(conn, "here")
				conn.Close()
			}
		}()
		conn, err := s.dial(ctx, address)
		if err != nil {
			t.Fatal(err)
		}
		answer, err := io.ReadAll(conn)
		conn.Close()
		if err != nil || string(answer) != "here" {
			t.Errorf("'%s', %v", answer, err)
		}
	}
}

// Sockets of goroutines elsewhere are not in the sandbox: its thread runs nothing else.
func TestSandboxDoesNotLeak(t *testing.T) {
	ctx, s := newTestSandbox(t)
	listener, err := s.listen(ctx, "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	for range 100 {
		if conn, err := net.Dial("tcp4", listener.Addr().String()); err == nil {
			conn.Close()
			t.Fatal("reached from outside")
		}
	}
}

func TestSandboxIsFurnished(t *testing.T) {
	ctx, s := newTestSandbox(t)
	keep := t.TempDir() // below /tmp, which is covered
	kept := filepath.Join(keep, "kept")
	if err := os.WriteFile(kept, nil, 0o644); err != nil {
		t.Fatal(err)
	}
	hidden := filepath.Join(t.TempDir(), "hidden")
	if err := os.WriteFile(hidden, nil, 0o644); err != nil {
		t.Fatal(err)
	}
	shell, err := filepath.EvalSymlinks("/bin/sh")
	if err != nil {
		t.Fatal(err)
	}
	err = s.furnish(ctx, shell, keep, []place{{"/var/run/secrets/token", []byte("secret")}, {"/etc/hosts", []byte("own")}})
	if err != nil {
		t.Fatal(err)
	}
	script := `cat /run/secrets/token /etc/hosts; [ -e "$1" ] && printf ' kept'; [ -e "$2" ] || printf ' hidden'`
	var output []byte
	err = s.do(ctx, func() error {
		output, err = exec.Command("/run/program", "-c", script, "sh", kept, hidden).CombinedOutput()
		return err
	})
	if got := strings.TrimSpace(string(output)); err != nil || got != "secretown kept hidden" {
		t.Errorf("'%s', %v", got, err)
	}
	if _, err := os.Stat("/run/program"); err == nil {
		t.Error("the sandbox's files are seen outside")
	}
}
