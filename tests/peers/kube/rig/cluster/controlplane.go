// Package cluster is the control plane: etcd, kube-apiserver, kube-controller-manager, and the custom
// resource definitions.
package cluster

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"k8s.io/client-go/kubernetes"

	"vmferry/tests/peers/kube/rig/host"
	"vmferry/tests/peers/kube/rig/pki"
	"vmferry/tests/peers/kube/rig/port"
	"vmferry/tests/peers/kube/rig/process"
)

const startTimeout = 3 * time.Minute

// auditPolicy keeps what tests do and what the programs under test do; the rig's own requests and the
// control plane's would be most of the log.
const auditPolicy = `apiVersion: audit.k8s.io/v1
kind: Policy
omitStages: [RequestReceived]
rules:
  - level: None
    userGroups: ["` + host.OwnGroup + `", "system:serviceaccounts:kube-system"]
  - level: None
    users: ["system:apiserver", "system:kube-controller-manager", "system:anonymous"]
  - level: Metadata
`

// controllers of kube-controller-manager. Those of Deployments, endpoints and nodes are left out: nothing
// here has them, or it plays them itself.
const controllers = "job-controller,cronjob-controller,namespace-controller," +
	"serviceaccount-controller,serviceaccount-token-controller," +
	"root-ca-certificate-publisher-controller,clusterrole-aggregation-controller," +
	"garbage-collector-controller,ttl-after-finished-controller,resourcequota-controller," +
	"persistentvolume-binder-controller,persistentvolumeclaim-protection-controller," +
	"persistentvolume-protection-controller"

// ControlPlane is one that runs.
type ControlPlane struct {
	Server     string // URL
	Kubeconfig string // of the user "admin"
	CAFile     string
	AuditLog   string

	h      *host.Host
	folder string
	saKey  string
}

// Start starts etcd and the API server and waits until it is ready. It fills in what h says of the
// API server. The controllers come with StartControllers.
func Start(ctx context.Context, h *host.Host) (*ControlPlane, error) {
	ctx, cancel := context.WithTimeout(ctx, startTimeout)
	defer cancel()
	folder, err := h.Folder("controlplane")
	if err != nil {
		return nil, err
	}
	c := &ControlPlane{h: h, folder: folder, AuditLog: filepath.Join(h.Dir, "audit.log")}
	if err := c.writeTrust(); err != nil {
		return nil, err
	}
	etcd, err := c.startEtcd()
	if err != nil {
		return nil, err
	}
	server, err := c.startAPIServer(etcd)
	if err != nil {
		return nil, err
	}
	// The administrator that tests are is audited, the rig's own is not.
	c.Kubeconfig = filepath.Join(h.Dir, "admin.kubeconfig")
	if err := h.WriteKubeconfig(c.Kubeconfig, "admin", "system:masters"); err != nil {
		return nil, err
	}
	own := filepath.Join(h.Dir, "rig.kubeconfig")
	if err := h.WriteKubeconfig(own, "rig", "system:masters", host.OwnGroup); err != nil {
		return nil, err
	}
	if err := h.UseKubeconfig(own); err != nil {
		return nil, err
	}
	client, err := kubernetes.NewForConfig(h.Config)
	if err != nil {
		return nil, err
	}
	return c, server.Until(ctx, func(ctx context.Context) error {
		_, err := client.Discovery().RESTClient().Get().AbsPath("/readyz").DoRaw(ctx)
		return err
	})
}

// writeTrust makes the authority and the keys of service accounts.
func (c *ControlPlane) writeTrust() error {
	var err error
	if c.h.CA, err = pki.NewAuthority("vmferry-rig"); err != nil {
		return err
	}
	c.CAFile = filepath.Join(c.h.Dir, "ca.crt")
	if err := os.WriteFile(c.CAFile, c.h.CA.CertPEM, 0o644); err != nil {
		return err
	}
	private, public, err := pki.NewRSA()
	if err != nil {
		return err
	}
	c.saKey = filepath.Join(c.folder, "sa.key")
	if err := os.WriteFile(c.saKey, private, 0o600); err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(c.folder, "sa.pub"), public, 0o644)
}

// startEtcd returns the URL for clients. Nothing is synced to the disk: it need not survive the machine.
func (c *ControlPlane) startEtcd() (string, error) {
	var urls [2]string
	for i := range urls {
		number, err := port.New()
		if err != nil {
			return "", err
		}
		urls[i] = fmt.Sprintf("http://127.0.0.1:%d", number)
	}
	_, err := c.start("etcd", "--name=rig", "--data-dir="+filepath.Join(c.folder, "etcd"),
		"--listen-client-urls="+urls[0], "--advertise-client-urls="+urls[0],
		"--listen-peer-urls="+urls[1], "--initial-advertise-peer-urls="+urls[1],
		"--initial-cluster=rig="+urls[1], "--unsafe-no-fsync", "--log-level=warn")
	return urls[0], err
}

