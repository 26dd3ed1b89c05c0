package main

import (
	"bytes"
	"crypto/sha256"
	"encoding/json"
	"io"
	"math/rand/v2"
	"net/http"
	"os"
	"testing"
	"time"

	"github.com/vmware/govmomi/vim25/mo"
	"github.com/vmware/govmomi/vim25/types"
)

var everyKind = loadMix{Random: 4, Sequential: 2, Zero: 1, Trim: 1}

func (b *bench) get(path string, out any) {
	b.Helper()
	res, err := http.Get(b.ctl.URL + path)
	b.must(err)
	defer res.Body.Close()
	b.must(json.NewDecoder(res.Body).Decode(out))
}

// written is how many writes the loads of vm1 have made.
func (b *bench) written() (writes, data, zero, trim int64) {
	vm := b.s.order[0]
	vm.mu.Lock()
	defer vm.mu.Unlock()
	for _, l := range vm.load {
		writes += l.writes.Load()
		data += l.data.Load()
		zero += l.zero.Load()
		trim += l.trim.Load()
	}
	return writes, data, zero, trim
}

// until waits for a condition; a slow machine is given long.
func (b *bench) until(what string, done func() bool) {
	b.Helper()
	for end := time.Now().Add(30 * time.Second); !done(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(end) {
			b.Fatalf("in vain: %s", what)
		}
	}
}

func (b *bench) content(v view) []byte {
	b.Helper()
	p, err := io.ReadAll(io.NewSectionReader(v, 0, v.Size()))
	b.must(err)
	return p
}

// applied copies the changed areas of d since id, as frozen in sn, onto image.
func (b *bench) applied(image []byte, d *Disk, id string, sn *Snapshot) []byte {
	b.Helper()
	out, frozen := append([]byte(nil), image...), view{d, sn.disks[d.key].frozen}
	for at := int64(0); at < d.size; {
		ref := sn.ref
		info := b.call(&types.QueryChangedDiskAreas{This: sn.vm.ref, Snapshot: &ref,
			DeviceKey: d.key, StartOffset: at, ChangeId: id}).(types.DiskChangeInfo)
		for _, a := range info.ChangedArea {
			_, err := frozen.ReadAt(out[a.Start:a.Start+a.Length], a.Start)
			b.must(err)
		}
		at = info.StartOffset + info.Length
	}
	return out
}

func TestEveryKindOfWriteIsFrozenAndTracked(t *testing.T) {
	b := newBench(t, nil)
	vm := b.s.order[0]
	first := b.s.snapshot(b.snapshot(false))
	images := [][]byte{}
	for _, d := range vm.disks {
		images = append(images, b.content(view{d, first.disks[d.key].frozen}))
	}
	b.post("/guest-load", map[string]any{"vm": "vm1", "disks": []int{0, 1}, "bytes_per_second": 60 << 20,
		"mix": everyKind, "min_bytes": 4096, "max_bytes": 1 << 20, "seed": 7})
	before := first
	for round := 1; round <= 3; round++ {
		was, _, _, _ := b.written()
		b.until("more writes", func() bool { n, _, _, _ := b.written(); return n > was+60 })
		after := b.s.snapshot(b.snapshot(false))
		for i, d := range vm.disks {
			want := b.content(view{d, after.disks[d.key].frozen})
			if bytes.Equal(images[i], want) {
				t.Fatalf("round %d: nothing changed on disk %d", round, i)
			}
			images[i] = b.applied(images[i], d, before.disks[d.key].changeID, after)
			if !bytes.Equal(images[i], want) {
				t.Fatalf("round %d: the changed areas of disk %d are too few", round, i)
			}
		}
		b.removeSnapshot(before.ref)
		before = after
	}
	if _, data, zero, trim := b.written(); data == 0 || zero == 0 || trim == 0 {
		t.Errorf("wrote %d bytes of data, %d of zeros, trimmed %d", data, zero, trim)
	}
	b.wait(b.vm().PowerOff(b.ctx))
	last := b.s.snapshot(b.snapshot(false))
	for i, d := range vm.disks {
		images[i] = b.applied(images[i], d, before.disks[d.key].changeID, last)
		live, err := os.ReadFile(d.path)
		b.must(err)
		if !bytes.Equal(images[i], live) {
			t.Errorf("disk %d, off: the changed areas do not make it the live file", i)
		}
	}
}

func TestALoadStandsStillWhileTheVMIsOff(t *testing.T) {
	b := newBench(t, nil)
	b.post("/guest-load", map[string]any{"vm": "vm1", "disk": 0, "bytes_per_second": 40 << 20,
		"mix": everyKind, "min_bytes": 4096, "max_bytes": 65536})
	more := func() {
		t.Helper()
		was, _, _, _ := b.written()
		b.until("more writes", func() bool { n, _, _, _ := b.written(); return n > was+10 })
	}
	sum := func() [32]byte {
		live, err := os.ReadFile(b.s.order[0].disks[0].path)
		b.must(err)
		return sha256.Sum256(live)
	}
	more()
	b.wait(b.vm().PowerOff(b.ctx))
	was, _, _, _ := b.written()
	off := sum()
	time.Sleep(200 * time.Millisecond)
	if n, _, _, _ := b.written(); n != was || sum() != off {
		t.Errorf("%d writes while it was off", n-was)
	}
	res, err := http.Post(b.ctl.URL+"/guest-write", "application/json",
		bytes.NewReader([]byte(`{"vm":"vm1","disk":0,"offset":0,"length":10,"pattern":"zero"}`)))
	b.must(err)
	_ = res.Body.Close()
	if res.StatusCode != http.StatusConflict || sum() != off {
		t.Errorf("a write to a VM that is off: %d", res.StatusCode)
	}
	b.wait(b.vm().PowerOn(b.ctx))
	more()
	b.must(b.vm().ShutdownGuest(b.ctx))
	b.until("the shutdown", func() bool { return b.s.order[0].powerState(b.s.context()) == poweredOff })
	was, _, _, _ = b.written()
	time.Sleep(100 * time.Millisecond)
	if n, _, _, _ := b.written(); n != was {
		t.Errorf("%d writes after the guest had shut down", n-was)
	}
	var events []Event
	b.get("/journal?vm=vm1", &events)
	got := []string{}
	for _, e := range events {
		got = append(got, e.Event)
	}
	want := []string{"powered_off", "powered_on", "shutdown_asked", "guest_shut_down"}
	if len(got) != len(want) {
		t.Fatalf("journal: %v", got)
	}
	for i := range want {
		if got[i] != want[i] {
			t.Fatalf("journal: %v", got)
		}
	}
}

