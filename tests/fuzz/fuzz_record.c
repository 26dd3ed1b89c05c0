/* vmferry.json of somebody: parsed, and what was parsed is written and parsed again. */
#include <stdlib.h>
#include <string.h>

#include "importer/base/utf8.h"
#include "jobs/record.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* What is no UTF-8 in the first is written as something that is. NULL: not there. */
static bool same(const char *first, const char *again)
{
    if (!first || !again) {
        return first == again;
    }
    char *clean = vf_utf8_clean(first);
    bool equal = strcmp(clean, again) == 0;
    free(clean);
    return equal;
}

static void check_again(const struct vf_record *r)
{
    char *text = vf_record_encode(r);
    struct vf_record again = {0};
    if (vf_record_parse(text, strlen(text), &again, NULL) != 0 || again.n_disks != r->n_disks) {
        abort();
    }
    for (size_t i = 0; i < r->n_disks; i++) {
        if (strchr(r->disks[i].file, '/') || !same(r->disks[i].file, again.disks[i].file) ||
            !same(r->disks[i].digest, again.disks[i].digest) ||
            r->disks[i].size_bytes != again.disks[i].size_bytes) {
            abort();
        }
    }
    vf_record_release(&again);
    free(text);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct vf_record r = {0};
    struct vf_error *err = NULL;
    int rc = vf_record_parse((const char *)data, size, &r, &err);
    if ((rc != 0) != (err != NULL)) {
        abort();
    }
    if (rc == 0) {
        check_again(&r);
    }
    vf_error_free(err);
    vf_record_release(&r);
    return 0;
}
