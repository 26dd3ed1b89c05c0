package main

import (
	"net/http"

	"github.com/vmware/govmomi/simulator"
	"github.com/vmware/govmomi/vim25/types"
)

// changed makes clients see what was changed behind vcsim's back.
func (s *Sim) changed() {
	if s.pages != nil {
		s.pages.changed()
	}
}

// serveHost changes the facts of a host.
func (s *Sim) serveHost(w http.ResponseWriter, r *http.Request) {
	var in struct {
		Host        string  `json:"host"`
		Name        *string `json:"name"`
		Connection  *string `json:"connection"` // connected, notResponding, disconnected
		Maintenance *bool   `json:"maintenance"`
		TimeZone    *string `json:"timezone"`
		CPUMhz      *int32  `json:"cpu_mhz"`
		Thumbprint  *string `json:"thumbprint"`
	}
	if !decode(w, r, &in) {
		return
	}
	h, ok := s.reg.Get(types.ManagedObjectReference{Type: "HostSystem", Value: s.objectByName(in.Host)}).(*simulator.HostSystem)
	if !ok {
		http.Error(w, "no host '"+in.Host+"'", http.StatusNotFound)
		return
	}
	s.context().WithLock(h, func() {
		if in.Name != nil {
			h.Name, h.Summary.Config.Name = *in.Name, *in.Name
		}
		if in.Connection != nil {
			h.Runtime.ConnectionState = types.HostSystemConnectionState(*in.Connection)
		}
		if in.Maintenance != nil {
			h.Runtime.InMaintenanceMode = *in.Maintenance
		}
		if in.TimeZone != nil {
			h.Config.DateTimeInfo = &types.HostDateTimeInfo{
				TimeZone: types.HostDateTimeSystemTimeZone{Key: *in.TimeZone, Name: *in.TimeZone}}
		}
		if in.CPUMhz != nil {
			h.Summary.Hardware.CpuMhz = *in.CPUMhz
		}
		if in.Thumbprint != nil {
			h.Summary.Config.SslThumbprint = *in.Thumbprint
		}
	})
	s.changed()
	reply(w, struct{}{})
}

// serveCluster changes the facts of a cluster.
func (s *Sim) serveCluster(w http.ResponseWriter, r *http.Request) {
	var in struct {
		Cluster string  `json:"cluster"`
		DRS     *bool   `json:"drs"`
		DPM     *bool   `json:"dpm"`
		HA      *bool   `json:"ha"`
		EVC     *string `json:"evc"`
	}
	if !decode(w, r, &in) {
		return
	}
	c, ok := s.reg.Get(types.ManagedObjectReference{Type: "ClusterComputeResource",
		Value: s.objectByName(in.Cluster)}).(*simulator.ClusterComputeResource)
	if !ok {
		http.Error(w, "no cluster '"+in.Cluster+"'", http.StatusNotFound)
		return
	}
	s.context().WithLock(c, func() {
		cfg := c.ConfigurationEx.(*types.ClusterConfigInfoEx)
		if in.DRS != nil {
			cfg.DrsConfig.Enabled = in.DRS
		}
		if in.HA != nil {
			cfg.DasConfig.Enabled = in.HA
		}
		if in.DPM != nil {
			cfg.DpmConfigInfo = &types.ClusterDpmConfigInfo{Enabled: in.DPM}
		}
		if in.EVC != nil {
			c.Summary.(*types.ClusterComputeResourceSummary).CurrentEVCModeKey = *in.EVC
		}
	})
	s.changed()
	reply(w, struct{}{})
}

// serveDatastore changes the facts of a datastore.
func (s *Sim) serveDatastore(w http.ResponseWriter, r *http.Request) {
	var in struct {
		Datastore   string `json:"datastore"`
		Free        *int64 `json:"free"`
		Capacity    *int64 `json:"capacity"`
		Accessible  *bool  `json:"accessible"`
		Maintenance *bool  `json:"maintenance"`
	}
	if !decode(w, r, &in) {
		return
	}
	d, ok := s.reg.Get(types.ManagedObjectReference{Type: "Datastore",
		Value: s.objectByName(in.Datastore)}).(*simulator.Datastore)
	if !ok {
		http.Error(w, "no datastore '"+in.Datastore+"'", http.StatusNotFound)
		return
	}
	s.context().WithLock(d, func() {
		if in.Free != nil {
			d.Summary.FreeSpace = *in.Free
			d.Info.GetDatastoreInfo().FreeSpace = *in.Free
		}
		if in.Capacity != nil {
			d.Summary.Capacity = *in.Capacity
		}
		if in.Accessible != nil {
			d.Summary.Accessible = *in.Accessible
		}
		if in.Maintenance != nil {
			d.Summary.MaintenanceMode = string(types.DatastoreSummaryMaintenanceModeStateNormal)
			if *in.Maintenance {
				d.Summary.MaintenanceMode = string(types.DatastoreSummaryMaintenanceModeStateInMaintenance)
			}
		}
	})
	s.changed()
	reply(w, struct{}{})
}
