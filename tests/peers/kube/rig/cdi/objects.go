package cdi

import (
	"bufio"
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"os/exec"
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/dynamic"
)

const (
	namespace    = "cdi"
	fieldManager = "cdi-operator" // whose work this is
)

type object = map[string]any

// resources are the plurals of the kinds that are applied here.
var resources = map[string]string{
	"APIService":                     "apiservices",
	"CDI":                            "cdis",
	"ClusterRole":                    "clusterroles",
	"ClusterRoleBinding":             "clusterrolebindings",
	"ConfigMap":                      "configmaps",
	"MutatingWebhookConfiguration":   "mutatingwebhookconfigurations",
	"Namespace":                      "namespaces",
	"Role":                           "roles",
	"RoleBinding":                    "rolebindings",
	"Service":                        "services",
	"ServiceAccount":                 "serviceaccounts",
	"ValidatingWebhookConfiguration": "validatingwebhookconfigurations",
}

// operatorObjects is what CDI's operator would create, less its Deployments.
func operatorObjects(ctx context.Context, program string) ([]*unstructured.Unstructured, error) {
	text, err := exec.CommandContext(ctx, program, "objects").Output()
	if err != nil {
		return nil, fmt.Errorf("%s: %w", program, err)
	}
	var all []*unstructured.Unstructured
	lines := bufio.NewScanner(bytes.NewReader(text))
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		u := &unstructured.Unstructured{}
		if err := json.Unmarshal(lines.Bytes(), &u.Object); err != nil {
			return nil, fmt.Errorf("%s: %w", program, err)
		}
		all = append(all, u)
	}
	return all, lines.Err()
}

// isRegistration says whether the object makes the API server call CDI's.
func isRegistration(u *unstructured.Unstructured) bool {
	return u.GetKind() == "APIService" || strings.HasSuffix(u.GetKind(), "WebhookConfiguration")
}

// redirect leads the API server, which has no cluster network, to CDI's API server: a Service of type
// ExternalName is the one that it calls at any address, and at the port that the caller of the
// Service names.
func redirect(u *unstructured.Unstructured, port int64, caPEM []byte) {
	bundle := base64.StdEncoding.EncodeToString(caPEM)
	spec, _ := u.Object["spec"].(object)
	switch {
	case u.GetKind() == "Service" && u.GetName() == "cdi-api":
		u.Object["spec"] = object{"type": "ExternalName", "externalName": "localhost"}
	case u.GetKind() == "APIService":
		spec["caBundle"] = bundle
		spec["service"].(object)["port"] = port
	case isRegistration(u):
		for _, webhook := range u.Object["webhooks"].([]any) {
			config := webhook.(object)["clientConfig"].(object)
			config["caBundle"] = bundle
			config["service"].(object)["port"] = port
		}
	}
}

// namespaceObject is where CDI lives.
func namespaceObject() *unstructured.Unstructured {
	return &unstructured.Unstructured{Object: object{
		"apiVersion": "v1", "kind": "Namespace", "metadata": object{"name": namespace},
	}}
}

// bundle is a ConfigMap as the operator keeps for each of its authorities.
func bundle(name string, caPEM []byte) *unstructured.Unstructured {
	return &unstructured.Unstructured{Object: object{
		"apiVersion": "v1", "kind": "ConfigMap",
		"metadata": object{"name": name, "namespace": namespace},
		"data":     object{"ca-bundle.crt": string(caPEM)},
	}}
}

// installation is the CDI object as in the manifest that CDI's users apply, with the proxy's URL, and
// with the status that the operator gives once all is up (the kind has no status subresource). The
// annotation makes CDI's controller copy spec.config to the CDIConfig.
func installation(proxyURL, version string) *unstructured.Unstructured {
	now := metav1.Now().UTC().Format("2006-01-02T15:04:05Z")
	condition := func(kind, status, reason string) object {
		return object{
			"type": kind, "status": status, "reason": reason,
			"lastHeartbeatTime": now, "lastTransitionTime": now,
		}
	}
	return &unstructured.Unstructured{Object: object{
		"apiVersion": "cdi.kubevirt.io/v1beta1", "kind": "CDI",
		"metadata": object{
			"name":        "cdi",
			"annotations": object{"cdi.kubevirt.io/configAuthority": ""},
		},
		"spec": object{
			"imagePullPolicy": "IfNotPresent",
			"config": object{
				"featureGates":           []any{"HonorWaitForFirstConsumer"},
				"uploadProxyURLOverride": proxyURL,
			},
		},
		"status": object{
			"phase":           "Deployed",
			"observedVersion": version, "operatorVersion": version, "targetVersion": version,
			"conditions": []any{
				condition("Available", "True", "DeployCompleted"),
				condition("Progressing", "False", ""),
				condition("Degraded", "False", ""),
			},
		},
	}}
}

// anchor is the ConfigMap from which CDI's controller learns that there is an installation.
func anchor(cdi *unstructured.Unstructured) *unstructured.Unstructured {
	u := &unstructured.Unstructured{Object: object{
		"apiVersion": "v1", "kind": "ConfigMap",
		"metadata": object{"name": "cdi-config", "namespace": namespace},
	}}
	yes := true
	u.SetOwnerReferences([]metav1.OwnerReference{{
		APIVersion: cdi.GetAPIVersion(), Kind: cdi.GetKind(), Name: cdi.GetName(), UID: cdi.GetUID(),
		Controller: &yes, BlockOwnerDeletion: &yes,
	}})
	return u
}

// client is the resource that the object belongs to.
func client(all dynamic.Interface, u *unstructured.Unstructured) (dynamic.ResourceInterface, error) {
	plural := resources[u.GetKind()]
	if plural == "" {
		return nil, fmt.Errorf("cannot apply a %s", u.GetKind())
	}
	group := schema.FromAPIVersionAndKind(u.GetAPIVersion(), "")
	resource := all.Resource(group.GroupVersion().WithResource(plural))
	if u.GetNamespace() != "" {
		return resource.Namespace(u.GetNamespace()), nil
	}
	return resource, nil
}

func apply(ctx context.Context, all dynamic.Interface, u *unstructured.Unstructured) (*unstructured.Unstructured, error) {
	resource, err := client(all, u)
	if err != nil {
		return nil, err
	}
	options := metav1.ApplyOptions{FieldManager: fieldManager, Force: true}
	applied, err := resource.Apply(ctx, u.GetName(), u, options)
	if err != nil {
		return nil, fmt.Errorf("%s '%s': %w", u.GetKind(), u.GetName(), err)
	}
	return applied, nil
}

// applyAll applies them at the same time.
func applyAll(ctx context.Context, all dynamic.Interface, objects []*unstructured.Unstructured) error {
	results := make(chan error, len(objects))
	for _, u := range objects {
		go func() {
			_, err := apply(ctx, all, u)
			results <- err
		}()
	}
	var first error
	for range objects {
		if err := <-results; err != nil && first == nil {
			first = err
		}
	}
	return first
}
