package runner

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sort"
	"time"

	authenticationv1 "k8s.io/api/authentication/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// projection is a volume whose files are made from objects: Secrets, ConfigMaps, tokens, the pod.
type projection struct {
	pod     *pod
	mode    int32 // of files without one of their own
	sources []corev1.VolumeProjection
	tokens  map[int]*token // by number of the source
}

type token struct {
	text  string
	renew time.Time
}

// file of a projection.
type file struct {
	content []byte
	mode    os.FileMode
	owner   int
}

func newProjection(p *pod, spec *corev1.Volume) (*projection, error) {
	made := &projection{pod: p, mode: 0o644, tokens: map[int]*token{}}
	var mode *int32
	switch {
	case spec.Secret != nil:
		mode = spec.Secret.DefaultMode
		made.sources = []corev1.VolumeProjection{{Secret: &corev1.SecretProjection{
			LocalObjectReference: corev1.LocalObjectReference{Name: spec.Secret.SecretName},
			Items:                spec.Secret.Items, Optional: spec.Secret.Optional}}}
	case spec.ConfigMap != nil:
		mode = spec.ConfigMap.DefaultMode
		made.sources = []corev1.VolumeProjection{{ConfigMap: &corev1.ConfigMapProjection{
			LocalObjectReference: spec.ConfigMap.LocalObjectReference,
			Items:                spec.ConfigMap.Items, Optional: spec.ConfigMap.Optional}}}
	case spec.DownwardAPI != nil:
		mode = spec.DownwardAPI.DefaultMode
		made.sources = []corev1.VolumeProjection{{DownwardAPI: &corev1.DownwardAPIProjection{Items: spec.DownwardAPI.Items}}}
	case spec.Projected != nil:
		mode = spec.Projected.DefaultMode
		made.sources = spec.Projected.Sources
	default:
		return nil, errors.New("this node has no such kind of volume")
	}
	if mode != nil {
		made.mode = *mode
	}
	return made, nil
}

func (j *projection) forgetTokens() {
	j.tokens = map[int]*token{}
}

// write makes the files, all in one step, as the kubelet's AtomicWriter does: NAME leads to ..data/NAME,
// and ..data to a folder that is replaced.
func (j *projection) write(ctx context.Context, folder string, object *corev1.Pod) error {
	files := map[string]file{}
	for i := range j.sources {
		if err := j.collect(ctx, i, files); err != nil {
			return err
		}
	}
	now, err := os.MkdirTemp(folder, ".."+time.Now().UTC().Format("2006_01_02_15_04_05.")+"*")
	if err != nil {
		return err
	}
	if err := os.Chmod(now, 0o755); err != nil {
		return err
	}
	for name, f := range files {
		if err := f.create(filepath.Join(now, name)); err != nil {
			return err
		}
	}
	if group := fsGroup(object); group != nil {
		if err := giveToGroup(now, int(*group), true); err != nil {
			return err
		}
	}
	return publish(folder, now, files)
}

func (f file) create(path string) error {
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return err
	}
	if err := os.WriteFile(path, f.content, 0o600); err != nil {
		return err
	}
	if err := os.Chmod(path, f.mode); err != nil {
		return err
	}
	return os.Chown(path, f.owner, -1)
}

func publish(folder, now string, files map[string]file) error {
	data := filepath.Join(folder, "..data")
	old, _ := os.Readlink(data)
	fresh := filepath.Join(folder, "..data_tmp")
	_ = os.Remove(fresh) // of an attempt that failed
	if err := os.Symlink(filepath.Base(now), fresh); err != nil {
		return err
	}
	if err := os.Rename(fresh, data); err != nil {
		return err
	}
	tops := map[string]bool{}
	for name := range files {
		tops[topOf(name)] = true
	}
	for name := range tops {
		err := os.Symlink(filepath.Join("..data", name), filepath.Join(folder, name))
		if err != nil && !errors.Is(err, os.ErrExist) {
			return err
		}
	}
	entries, err := os.ReadDir(folder)
	if err != nil {
		return err
	}
	for _, entry := range entries {
		if name := entry.Name(); name != "..data" && name != filepath.Base(now) && !tops[name] && name != old {
			_ = os.RemoveAll(filepath.Join(folder, name))
		}
	}
	if old != "" {
		return os.RemoveAll(filepath.Join(folder, old))
	}
	return nil
}

func topOf(name string) string {
	for filepath.Dir(name) != "." {
		name = filepath.Dir(name)
	}
	return name
}

// collect adds what one source has.
func (j *projection) collect(ctx context.Context, number int, files map[string]file) error {
	source := &j.sources[number]
	switch {
	case source.Secret != nil:
		data, err := j.pod.secret(ctx, source.Secret.Name, value(source.Secret.Optional))
		if err != nil {
			return err
		}
		return j.addItems(data, source.Secret.Items, value(source.Secret.Optional), files)
	case source.ConfigMap != nil:
		data, err := j.pod.configMap(ctx, source.ConfigMap.Name, value(source.ConfigMap.Optional))
		if err != nil {
			return err
		}
		return j.addItems(data, source.ConfigMap.Items, value(source.ConfigMap.Optional), files)
	case source.DownwardAPI != nil:
		return j.addFields(source.DownwardAPI.Items, files)
	case source.ServiceAccountToken != nil:
		return j.addToken(ctx, number, source.ServiceAccountToken, files)
	default:
		return errors.New("this node has no such source of a projected volume")
	}
}

