package storage

import (
	"context"
	"errors"
	"fmt"

	corev1 "k8s.io/api/core/v1"
	storagev1 "k8s.io/api/storage/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"vmferry/tests/peers/kube/rig/host"
	"vmferry/tests/peers/kube/rig/storage/volume"
)

// Annotations by which the binder and external provisioners talk
// (k8s.io/component-helpers, storage/volume/helpers.go; sig-storage-lib-external-provisioner).
const (
	annotationProvisioner   = "volume.kubernetes.io/storage-provisioner"
	annotationSelectedNode  = "volume.kubernetes.io/selected-node"
	annotationProvisionedBy = "pv.kubernetes.io/provisioned-by"
)

func (d *driver) runClaims(ctx context.Context) error {
	q := newQueue()
	informer := d.watch(ctx, "persistentvolumeclaims", &corev1.PersistentVolumeClaim{}, q.add)
	q.run(ctx, 4, func(ctx context.Context, key string) error {
		if err := d.gate.Wait(ctx); err != nil {
			return err
		}
		object, found, err := informer.GetStore().GetByKey(key)
		if err != nil || !found {
			return err
		}
		return d.syncClaim(ctx, object.(*corev1.PersistentVolumeClaim))
	})
	return nil
}

// syncClaim makes a volume for a claim that the binder gave to this driver.
func (d *driver) syncClaim(ctx context.Context, claim *corev1.PersistentVolumeClaim) error {
	if !answersTo(claim.Annotations[annotationProvisioner]) || claim.Spec.VolumeName != "" ||
		claim.DeletionTimestamp != nil || claim.Spec.StorageClassName == nil || !isOurs(claim.Spec.DataSourceRef) {
		return nil
	}
	class, err := d.client.StorageV1().StorageClasses().Get(ctx, *claim.Spec.StorageClassName, metav1.GetOptions{})
	if err != nil {
		return d.failed(claim, err)
	}
	waits := class.VolumeBindingMode != nil && *class.VolumeBindingMode == storagev1.VolumeBindingWaitForFirstConsumer
	if waits && claim.Annotations[annotationSelectedNode] != host.NodeName {
		return nil
	}
	if class.Parameters[parameterFault] == "never" {
		return nil
	}
	d.recorder.Eventf(claim, corev1.EventTypeNormal, "Provisioning",
		"External provisioner is provisioning volume for claim %q", claim.Namespace+"/"+claim.Name)
	if err := obstruct(ctx, class.Parameters); err != nil {
		return d.failed(claim, err)
	}
	// The claim may be gone after a delay.
	now, err := d.client.CoreV1().PersistentVolumeClaims(claim.Namespace).Get(ctx, claim.Name, metav1.GetOptions{})
	switch {
	case apierrors.IsNotFound(err):
		return nil
	case err != nil:
		return err
	case now.UID != claim.UID || now.DeletionTimestamp != nil || now.Spec.VolumeName != "":
		return nil
	}
	return d.provision(ctx, now, class)
}

// isOurs tells a volume that is empty or made from a snapshot or a claim from one that a populator
// fills: those are left to it, as external provisioners do.
func isOurs(source *corev1.TypedObjectReference) bool {
	if source == nil {
		return true
	}
	group := ""
	if source.APIGroup != nil {
		group = *source.APIGroup
	}
	return source.Kind == "PersistentVolumeClaim" && group == "" ||
		source.Kind == "VolumeSnapshot" && group == snapshots.Group
}

func (d *driver) failed(claim *corev1.PersistentVolumeClaim, err error) error {
	d.recorder.Eventf(claim, corev1.EventTypeWarning, "ProvisioningFailed",
		"failed to provision volume with StorageClass %q: %v", *claim.Spec.StorageClassName, err)
	return err
}

func (d *driver) provision(ctx context.Context, claim *corev1.PersistentVolumeClaim, class *storagev1.StorageClass) error {
	name := "pvc-" + string(claim.UID)
	request := claim.Spec.Resources.Requests[corev1.ResourceStorage]
	info := volume.Info{Mode: volume.Filesystem, SizeBytes: request.Value()}
	if claim.Spec.VolumeMode != nil {
		info.Mode = string(*claim.Spec.VolumeMode)
	}
	info.Limited = info.Mode == volume.Filesystem && class.Parameters[parameterLimited] == "true"
	from, err := d.source(ctx, claim, info.Mode)
	if err != nil {
		return d.failed(claim, err)
	}
	if from != "" {
		err = d.volumes.Copy(from, name, info.SizeBytes)
	} else {
		err = d.volumes.Create(name, info)
	}
	if err != nil {
		return d.failed(claim, err)
	}
	_, err = d.client.CoreV1().PersistentVolumes().Create(ctx, newVolume(name, claim, class), metav1.CreateOptions{})
	if err != nil && !apierrors.IsAlreadyExists(err) {
		return d.failed(claim, err)
	}
	d.recorder.Eventf(claim, corev1.EventTypeNormal, "ProvisioningSucceeded", "Successfully provisioned volume %s", name)
	return nil
}

