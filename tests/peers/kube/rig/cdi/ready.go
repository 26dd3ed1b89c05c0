package cdi

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net/http"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"vmferry/tests/peers/kube/rig/pki"
)

// healthy waits until a server answers on this port of the machine.
func healthy(limited context.Context, number int, authority *pki.Authority, name string) error {
	client := http.Client{
		Timeout: 5 * time.Second,
		Transport: &http.Transport{
			TLSClientConfig:   &tls.Config{RootCAs: authority.Pool(), ServerName: name},
			DisableKeepAlives: true,
		},
	}
	return until(limited, func() error {
		response, err := client.Get(fmt.Sprintf("https://127.0.0.1:%d/healthz", number))
		if err != nil {
			return err
		}
		response.Body.Close()
		if response.StatusCode != http.StatusOK {
			return errors.New(response.Status)
		}
		return nil
	})
}

// served waits until the API server passes on upload.cdi.kubevirt.io.
func (c *cdi) served(limited context.Context) error {
	return until(limited, func() error {
		_, err := c.client.Discovery().ServerResourcesForGroupVersion("upload.cdi.kubevirt.io/v1beta1")
		return err
	})
}

// configured waits until cdi-controller has published the proxy's URL.
func (c *cdi) configured(limited context.Context) error {
	resource := schema.GroupVersionResource{Group: "cdi.kubevirt.io", Version: "v1beta1", Resource: "cdiconfigs"}
	return until(limited, func() error {
		config, err := c.dynamic.Resource(resource).Get(limited, "config", metav1.GetOptions{})
		if err != nil {
			return err
		}
		url, _, err := unstructured.NestedString(config.Object, "status", "uploadProxyURL")
		if err == nil && url != c.proxyURL() {
			err = fmt.Errorf("the upload proxy's URL is '%s', not '%s'", url, c.proxyURL())
		}
		return err
	})
}

// until repeats the check until it succeeds; the last error when the time is up.
func until(limited context.Context, check func() error) error {
	for {
		err := check()
		if err == nil {
			return nil
		}
		select {
		case <-time.After(100 * time.Millisecond):
		case <-limited.Done():
			return fmt.Errorf("%w (last: %w)", limited.Err(), err)
		}
	}
}
