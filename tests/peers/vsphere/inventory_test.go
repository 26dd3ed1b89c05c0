package main

import (
	"encoding/json"
	"io"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/vmware/govmomi"
	"github.com/vmware/govmomi/object"
	"github.com/vmware/govmomi/ovf"
	"github.com/vmware/govmomi/vapi/rest"
	"github.com/vmware/govmomi/vapi/tags"
	govview "github.com/vmware/govmomi/view"
	"github.com/vmware/govmomi/vim25/methods"
	"github.com/vmware/govmomi/vim25/mo"
	"github.com/vmware/govmomi/vim25/types"
)

// listing asks for all VMs, page by page, and returns names and pages.
func (b *bench) listing(c *govmomi.Client, max int32) (vms []mo.VirtualMachine, pages int, token string) {
	b.Helper()
	v, err := govview.NewManager(c.Client).CreateContainerView(b.ctx, c.ServiceContent.RootFolder, []string{"VirtualMachine"}, true)
	b.must(err)
	req := types.RetrievePropertiesEx{This: c.ServiceContent.PropertyCollector, Options: types.RetrieveOptions{MaxObjects: max},
		SpecSet: []types.PropertyFilterSpec{{
			PropSet: []types.PropertySpec{{Type: "VirtualMachine", PathSet: []string{"name", "config", "snapshot", "guest", "summary.storage", "storage.perDatastoreUsage"}}},
			ObjectSet: []types.ObjectSpec{{Obj: v.Reference(), Skip: types.NewBool(true), SelectSet: []types.BaseSelectionSpec{
				&types.TraversalSpec{SelectionSpec: types.SelectionSpec{Name: "v"}, Type: "ContainerView", Path: "view"}}}}}}}
	res, err := methods.RetrievePropertiesEx(b.ctx, c.Client, &req)
	b.must(err)
	r := *res.Returnval
	for pages = 1; ; pages++ {
		b.must(mo.LoadObjectContent(r.Objects, &vms))
		if r.Token == "" {
			return vms, pages, token
		}
		token = r.Token
		next, err := methods.ContinueRetrievePropertiesEx(b.ctx, c.Client, &types.ContinueRetrievePropertiesEx{This: req.This, Token: token})
		b.must(err)
		r = next.Returnval
	}
}

func TestPaging(t *testing.T) {
	b := newBench(t, func(o *Options, v *VMSpec) { o.fillers, o.pageSize = 24, 10 })
	for _, max := range []int32{0, 4, 100} {
		vms, pages, _ := b.listing(b.c, max)
		want := map[int32]int{0: 3, 4: 7, 100: 3}[max]
		if len(vms) != 25 || pages != want {
			t.Errorf("maxObjects %d: %d VMs in %d pages, want %d", max, len(vms), pages, want)
		}
	}
	var refs []types.ManagedObjectReference
	for _, vm := range b.s.order {
		refs = append(refs, vm.ref)
	}
	old, err := methods.RetrieveProperties(b.ctx, b.c.Client, &types.RetrieveProperties{This: b.c.ServiceContent.PropertyCollector,
		SpecSet: []types.PropertyFilterSpec{{PropSet: []types.PropertySpec{{Type: "VirtualMachine", PathSet: []string{"name"}}},
			ObjectSet: objectSpecs(refs)}}})
	b.must(err)
	if len(old.Returnval) != 25 || old.Returnval[0].PropSet[0].Val.(string) != "vm1" {
		t.Errorf("the old call: %d objects", len(old.Returnval))
	}
	_, _, used := b.listing(b.c, 0)
	again := func(c *govmomi.Client, token string) error {
		_, err := methods.ContinueRetrievePropertiesEx(b.ctx, c.Client, &types.ContinueRetrievePropertiesEx{
			This: c.ServiceContent.PropertyCollector, Token: token})
		return err
	}
	b.fault(again(b.c, used), "InvalidArgument")
	v, err := govview.NewManager(b.c.Client).CreateContainerView(b.ctx, b.c.ServiceContent.RootFolder, []string{"VirtualMachine"}, true)
	b.must(err)
	res, err := methods.RetrievePropertiesEx(b.ctx, b.c.Client, &types.RetrievePropertiesEx{This: b.c.ServiceContent.PropertyCollector,
		SpecSet: []types.PropertyFilterSpec{{PropSet: []types.PropertySpec{{Type: "VirtualMachine", PathSet: []string{"name"}}},
			ObjectSet: []types.ObjectSpec{{Obj: v.Reference(), Skip: types.NewBool(true), SelectSet: []types.BaseSelectionSpec{
				&types.TraversalSpec{Type: "ContainerView", Path: "view"}}}}}}})
	b.must(err)
	other := b.login()
	b.fault(again(other, res.Returnval.Token), "InvalidArgument")
	b.must(again(b.c, res.Returnval.Token))
}

