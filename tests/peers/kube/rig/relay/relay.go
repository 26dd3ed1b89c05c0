// Package relay passes TCP connections on, between networks that do not see each other.
package relay

import (
	"context"
	"errors"
	"io"
	"net"
	"sync"
)

// DialFunc makes the connection that an accepted one is passed on to; both are TCP.
type DialFunc func(ctx context.Context) (net.Conn, error)

// Dial is of an address of the network that this process is in.
func Dial(address string) DialFunc {
	return func(ctx context.Context) (net.Conn, error) {
		var dialer net.Dialer
		return dialer.DialContext(ctx, "tcp4", address)
	}
}

// Forward passes connections on until ctx ends. It owns the listener.
//
// Clients see what they would see without it: the end of one direction is passed on as such, and a
// connection that was broken or refused is reset.
func Forward(ctx context.Context, listener net.Listener, dial DialFunc) error {
	stop := context.AfterFunc(ctx, func() { listener.Close() })
	defer stop()
	for {
		conn, err := listener.Accept()
		if errors.Is(err, net.ErrClosed) {
			return nil
		}
		if err != nil {
			return err
		}
		go func() {
			peer, err := dial(ctx)
			if err != nil {
				reset(conn)
				return
			}
			join(ctx, conn.(*net.TCPConn), peer.(*net.TCPConn))
		}()
	}
}

// join copies both ways until both have ended, and closes both.
func join(ctx context.Context, a, b *net.TCPConn) {
	broken := func() {
		reset(a)
		reset(b)
	}
	stop := context.AfterFunc(ctx, broken)
	defer stop()
	var both sync.WaitGroup
	pass := func(from, to *net.TCPConn) {
		defer both.Done()
		if _, err := io.Copy(to, from); err != nil {
			broken()
			return
		}
		_ = to.CloseWrite()
	}
	both.Add(2)
	go pass(a, b)
	go pass(b, a)
	both.Wait()
	a.Close()
	b.Close()
}

func reset(conn net.Conn) {
	if tcp, ok := conn.(*net.TCPConn); ok {
		_ = tcp.SetLinger(0)
	}
	conn.Close()
}
