/* The target's side of the world: disks, their rounds and checkpoints, and the new VM. */
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "converters/vm/names.h"
#include "importer/base/clock.h"
#include "importer/base/inject.h"
#include "importer/base/mem.h"
#include "importer/source/datastore.h"
#include "jobs/find_vm.h"
#include "jobs/migration/world.h"

static struct vf_real_world *real(struct vf_world *w)
{
    return (struct vf_real_world *)w;
}

/* --- what the disks go into -------------------------------------------------------------- */

static bool fits(const struct vf_import *im, const struct vf_vm *vm)
{
    bool same = im->n_copies == vm->n_disks;
    for (size_t i = 0; same && i < vm->n_disks; i++) {
        const struct vf_vm_disk *d = &vm->disks[i];
        const struct vf_disk_copy *c = &im->copies[i];
        same =
            c->expected_bytes == d->capacity_bytes && (!d->label || strcmp(c->name, d->label) == 0);
    }
    return same;
}

int vf_world_load_checkpoint(struct vf_real_world *r, struct vf_error **err)
{
    const struct vf_vm *vm = vf_source_vm_get(r->source);
    const char *uuid = vm->instance_uuid && *vm->instance_uuid ? vm->instance_uuid : vm->moref;
    struct vf_checkpoint loaded = {0};
    struct vf_error *e = NULL;
    int rc = r->target->store ? vf_checkpoint_load(r->target->store, &loaded, &e) : VF_MISSING;
    if (rc == VF_MISSING) {
        vf_error_clear(&e);
        rc = 0;
    } else if (rc == 0 && strcasecmp(loaded.instance_uuid, uuid) != 0) {
        rc = vf_error_set(&e, VF_CONFLICT,
                          "what was copied here is of another VM, \"%s\" with instance UUID "
                          "\"%s\"",
                          loaded.vm_name ? loaded.vm_name : "", loaded.instance_uuid);
        vf_checkpoint_release(&loaded);
    } else if (rc == 0) {
        vf_checkpoint_release(&r->checkpoint);
        r->checkpoint = loaded;
    }
    vf_error_move(err, &e);
    if (rc == 0 && !r->checkpoint.instance_uuid) {
        r->checkpoint.instance_uuid = vf_xstrdup(uuid);
    }
    if (rc == 0) {
        vf_replace_string(&r->checkpoint.moref, vm->moref);
        vf_replace_string(&r->checkpoint.vm_name, vm->name);
        vf_watch_set_checkpoint(r->watch, &r->checkpoint);
    }
    return rc;
}

/* What cannot be read costs a full copy, never more. */
static int load_or_begin_anew(struct vf_real_world *r, struct vf_error **err)
{
    struct vf_error *e = NULL;
    int rc = vf_world_load_checkpoint(r, &e);
    if (rc == VF_INVALID) {
        char *vf_autofree text = vf_error_format(e);
        const struct vf_vm *vm = vf_source_vm_get(r->source);
        vf_report_warning(r->im.reporter, r->im.vm_name,
                          "the checkpoint of an earlier run cannot be read (%s): every disk is "
                          "copied in full",
                          text);
        vf_error_clear(&e);
        rc = 0;
        vf_checkpoint_release(&r->checkpoint);
        r->checkpoint = (struct vf_checkpoint){
            .instance_uuid = vf_xstrdup(vm->instance_uuid ? vm->instance_uuid : vm->moref),
            .moref = vf_xstrdup(vm->moref),
            .vm_name = vf_xstrdup(vm->name)};
    }
    vf_error_move(err, &e);
    return rc;
}

int vf_world_fit_target(struct vf_real_world *r, const struct vf_vm *vm, struct vf_error **err)
{
    if (r->disks && fits(&r->im, vm)) {
        return 0;
    }
    bool first = !r->disks;
    /* Sinks go by the index of a disk in the VM. */
    vf_disks_free(vf_take(r->disks));
    vf_import_make_copies(&r->im, vm);
    for (size_t i = 0; i < r->im.n_copies; i++) {
        r->im.copies[i].size_bytes = vm->disks[i].capacity_bytes; /* known before the copy here */
    }
    int rc = r->target->ops->prepare(r->target, vm, err);
    if (rc == 0 && first) {
        vf_watch_set_board(r->watch, r->target->board);
        rc = load_or_begin_anew(r, err);
    }
    if (rc) {
        return rc;
    }
    r->im.prepared = true;
    vf_watch_set_names(r->watch, r->im.name, NULL, NULL, NULL, r->target->place);
    r->disks = vf_disks_new(&(struct vf_disks_env){.target = r->target,
                                                   .checkpoint = &r->checkpoint,
                                                   .pool = r->im.env.pool,
                                                   .reporter = r->im.reporter,
                                                   .vm = r->im.vm_name,
                                                   .changes = vf_source_vm_fetch_changes,
                                                   .changes_opaque = r->source,
                                                   .cancel = r->im.cancel});
    return 0;
}

