package runner

import (
	"context"
	"fmt"
	"net"
	"net/url"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"

	"vmferry/tests/peers/kube/rig/runner/sandbox"
)

const imagePath = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

// uploadServerImage is that of CDI's upload server. It listens on fixed ports of all addresses unless
// told otherwise; its own environment variable gives each pod its address.
const uploadServerImage = "cdi-uploadserver"

// importEndpoint names the source to CDI's importer (pkg/common, ImporterEndpoint).
const importEndpoint = "IMPORTER_ENDPOINT"

// diskGroup owns block devices where the container runtime does not give them away.
const diskGroup = 6

// makeSpec translates the container for the runtime.
func (c *container) makeSpec(ctx context.Context, program, root, messages string) (*sandbox.Spec, error) {
	object := c.pod.get()
	identity, err := identityOf(object, c.spec)
	if err != nil {
		return nil, err
	}
	// Links are followed here, where they lead to what they mean.
	if program, err = filepath.EvalSymlinks(program); err != nil {
		return nil, err
	}
	spec := &sandbox.Spec{
		Root: root, ReadOnlyRoot: identity.readOnlyRoot, Hostname: hostname(object), Folder: c.spec.WorkingDir,
		UID: identity.uid, GID: identity.gid, Groups: identity.groups,
		Capabilities: identity.capabilities, NoNewPrivileges: identity.noNewPrivileges,
		Offline: c.pod.node.host.Offline[imageName(c.spec.Image)],
	}
	if spec.Folder == "" {
		spec.Folder = "/"
	}
	vars, err := c.environment(ctx)
	if err != nil {
		return nil, err
	}
	spec.Env = c.baseEnvironment(object, identity.uid, vars)
	spec.Reach = endpoints(vars)
	c.setCommand(spec, program, vars)
	if err := c.addMounts(spec, object, vars, messages); err != nil {
		return nil, err
	}
	return spec, c.addDevices(spec, object, identity)
}

func hostname(object *corev1.Pod) string {
	name := object.Spec.Hostname
	if name == "" {
		name = object.Name
	}
	return strings.TrimRight(name[:min(len(name), 63)], "-.")
}

// baseEnvironment puts what image, runtime and kubelet add before the container's own.
func (c *container) baseEnvironment(object *corev1.Pod, uid int, vars []variable) []string {
	home := "/"
	if uid == 0 {
		home = "/root"
	}
	address := fmt.Sprintf("%s:%d", c.pod.node.host.APIServerHost, c.pod.node.host.APIServerPort)
	env := []variable{
		{"PATH", imagePath}, {"HOME", home}, {"HOSTNAME", hostname(object)},
		{"KUBERNETES_SERVICE_HOST", c.pod.node.host.APIServerHost},
		{"KUBERNETES_SERVICE_PORT", fmt.Sprint(c.pod.node.host.APIServerPort)},
		{"KUBERNETES_SERVICE_PORT_HTTPS", fmt.Sprint(c.pod.node.host.APIServerPort)},
		{"KUBERNETES_PORT", "tcp://" + address},
	}
	if imageName(c.spec.Image) == uploadServerImage {
		env = append(env, variable{"LISTEN_ADDRESS", c.pod.addressNow()})
	}
	var list []string
	for _, v := range merge(env, vars) {
		list = append(list, v.name+"="+v.value)
	}
	return list
}

// endpoints is where CDI's importer reads from, when that is on this machine: the one thing that it
// needs a network for.
func endpoints(vars []variable) []string {
	for _, v := range vars {
		if v.name != importEndpoint {
			continue
		}
		if url, err := url.Parse(v.value); err == nil && net.ParseIP(url.Hostname()).IsLoopback() && url.Port() != "" {
			return []string{url.Host}
		}
	}
	return nil
}

func (p *pod) addressNow() string {
	p.mutex.Lock()
	defer p.mutex.Unlock()
	return p.address
}

