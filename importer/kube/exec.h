/* Credential plugins: a program of the user's prints who we are.
 *
 * Source: kubernetes.io/docs/reference/config-api/client-authentication.v1 and .v1beta1
 * (ExecCredential), kubernetes.io/docs/reference/access-authn-authz/authentication, "client-go
 * credential plugins".
 */
#ifndef IMPORTER_KUBE_EXEC_H
#define IMPORTER_KUBE_EXEC_H

#include <stddef.h>
#include <stdint.h>

#include <vmferry/cancel.h>
#include <vmferry/error.h>

#include "importer/base/secret.h"
#include "importer/kube/config.h"

#define VF_KUBE_EXEC_V1      "client.authentication.k8s.io/v1"
#define VF_KUBE_EXEC_V1BETA1 "client.authentication.k8s.io/v1beta1"

struct vf_kube_exec_result {
    struct vf_secret *token; /* NULL: none; so below */
    char *cert_pem;
    struct vf_secret *key_pem;
    int64_t expires_at_s; /* of the wall clock; 0: not told */
};

void vf_kube_exec_result_release(struct vf_kube_exec_result *r);

/* Runs config->exec. VF_AUTH when it fails or prints nothing of use, with the end of what it said
 * on stderr; VF_MISSING when it is not installed, with the kubeconfig's hint; VF_RETRY when it does
 * not end within a minute; VF_CANCELLED. */
int vf_kube_exec_run(const struct vf_kube_config *config, const struct vf_cancel *cancel,
                     struct vf_kube_exec_result *ret_result, struct vf_error **err);

/* What it printed. VF_AUTH when that is no ExecCredential of `api_version`. */
int vf_kube_exec_parse(const char *text, size_t len, const char *api_version,
                       struct vf_kube_exec_result *ret_result, struct vf_error **err);

/* "2026-08-01T12:00:00.5+02:00" to seconds since 1970 (RFC 3339); -1 for anything else. */
int64_t vf_kube_parse_time(const char *text);

/* The value of KUBERNETES_EXEC_INFO; caller frees. */
char *vf_kube_exec_info(const struct vf_kube_config *config);

#endif