func TestASeedMakesTheSameWrites(t *testing.T) {
	var files [2][]byte
	for i := range files {
		b := newBench(t, nil)
		vm := b.s.order[0]
		l := &load{vm: vm, d: vm.disks[0], o: loadOrder{Mix: everyKind, Min: 4096, Max: 1 << 20, Seed: 11, From: 8 << 20, To: 24 << 20}}
		b.must(l.o.complete(l.d))
		l.rand, l.next = rand.New(rand.NewPCG(l.o.Seed, uint64(l.d.key))), l.o.From
		buf := make([]byte, l.o.Max)
		was := b.content(view{l.d, nil})
		for n := 0; n < 200; n++ {
			_, err := l.write(buf)
			b.must(err)
		}
		files[i] = b.content(view{l.d, nil})
		if !bytes.Equal(files[i][:8<<20], was[:8<<20]) || !bytes.Equal(files[i][24<<20:], was[24<<20:]) {
			t.Error("wrote outside its area")
		}
		if bytes.Equal(files[i], was) {
			t.Error("wrote nothing")
		}
	}
	if !bytes.Equal(files[0], files[1]) {
		t.Error("two runs of the same seed differ")
	}
}

func TestAQuestionStandsInTheWay(t *testing.T) {
	b := newBench(t, func(o *Options, v *VMSpec) { v.Power = "off" })
	b.post("/question", map[string]any{"vm": "vm1", "text": "moved or copied?"})
	task, err := b.vm().PowerOn(b.ctx)
	b.must(err)
	var m mo.VirtualMachine
	b.props(b.vm().Reference(), &m, "runtime.question")
	if m.Runtime.Question == nil || m.Runtime.Question.Text != "moved or copied?" {
		t.Fatalf("question: %v", m.Runtime.Question)
	}
	time.Sleep(150 * time.Millisecond)
	if b.s.order[0].powerState(b.s.context()) == poweredOn {
		t.Error("it did not wait for the answer")
	}
	b.must(b.vm().Answer(b.ctx, m.Runtime.Question.Id, "0"))
	b.wait(task, nil)
	m = mo.VirtualMachine{}
	b.props(b.vm().Reference(), &m, "runtime.question")
	if m.Runtime.Question != nil {
		t.Error("the question stands after its answer")
	}
}

// clearNotes sends what govmomi's types cannot say: an annotation that is empty.
func (b *bench) clearNotes() {
	b.Helper()
	body := `<e:Envelope xmlns:e="http://schemas.xmlsoap.org/soap/envelope/"><e:Body><ReconfigVM_Task xmlns="urn:vim25">` +
		`<_this type="VirtualMachine">` + b.vm().Reference().Value + `</_this><spec><annotation></annotation></spec></ReconfigVM_Task></e:Body></e:Envelope>`
	u := b.url()
	u.User = nil
	req, err := http.NewRequest(http.MethodPost, u.String(), bytes.NewReader([]byte(body)))
	b.must(err)
	res, err := b.c.Client.Client.Client.Do(req)
	b.must(err)
	_ = res.Body.Close()
	if res.StatusCode != http.StatusOK {
		b.Fatalf("clearing the notes: %d", res.StatusCode)
	}
	b.until("the end of the task", func() bool { return b.s.order[0].busy() == nil })
}

func TestNotesChangedMeanwhileAreNotOverwritten(t *testing.T) {
	b := newBench(t, nil)
	var m mo.VirtualMachine
	b.props(b.vm().Reference(), &m, "config.changeVersion")
	time.Sleep(10 * time.Millisecond)
	b.wait(b.vm().Reconfigure(b.ctx, types.VirtualMachineConfigSpec{Annotation: "by a person"}))
	stale := types.VirtualMachineConfigSpec{Annotation: "by a program", ChangeVersion: m.Config.ChangeVersion}
	_, err := b.try(b.vm().Reconfigure(b.ctx, stale))
	b.fault(err, "ConcurrentAccess")
	b.props(b.vm().Reference(), &m, "config.changeVersion", "config.annotation")
	if m.Config.Annotation != "by a person" {
		t.Errorf("notes: %s", m.Config.Annotation)
	}
	stale.ChangeVersion = m.Config.ChangeVersion
	b.wait(b.vm().Reconfigure(b.ctx, stale))
	b.clearNotes()
	m = mo.VirtualMachine{}
	b.props(b.vm().Reference(), &m, "config.annotation")
	if m.Config != nil && m.Config.Annotation != "" {
		t.Errorf("notes after they were cleared: %q", m.Config.Annotation)
	}
}
