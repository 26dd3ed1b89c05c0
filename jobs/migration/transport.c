#include "jobs/migration/transport.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "importer/base/inject.h"
#include "importer/base/mem.h"
#include "importer/vsphere/snapshot.h"
#include "jobs/migration/transport_private.h"
#include "jobs/parallel.h"

#define DEFAULT_PARALLEL_DISKS 4u

/* The reason of an error (vf_error_reason). */
#define SNAPSHOT_LOST "SnapshotLost"

const char *vf_transport_name(enum vf_transport_kind kind)
{
    switch (kind) {
    case VF_TRANSPORT_AUTO:
        return "auto";
    case VF_TRANSPORT_NFC:
        return "nfc";
    case VF_TRANSPORT_HTTPS:
        return "https";
    case VF_TRANSPORT_VDDK:
        return "vddk";
    case VF_TRANSPORT_CDI:
        return "cdi";
    }
    return "unknown";
}

void vf_transport_free(struct vf_transport *t)
{
    if (t) {
        t->ops->free(t);
    }
}

int vf_transport_copy(struct vf_transport *t, const struct vf_transport_round *round,
                      struct vf_cancel *cancel, struct vf_error **err)
{
    int rc = vf_inject("transport.copy", err);
    rc = rc ? rc : t->ops->copy(t, round, cancel, err);
    return rc ? rc : vf_inject("transport.copied", err);
}

/* --- the disks of a round ---------------------------------------------------------------- */

struct each {
    const struct vf_transport_round *round;
    vf_transport_disk_fn *fn;
    void *opaque;
    struct vf_cancel *cancel;
};

static int run_one(void *opaque, size_t index, struct vf_error **err)
{
    const struct each *e = opaque;
    const struct vf_transport_disk *d = &e->round->disks[index];
    /* Its own, so that what ends a disk's helpers does not end its siblings before the cause is
     * known. */
    struct vf_cancel *cancel = vf_cancel_new(e->cancel);
    if (!cancel) {
        return vf_error_set(err, VF_INTERNAL, "no descriptor left");
    }
    int rc = e->fn(e->opaque, e->round, d, cancel, err);
    vf_cancel_free(cancel);
    if (rc) {
        const char *label = d->disk->label;
        rc = vf_error_wrap(err, rc, "disk %zu (%s)", d->index, label ? label : "without label");
    }
    return rc;
}

int vf_transport_each_disk(const struct vf_transport_env *env,
                           const struct vf_transport_round *round, vf_transport_disk_fn *fn,
                           void *opaque, struct vf_cancel *cancel, struct vf_error **err)
{
    struct each e = {.round = round, .fn = fn, .opaque = opaque, .cancel = cancel};
    unsigned parallel = env->parallel_disks ? env->parallel_disks : DEFAULT_PARALLEL_DISKS;
    return vf_parallel_run(round->n_disks, parallel, run_one, &e, cancel, err);
}

static const struct vf_vm_disk *find_disk(const struct vf_vm *vm, int32_t key)
{
    for (size_t i = 0; i < vm->n_disks; i++) {
        if (vm->disks[i].key == key) {
            return &vm->disks[i];
        }
    }
    return NULL;
}

static bool is_same_file(const struct vf_vm_disk *a, const struct vf_vm_disk *b)
{
    return a && a->delta == b->delta && !a->file == !b->file &&
           (!a->file || strcmp(a->file, b->file) == 0);
}

int vf_transport_check_frozen(const struct vf_transport_env *env,
                              const struct vf_transport_round *round, struct vf_error **err)
{
    const char *snapshot = round->snapshot;
    struct vf_vm now;
    struct vf_error *e = NULL;
    bool quiesced, same = true;
    int rc = vf_snapshot_fetch(env->vs, round->frozen->moref, snapshot, &now, &quiesced, &e);
    if (rc == 0) {
        for (size_t i = 0; i < round->n_disks && same; i++) {
            const struct vf_vm_disk *was = round->disks[i].disk;
            same = is_same_file(find_disk(&now, was->key), was);
        }
        vf_vm_release(&now);
    }
    if (rc == VF_MISSING || !same) {
        vf_error_clear(&e);
        rc = vf_error_set(err, VF_RETRY,
                          rc ? "snapshot %s was removed by somebody else while it was copied from"
                             : "the disks of snapshot %s were moved while it was copied from",
                          snapshot);
        vf_error_set_reason(err, SNAPSHOT_LOST);
        vf_error_hint(err, "leave the VM's snapshots and its storage alone until it is migrated: "
                           "backups, too, make and remove snapshots");
        return rc;
    }
    vf_error_move(err, &e);
    return rc;
}

bool vf_transport_is_snapshot_lost(const struct vf_error *e)
{
    const char *reason = vf_error_reason(e);
    return reason && strcmp(reason, SNAPSHOT_LOST) == 0;
}

int vf_transport_explain(const struct vf_transport_env *env, const struct vf_transport_round *round,
                         int rc, struct vf_error **err)
{
    struct vf_error *e = NULL;
    if ((rc == VF_MISSING || rc == VF_CONFLICT) &&
        vf_transport_check_frozen(env, round, &e) == VF_RETRY && vf_transport_is_snapshot_lost(e)) {
        vf_error_clear(err);
        vf_error_move(err, &e);
        return VF_RETRY;
    }
    vf_error_free(e);
    return rc;
}