int vf_world_prepare(struct vf_world *w, struct vf_error **err)
{
    struct vf_real_world *r = real(w);
    const struct vf_vm *vm = vf_source_vm_get(r->source);
    int rc = vf_vm_check_exportable(vm, r->im.options->mapping, err);
    if (rc == 0 && vm->n_disks == 0) {
        rc = vf_error_set(err, VF_MISSING, "the VM has no disk to copy");
    }
    return rc ? rc : vf_world_fit_target(r, vm, err);
}

/* --- rounds ------------------------------------------------------------------------------ */

int vf_world_guard(struct vf_world *w, struct vf_error **err)
{
    struct vf_real_world *r = real(w);
    return r->target->ops->guard(r->target, &r->checkpoint, err);
}

/* A file that may be read at the beginning of a round may be refused in its middle. */
static bool is_refused_file(const struct vf_error *e)
{
    static const char *const reasons[] = {VF_DATASTORE_LOCKED,  VF_DATASTORE_FORBIDDEN,
                                          VF_DATASTORE_MISSING, VF_DATASTORE_NOT_FLAT,
                                          VF_DATASTORE_SIZE,    VF_DATASTORE_NO_RANGES};
    const char *reason = vf_error_reason(e);
    for (size_t i = 0; reason && i < sizeof reasons / sizeof *reasons; i++) {
        if (strcmp(reason, reasons[i]) == 0) {
            return true;
        }
    }
    return false;
}

static void fall_back_to_nfc(struct vf_real_world *r, const struct vf_error *why)
{
    char *vf_autofree text = vf_error_format(why);
    vf_report_warning(r->im.reporter, r->im.vm_name,
                      "the datastore refuses what it let us read before (%s): going on by nfc",
                      text);
    vf_transport_free(r->transport);
    r->transport = vf_transport_nfc_new(vf_world_transport_env(r));
    vf_watch_set_transport(r->watch, vf_transport_name(VF_TRANSPORT_NFC),
                           "the datastore refused a file that it had let us read");
}

static int copy_once(struct vf_real_world *r, enum vf_round_kind kind, struct vf_round_report *ret,
                     struct vf_error **err)
{
    struct vf_cancel *cancel = vf_cancel_new(r->im.cancel);
    if (!cancel) {
        return vf_error_set(err, VF_INTERNAL, "no descriptor left");
    }
    struct vf_error *e = NULL;
    r->transport->last = kind == VF_ROUND_LAST;
    vf_watch_start(r->watch, cancel);
    int rc = vf_disks_copy_round(r->disks, r->transport, r->snapshot,
                                 vf_source_vm_get_frozen(r->source), cancel, ret, &e);
    if (vf_watch_stop(r->watch) && rc) {
        vf_error_clear(&e);
        rc = vf_error_set(&e, VF_CANCELLED, "the copy was cancelled on request");
        vf_error_set_reason(&e, VF_REASON_CANCEL_REQUESTED);
    }
    vf_cancel_free(cancel);
    vf_watch_set_checkpoint(r->watch, &r->checkpoint);
    vf_error_move(err, &e);
    return rc;
}

int vf_world_copy(struct vf_world *w, enum vf_round_kind kind, struct vf_round *ret,
                  struct vf_error **err)
{
    struct vf_real_world *r = real(w);
    struct vf_round_report report = {0};
    struct vf_error *e = NULL;
    int64_t begin_ms = vf_clock_ms();
    int rc = vf_inject("migration.copy", &e);
    rc = rc ? rc : copy_once(r, kind, &report, &e);
    if (rc && r->options->transport.kind == VF_TRANSPORT_AUTO &&
        r->transport->kind == VF_TRANSPORT_HTTPS && is_refused_file(e)) {
        fall_back_to_nfc(r, e);
        vf_error_clear(&e);
        rc = copy_once(r, kind, &report, &e);
    }
    ret->copy_ms = vf_clock_ms() - begin_ms;
    ret->bytes = report.bytes;
    r->digests_due = rc == 0 && kind == VF_ROUND_PRECOPY && !r->options->no_digest &&
                     !r->transport->copies_itself;
    vf_error_move(err, &e);
    return rc;
}

