// Command vsphere-sim is a simulated vCenter (or ESXi host) for tests and for
// the quickstart: govmomi's simulator, plus what a migration needs of a real
// server and vcsim lacks.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/url"
	"os"
	"os/signal"
	"path/filepath"
	"strconv"
	"syscall"
	"time"

	"github.com/vmware/govmomi/object"
	"github.com/vmware/govmomi/vim25/types"
)

func main() {
	if err := run(os.Args[1:]); err != nil {
		if errors.Is(err, flag.ErrHelp) {
			os.Exit(2)
		}
		fmt.Fprintln(os.Stderr, "vsphere-sim:", err)
		os.Exit(1)
	}
}

func parse(args []string) (Options, bool, error) {
	var o Options
	var dieWithParent bool
	f := flag.NewFlagSet("vsphere-sim", flag.ContinueOnError)
	f.StringVar(&o.dir, "dir", "", "work directory (required)")
	f.StringVar(&o.listen, "listen", "127.0.0.1:0", "address to serve on")
	f.StringVar(&o.nfcListen, "nfc-listen", "", "a second address, with a certificate of its own, that device URLs name (as an ESXi host)")
	f.StringVar(&o.readyFile, "ready-file", "", "file to write when it serves")
	f.StringVar(&o.user, "user", "administrator@vsphere.local", "user name")
	f.StringVar(&o.password, "password", "simulated-Pa55", "password")
	f.BoolVar(&o.esx, "esx", false, "be an ESXi host")
	f.BoolVar(&o.demo, "demo", false, "make the demo VMs")
	f.StringVar(&o.vmsFile, "vms", "", "JSON file with VMs")
	f.IntVar(&o.fillers, "fillers", 0, "number of VMs without files")
	f.IntVar(&o.pageSize, "page-size", 0, "objects a page of the property collector, 0: as the client says")
	f.IntVar(&o.maxAreas, "max-areas", 2000, "areas a reply of QueryChangedDiskAreas")
	f.Int64Var(&o.areaWindow, "area-window", 0, "bytes a reply of QueryChangedDiskAreas speaks about, 0: the whole disk")
	f.DurationVar(&o.sessionTimeout, "session-timeout", 30*time.Minute, "idle time that ends a session")
	f.DurationVar(&o.leaseTimeout, "lease-timeout", 5*time.Minute, "time without progress that ends a lease")
	f.DurationVar(&o.taskDelay, "task-delay", 200*time.Millisecond, "how long a task takes")
	f.DurationVar(&o.shutdownDelay, "shutdown-delay", time.Second, "how long a guest takes to shut down")
	f.Int64Var(&o.nfcRate, "nfc-rate", 0, "bytes a second of one NFC stream, 0: no limit")
	f.IntVar(&o.nfcWorkers, "nfc-workers", 0, "goroutines that deflate one NFC stream, 0: one a CPU")
	f.BoolVar(&o.folderLocked, "folder-locked", true, "refuse /folder for disks of running VMs")
	f.BoolVar(&o.keepFrozen, "keep-frozen", true, "keep the content of removed snapshots for /save-frozen")
	f.BoolVar(&dieWithParent, "die-with-parent", false, "exit when the parent process is gone")
	f.StringVar(&o.cache, "cache", "", "directory that keeps generated disk images")
	f.StringVar(&o.xsi, "xsi", "real", "xsi prefix of responses: real (declared once) or vcsim (as govmomi writes it)")
	if err := f.Parse(args); err != nil {
		return o, false, err
	}
	if f.NArg() > 0 {
		return o, false, fmt.Errorf("unexpected argument '%s'", f.Arg(0))
	}
	if o.dir == "" {
		return o, false, errors.New("--dir is required")
	}
	if err := oneOf("--xsi", o.xsi, "real", "vcsim"); err != nil {
		return o, false, err
	}
	return o, dieWithParent, nil
}

func run(args []string) error {
	opt, dieWithParent, err := parse(args)
	if err != nil {
		return err
	}
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, syscall.SIGINT)
	defer stop()
	if dieWithParent {
		go watchParent(os.Getppid(), stop)
	}
	s, err := start(opt)
	if err != nil {
		return err
	}
	defer s.Close()
	select {
	case <-ctx.Done():
	case err = <-s.failed:
	}
	return err
}

