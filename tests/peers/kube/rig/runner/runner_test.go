package runner

import (
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"

	"vmferry/tests/peers/kube/rig/host"
	"vmferry/tests/peers/kube/rig/runner/sandbox"
)

func TestImageNames(t *testing.T) {
	for reference, want := range map[string]string{
		"vmferry": "vmferry", "vmferry:1.0": "vmferry", "registry:5000/a/vmferry": "vmferry",
		"registry.example.com:5000/a/b/vmferry:v1@sha256:00": "vmferry", "vmferry@sha256:00": "vmferry", "": "",
	} {
		if got := imageName(reference); got != want {
			t.Errorf("'%s': '%s'", reference, got)
		}
	}
}

func TestExpansion(t *testing.T) {
	vars := []variable{{"A", "1"}, {"B", "$(A)"}, {"EMPTY", ""}}
	for text, want := range map[string]string{
		"$(A)": "1", "x$(A)y$(A)": "x1y1", "$(NONE)": "$(NONE)", "$$(A)": "$(A)", "$$$(A)": "$1",
		"$A": "$A", "$": "$", "$(A": "$(A", "$(B)": "$(A)", "$(EMPTY)": "", "$$": "$", "a$": "a$", "$()": "$()",
	} {
		if got := expand(text, vars); got != want {
			t.Errorf("'%s': '%s', not '%s'", text, got, want)
		}
	}
}

func TestMergeKeepsTheFirstPlaceAndTheLastValue(t *testing.T) {
	got := merge([]variable{{"A", "1"}, {"B", "2"}}, []variable{{"A", "3"}, {"C", "4"}})
	if !slices.Equal(got, []variable{{"A", "3"}, {"B", "2"}, {"C", "4"}}) {
		t.Errorf("%v", got)
	}
}

func ended(status int32) corev1.ContainerStatus {
	return corev1.ContainerStatus{State: corev1.ContainerState{Terminated: &corev1.ContainerStateTerminated{ExitCode: status}}}
}

func waits() corev1.ContainerStatus {
	return corev1.ContainerStatus{State: corev1.ContainerState{Waiting: &corev1.ContainerStateWaiting{}}}
}

func TestPhases(t *testing.T) {
	runs := corev1.ContainerStatus{State: corev1.ContainerState{Running: &corev1.ContainerStateRunning{}}}
	backs := waits()
	backs.LastTerminationState = ended(1).State
	const never, onFailure, always = corev1.RestartPolicyNever, corev1.RestartPolicyOnFailure, corev1.RestartPolicyAlways
	type list = []corev1.ContainerStatus
	for i, c := range []struct {
		policy            corev1.RestartPolicy
		inits, containers list
		over              bool
		want              corev1.PodPhase
	}{
		{never, nil, list{waits()}, false, corev1.PodPending},
		{never, nil, list{runs, waits()}, false, corev1.PodPending},
		{never, nil, list{runs, ended(1)}, false, corev1.PodRunning},
		{never, nil, list{ended(0), ended(1)}, false, corev1.PodFailed},
		{never, nil, list{ended(0), ended(0)}, false, corev1.PodSucceeded},
		{onFailure, nil, list{ended(1)}, false, corev1.PodRunning},
		{onFailure, nil, list{ended(0)}, false, corev1.PodSucceeded},
		{onFailure, nil, list{backs}, false, corev1.PodRunning},
		{onFailure, nil, list{ended(1)}, true, corev1.PodFailed},
		{always, nil, list{ended(0)}, false, corev1.PodRunning},
		{always, nil, list{ended(0)}, true, corev1.PodSucceeded},
		{always, nil, list{waits()}, true, corev1.PodFailed},
		{never, list{ended(0)}, list{runs}, false, corev1.PodRunning},
		{never, list{runs}, list{waits()}, false, corev1.PodPending},
		{never, list{ended(2)}, list{waits()}, false, corev1.PodFailed},
		{onFailure, list{ended(2)}, list{waits()}, false, corev1.PodPending},
		{onFailure, list{ended(2)}, list{waits()}, true, corev1.PodFailed},
	} {
		if got := phaseOf(c.policy, c.inits, c.containers, c.over); got != c.want {
			t.Errorf("case %d: %s, not %s", i, got, c.want)
		}
	}
}

