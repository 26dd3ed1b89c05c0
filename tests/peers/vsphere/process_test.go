package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// TestProcess runs the real program: the demo, the ready file, SIGTERM, and
// the end of its parent.
func TestProcess(t *testing.T) {
	if _, err := exec.LookPath("mke2fs"); err != nil {
		if _, err := os.Stat("/usr/sbin/mke2fs"); err != nil {
			t.Skip("mke2fs is not installed")
		}
	}
	dir := t.TempDir()
	bin := filepath.Join(dir, "vsphere-sim")
	if out, err := exec.Command("go", "build", "-o", bin, ".").CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	start := func(cmd *exec.Cmd, ready string) map[string]any {
		cmd.Stderr = os.Stderr
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = cmd.Process.Kill() })
		for i := 0; i < 1500; i++ {
			if b, err := os.ReadFile(ready); err == nil {
				v := map[string]any{}
				if err := json.Unmarshal(b, &v); err != nil {
					t.Fatal(err)
				}
				return v
			}
			time.Sleep(20 * time.Millisecond)
		}
		t.Fatal("it is not ready after 30 s")
		return nil
	}
	args := []string{"--dir", filepath.Join(dir, "w"), "--ready-file", filepath.Join(dir, "r.json"), "--demo", "--cache", filepath.Join(dir, "cache")}
	cmd := exec.Command(bin, args...)
	v := start(cmd, filepath.Join(dir, "r.json"))
	vms := v["vms"].([]any)
	if len(vms) != 4 {
		t.Errorf("%d demo VMs", len(vms))
	}
	for _, m := range vms {
		for _, d := range m.(map[string]any)["disks"].([]any) {
			st, err := os.Stat(d.(map[string]any)["path"].(string))
			if err != nil || st.Size() < 1<<30 {
				t.Errorf("%v: %v", d, err)
				continue
			}
			if used := st.Sys().(*syscall.Stat_t).Blocks * 512; used > st.Size()/2 {
				t.Errorf("%v is not sparse: %d bytes", d, used)
			}
		}
	}
	first := vms[0].(map[string]any)["disks"].([]any)[0].(map[string]any)["path"].(string)
	if fsck, err := exec.LookPath("e2fsck"); err == nil {
		if out, err := exec.Command(fsck, "-fn", first).CombinedOutput(); err != nil {
			t.Errorf("e2fsck: %v %s", err, out)
		}
	}
	_ = cmd.Process.Signal(syscall.SIGTERM)
	if err := cmd.Wait(); err != nil {
		t.Errorf("after SIGTERM: %v", err)
	}

	ready := filepath.Join(dir, "r2.json")
	shell := exec.Command("sh", "-c", fmt.Sprintf(`"%s" --dir "%s" --ready-file "%s" --esx --die-with-parent & exec sleep 60`, bin, filepath.Join(dir, "w2"), ready))
	v = start(shell, ready)
	_ = shell.Process.Kill()
	_ = shell.Wait()
	pid := int(v["pid"].(float64))
	for i := 0; ; i++ {
		st, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
		if err != nil || strings.Contains(string(st), ") Z ") {
			break
		}
		if i > 100 {
			_ = syscall.Kill(pid, syscall.SIGKILL)
			t.Fatal("it outlives its parent")
		}
		time.Sleep(50 * time.Millisecond)
	}
	for _, bad := range [][]string{{}, {"--dir", dir, "extra"}, {"--dir", dir, "--nonsense"}, {"--dir", dir, "--vms", "/nonexistent"}} {
		if err := exec.Command(bin, bad...).Run(); err == nil {
			t.Errorf("%v was accepted", bad)
		}
	}
}

func TestRateAndStalledPeer(t *testing.T) {
	b := newBench(t, func(o *Options, v *VMSpec) {
		v.Power, o.nfcRate, o.leaseTimeout = "off", 8<<20, 1500*time.Millisecond
		big := &DiskSpec{Size: 64 << 20, treeBytes: 60 << 20}
		big.Path = filepath.Join(o.dir, "big.raw")
		if err := big.build(big.Path, 1); err != nil {
			panic(err)
		}
		v.Disks = append(v.Disks[1:], big)
	})
	lease, info, err := b.export(b.vm().Reference())
	b.must(err)
	began := time.Now()
	small, err := b.download(info.DeviceUrl[0].Url)
	b.must(err)
	want := time.Duration(float64(len(small)) / (8 << 20) * float64(time.Second))
	if took := time.Since(began); took < want*8/10 {
		t.Errorf("%d bytes took %s", len(small), took)
	}
	// a peer that takes nothing loses the lease in spite of progress reports
	b.s.opt.nfcRate = 0
	res, err := b.c.Client.Client.Client.Get(info.DeviceUrl[1].Url)
	b.must(err)
	defer res.Body.Close()
	var last error
	for i := 0; i < 80 && last == nil; i++ {
		last = lease.Progress(b.ctx, 10)
		time.Sleep(50 * time.Millisecond)
	}
	b.fault(last, "Timedout")
	if _, err := io.Copy(io.Discard, res.Body); err == nil {
		t.Error("the stalled stream must end with an error")
	}
}

func TestSavedImageStreams(t *testing.T) {
	b := newBench(t, nil)
	want, err := os.ReadFile(b.s.order[0].disks[1].path)
	b.must(err)
	sn := b.snapshot(false)
	b.post("/guest-write", map[string]any{"vm": "vm1", "disk": 1, "offset": 0, "length": 100000, "pattern": "text"})
	res, err := http.Get(b.ctl.URL + "/snapshot-image?vm=vm1&disk=1&snapshot=" + sn.Value)
	b.must(err)
	defer res.Body.Close()
	got, err := io.ReadAll(res.Body)
	b.must(err)
	if !bytes.Equal(got, want) {
		t.Error("the image is not the disk at the snapshot")
	}
}