// watchParent looks for the parent's end; the signal of prctl(2) would follow
// a thread of the parent instead.
func watchParent(parent int, stop func()) {
	for os.Getppid() == parent {
		time.Sleep(200 * time.Millisecond)
	}
	stop()
}

// start brings a simulator up and writes the ready file.
func start(opt Options) (*Sim, error) {
	var err error
	if opt.dir, err = filepath.Abs(opt.dir); err != nil {
		return nil, err
	}
	if err := os.MkdirAll(opt.dir, 0o755); err != nil {
		return nil, err
	}
	logFile, err := os.OpenFile(filepath.Join(opt.dir, "vsphere-sim.log"), os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o644)
	if err != nil {
		return nil, err
	}
	log.SetOutput(logFile)
	specs, err := gather(opt)
	if err != nil {
		return nil, err
	}
	s := &Sim{opt: opt, log: logFile, calls: newCallBook(), failed: make(chan error, 3),
		vms: map[string]*VM{}, snapshots: map[string]*Snapshot{}, leases: map[string]*Lease{}, restIDs: map[string]bool{}}
	disks := make(chan error, 1)
	go func() { disks <- makeDisks(opt, specs) }()
	if s.model, err = newModel(opt); err != nil {
		return nil, err
	}
	if err := s.listen(); err != nil {
		return nil, err
	}
	if err := <-disks; err != nil {
		return nil, err
	}
	if err := s.populate(specs); err != nil {
		return nil, err
	}
	if err := s.serve(); err != nil {
		return nil, err
	}
	return s, s.ready()
}

func gather(opt Options) ([]*VMSpec, error) {
	var specs []*VMSpec
	if opt.demo {
		specs = demoVMs()
	}
	if opt.vmsFile != "" {
		more, err := loadSpecs(opt.vmsFile)
		if err != nil {
			return nil, err
		}
		specs = append(specs, more...)
	}
	specs = append(specs, fillerVMs(opt.fillers)...)
	for _, v := range specs {
		if err := v.complete(); err != nil {
			return nil, fmt.Errorf("VM '%s': %w", v.Name, err)
		}
	}
	return specs, nil
}

func (v *VMSpec) isFiller() bool { return len(v.Disks) > 0 && v.Disks[0].used > 0 }

// populate fills the inventory.
func (s *Sim) populate(specs []*VMSpec) error {
	e, err := newEstate(s)
	if err != nil {
		return err
	}
	s.datacenter = e.dc
	ctx := context.Background()
	if !s.opt.esx {
		m, err := object.GetCustomFieldsManager(e.client)
		if err != nil {
			return err
		}
		for _, name := range attributeNames(specs) {
			if _, err := m.Add(ctx, name, "VirtualMachine", nil, nil); err != nil {
				return err
			}
		}
	}
	for _, spec := range specs {
		vm, err := e.add(spec, spec.isFiller())
		if err != nil {
			return fmt.Errorf("VM '%s': %w", spec.Name, err)
		}
		for _, name := range spec.Snapshots {
			if f := s.seedSnapshot(vm, name); f != nil {
				return fmt.Errorf("snapshot '%s' of '%s': %s", name, spec.Name, faultName(f))
			}
		}
	}
	return s.tag()
}

// seedSnapshot makes a snapshot that was there before anybody came.
func (s *Sim) seedSnapshot(vm *VM, name string) types.BaseMethodFault {
	_, f := s.createSnapshot(s.context(), vm, false, types.CreateSnapshotEx_Task{Name: name, Description: "made by hand"})
	return f
}