func TestPhaseOfAPodThatIsEnded(t *testing.T) {
	const running, succeeded, failed = corev1.PodRunning, corev1.PodSucceeded, corev1.PodFailed
	for i, c := range []struct {
		last         corev1.PodPhase
		ending, over bool
		reason       string
		now, want    corev1.PodPhase
	}{
		{running, false, false, "", succeeded, succeeded},
		{running, true, false, "DeadlineExceeded", succeeded, running},
		{running, true, true, "DeadlineExceeded", succeeded, failed},
		{running, true, true, "", succeeded, succeeded},
		{running, true, false, "", failed, running},
		{succeeded, true, true, "DeadlineExceeded", failed, succeeded},
		{failed, false, false, "", running, failed},
	} {
		p := &pod{phase: c.last, isEnding: c.ending, over: c.over, reason: c.reason}
		if got := p.nextPhase(c.now); got != c.want {
			t.Errorf("case %d: %s, not %s", i, got, c.want)
		}
	}
}

func TestConditionsKeepTheirTime(t *testing.T) {
	ready := corev1.ContainerStatus{Ready: true}
	status := corev1.PodStatus{Phase: corev1.PodRunning, ContainerStatuses: []corev1.ContainerStatus{ready}}
	before := conditionsOf(nil, status, true)
	for i := range before {
		before[i].LastTransitionTime.Time = time.Unix(int64(i+1), 0)
	}
	status.Phase = corev1.PodSucceeded
	for i, c := range conditionsOf(before, status, true) {
		changed := !c.LastTransitionTime.Time.Equal(before[i].LastTransitionTime.Time)
		if want := c.Status != before[i].Status; changed != want {
			t.Errorf("%s: %s after %s, time changed: %v", c.Type, c.Status, before[i].Status, changed)
		}
		if c.Type == corev1.PodReady && (c.Status != corev1.ConditionFalse || c.Reason != "PodCompleted") {
			t.Errorf("%+v", c)
		}
	}
}

func TestCapabilitiesOfAContainer(t *testing.T) {
	list := func(names ...corev1.Capability) []corev1.Capability { return names }
	yes := true
	for name, c := range map[string]struct {
		context corev1.SecurityContext
		want    []string
	}{
		"as they are": {corev1.SecurityContext{}, sandbox.DefaultCapabilities},
		"none":        {corev1.SecurityContext{Capabilities: &corev1.Capabilities{Drop: list("ALL")}}, nil},
		"one": {corev1.SecurityContext{Capabilities: &corev1.Capabilities{Drop: list("all"), Add: list("CAP_SYS_PTRACE")}},
			[]string{"SYS_PTRACE"}},
		"less one": {corev1.SecurityContext{Capabilities: &corev1.Capabilities{Drop: list("CHOWN")}},
			slices.DeleteFunc(slices.Clone(sandbox.DefaultCapabilities), func(s string) bool { return s == "CHOWN" })},
		"privileged": {corev1.SecurityContext{Privileged: &yes}, sandbox.AllCapabilities()},
	} {
		got, err := capabilitiesOf(&c.context)
		if err != nil || !slices.Equal(got, c.want) {
			t.Errorf("%s: %v, %v", name, got, err)
		}
	}
	if _, err := capabilitiesOf(&corev1.SecurityContext{Capabilities: &corev1.Capabilities{Add: list("FLY")}}); err == nil {
		t.Error("FLY is a capability")
	}
}

