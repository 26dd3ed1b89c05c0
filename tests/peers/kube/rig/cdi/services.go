package cdi

import (
	"context"
	"net"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
)

// lookup is the cluster's DNS for headless services, which those of upload servers are: the addresses
// of ready pods. Before an address is given away, the proxy's sandbox is made to lead there.
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
		if err := c.reach(ctx, net.JoinHostPort(address.String(), serverPort)); err != nil {
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

func (c *cdi) reach(ctx context.Context, address string) error {
	c.mutex.Lock()
	defer c.mutex.Unlock()
	if c.reached[address] {
		return nil
	}
	listener, err := c.proxy.sandbox.listen(ctx, address)
	if err != nil {
		return err
	}
	c.reached[address] = true
	c.h.Go(ctx, "cdi-uploadproxy to "+address, func(ctx context.Context) error {
		return forward(ctx, listener, dialHost(address))
	})
	return nil
}
