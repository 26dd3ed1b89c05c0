#include "tests/support/folder_migration.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "importer/base/mem.h"
#include "tests/support/check.h"

#define BLOCK    4096u
#define N_BLOCKS ((FOLDER_DISK_BYTES + BLOCK - 1) / BLOCK)

void folder_job_init(struct folder_job *j, enum vf_format format)
{
    *j = (struct folder_job){.options = {.target = VF_TO_DIR, .format = format}};
    vf_vm_init(&j->vm);
    j->vm.name = vf_xstrdup("web");
    j->vm.instance_uuid = vf_xstrdup("5000-web");
    j->vm.cbt_enabled = true;
    j->vm.disks = vf_xcalloc(FOLDER_DISKS, sizeof *j->vm.disks);
    j->vm.n_disks = FOLDER_DISKS;
    j->im = (struct vf_import){.options = &j->options, .source = vf_xstrdup("vcenter")};
    j->im.copies = vf_xcalloc(FOLDER_DISKS, sizeof *j->im.copies);
    j->im.n_copies = FOLDER_DISKS;
    for (unsigned i = 0; i < FOLDER_DISKS; i++) {
        struct vf_vm_disk *d = &j->vm.disks[i];
        d->label = vf_xasprintf("Hard disk %u", i + 1);
        d->key = 2000 + (int32_t)i;
        d->uuid = vf_xasprintf("6000-%u", i);
        d->capacity_bytes = FOLDER_DISK_BYTES;
        j->im.copies[i].size_bytes = FOLDER_DISK_BYTES;
        j->im.copies[i].digest = vf_xstrdup("sha256-1m:00");
    }
}

void folder_job_release(struct folder_job *j)
{
    for (unsigned i = 0; i < FOLDER_DISKS; i++) {
        free(j->im.copies[i].digest);
    }
    free(j->im.copies);
    free(j->im.name);
    free(j->im.source);
    vf_vm_release(&j->vm);
}

/* --- the source -------------------------------------------------------------------------- */

static unsigned mix(unsigned disk, unsigned block, unsigned state)
{
    uint64_t x = ((uint64_t)disk << 40 ^ (uint64_t)block << 16 ^ state) * 0x9e3779b97f4a7c15ull;
    return (unsigned)(x >> 40);
}

/* The first state writes every block, each later one every fourth. */
static bool is_written(unsigned disk, unsigned block, unsigned state)
{
    return state == 1 || (state != 0 && mix(disk, block, state) % 4 == 0);
}

static unsigned last_write(unsigned disk, unsigned block, unsigned state)
{
    while (!is_written(disk, block, state)) {
        state--;
    }
    return state;
}

static void fill(uint8_t *buf, size_t len, unsigned disk, unsigned block, unsigned state)
{
    unsigned value = mix(disk, block, last_write(disk, block, state));
    memset(buf, value % 3 == 0 ? 0 : (int)(value & 255), len);
}

static size_t block_bytes(unsigned block)
{
    uint64_t left = FOLDER_DISK_BYTES - (uint64_t)block * BLOCK;
    return left < BLOCK ? (size_t)left : BLOCK;
}

uint8_t *folder_content(unsigned disk, unsigned state)
{
    uint8_t *bytes = vf_xcalloc(1, FOLDER_DISK_BYTES);
    for (unsigned b = 0; b < N_BLOCKS; b++) {
        fill(bytes + (size_t)b * BLOCK, block_bytes(b), disk, b, state);
    }
    return bytes;
}

int folder_copy(struct vf_sink *sink, unsigned disk, unsigned from, unsigned to,
                struct vf_error **err)
{
    uint8_t buf[BLOCK];
    int rc = 0;
    for (unsigned b = 0; b < N_BLOCKS && rc == 0; b++) {
        if (last_write(disk, b, to) <= from) {
            continue;
        }
        size_t n = block_bytes(b);
        fill(buf, n, disk, b, to);
        rc = buf[0] ? vf_sink_write(sink, buf, n, (uint64_t)b * BLOCK, err)
                    : vf_sink_zero(sink, (uint64_t)b * BLOCK, n, err);
    }
    return rc;
}

/* --- rounds ------------------------------------------------------------------------------ */

static unsigned state_of(const char *change_id)
{
    unsigned state = 0;
    vf_test_check(change_id && sscanf(change_id, "cbt/%u", &state) == 1);
    return state;
}

