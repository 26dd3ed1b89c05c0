package runner

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"golang.org/x/sys/unix"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"vmferry/tests/peers/kube/rig/runner/sandbox"
	"vmferry/tests/peers/kube/rig/storage"
	"vmferry/tests/peers/kube/rig/storage/volume"
)

// refreshInterval is how soon a changed Secret is seen in its volume (the kubelet's syncFrequency).
const refreshInterval = time.Minute

// podVolumes are a pod's, as folders and devices of the machine.
type podVolumes struct {
	pod *pod

	mutex    sync.Mutex // guards what follows
	ready    map[string]*podVolume
	released bool
}

// podVolume is one of them.
type podVolume struct {
	spec     *corev1.Volume
	folder   string          // "" for a block device
	attached volume.Attached // of a claim
	handle   string          // to be detached; "" for none
	mounted  bool            // a tmpfs is on the folder
	readOnly bool
	made     *projection // what keeps it fresh; nil for others
}

func newPodVolumes(p *pod) *podVolumes {
	return &podVolumes{pod: p, ready: map[string]*podVolume{}}
}

// make makes those that are not there yet. What is missing is the error; a later call goes on.
func (v *podVolumes) make(ctx context.Context) error {
	v.mutex.Lock()
	defer v.mutex.Unlock()
	object := v.pod.get()
	for i := range object.Spec.Volumes {
		spec := &object.Spec.Volumes[i]
		if v.ready[spec.Name] != nil {
			continue
		}
		made, err := v.makeOne(ctx, object, spec)
		if err != nil {
			return fmt.Errorf("MountVolume.SetUp failed for volume %q : %w", spec.Name, err)
		}
		v.ready[spec.Name] = made
	}
	return nil
}

func (v *podVolumes) makeOne(ctx context.Context, object *corev1.Pod, spec *corev1.Volume) (*podVolume, error) {
	made := &podVolume{spec: spec, folder: filepath.Join(v.pod.folder, "volumes", spec.Name)}
	group := fsGroup(object)
	if name := claimName(object, spec); name != "" {
		return v.makeClaim(ctx, spec, name, group)
	}
	if err := os.MkdirAll(made.folder, 0o755); err != nil {
		return nil, err
	}
	switch {
	case spec.EmptyDir != nil:
		return made, made.makeEmpty(spec.EmptyDir, group)
	case spec.HostPath != nil:
		var err error
		made.folder, err = filepath.EvalSymlinks(spec.HostPath.Path)
		return made, err
	}
	projected, err := newProjection(v.pod, spec)
	if err != nil {
		return nil, err
	}
	made.made, made.readOnly = projected, true
	return made, projected.write(ctx, made.folder, object)
}

func fsGroup(object *corev1.Pod) *int64 {
	if object.Spec.SecurityContext == nil {
		return nil
	}
	return object.Spec.SecurityContext.FSGroup
}

// makeEmpty follows the kubelet: everybody may write to an emptyDir.
func (m *podVolume) makeEmpty(spec *corev1.EmptyDirVolumeSource, group *int64) error {
	if spec.Medium == corev1.StorageMediumMemory {
		options := "mode=0777"
		if spec.SizeLimit != nil {
			options += fmt.Sprintf(",size=%d", spec.SizeLimit.Value())
		}
		if err := unix.Mount("tmpfs", m.folder, "tmpfs", 0, options); err != nil {
			return fmt.Errorf("tmpfs: %w", err)
		}
		m.mounted = true
	}
	if err := os.Chmod(m.folder, 0o777); err != nil {
		return err
	}
	if group == nil {
		return nil
	}
	return giveToGroup(m.folder, int(*group), false)
}

func (v *podVolumes) makeClaim(ctx context.Context, spec *corev1.Volume, name string, group *int64) (*podVolume, error) {
	client := v.pod.node.client.CoreV1()
	claim, err := client.PersistentVolumeClaims(v.pod.namespace).Get(ctx, name, metav1.GetOptions{})
	if err != nil {
		return nil, err
	}
	if claim.Status.Phase != corev1.ClaimBound {
		return nil, fmt.Errorf("claim '%s' is %s", name, claim.Status.Phase)
	}
	bound, err := client.PersistentVolumes().Get(ctx, claim.Spec.VolumeName, metav1.GetOptions{})
	if err != nil {
		return nil, err
	}
	made := &podVolume{spec: spec}
	made.readOnly = spec.PersistentVolumeClaim != nil && spec.PersistentVolumeClaim.ReadOnly
	if err := made.attach(v.pod.node.volumes, bound); err != nil {
		return nil, err
	}
	if made.folder != "" && group != nil && !made.readOnly {
		onlyIfWrong := false
		if context := v.pod.get().Spec.SecurityContext; context.FSGroupChangePolicy != nil {
			onlyIfWrong = *context.FSGroupChangePolicy == corev1.FSGroupChangeOnRootMismatch
		}
		if err := giveVolumeToGroup(made.folder, int(*group), onlyIfWrong); err != nil {
			return nil, errors.Join(err, made.release(v.pod.node.volumes))
		}
	}
	return made, nil
}

// attach makes the claim's volume usable: this driver's, or a folder that a test put there.
func (m *podVolume) attach(store *volume.Store, bound *corev1.PersistentVolume) error {
	source := &bound.Spec.PersistentVolumeSource
	switch {
	case source.CSI != nil && source.CSI.Driver == storage.DriverName:
		attached, err := store.Attach(source.CSI.VolumeHandle)
		if err != nil {
			return err
		}
		m.handle, m.attached, m.folder = source.CSI.VolumeHandle, attached, attached.Folder
		return nil
	case source.HostPath != nil && isFilesystem(bound):
		m.folder = source.HostPath.Path
	case source.Local != nil && isFilesystem(bound):
		m.folder = source.Local.Path
	default:
		return fmt.Errorf("volume '%s' is of a kind that this node cannot mount", bound.Name)
	}
	var err error
	m.folder, err = filepath.EvalSymlinks(m.folder)
	m.attached = volume.Attached{Info: volume.Info{Mode: volume.Filesystem}, Folder: m.folder}
	return err
}