func TestIdentityOfAContainer(t *testing.T) {
	number := func(n int64) *int64 { return &n }
	yes := true
	object := &corev1.Pod{Spec: corev1.PodSpec{SecurityContext: &corev1.PodSecurityContext{
		RunAsUser: number(107), FSGroup: number(109), SupplementalGroups: []int64{3000}, RunAsNonRoot: &yes}}}
	spec := &corev1.Container{Name: "c"}
	id, err := identityOf(object, spec)
	if err != nil || id.uid != 107 || id.gid != 0 || !slices.Equal(id.groups, []int{3000, 109}) ||
		id.deviceUID != 107 || id.deviceGID != diskGroup || id.noNewPrivileges {
		t.Errorf("%+v, %v", id, err)
	}
	no := false
	spec.SecurityContext = &corev1.SecurityContext{RunAsUser: number(5), RunAsGroup: number(6), AllowPrivilegeEscalation: &no}
	if id, err = identityOf(object, spec); err != nil || id.uid != 5 || id.gid != 6 || id.deviceGID != 6 || !id.noNewPrivileges {
		t.Errorf("%+v, %v", id, err)
	}
	spec.SecurityContext.RunAsUser = number(0)
	if _, err = identityOf(object, spec); err == nil || !strings.Contains(err.Error(), "breaks non-root policy") {
		t.Errorf("%v", err)
	}
	object.Spec.SecurityContext.RunAsUser, spec.SecurityContext.RunAsUser = nil, nil
	if _, err = identityOf(object, spec); err == nil || !strings.Contains(err.Error(), "image will run as root") {
		t.Errorf("%v", err)
	}
}

func TestResourceFields(t *testing.T) {
	spec := &corev1.Container{Resources: corev1.ResourceRequirements{Limits: corev1.ResourceList{
		corev1.ResourceCPU: resource.MustParse("1500m"), corev1.ResourceMemory: resource.MustParse("100Mi")}}}
	for _, c := range []struct{ name, divisor, want string }{
		{"limits.cpu", "0", "2"}, {"limits.cpu", "1m", "1500"}, {"limits.memory", "0", "104857600"},
		{"limits.memory", "1Mi", "100"}, {"limits.memory", "3Mi", "34"}, {"requests.cpu", "0", "0"},
	} {
		got, err := resourceField(&corev1.ResourceFieldSelector{Resource: c.name, Divisor: resource.MustParse(c.divisor)}, spec)
		if err != nil || got != c.want {
			t.Errorf("%s / %s: '%s', %v", c.name, c.divisor, got, err)
		}
	}
	if _, err := resourceField(&corev1.ResourceFieldSelector{Resource: "limits.luck"}, spec); err == nil {
		t.Error("luck is a resource")
	}
}

func TestFieldsOfMaps(t *testing.T) {
	values := map[string]string{"b": "2", "a": "1 \"x\""}
	for rest, want := range map[string]string{"['b']": "2", "['none']": "", "": "a=\"1 \\\"x\\\"\"\nb=\"2\""} {
		if got, err := fieldOfMap(rest, values, "metadata.labels"+rest); err != nil || got != want {
			t.Errorf("%s: '%s', %v", rest, got, err)
		}
	}
	if _, err := fieldOfMap("[b]", values, "metadata.labels[b]"); err == nil {
		t.Error("[b] is a field")
	}
}

