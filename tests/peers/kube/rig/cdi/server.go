package cdi

import (
	"context"
	"fmt"
	"net"
	"strconv"
	"syscall"
	"time"

	authenticationv1 "k8s.io/api/authentication/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"

	"vmferry/tests/peers/kube/rig/host"
	"vmferry/tests/peers/kube/rig/process"
	"vmferry/tests/peers/kube/rig/relay"
)

const (
	serverPort    = "8443" // of all of CDI's servers
	serverUser    = 1001   // of CDI's images
	accountFolder = "/var/run/secrets/kubernetes.io/serviceaccount/"
	tokenLifetime = 24 * time.Hour
)

// server is one of CDI's programs, in a sandbox, as its service account.
type server struct {
	h       *host.Host
	name    string
	account string
	env     []string
	files   []place
	sandbox *sandbox
}

// prepare makes the sandbox; the process comes with start.
func (s *server) prepare(ctx context.Context, client kubernetes.Interface) error {
	seconds := int64(tokenLifetime / time.Second)
	request := &authenticationv1.TokenRequest{Spec: authenticationv1.TokenRequestSpec{ExpirationSeconds: &seconds}}
	token, err := client.CoreV1().ServiceAccounts(namespace).CreateToken(ctx, s.account, request, metav1.CreateOptions{})
	if err != nil {
		return fmt.Errorf("token of '%s': %w", s.account, err)
	}
	files := append([]place{
		{"/etc/hosts", []byte("127.0.0.1 localhost\n")},
		{"/etc/nsswitch.conf", []byte("hosts: files dns\n")},
		{"/etc/passwd", []byte("root:x:0:0::/root:/bin/sh\n")},
		{"/etc/resolv.conf", []byte(resolvConf(namespace, "127.0.0.1"))},
		{accountFolder + "ca.crt", s.h.CA.CertPEM},
		{accountFolder + "namespace", []byte(namespace)},
		{accountFolder + "token", []byte(token.Status.Token)},
	}, s.files...)
	return s.sandbox.furnish(ctx, s.h.Program(s.name), s.h.Dir, files)
}

// openAPI lets the sandbox reach the API server where everybody else does.
func (s *server) openAPI(ctx context.Context) error {
	address := net.JoinHostPort(s.h.APIServerHost, strconv.Itoa(s.h.APIServerPort))
	listener, err := s.sandbox.listen(ctx, address)
	if err != nil {
		return err
	}
	s.h.Go(ctx, s.name+" to the API server", func(ctx context.Context) error {
		return relay.Forward(ctx, listener, relay.Dial(address))
	})
	return nil
}

// openServer lets others reach the server, at that address outside of the sandbox.
func (s *server) openServer(ctx context.Context, address string) error {
	listener, err := net.Listen("tcp4", address)
	if err != nil {
		return err
	}
	s.h.Go(ctx, "to "+s.name, func(ctx context.Context) error {
		return relay.Forward(ctx, listener, func(ctx context.Context) (net.Conn, error) {
			return s.sandbox.dial(ctx, net.JoinHostPort("127.0.0.1", serverPort))
		})
	})
	return nil
}

// start starts the program, and again whenever it ends: cdi-controller does when it cannot renew its
// lease, and any of them may when a test takes the API server away.
func (s *server) start(ctx context.Context) error {
	_, err := s.h.Processes.Start(process.Spec{
		Name: s.name, Path: "/run/program", Argv0: s.name, Args: []string{"-v=1"}, Dir: "/",
		Env: append([]string{
			"PATH=/usr/sbin:/usr/bin:/sbin:/bin", "HOME=/",
			"KUBERNETES_SERVICE_HOST=" + s.h.APIServerHost,
			"KUBERNETES_SERVICE_PORT=" + strconv.Itoa(s.h.APIServerPort),
		}, s.env...),
		Attr:  &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: serverUser, Gid: serverUser}},
		Again: true,
		Enter: func(start func() error) error { return s.sandbox.do(ctx, start) },
	})
	return err
}
