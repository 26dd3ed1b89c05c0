/* A status and a request of somebody: parsed; what was parsed is written, and is the same when it
 * is parsed again.
 */
#include <stdlib.h>
#include <string.h>

#include "jobs/migration/status.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_status(const struct vf_migration_status *s)
{
    char *text = vf_migration_status_encode(s);
    struct vf_migration_status again = {0};
    if (strlen(text) > VF_STATUS_MAX_BYTES ||
        vf_migration_status_parse(text, strlen(text), &again, NULL) != 0) {
        abort();
    }
    char *text_again = vf_migration_status_encode(&again);
    if (strcmp(text, text_again) != 0 || again.phase != s->phase || again.eta_ms != s->eta_ms ||
        again.n_disks > s->n_disks) {
        abort();
    }
    free(text_again);
    free(text);
    vf_migration_status_release(&again);
}

static void check_request(const struct vf_migration_request *r)
{
    char *text = vf_migration_request_encode(r);
    struct vf_migration_request again = {0};
    if (vf_migration_request_parse(text, strlen(text), &again, NULL) != 0 ||
        again.kind != r->kind || again.discard != r->discard || again.at_s != r->at_s) {
        abort();
    }
    free(text);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct vf_migration_status s = {0};
    struct vf_migration_request r = {0};
    struct vf_error *err = NULL;
    int rc = vf_migration_status_parse((const char *)data, size, &s, &err);
    if ((rc != 0) != (err != NULL)) {
        abort();
    }
    if (rc == 0) {
        check_status(&s);
    }
    vf_error_clear(&err);
    vf_migration_status_release(&s);
    rc = vf_migration_request_parse((const char *)data, size, &r, &err);
    if ((rc != 0) != (err != NULL)) {
        abort();
    }
    if (rc == 0) {
        check_request(&r);
    }
    vf_error_free(err);
    return 0;
}
