/* A checkpoint of somebody: parsed as it is, and with its checksum put right, so that what is
 * behind it is reached. What was parsed is written, is the same when parsed again, and is judged.
 */
#include <stdlib.h>
#include <string.h>

#include "jobs/checkpoint.h"
#include "jobs/checkpoint_private.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void judge(const struct vf_checkpoint *c)
{
    char change_id[] = "52 de/4", moref[] = "snapshot-2";
    struct vf_vm_disk disk = {.key = 2000, .capacity_bytes = 1 << 30, .change_id = change_id};
    struct vf_vm_snapshot snapshot = {.moref = moref};
    struct vf_vm vm = {.instance_uuid = c->instance_uuid,
                       .cbt_enabled = true,
                       .disks = &disk,
                       .n_disks = 1,
                       .snapshots = &snapshot,
                       .n_snapshots = 1};
    struct vf_checkpoint_judgement j;
    vf_checkpoint_judge(c, &vm, &j);
    if (j.other_vm || !j.disks[0].reason || j.n_gone + (j.disks[0].disk != NULL) != c->n_disks) {
        abort();
    }
    vf_checkpoint_judgement_release(&j);
}

static void check_again(const struct vf_checkpoint *c)
{
    char *text = NULL, *text_again = NULL;
    /* Escapes of what was raw may make it longer than is allowed. */
    if (vf_checkpoint_encode(c, VF_CHECKPOINT_MAX_BYTES, &text, NULL) != 0) {
        return;
    }
    struct vf_checkpoint again = {0};
    if (vf_checkpoint_parse(text, strlen(text), &again, NULL) != 0 ||
        vf_checkpoint_encode(&again, VF_CHECKPOINT_MAX_BYTES, &text_again, NULL) != 0 ||
        strcmp(text, text_again) != 0) {
        abort();
    }
    if (again.stage != c->stage || again.was_on != c->was_on || again.cutover_s != c->cutover_s) {
        abort();
    }
    for (size_t i = 0; i < c->n_disks; i++) {
        if (c->disks[i].done.total_bytes != again.disks[i].done.total_bytes ||
            vf_areas_overlaps(&c->disks[i].done, c->disks[i].size_bytes, UINT64_MAX)) {
            abort();
        }
    }
    vf_checkpoint_release(&again);
    free(text_again);
    free(text);
}

static void parse(const char *text, size_t len)
{
    struct vf_checkpoint c = {0};
    struct vf_error *err = NULL;
    int rc = vf_checkpoint_parse(text, len, &c, &err);
    if ((rc != 0) != (err != NULL)) {
        abort();
    }
    if (rc == 0) {
        check_again(&c);
        judge(&c);
    }
    vf_error_free(err);
    vf_checkpoint_release(&c);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    parse((const char *)data, size);
    char *sealed = vf_checkpoint_seal((const char *)data, size);
    parse(sealed, strlen(sealed));
    free(sealed);
    return 0;
}