func TestCommandsLeadToTheImagesProgram(t *testing.T) {
	for name, c := range map[string]struct {
		command           []string
		program, executed string
	}{
		"entrypoint":        {nil, "/usr/bin/app", "/usr/bin/app"},
		"its name":          {[]string{"app"}, "/usr/bin/app", "app"},
		"the program's":     {[]string{"built-app"}, "/usr/bin/built-app", "built-app"},
		"somewhere":         {[]string{"/opt/x/app"}, "/opt/x/app", "/opt/x/app"},
		"another name":      {[]string{"/opt/x/entry"}, "/opt/x/entry", "/opt/x/entry"},
		"the machine's":     {[]string{"/bin/sh", "-c", "x"}, "/usr/bin/app", "/bin/sh"},
		"none of them":      {[]string{"sh"}, "/usr/bin/app", "sh"},
		"from its variable": {[]string{"/opt/$(DIR)/app"}, "/opt/d/app", "/opt/d/app"},
	} {
		made := &container{spec: &corev1.Container{Image: "r/app:1", Command: c.command, Args: []string{"$(DIR)"}}}
		spec := &sandbox.Spec{}
		made.setCommand(spec, "/build/built-app", []variable{{"DIR", "d"}})
		if spec.ProgramPath != c.program || spec.Args[0] != c.executed || spec.Args[len(spec.Args)-1] != "d" {
			t.Errorf("%s: %s, %v", name, spec.ProgramPath, spec.Args)
		}
	}
}

func TestSubPathsStayInside(t *testing.T) {
	root := filepath.Join(t.TempDir(), "v")
	if err := os.MkdirAll(filepath.Join(root, "a"), 0o755); err != nil {
		t.Fatal(err)
	}
	for name, target := range map[string]string{"out": "/etc", "in": "a"} {
		if err := os.Symlink(target, filepath.Join(root, name)); err != nil {
			t.Fatal(err)
		}
	}
	for below, want := range map[string]string{"a": "a", "in": "a", "new/deep": "new/deep"} {
		if got, err := subPath(root, below, false); err != nil || got != filepath.Join(root, want) {
			t.Errorf("'%s': '%s', %v", below, got, err)
		}
	}
	for _, below := range []string{"out", "../x", "/etc", "a/../../x", "out/passwd"} {
		if got, err := subPath(root, below, false); err == nil {
			t.Errorf("'%s' is '%s'", below, got)
		}
	}
	if _, err := subPath(root, "missing", true); err == nil {
		t.Error("a folder is made in a volume that is read-only")
	}
}

func TestProjectionIsReplacedInOneStep(t *testing.T) {
	root := t.TempDir()
	write := func(content map[string]string) {
		t.Helper()
		now, err := os.MkdirTemp(root, "..")
		if err != nil {
			t.Fatal(err)
		}
		files := map[string]file{}
		for name, text := range content {
			files[name] = file{content: []byte(text), mode: 0o640, owner: os.Getuid()}
			if err := files[name].create(filepath.Join(now, name)); err != nil {
				t.Fatal(err)
			}
		}
		if err := publish(root, now, files); err != nil {
			t.Fatal(err)
		}
	}
	write(map[string]string{"a": "1", "deep/b": "2"})
	link, err := os.Readlink(filepath.Join(root, "a"))
	if err != nil || link != "..data/a" {
		t.Fatalf("'%s', %v", link, err)
	}
	write(map[string]string{"a": "3", "c": "4"})
	for name, want := range map[string]string{"a": "3", "c": "4"} {
		if text, err := os.ReadFile(filepath.Join(root, name)); err != nil || string(text) != want {
			t.Errorf("%s: '%s', %v", name, text, err)
		}
	}
	entries, err := os.ReadDir(root)
	if err != nil || len(entries) != 4 { // a, c, ..data and what it leads to
		t.Errorf("%v, %v", entries, err)
	}
}

