// Package runner is the one node: it runs the containers of pods.
package runner

import (
	"context"
	"errors"

	"vmferry/tests/peers/kube/rig/host"
)

// Start returns once the Node object is there; the rest goes on in h.Go until ctx ends.
func Start(ctx context.Context, h *host.Host) error {
	return nil
}

// Init is `kube-rig container-init SPECFILE`: the first process in a container's namespaces.
func Init(args []string) error {
	return errors.New("not built in")
}
