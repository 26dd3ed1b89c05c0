package runner

import (
	"context"
	"errors"
	"fmt"
	"time"

	corev1 "k8s.io/api/core/v1"
	storagev1 "k8s.io/api/storage/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"vmferry/tests/peers/kube/rig/host"
)

const annotationSelectedNode = "volume.kubernetes.io/selected-node"

// How often something that another part has to do is looked at.
const pollInterval = 200 * time.Millisecond

// errUnschedulable is what the pod has to wait for.
type errUnschedulable struct{ text string }

func (e errUnschedulable) Error() string { return e.text }

// schedule binds the pod to the node once nothing is in the way, as kube-scheduler would.
func (p *pod) schedule(ctx context.Context) error {
	if p.get().Spec.NodeName != "" {
		return nil
	}
	for last := ""; ; {
		if err := p.node.gate.Wait(ctx); err != nil {
			return err
		}
		err := p.trySchedule(ctx)
		if err == nil {
			return nil
		}
		var reason errUnschedulable
		if errors.As(err, &reason) && reason.text != last {
			last = reason.text
			p.unschedulable(ctx, last)
		}
		if err := sleep(ctx, pollInterval); err != nil {
			return err
		}
	}
}

func (p *pod) trySchedule(ctx context.Context) error {
	object := p.get()
	if len(object.Spec.SchedulingGates) > 0 {
		return errUnschedulable{"Scheduling is blocked due to non-empty scheduling gates"}
	}
	labels := nodeLabels()
	for key, value := range object.Spec.NodeSelector {
		if labels[key] != value {
			return errUnschedulable{"0/1 nodes are available: 1 node(s) didn't match Pod's node affinity/selector."}
		}
	}
	for i := range object.Spec.Volumes {
		if name := claimName(object, &object.Spec.Volumes[i]); name != "" {
			if err := p.checkClaim(ctx, name); err != nil {
				return err
			}
		}
	}
	binding := &corev1.Binding{
		ObjectMeta: metav1.ObjectMeta{Namespace: p.namespace, Name: p.name, UID: p.uid},
		Target:     corev1.ObjectReference{Kind: "Node", Name: host.NodeName},
	}
	if err := p.node.client.CoreV1().Pods(p.namespace).Bind(ctx, binding, metav1.CreateOptions{}); err != nil {
		return err
	}
	p.node.recorder.Eventf(object, corev1.EventTypeNormal, "Scheduled",
		"Successfully assigned %s/%s to %s", p.namespace, p.name, host.NodeName)
	return nil
}

// claimName is the claim behind a volume, "" when there is none.
func claimName(object *corev1.Pod, v *corev1.Volume) string {
	switch {
	case v.PersistentVolumeClaim != nil:
		return v.PersistentVolumeClaim.ClaimName
	case v.Ephemeral != nil:
		return object.Name + "-" + v.Name
	default:
		return ""
	}
}

// checkClaim lets a bound claim pass. One that waits for its first consumer is told the node.
func (p *pod) checkClaim(ctx context.Context, name string) error {
	claims := p.node.client.CoreV1().PersistentVolumeClaims(p.namespace)
	claim, err := claims.Get(ctx, name, metav1.GetOptions{})
	if apierrors.IsNotFound(err) {
		return errUnschedulable{fmt.Sprintf("0/1 nodes are available: persistentvolumeclaim %q not found.", name)}
	}
	if err != nil {
		return err
	}
	switch {
	case claim.DeletionTimestamp != nil:
		return errUnschedulable{fmt.Sprintf("0/1 nodes are available: persistentvolumeclaim %q is being deleted.", name)}
	case claim.Status.Phase == corev1.ClaimBound:
		return nil
	case claim.Status.Phase == corev1.ClaimLost:
		return errUnschedulable{fmt.Sprintf("0/1 nodes are available: persistentvolumeclaim %q bound to non-existent persistentvolume %q.",
			name, claim.Spec.VolumeName)}
	}
	waits, err := p.waitsForConsumer(ctx, claim)
	if err != nil {
		return err
	}
	if !waits {
		return errUnschedulable{"0/1 nodes are available: pod has unbound immediate PersistentVolumeClaims."}
	}
	if claim.Annotations[annotationSelectedNode] == "" {
		change := fmt.Sprintf(`{"metadata":{"annotations":{%q:%q}}}`, annotationSelectedNode, host.NodeName)
		if _, err := claims.Patch(ctx, name, types.MergePatchType, []byte(change), metav1.PatchOptions{}); err != nil {
			return err
		}
	}
	return fmt.Errorf("claim '%s' is being bound", name)
}

func (p *pod) waitsForConsumer(ctx context.Context, claim *corev1.PersistentVolumeClaim) (bool, error) {
	if claim.Spec.StorageClassName == nil || *claim.Spec.StorageClassName == "" {
		return false, nil
	}
	class, err := p.node.client.StorageV1().StorageClasses().Get(ctx, *claim.Spec.StorageClassName, metav1.GetOptions{})
	if apierrors.IsNotFound(err) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	return class.VolumeBindingMode != nil && *class.VolumeBindingMode == storagev1.VolumeBindingWaitForFirstConsumer, nil
}

func (p *pod) unschedulable(ctx context.Context, text string) {
	object := p.get()
	p.node.recorder.Event(object, corev1.EventTypeWarning, "FailedScheduling", text)
	reason := corev1.PodReasonUnschedulable
	if len(object.Spec.SchedulingGates) > 0 {
		reason = corev1.PodReasonSchedulingGated
	}
	p.patchCondition(ctx, corev1.PodCondition{Type: corev1.PodScheduled, Status: corev1.ConditionFalse,
		Reason: reason, Message: text, LastTransitionTime: metav1.Now()})
}

func sleep(ctx context.Context, duration time.Duration) error {
	select {
	case <-time.After(duration):
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
