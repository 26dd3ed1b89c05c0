// Package cdi runs CDI: its controller, API server and upload proxy, all of them its own programs, set
// up as its operator would. The pods that they create are the runner's.
package cdi

import (
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/kubernetes"

	"vmferry/tests/peers/kube/rig/host"
	"vmferry/tests/peers/kube/rig/pki"
	"vmferry/tests/peers/kube/rig/port"
)

const (
	startTimeout     = 2 * time.Minute
	signingKeySecret = "cdi-api-signing-key" // cdi-apiserver makes it, the others read it
	registry         = "registry.rig.vmferry.io/"
)

// Result is what clients need to know.
type Result struct {
	Version       string // of CDI's module
	UploadProxy   string // https://127.0.0.1:PORT
	UploadProxyCA string // file
}

// cdi is one installation that is being started.
type cdi struct {
	h       *host.Host
	client  kubernetes.Interface
	dynamic dynamic.Interface
	version string

	// The operator has an authority for each purpose, so that none is taken for another.
	apiCA, proxyCA, uploadCA, uploadClientCA *pki.Authority

	apiPort, proxyPort           int
	apiserver, proxy, controller *server
	pods                         *podNetwork // of the proxy
}

// AddImages adds what CDI's pods run, before any part starts. An image that is there already stays.
func AddImages(h *host.Host) {
	for _, name := range []string{"cdi-importer", "cdi-uploadserver"} {
		if h.Images[name] == "" {
			h.Images[name] = h.Program(name)
		}
	}
	// Its metrics are on port 8443 of all addresses. Blank disks need nothing from a network, and VDDK
	// imports no more than the source, which the runner lets it reach.
	if h.Offline == nil {
		h.Offline = map[string]bool{}
	}
	h.Offline["cdi-importer"] = true
}

// Start returns once its servers answer. The CRDs in h.Bin/crds/ are loaded by then; the StorageClasses
// and the Node may still be on their way.
func Start(ctx context.Context, h *host.Host) (*Result, error) {
	c := &cdi{h: h}
	limited, cancel := context.WithTimeout(ctx, startTimeout)
	defer cancel()
	for _, step := range []struct {
		name string
		run  func(ctx, limited context.Context) error
	}{
		{"certificates and ports", c.prepare},
		{"objects", c.install},
		{"servers", c.startServers},
		{"registration", c.register},
	} {
		if err := step.run(ctx, limited); err != nil {
			return nil, fmt.Errorf("CDI: %s: %w", step.name, err)
		}
	}
	result := &Result{Version: c.version, UploadProxy: c.proxyURL()}
	folder, err := h.Folder("cdi")
	if err != nil {
		return nil, err
	}
	result.UploadProxyCA = filepath.Join(folder, "uploadproxy-ca.crt")
	return result, os.WriteFile(result.UploadProxyCA, c.proxyCA.CertPEM, 0o644)
}

func (c *cdi) proxyURL() string {
	return fmt.Sprintf("https://127.0.0.1:%d", c.proxyPort)
}

func (c *cdi) prepare(_, limited context.Context) error {
	var err error
	if c.client, err = kubernetes.NewForConfig(c.h.Config); err != nil {
		return err
	}
	if c.dynamic, err = dynamic.NewForConfig(c.h.Config); err != nil {
		return err
	}
	version, err := exec.CommandContext(limited, c.h.Program("cdi-crds"), "version").Output()
	if err != nil {
		return err
	}
	c.version = strings.TrimSpace(string(version))
	for _, number := range []*int{&c.apiPort, &c.proxyPort} {
		if *number, err = port.New(); err != nil {
			return err
		}
	}
	for name, authority := range map[string]**pki.Authority{
		"cdi-apiserver-signer": &c.apiCA, "cdi-uploadproxy-signer": &c.proxyCA,
		"cdi-uploadserver-signer": &c.uploadCA, "cdi-uploadserver-client-signer": &c.uploadClientCA,
	} {
		if *authority, err = pki.NewRSAAuthority(name); err != nil {
			return err
		}
	}
	return nil
}

// install makes what the servers need to start.
func (c *cdi) install(_, limited context.Context) error {
	if _, err := apply(limited, c.dynamic, namespaceObject()); err != nil {
		return err
	}
	object, err := apply(limited, c.dynamic, installation(c.proxyURL(), c.version))
	if err != nil {
		return err
	}
	wanted := []*unstructured.Unstructured{
		anchor(object),
		bundle("cdi-apiserver-signer-bundle", c.apiCA.CertPEM),
		bundle("cdi-uploadproxy-signer-bundle", c.proxyCA.CertPEM),
		bundle("cdi-uploadserver-signer-bundle", c.uploadCA.CertPEM),
		bundle("cdi-uploadserver-client-signer-bundle", c.uploadClientCA.CertPEM),
	}
	all, err := operatorObjects(limited, c.h.Program("cdi-crds"))
	if err != nil {
		return err
	}
	for _, u := range all {
		if !isRegistration(u) {
			redirect(u, int64(c.apiPort), c.apiCA.CertPEM)
			wanted = append(wanted, u)
		}
	}
	return applyAll(limited, c.dynamic, wanted)
}

func (c *cdi) startServers(ctx, limited context.Context) error {
	if err := c.startAPIServer(ctx, limited); err != nil {
		return err
	}
	secret, err := c.signingKey(limited)
	if err != nil {
		return err
	}
	if err := c.startController(ctx, limited, secret); err != nil {
		return err
	}
	return c.startProxy(ctx, limited, secret)
}

