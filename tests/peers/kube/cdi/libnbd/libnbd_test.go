package libnbd

import (
	"bytes"
	"math/rand"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"
)

const (
	size  = 8 << 20
	islet = 3 << 20 // where the data is; the rest is a hole
)

// serve has nbdkit serve a file with some data between holes.
func serve(t *testing.T) (*Libnbd, []byte) {
	t.Helper()
	folder := t.TempDir()
	content := make([]byte, size)
	rand.New(rand.NewSource(1)).Read(content[islet : islet+1<<20])
	disk, socket := filepath.Join(folder, "disk"), filepath.Join(folder, "socket")
	file, err := os.Create(disk)
	if err != nil {
		t.Fatal(err)
	}
	_ = file.Truncate(size)
	_, _ = file.WriteAt(content[islet:islet+1<<20], islet)
	file.Close()
	server := exec.Command("nbdkit", "--foreground", "--exit-with-parent", "--readonly", "-U", socket, "file", disk)
	if err := server.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = server.Process.Kill()
		_ = server.Wait()
	})
	for begun := time.Now(); ; time.Sleep(10 * time.Millisecond) {
		if _, err := os.Stat(socket); err == nil {
			break
		}
		if time.Since(begun) > 30*time.Second {
			t.Fatal("nbdkit did not start")
		}
	}
	h, _ := Create()
	_ = h.AddMetaContext("base:allocation")
	if err := h.ConnectUri("nbd+unix://?socket=" + socket); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { h.Close() })
	return h, content
}

func TestReadsWhatIsThere(t *testing.T) {
	h, content := serve(t)
	if n, err := h.GetSize(); err != nil || n != size {
		t.Fatal(n, err)
	}
	for _, offset := range []int{0, islet - 512, islet + 4096, size - 1<<20} {
		buf := make([]byte, 1<<20)
		if err := h.Pread(buf, uint64(offset), nil); err != nil || !bytes.Equal(buf, content[offset:offset+1<<20]) {
			t.Fatal(offset, err)
		}
	}
	if err := h.Pread(make([]byte, 512), size, nil); err == nil {
		t.Error("read beyond the end")
	}
}

func TestBlockStatusTellsHoles(t *testing.T) {
	h, _ := serve(t)
	var at uint64
	for at < size {
		var length, flags uint32
		err := h.BlockStatus(size-at, at, func(context string, offset uint64, entries []uint32, _ *int) int {
			if context == "base:allocation" && offset == at {
				length, flags = entries[0], entries[1]
			}
			return 0
		}, &BlockStatusOptargs{FlagsSet: true, Flags: CMD_FLAG_REQ_ONE})
		if err != nil || length == 0 {
			t.Fatal(length, err)
		}
		if data := at >= islet && at < islet+1<<20; data != (flags == 0) {
			t.Errorf("at %d: flags %d", at, flags)
		}
		at += uint64(length)
	}
}