func TestGroupMayReadAndWrite(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("giving files away needs root")
	}
	root := t.TempDir()
	inner := filepath.Join(root, "disk.img")
	if err := os.WriteFile(inner, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := giveVolumeToGroup(root, 107, true); err != nil {
		t.Fatal(err)
	}
	expect := func(path string, mode uint32) {
		t.Helper()
		var info unix.Stat_t
		if err := unix.Lstat(path, &info); err != nil || info.Gid != 107 || info.Uid != 0 || info.Mode&0o7777 != mode {
			t.Errorf("%s: %d:%d %o, %v", path, info.Uid, info.Gid, info.Mode, err)
		}
	}
	expect(inner, 0o660)
	// With "only if the root is wrong" nothing below is looked at.
	if err := os.Chmod(inner, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := giveVolumeToGroup(root, 107, true); err != nil {
		t.Fatal(err)
	}
	expect(inner, 0o600)
	if err := giveVolumeToGroup(root, 107, false); err != nil {
		t.Fatal(err)
	}
	expect(inner, 0o660)
}

func writeLog(t *testing.T, text string) *logFiles {
	t.Helper()
	l, err := newLog(t.TempDir(), "c_0.log")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := l.stdout.WriteString(text); err != nil {
		t.Fatal(err)
	}
	l.started()
	l.close()
	return l
}

func TestLogKeepsLinesLongAndShort(t *testing.T) {
	long := strings.Repeat("x", 3*logLine+5)
	text := "one\n\n" + long + "\nlast"
	l := writeLog(t, text)
	entries, _, err := readEntries(l.path, 0)
	if err != nil {
		t.Fatal(err)
	}
	var got strings.Builder
	for _, e := range entries {
		got.Write(e.text)
	}
	if got.String() != text {
		t.Errorf("%d bytes, not %d", got.Len(), len(text))
	}
	for lines, want := range map[int]string{1: "last", 2: long + "\nlast", 100: text} {
		tailed, err := tailText(l.path, lines, len(text))
		if err != nil || tailed != want {
			t.Errorf("%d lines: %d bytes, not %d, %v", lines, len(tailed), len(want), err)
		}
	}
	if tailed, err := tailText(l.path, 80, 2); err != nil || tailed != "st" {
		t.Errorf("'%s', %v", tailed, err)
	}
}

func TestLogRequests(t *testing.T) {
	l := writeLog(t, "one\ntwo\nthree\n")
	for query, want := range map[string]string{
		"":                               "one\ntwo\nthree\n",
		"tailLines=1":                    "three\n",
		"tailLines=0":                    "",
		"limitBytes=5":                   "one\nt",
		"sinceTime=2100-01-01T00:00:00Z": "",
		"sinceSeconds=3600":              "one\ntwo\nthree\n",
	} {
		values, err := url.ParseQuery(query)
		if err != nil {
			t.Fatal(err)
		}
		options, err := parseLogOptions(values)
		if err != nil {
			t.Fatal(err)
		}
		var out strings.Builder
		_, err = (&logWriter{out: &out, options: options}).send(l.path, 0)
		if (err != nil) != strings.HasPrefix(query, "limitBytes") || out.String() != want {
			t.Errorf("%s: '%s', %v", query, out.String(), err)
		}
	}
	for _, query := range []string{"follow=maybe", "tailLines=-1", "limitBytes=x", "sinceSeconds=1.5", "sinceTime=noon"} {
		values, _ := url.ParseQuery(query)
		if _, err := parseLogOptions(values); err == nil {
			t.Errorf("'%s' is taken", query)
		}
	}
	values, _ := url.ParseQuery("timestamps=true&tailLines=1")
	options, _ := parseLogOptions(values)
	var out strings.Builder
	if _, err := (&logWriter{out: &out, options: options}).send(l.path, 0); err != nil {
		t.Fatal(err)
	}
	stamp, text, _ := strings.Cut(out.String(), " ")
	if _, err := time.Parse(time.RFC3339Nano, stamp); err != nil || text != "three\n" {
		t.Errorf("'%s'", out.String())
	}
}

func TestAddressesDifferAndAreUsable(t *testing.T) {
	n := &node{host: &host.Host{Network: "127.16."}}
	seen := map[string]bool{"127.16.0.1": true, "127.16.0.0": true}
	for range 1000 {
		address := n.newAddress()
		var a, b int
		if _, err := fmt.Sscanf(address, "127.16.%d.%d", &a, &b); err != nil || b < 1 || b > 254 || seen[address] {
			t.Fatalf("'%s'", address)
		}
		seen[address] = true
	}
}
