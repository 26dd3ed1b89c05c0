package runner

import (
	"fmt"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"

	"vmferry/tests/peers/kube/rig/runner/sandbox"
)

// identity is who a container is and what it may.
type identity struct {
	uid, gid        int
	groups          []int
	capabilities    []string
	noNewPrivileges bool
	readOnlyRoot    bool
	// deviceUID and deviceGID own the block devices where the runtime gives them away.
	deviceUID, deviceGID int
}

// identityOf joins both security contexts. Images are root's here, as one without USER is.
func identityOf(object *corev1.Pod, spec *corev1.Container) (*identity, error) {
	shared := object.Spec.SecurityContext
	if shared == nil {
		shared = &corev1.PodSecurityContext{}
	}
	own := spec.SecurityContext
	if own == nil {
		own = &corev1.SecurityContext{}
	}
	user := first(own.RunAsUser, shared.RunAsUser)
	group := first(own.RunAsGroup, shared.RunAsGroup)
	id := &identity{
		uid: int(value(user)), gid: int(value(group)),
		noNewPrivileges: own.AllowPrivilegeEscalation != nil && !*own.AllowPrivilegeEscalation,
		readOnlyRoot:    value(own.ReadOnlyRootFilesystem),
	}
	id.deviceUID, id.deviceGID = id.uid, id.gid
	if group == nil {
		id.deviceGID = diskGroup
	}
	if value(first(own.RunAsNonRoot, shared.RunAsNonRoot)) && id.uid == 0 {
		where := fmt.Sprintf("(pod: \"%s_%s(%s)\", container: %s)", object.Name, object.Namespace, object.UID, spec.Name)
		if user != nil {
			return nil, fmt.Errorf("container's runAsUser breaks non-root policy %s", where)
		}
		return nil, fmt.Errorf("container has runAsNonRoot and image will run as root %s", where)
	}
	for _, g := range shared.SupplementalGroups {
		id.groups = append(id.groups, int(g))
	}
	if shared.FSGroup != nil {
		id.groups = append(id.groups, int(*shared.FSGroup))
	}
	var err error
	id.capabilities, err = capabilitiesOf(own)
	return id, err
}

func first[T any](pointers ...*T) *T {
	for _, p := range pointers {
		if p != nil {
			return p
		}
	}
	return nil
}

func value[T any](pointer *T) T {
	if pointer == nil {
		var zero T
		return zero
	}
	return *pointer
}

func capabilitiesOf(own *corev1.SecurityContext) ([]string, error) {
	if value(own.Privileged) {
		return sandbox.AllCapabilities(), nil
	}
	have := slices.Clone(sandbox.DefaultCapabilities)
	if own.Capabilities == nil {
		return have, nil
	}
	add, all := names(own.Capabilities.Add)
	if all {
		have = sandbox.AllCapabilities()
	}
	drop, none := names(own.Capabilities.Drop)
	if none {
		have = nil
	}
	have = slices.DeleteFunc(have, func(name string) bool { return slices.Contains(drop, name) })
	for _, name := range add {
		if !slices.Contains(have, name) {
			have = append(have, name)
		}
	}
	return have, sandbox.CheckCapabilities(append(have, drop...))
}

// names are capabilities in one spelling; all tells whether ALL was one of them.
func names(list []corev1.Capability) (names []string, all bool) {
	for _, capability := range list {
		name := strings.TrimPrefix(strings.ToUpper(string(capability)), "CAP_")
		if name == "ALL" {
			all = true
			continue
		}
		names = append(names, name)
	}
	return names, all
}
