package streamvmdk

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"math/rand"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
)

// memory is a disk in memory; holes says which grains it admits to be empty.
type memory []byte

func (m memory) Size() int64 { return int64(len(m)) }

func (m memory) NextData(g int64) int64 {
	if g*GrainSize >= int64(len(m)) {
		return -1
	}
	return g
}

func (m memory) ReadGrain(g int64, buf []byte) (bool, error) {
	n := copy(buf, m[g*GrainSize:])
	clear(buf[n:])
	return true, nil
}

func testDisk(grains int, tail int, fill func(g int) byte) memory {
	m := make(memory, grains*GrainSize+tail)
	r := rand.New(rand.NewSource(1))
	for g := 0; g*GrainSize < len(m); g++ {
		part := m[g*GrainSize : min(len(m), (g+1)*GrainSize)]
		switch fill(g) {
		case 'r':
			r.Read(part)
		case 't':
			for i := range part {
				part[i] = "the quick brown fox "[i%20]
			}
		}
	}
	return m
}

func TestQemuReadsItBack(t *testing.T) {
	qemu, err := exec.LookPath("qemu-img")
	if err != nil {
		t.Skip("qemu-img is not installed")
	}
	cases := map[string]memory{
		"empty":    testDisk(100, 0, func(int) byte { return 'z' }),
		"one":      testDisk(1, 0, func(int) byte { return 'r' }),
		"tail":     testDisk(3, 5*SectorSize, func(int) byte { return 'r' }),
		"mixed":    testDisk(1300, 0, func(g int) byte { return "rtz"[g%3] }),
		"sparse":   testDisk(1600, 512, func(g int) byte { return map[bool]byte{true: 't', false: 'z'}[g > 1100] }),
		"complete": testDisk(513, 0, func(int) byte { return 't' }),
	}
	for name, disk := range cases {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			var out bytes.Buffer
			if err := Write(context.Background(), &out, disk, Options{Workers: 3}); err != nil {
				t.Fatal(err)
			}
			vmdk, raw, back := filepath.Join(dir, "d.vmdk"), filepath.Join(dir, "d.raw"), filepath.Join(dir, "b.raw")
			must(t, os.WriteFile(vmdk, out.Bytes(), 0o600))
			must(t, os.WriteFile(raw, disk, 0o600))
			run(t, qemu, "check", "-f", "vmdk", vmdk)
			run(t, qemu, "convert", "-f", "vmdk", "-O", "raw", vmdk, back)
			got, err := os.ReadFile(back)
			must(t, err)
			if !bytes.Equal(got, disk) {
				t.Fatal("the disk read back differs")
			}
		})
	}
}

func TestLooksLikeESXi(t *testing.T) {
	var out bytes.Buffer
	must(t, Write(context.Background(), &out, testDisk(2, 0, func(int) byte { return 't' }), Options{}))
	b, le := out.Bytes(), binary.LittleEndian
	check := func(what string, got, want uint64) {
		t.Helper()
		if got != want {
			t.Errorf("%s is %#x, want %#x", what, got, want)
		}
	}
	check("version", uint64(le.Uint32(b[4:])), 3)
	check("flags", uint64(le.Uint32(b[8:])), 0x30001)
	check("gdOffset", le.Uint64(b[56:]), ^uint64(0))
	check("rgdOffset", le.Uint64(b[48:]), 0)
	check("first lba", le.Uint64(b[65536:]), 0)
	check("zlib header", uint64(binary.BigEndian.Uint16(b[65548:])), 0x7801)
	foot := b[len(b)-1024:]
	check("footer magic", uint64(le.Uint32(foot)), magic)
	check("end marker", uint64(le.Uint32(foot[512+12:])), 0)
	gd := le.Uint64(foot[56:])
	check("marker before the directory", uint64(le.Uint32(b[(gd-1)*512+12:])), markerGrainDirectory)
}

type failing struct{ memory }

func (failing) ReadGrain(int64, []byte) (bool, error) { return false, errors.New("medium error") }

func TestErrorsEndTheStream(t *testing.T) {
	var out bytes.Buffer
	err := Write(context.Background(), &out, failing{testDisk(600, 0, func(int) byte { return 't' })}, Options{})
	if err == nil || err.Error() != "medium error" {
		t.Fatalf("got %v", err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if err := Write(ctx, &out, testDisk(600, 0, func(int) byte { return 't' }), Options{}); err == nil {
		t.Fatal("a cancelled stream must fail")
	}
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func run(t *testing.T, argv ...string) {
	t.Helper()
	if out, err := exec.Command(argv[0], argv[1:]...).CombinedOutput(); err != nil {
		t.Fatalf("%v: %v\n%s", argv, err, out)
	}
}
