package cdi

import (
	"context"
	"fmt"
	"net"
	"strings"
	"sync"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"

	"vmferry/tests/peers/kube/rig/host"
	"vmferry/tests/peers/kube/rig/relay"
)

// lookup is the cluster's DNS for headless services, which those of upload servers are: the addresses
// of ready pods.
func (c *cdi) lookup(ctx, lookup context.Context, namespace, name string) ([]net.IP, bool, error) {
	service, err := c.client.CoreV1().Services(namespace).Get(lookup, name, metav1.GetOptions{})
	if apierrors.IsNotFound(err) {
		return nil, false, nil
	}
	if err != nil {
		return nil, false, err
	}
	if service.Spec.ClusterIP != corev1.ClusterIPNone || len(service.Spec.Selector) == 0 {
		return nil, false, nil
	}
	selector := labels.SelectorFromSet(service.Spec.Selector).String()
	pods, err := c.client.CoreV1().Pods(namespace).List(lookup, metav1.ListOptions{LabelSelector: selector})
	if err != nil {
		return nil, false, err
	}
	var addresses []net.IP
	for i := range pods.Items {
		address := net.ParseIP(pods.Items[i].Status.PodIP).To4()
		if address == nil || !isReady(&pods.Items[i]) {
			continue
		}
		if address, err = c.pods.reach(ctx, address); err != nil {
			return nil, false, err
		}
		addresses = append(addresses, address)
	}
	return addresses, true, nil
}

func isReady(pod *corev1.Pod) bool {
	for _, condition := range pod.Status.Conditions {
		if condition.Type == corev1.PodReady {
			return condition.Status == corev1.ConditionTrue
		}
	}
	return false
}

// podNetwork is where the upload proxy reaches pods: at 10.2.X.Y those at 127.N.X.Y.
//
// The proxy listens on port 8443 of all addresses, so no address of its own namespace may be a pod's
// with the same port. Theirs are in a namespace next door, where this process listens for them.
type podNetwork struct {
	h       *host.Host
	sandbox *sandbox

	mutex   sync.Mutex
	reached map[string]bool
}

// newPodNetwork makes one that the sandbox is linked to.
func newPodNetwork(ctx context.Context, h *host.Host, proxy *sandbox) (*podNetwork, error) {
	pods, err := newSandbox(ctx)
	if err != nil {
		return nil, err
	}
	for _, step := range []struct {
		sandbox *sandbox
		args    string
	}{
		{pods, fmt.Sprintf("link add proxy type veth peer name pods netns %d", proxy.thread)},
		{pods, "address add 10.1.0.1/24 dev proxy"},
		{pods, "link set proxy up"},
		{pods, "route add local 10.2.0.0/16 dev lo"},
		{proxy, "address add 10.1.0.2/24 dev pods"},
		{proxy, "link set pods up"},
		{proxy, "route add 10.2.0.0/16 via 10.1.0.1"},
	} {
		if err := step.sandbox.run(ctx, "ip", strings.Fields(step.args)...); err != nil {
			return nil, err
		}
	}
	return &podNetwork{h: h, sandbox: pods, reached: map[string]bool{}}, nil
}

// reach is the address at which the proxy reaches a pod's port; before it is given away, something
// listens there.
func (n *podNetwork) reach(ctx context.Context, pod net.IP) (net.IP, error) {
	pod = pod.To4()
	seen := net.IPv4(10, 2, pod[2], pod[3])
	n.mutex.Lock()
	defer n.mutex.Unlock()
	if n.reached[seen.String()] {
		return seen, nil
	}
	listener, err := n.sandbox.listen(ctx, net.JoinHostPort(seen.String(), serverPort))
	if err != nil {
		return nil, err
	}
	n.reached[seen.String()] = true
	n.h.Go(ctx, "cdi-uploadproxy to "+pod.String(), func(ctx context.Context) error {
		return relay.Forward(ctx, listener, relay.Dial(net.JoinHostPort(pod.String(), serverPort)))
	})
	return seen, nil
}