func isFilesystem(bound *corev1.PersistentVolume) bool {
	return bound.Spec.VolumeMode == nil || *bound.Spec.VolumeMode == corev1.PersistentVolumeFilesystem
}

// giveVolumeToGroup is what a kubelet does for fsGroup where the driver leaves it to it.
func giveVolumeToGroup(root string, group int, onlyIfWrong bool) error {
	if onlyIfWrong {
		var info unix.Stat_t
		if err := unix.Stat(root, &info); err != nil {
			return err
		}
		const wanted = unix.S_ISGID | 0o770
		if int(info.Gid) == group && info.Mode&wanted == wanted {
			return nil
		}
	}
	return giveToGroup(root, group, false)
}

// giveToGroup makes everything below root the group's, readable and unless readOnly writable
// (k8s.io/kubernetes/pkg/volume, SetVolumeOwnership).
func giveToGroup(root string, group int, readOnly bool) error {
	return filepath.WalkDir(root, func(name string, entry os.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if err := os.Lchown(name, -1, group); err != nil {
			return err
		}
		if entry.Type()&os.ModeSymlink != 0 {
			return nil
		}
		info, err := entry.Info()
		if err != nil {
			return err
		}
		mode := info.Mode()
		mask := os.FileMode(0o660)
		if readOnly {
			mask = 0o440
		}
		if entry.IsDir() {
			mask |= os.ModeSetgid | 0o110
		}
		return os.Chmod(name, mode|mask)
	})
}

// mount is where a container sees a volume.
func (v *podVolumes) mount(m corev1.VolumeMount, vars []variable) (sandbox.Mount, error) {
	v.mutex.Lock()
	defer v.mutex.Unlock()
	made := v.ready[m.Name]
	if made == nil || made.folder == "" {
		return sandbox.Mount{}, fmt.Errorf("volume mount %q is not a folder", m.Name)
	}
	source := made.folder
	below := m.SubPath
	if m.SubPathExpr != "" {
		below = expand(m.SubPathExpr, vars)
	}
	if below != "" {
		var err error
		if source, err = subPath(source, below, made.readOnly); err != nil {
			return sandbox.Mount{}, fmt.Errorf("failed to prepare subPath for volumeMount %q: %w", m.Name, err)
		}
	}
	return sandbox.Mount{Source: source, Target: m.MountPath, ReadOnly: m.ReadOnly || made.readOnly}, nil
}

// subPath is a file or folder inside a volume, wherever links in it lead; a folder that is not there is
// made.
func subPath(root, below string, readOnly bool) (string, error) {
	if path.IsAbs(below) || !filepath.IsLocal(below) {
		return "", fmt.Errorf("'%s' is not inside the volume", below)
	}
	full := filepath.Join(root, below)
	if _, err := os.Lstat(full); errors.Is(err, os.ErrNotExist) && !readOnly {
		if err := os.MkdirAll(full, 0o750); err != nil {
			return "", err
		}
	}
	real, err := filepath.EvalSymlinks(full)
	if err != nil {
		return "", err
	}
	if realRoot, err := filepath.EvalSymlinks(root); err != nil || !strings.HasPrefix(real, realRoot+"/") {
		return "", fmt.Errorf("'%s' leads out of the volume", below)
	}
	return real, nil
}

// device is a block volume.
func (v *podVolumes) device(name string) (volume.Attached, bool) {
	v.mutex.Lock()
	defer v.mutex.Unlock()
	made := v.ready[name]
	if made == nil || made.attached.Mode != volume.Block {
		return volume.Attached{}, false
	}
	return made.attached, true
}

// keepFresh writes Secrets, ConfigMaps and tokens anew until ctx ends.
func (v *podVolumes) keepFresh(ctx context.Context) {
	for sleep(ctx, refreshInterval) == nil {
		if v.pod.node.gate.Wait(ctx) != nil {
			return
		}
		if err := v.refresh(ctx, false); err != nil && ctx.Err() == nil {
			v.pod.node.recorder.Event(v.pod.get(), corev1.EventTypeWarning, "FailedMount", err.Error())
		}
	}
}

// refresh writes them now. With renew the tokens are new ones, however long the old ones last.
func (v *podVolumes) refresh(ctx context.Context, renew bool) error {
	v.mutex.Lock()
	defer v.mutex.Unlock()
	if v.released {
		return errors.New("the pod has ended")
	}
	for name, made := range v.ready {
		if made.made == nil {
			continue
		}
		if renew {
			made.made.forgetTokens()
		}
		if err := made.made.write(ctx, made.folder, v.pod.get()); err != nil {
			return fmt.Errorf("volume %q: %w", name, err)
		}
	}
	return nil
}

// release gives all back, once no container uses them any more.
func (v *podVolumes) release() error {
	v.mutex.Lock()
	defer v.mutex.Unlock()
	v.released = true
	var all []error
	for name, made := range v.ready {
		all = append(all, made.release(v.pod.node.volumes))
		delete(v.ready, name)
	}
	return errors.Join(all...)
}

func (m *podVolume) release(store *volume.Store) error {
	var err error
	if m.mounted {
		err = unix.Unmount(m.folder, unix.MNT_DETACH)
	}
	if m.handle != "" {
		err = errors.Join(err, store.Detach(m.handle))
	}
	return err
}
