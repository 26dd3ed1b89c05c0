// Package kubevirt starts KubeVirt's own servers, as virt-operator would have set them up.
package kubevirt

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/dynamic"

	"vmferry/tests/peers/kube/rig/cluster"
	"vmferry/tests/peers/kube/rig/host"
	"vmferry/tests/peers/kube/rig/port"
	"vmferry/tests/peers/kube/rig/process"
)

const (
	namespace    = "kubevirt"
	startTimeout = 2 * time.Minute
	program      = "kubevirt-peer"
	objectsFile  = "kubevirt-objects.json" // what it prints: its start takes seconds
)

var (
	namespaces  = schema.GroupVersionResource{Version: "v1", Resource: "namespaces"}
	configMaps  = schema.GroupVersionResource{Version: "v1", Resource: "configmaps"}
	services    = schema.GroupVersionResource{Version: "v1", Resource: "services"}
	kubevirts   = schema.GroupVersionResource{Group: "kubevirt.io", Version: "v1", Resource: "kubevirts"}
	apiServices = schema.GroupVersionResource{
		Group: "apiregistration.k8s.io", Version: "v1", Resource: "apiservices",
	}
	mutating = schema.GroupVersionResource{
		Group: "admissionregistration.k8s.io", Version: "v1", Resource: "mutatingwebhookconfigurations",
	}
	validating = schema.GroupVersionResource{
		Group: "admissionregistration.k8s.io", Version: "v1", Resource: "validatingwebhookconfigurations",
	}
)

// peer is what the steps share.
type peer struct {
	h       *host.Host
	client  dynamic.Interface
	folder  string
	objects map[string][]map[string]any // by kind
	version string
	port    int // virt-api's
}

// Start starts virt-api and virt-controller and returns their version once virt-api answers through
// the API server. CDI's definitions must be there by then if they are to be at all: both look for
// them when they start.
func Start(ctx context.Context, h *host.Host) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, startTimeout)
	defer cancel()
	p := &peer{h: h}
	var err error
	if p.folder, err = h.Folder("kubevirt"); err != nil {
		return "", err
	}
	if p.client, err = dynamic.NewForConfig(h.Config); err != nil {
		return "", err
	}
	if err := p.readObjects(); err != nil {
		return "", err
	}
	if err := p.install(ctx); err != nil {
		return "", err
	}
	api, err := p.startAPI()
	if err != nil {
		return "", err
	}
	if err := p.startController(); err != nil {
		return "", err
	}
	if err := p.registerAPI(ctx); err != nil {
		return "", err
	}
	if err := api.Until(ctx, p.available); err != nil {
		return "", err
	}
	// Last: the webhooks fail closed, so each write before virt-api answers would be refused.
	return p.version, p.registerWebhooks(ctx)
}

// install makes what virt-api and virt-controller read at their start.
func (p *peer) install(ctx context.Context) error {
	if err := p.create(ctx, namespaces, "", map[string]any{
		"apiVersion": "v1", "kind": "Namespace", "metadata": map[string]any{"name": namespace},
	}); err != nil {
		return err
	}
	for _, name := range []string{"kubevirt-ca", "kubevirt-export-ca"} {
		if err := p.create(ctx, configMaps, namespace, map[string]any{
			"apiVersion": "v1", "kind": "ConfigMap", "metadata": map[string]any{"name": name},
			"data": map[string]any{"ca-bundle": string(p.h.CA.CertPEM)},
		}); err != nil {
			return err
		}
	}
	if err := p.makeRoles(ctx); err != nil {
		return err
	}
	kubevirt := p.objects["KubeVirt"][0]
	if err := p.create(ctx, kubevirts, namespace, kubevirt); err != nil {
		return err
	}
	// A subresource, which create leaves out. As virt-operator says it when all is in place.
	status, err := json.Marshal(map[string]any{"status": kubevirt["status"]})
	if err != nil {
		return err
	}
	_, err = p.client.Resource(kubevirts).Namespace(namespace).Patch(ctx, "kubevirt",
		types.MergePatchType, status, metav1.PatchOptions{}, "status")
	return err
}

func (p *peer) startAPI() (*process.Process, error) {
	serving, err := p.h.CA.Server("virt-api", "virt-api.kubevirt.svc", "127.0.0.1")
	if err != nil {
		return nil, err
	}
	certFile, keyFile, err := serving.Write(p.folder, "virt-api")
	if err != nil {
		return nil, err
	}
	handler, err := p.h.CA.Client("kubevirt.io:system:client:virt-handler")
	if err != nil {
		return nil, err
	}
	handlerCert, handlerKey, err := handler.Write(p.folder, "virt-handler-client")
	if err != nil {
		return nil, err
	}
	if p.port, err = port.New(); err != nil {
		return nil, err
	}
	return p.start("virt-api", "kubevirt-apiserver",
		"--listen=127.0.0.1", fmt.Sprintf("--port=%d", p.port),
		"--tls-cert-file="+certFile, "--tls-key-file="+keyFile,
		"--handler-cert-file="+handlerCert, "--handler-key-file="+handlerKey)
}