void vf_world_refresh_digests(struct vf_real_world *r)
{
    struct vf_cancel *cancel = r->digests_due ? vf_cancel_new(r->im.cancel) : NULL;
    struct vf_error *e = NULL;
    r->digests_due = false;
    if (!cancel) {
        return;
    }
    vf_watch_start(r->watch, cancel);
    int rc = vf_disks_refresh_digests(r->disks, cancel, &e);
    vf_watch_stop(r->watch);
    vf_cancel_free(cancel);
    if (rc && rc != VF_CANCELLED) {
        char *vf_autofree text = vf_error_format(e);
        vf_report_warning(r->im.reporter, r->im.vm_name,
                          "the target could not be read back (%s); it is tried again before the "
                          "new VM is made",
                          text);
    }
    vf_error_free(e);
}

/* --- the end ----------------------------------------------------------------------------- */

/* What was written to a disk after the snapshot that it was copied from. Without a snapshot vSphere
 * answers for the disk as it is, of a VM that is off. */
static int check_disk_rests(struct vf_real_world *r, const struct vf_vm *frozen,
                            const struct vf_vm_disk *disk, struct vf_error **err)
{
    struct vf_cbt_query q = {
        .vm_moref = frozen->moref,
        .disk = disk,
        .since = {.change_id = disk->change_id, .capacity_bytes = disk->capacity_bytes}};
    struct vf_cbt_answer a = {0};
    int rc = vf_source_vm_fetch_changes(r->source, &q, &a, err);
    if (rc == 0 && !a.why && a.areas.total_bytes > 0) {
        rc = vf_error_set(err, VF_CONFLICT,
                          "%llu bytes of disk \"%s\" changed after the last snapshot: the source "
                          "was powered on and off again while it was cut over",
                          (unsigned long long)a.areas.total_bytes, disk->label ? disk->label : "");
        vf_error_hint(err, "see who or what starts it (HA, a schedule, a person), then run the "
                           "same command again: it copies these too");
    }
    vf_cbt_answer_release(&a);
    return rc;
}

/* A VM that is off before and after may have run in between, and only its disks tell of it. Of one
 * that is not tracked, or whose tracking does not answer, nothing more can be learned. */
static int check_source_rests(struct vf_real_world *r, const struct vf_vm *frozen,
                              struct vf_error **err)
{
    int rc = 0;
    for (size_t i = 0; frozen && i < frozen->n_disks && rc == 0; i++) {
        if (frozen->disks[i].change_id) {
            rc = check_disk_rests(r, frozen, &frozen->disks[i], err);
        }
    }
    return rc;
}

int vf_world_deliver(struct vf_world *w, struct vf_error **err)
{
    struct vf_real_world *r = real(w);
    const struct vf_vm *frozen = vf_source_vm_get_frozen(r->source);
    int rc = 0;
    if (!r->delivered) {
        bool digest = !r->options->no_digest && !(r->transport && r->transport->copies_itself);
        rc = vf_disks_finish(r->disks, digest, r->im.cancel, err);
        r->delivered = rc == 0;
    }
    /* Last: reading the target back takes its time, too. */
    rc = rc ? rc : check_source_rests(r, frozen, err);
    if (rc == 0) {
        r->im.snapshot = true;
        rc = vf_inject("migration.deliver", err);
    }
    if (rc == 0) {
        rc = r->target->ops->deliver(r->target, frozen ? frozen : vf_source_vm_get(r->source), err);
    }
    return rc ? rc : vf_inject("migration.delivered", err);
}

int vf_world_fetch_accepted(struct vf_world *w, bool *ret_accepted, struct vf_error **err)
{
    struct vf_real_world *r = real(w);
    return r->target->ops->fetch_accepted(r->target, ret_accepted, err);
}

int vf_world_start(struct vf_world *w, struct vf_error **err)
{
    struct vf_real_world *r = real(w);
    return r->options->import.cluster.start ? r->target->ops->start(r->target, err) : 0;
}

int vf_world_settle(struct vf_world *w, struct vf_error **err)
{
    struct vf_real_world *r = real(w);
    vf_watch_quiet(r->watch);
    int rc = vf_inject("migration.settle", err);
    return rc ? rc : r->target->ops->settle(r->target, err);
}

int vf_world_discard(struct vf_world *w, struct vf_error **err)
{
    struct vf_real_world *r = real(w);
    vf_watch_quiet(r->watch);
    vf_disks_free(vf_take(r->disks));
    return r->target->ops->discard(r->target, err);
}

struct vf_checkpoint *vf_world_checkpoint(struct vf_world *w)
{
    return &real(w)->checkpoint;
}

int vf_world_save(struct vf_world *w, struct vf_error **err)
{
    struct vf_real_world *r = real(w);
    int rc = vf_checkpoint_save(r->target->store, &r->checkpoint, err);
    return rc ? vf_error_wrap(err, rc, "saving the checkpoint") : 0;
}
