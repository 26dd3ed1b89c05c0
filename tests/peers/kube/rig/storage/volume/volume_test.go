package volume

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"testing"

	"golang.org/x/sys/unix"
)

func newStore(t *testing.T) *Store {
	t.Helper()
	store, err := Open(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	return store
}

func needRoot(t *testing.T) {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("loop devices and mounts need root")
	}
}

func create(t *testing.T, store *Store, handle string, info Info) {
	t.Helper()
	if err := store.Create(handle, info); err != nil {
		t.Fatal(err)
	}
}

func attach(t *testing.T, store *Store, handle string) Attached {
	t.Helper()
	attached, err := store.Attach(handle)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = store.Detach(handle) })
	return attached
}

func openDevice(t *testing.T, attached Attached) *os.File {
	t.Helper()
	device, err := os.OpenFile(fmt.Sprintf("/dev/loop%d", attached.Minor), os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { device.Close() })
	return device
}

func TestHandlesAreOneFolderName(t *testing.T) {
	store := newStore(t)
	for _, handle := range []string{"", "..", "../x", "a/b", "A", "-a", "a.b"} {
		if err := store.Create(handle, Info{Mode: Filesystem, SizeBytes: 4096}); err == nil {
			t.Errorf("'%s' is taken for a handle", handle)
		}
		if err := store.Delete(handle); err == nil {
			t.Errorf("'%s' is deleted", handle)
		}
	}
}

func TestFolderIsKeptByASecondCreate(t *testing.T) {
	store := newStore(t)
	info := Info{Mode: Filesystem, SizeBytes: 1 << 20}
	create(t, store, "one", info)
	attached := attach(t, store, "one")
	if err := os.WriteFile(filepath.Join(attached.Folder, "disk.img"), []byte("content"), 0o600); err != nil {
		t.Fatal(err)
	}
	create(t, store, "one", info)
	path, err := store.DiskImage("one")
	if err != nil {
		t.Fatal(err)
	}
	if text, err := os.ReadFile(path); err != nil || string(text) != "content" {
		t.Errorf("'%s', %v", text, err)
	}
}

func TestDeleteRefusesAVolumeInUse(t *testing.T) {
	store := newStore(t)
	create(t, store, "one", Info{Mode: Filesystem, SizeBytes: 4096})
	if _, err := store.Attach("one"); err != nil {
		t.Fatal(err)
	}
	if err := store.Delete("one"); err == nil {
		t.Error("a volume in use is deleted")
	}
	if err := store.Detach("one"); err != nil {
		t.Fatal(err)
	}
	if err := store.Delete("one"); err != nil {
		t.Error(err)
	}
	if _, err := store.Attach("one"); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("attach after delete: %v", err)
	}
}

func TestDeviceHasTheRequestedSizeAndItsBytesReachTheFile(t *testing.T) {
	needRoot(t)
	store := newStore(t)
	const size = 3<<20 + 512
	create(t, store, "one", Info{Mode: Block, SizeBytes: size})
	device := openDevice(t, attach(t, store, "one"))
	if end, err := device.Seek(0, 2); err != nil || end != size {
		t.Fatalf("the device has %d bytes, %v", end, err)
	}
	want := bytes.Repeat([]byte("vmferry"), 1000)
	if _, err := device.WriteAt(want, 1<<20); err != nil {
		t.Fatal(err)
	}
	path, err := store.DiskImage("one")
	if err != nil {
		t.Fatal(err)
	}
	content, err := os.ReadFile(path)
	if err != nil || len(content) != size || !bytes.Equal(content[1<<20:1<<20+len(want)], want) {
		t.Errorf("%d bytes, %v, or other content", len(content), err)
	}
	if _, err := device.WriteAt([]byte{1}, size); err == nil {
		t.Error("a write beyond the end succeeds")
	}
}

