package main

import (
	"strconv"
	"sync"

	"github.com/vmware/govmomi/simulator"
	"github.com/vmware/govmomi/vim25/methods"
	"github.com/vmware/govmomi/vim25/soap"
	"github.com/vmware/govmomi/vim25/types"
)

// PropertyCollector is vcsim's with the paging and the version rules of the
// real one. vcsim makes a fresh one for each session.
type PropertyCollector struct {
	simulator.PropertyCollector

	mu      sync.Mutex
	version int
	last    *methods.WaitForUpdatesExBody
	asked   string
}

// collectors is what all of them share; vcsim copies them by type alone.
var collectors = struct {
	mu       sync.Mutex
	pageSize int32
	tokens   map[string]string // token: session
	cache    *pageCache        // nil: none
}{tokens: map[string]string{}}

func (s *Sim) putCollector() {
	collectors.mu.Lock()
	collectors.pageSize = int32(s.opt.pageSize)
	collectors.cache = nil
	if s.opt.xsi != "vcsim" {
		collectors.cache = newPageCache()
		s.reg.AddHandler(collectors.cache)
	}
	s.pages = collectors.cache
	collectors.mu.Unlock()
	c := &PropertyCollector{}
	c.Self = s.svc.Context.Map.Get(serviceContent(s.reg).PropertyCollector).Reference()
	s.reg.Put(c)
}

func keepToken(ctx *simulator.Context, token string) {
	if token != "" {
		collectors.mu.Lock()
		collectors.tokens[token] = ctx.Session.Key
		collectors.mu.Unlock()
	}
}

// RetrievePropertiesEx pages by the client's limit or by the server's own.
func (c *PropertyCollector) RetrievePropertiesEx(ctx *simulator.Context, r *types.RetrievePropertiesEx) soap.HasFault {
	body := &methods.RetrievePropertiesExBody{}
	if r.Options.MaxObjects < 0 {
		body.Fault_ = newFault(&types.InvalidArgument{InvalidProperty: "options.maxObjects"})
		return body
	}
	collectors.mu.Lock()
	if n := collectors.pageSize; n > 0 && (r.Options.MaxObjects == 0 || r.Options.MaxObjects > n) {
		r.Options.MaxObjects = n
	}
	cache := collectors.cache
	collectors.mu.Unlock()
	if cache != nil && ctx.Session.UserName != "" { // vcsim's own in-process calls have no user
		if res, ok := cache.retrieve(ctx, c, r); ok {
			return res
		}
	}
	res := c.PropertyCollector.RetrievePropertiesEx(ctx, r)
	if b, ok := res.(*methods.RetrievePropertiesExBody); ok && b.Res != nil && b.Res.Returnval != nil {
		keepToken(ctx, b.Res.Returnval.Token)
	}
	return res
}

// RetrieveProperties is the old call; it never pages.
func (c *PropertyCollector) RetrieveProperties(ctx *simulator.Context, r *types.RetrieveProperties) soap.HasFault {
	collectors.mu.Lock()
	cache := collectors.cache
	collectors.mu.Unlock()
	if cache != nil && ctx.Session.UserName != "" {
		if res, ok := cache.retrieveOld(ctx, c, r); ok {
			return res
		}
	}
	return c.PropertyCollector.RetrieveProperties(ctx, r)
}

// ContinueRetrievePropertiesEx takes a token once, from its own session.
func (c *PropertyCollector) ContinueRetrievePropertiesEx(ctx *simulator.Context, r *types.ContinueRetrievePropertiesEx) soap.HasFault {
	collectors.mu.Lock()
	if cache := collectors.cache; cache != nil {
		if res, ok := cache.next(ctx, r.Token); ok {
			collectors.mu.Unlock()
			return res
		}
	}
	owner, ok := collectors.tokens[r.Token]
	mine := ok && owner == ctx.Session.Key
	if mine {
		delete(collectors.tokens, r.Token)
	}
	collectors.mu.Unlock()
	if !mine {
		return &methods.ContinueRetrievePropertiesExBody{
			Fault_: newFault(&types.InvalidArgument{InvalidProperty: "token"}),
		}
	}
	res := c.PropertyCollector.ContinueRetrievePropertiesEx(ctx, r)
	if b, ok := res.(*methods.ContinueRetrievePropertiesExBody); ok && b.Res != nil {
		keepToken(ctx, b.Res.Returnval.Token)
		for i := range b.Res.Returnval.Objects {
			o := &b.Res.Returnval.Objects[i]
			kept := o.PropSet[:0]
			for _, p := range o.PropSet {
				if p.Val != nil {
					kept = append(kept, p)
				}
			}
			o.PropSet = kept
		}
	}
	return res
}

// CancelRetrievePropertiesEx gives a token back.
func (c *PropertyCollector) CancelRetrievePropertiesEx(ctx *simulator.Context, r *types.CancelRetrievePropertiesEx) soap.HasFault {
	collectors.mu.Lock()
	if cache := collectors.cache; cache != nil {
		if _, ok := cache.next(ctx, r.Token); ok {
			collectors.mu.Unlock()
			return &methods.CancelRetrievePropertiesExBody{Res: &types.CancelRetrievePropertiesExResponse{}}
		}
	}
	owner, ok := collectors.tokens[r.Token]
	if ok = ok && owner == ctx.Session.Key; ok {
		delete(collectors.tokens, r.Token)
	}
	collectors.mu.Unlock()
	if !ok {
		return &methods.CancelRetrievePropertiesExBody{
			Fault_: newFault(&types.InvalidArgument{InvalidProperty: "token"}),
		}
	}
	return &methods.CancelRetrievePropertiesExBody{Res: &types.CancelRetrievePropertiesExResponse{}}
}

// CreatePropertyCollector makes one of ours for the session.
func (c *PropertyCollector) CreatePropertyCollector(ctx *simulator.Context, _ *types.CreatePropertyCollector) soap.HasFault {
	return &methods.CreatePropertyCollectorBody{Res: &types.CreatePropertyCollectorResponse{
		Returnval: ctx.Session.Put(&PropertyCollector{}).Reference(),
	}}
}

// WaitForUpdatesEx numbers its versions. The one before the last may be asked
// again, as after a lost reply; any other is refused.
func (c *PropertyCollector) WaitForUpdatesEx(ctx *simulator.Context, r *types.WaitForUpdatesEx) soap.HasFault {
	c.mu.Lock()
	current := strconv.Itoa(c.version)
	again := c.last != nil && r.Version == c.asked && r.Version != ""
	known := r.Version == "" || c.version > 0 && r.Version == current
	last := c.last
	c.mu.Unlock()
	switch {
	case again:
		return last
	case !known:
		return &methods.WaitForUpdatesExBody{Fault_: newFault(&types.InvalidCollectorVersion{})}
	}
	inner := *r
	if r.Version != "" {
		inner.Version = "-"
	}
	res := c.PropertyCollector.WaitForUpdatesEx(ctx, &inner)
	b, ok := res.(*methods.WaitForUpdatesExBody)
	if !ok || b.Res == nil || b.Res.Returnval == nil {
		return res
	}
	c.mu.Lock()
	c.version++
	b.Res.Returnval.Version = strconv.Itoa(c.version)
	c.asked, c.last = r.Version, b
	c.mu.Unlock()
	return res
}
