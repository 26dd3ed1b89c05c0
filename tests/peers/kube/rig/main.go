// Command kube-rig is the test cluster: it starts a real control plane, KubeVirt's and CDI's servers,
// and plays what no program here does: the node and the storage driver.
package main

import (
	"errors"
	"fmt"
	"os"

	"vmferry/tests/peers/kube/rig/runner"
)

// commands are the first arguments. Those that other processes of the rig are run with belong to
// their packages.
var commands = map[string]func(args []string) error{
	"up":             up,
	"first":          first,
	"supervise":      supervise,
	"container-init": runner.Init,
}

func main() {
	if len(os.Args) < 2 || commands[os.Args[1]] == nil {
		fmt.Fprintln(os.Stderr, "usage: kube-rig up --dir DIR --bin DIR [OPTION]...")
		os.Exit(2)
	}
	if err := commands[os.Args[1]](os.Args[2:]); err != nil {
		var status exitStatus
		if errors.As(err, &status) {
			os.Exit(int(status)) // who ended with it has said why
		}
		fmt.Fprintln(os.Stderr, "kube-rig:", err)
		os.Exit(1)
	}
}
