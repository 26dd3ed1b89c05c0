// Package storage is the cluster's storage driver: it provisions and deletes volumes and snapshots
// for StorageClasses and VolumeSnapshotClasses of its name. The control plane's own controllers bind
// claims; the driver does what an external provisioner and snapshotter do.
package storage

import (
	"context"
	"fmt"
	"path/filepath"
	"strconv"
	"time"

	corev1 "k8s.io/api/core/v1"
	storagev1 "k8s.io/api/storage/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/kubernetes/scheme"
	typedcorev1 "k8s.io/client-go/kubernetes/typed/core/v1"
	"k8s.io/client-go/tools/cache"
	"k8s.io/client-go/tools/record"

	"vmferry/tests/peers/kube/rig/host"
	"vmferry/tests/peers/kube/rig/storage/volume"
)

// DriverName is the provisioner of the StorageClasses and the driver of the VolumeSnapshotClasses.
const DriverName = "rig.vmferry.io"

// PopulatedName is a second provisioner that this driver answers to. It has a CSIDriver object, by
// which CDI tells drivers whose claims it may let its populators fill.
const PopulatedName = "populated.rig.vmferry.io"

// SnapshotClassName is the VolumeSnapshotClass that is there from the start.
const SnapshotClassName = "rig-snap"

// Parameters of a class.
const (
	parameterMode    = "mode"    // claim property sets of the StorageProfile: Filesystem, Block, Both
	parameterFault   = "fault"   // never, fail
	parameterMessage = "message" // what fault=fail says
	parameterDelay   = "delayMs" // before a volume or a snapshot is made
	parameterLimited = "limited" // "true": Filesystem volumes that are full at their size
)

type driver struct {
	host     *host.Host
	client   kubernetes.Interface
	dynamic  dynamic.Interface
	volumes  *volume.Store
	gate     *host.Gate
	recorder record.EventRecorder
}

// OpenStore is where the volumes are: the node needs it too.
func OpenStore(h *host.Host) (*volume.Store, error) {
	return volume.Open(filepath.Join(h.Dir, "volumes"))
}

// Start returns once the storage classes are there; the rest goes on in h.Go until ctx ends.
func Start(ctx context.Context, h *host.Host) error {
	d, err := newDriver(ctx, h)
	if err != nil {
		return fmt.Errorf("storage: %w", err)
	}
	csi := &storagev1.CSIDriver{ObjectMeta: metav1.ObjectMeta{Name: PopulatedName}}
	_, err = d.client.StorageV1().CSIDrivers().Create(ctx, csi, metav1.CreateOptions{})
	if err != nil && !apierrors.IsAlreadyExists(err) {
		return fmt.Errorf("storage: CSI driver '%s': %w", csi.Name, err)
	}
	for _, class := range classes() {
		_, err := d.client.StorageV1().StorageClasses().Create(ctx, class, metav1.CreateOptions{})
		if err != nil && !apierrors.IsAlreadyExists(err) {
			return fmt.Errorf("storage: class '%s': %w", class.Name, err)
		}
	}
	h.Control.HandleFunc("GET /volumes/{namespace}/{claim}", d.serveVolume)
	h.Go(ctx, "storage: claims", d.runClaims)
	h.Go(ctx, "storage: volumes", d.runVolumes)
	h.Go(ctx, "storage: snapshots", d.runSnapshots)
	h.Go(ctx, "storage: profiles", d.runProfiles)
	return nil
}

func newDriver(ctx context.Context, h *host.Host) (*driver, error) {
	d := &driver{host: h, gate: h.Gate("storage")}
	var err error
	if d.client, err = kubernetes.NewForConfig(h.Config); err != nil {
		return nil, err
	}
	if d.dynamic, err = dynamic.NewForConfig(h.Config); err != nil {
		return nil, err
	}
	if d.volumes, err = OpenStore(h); err != nil {
		return nil, err
	}
	broadcaster := record.NewBroadcaster(record.WithContext(ctx))
	broadcaster.StartRecordingToSink(&typedcorev1.EventSinkImpl{Interface: d.client.CoreV1().Events("")})
	d.recorder = broadcaster.NewRecorder(scheme.Scheme, corev1.EventSource{Component: DriverName})
	return d, nil
}

