package runner

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"golang.org/x/sys/unix"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"vmferry/tests/peers/kube/rig/runner/sandbox"
)

// A container that ended is started again at once, and after that in these intervals, doubled each
// time: a tenth of a kubelet's.
const (
	firstBackOff = time.Second
	lastBackOff  = 30 * time.Second
)

const configRetry = time.Second

// container is one of a pod.
type container struct {
	pod  *pod
	spec *corev1.Container

	// Guarded by the pod's mutex.
	status   corev1.ContainerStatus
	attempts int32 // that got as far as the runtime
	running  *sandbox.Container
	folder   string // of the last attempt, for its termination message
	log      string // file of the last attempt
	oldLog   string // file of the one before
}

// errConfig is why a container cannot be made; the kubelet tries again.
type errConfig struct{ error }

func newContainer(p *pod, spec *corev1.Container, reason string) *container {
	no := false
	return &container{pod: p, spec: spec, status: corev1.ContainerStatus{
		Name: spec.Name, Image: spec.Image, Started: &no,
		State: corev1.ContainerState{Waiting: &corev1.ContainerStateWaiting{Reason: reason}},
	}}
}

func (c *container) change(edit func(status *corev1.ContainerStatus)) {
	c.pod.mutex.Lock()
	edit(&c.status)
	c.pod.mutex.Unlock()
	c.pod.touch()
}

func (c *container) wait(reason, message string) {
	c.change(func(status *corev1.ContainerStatus) {
		status.State = corev1.ContainerState{Waiting: &corev1.ContainerStateWaiting{Reason: reason, Message: message}}
	})
}

func (c *container) event(kind, reason, text string) {
	c.pod.node.recorder.Event(c.pod.get(), kind, reason, text)
}

func (c *container) succeeded() bool {
	c.pod.mutex.Lock()
	defer c.pod.mutex.Unlock()
	return c.status.State.Terminated != nil && c.status.State.Terminated.ExitCode == 0
}

// neverRan says what a kubelet says of a container that its pod's end found waiting. The caller holds
// the pod's mutex.
func (c *container) neverRan() {
	if c.status.State.Waiting == nil {
		return
	}
	if last := c.status.LastTerminationState.Terminated; last != nil {
		c.status.State = corev1.ContainerState{Terminated: last}
		return
	}
	c.status.State = corev1.ContainerState{Terminated: &corev1.ContainerStateTerminated{
		ExitCode: 137, Reason: "ContainerStatusUnknown",
		Message: "The container could not be located when the pod was terminated",
	}}
}

// run starts the container, again as its policy has it, until it is done or the pod has to end.
func (c *container) run(alive context.Context) {
	backOff := time.Duration(0)
	for alive.Err() == nil {
		program, ok := c.image(alive)
		if !ok {
			return
		}
		status, err := c.once(alive, program)
		var config errConfig
		if errors.As(err, &config) {
			c.wait("CreateContainerConfigError", err.Error())
			c.event(corev1.EventTypeWarning, "Failed", "Error: "+err.Error())
			if sleep(alive, configRetry) != nil {
				return
			}
			continue
		}
		if alive.Err() != nil || !c.again(status) {
			return
		}
		if backOff > 0 {
			c.backOff(backOff)
			if sleep(alive, backOff) != nil {
				return
			}
		}
		backOff = min(max(2*backOff, firstBackOff), lastBackOff)
	}
}

// again tells whether the restart policy wants the container back.
func (c *container) again(status int32) bool {
	policy := c.pod.get().Spec.RestartPolicy
	for _, other := range c.pod.initContainers {
		if other == c {
			return status != 0 && policy != corev1.RestartPolicyNever
		}
	}
	return comesBack(policy, status)
}

func (c *container) backOff(duration time.Duration) {
	text := fmt.Sprintf("back-off %v restarting failed container=%s pod=%s_%s(%s)", duration, c.spec.Name,
		c.pod.name, c.pod.namespace, c.pod.uid)
	c.change(func(status *corev1.ContainerStatus) {
		status.LastTerminationState = status.State
		status.State = corev1.ContainerState{Waiting: &corev1.ContainerStateWaiting{Reason: "CrashLoopBackOff", Message: text}}
	})
	c.event(corev1.EventTypeWarning, "BackOff", "Back-off restarting failed container "+c.spec.Name)
}

