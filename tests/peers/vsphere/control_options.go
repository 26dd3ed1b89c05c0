package main

import (
	"fmt"
	"net/http"
	"time"
)

// serveOptions changes what may change at run time.
func (s *Sim) serveOptions(w http.ResponseWriter, r *http.Request) {
	var in struct {
		VM           string           `json:"vm"` // whose folder_locked it is; "": everybody's
		FolderLocked *bool            `json:"folder_locked"`
		MaxAreas     *int             `json:"max_areas"`
		AreaWindow   *int64           `json:"area_window"`
		PageSize     *int             `json:"page_size"`
		TaskDelayMS  map[string]int64 `json:"task_delay_ms"`
		MergeRate    *int64           `json:"merge_rate"`
		ClockSkewMS  *int64           `json:"clock_skew_ms"`
	}
	if !decode(w, r, &in) {
		return
	}
	if in.VM != "" {
		vm := s.vmByName(in.VM)
		if vm == nil {
			http.Error(w, fmt.Sprintf("no VM '%s'", in.VM), http.StatusNotFound)
			return
		}
		vm.mu.Lock()
		vm.locked, in.FolderLocked = in.FolderLocked, nil
		vm.mu.Unlock()
	}
	s.mu.Lock()
	if in.FolderLocked != nil {
		s.opt.folderLocked = *in.FolderLocked
	}
	if in.MaxAreas != nil {
		s.opt.maxAreas = max(1, *in.MaxAreas)
	}
	if in.AreaWindow != nil {
		s.opt.areaWindow = *in.AreaWindow
	}
	for method, ms := range in.TaskDelayMS {
		if s.opt.taskDelays == nil {
			s.opt.taskDelays = map[string]time.Duration{}
		}
		s.opt.taskDelays[method] = time.Duration(ms) * time.Millisecond
	}
	if in.MergeRate != nil {
		s.opt.mergeRate = *in.MergeRate
	}
	if in.ClockSkewMS != nil {
		s.clockSkew = time.Duration(*in.ClockSkewMS) * time.Millisecond
	}
	s.mu.Unlock()
	if in.PageSize != nil {
		collectors.mu.Lock()
		collectors.pageSize = int32(*in.PageSize)
		collectors.mu.Unlock()
	}
	reply(w, struct{}{})
}

// delay is how long a task of that method takes.
func (s *Sim) delay(method string) time.Duration {
	s.mu.Lock()
	defer s.mu.Unlock()
	if d, ok := s.opt.taskDelays[method]; ok {
		return d
	}
	return s.opt.taskDelay
}
