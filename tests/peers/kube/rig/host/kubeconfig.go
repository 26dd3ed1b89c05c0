package host

import (
	"fmt"

	"k8s.io/client-go/tools/clientcmd"
	"k8s.io/client-go/tools/clientcmd/api"
)

// OwnGroup is the group of the rig's own users, whose requests are not audited.
const OwnGroup = "vmferry:rig"

// WriteKubeconfig makes a kubeconfig for a user of these groups; the API server need not know them, it
// believes the certificate. Members of "system:masters" may do everything.
func (h *Host) WriteKubeconfig(path, user string, groups ...string) error {
	pair, err := h.CA.Client(user, groups...)
	if err != nil {
		return err
	}
	config := api.NewConfig()
	config.Clusters["rig"] = &api.Cluster{
		Server:                   fmt.Sprintf("https://%s:%d", h.APIServerHost, h.APIServerPort),
		CertificateAuthorityData: h.CA.CertPEM,
	}
	config.AuthInfos[user] = &api.AuthInfo{ClientCertificateData: pair.CertPEM, ClientKeyData: pair.KeyPEM}
	config.Contexts["rig"] = &api.Context{Cluster: "rig", AuthInfo: user}
	config.CurrentContext = "rig"
	return clientcmd.WriteToFile(*config, path)
}

// UseKubeconfig makes that file the rig's own.
func (h *Host) UseKubeconfig(path string) error {
	config, err := clientcmd.BuildConfigFromFlags("", path)
	if err != nil {
		return err
	}
	// All parts share one process and are many clients; the API server has its own limits.
	config.QPS = -1
	h.Config = config
	h.Kubeconfig = path
	return nil
}
