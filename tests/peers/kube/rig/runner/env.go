package runner

import (
	"context"
	"fmt"
	"strings"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"vmferry/tests/peers/kube/rig/host"
)

// variable of an environment. The order counts: a value may use the ones before.
type variable struct{ name, value string }

// merge puts later ones over earlier ones.
func merge(lists ...[]variable) []variable {
	var all []variable
	for _, list := range lists {
		for _, v := range list {
			all = set(all, v)
		}
	}
	return all
}

func set(list []variable, v variable) []variable {
	for i := range list {
		if list[i].name == v.name {
			list[i].value = v.value
			return list
		}
	}
	return append(list, v)
}

// expand replaces $(NAME) where NAME is known; $$ is a dollar sign
// (k8s.io/kubernetes/third_party/forked/golang/expansion).
func expand(text string, vars []variable) string {
	var out strings.Builder
	for i := 0; i < len(text); i++ {
		if text[i] != '$' || i+1 == len(text) {
			out.WriteByte(text[i])
			continue
		}
		switch text[i+1] {
		case '$':
			out.WriteByte('$')
			i++
		case '(':
			end := strings.IndexByte(text[i:], ')')
			if end < 0 {
				out.WriteByte('$')
				continue
			}
			out.WriteString(lookUp(text[i:i+end+1], vars))
			i += end
		default:
			out.WriteByte('$')
		}
	}
	return out.String()
}

// lookUp is the value of a reference like $(NAME), or the reference itself.
func lookUp(reference string, vars []variable) string {
	name := reference[2 : len(reference)-1]
	for _, v := range vars {
		if v.name == name {
			return v.value
		}
	}
	return reference
}

// environment is what the container's own fields say.
func (c *container) environment(ctx context.Context) ([]variable, error) {
	var vars []variable
	for _, source := range c.spec.EnvFrom {
		more, err := c.pod.environmentFrom(ctx, source)
		if err != nil {
			return nil, err
		}
		vars = merge(vars, more)
	}
	// What a kubelet adds can be referred to, too.
	known := []variable{
		{"KUBERNETES_SERVICE_HOST", c.pod.node.host.APIServerHost},
		{"KUBERNETES_SERVICE_PORT", fmt.Sprint(c.pod.node.host.APIServerPort)},
	}
	for _, entry := range c.spec.Env {
		text := expand(entry.Value, merge(known, vars))
		if entry.ValueFrom != nil {
			found, ok, err := c.valueFrom(ctx, entry.ValueFrom)
			if err != nil {
				return nil, err
			}
			if !ok {
				continue
			}
			text = found
		}
		vars = set(vars, variable{entry.Name, text})
	}
	return vars, nil
}

func (p *pod) environmentFrom(ctx context.Context, source corev1.EnvFromSource) ([]variable, error) {
	var vars []variable
	data := map[string][]byte{}
	var err error
	switch {
	case source.ConfigMapRef != nil:
		data, err = p.configMap(ctx, source.ConfigMapRef.Name, value(source.ConfigMapRef.Optional))
	case source.SecretRef != nil:
		data, err = p.secret(ctx, source.SecretRef.Name, value(source.SecretRef.Optional))
	}
	for key, text := range data {
		vars = append(vars, variable{source.Prefix + key, string(text)})
	}
	return vars, err
}

// valueFrom is a value; false when it is optional and there is none.
func (c *container) valueFrom(ctx context.Context, source *corev1.EnvVarSource) (string, bool, error) {
	switch {
	case source.FieldRef != nil:
		text, err := c.pod.field(source.FieldRef.FieldPath)
		return text, true, err
	case source.ResourceFieldRef != nil:
		text, err := resourceField(source.ResourceFieldRef, c.spec)
		return text, true, err
	case source.ConfigMapKeyRef != nil:
		ref := source.ConfigMapKeyRef
		data, err := c.pod.configMap(ctx, ref.Name, value(ref.Optional))
		return pick(data, ref.Key, value(ref.Optional), "ConfigMap "+c.pod.namespace+"/"+ref.Name, err)
	case source.SecretKeyRef != nil:
		ref := source.SecretKeyRef
		data, err := c.pod.secret(ctx, ref.Name, value(ref.Optional))
		return pick(data, ref.Key, value(ref.Optional), "Secret "+c.pod.namespace+"/"+ref.Name, err)
	default:
		return "", false, fmt.Errorf("this node has no such source of a variable")
	}
}

