/* What an API server or a credential plugin prints. The first byte chooses. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "importer/base/json.h"
#include "importer/kube/exec.h"
#include "importer/kube/material.h"
#include "importer/kube/status.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void try_plugin(const char *text, size_t len)
{
    struct vf_kube_exec_result r = {0};
    struct vf_error *err = NULL;
    int rc = vf_kube_exec_parse(text, len, VF_KUBE_EXEC_V1, &r, &err);
    if (rc ? r.token || r.cert_pem || !err : !r.token && !r.cert_pem) {
        abort();
    }
    vf_kube_exec_result_release(&r);
    vf_error_free(err);
}

static void try_status(const char *text, size_t len, long status)
{
    static const struct vf_kube_resource resource = {
        .group = "g", .version = "v1", .plural = "things", .namespaced = true};
    const struct vf_kube_action action = {
        .verb = "create", .resource = &resource, .ns = "n", .name = "x"};
    struct vf_error *err = NULL;
    cJSON *tree = NULL;
    if (vf_kube_status_error(&action, status, text, len, -1, &err) >= 0 || !err ||
        strpbrk(vf_error_message(err), "\x1b\r\n")) {
        abort();
    }
    vf_error_clear(&err);
    if (vf_json_parse(text, len, "it", &tree, NULL) == 0) {
        vf_kube_status_object_error(&action, tree, &err);
        cJSON_Delete(tree);
    }
    vf_error_free(err);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const long codes[] = {400, 401, 403, 404, 409, 410, 422, 429, 500, 503};
    if (size == 0) {
        return 0;
    }
    /* As a body arrives: with a NUL behind. */
    char *text = calloc(1, size);
    if (!text) {
        return 0;
    }
    memcpy(text, data + 1, size - 1);
    if (data[0] < 10) {
        try_status(text, size - 1, codes[data[0]]);
    } else if (data[0] == 't') {
        vf_kube_parse_time(text);
    } else if (data[0] == 'b') {
        char *decoded = vf_kube_decode_base64(text);
        vf_kube_wipe(decoded);
    } else {
        try_plugin(text, size - 1);
    }
    free(text);
    return 0;
}
