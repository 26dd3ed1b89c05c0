/* Objects, lists of events, amounts and log lines as an API server may send them. The first byte
 * chooses. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "importer/base/json.h"
#include "importer/kube/cdi_explain.h"
#include "importer/kube/hold.h"
#include "importer/kube/job_log.h"
#include "importer/kube/owned.h"
#include "importer/kube/quantity.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Messages go to a terminal; what is told of is one line. */
static void end(struct vf_kube_hold *h)
{
    if (h->message ? strpbrk(h->message, "\x1b\r\n") != NULL : h->code || h->hint) {
        abort();
    }
    vf_kube_hold_release(h);
}

static void try_owned(cJSON *tree)
{
    static const struct vf_owner owner = {.import = "web", .source_vm = "Web", .source_uuid = "5"};
    enum vf_owned owned = vf_owned_judge(tree, &owner);
    if ((owned != VF_OWNED_NOT) != vf_owned_is_ours(tree)) {
        abort();
    }
    if (cJSON_IsObject(tree)) {
        vf_owned_mark(tree, &owner, VF_OWNED_COMPLETE);
        if (vf_owned_judge(tree, &owner) != VF_OWNED_FINISHED) {
            abort();
        }
    }
}

static void try_tree(uint8_t choice, cJSON *tree)
{
    struct vf_kube_hold h = {0};
    switch (choice % 4) {
    case 0:
        vf_kube_hold_pod(&h, tree);
        break;
    case 1:
        vf_kube_hold_events(&h, "the claim", tree, (enum vf_kube_hold_scope)(choice / 4 % 3));
        break;
    case 2:
        vf_cdi_hold_volume(&h, tree);
        break;
    default:
        try_owned(tree);
    }
    end(&h);
}

static void try_line(const char *text)
{
    struct vf_job_log_time time;
    const char *rest;
    if (vf_job_log_parse_line(text, &time, &rest) &&
        (rest < text || rest > text + strlen(text) || time.seconds < 0 ||
         time.nanos >= 1000000000)) {
        abort();
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    uint64_t bytes;
    cJSON *tree = NULL;
    char *text = calloc(1, size + 1);
    if (!text || size == 0) {
        free(text);
        return 0;
    }
    memcpy(text, data + 1, size - 1);
    if (data[0] == 'q') {
        if (vf_kube_parse_bytes(text, &bytes) && bytes >= UINT64_C(1) << 62) {
            abort();
        }
    } else if (data[0] == 'l') {
        try_line(text);
    } else if (vf_json_parse(text, size - 1, "it", &tree, NULL) == 0) {
        try_tree(data[0], tree);
        cJSON_Delete(tree);
    }
    free(text);
    return 0;
}
