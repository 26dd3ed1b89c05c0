package sandbox

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"
)

const oldRoot = "/.machine" // where the machine's root is seen while the container's is built
const layers = "/.layers"   // a tmpfs for what is written below /usr and /etc

// enterRoot makes folder the root. The machine's is at oldRoot until leaveMachine.
func enterRoot(folder string) error {
	if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""); err != nil {
		return fmt.Errorf("private mounts: %w", err)
	}
	if err := unix.Mount(folder, folder, "", unix.MS_BIND, ""); err != nil {
		return fmt.Errorf("root: %w", err)
	}
	machine := filepath.Join(folder, oldRoot)
	if err := os.MkdirAll(machine, 0o700); err != nil {
		return err
	}
	if err := unix.PivotRoot(folder, machine); err != nil {
		return fmt.Errorf("pivot_root: %w", err)
	}
	return os.Chdir("/")
}

func leaveMachine() error {
	if err := unix.Unmount(oldRoot, unix.MNT_DETACH); err != nil {
		return err
	}
	return os.Remove(oldRoot)
}

// fillRoot makes what every image has.
func fillRoot() error {
	for path, mode := range map[string]os.FileMode{
		"/proc": 0o755, "/sys": 0o755, "/dev": 0o755, "/run": 0o755, "/var": 0o755, "/root": 0o700,
		"/home": 0o755, "/mnt": 0o755, "/opt": 0o755, "/srv": 0o755, "/usr": 0o755, "/etc": 0o755,
		"/tmp": 0o777 | os.ModeSticky, "/var/tmp": 0o777 | os.ModeSticky, "/var/lib": 0o755, "/var/log": 0o755,
	} {
		if err := os.MkdirAll(path, 0o755); err != nil {
			return err
		}
		if err := os.Chmod(path, mode); err != nil {
			return err
		}
	}
	if err := os.Symlink("/run", "/var/run"); err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	for _, name := range []string{"bin", "sbin", "lib", "lib32", "lib64", "libx32"} {
		if err := sameAsMachine(name); err != nil {
			return err
		}
	}
	return layerOver("usr", "etc")
}

// sameAsMachine makes the symbolic link into /usr, or shows the folder where /usr is not merged.
func sameAsMachine(name string) error {
	source := filepath.Join(oldRoot, name)
	if target, err := os.Readlink(source); err == nil {
		if err := os.Symlink(target, "/"+name); err != nil && !errors.Is(err, fs.ErrExist) {
			return err
		}
		return nil
	}
	if _, err := os.Stat(source); err != nil {
		return nil
	}
	return bind(Mount{Source: "/" + name, Target: "/" + name, ReadOnly: true})
}

func layerOver(names ...string) error {
	if err := os.MkdirAll(layers, 0o700); err != nil {
		return err
	}
	if err := unix.Mount("tmpfs", layers, "tmpfs", 0, "mode=0700"); err != nil {
		return fmt.Errorf("layers: %w", err)
	}
	for _, name := range names {
		upper, work := filepath.Join(layers, name, "upper"), filepath.Join(layers, name, "work")
		for _, path := range []string{upper, work} {
			if err := os.MkdirAll(path, 0o755); err != nil {
				return err
			}
		}
		options := fmt.Sprintf("lowerdir=%s/%s,upperdir=%s,workdir=%s", oldRoot, name, upper, work)
		if err := unix.Mount("overlay", "/"+name, "overlay", 0, options); err != nil {
			return fmt.Errorf("overlay on /%s: %w", name, err)
		}
	}
	if err := unix.Unmount(layers, unix.MNT_DETACH); err != nil { // the overlays keep it
		return err
	}
	return os.Remove(layers)
}

// bind shows a file or folder of the machine. The target is resolved inside the new root.
func bind(m Mount) error {
	source := filepath.Join(oldRoot, m.Source)
	info, err := os.Stat(source)
	if err != nil {
		return err
	}
	if info.IsDir() {
		err = os.MkdirAll(m.Target, 0o755)
	} else {
		err = touch(m.Target)
	}
	if err != nil {
		return err
	}
	if err := unix.Mount(source, m.Target, "", unix.MS_BIND, ""); err != nil {
		return fmt.Errorf("mount '%s': %w", m.Target, err)
	}
	if m.ReadOnly {
		return readOnly(m.Target)
	}
	return nil
}