func objectSpecs(refs []types.ManagedObjectReference) (out []types.ObjectSpec) {
	for _, r := range refs {
		out = append(out, types.ObjectSpec{Obj: r})
	}
	return out
}

// TestPagesFollowChanges wants no stale answer from the encoded pages.
func TestPagesFollowChanges(t *testing.T) {
	b := newBench(t, func(o *Options, v *VMSpec) { o.fillers = 3 })
	state := func() (types.VirtualMachinePowerState, int, string) {
		v, err := govview.NewManager(b.c.Client).CreateContainerView(b.ctx, b.c.ServiceContent.RootFolder, []string{"VirtualMachine"}, true)
		b.must(err)
		var vms []mo.VirtualMachine
		b.must(v.Retrieve(b.ctx, []string{"VirtualMachine"}, []string{"runtime.powerState", "snapshot", "config.annotation"}, &vms))
		for _, m := range vms {
			if m.Self == b.vm().Reference() {
				n := 0
				if m.Snapshot != nil {
					walkTree(m.Snapshot.RootSnapshotList, func(types.VirtualMachineSnapshotTree) { n++ })
				}
				note := ""
				if m.Config != nil {
					note = m.Config.Annotation
				}
				return m.Runtime.PowerState, n, note
			}
		}
		return "", 0, ""
	}
	want := func(p types.VirtualMachinePowerState, n int, note string) {
		t.Helper()
		if gp, gn, gnote := state(); gp != p || gn != n || gnote != note {
			t.Errorf("%s, %d snapshots, '%s'; want %s, %d, '%s'", gp, gn, gnote, p, n, note)
		}
	}
	want(poweredOn, 0, "")
	one := b.snapshot(false)
	want(poweredOn, 1, "")
	b.snapshot(false)
	want(poweredOn, 2, "")
	b.removeSnapshot(one)
	want(poweredOn, 1, "")
	b.wait(b.vm().Reconfigure(b.ctx, types.VirtualMachineConfigSpec{Annotation: "moved"}))
	want(poweredOn, 1, "moved")
	b.must(b.vm().ShutdownGuest(b.ctx))
	time.Sleep(300 * time.Millisecond)
	want(poweredOff, 1, "moved")
}

func TestFacts(t *testing.T) {
	b := newBench(t, func(o *Options, v *VMSpec) {
		v.Firmware, v.SecureBoot, v.Notes, v.Hardware = "efi", true, "a <note>", "vmx-08"
		v.Snapshots, v.CDROM = []string{"by hand"}, "[LocalDS_0] iso/x.iso"
		v.Attributes = map[string]string{"owner": "me"}
		v.CPUs, v.CoresPerSocket, v.MemoryMB = 4, 2, 4096
		v.Disks = append(v.Disks, &DiskSpec{Size: 1 << 30, Controller: "nvme"}, &DiskSpec{Size: 1 << 30, Controller: "ide"},
			&DiskSpec{Size: 1 << 30, Controller: "lsilogic", Mode: "independent_persistent"})
	})
	vms, _, _ := b.listing(b.c, 0)
	vm := vms[0]
	c := vm.Config
	if c.Version != "vmx-08" || c.Firmware != "efi" || !*c.BootOptions.EfiSecureBootEnabled || c.Annotation != "a <note>" ||
		c.GuestFullName != "Debian GNU/Linux 12 (64-bit)" || c.Hardware.NumCPU != 4 || *c.Hardware.NumCoresPerSocket != 2 ||
		c.Hardware.MemoryMB != 4096 || !strings.HasPrefix(c.InstanceUuid, "5032") || !strings.HasPrefix(c.Uuid, "4232") {
		t.Errorf("config: %+v", c)
	}
	if vm.Guest.HostName != "vm1.sim.example" || len(vm.Guest.Net) != 2 || vm.Guest.ToolsRunningStatus != "guestToolsRunning" {
		t.Errorf("guest: %+v", vm.Guest)
	}
	if len(vm.Snapshot.RootSnapshotList) != 1 || vm.Snapshot.RootSnapshotList[0].Name != "by hand" {
		t.Errorf("snapshot: %+v", vm.Snapshot)
	}
	devices := object.VirtualDeviceList(c.Hardware.Device)
	for key, want := range map[int32]int32{2000: 1000, 2016: 1001, 16000: 15000, 32000: 31000, 3000: 200, 3002: 201, 4000: 100, 4001: 100} {
		d := devices.FindByKey(key)
		if d == nil || d.GetVirtualDevice().ControllerKey != want || devices.FindByKey(want) == nil {
			t.Errorf("device %d on controller %d: %v", key, want, d)
		}
	}
	disk := devices.FindByKey(2000).(*types.VirtualDisk)
	back := disk.Backing.(*types.VirtualDiskFlatVer2BackingInfo)
	if disk.CapacityInBytes != 40<<20 || !*back.ThinProvisioned || !strings.HasPrefix(back.Uuid, "6000C29") || back.DiskMode != "persistent" {
		t.Errorf("disk: %+v %+v", disk, back)
	}
	if m := devices.FindByKey(2016).GetVirtualDevice().Backing.(*types.VirtualDiskFlatVer2BackingInfo); m.DiskMode != "independent_persistent" || m.Parent != nil {
		t.Errorf("the independent disk: %+v", m)
	}
	u := vm.Storage.PerDatastoreUsage[0]
	if u.Committed != vm.Summary.Storage.Committed || u.Committed+u.Uncommitted < 3<<30 || u.Committed > 60<<20 {
		t.Errorf("storage: %+v", u)
	}
	var m mo.VirtualMachine
	b.props(b.vm().Reference(), &m, "customValue", "availableField", "parent", "runtime.host")
	if len(m.CustomValue) != 1 || len(m.AvailableField) != 1 || m.CustomValue[0].(*types.CustomFieldStringValue).Value != "me" {
		t.Errorf("custom values: %v of %v", m.CustomValue, m.AvailableField)
	}
	var f mo.Folder
	b.props(*m.Parent, &f, "name", "parent")
	if f.Name != "db" {
		t.Errorf("folder %s", f.Name)
	}
	si := object.NewSearchIndex(b.c.Client)
	ref, err := si.FindByInventoryPath(b.ctx, "/DC0/vm/prod/db/vm1")
	b.must(err)
	if ref == nil || ref.Reference() != b.vm().Reference() {
		t.Errorf("by path: %v", ref)
	}
}

