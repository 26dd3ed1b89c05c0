// Command kubevirt-peer is KubeVirt's part of the test cluster: its custom resource definitions and
// webhook configurations as text, and its virt-api and virt-controller as they are.
package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"runtime/debug"

	apiextensions "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	"kubevirt.io/client-go/log"
	"kubevirt.io/kubevirt/pkg/service"
	virtapi "kubevirt.io/kubevirt/pkg/virt-api"
	"kubevirt.io/kubevirt/pkg/virt-controller/watch"
	"kubevirt.io/kubevirt/pkg/virt-operator/resource/generate/components"
)

const usage = `usage: kubevirt-peer crds | webhooks NAMESPACE | apiservices NAMESPACE | version
       kubevirt-peer virt-api|virt-controller ARGUMENT...`

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
	case len(args) == 1 && args[0] == "version":
		return printVersion(out)
	case len(args) == 2 && args[0] == "webhooks":
		return printLines(out, components.NewVirtAPIMutatingWebhookConfiguration(args[1]),
			components.NewVirtAPIValidatingWebhookConfiguration(args[1]))
	case len(args) == 2 && args[0] == "apiservices":
		for _, service := range components.NewVirtAPIAPIServices(args[1]) {
			if err := printLines(out, service); err != nil {
				return err
			}
		}
		return nil
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

// printVersion writes the version of KubeVirt's module that is linked in.
func printVersion(out io.Writer) error {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return errors.New("no build information")
	}
	for _, module := range info.Deps {
		if module.Path == "kubevirt.io/kubevirt" {
			_, err := fmt.Fprintln(out, module.Version)
			return err
		}
	}
	return errors.New("kubevirt.io/kubevirt is not linked in")
}
