package runner

import (
	"context"
	"encoding/json"
	"os"
	"path/filepath"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
)

// graceOfVanished is what containers get whose pod was deleted by force.
const graceOfVanished = 2 * time.Second

// pod is one pod's worker.
type pod struct {
	node      *node
	namespace string
	name      string
	uid       types.UID
	folder    string
	born      time.Time
	dirty     chan struct{} // the status changed
	ending    chan struct{} // closed: its containers are to end
	deleting  chan struct{} // closed: somebody deleted it
	sending   sync.Mutex    // one status is sent at a time

	// The lists are fixed once the worker runs. Lock order: mutex is the last one.
	containers     []*container
	initContainers []*container
	volumes        *podVolumes

	mutex        sync.Mutex // guards what follows, and the containers' statuses
	object       *corev1.Pod
	address      string
	started      metav1.Time
	grace        time.Duration
	phase        corev1.PodPhase // reported last
	reason       string          // why the node ended it
	message      string
	over         bool
	isDeleting   bool
	isEnding     bool
	volumesReady bool
	conditions   []corev1.PodCondition
}

func newPod(n *node, object *corev1.Pod) *pod {
	p := &pod{
		node: n, namespace: object.Namespace, name: object.Name, uid: object.UID,
		folder: filepath.Join(n.folder, string(object.UID)), born: time.Now(),
		dirty: make(chan struct{}, 1), ending: make(chan struct{}), deleting: make(chan struct{}),
	}
	p.volumes = newPodVolumes(p)
	reason := "ContainerCreating"
	if len(object.Spec.InitContainers) > 0 {
		reason = "PodInitializing"
	}
	for i := range object.Spec.InitContainers {
		p.initContainers = append(p.initContainers, newContainer(p, &object.Spec.InitContainers[i], "PodInitializing"))
	}
	for i := range object.Spec.Containers {
		p.containers = append(p.containers, newContainer(p, &object.Spec.Containers[i], reason))
	}
	p.update(object)
	return p
}

func (p *pod) get() *corev1.Pod {
	p.mutex.Lock()
	defer p.mutex.Unlock()
	return p.object
}

// update takes the object as the API server has it now.
func (p *pod) update(object *corev1.Pod) {
	p.mutex.Lock()
	p.object = object
	p.mutex.Unlock()
	if object.DeletionTimestamp != nil {
		grace := 30 * time.Second
		if object.DeletionGracePeriodSeconds != nil {
			grace = time.Duration(*object.DeletionGracePeriodSeconds) * time.Second
		}
		p.delete(grace)
	}
}

// vanished tells that there is no such pod any more.
func (p *pod) vanished() {
	p.delete(graceOfVanished)
}

func (p *pod) delete(grace time.Duration) {
	p.mutex.Lock()
	if !p.isDeleting {
		p.isDeleting = true
		close(p.deleting)
	}
	p.mutex.Unlock()
	p.end(grace, "", "")
}

// end has the containers end. A later call may shorten the grace of one that has not begun to wait.
func (p *pod) end(grace time.Duration, reason, message string) {
	p.mutex.Lock()
	defer p.mutex.Unlock()
	if p.isEnding {
		p.grace = min(p.grace, grace)
		return
	}
	p.isEnding = true
	p.grace = grace
	if !isOver(p.phase) {
		p.reason, p.message = reason, message
	}
	close(p.ending)
}

func (p *pod) graceNow() time.Duration {
	p.mutex.Lock()
	defer p.mutex.Unlock()
	return p.grace
}

// run is the pod's life, until it is deleted or ctx ends.
func (p *pod) run(ctx context.Context) {
	alive, cancel := context.WithCancel(ctx)
	defer cancel()
	go func() {
		select {
		case <-p.ending:
			cancel()
		case <-alive.Done():
		}
	}()
	if isOver(p.get().Status.Phase) {
		p.awaitDeletion(ctx)
		return
	}
	if p.schedule(alive) == nil {
		reporting, stop := context.WithCancel(ctx)
		defer stop()
		go p.report(reporting)
		p.live(alive)
	}
	if err := p.volumes.release(); err != nil {
		p.node.host.Logf("pod %s/%s: %v", p.namespace, p.name, err)
	}
	p.awaitDeletion(ctx)
}

