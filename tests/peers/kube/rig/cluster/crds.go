package cluster

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/yaml"
	"k8s.io/client-go/dynamic"

	"vmferry/tests/peers/kube/rig/host"
)

const (
	crdTimeout = 2 * time.Minute
	crdWorkers = 4
)

var crdResource = schema.GroupVersionResource{
	Group: "apiextensions.k8s.io", Version: "v1", Resource: "customresourcedefinitions",
}

// LoadCRDs creates the definitions of the folder "crds" among the programs, but those of files whose
// name begins with one of `without`, and returns once they are served.
func LoadCRDs(ctx context.Context, h *host.Host, without []string) error {
	ctx, cancel := context.WithTimeout(ctx, crdTimeout)
	defer cancel()
	definitions, err := readCRDs(h.Program("crds"), without)
	if err != nil {
		return err
	}
	client, err := dynamic.NewForConfig(h.Config)
	if err != nil {
		return err
	}
	crds := client.Resource(crdResource)
	if err := createAll(ctx, crds, definitions); err != nil {
		return err
	}
	return waitServed(ctx, crds, len(definitions))
}

func readCRDs(folder string, without []string) ([]*unstructured.Unstructured, error) {
	files, err := filepath.Glob(filepath.Join(folder, "*"))
	if err != nil {
		return nil, err
	}
	var definitions []*unstructured.Unstructured
	for _, file := range files {
		left := false
		for _, prefix := range without {
			left = left || strings.HasPrefix(filepath.Base(file), prefix)
		}
		if left {
			continue
		}
		text, err := os.ReadFile(file)
		if err != nil {
			return nil, err
		}
		// JSON documents one after the other, or YAML documents.
		decoder := yaml.NewYAMLOrJSONDecoder(bytes.NewReader(text), 4096)
		for {
			object := &unstructured.Unstructured{}
			err := decoder.Decode(&object.Object)
			if errors.Is(err, io.EOF) {
				break
			}
			if err != nil {
				return nil, fmt.Errorf("%s: %w", file, err)
			}
			if len(object.Object) > 0 {
				// Not the author's to say, and refused by some versions when it is said.
				unstructured.RemoveNestedField(object.Object, "status")
				definitions = append(definitions, object)
			}
		}
	}
	if len(definitions) == 0 {
		return nil, fmt.Errorf("no custom resource definition in %s", folder)
	}
	return definitions, nil
}

func createAll(ctx context.Context, crds dynamic.ResourceInterface, definitions []*unstructured.Unstructured) error {
	work := make(chan *unstructured.Unstructured)
	failed := make(chan error, len(definitions))
	var workers sync.WaitGroup
	for range crdWorkers {
		workers.Add(1)
		go func() {
			defer workers.Done()
			for definition := range work {
				_, err := crds.Create(ctx, definition, metav1.CreateOptions{})
				if err != nil && !apierrors.IsAlreadyExists(err) {
					failed <- fmt.Errorf("definition %s: %w", definition.GetName(), err)
				}
			}
		}()
	}
	for _, definition := range definitions {
		work <- definition
	}
	close(work)
	workers.Wait()
	close(failed)
	return <-failed
}

// waitServed waits until so many are established.
func waitServed(ctx context.Context, crds dynamic.ResourceInterface, count int) error {
	for {
		list, err := crds.List(ctx, metav1.ListOptions{})
		if err != nil {
			return err
		}
		var waiting []string
		for _, item := range list.Items {
			if !Condition(&item, "Established") {
				waiting = append(waiting, item.GetName())
			}
		}
		if len(waiting) == 0 && len(list.Items) >= count {
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("definitions not established: %v: %w", waiting, ctx.Err())
		case <-time.After(100 * time.Millisecond):
		}
	}
}

// Condition tells whether the object's status has a condition of that type that is True.
func Condition(object *unstructured.Unstructured, kind string) bool {
	conditions, _, _ := unstructured.NestedSlice(object.Object, "status", "conditions")
	for _, condition := range conditions {
		c, ok := condition.(map[string]any)
		if ok && c["type"] == kind && c["status"] == "True" {
			return true
		}
	}
	return false
}