func TestTags(t *testing.T) {
	b := newBench(t, nil)
	r := rest.NewClient(b.c.Client)
	b.must(r.Login(b.ctx, b.url().User))
	got, err := tags.NewManager(r).GetAttachedTagsOnObjects(b.ctx, []mo.Reference{b.vm().Reference()})
	b.must(err)
	if len(got) != 1 || len(got[0].Tags) != 1 || got[0].Tags[0].Name != "prod" {
		t.Errorf("tags: %+v", got)
	}
	hc := &http.Client{Transport: b.c.Client.Client.Client.Transport}
	do := func(method, path, id, body string) (int, string) {
		req, _ := http.NewRequest(method, "https://"+b.url().Host+path, strings.NewReader(body))
		if id == "" {
			req.SetBasicAuth("administrator@vsphere.local", testPassword)
		} else {
			req.Header.Set("vmware-api-session-id", id)
		}
		res, err := hc.Do(req)
		b.must(err)
		defer res.Body.Close()
		text, _ := io.ReadAll(res.Body)
		return res.StatusCode, string(text)
	}
	code, text := do("POST", "/api/session", "", "")
	var id string
	if code != 201 || json.Unmarshal([]byte(text), &id) != nil {
		t.Fatalf("/api/session: %d %s", code, text)
	}
	code, text = do("POST", "/api/cis/tagging/tag-association?action=list-attached-tags-on-objects", id,
		`{"object_ids":[{"type":"VirtualMachine","id":"vm-41"}]}`)
	if code != 200 || !strings.HasPrefix(text, "[") || !strings.Contains(text, "tag_ids") {
		t.Errorf("tags by /api: %d %s", code, text)
	}
	b.post("/expire-sessions", struct{}{})
	if code, _ = do("GET", "/rest/com/vmware/cis/tagging/tag", id, ""); code != 401 {
		t.Errorf("an expired REST session: %d", code)
	}
}

func TestESX(t *testing.T) {
	b := newBench(t, func(o *Options, v *VMSpec) { o.esx = true; v.Power = "off" })
	if a := b.c.ServiceContent.About; a.ApiType != "HostAgent" {
		t.Errorf("apiType %s", a.ApiType)
	}
	vms, _, _ := b.listing(b.c, 0)
	if len(vms) != 1 || vms[0].Self.Value != "1" {
		t.Errorf("VMs: %v", vms)
	}
	_, info, err := b.export(b.vm().Reference())
	b.must(err)
	var lease mo.HttpNfcLease
	b.props(b.s.allLeases[0].obj.Self, &lease, "info")
	raw := lease.Info.DeviceUrl[0].Url
	if u, err := url.Parse(raw); err != nil || u.Hostname() != "*" || u.Port() == "" {
		t.Errorf("device URL %s", raw)
	}
	if _, err := b.download(info.DeviceUrl[0].Url); err == nil {
		t.Log("downloaded with * resolved")
	}
	vmdk, err := b.download(info.Items[0].URL.String())
	b.must(err)
	want, _ := os.ReadFile(b.s.order[0].disks[0].path)
	if string(b.toRaw(vmdk)) != string(want) {
		t.Error("the export differs")
	}
}

