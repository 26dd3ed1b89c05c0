package main

import (
	"bytes"
	"context"
	"encoding/base64"
	"errors"
	"io"
	"net/http"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/vmware/govmomi"
	"github.com/vmware/govmomi/object"
	"github.com/vmware/govmomi/property"
	"github.com/vmware/govmomi/session"
	"github.com/vmware/govmomi/vim25/methods"
	"github.com/vmware/govmomi/vim25/mo"
	"github.com/vmware/govmomi/vim25/types"
)

func (b *bench) order(rule map[string]any) { b.Helper(); b.post("/faults", rule) }

func (b *bench) now() error {
	_, err := methods.GetCurrentTime(b.ctx, b.c.Client)
	return err
}

func TestLoginAndSessions(t *testing.T) {
	b := newBench(t, func(o *Options, v *VMSpec) { o.sessionTimeout = 150 * time.Millisecond })
	u := b.url()
	u.User = nil
	c, err := govmomi.NewClient(b.ctx, u, true)
	b.must(err)
	_, err = methods.GetCurrentTime(b.ctx, c.Client)
	b.fault(err, "NotAuthenticated")
	var folder mo.Folder
	err = property.DefaultCollector(c.Client).RetrieveOne(b.ctx, c.ServiceContent.RootFolder, []string{"name"}, &folder)
	b.fault(err, "NotAuthenticated")
	wrong := b.url()
	wrong.User = nil
	_, err = methods.Login(b.ctx, c.Client, &types.Login{This: *c.ServiceContent.SessionManager, UserName: "root", Password: "no"})
	b.fault(err, "InvalidLogin")

	b.must(b.now())
	b.fault(b.c.Login(b.ctx, b.url().User), "InvalidLogin") // the session is live
	time.Sleep(300 * time.Millisecond)
	b.fault(b.now(), "NotAuthenticated")
	b.must(b.c.Login(b.ctx, b.url().User))
	b.must(b.now())
	b.post("/expire-sessions", struct{}{})
	b.fault(b.now(), "NotAuthenticated")
	b.must(b.c.Login(b.ctx, b.url().User))
	b.must(session.NewManager(b.c.Client).Logout(b.ctx))
	b.fault(b.now(), "NotAuthenticated")
	if n := b.s.sessions.live(); n != 0 {
		t.Errorf("%d sessions live after logout", n)
	}
}

func TestHTTPFaults(t *testing.T) {
	b := newBench(t, nil)
	b.order(map[string]any{"target": "CurrentTime", "kind": "http503", "count": 1, "after": 1})
	b.must(b.now())
	if err := b.now(); err == nil || !strings.Contains(err.Error(), "503") {
		t.Errorf("want a 503, got %v", err)
	}
	b.must(b.now())
	b.order(map[string]any{"target": "CurrentTime", "kind": "reset"})
	b.must2(b.now(), "reset")
	b.order(map[string]any{"target": "CurrentTime", "kind": "reset", "executed": true})
	b.must2(b.now(), "reset")
	b.order(map[string]any{"target": "sdk", "kind": "truncate", "after_bytes": 100})
	b.must2(b.now(), "EOF")
	b.order(map[string]any{"target": "CurrentTime", "kind": "stall", "seconds": 0.2})
	began := time.Now()
	b.must(b.now())
	if time.Since(began) < 200*time.Millisecond {
		t.Error("the body did not stall")
	}
	b.order(map[string]any{"target": "CurrentTime", "kind": "stall"})
	ctx, cancel := context.WithTimeout(b.ctx, 100*time.Millisecond)
	defer cancel()
	if _, err := methods.GetCurrentTime(ctx, b.c.Client); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("want a deadline, got %v", err)
	}
	b.order(map[string]any{"target": "CurrentTime", "kind": "not_authenticated"})
	b.fault(b.now(), "NotAuthenticated")
	b.must(b.c.Login(b.ctx, b.url().User))
	b.order(map[string]any{"target": "CurrentTime", "kind": "fault", "fault": "RestrictedVersion"})
	b.fault(b.now(), "RestrictedVersion")
	hits := 0
	for _, r := range b.s.faults.list() {
		hits += r.Hits
	}
	if hits != 8 {
		t.Errorf("%d hits counted, want 8", hits)
	}
	res, err := http.Post(b.ctl.URL+"/faults", "application/json", strings.NewReader(`{"kind":"nonsense"}`))
	b.must(err)
	_ = res.Body.Close()
	if res.StatusCode != http.StatusBadRequest {
		t.Errorf("an unknown kind gave %d", res.StatusCode)
	}
}

// must2 wants an error with text in it.
func (b *bench) must2(err error, text string) {
	b.Helper()
	if err == nil || !strings.Contains(err.Error(), text) {
		b.Errorf("want an error with '%s', got %v", text, err)
	}
}

