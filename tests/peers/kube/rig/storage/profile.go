package storage

import (
	"context"
	"encoding/json"
	"fmt"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"

	"vmferry/tests/peers/kube/rig/storage/volume"
)

var profiles = schema.GroupVersionResource{Group: "cdi.kubevirt.io", Version: "v1beta1", Resource: "storageprofiles"}

// claimPropertySets are what an administrator would write for a driver that CDI does not know, the
// preferred one first.
func claimPropertySets(mode string) ([]any, error) {
	set := func(accessMode, volumeMode string) any {
		return map[string]any{"accessModes": []any{accessMode}, "volumeMode": volumeMode}
	}
	files := []any{set("ReadWriteOnce", volume.Filesystem)}
	blocks := []any{set("ReadWriteMany", volume.Block), set("ReadWriteOnce", volume.Block)}
	switch mode {
	case volume.Filesystem:
		return files, nil
	case volume.Block:
		return blocks, nil
	case "Both":
		return append(blocks, files...), nil
	default:
		return nil, fmt.Errorf("parameter %s is '%s'", parameterMode, mode)
	}
}

// runProfiles completes the StorageProfile that CDI makes for each class.
func (d *driver) runProfiles(ctx context.Context) error {
	if d.awaitResource(ctx, profiles) != nil {
		return nil
	}
	q := newQueue()
	informer := d.watchDynamic(ctx, profiles, q.add, nil)
	q.run(ctx, 1, func(ctx context.Context, key string) error {
		if err := d.gate.Wait(ctx); err != nil {
			return err
		}
		object, found, err := informer.GetStore().GetByKey(key)
		if err != nil || !found {
			return err
		}
		return d.syncProfile(ctx, object.(*unstructured.Unstructured))
	})
	return nil
}

func (d *driver) syncProfile(ctx context.Context, profile *unstructured.Unstructured) error {
	if _, found, _ := unstructured.NestedSlice(profile.Object, "spec", "claimPropertySets"); found {
		return nil
	}
	class, err := d.client.StorageV1().StorageClasses().Get(ctx, profile.GetName(), metav1.GetOptions{})
	if apierrors.IsNotFound(err) {
		return nil
	}
	if err != nil {
		return err
	}
	if !answersTo(class.Provisioner) || class.Parameters[parameterMode] == "" {
		return nil
	}
	sets, err := claimPropertySets(class.Parameters[parameterMode])
	if err != nil {
		d.host.Logf("class '%s': %v", class.Name, err)
		return nil
	}
	text, err := json.Marshal(map[string]any{"spec": map[string]any{"claimPropertySets": sets}})
	if err != nil {
		return err
	}
	_, err = d.dynamic.Resource(profiles).Patch(ctx, profile.GetName(), types.MergePatchType, text, metav1.PatchOptions{})
	return err
}
