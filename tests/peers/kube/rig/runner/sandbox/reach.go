package sandbox

import (
	"context"
	"fmt"
	"net"
	"os"
	"runtime"

	"golang.org/x/sys/unix"

	"vmferry/tests/peers/kube/rig/relay"
)

// reach lets the process, which is in a network of its own, have these addresses of the machine's: it
// finds the same ones on its loopback device. The listeners are there when this returns, and go with
// the context.
func reach(ctx context.Context, pid int, addresses []string) error {
	listeners, err := listenIn(fmt.Sprintf("/proc/%d/ns/net", pid), addresses)
	if err != nil {
		return err
	}
	for i, listener := range listeners {
		go func() { _ = relay.Forward(ctx, listener, relay.Dial(addresses[i])) }()
	}
	return nil
}

// listenIn makes the listeners in that network: a socket belongs to the one that it was made in.
func listenIn(network string, addresses []string) (listeners []net.Listener, err error) {
	namespace, err := os.Open(network)
	if err != nil {
		return nil, err
	}
	defer namespace.Close()
	done := make(chan struct{})
	go func() {
		defer close(done)
		runtime.LockOSThread() // never unlocked: the thread ends with the goroutine
		if err = unix.Setns(int(namespace.Fd()), unix.CLONE_NEWNET); err != nil {
			return
		}
		if err = loopbackUp(); err != nil {
			return
		}
		for _, address := range addresses {
			var listener net.Listener
			if listener, err = net.Listen("tcp4", address); err != nil {
				break
			}
			listeners = append(listeners, listener)
		}
	}()
	<-done
	if err != nil {
		for _, listener := range listeners {
			listener.Close()
		}
		return nil, fmt.Errorf("network: %w", err)
	}
	return listeners, nil
}
