package sandbox

import (
	"fmt"
	"slices"
	"strings"

	"golang.org/x/sys/unix"
)

// capabilities by number (linux/capability.h), without the prefix CAP_, as Kubernetes spells them.
var capabilities = []string{
	"CHOWN", "DAC_OVERRIDE", "DAC_READ_SEARCH", "FOWNER", "FSETID", "KILL", "SETGID", "SETUID", "SETPCAP",
	"LINUX_IMMUTABLE", "NET_BIND_SERVICE", "NET_BROADCAST", "NET_ADMIN", "NET_RAW", "IPC_LOCK", "IPC_OWNER",
	"SYS_MODULE", "SYS_RAWIO", "SYS_CHROOT", "SYS_PTRACE", "SYS_PACCT", "SYS_ADMIN", "SYS_BOOT", "SYS_NICE",
	"SYS_RESOURCE", "SYS_TIME", "SYS_TTY_CONFIG", "MKNOD", "LEASE", "AUDIT_WRITE", "AUDIT_CONTROL", "SETFCAP",
	"MAC_OVERRIDE", "MAC_ADMIN", "SYSLOG", "WAKE_ALARM", "BLOCK_SUSPEND", "AUDIT_READ", "PERFMON", "BPF",
	"CHECKPOINT_RESTORE",
}

// DefaultCapabilities are what container runtimes leave to root (containerd, oci/spec.go).
var DefaultCapabilities = []string{
	"CHOWN", "DAC_OVERRIDE", "FSETID", "FOWNER", "MKNOD", "NET_RAW", "SETGID", "SETUID", "SETFCAP", "SETPCAP",
	"NET_BIND_SERVICE", "SYS_CHROOT", "KILL", "AUDIT_WRITE",
}

// AllCapabilities are what a privileged container has.
func AllCapabilities() []string {
	return slices.Clone(capabilities)
}

func capabilityMask(names []string) (uint64, error) {
	var mask uint64
	for _, name := range names {
		bit := slices.Index(capabilities, strings.TrimPrefix(strings.ToUpper(name), "CAP_"))
		if bit < 0 {
			return 0, fmt.Errorf("unknown capability %q to add or drop", name)
		}
		mask |= 1 << bit
	}
	return mask, nil
}

// CheckCapabilities refuses a name that the kernel does not have.
func CheckCapabilities(names []string) error {
	_, err := capabilityMask(names)
	return err
}

// dropBounding takes from the bounding set what is not in the mask.
func dropBounding(mask uint64) error {
	for bit := range uintptr(64) {
		present, err := unix.PrctlRetInt(unix.PR_CAPBSET_READ, bit, 0, 0, 0)
		if err != nil {
			break // the kernel's last one was before
		}
		if present == 1 && mask&(1<<bit) == 0 {
			if err := unix.Prctl(unix.PR_CAPBSET_DROP, bit, 0, 0, 0); err != nil {
				return fmt.Errorf("capability %d: %w", bit, err)
			}
		}
	}
	return nil
}

// setCapabilities sets the permitted and effective sets of this thread.
func setCapabilities(mask uint64) error {
	header := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	var data [2]unix.CapUserData
	for i := range data {
		half := uint32(mask >> (32 * i))
		data[i] = unix.CapUserData{Permitted: half, Effective: half}
	}
	return unix.Capset(&header, &data[0])
}
