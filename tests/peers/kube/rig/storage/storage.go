// Package storage provisions volumes and snapshots: what the control plane leaves to drivers.
package storage

import (
	"context"

	"vmferry/tests/peers/kube/rig/host"
)

// Start returns once the storage classes are there; the rest goes on in h.Go until ctx ends.
func Start(ctx context.Context, h *host.Host) error {
	return nil
}