// once is one attempt: its exit status, or why there was none.
func (c *container) once(alive context.Context, program string) (int32, error) {
	if err := c.pod.node.gate.Wait(alive); err != nil {
		return 0, err
	}
	attempt := c.nextAttempt()
	folder := filepath.Join(c.pod.folder, "containers", c.spec.Name, fmt.Sprint(attempt))
	root := filepath.Join(folder, "root")
	if err := os.MkdirAll(root, 0o755); err != nil {
		return 0, errConfig{err}
	}
	defer os.RemoveAll(root)
	messages := filepath.Join(folder, "termination-log")
	if err := makeWritable(messages); err != nil {
		return 0, errConfig{err}
	}
	spec, err := c.makeSpec(alive, program, root, messages)
	if err != nil {
		return 0, errConfig{err}
	}
	log, err := newLog(filepath.Join(c.pod.node.logs, c.pod.namespace, c.pod.name+"_"+string(c.pod.uid)),
		fmt.Sprintf("%s_%d.log", c.spec.Name, attempt))
	if err != nil {
		return 0, errConfig{err}
	}
	c.pod.mutex.Lock()
	c.folder, c.oldLog, c.log = folder, c.log, log.path
	c.attempts++
	c.status.RestartCount = attempt
	c.pod.mutex.Unlock()
	c.event(corev1.EventTypeNormal, "Created", "Created container: "+c.spec.Name)
	running, err := sandbox.Start(spec, log.stdout, log.stderr)
	log.started()
	if err != nil {
		log.close()
		return c.notStarted(attempt, err), nil
	}
	c.started(attempt, running)
	return c.await(alive, attempt, running, log), nil
}

func makeWritable(path string) error {
	if err := os.WriteFile(path, nil, 0o666); err != nil {
		return err
	}
	return os.Chmod(path, 0o666) // whatever the umask: the container's user writes it
}

// nextAttempt numbers the attempt: what ran before becomes the last state.
func (c *container) nextAttempt() int32 {
	c.pod.mutex.Lock()
	defer c.pod.mutex.Unlock()
	if c.status.State.Terminated != nil {
		c.status.LastTerminationState = c.status.State
	}
	return c.attempts
}

func (c *container) id(attempt int32) string {
	return fmt.Sprintf("kube-rig://%s/%s/%d", c.pod.uid, c.spec.Name, attempt)
}

func (c *container) started(attempt int32, running *sandbox.Container) {
	yes := true
	c.change(func(status *corev1.ContainerStatus) {
		c.running = running
		status.State = corev1.ContainerState{Running: &corev1.ContainerStateRunning{StartedAt: metav1.Now()}}
		status.ContainerID = c.id(attempt)
		status.ImageID = c.spec.Image
		status.Started = &yes
		status.Ready = c.spec.ReadinessProbe == nil
	})
	c.event(corev1.EventTypeNormal, "Started", "Started container "+c.spec.Name)
}

func (c *container) notStarted(attempt int32, reason error) int32 {
	text := "failed to create containerd task: failed to create shim task: OCI runtime create failed: runc create failed: " +
		"unable to start container process: " + reason.Error()
	c.event(corev1.EventTypeWarning, "Failed", "Error: "+text)
	const status = 128 // containerd's for what could not be started
	c.change(func(s *corev1.ContainerStatus) {
		s.ContainerID = c.id(attempt)
		s.ImageID = c.spec.Image
		s.State = corev1.ContainerState{Terminated: &corev1.ContainerStateTerminated{
			ExitCode: status, Reason: "StartError", Message: text, ContainerID: c.id(attempt),
			StartedAt: metav1.Unix(0, 0), FinishedAt: metav1.Now(),
		}}
	})
	return status
}

// await returns the exit status once the container has ended; it ends it when the pod has to.
func (c *container) await(alive context.Context, attempt int32, running *sandbox.Container, log *logFiles) int32 {
	ended := make(chan int, 1)
	go func() { ended <- running.Wait() }()
	probing, stopProbing := context.WithCancel(alive)
	defer stopProbing()
	if c.spec.ReadinessProbe != nil {
		go c.probe(probing, running.Pid())
	}
	var status int
	select {
	case status = <-ended:
	case <-alive.Done():
		status = c.terminate(running, ended)
	}
	stopProbing()
	log.close()
	c.finished(attempt, int32(status))
	return int32(status)
}

