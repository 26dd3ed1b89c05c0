package process

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

func newGroup(t *testing.T) *Group {
	t.Helper()
	group, err := NewGroup(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	return group
}

func start(t *testing.T, group *Group, again bool, script string) *Process {
	t.Helper()
	p, err := group.Start(Spec{Name: "sh", Path: "/bin/sh", Args: []string{"-c", script}, Again: again})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { p.Stop(time.Second) })
	return p
}

func waitFile(t *testing.T, p *Process, path string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	if err := p.Until(ctx, func(context.Context) error {
		_, err := os.Stat(path)
		return err
	}); err != nil {
		t.Fatal(err)
	}
}

func TestEndIsAnErrorThatNamesTheLog(t *testing.T) {
	p := start(t, newGroup(t), false, "echo words; exit 3")
	<-p.Done()
	err := p.Err()
	if err == nil || !strings.Contains(err.Error(), "exit status 3") || !strings.Contains(err.Error(), p.Log) {
		t.Fatalf("got %v", err)
	}
	text, err := os.ReadFile(p.Log)
	if err != nil || string(text) != "words\n" {
		t.Fatalf("log: %q, %v", text, err)
	}
	if err := p.Signal(syscall.SIGTERM); err == nil {
		t.Fatal("a process that has ended took a signal")
	}
}

func TestStopEndsAStoppedProcessAndItsChildren(t *testing.T) {
	mark := filepath.Join(t.TempDir(), "mark")
	p := start(t, newGroup(t), false, "trap '' TERM; sleep 1000 & echo $! >"+mark+".part; mv "+mark+".part "+mark+"; wait")
	waitFile(t, p, mark)
	if err := p.Signal(syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	p.Stop(50 * time.Millisecond)
	if err := p.Err(); err != nil {
		t.Fatalf("it was told to end, and says %v", err)
	}
}

func TestAgainStartsUntilStopped(t *testing.T) {
	mark := filepath.Join(t.TempDir(), "mark")
	p := start(t, newGroup(t), true, "test -e "+mark+".1 || { : >"+mark+".1; exit 1; }; : >"+mark+"; sleep 1000")
	waitFile(t, p, mark)
	if p.Starts() != 2 {
		t.Fatalf("started %d times", p.Starts())
	}
	p.Stop(time.Minute)
	select {
	case <-p.Done():
	default:
		t.Fatal("not ended after Stop")
	}
}

func TestRestartIsNotAnEnd(t *testing.T) {
	mark := filepath.Join(t.TempDir(), "mark")
	p := start(t, newGroup(t), false, "test -e "+mark+".1 && : >"+mark+"; : >"+mark+".1; sleep 1000")
	waitFile(t, p, mark+".1")
	if err := p.Restart(time.Millisecond); err != nil {
		t.Fatal(err)
	}
	waitFile(t, p, mark)
	if p.Starts() != 2 {
		t.Fatalf("started %d times", p.Starts())
	}
	if err := p.Signal(syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	<-p.Done()
	if p.Err() == nil {
		t.Fatal("the end after a restart is none")
	}
}

func TestUntilGivesTheLastError(t *testing.T) {
	p := start(t, newGroup(t), false, "sleep 1000")
	wanted := errors.New("not yet")
	ctx, cancel := context.WithTimeout(context.Background(), time.Millisecond)
	defer cancel()
	if err := p.Until(ctx, func(context.Context) error { return wanted }); !errors.Is(err, wanted) {
		t.Fatalf("got %v", err)
	}
}

func TestFindGivesTheLastOfThatName(t *testing.T) {
	group := newGroup(t)
	start(t, group, false, "sleep 1000")
	second := start(t, group, false, "sleep 1000")
	if group.Find("sh") != second || group.Find("other") != nil || len(group.All()) != 2 {
		t.Fatal("the wrong one")
	}
}