func (j *projection) add(files map[string]file, name string, content []byte, mode *int32) error {
	if !filepath.IsLocal(name) {
		return fmt.Errorf("'%s' is not inside the volume", name)
	}
	f := file{content: content, mode: os.FileMode(j.mode)}
	if mode != nil {
		f.mode = os.FileMode(*mode)
	}
	files[filepath.Clean(name)] = f
	return nil
}

func (j *projection) addItems(data map[string][]byte, items []corev1.KeyToPath, optional bool, files map[string]file) error {
	if len(items) == 0 {
		for key, content := range data {
			if err := j.add(files, key, content, nil); err != nil {
				return err
			}
		}
		return nil
	}
	for _, item := range items {
		content, found := data[item.Key]
		if !found && optional {
			continue
		}
		if !found {
			return fmt.Errorf("references non-existent secret or config key: %s", item.Key)
		}
		if err := j.add(files, item.Path, content, item.Mode); err != nil {
			return err
		}
	}
	return nil
}

func (j *projection) addFields(items []corev1.DownwardAPIVolumeFile, files map[string]file) error {
	for _, item := range items {
		var text string
		var err error
		switch {
		case item.FieldRef != nil:
			text, err = j.pod.field(item.FieldRef.FieldPath)
		case item.ResourceFieldRef != nil:
			text, err = j.pod.resourceOf(item.ResourceFieldRef)
		}
		if err != nil {
			return err
		}
		if err := j.add(files, item.Path, []byte(text), item.Mode); err != nil {
			return err
		}
	}
	return nil
}

func (p *pod) resourceOf(ref *corev1.ResourceFieldSelector) (string, error) {
	for _, c := range append(append([]*container(nil), p.initContainers...), p.containers...) {
		if c.spec.Name == ref.ContainerName {
			return resourceField(ref, c.spec)
		}
	}
	return "", fmt.Errorf("container %s not found", ref.ContainerName)
}

// addToken adds a token of the pod's service account that is good for this pod only, while it is there.
func (j *projection) addToken(ctx context.Context, number int, source *corev1.ServiceAccountTokenProjection, files map[string]file) error {
	have := j.tokens[number]
	if have == nil || time.Now().After(have.renew) {
		fresh, err := j.pod.requestToken(ctx, source)
		if err != nil {
			return err
		}
		j.tokens[number], have = fresh, fresh
	}
	if err := j.add(files, source.Path, []byte(have.text), nil); err != nil {
		return err
	}
	f := files[filepath.Clean(source.Path)]
	// Only whom the pod runs as may read it, where that is known.
	object := j.pod.get()
	if user, ok := commonUser(object); ok {
		f.mode, f.owner = 0o600, user
	} else if fsGroup(object) != nil {
		f.mode = 0o600
	}
	files[filepath.Clean(source.Path)] = f
	return nil
}

// commonUser is the one whom all containers run as.
func commonUser(object *corev1.Pod) (int, bool) {
	all := append(append([]corev1.Container(nil), object.Spec.InitContainers...), object.Spec.Containers...)
	var user *int64
	for i := range all {
		var own *int64
		if all[i].SecurityContext != nil {
			own = all[i].SecurityContext.RunAsUser
		}
		if own == nil && object.Spec.SecurityContext != nil {
			own = object.Spec.SecurityContext.RunAsUser
		}
		if own == nil || user != nil && *user != *own {
			return 0, false
		}
		user = own
	}
	return int(value(user)), user != nil
}

func (p *pod) requestToken(ctx context.Context, source *corev1.ServiceAccountTokenProjection) (*token, error) {
	request := &authenticationv1.TokenRequest{Spec: authenticationv1.TokenRequestSpec{
		ExpirationSeconds: source.ExpirationSeconds,
		BoundObjectRef: &authenticationv1.BoundObjectReference{
			APIVersion: "v1", Kind: "Pod", Name: p.name, UID: p.uid},
	}}
	if source.Audience != "" {
		request.Spec.Audiences = []string{source.Audience}
	}
	asked := time.Now()
	account := p.get().Spec.ServiceAccountName
	answer, err := p.node.client.CoreV1().ServiceAccounts(p.namespace).CreateToken(ctx, account, request, metav1.CreateOptions{})
	if err != nil {
		return nil, fmt.Errorf("failed to fetch token: %w", err)
	}
	// The kubelet asks again after 80 % of the lifetime it asked for, or a day.
	lifetime := answer.Status.ExpirationTimestamp.Sub(asked)
	if source.ExpirationSeconds != nil {
		lifetime = min(lifetime, time.Duration(*source.ExpirationSeconds)*time.Second)
	}
	return &token{text: answer.Status.Token, renew: asked.Add(min(lifetime*8/10, 24*time.Hour))}, nil
}

func sortedKeys(values map[string]string) []string {
	keys := make([]string, 0, len(values))
	for key := range values {
		keys = append(keys, key)
	}
	sort.Strings(keys)
	return keys
}