/* The sink, and the state from which it is to be brought up to date (0: from nothing). */
static int open_sink(struct vf_warm_target *t, struct vf_checkpoint_disk *d, size_t i,
                     const char *change_id, struct vf_sink **ret_sink, unsigned *ret_from,
                     struct vf_error **err)
{
    bool goes_on = d->change_id && d->phase != VF_CHECKPOINT_FULL;
    const char *since = d->phase == VF_CHECKPOINT_DELTA ? d->base_change_id : d->change_id;
    *ret_from = goes_on ? state_of(since) : 0;
    struct vf_error *e = NULL;
    int rc = goes_on ? t->ops->open_disk(t, i, FOLDER_DISK_BYTES, false, NULL, ret_sink, &e)
                     : VF_MISSING;
    if (rc == 0 && d->phase == VF_CHECKPOINT_COMPLETE) {
        rc = vf_checkpoint_disk_begin_delta(d, "snapshot", change_id, &e);
    }
    if (rc == VF_MISSING || rc == VF_INVALID) {
        vf_error_clear(&e);
        *ret_from = 0;
        vf_checkpoint_disk_begin_full(d, "snapshot", change_id);
        rc = t->ops->open_disk(t, i, FOLDER_DISK_BYTES, true, NULL, ret_sink, &e);
    }
    vf_error_move(err, &e);
    return rc;
}

static int copy_round(struct vf_warm_target *t, struct vf_checkpoint *c, unsigned state, bool last,
                      struct vf_error **err)
{
    char change_id[32];
    snprintf(change_id, sizeof change_id, "cbt/%u", state);
    int rc = 0;
    for (size_t i = 0; i < FOLDER_DISKS && rc == 0; i++) {
        struct vf_checkpoint_disk *d = &c->disks[i];
        struct vf_sink *sink = NULL;
        unsigned from = 0;
        rc = open_sink(t, d, i, change_id, &sink, &from, err);
        if (rc == 0) { /* an unfinished round is run anew, to the newer state */
            vf_replace_string(&d->change_id, change_id);
            rc = vf_checkpoint_save(t->store, c, err);
        }
        rc = rc ? rc : folder_copy(sink, (unsigned)i, from, state, err);
        rc = rc ? rc : vf_sink_flush(sink, err);
        if (rc == 0) {
            vf_checkpoint_disk_complete(d);
            rc = vf_checkpoint_save(t->store, c, err);
        }
        rc = rc == 0 && last ? vf_sink_finish(sink, err) : rc;
        vf_sink_free(sink);
    }
    return rc;
}

static int publish(struct vf_warm_target *t, enum vf_migration_phase phase, struct vf_error **err)
{
    struct vf_migration_status s = {.name = t->im->name, .phase = phase};
    return t->board->ops->publish(t->board, &s, err);
}

static int cut_over(struct folder_job *j, struct vf_warm_target *t, struct vf_checkpoint *c,
                    struct vf_error **err)
{
    int rc = 0;
    if (c->stage != VF_STAGE_DELIVERED) {
        c->stage = VF_STAGE_CUTOVER;
        rc = vf_checkpoint_save(t->store, c, err);
        rc = rc ? rc : copy_round(t, c, FOLDER_LAST_STATE, true, err);
        rc = rc ? rc : t->ops->deliver(t, &j->vm, err);
        if (rc == 0) {
            c->stage = VF_STAGE_DELIVERED;
            rc = vf_checkpoint_save(t->store, c, err);
        }
    }
    rc = rc ? rc : t->ops->settle(t, err);
    return rc ? rc : publish(t, VF_PHASE_DONE, err);
}

int folder_migrate(struct folder_job *j, const char *path, struct vf_error **err)
{
    struct vf_warm_target *t = NULL;
    struct vf_checkpoint c = {0};
    int rc = vf_warm_target_dir_open(&j->im, path, &t, err);
    rc = rc ? rc : t->ops->prepare(t, &j->vm, err);
    rc = rc ? rc : publish(t, VF_PHASE_PREPARING, err);
    if (rc == 0 && vf_checkpoint_load(t->store, &c, NULL) != 0) {
        c.instance_uuid = vf_xstrdup(j->vm.instance_uuid);
        for (size_t i = 0; i < FOLDER_DISKS; i++) {
            struct vf_checkpoint_disk *d =
                vf_checkpoint_add_disk(&c, &j->vm.disks[i], t->ops->get_name(t, i));
            vf_checkpoint_disk_begin_full(d, "snapshot", "cbt/1");
        }
    }
    for (unsigned i = 0; rc == 0 && i < 2 && c.stage == VF_STAGE_PRECOPY; i++) {
        rc = copy_round(t, &c, state_of(c.disks[0].change_id) + 1, false, err);
    }
    rc = rc ? rc : cut_over(j, t, &c, err);
    vf_checkpoint_release(&c);
    vf_warm_target_free(t);
    return rc;
}

int folder_discard(struct folder_job *j, const char *path, struct vf_error **err)
{
    struct vf_warm_target *t = NULL;
    int rc = vf_warm_target_dir_open(&j->im, path, &t, err);
    rc = rc ? rc : t->ops->discard(t, err);
    vf_warm_target_free(t);
    return rc;
}
