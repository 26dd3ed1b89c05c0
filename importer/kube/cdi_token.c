/* Tokens for uploads (CDI, doc/upload.md; pkg/apiserver). */
#include <string.h>

#include "importer/base/json.h"
#include "importer/base/mem.h"
#include "importer/base/retry.h"
#include "importer/kube/cdi.h"
#include "importer/kube/client_private.h"
#include "importer/kube/resources.h"

static cJSON *build_request(const char *ns, const char *claim)
{
    char *vf_autofree api_version = vf_kube_api_version(&vf_kube_upload_tokens);
    cJSON *request = vf_json_new_object();
    vf_json_add_string(request, "apiVersion", api_version);
    vf_json_add_string(request, "kind", vf_kube_kind(&vf_kube_upload_tokens));
    cJSON *metadata = vf_json_add_object(request, "metadata");
    vf_json_add_string(metadata, "name", claim);
    vf_json_add_string(metadata, "namespace", ns);
    vf_json_add_string(vf_json_add_object(request, "spec"), "pvcName", claim);
    return request;
}

/* It goes into a header: what a JSON web token has, and nothing else. */
static bool is_token(const char *text)
{
    static const char allowed[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
                                  "0123456789-_.=";
    size_t len = text ? strlen(text) : 0;
    return len > 0 && len <= VF_SECRET_MAX_BYTES && strspn(text, allowed) == len;
}

/* A token more does no harm, so that this may be repeated where other creates may not. */
static int request_token(struct vf_kube_client *client, const struct vf_kube_ref *ref,
                         const cJSON *request, const struct vf_cancel *cancel, cJSON **ret_answer,
                         struct vf_error **err)
{
    const struct vf_kube_options options = {.cancel = cancel};
    struct vf_retry retry;
    struct vf_error *e = NULL;
    int rc;
    vf_retry_init(&retry, &client->retry, cancel ? cancel : client->cancel);
    do {
        rc = vf_kube_create(client, ref, request, &options, ret_answer, &e);
    } while (vf_retry_again(&retry, &rc, &e));
    vf_error_move(err, &e);
    return rc;
}

int vf_cdi_fetch_upload_token(struct vf_kube_client *client, const char *ns, const char *claim,
                              const struct vf_cancel *cancel, struct vf_secret **ret_token,
                              struct vf_error **err)
{
    ns = ns ? ns : vf_kube_client_namespace(client);
    const struct vf_kube_ref ref = {.resource = &vf_kube_upload_tokens, .ns = ns};
    cJSON *request = build_request(ns, claim);
    cJSON *answer = NULL;
    int rc = request_token(client, &ref, request, cancel, &answer, err);
    cJSON_Delete(request);
    if (!rc) {
        const char *token = vf_json_string(vf_json_object(answer, "status"), "token");
        if (is_token(token)) {
            *ret_token = vf_secret_new(token, strlen(token));
        } else {
            rc = vf_error_set(err, VF_INVALID, "CDI's answer to a request for a token has none");
        }
        vf_json_delete_wiped(answer);
    }
    return rc ? vf_error_wrap(err, rc, "a token for the upload into \"%s\"", claim) : 0;
}
