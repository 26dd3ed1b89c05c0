package storage

import (
	"context"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"

	"vmferry/tests/peers/kube/rig/storage/volume"
)

func TestSourcesThatAreThisDrivers(t *testing.T) {
	reference := func(group, kind string) *corev1.TypedObjectReference {
		return &corev1.TypedObjectReference{APIGroup: &group, Kind: kind, Name: "x"}
	}
	for name, c := range map[string]struct {
		source *corev1.TypedObjectReference
		want   bool
	}{
		"none":               {nil, true},
		"claim":              {&corev1.TypedObjectReference{Kind: "PersistentVolumeClaim"}, true},
		"snapshot":           {reference("snapshot.storage.k8s.io", "VolumeSnapshot"), true},
		"populator":          {reference("cdi.kubevirt.io", "VolumeUploadSource"), false},
		"another's snapshot": {reference("example.com", "VolumeSnapshot"), false},
		"another's claim":    {reference("example.com", "PersistentVolumeClaim"), false},
	} {
		if got := isOurs(c.source); got != c.want {
			t.Errorf("%s: %v", name, got)
		}
	}
}

func TestParametersThatObstruct(t *testing.T) {
	for name, c := range map[string]struct {
		parameters map[string]string
		want       string // in the error; "" for none
	}{
		"none":          {nil, ""},
		"fault":         {map[string]string{"fault": "fail"}, "code = ResourceExhausted desc = not enough free space"},
		"with message":  {map[string]string{"fault": "fail", "message": "no such pool"}, "desc = no such pool"},
		"unknown fault": {map[string]string{"fault": "sometimes"}, "'sometimes'"},
		"no number":     {map[string]string{"delayMs": "soon"}, "'soon', not milliseconds"},
	} {
		err := obstruct(context.Background(), c.parameters)
		if (err == nil) != (c.want == "") || err != nil && !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestDelayEndsWithTheContext(t *testing.T) {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	begun := time.Now()
	if err := obstruct(ctx, map[string]string{"delayMs": "3600000"}); err == nil || time.Since(begun) > time.Minute {
		t.Errorf("%v after %v", err, time.Since(begun))
	}
}

func TestClassesHaveOneDefaultAndModesThatAreKnown(t *testing.T) {
	defaults := 0
	for _, class := range classes() {
		if class.Annotations["storageclass.kubernetes.io/is-default-class"] == "true" {
			defaults++
		}
		if sets, err := claimPropertySets(class.Parameters[parameterMode]); err != nil || len(sets) == 0 {
			t.Errorf("%s: %v, %v", class.Name, sets, err)
		}
	}
	if defaults != 1 {
		t.Errorf("%d default classes", defaults)
	}
	if sets, err := claimPropertySets("Both"); err != nil || len(sets) != 3 {
		t.Errorf("%v, %v", sets, err)
	}
	if _, err := claimPropertySets("Tape"); err == nil {
		t.Error("Tape is a mode")
	}
}

func TestVolumeIsTheClaimsAndAsLargeAsAskedFor(t *testing.T) {
	class := classes()[0]
	mode := corev1.PersistentVolumeFilesystem
	claim := &corev1.PersistentVolumeClaim{}
	claim.Namespace, claim.Name, claim.UID = "n", "c", "u"
	claim.Spec.VolumeMode = &mode
	made := newVolume("pvc-u", claim, class)
	ref := made.Spec.ClaimRef
	if ref.Namespace != "n" || ref.Name != "c" || ref.UID != "u" || made.Spec.CSI.VolumeHandle != "pvc-u" ||
		made.Spec.CSI.FSType != "ext4" || made.Spec.PersistentVolumeReclaimPolicy != corev1.PersistentVolumeReclaimDelete {
		t.Errorf("%+v", made.Spec)
	}
	block := corev1.PersistentVolumeBlock
	claim.Spec.VolumeMode = &block
	if made = newVolume("pvc-u", claim, class); made.Spec.CSI.FSType != "" || string(*made.Spec.VolumeMode) != volume.Block {
		t.Errorf("%+v", made.Spec)
	}
}
