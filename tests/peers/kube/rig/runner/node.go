package runner

import (
	"context"
	"fmt"
	"runtime"

	"golang.org/x/sys/unix"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"vmferry/tests/peers/kube/rig/host"
)

// labels of the node, which node selectors are compared with.
func nodeLabels() map[string]string {
	return map[string]string{
		corev1.LabelHostname:   host.NodeName,
		corev1.LabelOSStable:   runtime.GOOS,
		corev1.LabelArchStable: runtime.GOARCH,
		// Where virt-handler runs, KubeVirt says so.
		"kubevirt.io/schedulable": "true",
	}
}

// allocatable is what the resourceFieldRef of a container without limits yields. Nothing is enforced.
func allocatable() corev1.ResourceList {
	memory := int64(4 << 30)
	var info unix.Sysinfo_t
	if unix.Sysinfo(&info) == nil {
		memory = int64(info.Totalram) * int64(info.Unit)
	}
	return corev1.ResourceList{
		corev1.ResourceCPU:              *resource.NewQuantity(int64(runtime.NumCPU()), resource.DecimalSI),
		corev1.ResourceMemory:           *resource.NewQuantity(memory, resource.BinarySI),
		corev1.ResourceEphemeralStorage: *resource.NewQuantity(10<<30, resource.BinarySI),
		corev1.ResourcePods:             *resource.NewQuantity(500, resource.DecimalSI),
	}
}

// register makes the Node object, or takes over one that is there.
func (n *node) register(ctx context.Context) error {
	nodes := n.client.CoreV1().Nodes()
	object := &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: host.NodeName, Labels: nodeLabels()}}
	_, err := nodes.Create(ctx, object, metav1.CreateOptions{})
	if err != nil && !apierrors.IsAlreadyExists(err) {
		return err
	}
	now := metav1.Now()
	status := corev1.NodeStatus{
		Capacity:    allocatable(),
		Allocatable: allocatable(),
		Addresses: []corev1.NodeAddress{
			{Type: corev1.NodeInternalIP, Address: n.host.NodeAddress()},
			{Type: corev1.NodeHostName, Address: host.NodeName},
		},
		DaemonEndpoints: corev1.NodeDaemonEndpoints{KubeletEndpoint: corev1.DaemonEndpoint{Port: int32(n.port)}},
		NodeInfo: corev1.NodeSystemInfo{KubeletVersion: "v1.34.2", ContainerRuntimeVersion: "kube-rig://1",
			OperatingSystem: runtime.GOOS, Architecture: runtime.GOARCH},
		Conditions: []corev1.NodeCondition{{Type: corev1.NodeReady, Status: corev1.ConditionTrue, Reason: "KubeletReady",
			Message: "kubelet is posting ready status", LastHeartbeatTime: now, LastTransitionTime: now}},
	}
	if err := n.patchNode(ctx, map[string]any{"status": status}, "status"); err != nil {
		return fmt.Errorf("status: %w", err)
	}
	// Admission gives each new node the taint "not ready"; the controller that takes it away is not here.
	return n.patchNode(ctx, map[string]any{"spec": map[string]any{"taints": nil}})
}