func readOnly(path string) error {
	attributes := unix.MountAttr{Attr_set: unix.MOUNT_ATTR_RDONLY}
	if err := unix.MountSetattr(unix.AT_FDCWD, path, 0, &attributes); err != nil {
		return fmt.Errorf("'%s' read-only: %w", path, err)
	}
	return nil
}

func touch(path string) error {
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return err
	}
	file, err := os.OpenFile(path, os.O_CREATE|os.O_RDONLY, 0o644)
	if err != nil {
		return err
	}
	return file.Close()
}

// mountKernel makes /proc, /sys and /dev. The process is the first of its PID namespace by now.
func mountKernel() error {
	const plain = unix.MS_NOSUID | unix.MS_NODEV | unix.MS_NOEXEC
	if err := unix.Mount("proc", "/proc", "proc", plain, ""); err != nil {
		return fmt.Errorf("/proc: %w", err)
	}
	for _, path := range []string{"/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger"} {
		if err := unix.Mount(path, path, "", unix.MS_BIND, ""); err != nil {
			continue // this kernel has none
		}
		if err := readOnly(path); err != nil {
			return err
		}
	}
	if err := unix.Mount("sysfs", "/sys", "sysfs", plain|unix.MS_RDONLY, ""); err != nil {
		return fmt.Errorf("/sys: %w", err)
	}
	if err := unix.Mount("tmpfs", "/dev", "tmpfs", unix.MS_NOSUID, "mode=755,size=65536k"); err != nil {
		return fmt.Errorf("/dev: %w", err)
	}
	return fillDev()
}

func fillDev() error {
	for _, node := range []struct {
		name         string
		major, minor uint32
	}{{"null", 1, 3}, {"zero", 1, 5}, {"full", 1, 7}, {"random", 1, 8}, {"urandom", 1, 9}, {"tty", 5, 0}} {
		path := "/dev/" + node.name
		if err := unix.Mknod(path, unix.S_IFCHR|0o666, int(unix.Mkdev(node.major, node.minor))); err != nil {
			return fmt.Errorf("%s: %w", path, err)
		}
		if err := os.Chmod(path, 0o666); err != nil {
			return err
		}
	}
	for link, target := range map[string]string{
		"fd": "/proc/self/fd", "stdin": "/proc/self/fd/0", "stdout": "/proc/self/fd/1",
		"stderr": "/proc/self/fd/2", "ptmx": "pts/ptmx",
	} {
		if err := os.Symlink(target, "/dev/"+link); err != nil {
			return err
		}
	}
	for _, m := range []struct{ path, kind, options string }{
		{"/dev/pts", "devpts", "newinstance,ptmxmode=0666,mode=0620,gid=5"},
		{"/dev/shm", "tmpfs", "mode=1777,size=65536k"},
	} {
		if err := os.Mkdir(m.path, 0o755); err != nil {
			return err
		}
		if err := unix.Mount(m.kind, m.path, m.kind, unix.MS_NOSUID|unix.MS_NOEXEC, m.options); err != nil {
			return fmt.Errorf("%s: %w", m.path, err)
		}
	}
	return nil
}

func makeDevice(d Device) error {
	if err := os.MkdirAll(filepath.Dir(d.Target), 0o755); err != nil {
		return err
	}
	if err := unix.Mknod(d.Target, unix.S_IFBLK|0o660, int(unix.Mkdev(d.Major, d.Minor))); err != nil {
		return fmt.Errorf("device '%s': %w", d.Target, err)
	}
	if err := os.Chmod(d.Target, 0o660); err != nil {
		return err
	}
	return os.Chown(d.Target, d.UID, d.GID)
}

// findProgram is where exec looks: PATH of the container's environment.
func findProgram(name string, env []string) (string, error) {
	if strings.Contains(name, "/") {
		if _, err := os.Stat(name); errors.Is(err, fs.ErrNotExist) {
			return "", fmt.Errorf("exec: %q: stat %s: no such file or directory", name, name)
		}
		return name, nil
	}
	path := "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
	for _, entry := range env {
		if value, found := strings.CutPrefix(entry, "PATH="); found {
			path = value
		}
	}
	for _, folder := range filepath.SplitList(path) {
		file := filepath.Join(folder, name)
		if info, err := os.Stat(file); err == nil && !info.IsDir() && info.Mode()&0o111 != 0 {
			return file, nil
		}
	}
	return "", fmt.Errorf("exec: %q: executable file not found in $PATH", name)
}
