//go:build crds

// The custom resource definitions of these two come as YAML files in their modules; the build
// script takes them from there. The imports keep both in go.mod and their sums in go.sum.
package main

import (
	_ "github.com/k8snetworkplumbingwg/network-attachment-definition-client/pkg/apis/k8s.cni.cncf.io/v1"
	_ "github.com/kubernetes-csi/external-snapshotter/client/v8/apis/volumesnapshot/v1"
)
