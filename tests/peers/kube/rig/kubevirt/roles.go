package kubevirt

import (
	"context"

	"k8s.io/apimachinery/pkg/runtime/schema"
)

const rbac = "rbac.authorization.k8s.io"

var (
	clusterRoles        = schema.GroupVersionResource{Group: rbac, Version: "v1", Resource: "clusterroles"}
	clusterRoleBindings = schema.GroupVersionResource{Group: rbac, Version: "v1", Resource: "clusterrolebindings"}
)

// makeRoles makes what virt-operator gives everybody who is logged in (pkg/virt-operator/resource/
// generate/rbac, newDefaultClusterRole and newInstancetypeViewClusterRole).
func (p *peer) makeRoles(ctx context.Context) error {
	for name, rule := range map[string]map[string]any{
		"kubevirt.io:default": {
			"apiGroups": []any{"kubevirt.io"},
			"resources": []any{"kubevirts"},
			"verbs":     []any{"get", "list"},
		},
		"instancetype.kubevirt.io:view": {
			"apiGroups": []any{"instancetype.kubevirt.io"},
			"resources": []any{"virtualmachineclusterinstancetypes", "virtualmachineclusterpreferences"},
			"verbs":     []any{"get", "list", "watch"},
		},
	} {
		if err := p.makeRole(ctx, name, rule); err != nil {
			return err
		}
	}
	return nil
}

func (p *peer) makeRole(ctx context.Context, name string, rule map[string]any) error {
	if err := p.create(ctx, clusterRoles, "", map[string]any{
		"apiVersion": rbac + "/v1", "kind": "ClusterRole",
		"metadata": map[string]any{"name": name}, "rules": []any{rule},
	}); err != nil {
		return err
	}
	return p.create(ctx, clusterRoleBindings, "", map[string]any{
		"apiVersion": rbac + "/v1", "kind": "ClusterRoleBinding",
		"metadata": map[string]any{"name": name},
		"roleRef":  map[string]any{"apiGroup": rbac, "kind": "ClusterRole", "name": name},
		"subjects": []any{map[string]any{"apiGroup": rbac, "kind": "Group", "name": "system:authenticated"}},
	})
}
