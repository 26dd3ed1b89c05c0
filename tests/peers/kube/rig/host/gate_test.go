package host

import (
	"context"
	"errors"
	"testing"
)

func TestGate(t *testing.T) {
	h := &Host{}
	h.Init()
	if h.Find("x") != nil {
		t.Fatal("a gate that nobody made")
	}
	gate := h.Gate("x")
	if h.Gate("x") != gate || h.Find("x") != gate {
		t.Fatal("two gates of one name")
	}
	if err := gate.Wait(context.Background()); err != nil {
		t.Fatal(err)
	}
	gate.Close()
	gate.Close()
	ended, cancel := context.WithCancel(context.Background())
	cancel()
	if err := gate.Wait(ended); !errors.Is(err, context.Canceled) {
		t.Fatalf("got %v", err)
	}
	passed := make(chan error)
	go func() { passed <- gate.Wait(context.Background()) }()
	gate.Open()
	gate.Open()
	if err := <-passed; err != nil {
		t.Fatal(err)
	}
}
