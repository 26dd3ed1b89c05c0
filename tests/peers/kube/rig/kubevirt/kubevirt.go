// Package kubevirt starts KubeVirt's own servers, as virt-operator would have set them up.
package kubevirt

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
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
)

var (
	namespaces  = schema.GroupVersionResource{Version: "v1", Resource: "namespaces"}
	configMaps  = schema.GroupVersionResource{Version: "v1", Resource: "configmaps"}
	services    = schema.GroupVersionResource{Version: "v1", Resource: "services"}
	kubevirts   = schema.GroupVersionResource{Group: "kubevirt.io", Version: "v1", Resource: "kubevirts"}
	apiServices = schema.GroupVersionResource{
		Group: "apiregistration.k8s.io", Version: "v1", Resource: "apiservices",
	}
	webhooks = map[string]schema.GroupVersionResource{
		"MutatingWebhookConfiguration": {
			Group: "admissionregistration.k8s.io", Version: "v1", Resource: "mutatingwebhookconfigurations",
		},
		"ValidatingWebhookConfiguration": {
			Group: "admissionregistration.k8s.io", Version: "v1", Resource: "validatingwebhookconfigurations",
		},
	}
)

// peer is what the steps share.
type peer struct {
	h       *host.Host
	client  dynamic.Interface
	folder  string
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
	version, err := output(ctx, h.Program(program), "version")
	if err != nil {
		return "", err
	}
	p.version = strings.TrimSpace(string(version))
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
	kubevirt := map[string]any{
		"apiVersion": "kubevirt.io/v1", "kind": "KubeVirt",
		"metadata": map[string]any{"name": "kubevirt"},
		"spec":     map[string]any{"configuration": map[string]any{}},
	}
	if err := p.create(ctx, kubevirts, namespace, kubevirt); err != nil {
		return err
	}
	// As virt-operator says it when all is in place.
	status, err := json.Marshal(map[string]any{"status": map[string]any{
		"phase":                   "Deployed",
		"observedKubeVirtVersion": p.version,
		"targetKubeVirtVersion":   p.version,
		"operatorVersion":         p.version,
		"conditions": []any{
			map[string]any{"type": "Available", "status": "True", "reason": "AllComponentsReady"},
			map[string]any{"type": "Progressing", "status": "False", "reason": "AllComponentsReady"},
			map[string]any{"type": "Degraded", "status": "False", "reason": "AllComponentsReady"},
		},
	}})
	if err != nil {
		return err
	}
	_, err = p.client.Resource(kubevirts).Namespace(namespace).Patch(ctx, "kubevirt",
		"application/merge-patch+json", status, metav1.PatchOptions{}, "status")
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
	aggregated, err := p.objects(ctx, "apiservices")
	if err != nil {
		return err
	}
	for _, object := range aggregated {
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
	configurations, err := p.objects(ctx, "webhooks")
	if err != nil {
		return err
	}
	for _, object := range configurations {
		for _, webhook := range object["webhooks"].([]any) {
			client := webhook.(map[string]any)["clientConfig"].(map[string]any)
			path, _ := client["service"].(map[string]any)["path"].(string)
			delete(client, "service")
			client["url"] = fmt.Sprintf("https://127.0.0.1:%d%s", p.port, path)
			client["caBundle"] = p.h.CA.CertPEM
		}
		resource, known := webhooks[object["kind"].(string)]
		if !known {
			return fmt.Errorf("unknown kind %v", object["kind"])
		}
		if err := p.create(ctx, resource, "", object); err != nil {
			return err
		}
	}
	return nil
}

// objects are what the program prints.
func (p *peer) objects(ctx context.Context, what string) ([]map[string]any, error) {
	text, err := output(ctx, p.h.Program(program), what, namespace)
	if err != nil {
		return nil, err
	}
	decoder := json.NewDecoder(bytes.NewReader(text))
	var objects []map[string]any
	for {
		var object map[string]any
		err := decoder.Decode(&object)
		if errors.Is(err, io.EOF) {
			return objects, nil
		}
		if err != nil {
			return nil, err
		}
		objects = append(objects, object)
	}
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

func output(ctx context.Context, program string, args ...string) ([]byte, error) {
	cmd := exec.CommandContext(ctx, program, args...)
	cmd.Stderr = os.Stderr
	out, err := cmd.Output()
	if err != nil {
		return nil, fmt.Errorf("%s %v: %w", program, args, err)
	}
	return out, nil
}
