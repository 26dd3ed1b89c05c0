// Command kubevirt-peer is KubeVirt's part of the test cluster: its custom resource definitions and
// webhook configurations as text, and its virt-api and virt-controller as they are.
package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"runtime"
	"runtime/debug"

	corev1 "k8s.io/api/core/v1"
	apiextensions "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	v1 "kubevirt.io/api/core/v1"
	"kubevirt.io/client-go/log"
	"kubevirt.io/kubevirt/pkg/service"
	virtapi "kubevirt.io/kubevirt/pkg/virt-api"
	"kubevirt.io/kubevirt/pkg/virt-controller/watch"
	"kubevirt.io/kubevirt/pkg/virt-operator/resource/generate/components"
)

const (
	usage     = "usage: kubevirt-peer crds|objects | virt-api|virt-controller ARGUMENT..."
	namespace = "kubevirt"
)

func main() {
	if err := run(os.Args[1:], os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "kubevirt-peer:", err)
		os.Exit(2)
	}
}

func run(args []string, out io.Writer) error {
	switch {
	case len(args) == 1 && args[0] == "crds":
		return printCRDs(out)
	case len(args) == 1 && args[0] == "objects":
		return printObjects(out)
	case len(args) > 0 && args[0] == "virt-api":
		os.Args = args
		log.InitializeLogging("virt-api")
		app := virtapi.NewVirtApi()
		service.Setup(app)
		app.Execute()
		return nil
	case len(args) > 0 && args[0] == "virt-controller":
		os.Args = args
		watch.Execute()
		return nil
	}
	return errors.New(usage)
}

// printLines writes one object a line.
func printLines(out io.Writer, objects ...any) error {
	encoder := json.NewEncoder(out)
	for _, object := range objects {
		if err := encoder.Encode(object); err != nil {
			return err
		}
	}
	return nil
}

func printCRDs(out io.Writer) error {
	for _, newCRD := range []func() (*apiextensions.CustomResourceDefinition, error){
		components.NewVirtualMachineInstanceCrd,
		components.NewVirtualMachineCrd,
		components.NewPresetCrd,
		components.NewReplicaSetCrd,
		components.NewVirtualMachineInstanceMigrationCrd,
		components.NewKubeVirtCrd,
		components.NewVirtualMachinePoolCrd,
		components.NewVirtualMachineSnapshotCrd,
		components.NewVirtualMachineSnapshotContentCrd,
		components.NewVirtualMachineRestoreCrd,
		components.NewVirtualMachineExportCrd,
		components.NewVirtualMachineBackupCrd,
		components.NewVirtualMachineBackupTrackerCrd,
		components.NewVirtualMachineInstancetypeCrd,
		components.NewVirtualMachineClusterInstancetypeCrd,
		components.NewVirtualMachinePreferenceCrd,
		components.NewVirtualMachineClusterPreferenceCrd,
		components.NewMigrationPolicyCrd,
		components.NewVirtualMachineCloneCrd,
	} {
		crd, err := newCRD()
		if err != nil {
			return err
		}
		if err := printLines(out, crd); err != nil {
			return err
		}
	}
	return nil
}

// printObjects writes what virt-operator would register virt-api with, and a KubeVirt object whose
// status names the version of KubeVirt's module that is linked in.
func printObjects(out io.Writer) error {
	version, err := moduleVersion()
	if err != nil {
		return err
	}
	kubevirt := &v1.KubeVirt{
		TypeMeta:   metav1.TypeMeta{APIVersion: v1.GroupVersion.String(), Kind: "KubeVirt"},
		ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: "kubevirt"},
		Status: v1.KubeVirtStatus{
			Phase:                   v1.KubeVirtPhaseDeployed,
			OperatorVersion:         version,
			TargetKubeVirtVersion:   version,
			ObservedKubeVirtVersion: version,
			DefaultArchitecture:     runtime.GOARCH,
			Conditions: []v1.KubeVirtCondition{
				{Type: v1.KubeVirtConditionAvailable, Status: corev1.ConditionTrue, Reason: "AllComponentsReady"},
				{Type: v1.KubeVirtConditionProgressing, Status: corev1.ConditionFalse, Reason: "AllComponentsReady"},
				{Type: v1.KubeVirtConditionDegraded, Status: corev1.ConditionFalse, Reason: "AllComponentsReady"},
			},
		},
	}
	objects := []any{
		kubevirt,
		components.NewVirtAPIMutatingWebhookConfiguration(namespace),
		components.NewVirtAPIValidatingWebhookConfiguration(namespace),
	}
	for _, service := range components.NewVirtAPIAPIServices(namespace) {
		objects = append(objects, service)
	}
	return printLines(out, objects...)
}

func moduleVersion() (string, error) {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return "", errors.New("no build information")
	}
	for _, module := range info.Deps {
		if module.Path == "kubevirt.io/kubevirt" {
			return module.Version, nil
		}
	}
	return "", errors.New("kubevirt.io/kubevirt is not linked in")
}