func (c *container) terminate(running *sandbox.Container, ended <-chan int) int {
	c.event(corev1.EventTypeNormal, "Killing", "Stopping container "+c.spec.Name)
	_ = running.Signal(unix.SIGTERM)
	begun := time.Now()
	for {
		select {
		case status := <-ended:
			return status
		case <-time.After(50 * time.Millisecond): // the grace may be shortened while it runs
			if time.Since(begun) >= c.pod.graceNow() {
				_ = running.Signal(unix.SIGKILL)
				return <-ended
			}
		}
	}
}

func (c *container) finished(attempt, status int32) {
	reason := "Completed"
	if status != 0 {
		reason = "Error"
	}
	no := false
	message := c.terminationMessage(status)
	c.change(func(s *corev1.ContainerStatus) {
		c.running = nil
		startedAt := metav1.Now()
		if s.State.Running != nil {
			startedAt = s.State.Running.StartedAt
		}
		s.State = corev1.ContainerState{Terminated: &corev1.ContainerStateTerminated{
			ExitCode: status, Reason: reason, Message: message, StartedAt: startedAt, FinishedAt: metav1.Now(),
			ContainerID: c.id(attempt),
		}}
		s.Ready = false
		s.Started = &no
	})
}

// Limits of a termination message (k8s.io/kubernetes/pkg/kubelet/container, MaxContainerTerminationMessage...).
const (
	messageLimit      = 4096
	messageLogLimit   = 2048
	messageLogLines   = 80
	defaultMessageLog = "/dev/termination-log"
)

func (c *container) terminationMessage(status int32) string {
	c.pod.mutex.Lock()
	folder, log := c.folder, c.log
	c.pod.mutex.Unlock()
	text, err := readHead(filepath.Join(folder, "termination-log"), messageLimit)
	if err != nil {
		return fmt.Sprintf("Error on reading termination log: %v", err)
	}
	if len(text) > 0 || status == 0 || c.spec.TerminationMessagePolicy != corev1.TerminationMessageFallbackToLogsOnError {
		return strings.ToValidUTF8(string(text), "\uFFFD")
	}
	tail, err := tailText(log, messageLogLines, messageLogLimit)
	if err != nil {
		return fmt.Sprintf("Error reading termination message from logs: %v", err)
	}
	return tail
}

// image is the program of the container's image. An image that nobody has is what the container waits
// for until the pod ends.
func (c *container) image(alive context.Context) (string, bool) {
	if program := c.pod.node.host.Images[imageName(c.spec.Image)]; program != "" {
		c.event(corev1.EventTypeNormal, "Pulled", fmt.Sprintf("Container image %q already present on machine", c.spec.Image))
		return program, true
	}
	if c.spec.ImagePullPolicy == corev1.PullNever {
		c.wait("ErrImageNeverPull", fmt.Sprintf("Container image %q is not present with pull policy of Never", c.spec.Image))
		<-alive.Done()
		return "", false
	}
	text := fmt.Sprintf("failed to pull and unpack image %q: failed to resolve reference %q: not found", c.spec.Image, c.spec.Image)
	c.event(corev1.EventTypeNormal, "Pulling", fmt.Sprintf("Pulling image %q", c.spec.Image))
	c.event(corev1.EventTypeWarning, "Failed", fmt.Sprintf("Failed to pull image %q: %s", c.spec.Image, text))
	c.wait("ErrImagePull", text)
	if sleep(alive, time.Second) == nil {
		c.event(corev1.EventTypeNormal, "BackOff", fmt.Sprintf("Back-off pulling image %q", c.spec.Image))
		c.wait("ImagePullBackOff", fmt.Sprintf("Back-off pulling image %q: ErrImagePull: %s", c.spec.Image, text))
		<-alive.Done()
	}
	return "", false
}

// imageName is a reference's last part without tag and digest.
func imageName(reference string) string {
	reference, _, _ = strings.Cut(reference, "@")
	reference = reference[strings.LastIndex(reference, "/")+1:]
	name, _, _ := strings.Cut(reference, ":")
	return name
}
