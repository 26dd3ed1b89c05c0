package cdi

import (
	"io"
	"net"
	"testing"

	"vmferry/tests/peers/kube/rig/host"
)

// A server that has port 8443 of all addresses of its namespace is no obstacle on the way to a pod.
func TestPodIsReachedOnThePortThatTheProxyHas(t *testing.T) {
	ctx, proxy := newTestSandbox(t)
	own, err := proxy.listen(ctx, ":"+serverPort)
	if err != nil {
		t.Fatal(err)
	}
	defer own.Close()
	h := &host.Host{}
	h.Init()
	pods, err := newPodNetwork(ctx, h, proxy)
	if err != nil {
		t.Fatal(err)
	}
	const pod = "127.9.8.7"
	listener, err := net.Listen("tcp4", net.JoinHostPort(pod, serverPort))
	if err != nil {
		t.Skipf("port %s of this machine is taken: %v", serverPort, err)
	}
	defer listener.Close()
	go func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			_, _ = io.WriteString(conn, "the pod")
			conn.Close()
		}
	}()
	for range 2 {
		seen, err := pods.reach(ctx, net.ParseIP(pod))
		if err != nil {
			t.Fatal(err)
		}
		conn, err := proxy.dial(ctx, net.JoinHostPort(seen.String(), serverPort))
		if err != nil {
			t.Fatal(err)
		}
		answer, err := io.ReadAll(conn)
		conn.Close()
		if err != nil || string(answer) != "the pod" {
			t.Errorf("'%s', %v", answer, err)
		}
	}
}
