package sandbox

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"syscall"

	"golang.org/x/sys/unix"
)

// InitCommand is this program's first argument that leads to Init.
const InitCommand = "container-init"

// startErrorLimit bounds what Init can say.
const startErrorLimit = 4096

// Container is one that runs, or ran.
type Container struct {
	command *exec.Cmd
	leave   context.CancelFunc // what it reaches of the machine's network
}

// Start returns once the container's program was executed, or with the reason why not.
func Start(spec *Spec, stdout, stderr *os.File) (*Container, error) {
	specReader, specWriter, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	defer specReader.Close()
	defer specWriter.Close()
	errorReader, errorWriter, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	defer errorReader.Close()
	defer errorWriter.Close()

	command := exec.Command("/proc/self/exe", InitCommand)
	command.Args[0] = "kube-rig"
	command.Env = []string{}
	command.Stdout, command.Stderr = stdout, stderr
	command.ExtraFiles = []*os.File{specReader, errorWriter}
	command.SysProcAttr = &syscall.SysProcAttr{
		Cloneflags: unix.CLONE_NEWNS | unix.CLONE_NEWPID | unix.CLONE_NEWUTS | unix.CLONE_NEWIPC,
		Setsid:     true,
	}
	if spec.Offline {
		command.SysProcAttr.Cloneflags |= unix.CLONE_NEWNET
	}
	if err := command.Start(); err != nil {
		return nil, err
	}
	specReader.Close()
	errorWriter.Close()
	ctx, leave := context.WithCancel(context.Background())
	c := &Container{command: command, leave: leave}
	if spec.Offline {
		err = reach(ctx, command.Process.Pid, spec.Reach)
	}
	if err == nil {
		err = json.NewEncoder(specWriter).Encode(spec)
	}
	specWriter.Close()
	text, readErr := io.ReadAll(io.LimitReader(errorReader, startErrorLimit))
	if len(text) > 0 || readErr != nil || err != nil {
		_ = c.Signal(unix.SIGKILL)
		_ = command.Wait()
		leave()
		if len(text) > 0 {
			return nil, errors.New(string(text))
		}
		return nil, fmt.Errorf("container-init: %w", errors.Join(err, readErr))
	}
	return c, nil
}

// Pid is the first process's number in the rig's PID namespace.
func (c *Container) Pid() int {
	return c.command.Process.Pid
}

// Signal reaches the first process. Of those that end a process only SIGKILL does so without a
// handler: it is the init of its PID namespace.
func (c *Container) Signal(signal syscall.Signal) error {
	return c.command.Process.Signal(signal)
}

// Wait is the exit status: 128 and the signal's number if one ended it, as container runtimes say it.
// All other processes of the container have ended too.
func (c *Container) Wait() int {
	_ = c.command.Wait()
	c.leave()
	status := c.command.ProcessState.Sys().(syscall.WaitStatus)
	if status.Signaled() {
		return 128 + int(status.Signal())
	}
	return status.ExitStatus()
}