// classes are the StorageClasses that are there from the start.
func classes() []*storagev1.StorageClass {
	immediate, waiting := storagev1.VolumeBindingImmediate, storagev1.VolumeBindingWaitForFirstConsumer
	list := []*storagev1.StorageClass{
		newClass("rig-fs", immediate, parameterMode, volume.Filesystem),
		newClass("rig-wffc", waiting, parameterMode, volume.Filesystem),
		newClass("rig-block", immediate, parameterMode, volume.Block),
		newClass("rig-block-wffc", waiting, parameterMode, volume.Block),
		newClass("rig-ext4", immediate, parameterMode, volume.Filesystem, parameterLimited, "true"),
		newClass("rig-never", immediate, parameterMode, volume.Filesystem, parameterFault, "never"),
		newClass("rig-fail", immediate, parameterMode, volume.Filesystem, parameterFault, "fail"),
		newClass("rig-populated", immediate, parameterMode, volume.Filesystem),
	}
	list[len(list)-1].Provisioner = PopulatedName
	list[0].Annotations = map[string]string{"storageclass.kubernetes.io/is-default-class": "true"}
	return list
}

func newClass(name string, binding storagev1.VolumeBindingMode, parameters ...string) *storagev1.StorageClass {
	reclaim := corev1.PersistentVolumeReclaimDelete
	class := &storagev1.StorageClass{
		ObjectMeta:        metav1.ObjectMeta{Name: name},
		Provisioner:       DriverName,
		Parameters:        map[string]string{},
		ReclaimPolicy:     &reclaim,
		VolumeBindingMode: &binding,
	}
	for i := 0; i < len(parameters); i += 2 {
		class.Parameters[parameters[i]] = parameters[i+1]
	}
	return class
}

// answersTo says whether a provisioner is this driver.
func answersTo(provisioner string) bool {
	return provisioner == DriverName || provisioner == PopulatedName
}

// obstruct is what the parameters of a class put in the way.
func obstruct(ctx context.Context, parameters map[string]string) error {
	if text := parameters[parameterDelay]; text != "" {
		delay, err := strconv.ParseUint(text, 10, 31)
		if err != nil {
			return fmt.Errorf("parameter %s is '%s', not milliseconds", parameterDelay, text)
		}
		select {
		case <-time.After(time.Duration(delay) * time.Millisecond):
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	switch fault := parameters[parameterFault]; fault {
	case "", "never": // never is seen to before anything is begun
		return nil
	case "fail":
		text := parameters[parameterMessage]
		if text == "" {
			text = "not enough free space in pool 'rig'"
		}
		return fmt.Errorf("rpc error: code = ResourceExhausted desc = %s", text)
	default:
		return fmt.Errorf("parameter %s is '%s', not 'never' or 'fail'", parameterFault, fault)
	}
}

// watch calls enqueue with the key of each object that comes or changes.
func (d *driver) watch(ctx context.Context, resource string, example runtime.Object, enqueue func(key string)) cache.SharedIndexInformer {
	var rest cache.Getter = d.client.CoreV1().RESTClient()
	source := cache.NewListWatchFromClient(rest, resource, metav1.NamespaceAll, fields.Everything())
	return inform(ctx, source, example, enqueue, nil)
}

func inform(ctx context.Context, source cache.ListerWatcher, example runtime.Object,
	enqueue func(key string), deleted func(object any)) cache.SharedIndexInformer {
	informer := cache.NewSharedIndexInformer(source, example, 0, cache.Indexers{})
	put := func(object any) {
		if key, err := cache.MetaNamespaceKeyFunc(object); err == nil {
			enqueue(key)
		}
	}
	_, _ = informer.AddEventHandler(cache.ResourceEventHandlerFuncs{
		AddFunc:    put,
		UpdateFunc: func(_, object any) { put(object) },
		DeleteFunc: func(object any) {
			if last, ok := object.(cache.DeletedFinalStateUnknown); ok {
				object = last.Obj
			}
			if deleted != nil {
				deleted(object)
			}
		},
	})
	go informer.RunWithContext(ctx)
	return informer
}