// listen opens the ports and makes the certificates.
func (s *Sim) listen() error {
	var err error
	if s.listener, err = net.Listen("tcp", s.opt.listen); err != nil {
		return err
	}
	if s.controlListener, err = net.Listen("tcp", "127.0.0.1:0"); err != nil {
		return err
	}
	addr := s.listener.Addr().(*net.TCPAddr)
	s.host, s.port = addr.IP.String(), addr.Port
	if addr.IP.IsUnspecified() {
		s.host = "127.0.0.1"
	}
	ca, err := newAuthority()
	if err != nil {
		return err
	}
	if err := writeFile(filepath.Join(s.opt.dir, "ca.pem"), ca.pem); err != nil {
		return err
	}
	name, _ := os.Hostname()
	if s.id, err = issue(ca, "vcenter.sim.example", s.host, name); err != nil {
		return err
	}
	s.nfcID, s.nfcHost = s.id, net.JoinHostPort(s.host, strconv.Itoa(s.port))
	if s.opt.nfcListen != "" {
		if s.nfcListener, err = net.Listen("tcp", s.opt.nfcListen); err != nil {
			return err
		}
		if s.nfcID, err = issue(nil, "esx-01.sim.example", s.host, name); err != nil {
			return err
		}
		s.nfcHost = s.nfcListener.Addr().String()
		if err := writeFile(filepath.Join(s.opt.dir, "esx.pem"), s.nfcID.pem); err != nil {
			return err
		}
	}
	self := &url.URL{Scheme: "https", Host: net.JoinHostPort(s.host, strconv.Itoa(s.port)), Path: "/sdk"}
	s.wire(self)
	s.startREST(self)
	return nil
}

func (s *Sim) serve() error {
	front := func(id *identity, h http.Handler) *http.Server {
		return &http.Server{Handler: h, TLSConfig: id.config(), ConnContext: withConn,
			ErrorLog: log.New(io.Discard, "", 0)}
	}
	main := front(s.id, s)
	main.ConnState = s.away.watch
	s.background(main, gate{s.listener, &s.away}, true)
	if s.nfcListener != nil {
		s.background(front(s.nfcID, http.HandlerFunc(s.serveNFC)), s.nfcListener, true)
	}
	s.background(&http.Server{Handler: s.control()}, s.controlListener, false)
	return nil
}

func (s *Sim) background(srv *http.Server, l net.Listener, tls bool) {
	s.servers = append(s.servers, srv)
	go func() {
		var err error
		if tls {
			err = srv.ServeTLS(l, "", "")
		} else {
			err = srv.Serve(l)
		}
		if !errors.Is(err, http.ErrServerClosed) {
			s.failed <- err
		}
	}()
}

// Close stops serving and removes what vcsim made.
func (s *Sim) Close() {
	for _, srv := range s.servers {
		_ = srv.Close()
	}
	s.model.Remove()
}

type readyDisk struct {
	Key  int32  `json:"key"`
	Path string `json:"path"`
}

type readyVM struct {
	Name         string      `json:"name"`
	Moref        string      `json:"moref"`
	InstanceUUID string      `json:"instance_uuid"`
	Disks        []readyDisk `json:"disks"`
}

// ready tells whoever waits that the simulator serves.
func (s *Sim) ready() error {
	if s.opt.readyFile == "" {
		return nil
	}
	vms := []readyVM{}
	for _, vm := range s.order {
		if vm.filler {
			continue
		}
		v := readyVM{Name: vm.name, Moref: vm.ref.Value, InstanceUUID: vm.obj.Config.InstanceUuid, Disks: []readyDisk{}}
		for _, d := range vm.diskList() {
			v.Disks = append(v.Disks, readyDisk{d.key, d.path})
		}
		vms = append(vms, v)
	}
	b, err := json.MarshalIndent(map[string]any{
		"url":  "https://" + net.JoinHostPort(s.host, strconv.Itoa(s.port)),
		"host": s.host, "port": s.port, "user": s.opt.user, "password": s.opt.password,
		"thumbprint_sha1": s.id.sha1, "thumbprint_sha256": s.id.sha256,
		"ca_file": filepath.Join(s.opt.dir, "ca.pem"),
		"control": "http://" + s.controlListener.Addr().String(),
		"nfc":     s.nfcHost, "nfc_thumbprint_sha1": s.nfcID.sha1,
		"datacenter": s.datacenter, "pid": os.Getpid(), "vms": vms,
	}, "", "  ")
	if err != nil {
		return err
	}
	return writeFile(s.opt.readyFile, append(b, '\n'))
}