// start runs a server in a sandbox that reaches the API server.
func (c *cdi) start(ctx, limited context.Context, s *server) (*server, error) {
	var err error
	s.h = c.h
	if s.sandbox, err = newSandbox(ctx); err != nil {
		return nil, err
	}
	if err := s.prepare(limited, c.client); err != nil {
		return nil, err
	}
	if err := s.openAPI(ctx); err != nil {
		return nil, err
	}
	return s, s.start(ctx)
}

func (c *cdi) startAPIServer(ctx, limited context.Context) error {
	serving, err := c.apiCA.Server("cdi-api.cdi.svc", "cdi-api.cdi", "cdi-api")
	if err != nil {
		return err
	}
	c.apiserver, err = c.start(ctx, limited, &server{
		name: "cdi-apiserver", account: "cdi-apiserver",
		files: keyPair("/var/run/certs/cdi-apiserver-server-cert", serving.CertPEM, serving.KeyPEM),
	})
	if err != nil {
		return err
	}
	return c.apiserver.openServer(ctx, fmt.Sprintf("127.0.0.1:%d", c.apiPort))
}

func (c *cdi) startController(ctx, limited context.Context, secret *corev1.Secret) error {
	files := keyPair("/var/run/certs/cdi-uploadserver-signer", c.uploadCA.CertPEM, c.uploadCA.KeyPEM)
	files = append(files, keyPair("/var/run/certs/cdi-uploadserver-client-signer",
		c.uploadClientCA.CertPEM, c.uploadClientCA.KeyPEM)...)
	for _, name := range []string{"id_rsa", "id_rsa.pub"} {
		files = append(files, place{"/var/run/cdi/token/keys/" + name, secret.Data[name]})
	}
	image := func(name string) string { return registry + name + ":" + c.version }
	var err error
	c.controller, err = c.start(ctx, limited, &server{
		name: "cdi-controller", account: "cdi-sa", files: files,
		env: []string{
			"IMPORTER_IMAGE=" + image("cdi-importer"),
			"CLONER_IMAGE=" + image("cdi-cloner"),
			"UPLOADSERVER_IMAGE=" + image("cdi-uploadserver"),
			"OVIRT_POPULATOR_IMAGE=" + image("cdi-importer"),
			"UPLOADPROXY_SERVICE=cdi-uploadproxy",
			"PULL_POLICY=IfNotPresent",
			"INSTALLER_VERSION_LABEL=" + c.version,
		},
	})
	return err
}

func (c *cdi) startProxy(ctx, limited context.Context, secret *corev1.Secret) error {
	serving, err := c.proxyCA.Server("cdi-uploadproxy", "cdi-uploadproxy.cdi", "cdi-uploadproxy.cdi.svc",
		"localhost", "127.0.0.1")
	if err != nil {
		return err
	}
	// The name is the one that cdi-controller gives to upload servers as their only client's.
	client, err := c.uploadClientCA.Client("client.upload-server.cdi.kubevirt.io")
	if err != nil {
		return err
	}
	files := keyPair("/var/run/certs/cdi-uploadproxy-server-cert", serving.CertPEM, serving.KeyPEM)
	files = append(files, keyPair("/var/run/certs/cdi-uploadserver-client-cert", client.CertPEM, client.KeyPEM)...)
	c.proxy, err = c.start(ctx, limited, &server{
		name: "cdi-uploadproxy", account: "cdi-uploadproxy", files: files,
		env: []string{"APISERVER_PUBLIC_KEY=" + string(secret.Data["id_rsa.pub"])},
	})
	if err != nil {
		return err
	}
	if c.pods, err = newPodNetwork(ctx, c.h, c.proxy.sandbox); err != nil {
		return err
	}
	conn, err := c.proxy.sandbox.listenPacket(ctx, "127.0.0.1:53")
	if err != nil {
		return err
	}
	c.h.Go(ctx, "DNS of cdi-uploadproxy", func(ctx context.Context) error {
		return serveDNS(ctx, conn, func(lookup context.Context, namespace, service string) ([]net.IP, bool, error) {
			return c.lookup(ctx, lookup, namespace, service)
		})
	})
	return c.proxy.openServer(ctx, fmt.Sprintf("127.0.0.1:%d", c.proxyPort))
}

func keyPair(folder string, certPEM, keyPEM []byte) []place {
	return []place{{folder + "/tls.crt", certPEM}, {folder + "/tls.key", keyPEM}}
}

// signingKey waits for the key pair of upload tokens.
func (c *cdi) signingKey(limited context.Context) (secret *corev1.Secret, err error) {
	err = until(limited, func() error {
		secret, err = c.client.CoreV1().Secrets(namespace).Get(limited, signingKeySecret, metav1.GetOptions{})
		return err
	})
	return secret, err
}

// register tells the API server of CDI's, once that answers: it would otherwise not ask again for up
// to half a minute.
func (c *cdi) register(_, limited context.Context) error {
	if err := healthy(limited, c.apiPort, c.apiCA, "cdi-api.cdi.svc"); err != nil {
		return err
	}
	all, err := operatorObjects(limited, c.h.Program("cdi-crds"))
	if err != nil {
		return err
	}
	var wanted []*unstructured.Unstructured
	for _, u := range all {
		if isRegistration(u) {
			redirect(u, int64(c.apiPort), c.apiCA.CertPEM)
			wanted = append(wanted, u)
		}
	}
	if err := applyAll(limited, c.dynamic, wanted); err != nil {
		return err
	}
	if err := c.served(limited); err != nil {
		return err
	}
	if err := healthy(limited, c.proxyPort, c.proxyCA, "127.0.0.1"); err != nil {
		return err
	}
	return c.configured(limited)
}