func (p *peer) startController() error {
	serving, err := p.h.CA.Server("virt-controller", "127.0.0.1")
	if err != nil {
		return err
	}
	certFile, keyFile, err := serving.Write(p.folder, "virt-controller")
	if err != nil {
		return err
	}
	number, err := port.New()
	if err != nil {
		return err
	}
	_, err = p.start("virt-controller", "kubevirt-controller",
		"--listen=127.0.0.1", fmt.Sprintf("--port=%d", number),
		"--prom-cert-file="+certFile, "--prom-key-file="+keyFile,
		"--launcher-image=rig/virt-launcher:"+p.version,
		// It ends itself when it cannot renew its lease; a test may stop the API server for a while.
		"--leader-elect-lease-duration=180s", "--leader-elect-renew-deadline=150s",
		"--leader-elect-retry-period=2s")
	return err
}

// start runs one of KubeVirt's servers as its service account, because virt-api lets only these write
// what is KubeVirt's own.
func (p *peer) start(name, account string, args ...string) (*process.Process, error) {
	kubeconfig := filepath.Join(p.folder, name+".kubeconfig")
	if err := p.h.WriteKubeconfig(kubeconfig, "system:serviceaccount:"+namespace+":"+account,
		"system:serviceaccounts", "system:serviceaccounts:"+namespace, "system:masters",
		host.OwnGroup); err != nil {
		return nil, err
	}
	return p.h.Processes.Start(process.Spec{
		Name:  name,
		Path:  p.h.Program(program),
		Args:  append([]string{name, "--kubeconfig=" + kubeconfig}, args...),
		Dir:   p.folder,
		Env:   host.Environment("TMPDIR=" + p.folder),
		Again: true,
	})
}

// registerAPI makes the aggregated API known. There is no cluster network, so its Service is an
// external name.
func (p *peer) registerAPI(ctx context.Context) error {
	if err := p.create(ctx, services, namespace, map[string]any{
		"apiVersion": "v1", "kind": "Service", "metadata": map[string]any{"name": "virt-api"},
		"spec": map[string]any{"type": "ExternalName", "externalName": "localhost"},
	}); err != nil {
		return err
	}
	for _, object := range p.objects["APIService"] {
		spec := object["spec"].(map[string]any)
		spec["caBundle"] = p.h.CA.CertPEM
		spec["service"].(map[string]any)["port"] = int64(p.port)
		delete(object, "status")
		if err := p.create(ctx, apiServices, "", object); err != nil {
			return err
		}
	}
	return nil
}

// available checks the aggregated API.
func (p *peer) available(ctx context.Context) error {
	list, err := p.client.Resource(apiServices).List(ctx, metav1.ListOptions{
		LabelSelector: "app.kubernetes.io/managed-by=virt-operator",
	})
	if err != nil {
		return err
	}
	if len(list.Items) == 0 {
		return errors.New("no APIService of virt-api")
	}
	for _, item := range list.Items {
		if !cluster.Condition(&item, "Available") {
			return fmt.Errorf("APIService %s is not available", item.GetName())
		}
	}
	return nil
}

// registerWebhooks gives them an address in place of a Service.
func (p *peer) registerWebhooks(ctx context.Context) error {
	for kind, resource := range map[string]schema.GroupVersionResource{
		"MutatingWebhookConfiguration": mutating, "ValidatingWebhookConfiguration": validating,
	} {
		for _, object := range p.objects[kind] {
			for _, webhook := range object["webhooks"].([]any) {
				client := webhook.(map[string]any)["clientConfig"].(map[string]any)
				path, _ := client["service"].(map[string]any)["path"].(string)
				delete(client, "service")
				client["url"] = fmt.Sprintf("https://127.0.0.1:%d%s", p.port, path)
				client["caBundle"] = p.h.CA.CertPEM
			}
			if err := p.create(ctx, resource, "", object); err != nil {
				return err
			}
		}
	}
	return nil
}

// readObjects reads what the program printed when it was built.
func (p *peer) readObjects() error {
	file, err := os.Open(p.h.Program(objectsFile))
	if err != nil {
		return err
	}
	defer file.Close()
	p.objects = map[string][]map[string]any{}
	decoder := json.NewDecoder(file)
	for {
		var object map[string]any
		err := decoder.Decode(&object)
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return fmt.Errorf("%s: %w", objectsFile, err)
		}
		kind, _ := object["kind"].(string)
		p.objects[kind] = append(p.objects[kind], object)
	}
	for _, kind := range []string{
		"KubeVirt", "APIService", "MutatingWebhookConfiguration", "ValidatingWebhookConfiguration",
	} {
		if len(p.objects[kind]) == 0 {
			return fmt.Errorf("%s has no %s", objectsFile, kind)
		}
	}
	version, _, err := unstructured.NestedString(p.objects["KubeVirt"][0], "status", "observedKubeVirtVersion")
	p.version = version
	return err
}

func (p *peer) create(ctx context.Context, resource schema.GroupVersionResource, namespace string, object map[string]any) error {
	// By way of JSON, since certificates are []byte and numbers int here.
	text, err := json.Marshal(object)
	if err != nil {
		return err
	}
	u := &unstructured.Unstructured{}
	if err := u.UnmarshalJSON(text); err != nil {
		return err
	}
	var client dynamic.ResourceInterface = p.client.Resource(resource)
	if namespace != "" {
		client = p.client.Resource(resource).Namespace(namespace)
	}
	if _, err := client.Create(ctx, u, metav1.CreateOptions{FieldManager: "vmferry-rig"}); err != nil {
		return fmt.Errorf("%s %s: %w", u.GetKind(), u.GetName(), err)
	}
	return nil
}
