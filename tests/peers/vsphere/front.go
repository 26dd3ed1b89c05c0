package main

import (
	"bytes"
	"encoding/xml"
	"fmt"
	"io"
	"net/http"
	"regexp"
	"strings"
	"sync"
	"time"

	"github.com/vmware/govmomi/vim25/types"
	vimxml "github.com/vmware/govmomi/vim25/xml"
)

// maxRequest bounds what a client can make us hold.
const maxRequest = 16 << 20

// callBook counts what clients asked for.
type callBook struct {
	mu   sync.Mutex
	SOAP map[string]int `json:"soap"`
	HTTP map[string]int `json:"http"`
}

func newCallBook() *callBook {
	return &callBook{SOAP: map[string]int{}, HTTP: map[string]int{}}
}

func (c *callBook) soap(method string) {
	c.mu.Lock()
	c.SOAP[method]++
	c.mu.Unlock()
}

func (c *callBook) http(what string) {
	c.mu.Lock()
	c.HTTP[what]++
	c.mu.Unlock()
}

func (c *callBook) reset() {
	c.mu.Lock()
	c.SOAP, c.HTTP = map[string]int{}, map[string]int{}
	c.mu.Unlock()
}

// ServeHTTP is the outer door: everything a client sends comes through here.
func (s *Sim) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	p := r.URL.Path
	switch {
	case s.away.is("503"):
		w.Header().Set("Retry-After", "1")
		http.Error(w, "503 Service Unavailable", http.StatusServiceUnavailable)
	case p == "/sdk/vimServiceVersions.xml":
		s.calls.http(r.Method + " " + p)
		s.serveVersions(w)
	case p == "/sdk" || p == "/sdk/" || strings.HasPrefix(p, "/sdk/vimService"):
		s.calls.http(r.Method + " /sdk")
		if r.Method == http.MethodPost {
			s.serveSOAP(w, r)
			return
		}
		s.svc.ServeMux.ServeHTTP(w, r)
	case strings.HasPrefix(p, "/nfc/"), strings.HasPrefix(p, "/ha-nfc/"):
		s.calls.http(r.Method + " /nfc")
		s.serveNFC(w, r)
	case strings.HasPrefix(p, "/folder"):
		s.calls.http(r.Method + " /folder")
		s.serveFolder(w, r)
	case strings.HasPrefix(p, "/rest"), strings.HasPrefix(p, "/api"):
		s.calls.http(r.Method + " /rest")
		s.serveREST(w, r)
	default:
		s.calls.http(r.Method + " other")
		http.NotFound(w, r)
	}
}

// serveVersions lists the API versions, newest first by its internal name as
// 8.0.3 does.
func (s *Sim) serveVersions(w http.ResponseWriter) {
	w.Header().Set("Content-Type", "text/xml")
	fmt.Fprint(w, xml.Header+"<namespaces version=\"1.0\">\n <namespace>\n  <name>urn:vim25</name>\n"+
		"  <version>uA046D008</version>\n  <priorVersions>\n")
	for _, v := range []string{apiVersion, "8.0.2.0", "8.0.1.0", "8.0.0.1", "7.0.3.2", "7.0.0.0", "6.7.3", "6.7", "6.5", "6.0", "5.5"} {
		fmt.Fprintf(w, "   <version>%s</version>\n", v)
	}
	fmt.Fprint(w, "  </priorVersions>\n </namespace>\n</namespaces>\n")
}

// recorder keeps vcsim's response, so that it can be mended before it leaves.
type recorder struct {
	header http.Header
	status int
	body   bytes.Buffer
}

func newRecorder() *recorder { return &recorder{header: http.Header{}, status: http.StatusOK} }

func (r *recorder) Header() http.Header         { return r.header }
func (r *recorder) WriteHeader(status int)      { r.status = status }
func (r *recorder) Write(p []byte) (int, error) { return r.body.Write(p) }

func (s *Sim) serveSOAP(w http.ResponseWriter, r *http.Request) {
	in, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxRequest))
	if err != nil {
		http.Error(w, "request too large or cut", http.StatusBadRequest)
		return
	}
	method, this := soapCall(in)
	s.calls.soap(method)
	if method == "ReconfigVM_Task" {
		in = emptyAnnotation.ReplaceAll(in, []byte("<annotation>"+emptyNotes+"</annotation>"))
	}
	id := sessionCookie(r)
	m := match{names: []string{method, "sdk"}, object: s.nameOf(this)}

	if rule := s.faults.take("not_authenticated", m); rule != nil {
		s.sessions.remove(id)
	}
	rule := s.faults.take("http503 "+bodyKinds, m)
	over, rule := strikeFirst(w, r, rule)
	if over {
		return
	}
	live := s.sessions.touch(id)
	w.Header().Set("Content-Type", "text/xml; charset=utf-8")
	w.Header().Set("Cache-Control", "no-cache")
	if !live && !preLogin[method] {
		sendBody(w, r, http.StatusInternalServerError, soapFaultBody(notAuthenticated(this)), rule)
		return
	}
	rec := newRecorder()
	inner := r.Clone(r.Context())
	inner.Body = io.NopCloser(bytes.NewReader(in))
	if !live {
		inner.Header.Del("Cookie")
	}
	s.svc.ServeSDK(rec, inner)
	if s.pages != nil && !readOnly(method) {
		s.pages.changed()
	}
	s.sessions.touch(id)
	if made := takeCookie(rec.header); made != "" {
		s.sessions.add(made)
		giveCookie(w.Header(), made)
	} else if method == "Login" && rec.status != http.StatusOK && id == "" {
		giveCookie(w.Header(), anonymousCookie())
	}
	if method == "Logout" && rec.status == http.StatusOK {
		s.sessions.remove(id)
	}
	if rule != nil && rule.Executed {
		switch rule.Kind {
		case "reset":
			resetConnection(r)
		case "drop":
			panic(http.ErrAbortHandler)
		}
	}
	sendBody(w, r, rec.status, s.mend(rec), rule)
}

