package runner

import (
	"context"
	"encoding/json"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"vmferry/tests/peers/kube/rig/host"
)

func (n *node) patchNode(ctx context.Context, change map[string]any, subresources ...string) error {
	text, err := json.Marshal(change)
	if err != nil {
		return err
	}
	_, err = n.client.CoreV1().Nodes().Patch(ctx, host.NodeName, types.StrategicMergePatchType, text,
		metav1.PatchOptions{}, subresources...)
	return err
}

// report sends the pod's status whenever it changed, again and again while the API server does not
// answer, until ctx ends or the pod is no more.
func (p *pod) report(ctx context.Context) {
	for {
		select {
		case <-p.dirty:
		case <-ctx.Done():
			return
		}
		p.flush(ctx)
	}
}

// flush returns once the API server has the present status, knows no such pod, or ctx has ended.
func (p *pod) flush(ctx context.Context) {
	for wait := 100 * time.Millisecond; p.node.gate.Wait(ctx) == nil; wait = min(2*wait, 2*time.Second) {
		if p.sendStatus(ctx) {
			return
		}
		select {
		case <-time.After(wait):
		case <-ctx.Done():
			return
		}
	}
}

func (p *pod) sendStatus(ctx context.Context) bool {
	p.sending.Lock()
	defer p.sending.Unlock()
	status := p.status()
	// The UID makes the server refuse it for another pod of that name.
	text, err := json.Marshal(map[string]any{"metadata": map[string]any{"uid": p.uid}, "status": status})
	if err != nil {
		p.node.host.Logf("status of pod %s/%s: %v", p.namespace, p.name, err)
		return true
	}
	_, err = p.node.client.CoreV1().Pods(p.namespace).Patch(ctx, p.name, types.StrategicMergePatchType, text,
		metav1.PatchOptions{}, "status")
	if apierrors.IsInvalid(err) || apierrors.IsBadRequest(err) {
		p.node.host.Logf("status of pod %s/%s: %v", p.namespace, p.name, err)
		return true
	}
	return err == nil || apierrors.IsNotFound(err) || apierrors.IsConflict(err)
}

// touch has the status reported soon.
func (p *pod) touch() {
	select {
	case p.dirty <- struct{}{}:
	default:
	}
}

// status is what a kubelet would report now.
func (p *pod) status() corev1.PodStatus {
	object := p.get()
	p.mutex.Lock()
	defer p.mutex.Unlock()
	status := corev1.PodStatus{
		StartTime: &p.started,
		HostIP:    p.node.host.NodeAddress(),
		HostIPs:   []corev1.HostIP{{IP: p.node.host.NodeAddress()}},
	}
	if p.address != "" {
		status.PodIP = p.address
		status.PodIPs = []corev1.PodIP{{IP: p.address}}
	}
	for _, c := range p.initContainers {
		status.InitContainerStatuses = append(status.InitContainerStatuses, c.status)
	}
	for _, c := range p.containers {
		status.ContainerStatuses = append(status.ContainerStatuses, c.status)
	}
	p.phase = p.nextPhase(phaseOf(object.Spec.RestartPolicy, status.InitContainerStatuses, status.ContainerStatuses, p.over))
	status.Phase = p.phase
	if isOver(p.phase) {
		status.Reason, status.Message = p.reason, p.message
	}
	p.conditions = conditionsOf(p.conditions, status, p.volumesReady)
	status.Conditions = append([]corev1.PodCondition(nil), p.conditions...)
	return status
}

// phaseOf follows the kubelet's getPhase (pkg/kubelet/kubelet_pods.go). A pod that was told to end is
// over once nothing of it runs; a container of it that never ran has failed.
func phaseOf(policy corev1.RestartPolicy, inits, containers []corev1.ContainerStatus, over bool) corev1.PodPhase {
	for _, c := range inits {
		done := c.State.Terminated != nil && c.State.Terminated.ExitCode == 0
		failed := c.State.Terminated != nil && !done && policy == corev1.RestartPolicyNever
		switch {
		case over && !done || failed:
			return corev1.PodFailed
		case !done:
			return corev1.PodPending
		}
	}
	running, waiting, failed := 0, 0, 0
	for _, c := range containers {
		switch t := c.State.Terminated; {
		case c.State.Running != nil:
			running++
		case t != nil && !over && comesBack(policy, t.ExitCode):
			running++
		case t != nil && t.ExitCode != 0:
			failed++
		case t != nil:
		case c.LastTerminationState.Terminated != nil:
			running++ // it is about to be started again
		default:
			waiting++
		}
	}
	switch {
	case over && running+waiting+failed > 0:
		return corev1.PodFailed
	case waiting > 0:
		return corev1.PodPending
	case running > 0:
		return corev1.PodRunning
	case failed > 0:
		return corev1.PodFailed
	default:
		return corev1.PodSucceeded
	}
}

// nextPhase is where the pod goes from the phase that was reported last. The caller holds the mutex.
func (p *pod) nextPhase(phase corev1.PodPhase) corev1.PodPhase {
	switch {
	case isOver(p.phase):
		return p.phase // there is no way back
	case isOver(phase) && p.isEnding && !p.over:
		return corev1.PodRunning // not before the rest of it has ended, too
	case p.over && p.reason != "":
		return corev1.PodFailed // however well its containers took the signal
	default:
		return phase
	}
}

func isOver(phase corev1.PodPhase) bool {
	return phase == corev1.PodSucceeded || phase == corev1.PodFailed
}

// comesBack tells whether a container that ended is started again.
func comesBack(policy corev1.RestartPolicy, status int32) bool {
	return policy == corev1.RestartPolicyAlways || policy == corev1.RestartPolicyOnFailure && status != 0
}

// conditionsOf keeps the time of those that did not change.
func conditionsOf(old []corev1.PodCondition, status corev1.PodStatus, volumesReady bool) []corev1.PodCondition {
	finished := isOver(status.Phase)
	initialised := true
	for _, c := range status.InitContainerStatuses {
		initialised = initialised && c.State.Terminated != nil && c.State.Terminated.ExitCode == 0
	}
	ready := !finished
	for _, c := range status.ContainerStatuses {
		ready = ready && c.Ready
	}
	reason := ""
	switch {
	case status.Phase == corev1.PodSucceeded:
		reason = "PodCompleted"
	case status.Phase == corev1.PodFailed:
		reason = "PodFailed"
	case !ready:
		reason = "ContainersNotReady"
	}
	initReason := ""
	if !initialised {
		initReason = "ContainersNotInitialized"
	} else if status.Phase == corev1.PodSucceeded {
		initReason = "PodCompleted"
	}
	wanted := []corev1.PodCondition{
		{Type: corev1.PodReadyToStartContainers, Status: truth(volumesReady && !finished)},
		{Type: corev1.PodInitialized, Status: truth(initialised), Reason: initReason},
		{Type: corev1.PodReady, Status: truth(ready), Reason: reason},
		{Type: corev1.ContainersReady, Status: truth(ready), Reason: reason},
		{Type: corev1.PodScheduled, Status: corev1.ConditionTrue},
	}
	for i := range wanted {
		wanted[i].LastTransitionTime = metav1.Now()
		for _, c := range old {
			if c.Type == wanted[i].Type && c.Status == wanted[i].Status {
				wanted[i].LastTransitionTime = c.LastTransitionTime
			}
		}
	}
	return wanted
}

func truth(is bool) corev1.ConditionStatus {
	if is {
		return corev1.ConditionTrue
	}
	return corev1.ConditionFalse
}