func pick(data map[string][]byte, key string, optional bool, where string, err error) (string, bool, error) {
	if err != nil {
		return "", false, err
	}
	text, found := data[key]
	if !found && !optional {
		return "", false, fmt.Errorf("couldn't find key %s in %s", key, where)
	}
	return string(text), found, nil
}

func (p *pod) configMap(ctx context.Context, name string, optional bool) (map[string][]byte, error) {
	object, err := p.node.client.CoreV1().ConfigMaps(p.namespace).Get(ctx, name, metav1.GetOptions{})
	if apierrors.IsNotFound(err) {
		if optional {
			return nil, nil
		}
		return nil, fmt.Errorf("configmap %q not found", name)
	}
	if err != nil {
		return nil, err
	}
	data := map[string][]byte{}
	for key, text := range object.Data {
		data[key] = []byte(text)
	}
	for key, text := range object.BinaryData {
		data[key] = text
	}
	return data, nil
}

func (p *pod) secret(ctx context.Context, name string, optional bool) (map[string][]byte, error) {
	object, err := p.node.client.CoreV1().Secrets(p.namespace).Get(ctx, name, metav1.GetOptions{})
	if apierrors.IsNotFound(err) {
		if optional {
			return nil, nil
		}
		return nil, fmt.Errorf("secret %q not found", name)
	}
	if err != nil {
		return nil, err
	}
	return object.Data, nil
}

// field is the downward API's.
func (p *pod) field(path string) (string, error) {
	object := p.get()
	for prefix, values := range map[string]map[string]string{
		"metadata.labels": object.Labels, "metadata.annotations": object.Annotations,
	} {
		if rest, found := strings.CutPrefix(path, prefix); found {
			return fieldOfMap(rest, values, path)
		}
	}
	switch path {
	case "metadata.name":
		return p.name, nil
	case "metadata.namespace":
		return p.namespace, nil
	case "metadata.uid":
		return string(p.uid), nil
	case "spec.nodeName":
		return host.NodeName, nil
	case "spec.serviceAccountName":
		return object.Spec.ServiceAccountName, nil
	case "status.podIP", "status.podIPs":
		return p.addressNow(), nil
	case "status.hostIP", "status.hostIPs":
		return p.node.host.NodeAddress(), nil
	default:
		return "", fmt.Errorf("unsupported fieldPath: %s", path)
	}
}

func fieldOfMap(rest string, values map[string]string, path string) (string, error) {
	if rest == "" {
		var out strings.Builder
		for _, key := range sortedKeys(values) {
			fmt.Fprintf(&out, "%s=%q\n", key, values[key])
		}
		return strings.TrimSuffix(out.String(), "\n"), nil
	}
	key, found := strings.CutPrefix(rest, "['")
	key, closed := strings.CutSuffix(key, "']")
	if !found || !closed {
		return "", fmt.Errorf("unsupported fieldPath: %s", path)
	}
	return values[key], nil
}

// resourceField is a limit or request in units of the divisor, rounded up. Without a limit it is the
// node's.
func resourceField(ref *corev1.ResourceFieldSelector, spec *corev1.Container) (string, error) {
	kind, name, _ := strings.Cut(ref.Resource, ".")
	list := spec.Resources.Limits
	if kind == "requests" {
		list = spec.Resources.Requests
	}
	quantity, found := list[corev1.ResourceName(name)]
	if !found && kind == "limits" {
		quantity, found = allocatable()[corev1.ResourceName(name)]
	}
	if !found && kind != "requests" {
		return "", fmt.Errorf("unsupported container resource: %s", ref.Resource)
	}
	divisor := ref.Divisor
	if divisor.IsZero() {
		divisor = resource.MustParse("1")
	}
	if name == string(corev1.ResourceCPU) {
		return fmt.Sprint((quantity.MilliValue() + divisor.MilliValue() - 1) / divisor.MilliValue()), nil
	}
	return fmt.Sprint((quantity.Value() + divisor.Value() - 1) / divisor.Value()), nil
}
