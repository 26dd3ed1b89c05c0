package storage

import (
	"context"
	"errors"
	"fmt"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/tools/cache"

	"vmferry/tests/peers/kube/rig/storage/volume"
)

// Resources of external-snapshotter's API, v1.
var (
	snapshots        = schema.GroupVersionResource{Group: "snapshot.storage.k8s.io", Version: "v1", Resource: "volumesnapshots"}
	snapshotClasses  = schema.GroupVersionResource{Group: snapshots.Group, Version: "v1", Resource: "volumesnapshotclasses"}
	snapshotContents = schema.GroupVersionResource{Group: snapshots.Group, Version: "v1", Resource: "volumesnapshotcontents"}
)

const (
	annotationDefaultSnapshotClass = "snapshot.storage.kubernetes.io/is-default-class"
)

// awaitResource returns once the API server knows a resource; its CRD may never come.
func (d *driver) awaitResource(ctx context.Context, resource schema.GroupVersionResource) error {
	for {
		list, err := d.client.Discovery().ServerResourcesForGroupVersion(resource.GroupVersion().String())
		if err == nil {
			for _, r := range list.APIResources {
				if r.Name == resource.Resource {
					return nil
				}
			}
		}
		select {
		case <-time.After(time.Second):
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// watchDynamic is watch for a resource that this program has no types for.
func (d *driver) watchDynamic(ctx context.Context, resource schema.GroupVersionResource,
	enqueue func(key string), deleted func(object any)) cache.SharedIndexInformer {
	client := d.dynamic.Resource(resource)
	return inform(ctx, newListWatch(client), &unstructured.Unstructured{}, enqueue, deleted)
}

func (d *driver) runSnapshots(ctx context.Context) error {
	if d.awaitResource(ctx, snapshots) != nil || d.awaitResource(ctx, snapshotContents) != nil ||
		d.awaitResource(ctx, snapshotClasses) != nil {
		return nil
	}
	for d.makeSnapshotClass(ctx) != nil { // its CRD has only just come
		select {
		case <-time.After(time.Second):
		case <-ctx.Done():
			return nil
		}
	}
	q := newQueue()
	gone := newQueue()
	informer := d.watchDynamic(ctx, snapshots, q.add, func(object any) {
		if snapshot, ok := object.(*unstructured.Unstructured); ok {
			gone.add(string(snapshot.GetUID()))
		}
	})
	go gone.run(ctx, 1, d.dropSnapshot)
	q.run(ctx, 2, func(ctx context.Context, key string) error {
		if err := d.gate.Wait(ctx); err != nil {
			return err
		}
		object, found, err := informer.GetStore().GetByKey(key)
		if err != nil || !found {
			return err
		}
		return d.syncSnapshot(ctx, object.(*unstructured.Unstructured).DeepCopy())
	})
	return nil
}

func (d *driver) makeSnapshotClass(ctx context.Context) error {
	class := &unstructured.Unstructured{Object: map[string]any{
		"apiVersion": snapshots.GroupVersion().String(), "kind": "VolumeSnapshotClass",
		"metadata": map[string]any{"name": SnapshotClassName},
		"driver":   DriverName, "deletionPolicy": "Delete",
	}}
	class.SetAnnotations(map[string]string{annotationDefaultSnapshotClass: "true"})
	_, err := d.dynamic.Resource(snapshotClasses).Create(ctx, class, metav1.CreateOptions{})
	if apierrors.IsAlreadyExists(err) {
		return nil
	}
	return err
}

func (d *driver) syncSnapshot(ctx context.Context, snapshot *unstructured.Unstructured) error {
	ready, _, _ := unstructured.NestedBool(snapshot.Object, "status", "readyToUse")
	claim, ok, _ := unstructured.NestedString(snapshot.Object, "spec", "source", "persistentVolumeClaimName")
	if ready || !ok || snapshot.GetDeletionTimestamp() != nil {
		return nil
	}
	class, err := d.snapshotClass(ctx, snapshot)
	if err != nil {
		return d.snapshotFailed(ctx, snapshot, err)
	}
	if name, _, _ := unstructured.NestedString(class.Object, "driver"); name != DriverName {
		return nil
	}
	parameters, _, _ := unstructured.NestedStringMap(class.Object, "parameters")
	if parameters[parameterFault] == "never" {
		return nil
	}
	if err := obstruct(ctx, parameters); err != nil {
		return d.snapshotFailed(ctx, snapshot, err)
	}
	handle, err := d.boundHandle(ctx, snapshot.GetNamespace(), claim)
	if err != nil {
		return d.snapshotFailed(ctx, snapshot, err)
	}
	info, err := d.volumes.Info(handle)
	if err == nil {
		err = d.volumes.Copy(handle, snapshotHandle(snapshot.GetUID()), info.SizeBytes)
	}
	if err != nil {
		return d.snapshotFailed(ctx, snapshot, err)
	}
	return d.publish(ctx, snapshot, class, handle, info)
}

func snapshotHandle(uid types.UID) string {
	return "snapshot-" + string(uid)
}

// snapshotClass is the one that a snapshot names, else this driver's default.
func (d *driver) snapshotClass(ctx context.Context, snapshot *unstructured.Unstructured) (*unstructured.Unstructured, error) {
	name, _, _ := unstructured.NestedString(snapshot.Object, "spec", "volumeSnapshotClassName")
	if name != "" {
		return d.dynamic.Resource(snapshotClasses).Get(ctx, name, metav1.GetOptions{})
	}
	list, err := d.dynamic.Resource(snapshotClasses).List(ctx, metav1.ListOptions{})
	if err != nil {
		return nil, err
	}
	var found *unstructured.Unstructured
	for i := range list.Items {
		class := &list.Items[i]
		driver, _, _ := unstructured.NestedString(class.Object, "driver")
		if driver != DriverName || class.GetAnnotations()[annotationDefaultSnapshotClass] != "true" {
			continue
		}
		if found != nil {
			return nil, errors.New("more than one default snapshot class for driver " + DriverName)
		}
		found = class
	}
	if found == nil {
		return nil, errors.New("no default snapshot class for driver " + DriverName)
	}
	return found, nil
}

// publish makes the content object and says in the snapshot's status that it is ready.
func (d *driver) publish(ctx context.Context, snapshot, class *unstructured.Unstructured, source string, info volume.Info) error {
	now := time.Now()
	policy, _, _ := unstructured.NestedString(class.Object, "deletionPolicy")
	content := &unstructured.Unstructured{Object: map[string]any{
		"apiVersion": snapshots.GroupVersion().String(), "kind": "VolumeSnapshotContent",
		"metadata": map[string]any{"name": contentName(snapshot.GetUID())},
		"spec": map[string]any{
			"driver": DriverName, "deletionPolicy": policy,
			"source":                  map[string]any{"volumeHandle": source},
			"sourceVolumeMode":        info.Mode,
			"volumeSnapshotClassName": class.GetName(),
			"volumeSnapshotRef": map[string]any{
				"apiVersion": snapshots.GroupVersion().String(), "kind": "VolumeSnapshot",
				"namespace": snapshot.GetNamespace(), "name": snapshot.GetName(), "uid": string(snapshot.GetUID()),
			},
		},
	}}
	_, err := d.dynamic.Resource(snapshotContents).Create(ctx, content, metav1.CreateOptions{})
	if err != nil && !apierrors.IsAlreadyExists(err) {
		return err
	}
	err = patchStatus(ctx, d.dynamic.Resource(snapshotContents), content.GetName(), map[string]any{
		"snapshotHandle": snapshotHandle(snapshot.GetUID()), "creationTime": now.UnixNano(),
		"restoreSize": info.SizeBytes, "readyToUse": true,
	})
	if err != nil {
		return err
	}
	return patchStatus(ctx, d.dynamic.Resource(snapshots).Namespace(snapshot.GetNamespace()), snapshot.GetName(), map[string]any{
		"boundVolumeSnapshotContentName": content.GetName(), "creationTime": now.UTC().Format(time.RFC3339),
		"restoreSize": fmt.Sprint(info.SizeBytes), "readyToUse": true, "error": nil,
	})
}

func contentName(uid types.UID) string {
	return "snapcontent-" + string(uid)
}

func (d *driver) snapshotFailed(ctx context.Context, snapshot *unstructured.Unstructured, err error) error {
	return errors.Join(err, patchStatus(ctx, d.dynamic.Resource(snapshots).Namespace(snapshot.GetNamespace()), snapshot.GetName(),
		map[string]any{"readyToUse": false, "error": map[string]any{
			"time":    time.Now().UTC().Format(time.RFC3339),
			"message": "Failed to take snapshot of the volume: " + err.Error(),
		}}))
}

// dropSnapshot deletes what a deleted snapshot leaves, if its class said so.
func (d *driver) dropSnapshot(ctx context.Context, uid string) error {
	if err := d.gate.Wait(ctx); err != nil {
		return err
	}
	name := contentName(types.UID(uid))
	content, err := d.dynamic.Resource(snapshotContents).Get(ctx, name, metav1.GetOptions{})
	if apierrors.IsNotFound(err) {
		return d.volumes.Delete(snapshotHandle(types.UID(uid))) // made in part
	}
	if err != nil {
		return err
	}
	if policy, _, _ := unstructured.NestedString(content.Object, "spec", "deletionPolicy"); policy != "Delete" {
		return nil
	}
	if err := d.volumes.Delete(snapshotHandle(types.UID(uid))); err != nil {
		return err
	}
	err = d.dynamic.Resource(snapshotContents).Delete(ctx, name, metav1.DeleteOptions{})
	if apierrors.IsNotFound(err) {
		return nil
	}
	return err
}

// readySnapshot is the handle of a snapshot that a volume may be made from.
func (d *driver) readySnapshot(ctx context.Context, namespace, name string) (string, error) {
	snapshot, err := d.dynamic.Resource(snapshots).Namespace(namespace).Get(ctx, name, metav1.GetOptions{})
	if err != nil {
		return "", fmt.Errorf("error getting snapshot %s from api server: %w", name, err)
	}
	if ready, _, _ := unstructured.NestedBool(snapshot.Object, "status", "readyToUse"); !ready {
		return "", fmt.Errorf("snapshot %s is not Ready", name)
	}
	bound, _, _ := unstructured.NestedString(snapshot.Object, "status", "boundVolumeSnapshotContentName")
	content, err := d.dynamic.Resource(snapshotContents).Get(ctx, bound, metav1.GetOptions{})
	if err != nil {
		return "", err
	}
	if driver, _, _ := unstructured.NestedString(content.Object, "spec", "driver"); driver != DriverName {
		return "", fmt.Errorf("snapshot %s is not of %s", name, DriverName)
	}
	handle, _, _ := unstructured.NestedString(content.Object, "status", "snapshotHandle")
	return handle, nil
}
