// Package runner is the one node: it schedules pods to itself, gives them their volumes, runs their
// containers, and reports their status, as a kubelet does.
package runner

import (
	"context"
	"fmt"
	"sync"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/kubernetes/scheme"
	typedcorev1 "k8s.io/client-go/kubernetes/typed/core/v1"
	"k8s.io/client-go/tools/cache"
	"k8s.io/client-go/tools/record"

	"vmferry/tests/peers/kube/rig/host"
	"vmferry/tests/peers/kube/rig/runner/sandbox"
	"vmferry/tests/peers/kube/rig/storage"
	"vmferry/tests/peers/kube/rig/storage/volume"
)

type node struct {
	host     *host.Host
	client   kubernetes.Interface
	volumes  *volume.Store
	gate     *host.Gate
	recorder record.EventRecorder
	folder   string // of all pods
	logs     string // of all pods; kept when they are gone
	port     int    // of the kubelet's API

	mutex     sync.Mutex // guards what follows
	pods      map[types.UID]*pod
	addresses int // given to pods so far
	// deviceOwnership is the container runtime's device_ownership_from_security_context.
	deviceOwnership bool
}

// Start returns once the Node object is there; the rest goes on in h.Go until ctx ends.
func Start(ctx context.Context, h *host.Host) error {
	n := &node{host: h, gate: h.Gate("runner"), pods: map[types.UID]*pod{}, deviceOwnership: true}
	var err error
	if n.client, err = kubernetes.NewForConfig(h.Config); err != nil {
		return err
	}
	if n.volumes, err = storage.OpenStore(h); err != nil {
		return err
	}
	if n.folder, err = h.Folder("pods"); err != nil {
		return err
	}
	if n.logs, err = h.Folder("log", "pods"); err != nil {
		return err
	}
	broadcaster := record.NewBroadcaster(record.WithContext(ctx))
	broadcaster.StartRecordingToSink(&typedcorev1.EventSinkImpl{Interface: n.client.CoreV1().Events("")})
	n.recorder = broadcaster.NewRecorder(scheme.Scheme, corev1.EventSource{Component: "kubelet", Host: host.NodeName})
	if err := n.serveKubelet(ctx); err != nil {
		return fmt.Errorf("kubelet: %w", err)
	}
	if err := n.register(ctx); err != nil {
		return fmt.Errorf("node: %w", err)
	}
	h.Control.HandleFunc("POST /pods/{namespace}/{name}/kill", n.serveKill)
	h.Control.HandleFunc("POST /pods/{namespace}/{name}/refresh", n.serveRefresh)
	h.Control.HandleFunc("POST /runner", n.serveOptions)
	h.Go(ctx, "runner", n.watch)
	return nil
}

// Init is `kube-rig container-init`: the first process in a container's namespaces.
func Init(args []string) error {
	return sandbox.Init(args)
}

// watch hands every change of a pod to its worker, until ctx ends and all workers have.
func (n *node) watch(ctx context.Context) error {
	var workers sync.WaitGroup
	source := cache.NewListWatchFromClient(n.client.CoreV1().RESTClient(), "pods", metav1.NamespaceAll, fields.Everything())
	informer := cache.NewSharedIndexInformer(source, &corev1.Pod{}, 0, cache.Indexers{})
	changed := func(object any) {
		if n.gate.Wait(ctx) != nil {
			return
		}
		n.changed(ctx, &workers, object.(*corev1.Pod))
	}
	_, err := informer.AddEventHandler(cache.ResourceEventHandlerFuncs{
		AddFunc:    changed,
		UpdateFunc: func(_, object any) { changed(object) },
		DeleteFunc: func(object any) {
			if last, ok := object.(cache.DeletedFinalStateUnknown); ok {
				object = last.Obj
			}
			if n.gate.Wait(ctx) != nil {
				return
			}
			if p := n.find(object.(*corev1.Pod).UID); p != nil {
				p.vanished()
			}
		},
	})
	if err != nil {
		return err
	}
	informer.RunWithContext(ctx)
	workers.Wait()
	return nil
}

func (n *node) changed(ctx context.Context, workers *sync.WaitGroup, object *corev1.Pod) {
	p := n.find(object.UID)
	if p != nil {
		p.update(object)
		return
	}
	if object.Spec.NodeName != "" && object.Spec.NodeName != host.NodeName ||
		object.Spec.NodeName == "" && object.Spec.SchedulerName != corev1.DefaultSchedulerName {
		return
	}
	p = newPod(n, object)
	n.mutex.Lock()
	n.pods[object.UID] = p
	n.mutex.Unlock()
	workers.Add(1)
	go func() {
		defer workers.Done()
		p.run(ctx)
		n.mutex.Lock()
		delete(n.pods, object.UID)
		n.mutex.Unlock()
	}()
}

func (n *node) find(uid types.UID) *pod {
	n.mutex.Lock()
	defer n.mutex.Unlock()
	return n.pods[uid]
}

// findByName is the pod of that name, and not one before it that is still being put away.
func (n *node) findByName(namespace, name string) *pod {
	n.mutex.Lock()
	defer n.mutex.Unlock()
	var found *pod
	for _, p := range n.pods {
		if p.namespace == namespace && p.name == name && (found == nil || found.born.Before(p.born)) {
			found = p
		}
	}
	return found
}

// newAddress is a loopback address that no pod had before.
func (n *node) newAddress() string {
	n.mutex.Lock()
	defer n.mutex.Unlock()
	n.addresses++
	// .0.1 is the node's; 254 a /24, so that none ends in 0 or 255.
	k := n.addresses
	return fmt.Sprintf("%s%d.%d", n.host.Network, k/254, k%254+1)
}
