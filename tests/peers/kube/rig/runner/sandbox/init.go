package sandbox

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"runtime"
	"syscall"

	"golang.org/x/sys/unix"
)

// Descriptors that Start hands to Init.
const (
	specDescriptor  = 3 // the Spec
	errorDescriptor = 4 // why there is no container; closed by exec
)

// Init is the first process in a container's namespaces. It does not return when all goes well.
func Init(args []string) error {
	if len(args) != 0 {
		return errors.New("container-init is for the runner's own use")
	}
	// Capabilities and the like belong to the thread that executes the program in the end.
	runtime.LockOSThread()
	unix.CloseOnExec(specDescriptor)
	unix.CloseOnExec(errorDescriptor)
	err := initialise(os.NewFile(specDescriptor, "spec"))
	complaint := os.NewFile(errorDescriptor, "error")
	_, _ = io.WriteString(complaint, err.Error())
	complaint.Close()
	return err
}

func initialise(source *os.File) error {
	var spec Spec
	if err := json.NewDecoder(source).Decode(&spec); err != nil {
		return fmt.Errorf("spec: %w", err)
	}
	source.Close()
	if len(spec.Args) == 0 {
		return errors.New("no command specified")
	}
	unix.Umask(0o022)
	if err := buildRoot(&spec); err != nil {
		return err
	}
	if err := os.MkdirAll(spec.Folder, 0o755); err != nil {
		return err
	}
	if spec.ReadOnlyRoot {
		for _, path := range []string{"/usr", "/etc", "/"} {
			if err := readOnly(path); err != nil {
				return err
			}
		}
	}
	if err := unix.Sethostname([]byte(spec.Hostname)); err != nil {
		return fmt.Errorf("host name: %w", err)
	}
	if spec.Offline {
		if err := loopbackUp(); err != nil {
			return fmt.Errorf("loopback: %w", err)
		}
	}
	if err := giveUp(&spec); err != nil {
		return err
	}
	// As the user: that it may not enter the folder is an error of the container.
	if err := os.Chdir(spec.Folder); err != nil {
		return err
	}
	program, err := findProgram(spec.Args[0], spec.Env)
	if err != nil {
		return err
	}
	if err := syscall.Exec(program, spec.Args, spec.Env); err != nil {
		return fmt.Errorf("exec: %q: %w", program, err)
	}
	return nil
}

func buildRoot(spec *Spec) error {
	if err := enterRoot(spec.Root); err != nil {
		return err
	}
	if err := fillRoot(); err != nil {
		return err
	}
	if err := mountKernel(); err != nil {
		return err
	}
	for _, m := range spec.Mounts {
		if err := bind(m); err != nil {
			return err
		}
	}
	for _, d := range spec.Devices {
		if err := makeDevice(d); err != nil {
			return err
		}
	}
	if spec.Program != "" {
		if err := bind(Mount{Source: spec.Program, Target: spec.ProgramPath, ReadOnly: true}); err != nil {
			return err
		}
	}
	return leaveMachine()
}

// giveUp changes to the user and leaves the capabilities that the container may have.
func giveUp(spec *Spec) error {
	mask, err := capabilityMask(spec.Capabilities)
	if err != nil {
		return err
	}
	if err := dropBounding(mask); err != nil {
		return err
	}
	if err := unix.Prctl(unix.PR_CAP_AMBIENT, unix.PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0); err != nil {
		return fmt.Errorf("ambient capabilities: %w", err)
	}
	groups := append([]int{spec.GID}, spec.Groups...)
	if err := unix.Setgroups(groups); err != nil {
		return fmt.Errorf("groups: %w", err)
	}
	if err := unix.Setresgid(spec.GID, spec.GID, spec.GID); err != nil {
		return fmt.Errorf("group %d: %w", spec.GID, err)
	}
	if err := unix.Setresuid(spec.UID, spec.UID, spec.UID); err != nil {
		return fmt.Errorf("user %d: %w", spec.UID, err)
	}
	if spec.UID != 0 {
		mask = 0
	}
	if err := setCapabilities(mask); err != nil {
		return fmt.Errorf("capabilities: %w", err)
	}
	if spec.NoNewPrivileges {
		if err := unix.Prctl(unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0); err != nil {
			return fmt.Errorf("no_new_privs: %w", err)
		}
	}
	return nil
}

func loopbackUp() error {
	socket, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer unix.Close(socket)
	request, err := unix.NewIfreq("lo")
	if err != nil {
		return err
	}
	request.SetUint16(unix.IFF_UP)
	return unix.IoctlIfreq(socket, unix.SIOCSIFFLAGS, request)
}
