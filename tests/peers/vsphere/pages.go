package main

import (
	"bytes"
	"fmt"
	"strings"
	"sync"

	"github.com/google/uuid"
	"github.com/vmware/govmomi/simulator"
	"github.com/vmware/govmomi/vim25/methods"
	"github.com/vmware/govmomi/vim25/mo"
	"github.com/vmware/govmomi/vim25/soap"
	"github.com/vmware/govmomi/vim25/types"
	vimxml "github.com/vmware/govmomi/vim25/xml"
)

// vcsim copies each object through XML before it encodes it, which takes most
// of the time of a large inventory query and would hide what a client does.
// For a plain query of VMs each object's reply is made by vcsim once, encoded,
// and kept until something changes.

// pageCache keeps encoded <objects> elements by object and properties.
type pageCache struct {
	types.ManagedObjectReference

	mu      sync.Mutex
	all     uint64
	each    map[types.ManagedObjectReference]uint64
	encoded map[pageKey]pageEntry
	pages   map[string]pageRest
}

type pageKey struct {
	ref   types.ManagedObjectReference
	paths string
}

type pageEntry struct {
	all, each uint64
	xml       []byte
}

type pageRest struct {
	session string
	size    int
	objects [][]byte
}

func newPageCache() *pageCache {
	return &pageCache{
		ManagedObjectReference: types.ManagedObjectReference{Type: "VmferryPageCache", Value: "pages"},
		each:                   map[types.ManagedObjectReference]uint64{}, encoded: map[pageKey]pageEntry{}, pages: map[string]pageRest{},
	}
}

// changed forgets everything; calls that may change anything come here.
func (p *pageCache) changed() {
	p.mu.Lock()
	p.all++
	p.mu.Unlock()
}

func (p *pageCache) touch(ref types.ManagedObjectReference) {
	p.mu.Lock()
	p.each[ref]++
	p.mu.Unlock()
}

// PutObject, UpdateObject and RemoveObject make it a listener of vcsim's
// registry.
func (p *pageCache) PutObject(_ *simulator.Context, o mo.Reference) { p.touch(o.Reference()) }

// UpdateObject hears of a changed property.
func (p *pageCache) UpdateObject(_ *simulator.Context, o mo.Reference, _ []types.PropertyChange) {
	p.touch(o.Reference())
}

// RemoveObject hears of an object's end.
func (p *pageCache) RemoveObject(_ *simulator.Context, ref types.ManagedObjectReference) {
	p.touch(ref)
}

// readOnly are methods that change nothing a VM shows.
func readOnly(method string) bool {
	for _, prefix := range []string{"Retrieve", "Continue", "Cancel", "WaitFor", "CurrentTime", "CreateContainerView", "DestroyView",
		"Query", "Find", "Login", "Logout", "CreateFilter", "DestroyProperty", "CreateProperty", "HttpNfcLease", "CheckForUpdates", "HasUser"} {
		if strings.HasPrefix(method, prefix) {
			return true
		}
	}
	return false
}

// pageBody is a response whose content is encoded already.
type pageBody struct {
	Res    *rawXML     `xml:"urn:vim25 RetrievePropertiesExResponse"`
	Fault_ *soap.Fault `xml:"http://schemas.xmlsoap.org/soap/envelope/ Fault"`
}

type nextPageBody struct {
	Res    *rawXML     `xml:"urn:vim25 ContinueRetrievePropertiesExResponse"`
	Fault_ *soap.Fault `xml:"http://schemas.xmlsoap.org/soap/envelope/ Fault"`
}

type oldBody struct {
	Res    *rawXML     `xml:"urn:vim25 RetrievePropertiesResponse"`
	Fault_ *soap.Fault `xml:"http://schemas.xmlsoap.org/soap/envelope/ Fault"`
}

func (b *oldBody) Fault() *soap.Fault      { return b.Fault_ }
func (b *pageBody) Fault() *soap.Fault     { return b.Fault_ }
func (b *nextPageBody) Fault() *soap.Fault { return b.Fault_ }

type rawXML struct {
	Inner string `xml:",innerxml"`
}

// plainQuery returns the objects of a query that lists VMs or walks one
// container view of them; false means that vcsim has to do it.
func plainQuery(ctx *simulator.Context, r *types.RetrievePropertiesEx) ([]types.ManagedObjectReference, string, bool) {
	if len(r.SpecSet) != 1 || len(r.SpecSet[0].PropSet) != 1 {
		return nil, "", false
	}
	spec := r.SpecSet[0]
	ps := spec.PropSet[0]
	if ps.Type != "VirtualMachine" || ps.All != nil && *ps.All {
		return nil, "", false
	}
	var refs []types.ManagedObjectReference
	for _, o := range spec.ObjectSet {
		if o.SelectSet == nil && o.Obj.Type == "VirtualMachine" && (o.Skip == nil || !*o.Skip) {
			refs = append(refs, o.Obj)
			continue
		}
		v, ok := ctx.Session.Get(o.Obj).(*simulator.ContainerView)
		if !ok || len(spec.ObjectSet) != 1 || len(o.SelectSet) != 1 || o.Skip == nil || !*o.Skip {
			return nil, "", false
		}
		t, ok := o.SelectSet[0].(*types.TraversalSpec)
		if !ok || t.Path != "view" || len(t.SelectSet) != 0 || t.Skip != nil && *t.Skip {
			return nil, "", false
		}
		ctx.WithLock(v, func() {
			for _, ref := range v.View {
				if ref.Type == "VirtualMachine" {
					refs = append(refs, ref)
				}
			}
		})
	}
	return refs, strings.Join(ps.PathSet, "\n"), len(refs) > 1
}

