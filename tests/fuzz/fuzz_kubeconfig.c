/* Kubeconfigs as people and tools write them: one file, or two around a byte 0xff, merged. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "importer/kube/exec.h"
#include "importer/kube/kubeconfig.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const char *text = (const char *)data;
    const char *cut = size ? memchr(data, 0xff, size) : NULL;
    size_t first = cut ? (size_t)(cut - text) : size;
    const struct vf_kubeconfig_file files[] = {
        {.path = "/etc/one/config", .data = text, .len = first},
        {.path = "/etc/two/config", .data = cut ? cut + 1 : "", .len = cut ? size - first - 1 : 0},
    };
    struct vf_kube_config *c = NULL;
    struct vf_error *err = NULL;
    if (vf_kubeconfig_parse(files, cut ? 2 : 1, NULL, &c, &err)) {
        if (c || !vf_error_message(err)[0]) {
            abort();
        }
        vf_error_free(err);
        return 0;
    }
    if (!c->server || !c->ns || !c->origin ||
        (c->client_cert_pem && !c->client_key_pem && !c->client_key_file)) {
        abort();
    }
    if (c->exec) {
        free(vf_kube_exec_info(c));
    }
    vf_kube_config_free(c);
    return 0;
}
