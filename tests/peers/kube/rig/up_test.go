package main

import (
	"os"
	"path/filepath"
	"testing"
)

func TestOptions(t *testing.T) {
	o, err := parseOptions([]string{"--dir", "d", "--bin", "/b", "--image", "a=/p", "--image", "b=/q",
		"--without", "cdi", "--die-with-parent"})
	if err != nil {
		t.Fatal(err)
	}
	if !filepath.IsAbs(o.dir) || o.images["a"] != "/p" || o.images["b"] != "/q" || !o.without["cdi"] ||
		o.dieWith != os.Getppid() || o.readyFile != "" {
		t.Fatalf("got %+v", o)
	}
	for _, args := range [][]string{
		{},
		{"--dir", "d"},
		{"--dir", "d", "--bin", "b", "more"},
		{"--dir", "d", "--bin", "b", "--image", "a=relative"},
		{"--dir", "d", "--bin", "b", "--image", "=/p"},
		{"--dir", "d", "--bin", "b", "--without", "etcd"},
	} {
		if _, err := parseOptions(args); err == nil {
			t.Errorf("%q was taken", args)
		}
	}
}

func TestFolderMustBeEmpty(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "rig")
	for range 2 {
		if err := makeEmpty(dir); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.WriteFile(filepath.Join(dir, "file"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if makeEmpty(dir) == nil {
		t.Fatal("a folder with a file in it was taken")
	}
}