// source is the handle of what the claim's volume starts as, "" for an empty one.
func (d *driver) source(ctx context.Context, claim *corev1.PersistentVolumeClaim, mode string) (string, error) {
	source := claim.Spec.DataSourceRef
	if source == nil {
		return "", nil
	}
	if source.Namespace != nil && *source.Namespace != "" && *source.Namespace != claim.Namespace {
		return "", errors.New("a data source in another namespace is not supported")
	}
	var handle string
	var err error
	if source.Kind == "VolumeSnapshot" {
		handle, err = d.readySnapshot(ctx, claim.Namespace, source.Name)
	} else {
		handle, err = d.boundHandle(ctx, claim.Namespace, source.Name)
	}
	if err != nil {
		return "", err
	}
	info, err := d.volumes.Info(handle)
	if err != nil {
		return "", err
	}
	if info.Mode != mode {
		return "", fmt.Errorf("requested volume mode %s, but the source has %s", mode, info.Mode)
	}
	return handle, nil
}

// boundHandle is the handle of the volume that a claim is bound to.
func (d *driver) boundHandle(ctx context.Context, namespace, name string) (string, error) {
	claim, err := d.client.CoreV1().PersistentVolumeClaims(namespace).Get(ctx, name, metav1.GetOptions{})
	if err != nil {
		return "", err
	}
	if claim.Status.Phase != corev1.ClaimBound {
		return "", fmt.Errorf("claim '%s' is %s", name, claim.Status.Phase)
	}
	bound, err := d.client.CoreV1().PersistentVolumes().Get(ctx, claim.Spec.VolumeName, metav1.GetOptions{})
	if err != nil {
		return "", err
	}
	if bound.Spec.CSI == nil || bound.Spec.CSI.Driver != DriverName {
		return "", fmt.Errorf("volume '%s' is not of %s", bound.Name, DriverName)
	}
	return bound.Spec.CSI.VolumeHandle, nil
}

func newVolume(name string, claim *corev1.PersistentVolumeClaim, class *storagev1.StorageClass) *corev1.PersistentVolume {
	reclaim := corev1.PersistentVolumeReclaimDelete
	if class.ReclaimPolicy != nil {
		reclaim = *class.ReclaimPolicy
	}
	source := &corev1.CSIPersistentVolumeSource{Driver: DriverName, VolumeHandle: name}
	if claim.Spec.VolumeMode == nil || *claim.Spec.VolumeMode == corev1.PersistentVolumeFilesystem {
		source.FSType = "ext4"
	}
	return &corev1.PersistentVolume{
		ObjectMeta: metav1.ObjectMeta{
			Name:        name,
			Annotations: map[string]string{annotationProvisionedBy: DriverName},
		},
		Spec: corev1.PersistentVolumeSpec{
			AccessModes:                   claim.Spec.AccessModes,
			Capacity:                      corev1.ResourceList{corev1.ResourceStorage: claim.Spec.Resources.Requests[corev1.ResourceStorage]},
			VolumeMode:                    claim.Spec.VolumeMode,
			StorageClassName:              class.Name,
			PersistentVolumeReclaimPolicy: reclaim,
			MountOptions:                  class.MountOptions,
			PersistentVolumeSource:        corev1.PersistentVolumeSource{CSI: source},
			ClaimRef: &corev1.ObjectReference{APIVersion: "v1", Kind: "PersistentVolumeClaim",
				Namespace: claim.Namespace, Name: claim.Name, UID: claim.UID},
		},
	}
}

func (d *driver) runVolumes(ctx context.Context) error {
	q := newQueue()
	informer := d.watch(ctx, "persistentvolumes", &corev1.PersistentVolume{}, q.add)
	q.run(ctx, 2, func(ctx context.Context, key string) error {
		if err := d.gate.Wait(ctx); err != nil {
			return err
		}
		object, found, err := informer.GetStore().GetByKey(key)
		if err != nil || !found {
			return err
		}
		return d.reclaim(ctx, object.(*corev1.PersistentVolume))
	})
	return nil
}

// reclaim deletes a volume that lost its claim. Released is the binder's word for it.
func (d *driver) reclaim(ctx context.Context, v *corev1.PersistentVolume) error {
	if v.Status.Phase != corev1.VolumeReleased || v.Annotations[annotationProvisionedBy] != DriverName ||
		v.Spec.PersistentVolumeReclaimPolicy != corev1.PersistentVolumeReclaimDelete || v.Spec.CSI == nil {
		return nil
	}
	if err := d.volumes.Delete(v.Spec.CSI.VolumeHandle); err != nil {
		d.recorder.Eventf(v, corev1.EventTypeWarning, "VolumeFailedDelete", "%v", err)
		return err
	}
	err := d.client.CoreV1().PersistentVolumes().Delete(ctx, v.Name,
		metav1.DeleteOptions{Preconditions: &metav1.Preconditions{UID: &v.UID}})
	if apierrors.IsNotFound(err) {
		return nil
	}
	return err
}
