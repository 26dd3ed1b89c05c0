package runner

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os/exec"
	"strconv"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
)

// probe sets the container's readiness until ctx ends.
func (c *container) probe(ctx context.Context, pid int) {
	p := c.spec.ReadinessProbe
	seconds := func(number, otherwise int32) time.Duration {
		if number <= 0 {
			number = otherwise
		}
		return time.Duration(number) * time.Second
	}
	if sleep(ctx, time.Duration(p.InitialDelaySeconds)*time.Second) != nil {
		return
	}
	inARow, last := int32(0), false
	for {
		attempt, cancel := context.WithTimeout(ctx, seconds(p.TimeoutSeconds, 1))
		err := c.check(attempt, p.ProbeHandler, pid)
		cancel()
		if ctx.Err() != nil {
			return
		}
		if good := err == nil; good == last {
			inARow++
		} else {
			inARow, last = 1, good
		}
		if err != nil {
			c.event(corev1.EventTypeWarning, "Unhealthy", "Readiness probe failed: "+err.Error())
		}
		if last && inARow == max(p.SuccessThreshold, 1) || !last && inARow == max(p.FailureThreshold, 1) {
			c.change(func(status *corev1.ContainerStatus) { status.Ready = last && status.State.Running != nil })
		}
		if sleep(ctx, seconds(p.PeriodSeconds, 10)) != nil {
			return
		}
	}
}

func (c *container) check(ctx context.Context, handler corev1.ProbeHandler, pid int) error {
	switch {
	case handler.HTTPGet != nil:
		return c.checkHTTP(ctx, handler.HTTPGet)
	case handler.TCPSocket != nil:
		address, err := c.address(handler.TCPSocket.Host, handler.TCPSocket.Port)
		if err != nil {
			return err
		}
		conn, err := (&net.Dialer{}).DialContext(ctx, "tcp", address)
		if err != nil {
			return err
		}
		return conn.Close()
	case handler.Exec != nil:
		return c.checkCommand(ctx, handler.Exec.Command, pid)
	default:
		return errors.New("this node has no such probe")
	}
}

func (c *container) address(host string, port intstr.IntOrString) (string, error) {
	if host == "" {
		host = c.pod.addressNow()
	}
	number := port.IntVal
	if port.Type == intstr.String {
		if n, err := strconv.ParseUint(port.StrVal, 10, 16); err == nil {
			number = int32(n)
		}
		for _, p := range c.spec.Ports {
			if p.Name == port.StrVal {
				number = p.ContainerPort
			}
		}
	}
	if number <= 0 || number > 65535 {
		return "", fmt.Errorf("unknown port: %s", port.String())
	}
	return net.JoinHostPort(host, strconv.Itoa(int(number))), nil
}

func (c *container) checkHTTP(ctx context.Context, get *corev1.HTTPGetAction) error {
	address, err := c.address(get.Host, get.Port)
	if err != nil {
		return err
	}
	scheme := "http"
	if get.Scheme == corev1.URISchemeHTTPS {
		scheme = "https"
	}
	path := get.Path
	if path == "" || path[0] != '/' {
		path = "/" + path
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, scheme+"://"+address+path, nil)
	if err != nil {
		return err
	}
	request.Header.Set("User-Agent", "kube-probe/1.34")
	for _, header := range get.HTTPHeaders {
		request.Header.Add(header.Name, header.Value)
	}
	// Probes do not look at certificates, and keep no connection.
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true,
		TLSClientConfig: &tls.Config{InsecureSkipVerify: true}}}
	response, err := client.Do(request)
	if err != nil {
		return err
	}
	response.Body.Close()
	if response.StatusCode < 200 || response.StatusCode >= 400 {
		return fmt.Errorf("HTTP probe failed with statuscode: %d", response.StatusCode)
	}
	return nil
}

// checkCommand runs a command in the container's namespaces, as its user.
func (c *container) checkCommand(ctx context.Context, command []string, pid int) error {
	identity, err := identityOf(c.pod.get(), c.spec)
	if err != nil {
		return err
	}
	args := append([]string{"--target", strconv.Itoa(pid), "--mount", "--uts", "--ipc", "--pid", "--root", "--wd",
		"--setuid", strconv.Itoa(identity.uid), "--setgid", strconv.Itoa(identity.gid), "--"}, command...)
	run := exec.CommandContext(ctx, "nsenter", args...)
	run.Env = []string{"PATH=" + imagePath}
	output, err := run.CombinedOutput()
	if err != nil {
		return fmt.Errorf("%w: %s", err, output[:min(len(output), messageLimit)])
	}
	return nil
}
