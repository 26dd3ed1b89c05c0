package main

import (
	"net/http"
	"slices"
	"sync"
	"time"

	"github.com/vmware/govmomi/simulator"
	"github.com/vmware/govmomi/vim25/methods"
	"github.com/vmware/govmomi/vim25/soap"
	"github.com/vmware/govmomi/vim25/types"
)

// denials are the privileges that the account lacks, by object; "" is every
// object. Without one it may do everything.
type denials struct {
	mu    sync.Mutex
	lacks map[string][]string
}

// neededFor is the privilege that a method takes on its VM.
var neededFor = map[string]string{
	"ExportVm":              "VApp.Export",
	"ExportSnapshot":        "VApp.Export",
	"CreateSnapshot_Task":   "VirtualMachine.State.CreateSnapshot",
	"CreateSnapshotEx_Task": "VirtualMachine.State.CreateSnapshot",
	"RemoveSnapshot_Task":   "VirtualMachine.State.RemoveSnapshot",
	"QueryChangedDiskAreas": "VirtualMachine.Provisioning.DiskRandomRead",
	"PowerOffVM_Task":       "VirtualMachine.Interact.PowerOff",
	"ShutdownGuest":         "VirtualMachine.Interact.PowerOff",
	"PowerOnVM_Task":        "VirtualMachine.Interact.PowerOn",
}

func (d *denials) denied(object, privilege string) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return slices.Contains(d.lacks[object], privilege) || slices.Contains(d.lacks[""], privilege)
}

// refusal is the fault for a call that the account may not make, nil if it may.
func (s *Sim) refusal(method string, this types.ManagedObjectReference) types.BaseMethodFault {
	privilege := neededFor[method]
	vm := s.vmOf(this)
	if privilege == "" || vm == nil || !s.denials.denied(vm.ref.Value, privilege) {
		return nil
	}
	return &types.NoPermission{Object: &vm.ref, PrivilegeId: privilege}
}

// mayBrowse says whether the account may read files of a datastore.
func (s *Sim) mayBrowse(datastore string) bool {
	s.denials.mu.Lock()
	none := len(s.denials.lacks) == 0
	s.denials.mu.Unlock()
	if none {
		return true
	}
	ref := s.objectByName(datastore)
	return !s.denials.denied(ref, "Datastore.Browse") && !s.denials.denied(ref, "Datastore.FileManagement")
}

// objectByName is the managed object ID of a VM, host, cluster or datastore,
// which itself is fine, too; "" if there is none.
func (s *Sim) objectByName(name string) string {
	if vm := s.vmByName(name); vm != nil {
		return vm.ref.Value
	}
	for _, kind := range []string{"Datastore", "HostSystem", "ClusterComputeResource"} {
		for _, o := range s.reg.All(kind) {
			if o.Entity().Name == name || o.Reference().Value == name {
				return o.Reference().Value
			}
		}
	}
	return ""
}

// HasUserPrivilegeOnEntities tells what is not denied. The real one refuses
// the whole call for an object that is gone.
func (x *ext) HasUserPrivilegeOnEntities(ctx *simulator.Context, req *types.HasUserPrivilegeOnEntities) soap.HasFault {
	body := &methods.HasUserPrivilegeOnEntitiesBody{Res: &types.HasUserPrivilegeOnEntitiesResponse{}}
	for _, e := range req.Entities {
		if ctx.Map.Get(e) == nil {
			return &methods.HasUserPrivilegeOnEntitiesBody{Fault_: newFault(&types.ManagedObjectNotFound{Obj: e})}
		}
		p := types.EntityPrivilege{Entity: e}
		for _, id := range req.PrivId {
			p.PrivAvailability = append(p.PrivAvailability, types.PrivilegeAvailability{
				PrivId: id, IsGranted: !x.s.denials.denied(e.Value, id)})
		}
		body.Res.Returnval = append(body.Res.Returnval, p)
	}
	return body
}

// CurrentTime is the server's clock, which may be wrong.
func (x *ext) CurrentTime(*simulator.Context, *types.CurrentTime) soap.HasFault {
	x.s.mu.Lock()
	defer x.s.mu.Unlock()
	return &methods.CurrentTimeBody{Res: &types.CurrentTimeResponse{Returnval: time.Now().Add(x.s.clockSkew)}}
}

// servePrivileges takes privileges from the account, or gives them back.
func (s *Sim) servePrivileges(w http.ResponseWriter, r *http.Request) {
	var in struct {
		Object string   `json:"object"` // "": all
		Lacks  []string `json:"lacks"`
	}
	if !decode(w, r, &in) {
		return
	}
	object := in.Object
	if object != "" {
		if object = s.objectByName(in.Object); object == "" {
			http.Error(w, "no object '"+in.Object+"'", http.StatusNotFound)
			return
		}
	}
	s.denials.mu.Lock()
	if s.denials.lacks == nil {
		s.denials.lacks = map[string][]string{}
	}
	s.denials.lacks[object] = in.Lacks
	s.denials.mu.Unlock()
	reply(w, struct{}{})
}