func TestExportFromAnotherPort(t *testing.T) {
	b := newBench(t, func(o *Options, v *VMSpec) { v.Power, o.nfcListen = "off", "127.0.0.1:0" })
	_, info, err := b.export(b.vm().Reference())
	b.must(err)
	u, err := url.Parse(info.DeviceUrl[0].Url)
	b.must(err)
	if u.Host == b.url().Host || info.DeviceUrl[0].SslThumbprint == b.s.id.sha1 {
		t.Errorf("device URL %s", u)
	}
	_, err = b.download(u.String())
	b.must(err)
}

func TestDescriptor(t *testing.T) {
	b := newBench(t, func(o *Options, v *VMSpec) { v.Power, v.Notes = "off", "a & b" })
	m := ovf.NewManager(b.c.Client)
	res, err := m.CreateDescriptor(b.ctx, b.vm(), types.OvfCreateDescriptorParams{Name: "x"})
	b.must(err)
	env, err := ovf.Unmarshal(strings.NewReader(res.OvfDescriptor))
	b.must(err)
	if len(env.References) != 2 || len(env.Disk.Disks) != 2 || env.Disk.Disks[0].Capacity != "41943040" || env.VirtualSystem.ID != "x" {
		t.Errorf("dry run: %s", res.OvfDescriptor)
	}
	res, err = m.CreateDescriptor(b.ctx, b.vm(), types.OvfCreateDescriptorParams{OvfFiles: []types.OvfFile{
		{DeviceId: "/vm-41/VirtualAHCIController0:0", Path: "second.vmdk", Size: 77}}})
	b.must(err)
	env, err = ovf.Unmarshal(strings.NewReader(res.OvfDescriptor))
	b.must(err)
	if len(env.References) != 1 || env.References[0].Href != "second.vmdk" || env.References[0].Size != 77 {
		t.Errorf("references: %+v", env.References)
	}
}

func TestConfigurationIsStrict(t *testing.T) {
	dir := t.TempDir()
	for text, want := range map[string]string{
		`[{"name":"x","colour":"red"}]`:                                        "colour",
		`[{"name":"x","power":"maybe"}]`:                                       "power",
		`[{"name":"x","disks":[{"path":"/nonexistent"}]}]`:                     "nonexistent",
		`[{"name":"x","disks":[{"size":1000}]}]`:                               "512",
		`[{"name":"x","disks":[{"size":512,"unit":1},{"size":512,"unit":1}]}]`: "taken",
		`[{"name":"x","secureBoot":true}]`:                                     "EFI",
		`[{"folder":"/x"}]`:                                                    "name",
	} {
		path := filepath.Join(dir, "vms.json")
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := loadSpecs(path); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", text, err)
		}
	}
}

func TestCountsAndState(t *testing.T) {
	b := newBench(t, nil)
	req, _ := http.NewRequest("DELETE", b.ctl.URL+"/calls", nil)
	res, err := http.DefaultClient.Do(req)
	b.must(err)
	_ = res.Body.Close()
	b.must(b.now())
	b.must(b.now())
	sn := b.snapshot(true)
	get := func(path string, out any) {
		res, err := http.Get(b.ctl.URL + path)
		b.must(err)
		defer res.Body.Close()
		b.must(json.NewDecoder(res.Body).Decode(out))
	}
	var calls struct {
		SOAP map[string]int `json:"soap"`
		HTTP map[string]int `json:"http"`
	}
	get("/calls", &calls)
	if calls.SOAP["CurrentTime"] != 2 || calls.SOAP["CreateSnapshot_Task"] != 1 || calls.HTTP["POST /sdk"] < 3 {
		t.Errorf("calls: %+v", calls)
	}
	var state struct {
		VMs []struct {
			Name, Power string
			Snapshots   []struct {
				Moref    string
				Quiesced bool
			}
		}
		Sessions int
	}
	get("/state", &state)
	if len(state.VMs) != 1 || state.VMs[0].Power != "on" || state.Sessions != 1 || len(state.VMs[0].Snapshots) != 1 ||
		state.VMs[0].Snapshots[0].Moref != sn.Value || !state.VMs[0].Snapshots[0].Quiesced {
		t.Errorf("state: %+v", state)
	}
}
