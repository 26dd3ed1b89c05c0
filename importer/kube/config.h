/* How a cluster is reached and who we are there: from kubeconfig files, or from the service account
 * that a pod runs with.
 *
 * Sources: the kubeconfig format and its merge rules (kubernetes.io/docs/concepts/configuration/
 * organize-cluster-access-kubeconfig, reference/config-api/kubeconfig.v1), access from a pod
 * (kubernetes.io/docs/tasks/run-application/access-api-from-pod). Where these are silent,
 * client-go's behaviour is followed.
 */
#ifndef IMPORTER_KUBE_CONFIG_H
#define IMPORTER_KUBE_CONFIG_H

#include <cjson/cJSON.h>
#include <stdbool.h>
#include <stddef.h>

#include <vmferry/error.h>

#include "importer/base/secret.h"

/* A credential plugin (client.authentication.k8s.io). */
struct vf_kube_exec {
    char *api_version; /* "client.authentication.k8s.io/v1" or ".../v1beta1" */
    char *command;     /* absolute path, or a name to be looked up in PATH */
    char **args;
    size_t n_args;
    char **env; /* "NAME=value", beside the environment of this process */
    size_t n_env;
    bool provide_cluster_info;
    char *install_hint;
    cJSON *cluster_config; /* the cluster's extension for plugins; NULL: none */
};

/* Plain data, all of it owned by the struct, NULL where there is none. */
struct vf_kube_config {
    char *origin; /* for messages: `context "prod" of kubeconfig "/home/u/.kube/config"` */
    char *server; /* URL, without a slash at its end */
    char *ns;     /* namespace of what names none; never NULL */
    char *ca_file, *ca_pem; /* the file's content is in ca_pem once fetched; so below */
    bool insecure;
    char *tls_server_name;
    char *proxy;
    char *client_cert_file, *client_cert_pem;
    char *client_key_file;
    struct vf_secret *client_key_pem;
    struct vf_secret *token;
    char *token_file; /* goes before token; read again as it changes */
    char *username;
    struct vf_secret *password;
    char **impersonate; /* request headers */
    size_t n_impersonate;
    struct vf_kube_exec *exec;
};

struct vf_kube_config_options {
    const char *path;    /* NULL: KUBECONFIG, else ~/.kube/config, else the pod's service account */
    const char *context; /* NULL: the current one */
    const char *ns;      /* goes before the context's */
    const char *service_account_dir; /* NULL: where kubelets put it */
};

/* Reads the files, the certificates named in them too; plugins and token files wait for the first
 * request. `options` may be NULL. VF_MISSING when there is no configuration, or a context, cluster
 * or user that is named is not in it; VF_INVALID with file and line for what breaks the format;
 * VF_UNSUPPORTED with file and line for what this client cannot do; VF_AUTH for a file that may not
 * be read. Every one has a hint where one can be given. */
int vf_kube_config_fetch(const struct vf_kube_config_options *options,
                         struct vf_kube_config **ret_config, struct vf_error **err);

void vf_kube_config_free(struct vf_kube_config *c);

#endif