// setCommand says what is executed. The image's program is its entrypoint, and also what a command of
// the image's or the program's name means, wherever it is said to be; a path that every Debian has, as
// /bin/sh, is that; any other absolute path is where the image has its program.
func (c *container) setCommand(spec *sandbox.Spec, program string, vars []variable) {
	name := imageName(c.spec.Image)
	own := []string{name, filepath.Base(program)}
	spec.Program, spec.ProgramPath = program, "/usr/bin/"+name
	for _, word := range c.spec.Command {
		spec.Args = append(spec.Args, expand(word, vars))
	}
	switch {
	case len(spec.Args) == 0:
		spec.Args = []string{spec.ProgramPath}
	case path.IsAbs(spec.Args[0]):
		if slices.Contains(own, path.Base(spec.Args[0])) || !everyImageHas(spec.Args[0]) {
			spec.ProgramPath = path.Clean(spec.Args[0])
		}
	case slices.Contains(own, spec.Args[0]):
		spec.ProgramPath = "/usr/bin/" + spec.Args[0]
	}
	for _, word := range c.spec.Args {
		spec.Args = append(spec.Args, expand(word, vars))
	}
}

// everyImageHas tells whether a file of the machine is seen in containers.
func everyImageHas(file string) bool {
	top, _, _ := strings.Cut(strings.TrimPrefix(path.Clean(file), "/"), "/")
	if !slices.Contains([]string{"usr", "etc", "bin", "sbin", "lib", "lib64"}, top) {
		return false
	}
	_, err := os.Stat(file)
	return err == nil
}

func (c *container) addMounts(spec *sandbox.Spec, object *corev1.Pod, vars []variable, messages string) error {
	hosts, err := c.pod.writeHosts(object)
	if err != nil {
		return err
	}
	spec.Mounts = append(spec.Mounts, hosts...)
	for _, m := range c.spec.VolumeMounts {
		mount, err := c.pod.volumes.mount(m, vars)
		if err != nil {
			return err
		}
		spec.Mounts = append(spec.Mounts, mount)
	}
	// A parent before what is mounted below it.
	slices.SortStableFunc(spec.Mounts, func(a, b sandbox.Mount) int {
		return strings.Count(path.Clean(a.Target), "/") - strings.Count(path.Clean(b.Target), "/")
	})
	target := c.spec.TerminationMessagePath
	if target == "" {
		target = defaultMessageLog
	}
	spec.Mounts = append(spec.Mounts, sandbox.Mount{Source: messages, Target: target})
	return nil
}

// writeHosts makes the files by which a pod knows names.
func (p *pod) writeHosts(object *corev1.Pod) ([]sandbox.Mount, error) {
	text := "# Kubernetes-managed hosts file.\n127.0.0.1\tlocalhost\n::1\tlocalhost ip6-localhost ip6-loopback\n" +
		p.addressNow() + "\t" + hostname(object) + "\n"
	for _, alias := range object.Spec.HostAliases {
		text += alias.IP + "\t" + strings.Join(alias.Hostnames, "\t") + "\n"
	}
	var mounts []sandbox.Mount
	for name, content := range map[string]string{"hosts": text, "hostname": hostname(object) + "\n"} {
		file := filepath.Join(p.folder, name)
		if err := os.WriteFile(file, []byte(content), 0o644); err != nil {
			return nil, err
		}
		mounts = append(mounts, sandbox.Mount{Source: file, Target: "/etc/" + name})
	}
	return mounts, nil
}

func (c *container) addDevices(spec *sandbox.Spec, object *corev1.Pod, identity *identity) error {
	for _, d := range c.spec.VolumeDevices {
		attached, ok := c.pod.volumes.device(d.Name)
		if !ok {
			return fmt.Errorf("volume device %q is not a block volume", d.Name)
		}
		device := sandbox.Device{Target: d.DevicePath, Major: attached.Major, Minor: attached.Minor, GID: diskGroup}
		if c.pod.node.ownsDevices() {
			device.UID, device.GID = identity.deviceUID, identity.deviceGID
		}
		spec.Devices = append(spec.Devices, device)
	}
	return nil
}

func (n *node) ownsDevices() bool {
	n.mutex.Lock()
	defer n.mutex.Unlock()
	return n.deviceOwnership
}