func (c *ControlPlane) startAPIServer(etcd string) (*process.Process, error) {
	number, err := port.New()
	if err != nil {
		return nil, err
	}
	c.h.APIServerHost, c.h.APIServerPort = "127.0.0.1", number
	c.Server = fmt.Sprintf("https://127.0.0.1:%d", number)

	serving, err := c.h.CA.Server("127.0.0.1", "10.0.0.1", "localhost", "kubernetes",
		"kubernetes.default", "kubernetes.default.svc")
	if err != nil {
		return nil, err
	}
	certFile, keyFile, err := serving.Write(c.folder, "apiserver")
	if err != nil {
		return nil, err
	}
	clients := map[string]string{}
	for _, name := range []string{"front-proxy-client", "kube-apiserver-kubelet-client"} {
		pair, err := c.h.CA.Client(name, "system:masters")
		if err != nil {
			return nil, err
		}
		if clients[name+".crt"], clients[name+".key"], err = pair.Write(c.folder, name); err != nil {
			return nil, err
		}
	}
	policy := filepath.Join(c.folder, "audit-policy.yaml")
	if err := os.WriteFile(policy, []byte(auditPolicy), 0o644); err != nil {
		return nil, err
	}
	tokens := filepath.Join(c.folder, "tokens.csv")
	token, err := c.writeTokens(tokens)
	if err != nil {
		return nil, err
	}
	if err := os.WriteFile(filepath.Join(c.h.Dir, "admin.token"), []byte(token), 0o600); err != nil {
		return nil, err
	}
	return c.start("kube-apiserver", "--etcd-servers="+etcd,
		"--bind-address=127.0.0.1", "--advertise-address=127.0.0.1", fmt.Sprintf("--secure-port=%d", number),
		"--tls-cert-file="+certFile, "--tls-private-key-file="+keyFile, "--client-ca-file="+c.CAFile,
		"--service-account-issuer=https://kubernetes.default.svc",
		"--service-account-key-file="+filepath.Join(c.folder, "sa.pub"),
		"--service-account-signing-key-file="+c.saKey,
		"--token-auth-file="+tokens, "--authorization-mode=RBAC", "--anonymous-auth=true",
		"--service-cluster-ip-range=10.0.0.0/24", "--allow-privileged=true",
		"--endpoint-reconciler-type=none", "--disable-admission-plugins=DefaultIngressClass",
		"--profiling=false",
		// The aggregator's own identity before the servers behind it, and in extension-apiserver-authentication.
		"--requestheader-client-ca-file="+c.CAFile, "--requestheader-allowed-names=front-proxy-client",
		"--requestheader-username-headers=X-Remote-User", "--requestheader-group-headers=X-Remote-Group",
		"--requestheader-extra-headers-prefix=X-Remote-Extra-",
		"--proxy-client-cert-file="+clients["front-proxy-client.crt"],
		"--proxy-client-key-file="+clients["front-proxy-client.key"],
		"--kubelet-client-certificate="+clients["kube-apiserver-kubelet-client.crt"],
		"--kubelet-client-key="+clients["kube-apiserver-kubelet-client.key"],
		"--kubelet-certificate-authority="+c.CAFile, "--kubelet-preferred-address-types=InternalIP",
		"--audit-policy-file="+policy, "--audit-log-path="+c.AuditLog)
}

// writeTokens makes tokens of the users "admin" and, without any right, "tester"; it returns admin's.
func (c *ControlPlane) writeTokens(path string) (string, error) {
	var tokens [2]string
	for i := range tokens {
		random := make([]byte, 24)
		if _, err := rand.Read(random); err != nil {
			return "", err
		}
		tokens[i] = hex.EncodeToString(random)
	}
	text := tokens[0] + ",admin,admin,system:masters\n" + tokens[1] + ",tester,tester\n"
	if err := os.WriteFile(filepath.Join(c.h.Dir, "tester.token"), []byte(tokens[1]), 0o600); err != nil {
		return "", err
	}
	return tokens[0], os.WriteFile(path, []byte(text), 0o600)
}

// StartControllers starts kube-controller-manager. The garbage collector learns of new resources every
// 30 s only, so it starts after the custom resource definitions are there.
func (c *ControlPlane) StartControllers() error {
	kubeconfig := filepath.Join(c.folder, "controller-manager.kubeconfig")
	if err := c.h.WriteKubeconfig(kubeconfig, "system:kube-controller-manager"); err != nil {
		return err
	}
	_, err := c.start("kube-controller-manager", "--kubeconfig="+kubeconfig, "--secure-port=0",
		"--leader-elect=false", "--use-service-account-credentials=true",
		"--service-account-private-key-file="+c.saKey, "--root-ca-file="+c.CAFile,
		"--kube-api-qps=200", "--kube-api-burst=400", "--controllers="+controllers)
	return err
}

func (c *ControlPlane) start(name string, args ...string) (*process.Process, error) {
	p, err := c.h.Processes.Start(process.Spec{
		Name: name,
		Path: c.h.Program("controlplane"),
		Args: append([]string{name}, args...),
		Dir:  c.folder,
		Env:  host.Environment(),
	})
	if err != nil {
		return nil, err
	}
	c.h.Watch(p)
	return p, nil
}
