// Package port hands out TCP ports and loopback networks that no other rig on this machine uses.
//
// A port got by listening on port 0 and closing may go to somebody else before the server that it
// was meant for starts. These are outside the range that the kernel gives out by itself, and an
// abstract Unix socket, which goes with the process, keeps other rigs away from them.
package port

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"sync"
)

const (
	firstPort, lastPort       = 20000, 29999
	firstNetwork, lastNetwork = 16, 250
)

var (
	mutex sync.Mutex
	locks []net.Listener // held to the end of the process
)

func lock(name string) bool {
	listener, err := net.Listen("unix", "@vmferry-kube-rig-"+name)
	if err != nil {
		return false
	}
	mutex.Lock()
	defer mutex.Unlock()
	locks = append(locks, listener)
	return true
}

// New is a free port of 127.0.0.1, this process's to its end.
func New() (int, error) {
	for range 1000 {
		port := firstPort + rand.IntN(lastPort-firstPort+1)
		if !lock(fmt.Sprintf("port-%d", port)) || !free(port) {
			continue
		}
		return port, nil
	}
	return 0, errors.New("no free port")
}

// free looks on all addresses, where servers without a say in it listen.
func free(port int) bool {
	listener, err := net.Listen("tcp", fmt.Sprintf(":%d", port))
	if err != nil {
		return false
	}
	return listener.Close() == nil
}

// Network is a /16 of loopback addresses, "127.N.", this process's to its end.
func Network() (string, error) {
	first := rand.IntN(lastNetwork - firstNetwork + 1)
	for i := range lastNetwork - firstNetwork + 1 {
		n := firstNetwork + (first+i)%(lastNetwork-firstNetwork+1)
		if lock(fmt.Sprintf("network-%d", n)) {
			return fmt.Sprintf("127.%d.", n), nil
		}
	}
	return "", errors.New("no free loopback network")
}