func TestTaskFaults(t *testing.T) {
	b := newBench(t, nil)
	vm := b.vm()
	b.order(map[string]any{"target": "CreateSnapshot_Task", "kind": "task_error", "fault": "InsufficientResourcesFault"})
	_, err := b.try(vm.CreateSnapshot(b.ctx, "x", "", false, false))
	b.fault(err, "InsufficientResourcesFault")
	b.order(map[string]any{"kind": "quiesce_fault"})
	_, err = b.try(vm.CreateSnapshot(b.ctx, "x", "", false, true))
	b.fault(err, "ApplicationQuiesceFault")
	b.order(map[string]any{"kind": "quiesce_fault", "fault": "FilesystemQuiesceFault", "target": "CreateSnapshot_Task"})
	_, err = b.try(vm.CreateSnapshot(b.ctx, "x", "", false, true))
	b.fault(err, "FilesystemQuiesceFault")
	quiesced := func() bool {
		var m mo.VirtualMachine
		b.props(vm.Reference(), &m, "snapshot")
		return m.Snapshot.RootSnapshotList[0].Quiesced
	}
	sn := b.snapshot(true)
	if !quiesced() {
		t.Error("the snapshot must be quiesced")
	}
	b.order(map[string]any{"kind": "consolidation_needed"})
	b.removeSnapshot(sn)
	var m mo.VirtualMachine
	b.props(vm.Reference(), &m, "runtime.consolidationNeeded", "snapshot")
	if !m.Runtime.ConsolidationNeeded || m.Snapshot != nil {
		t.Errorf("consolidation %v, snapshot %v", m.Runtime.ConsolidationNeeded, m.Snapshot)
	}
	b.wait(object.NewTask(b.c.Client, b.call(&types.ConsolidateVMDisks_Task{This: vm.Reference()}).(types.ManagedObjectReference)), nil)
	b.props(vm.Reference(), &m, "runtime.consolidationNeeded")
	if m.Runtime.ConsolidationNeeded {
		t.Error("consolidation is still needed")
	}
	b.order(map[string]any{"kind": "quiesce_ignored"})
	b.snapshot(true)
	if quiesced() {
		t.Error("the snapshot must not be quiesced")
	}
	b.order(map[string]any{"kind": "task_slow", "target": "PowerOffVM_Task", "seconds": 0.4})
	began := time.Now()
	slow, err := vm.PowerOff(b.ctx)
	b.must(err)
	_, err = b.try(vm.CreateSnapshot(b.ctx, "x", "", false, false))
	b.fault(err, "TaskInProgress")
	b.wait(slow, nil)
	if time.Since(began) < 400*time.Millisecond {
		t.Error("the task was not slow")
	}
}

func TestTasksQueueRunAndReportProgress(t *testing.T) {
	b := newBench(t, func(o *Options, v *VMSpec) { o.taskDelay = 500 * time.Millisecond })
	task, err := b.vm().PowerOff(b.ctx)
	b.must(err)
	states, progress := map[types.TaskInfoState]bool{}, map[int32]bool{}
	b.must(property.Wait(b.ctx, property.DefaultCollector(b.c.Client), task.Reference(), []string{"info"}, func(pc []types.PropertyChange) bool {
		var got mo.Task
		for _, c := range pc {
			if info, ok := c.Val.(types.TaskInfo); ok {
				got.Info = info
			}
		}
		var m mo.Task
		b.props(task.Reference(), &m, "info")
		states[m.Info.State] = true
		progress[m.Info.Progress] = true
		_ = got
		return m.Info.State == types.TaskInfoStateSuccess
	}))
	if !states[types.TaskInfoStateQueued] || !states[types.TaskInfoStateRunning] || len(progress) < 4 {
		t.Errorf("states %v, progress %v", states, progress)
	}
}

func TestShutdown(t *testing.T) {
	b := newBench(t, nil)
	vm := b.vm()
	b.order(map[string]any{"kind": "shutdown_hang"})
	state := func() types.VirtualMachinePowerState {
		p, err := vm.PowerState(b.ctx)
		b.must(err)
		return p
	}
	b.must(vm.ShutdownGuest(b.ctx))
	time.Sleep(150 * time.Millisecond)
	if state() != poweredOn {
		t.Error("the guest must hang")
	}
	b.must(vm.ShutdownGuest(b.ctx))
	if state() != poweredOn {
		t.Error("the guest must take its time")
	}
	time.Sleep(200 * time.Millisecond)
	if state() != poweredOff {
		t.Error("the guest must be down")
	}
	b.fault(vm.ShutdownGuest(b.ctx), "InvalidPowerState")
	no := newBench(t, func(o *Options, v *VMSpec) { v.Tools = yes(false) })
	no.fault(no.vm().ShutdownGuest(no.ctx), "ToolsUnavailable")
	no.snapshot(true)
	var m mo.VirtualMachine
	no.props(no.vm().Reference(), &m, "snapshot")
	if m.Snapshot.RootSnapshotList[0].Quiesced {
		t.Error("without Tools a snapshot cannot be quiesced")
	}
}