func TestDeviceIsFreeAfterTheLastDetach(t *testing.T) {
	needRoot(t)
	store := newStore(t)
	create(t, store, "one", Info{Mode: Block, SizeBytes: 1 << 20})
	first, err := store.Attach("one")
	if err != nil {
		t.Fatal(err)
	}
	second, err := store.Attach("one")
	if err != nil || second != first {
		t.Fatalf("%v, %v, %v", first, second, err)
	}
	backing := fmt.Sprintf("/sys/block/loop%d/loop/backing_file", first.Minor)
	want, _ := store.path("one", "block")
	if err := store.Detach("one"); err != nil {
		t.Fatal(err)
	}
	if text, err := os.ReadFile(backing); err != nil || string(bytes.TrimSpace(text)) != want {
		t.Errorf("after one of two: '%s', %v", text, err)
	}
	if err := store.Detach("one"); err != nil {
		t.Fatal(err)
	}
	if text, err := os.ReadFile(backing); err == nil && string(bytes.TrimSpace(text)) == want {
		t.Errorf("'%s' still has '%s'", backing, text)
	}
}

func TestLimitedVolumeIsFullAtItsSize(t *testing.T) {
	needRoot(t)
	store := newStore(t)
	create(t, store, "one", Info{Mode: Filesystem, Limited: true, SizeBytes: 32 << 20})
	attached := attach(t, store, "one")
	file, err := os.Create(filepath.Join(attached.Folder, "disk.img"))
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	if _, err := file.Write(make([]byte, 32<<20)); !errors.Is(err, unix.ENOSPC) {
		t.Errorf("writing the whole size into the file system: %v", err)
	}
}

func TestCopyHasTheContentAndIsOfItsOwn(t *testing.T) {
	needRoot(t)
	for name, info := range map[string]Info{
		"folder": {Mode: Filesystem, SizeBytes: 32 << 20},
		"ext4":   {Mode: Filesystem, Limited: true, SizeBytes: 32 << 20},
	} {
		t.Run(name, func(t *testing.T) {
			store := newStore(t)
			create(t, store, "one", info)
			source := filepath.Join(attach(t, store, "one").Folder, "disk.img")
			if err := os.WriteFile(source, []byte("before"), 0o660); err != nil {
				t.Fatal(err)
			}
			if err := store.Copy("one", "two", info.SizeBytes-1); err == nil {
				t.Error("a copy that is smaller than its source")
			}
			if err := store.Copy("one", "two", 64<<20); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(source, []byte("after"), 0o660); err != nil {
				t.Fatal(err)
			}
			path, err := store.DiskImage("two")
			if err != nil {
				t.Fatal(err)
			}
			if text, err := os.ReadFile(path); err != nil || string(text) != "before" {
				t.Errorf("'%s', %v", text, err)
			}
			if got, err := store.Info("two"); err != nil || got.SizeBytes != 64<<20 {
				t.Errorf("%v, %v", got, err)
			}
			if path, err = store.DiskImage("one"); err != nil {
				t.Fatal(err)
			}
			if text, err := os.ReadFile(path); err != nil || string(text) != "after" {
				t.Errorf("'%s', %v", text, err)
			}
		})
	}
}

func TestCopyOfADeviceHasWhatWasWrittenToIt(t *testing.T) {
	needRoot(t)
	store := newStore(t)
	create(t, store, "one", Info{Mode: Block, SizeBytes: 1 << 20})
	device := openDevice(t, attach(t, store, "one"))
	if _, err := device.WriteAt([]byte("before"), 4096); err != nil {
		t.Fatal(err)
	}
	if err := store.Copy("one", "two", 2<<20); err != nil {
		t.Fatal(err)
	}
	path, err := store.DiskImage("two")
	if err != nil {
		t.Fatal(err)
	}
	content, err := os.ReadFile(path)
	if err != nil || len(content) != 2<<20 || string(content[4096:4102]) != "before" {
		t.Errorf("%d bytes, %v", len(content), err)
	}
}
