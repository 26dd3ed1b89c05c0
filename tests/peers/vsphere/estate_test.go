package main

import (
	"testing"
	"time"

	"github.com/vmware/govmomi/vim25/methods"
	"github.com/vmware/govmomi/vim25/mo"
	"github.com/vmware/govmomi/vim25/types"
)

func (b *bench) granted(ref types.ManagedObjectReference, privilege string) bool {
	b.Helper()
	res, err := methods.HasUserPrivilegeOnEntities(b.ctx, b.c.Client, &types.HasUserPrivilegeOnEntities{
		This: *b.c.ServiceContent.AuthorizationManager, Entities: []types.ManagedObjectReference{ref},
		UserName: b.s.opt.user, PrivId: []string{privilege}})
	b.must(err)
	return res.Returnval[0].PrivAvailability[0].IsGranted
}

func TestPrivileges(t *testing.T) {
	b := newBench(t, nil)
	ref := b.vm().Reference()
	if !b.granted(ref, "VApp.Export") {
		t.Error("VApp.Export is not granted by itself")
	}
	b.post("/privileges", map[string]any{"object": ref.Value, "lacks": []string{"VApp.Export"}})
	if b.granted(ref, "VApp.Export") || !b.granted(ref, "System.Read") {
		t.Error("the wrong privilege was taken")
	}
	_, err := b.vm().Export(b.ctx)
	b.fault(err, "NoPermission")
	b.post("/privileges", map[string]any{"object": ref.Value, "lacks": []string{}})
	if !b.granted(ref, "VApp.Export") {
		t.Error("VApp.Export was not given back")
	}
	gone := types.ManagedObjectReference{Type: "VirtualMachine", Value: "vm-999"}
	_, err = methods.HasUserPrivilegeOnEntities(b.ctx, b.c.Client, &types.HasUserPrivilegeOnEntities{
		This: *b.c.ServiceContent.AuthorizationManager, Entities: []types.ManagedObjectReference{ref, gone},
		UserName: b.s.opt.user, PrivId: []string{"VApp.Export"}})
	b.fault(err, "ManagedObjectNotFound")
}

func TestHostsAndDatastores(t *testing.T) {
	b := newBench(t, nil)
	var vm mo.VirtualMachine
	b.props(b.vm().Reference(), &vm, "runtime.host", "datastore")
	b.post("/host", map[string]any{"host": vm.Runtime.Host.Value, "maintenance": true, "connection": "notResponding",
		"timezone": "Europe/Zurich", "cpu_mhz": 1800, "name": "esx1.example"})
	var h mo.HostSystem
	b.props(*vm.Runtime.Host, &h, "name", "runtime", "summary", "config.dateTimeInfo")
	if h.Name != "esx1.example" || !h.Runtime.InMaintenanceMode || h.Runtime.ConnectionState != "notResponding" ||
		h.Summary.Hardware.CpuMhz != 1800 || h.Config.DateTimeInfo.TimeZone.Key != "Europe/Zurich" {
		t.Errorf("the host is %+v", h)
	}
	b.post("/datastore", map[string]any{"datastore": "LocalDS_0", "free": 7, "accessible": false, "maintenance": true})
	var d mo.Datastore
	b.props(vm.Datastore[0], &d, "summary")
	if d.Summary.FreeSpace != 7 || d.Summary.Accessible || d.Summary.MaintenanceMode != "inMaintenance" {
		t.Errorf("the datastore is %+v", d.Summary)
	}
	b.post("/cluster", map[string]any{"cluster": "DC0_C0", "dpm": true, "ha": true, "evc": "intel-skylake"})
	var c mo.ClusterComputeResource
	ref := types.ManagedObjectReference{Type: "ClusterComputeResource", Value: b.s.objectByName("DC0_C0")}
	b.props(ref, &c, "configurationEx", "summary")
	cfg := c.ConfigurationEx.(*types.ClusterConfigInfoEx)
	if !*cfg.DpmConfigInfo.Enabled || !*cfg.DasConfig.Enabled ||
		c.Summary.(*types.ClusterComputeResourceSummary).CurrentEVCModeKey != "intel-skylake" {
		t.Errorf("the cluster is %+v", cfg)
	}
}

func TestClockSkew(t *testing.T) {
	b := newBench(t, nil)
	b.post("/options", map[string]any{"clock_skew_ms": -3600000})
	now, err := methods.GetCurrentTime(b.ctx, b.c.Client)
	b.must(err)
	if apart := time.Since(*now); apart < 50*time.Minute || apart > 70*time.Minute {
		t.Errorf("the clock is %v behind", apart)
	}
}