// object returns the encoded reply about one object, nil when it is gone.
func (p *pageCache) object(ctx *simulator.Context, c *PropertyCollector, ref types.ManagedObjectReference, paths string) ([]byte, error) {
	key := pageKey{ref, paths}
	p.mu.Lock()
	all, each := p.all, p.each[ref]
	e, ok := p.encoded[key]
	p.mu.Unlock()
	if ok && e.all == all && e.each == each {
		return e.xml, nil
	}
	res := c.PropertyCollector.RetrievePropertiesEx(ctx, &types.RetrievePropertiesEx{This: c.Self, SpecSet: []types.PropertyFilterSpec{{
		PropSet:                       []types.PropertySpec{{Type: "VirtualMachine", PathSet: strings.Split(paths, "\n")}},
		ObjectSet:                     []types.ObjectSpec{{Obj: ref}},
		ReportMissingObjectsInResults: types.NewBool(true),
	}}})
	b, ok := res.(*methods.RetrievePropertiesExBody)
	if !ok || b.Res == nil || b.Res.Returnval == nil {
		return nil, fmt.Errorf("the property collector refused")
	}
	if len(b.Res.Returnval.Objects) == 0 {
		return nil, nil
	}
	var out bytes.Buffer
	enc := vimxml.NewEncoder(&out)
	if err := enc.EncodeElement(b.Res.Returnval.Objects[0], vimxml.StartElement{Name: vimxml.Name{Local: "objects"}}); err != nil {
		return nil, err
	}
	xml := bytes.TrimSuffix(bytes.TrimPrefix(prefixOnce(out.Bytes()), []byte("<objects>")), []byte("</objects>"))
	p.mu.Lock()
	if p.all == all && p.each[ref] == each {
		p.encoded[key] = pageEntry{all, each, xml}
	}
	p.mu.Unlock()
	return xml, nil
}

// objects are the encoded contents of a plain query's objects; false means
// that vcsim has to do it.
func (p *pageCache) objects(ctx *simulator.Context, c *PropertyCollector, r *types.RetrievePropertiesEx) ([][]byte, bool) {
	refs, paths, ok := plainQuery(ctx, r)
	if !ok {
		return nil, false
	}
	var objects [][]byte
	for _, ref := range refs {
		xml, err := p.object(ctx, c, ref, paths)
		if err != nil || xml == nil && (r.SpecSet[0].ReportMissingObjectsInResults == nil || !*r.SpecSet[0].ReportMissingObjectsInResults) {
			return nil, false
		}
		if xml != nil {
			objects = append(objects, xml)
		}
	}
	return objects, true
}

// retrieve answers a plain query in pages.
func (p *pageCache) retrieve(ctx *simulator.Context, c *PropertyCollector, r *types.RetrievePropertiesEx) (soap.HasFault, bool) {
	objects, ok := p.objects(ctx, c, r)
	if !ok {
		return nil, false
	}
	return &pageBody{Res: p.page(pageRest{ctx.Session.Key, int(r.Options.MaxObjects), objects})}, true
}

// retrieveOld answers the old call, which has no pages.
func (p *pageCache) retrieveOld(ctx *simulator.Context, c *PropertyCollector, r *types.RetrieveProperties) (soap.HasFault, bool) {
	objects, ok := p.objects(ctx, c, &types.RetrievePropertiesEx{This: r.This, SpecSet: r.SpecSet})
	if !ok {
		return nil, false
	}
	return &oldBody{Res: wrapAll("returnval", objects)}, true
}

func wrapAll(tag string, objects [][]byte) *rawXML {
	var b strings.Builder
	size := 0
	for _, o := range objects {
		size += len(o) + 2*len(tag) + 5
	}
	b.Grow(size)
	for _, o := range objects {
		b.WriteString("<" + tag + ">")
		b.Write(o)
		b.WriteString("</" + tag + ">")
	}
	return &rawXML{b.String()}
}

// page takes one page off rest and keeps what follows under a token.
func (p *pageCache) page(rest pageRest) *rawXML {
	now := rest.objects
	token := ""
	if rest.size > 0 && len(now) > rest.size {
		now = now[:rest.size]
		rest.objects = rest.objects[rest.size:]
		token = uuid.NewString()
		p.mu.Lock()
		p.pages[token] = rest
		p.mu.Unlock()
	}
	if token != "" {
		token = "<token>" + token + "</token>"
	}
	return &rawXML{"<returnval>" + token + wrapAll("objects", now).Inner + "</returnval>"}
}

// next answers with the page of a token of ours; false if it is not ours, or
// not this session's.
func (p *pageCache) next(ctx *simulator.Context, token string) (soap.HasFault, bool) {
	p.mu.Lock()
	rest, ok := p.pages[token]
	if ok = ok && rest.session == ctx.Session.Key; ok {
		delete(p.pages, token)
	}
	p.mu.Unlock()
	if !ok {
		return nil, false
	}
	return &nextPageBody{Res: p.page(rest)}, true
}
