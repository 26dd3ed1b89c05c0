// Command cdi-crds prints what CDI's operator would create, as JSON, one object a line:
//
//	cdi-crds crds     the custom resource definitions
//	cdi-crds objects  service accounts, roles, bindings, services, webhooks, the APIService
//	cdi-crds version  the version of CDI that this was built from
//
// The objects come from the functions that the operator calls. Its Deployments are left out: the
// test cluster runs their programs itself.
package main

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"runtime/debug"
	"sort"

	"kubevirt.io/containerized-data-importer/pkg/operator/resources"
	"kubevirt.io/containerized-data-importer/pkg/operator/resources/cluster"
	"kubevirt.io/containerized-data-importer/pkg/operator/resources/namespaced"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/yaml"
)

const (
	module    = "kubevirt.io/containerized-data-importer"
	namespace = "cdi"
)

func main() {
	out := bufio.NewWriter(os.Stdout)
	err := run(os.Args[1:], out)
	if err == nil {
		err = out.Flush()
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "cdi-crds:", err)
		os.Exit(1)
	}
}

func run(args []string, out io.Writer) error {
	if len(args) != 1 {
		return errors.New("usage: cdi-crds crds|objects|version")
	}
	switch args[0] {
	case "crds":
		return printCRDs(out)
	case "objects":
		return printObjects(out)
	case "version":
		return printVersion(out)
	}
	return fmt.Errorf("unknown command '%s'", args[0])
}

func printCRDs(out io.Writer) error {
	names := make([]string, 0, len(resources.CDICRDs))
	for name := range resources.CDICRDs {
		names = append(names, name)
	}
	sort.Strings(names)
	for _, name := range names {
		var object map[string]any
		if err := yaml.Unmarshal([]byte(resources.CDICRDs[name]), &object); err != nil {
			return fmt.Errorf("CRD '%s': %w", name, err)
		}
		if err := emit(out, object); err != nil {
			return err
		}
	}
	return nil
}

func printObjects(out io.Writer) error {
	var all []client.Object
	for _, group := range []string{"apiserver-rbac", "controller-rbac", "uploadproxy-rbac", "aggregate-roles"} {
		objects, err := cluster.CreateStaticResourceGroup(group, &cluster.FactoryArgs{Namespace: namespace})
		if err != nil {
			return err
		}
		all = append(all, objects...)
	}
	// Without a client these carry no CA bundle.
	objects, err := cluster.CreateAllDynamicResources(&cluster.FactoryArgs{Namespace: namespace})
	if err != nil {
		return err
	}
	all = append(all, objects...)
	for _, group := range []string{"apiserver", "controller", "uploadproxy"} {
		objects, err := namespaced.CreateResourceGroup(group, &namespaced.FactoryArgs{Namespace: namespace})
		if err != nil {
			return err
		}
		all = append(all, objects...)
	}
	for _, o := range all {
		kind := o.GetObjectKind().GroupVersionKind().Kind
		if kind == "" {
			return fmt.Errorf("'%s' (%T) has no kind", o.GetName(), o)
		}
		if kind == "Deployment" {
			continue
		}
		if err := emit(out, o); err != nil {
			return err
		}
	}
	return nil
}

// emit leaves out what a server would only prune or refuse: an empty status, a null time.
func emit(out io.Writer, object any) error {
	text, err := json.Marshal(object)
	if err != nil {
		return err
	}
	var tree map[string]any
	if err := json.Unmarshal(text, &tree); err != nil {
		return err
	}
	delete(tree, "status")
	if metadata, ok := tree["metadata"].(map[string]any); ok {
		delete(metadata, "creationTimestamp")
	}
	return json.NewEncoder(out).Encode(tree)
}

func printVersion(out io.Writer) error {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return errors.New("built without module information")
	}
	for _, dependency := range info.Deps {
		if dependency.Path == module {
			_, err := fmt.Fprintln(out, dependency.Version)
			return err
		}
	}
	return fmt.Errorf("'%s' is not in this program", module)
}