func TestStreamFaults(t *testing.T) {
	b := newBench(t, func(o *Options, v *VMSpec) { v.Power = "off" })
	lease, info, err := b.export(b.vm().Reference())
	b.must(err)
	u := info.DeviceUrl[0].Url
	good, err := b.download(u)
	b.must(err)
	b.order(map[string]any{"target": "nfc", "kind": "truncate", "after_bytes": 200000, "match": "disk-0"})
	if _, err := b.download(info.DeviceUrl[1].Url); err != nil {
		t.Errorf("the other disk must arrive: %v", err)
	}
	cut, err := b.download(u)
	b.must(err) // nothing in HTTP tells
	if len(cut) != 200000 || !bytes.Equal(cut, good[:200000]) {
		t.Errorf("%d bytes arrived", len(cut))
	}
	b.order(map[string]any{"target": "nfc", "kind": "drop", "after_bytes": 200000})
	if _, err = b.download(u); err == nil {
		t.Error("a dropped connection must be seen")
	}
	b.order(map[string]any{"target": "nfc", "kind": "reset", "after_bytes": 200000})
	_, err = b.download(u)
	b.must2(err, "reset")
	b.order(map[string]any{"target": "nfc", "kind": "http503"})
	_, err = b.download(u)
	b.must2(err, "503")
	b.order(map[string]any{"target": "nfc", "kind": "bitflip", "after_bytes": 70000})
	flipped, err := b.download(u)
	b.must(err)
	if len(flipped) != len(good) || flipped[70000] == good[70000] || !bytes.Equal(flipped[70001:], good[70001:]) {
		t.Error("want one flipped bit at 70000")
	}
	b.order(map[string]any{"target": "nfc", "kind": "lease_timeout", "after_bytes": 300000})
	if _, err = b.download(u); err == nil {
		t.Error("the stream must end with the lease")
	}
	b.fault(lease.Progress(b.ctx, 3), "Timedout")
	_, _, err = b.export(b.vm().Reference())
	b.must(err)
}

func TestFolder(t *testing.T) {
	b := newBench(t, nil)
	base := "https://" + b.url().Host + "/folder/vm1/vm1-flat.vmdk?dcPath=DC0&dsName=LocalDS%255f0"
	get := func(method, url, rng, auth string) (*http.Response, []byte) {
		r, _ := http.NewRequest(method, url, nil)
		if rng != "" {
			r.Header.Set("Range", rng)
		}
		if auth != "" {
			r.Header.Set("Authorization", "Basic "+base64.StdEncoding.EncodeToString([]byte(auth)))
		}
		c := &http.Client{Transport: b.c.Client.Client.Client.Transport}
		if auth == "cookie" {
			r.Header.Del("Authorization")
			c.Jar = b.c.Client.Client.Client.Jar
		}
		res, err := c.Do(r)
		b.must(err)
		defer res.Body.Close()
		body, err := io.ReadAll(res.Body)
		b.must(err)
		return res, body
	}
	want, err := os.ReadFile(b.s.order[0].disks[0].path)
	b.must(err)
	if res, _ := get("GET", base, "", ""); res.StatusCode != http.StatusUnauthorized {
		t.Errorf("without a session: %d", res.StatusCode)
	}
	if res, _ := get("GET", base, "bytes=0-0", "cookie"); res.StatusCode != http.StatusInternalServerError {
		t.Errorf("a running VM's disk: %d", res.StatusCode)
	}
	b.post("/options", map[string]any{"folder_locked": false})
	sn := b.snapshot(false)
	b.post("/guest-write", map[string]any{"vm": "vm1", "disk": 0, "offset": 0, "length": 1 << 20, "seed": 9})
	if _, body := get("GET", base, "bytes=0-99999", "cookie"); !bytes.Equal(body, want[:100000]) {
		t.Error("with a snapshot the flat file must be the frozen base")
	}
	b.removeSnapshot(sn)
	if _, body := get("GET", base, "bytes=0-99999", "cookie"); bytes.Equal(body, want[:100000]) {
		t.Error("without a snapshot the flat file must be live")
	}
	b.wait(b.vm().PowerOff(b.ctx))
	want, err = os.ReadFile(b.s.order[0].disks[0].path)
	b.must(err)
	b.post("/options", map[string]any{"folder_locked": true})
	res, body := get("GET", base, "bytes=65000-200000", "administrator@vsphere.local:"+testPassword)
	if res.StatusCode != http.StatusPartialContent || !bytes.Equal(body, want[65000:200001]) {
		t.Errorf("a range: %d, %d bytes", res.StatusCode, len(body))
	}
	if res, _ := get("GET", base, "bytes=99999999999-", "cookie"); res.StatusCode != http.StatusRequestedRangeNotSatisfiable {
		t.Errorf("beyond the end: %d", res.StatusCode)
	}
	if res, _ := get("HEAD", base, "", "cookie"); res.ContentLength != int64(len(want)) {
		t.Errorf("HEAD says %d", res.ContentLength)
	}
	if _, body := get("GET", strings.Replace(base, "-flat", "", 1), "", "cookie"); !bytes.Contains(body, []byte(`VMFS "vm1-flat.vmdk"`)) {
		t.Errorf("descriptor: %s", body)
	}
	if res, _ := get("GET", strings.Replace(base, "vm1-flat", "other", 1), "", "cookie"); res.StatusCode != http.StatusNotFound {
		t.Errorf("a file that is not there: %d", res.StatusCode)
	}
}