// govmomi's types cannot tell an empty annotation from none.
const emptyNotes = "\ue000 no notes \ue000"

var emptyAnnotation = regexp.MustCompile(`<annotation(></annotation>|/>)`)

var emptyFault = regexp.MustCompile(`(?s)<faultstring></faultstring>(.*?xsi:type="([A-Za-z0-9]+)")`)

// mend makes vcsim's XML look like a recorded server's: the xsi prefix is
// declared once, on the envelope, and a fault has a text.
func (s *Sim) mend(rec *recorder) []byte {
	b := rec.body.Bytes()
	if s.opt.xsi != "vcsim" {
		b = prefixOnce(b)
	}
	if rec.status != http.StatusOK {
		b = bytes.Replace(b, []byte("<faultstring>Login failure</faultstring>"), []byte("<faultstring></faultstring>"), 1)
		if m := emptyFault.FindSubmatchIndex(b); m != nil {
			text := faultText[string(b[m[4]:m[5]])]
			out := append([]byte(nil), b[:m[0]]...)
			out = append(out, "<faultstring>"+escape(text)+"</faultstring>"...)
			b = append(out, b[m[2]:]...)
		}
	}
	return b
}

// prefixOnce replaces the declarations on every element by the envelope's.
func prefixOnce(b []byte) []byte {
	for _, p := range []string{"_XMLSchema-instance", "XMLSchema-instance"} {
		decl := []byte(` xmlns:` + p + `="http://www.w3.org/2001/XMLSchema-instance"`)
		if bytes.Contains(b, decl) {
			b = bytes.ReplaceAll(b, decl, nil)
			b = bytes.ReplaceAll(b, []byte(` `+p+`:type=`), []byte(` xsi:type=`))
		}
	}
	return b
}

func escape(s string) string {
	var b bytes.Buffer
	_ = xml.EscapeText(&b, []byte(s))
	return b.String()
}

// soapFaultBody is a whole SOAP response around one fault.
func soapFaultBody(f types.BaseMethodFault) []byte {
	var detail bytes.Buffer
	e := vimxml.NewEncoder(&detail)
	name := faultName(f)
	_ = e.EncodeElement(f, vimxml.StartElement{
		Name: vimxml.Name{Local: name + "Fault"},
		Attr: []vimxml.Attr{
			{Name: vimxml.Name{Local: "xmlns"}, Value: "urn:vim25"},
			{Name: vimxml.Name{Local: "xsi:type"}, Value: name},
		},
	})
	return []byte(`<?xml version="1.0" encoding="UTF-8"?>` + "\n" +
		`<soapenv:Envelope xmlns:soapenc="http://schemas.xmlsoap.org/soap/encoding/"` +
		` xmlns:soapenv="http://schemas.xmlsoap.org/soap/envelope/"` +
		` xmlns:xsd="http://www.w3.org/2001/XMLSchema"` +
		` xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance"><soapenv:Body><soapenv:Fault>` +
		`<faultcode>ServerFaultCode</faultcode><faultstring>` + escape(messageOf(f)) +
		`</faultstring><detail>` + detail.String() +
		`</detail></soapenv:Fault></soapenv:Body></soapenv:Envelope>`)
}

// soapCall reads just far enough to know which method is called on what.
func soapCall(in []byte) (string, types.ManagedObjectReference) {
	d := xml.NewDecoder(bytes.NewReader(in))
	var this types.ManagedObjectReference
	method, inBody := "", false
	for {
		tok, err := d.Token()
		if err != nil {
			return method, this
		}
		start, ok := tok.(xml.StartElement)
		switch {
		case !ok:
		case !inBody:
			inBody = start.Name.Local == "Body"
		case method == "":
			method = start.Name.Local
		default:
			if start.Name.Local == "_this" {
				for _, a := range start.Attr {
					if a.Name.Local == "type" && a.Name.Space == "" {
						this.Type = a.Value
					}
				}
				_ = d.DecodeElement(&this.Value, &start)
			}
			return method, this
		}
	}
}

// access is a line in the work directory's log.
func (s *Sim) access(format string, args ...any) {
	fmt.Fprintf(s.log, "%s %s\n", time.Now().Format("15:04:05.000"), fmt.Sprintf(format, args...))
}
