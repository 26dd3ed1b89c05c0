package port

import (
	"net"
	"testing"
)

func TestPortsAndNetworksAreTakenOnce(t *testing.T) {
	ports := map[int]bool{}
	for range 50 {
		number, err := New()
		if err != nil {
			t.Fatal(err)
		}
		if ports[number] || number < firstPort || number > lastPort {
			t.Fatalf("port %d", number)
		}
		ports[number] = true
	}
	networks := map[string]bool{}
	for range 5 {
		network, err := Network()
		if err != nil {
			t.Fatal(err)
		}
		if networks[network] || net.ParseIP(network+"0.1") == nil {
			t.Fatalf("network %s", network)
		}
		networks[network] = true
	}
}

func TestPortInUseIsNotGiven(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	number := listener.Addr().(*net.TCPAddr).Port
	if free(number) {
		t.Fatalf("port %d is in use", number)
	}
}
