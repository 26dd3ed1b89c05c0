package sandbox

import (
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// TestMain is also the program that Start starts.
func TestMain(m *testing.M) {
	if len(os.Args) > 1 && os.Args[1] == InitCommand {
		fmt.Fprintln(os.Stderr, Init(os.Args[2:]))
		os.Exit(1)
	}
	os.Exit(m.Run())
}

func newSpec(t *testing.T, args ...string) *Spec {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("namespaces and mounts need root")
	}
	root := filepath.Join(t.TempDir(), "root")
	if err := os.Mkdir(root, 0o755); err != nil {
		t.Fatal(err)
	}
	return &Spec{Root: root, Hostname: "app01", Args: args, Folder: "/", Capabilities: DefaultCapabilities,
		Env: []string{"PATH=/usr/sbin:/usr/bin:/sbin:/bin"}}
}

// run is a container's exit status and what it wrote.
func run(t *testing.T, spec *Spec) (int, string) {
	t.Helper()
	reader, writer, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer reader.Close()
	c, err := Start(spec, writer, writer)
	writer.Close()
	if err != nil {
		t.Fatal(err)
	}
	text, err := io.ReadAll(reader)
	if err != nil {
		t.Fatal(err)
	}
	return c.Wait(), string(text)
}

func expect(t *testing.T, spec *Spec, status int, want string) {
	t.Helper()
	if got, text := run(t, spec); got != status || text != want {
		t.Errorf("status %d, %q; want %d, %q", got, text, status, want)
	}
}

func TestIdentityIsWhatTheSpecSays(t *testing.T) {
	spec := newSpec(t, "/bin/sh", "-c", "id -u; id -g; id -G; hostname; echo $$; grep -E '^(Cap(Prm|Eff|Bnd|Amb)|NoNewPrivs)' /proc/self/status")
	spec.UID, spec.GID, spec.Groups = 107, 108, []int{3000, 4000}
	spec.Capabilities, spec.NoNewPrivileges = nil, true
	none := "0000000000000000"
	expect(t, spec, 0, "107\n108\n108 3000 4000\napp01\n1\n"+
		"CapPrm:\t"+none+"\nCapEff:\t"+none+"\nCapBnd:\t"+none+"\nCapAmb:\t"+none+"\nNoNewPrivs:\t1\n")
}

func TestRootHasNoMoreThanTheBoundingSet(t *testing.T) {
	spec := newSpec(t, "/bin/sh", "-c", "grep CapEff /proc/self/status; mount -t tmpfs none /mnt 2>/dev/null || echo refused")
	spec.Capabilities = []string{"CHOWN", "KILL"}
	expect(t, spec, 0, "CapEff:\t0000000000000021\nrefused\n")
}

func TestMachineIsNotSeen(t *testing.T) {
	secret := filepath.Join(t.TempDir(), "secret")
	if err := os.WriteFile(secret, []byte("x"), 0o644); err != nil {
		t.Fatal(err)
	}
	spec := newSpec(t, "/bin/sh", "-c", "ls "+secret+" 2>/dev/null; ls -A / | tr '\\n' ' '; ls -A /home /tmp; set -- /proc/[0-9]*; echo $# processes")
	_, text := run(t, spec)
	if strings.Contains(text, secret) || strings.Contains(text, ".machine") || strings.Contains(text, ".layers") ||
		!strings.HasSuffix(text, "\n1 processes\n") {
		t.Errorf("the machine is seen: %q", text)
	}
}

func TestWritesStayInTheContainer(t *testing.T) {
	spec := newSpec(t, "/bin/sh", "-c", "echo x >/usr/vmferry-test && echo x >/etc/vmferry-test && echo x >/tmp/a && cat /usr/vmferry-test /etc/vmferry-test /tmp/a")
	expect(t, spec, 0, "x\nx\nx\n")
	for _, path := range []string{"/usr/vmferry-test", "/etc/vmferry-test", "/tmp/a"} {
		if _, err := os.Stat(path); err == nil {
			t.Errorf("'%s' is on the machine", path)
			os.Remove(path)
		}
	}
}

func TestReadOnlyRootRefusesWritesButNotToMounts(t *testing.T) {
	spec := newSpec(t, "/bin/sh", "-c", "for f in /x /tmp/x /usr/x /etc/x /var/x /ro/x /rw/x; do (echo x >$f) 2>/dev/null && echo $f; done")
	rw, ro := t.TempDir(), t.TempDir()
	spec.ReadOnlyRoot = true
	spec.Mounts = []Mount{{Source: rw, Target: "/rw"}, {Source: ro, Target: "/ro", ReadOnly: true}}
	expect(t, spec, 0, "/rw/x\n")
	if text, err := os.ReadFile(filepath.Join(rw, "x")); err != nil || string(text) != "x\n" {
		t.Errorf("'%s', %v", text, err)
	}
}

