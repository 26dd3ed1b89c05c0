package main

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"net/http"
	"strconv"
	"time"
)

type connKey struct{}

// withConn lets a handler reach the connection under its request.
func withConn(ctx context.Context, c net.Conn) context.Context {
	return context.WithValue(ctx, connKey{}, c)
}

// resetConnection sends RST to the peer and ends the handler.
func resetConnection(r *http.Request) {
	if c, ok := r.Context().Value(connKey{}).(net.Conn); ok {
		if t, ok := c.(*tls.Conn); ok {
			c = t.NetConn()
		}
		if t, ok := c.(*net.TCPConn); ok {
			_ = t.SetLinger(0)
		}
		_ = c.Close()
	}
	panic(http.ErrAbortHandler)
}

// errCut ends a body early without an error towards the peer.
var errCut = errors.New("body cut on order")

// bodyWriter applies an ordered fault at a byte of the body, and a rate.
type bodyWriter struct {
	w    io.Writer
	r    *http.Request
	rule *Rule
	done int64
	rate int64
	from time.Time
	tick func()
}

// newBodyWriter wraps w; rule and tick may be nil, rate 0 means no limit.
func newBodyWriter(w io.Writer, r *http.Request, rule *Rule, rate int64, tick func()) *bodyWriter {
	return &bodyWriter{w: w, r: r, rule: rule, rate: rate, from: time.Now(), tick: tick}
}

func (b *bodyWriter) Write(p []byte) (int, error) {
	n := 0
	for n < len(p) {
		if err := b.r.Context().Err(); err != nil {
			return n, err
		}
		part := p[n:min(len(p), n+64<<10)]
		if b.rule != nil && b.done+int64(len(part)) > b.rule.AfterBytes {
			head := part[:b.rule.AfterBytes-b.done]
			if err := b.pass(head); err != nil {
				return n, err
			}
			n += len(head)
			part = part[len(head):]
			rule := b.rule
			b.rule = nil
			var err error
			if part, err = b.strike(rule, part); err != nil {
				return n, err
			}
		}
		if err := b.pass(part); err != nil {
			return n, err
		}
		n += len(part)
	}
	return n, nil
}

// strike carries the rule out; part starts at its byte.
func (b *bodyWriter) strike(rule *Rule, part []byte) ([]byte, error) {
	flush := func() {
		if f, ok := b.w.(http.Flusher); ok {
			f.Flush()
		}
	}
	switch rule.Kind {
	case "bitflip":
		c := append([]byte(nil), part...)
		c[0] ^= 0x10
		return c, nil
	case "stall":
		flush()
		select {
		case <-time.After(rule.duration(time.Hour)):
		case <-b.r.Context().Done():
			return nil, b.r.Context().Err()
		}
		return part, nil
	case "truncate":
		flush()
		return nil, errCut
	case "reset":
		flush()
		resetConnection(b.r)
	case "drop":
		flush()
		panic(http.ErrAbortHandler)
	}
	return part, nil
}

func (b *bodyWriter) pass(p []byte) error {
	if len(p) == 0 {
		return nil
	}
	if _, err := b.w.Write(p); err != nil {
		return err
	}
	b.done += int64(len(p))
	if b.tick != nil {
		b.tick()
	}
	if b.rate > 0 {
		due := b.from.Add(time.Duration(float64(b.done) / float64(b.rate) * float64(time.Second)))
		if d := time.Until(due); d > 0 {
			if f, ok := b.w.(http.Flusher); ok {
				f.Flush()
			}
			select {
			case <-time.After(d):
			case <-b.r.Context().Done():
			}
		}
	}
	return nil
}

// bodyKinds are the faults that strike inside a body.
const bodyKinds = "truncate stall reset drop bitflip"

// strikeFirst carries out what happens before a body: 503, reset, stall.
// It reports whether the request is over. A rule that belongs into the body
// is handed back.
func strikeFirst(w http.ResponseWriter, r *http.Request, rule *Rule) (bool, *Rule) {
	if rule == nil {
		return false, nil
	}
	switch {
	case rule.Kind == "http503":
		w.Header().Set("Retry-After", "1")
		http.Error(w, "503 Service Unavailable", http.StatusServiceUnavailable)
		return true, nil
	case rule.Kind == "stall" && rule.AfterBytes < 0:
		select {
		case <-time.After(rule.duration(time.Hour)):
		case <-r.Context().Done():
			panic(http.ErrAbortHandler)
		}
		return false, nil
	case rule.Kind == "reset" && rule.AfterBytes == 0 && !rule.Executed:
		resetConnection(r)
	case rule.Kind == "drop" && rule.AfterBytes == 0 && !rule.Executed:
		panic(http.ErrAbortHandler)
	}
	return false, rule
}

// sendBody sends a body of known length; a cut leaves it short.
func sendBody(w http.ResponseWriter, r *http.Request, status int, body []byte, rule *Rule) {
	w.Header().Set("Content-Length", strconv.Itoa(len(body)))
	w.WriteHeader(status)
	if rule == nil {
		_, _ = w.Write(body)
		return
	}
	if rule.AfterBytes == 0 && (rule.Kind == "truncate" || rule.Kind == "stall" || rule.Kind == "bitflip") {
		rule.AfterBytes = int64(len(body) / 2)
	}
	rule.AfterBytes = min(rule.AfterBytes, int64(max(0, len(body)-1)))
	if _, err := newBodyWriter(w, r, rule, 0, nil).Write(body); err != nil {
		panic(http.ErrAbortHandler)
	}
}