// live runs the containers to their end.
func (p *pod) live(alive context.Context) {
	p.mutex.Lock()
	p.started = metav1.Now()
	p.address = p.node.newAddress()
	p.mutex.Unlock()
	p.touch()
	defer p.touch()
	if limit := p.get().Spec.ActiveDeadlineSeconds; limit != nil {
		timer := time.AfterFunc(time.Duration(*limit)*time.Second, func() {
			p.end(p.terminationGrace(), "DeadlineExceeded", "Pod was active on the node longer than the specified deadline")
		})
		defer timer.Stop()
	}
	if p.prepare(alive) == nil && p.initialise(alive) {
		var running sync.WaitGroup
		for _, c := range p.containers {
			running.Add(1)
			go func() {
				defer running.Done()
				c.run(alive)
			}()
		}
		running.Wait()
	}
	select {
	case <-p.ending:
		p.mutex.Lock()
		p.over = true
		for _, c := range append(append([]*container(nil), p.initContainers...), p.containers...) {
			c.neverRan()
		}
		p.mutex.Unlock()
	default:
	}
}

func (p *pod) terminationGrace() time.Duration {
	if seconds := p.get().Spec.TerminationGracePeriodSeconds; seconds != nil {
		return time.Duration(*seconds) * time.Second
	}
	return 30 * time.Second
}

// prepare gives the pod its volumes, as soon as what they are made of is there.
func (p *pod) prepare(alive context.Context) error {
	if err := os.MkdirAll(p.folder, 0o755); err != nil {
		return err
	}
	for last := ""; ; {
		if err := p.node.gate.Wait(alive); err != nil {
			return err
		}
		err := p.volumes.make(alive)
		if err == nil {
			break
		}
		if alive.Err() == nil && err.Error() != last {
			last = err.Error()
			p.node.recorder.Event(p.get(), corev1.EventTypeWarning, "FailedMount", last)
		}
		if err := sleep(alive, pollInterval); err != nil {
			return err
		}
	}
	p.mutex.Lock()
	p.volumesReady = true
	p.mutex.Unlock()
	p.touch()
	go p.volumes.keepFresh(alive)
	return nil
}

// initialise runs the init containers, one after the other.
func (p *pod) initialise(alive context.Context) bool {
	for _, c := range p.initContainers {
		c.run(alive)
		if !c.succeeded() {
			return false
		}
	}
	return alive.Err() == nil
}

// awaitDeletion has the pod go once somebody deleted it.
func (p *pod) awaitDeletion(ctx context.Context) {
	select {
	case <-p.deleting:
	case <-ctx.Done():
		return
	}
	if p.get().Spec.NodeName != "" || p.wasStarted() {
		// Controllers look at how a pod ended before they let it go.
		if p.wasStarted() {
			p.flush(ctx)
		}
		p.remove(ctx)
	}
	if err := os.RemoveAll(p.folder); err != nil {
		p.node.host.Logf("pod %s/%s: %v", p.namespace, p.name, err)
	}
}

func (p *pod) wasStarted() bool {
	p.mutex.Lock()
	defer p.mutex.Unlock()
	return !p.started.IsZero()
}

// remove deletes the object at last. Finalizers are others' affair.
func (p *pod) remove(ctx context.Context) {
	none := int64(0)
	options := metav1.DeleteOptions{GracePeriodSeconds: &none, Preconditions: &metav1.Preconditions{UID: &p.uid}}
	for wait := 100 * time.Millisecond; p.node.gate.Wait(ctx) == nil; wait = min(2*wait, 2*time.Second) {
		err := p.node.client.CoreV1().Pods(p.namespace).Delete(ctx, p.name, options)
		if err == nil || apierrors.IsNotFound(err) || apierrors.IsConflict(err) {
			return
		}
		if sleep(ctx, wait) != nil {
			return
		}
	}
}

// patchCondition sets one condition while the rest of the status is not this node's yet.
func (p *pod) patchCondition(ctx context.Context, condition corev1.PodCondition) {
	text, err := json.Marshal(map[string]any{
		"metadata": map[string]any{"uid": p.uid},
		"status":   map[string]any{"conditions": []corev1.PodCondition{condition}},
	})
	if err != nil {
		return
	}
	// It says the same again when the reason changes; events tell it too.
	_, _ = p.node.client.CoreV1().Pods(p.namespace).Patch(ctx, p.name, types.StrategicMergePatchType, text,
		metav1.PatchOptions{}, "status")
}