func TestProgramIsSeenAtItsPath(t *testing.T) {
	program := filepath.Join(t.TempDir(), "any-name")
	if err := os.WriteFile(program, []byte("#!/bin/sh\necho \"$0\" \"$1\"; exit 3\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	spec := newSpec(t, "vmferry", "import")
	spec.Program, spec.ProgramPath, spec.ReadOnlyRoot = program, "/usr/bin/vmferry", true
	expect(t, spec, 3, "/usr/bin/vmferry import\n")
}

func TestDeviceBelongsToItsUser(t *testing.T) {
	spec := newSpec(t, "/bin/sh", "-c", "stat -c '%F %a %u:%g %t:%T' /dev/disk-0; [ -w /dev/disk-0 ] && echo writable")
	spec.UID, spec.GID = 107, 107
	spec.Devices = []Device{{Target: "/dev/disk-0", Major: 7, Minor: 250, UID: 107, GID: 107}}
	expect(t, spec, 0, "block special file 660 107:107 7:fa\nwritable\n")
}

func TestOfflineHasALoopbackOnly(t *testing.T) {
	spec := newSpec(t, "/bin/sh", "-c", "tail -n +3 /proc/net/dev | cut -d: -f1 | tr -d ' '; cat /sys/class/net/lo/flags")
	spec.Offline = true
	expect(t, spec, 0, "lo\n0x9\n")
}

func TestOfflineReachesWhatItIsTold(t *testing.T) {
	server, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer server.Close()
	go func() {
		for {
			conn, err := server.Accept()
			if err != nil {
				return
			}
			_, _ = conn.Write([]byte("hello\n"))
			conn.Close()
		}
	}()
	_, port, _ := net.SplitHostPort(server.Addr().String())
	spec := newSpec(t, "/bin/bash", "-c", "cat </dev/tcp/127.0.0.1/"+port)
	spec.Offline, spec.Reach = true, []string{server.Addr().String()}
	expect(t, spec, 0, "hello\n")
}

func TestReasonsWhyThereIsNoContainer(t *testing.T) {
	for name, c := range map[string]struct {
		want string
		edit func(*Spec)
	}{
		"not in PATH":    {`exec: "no-such-program": executable file not found in $PATH`, func(s *Spec) { s.Args = []string{"no-such-program"} }},
		"no such file":   {`exec: "/no/such": stat /no/such: no such file or directory`, func(s *Spec) { s.Args = []string{"/no/such"} }},
		"not executable": {`permission denied`, func(s *Spec) { s.Args = []string{"/etc/passwd"} }},
		"no command":     {`no command specified`, func(s *Spec) { s.Args = nil }},
		"no source":      {`no such file or directory`, func(s *Spec) { s.Mounts = []Mount{{Source: "/no/such", Target: "/x"}} }},
	} {
		t.Run(name, func(t *testing.T) {
			spec := newSpec(t, "/bin/true")
			c.edit(spec)
			container, err := Start(spec, nil, nil)
			if err == nil {
				container.Wait()
				t.Fatal("it started")
			}
			if !strings.Contains(err.Error(), c.want) {
				t.Errorf("%v", err)
			}
		})
	}
}

func TestSignalsOfAFirstProcess(t *testing.T) {
	spec := newSpec(t, "/bin/sh", "-c", "trap 'exit 7' TERM; echo ready; while :; do sleep 0.05; done")
	if status := signalled(t, spec, unix.SIGTERM); status != 7 {
		t.Errorf("with a handler: status %d", status)
	}
	spec = newSpec(t, "/bin/sh", "-c", "echo ready; sleep 60 & wait")
	if status := signalled(t, spec, unix.SIGTERM, unix.SIGKILL); status != 137 {
		t.Errorf("without one: status %d", status)
	}
}

func signalled(t *testing.T, spec *Spec, signals ...syscall.Signal) int {
	t.Helper()
	reader, writer, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer reader.Close()
	c, err := Start(spec, writer, nil)
	writer.Close()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := reader.Read(make([]byte, 16)); err != nil {
		t.Fatal(err)
	}
	for i, signal := range signals {
		if i > 0 {
			time.Sleep(50 * time.Millisecond) // were the one before not ignored, it would show
		}
		if err := c.Signal(signal); err != nil {
			t.Fatal(err)
		}
	}
	return c.Wait()
}

func TestCapabilityNames(t *testing.T) {
	if err := CheckCapabilities([]string{"NET_ADMIN", "cap_chown", "SYS_ADMIN"}); err != nil {
		t.Error(err)
	}
	if err := CheckCapabilities([]string{"FLY"}); err == nil {
		t.Error("FLY is a capability")
	}
}
