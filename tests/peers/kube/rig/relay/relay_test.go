package relay

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"syscall"
	"testing"
)

// forwarded is a client's connection to the server through forward.
func forwarded(t *testing.T, serve func(*net.TCPConn)) *net.TCPConn {
	t.Helper()
	server := listenLocal(t)
	go func() {
		for {
			conn, err := server.Accept()
			if err != nil {
				return
			}
			serve(conn.(*net.TCPConn))
		}
	}()
	client, err := net.Dial("tcp4", forwarder(t, Dial(server.Addr().String())))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { client.Close() })
	return client.(*net.TCPConn)
}

// forwarder is the address of one that lives as long as the test.
func forwarder(t *testing.T, dial DialFunc) string {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	listener := listenLocal(t)
	ended := make(chan error)
	go func() { ended <- Forward(ctx, listener, dial) }()
	t.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
	return listener.Addr().String()
}

func listenLocal(t *testing.T) net.Listener {
	t.Helper()
	listener, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { listener.Close() })
	return listener
}

func TestForwardPassesTheEndOfOneDirection(t *testing.T) {
	client := forwarded(t, func(conn *net.TCPConn) {
		defer conn.Close()
		request, err := io.ReadAll(conn) // until the client is done
		if err == nil {
			_, _ = conn.Write(append([]byte("got "), request...))
		}
	})
	request := bytes.Repeat([]byte("0123456789"), 100000)
	if _, err := client.Write(request); err != nil {
		t.Fatal(err)
	}
	if err := client.CloseWrite(); err != nil {
		t.Fatal(err)
	}
	answer, err := io.ReadAll(client)
	if err != nil || !bytes.Equal(answer, append([]byte("got "), request...)) {
		t.Errorf("%d bytes, %v", len(answer), err)
	}
}

func TestForwardPassesAReset(t *testing.T) {
	client := forwarded(t, func(conn *net.TCPConn) {
		_, _ = io.ReadFull(conn, make([]byte, 1))
		reset(conn)
	})
	if _, err := client.Write([]byte("x")); err != nil {
		t.Fatal(err)
	}
	if _, err := io.ReadAll(client); !errors.Is(err, syscall.ECONNRESET) {
		t.Errorf("%v instead of a reset", err)
	}
}

func TestForwardResetsWhenNobodyListens(t *testing.T) {
	nobody := listenLocal(t)
	nobody.Close()
	client, err := net.Dial("tcp4", forwarder(t, Dial(nobody.Addr().String())))
	if err == nil { // or the reset came before Dial had looked
		defer client.Close()
		_, err = io.ReadAll(client)
	}
	if !errors.Is(err, syscall.ECONNRESET) {
		t.Errorf("%v instead of a reset", err)
	}
}
