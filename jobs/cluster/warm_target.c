/* A warm migration's disks are claims that are mounted here, PATH/disk-N, and become a
 * VirtualMachine at the cutover.
 */
#include <stdlib.h>
#include <string.h>

#include "converters/vm/names.h"
#include "importer/base/inject.h"
#include "importer/base/json.h"
#include "importer/base/mem.h"
#include "importer/kube/metadata.h"
#include "importer/kube/resources.h"
#include "importer/kube/virtual_machine.h"
#include "importer/target/claim.h"
#include "jobs/cluster/claim_store.h"
#include "jobs/cluster/guard.h"
#include "jobs/cluster/landing.h"
#include "jobs/cluster/warm_board.h"
#include "jobs/cluster/warm_claims.h"
#include "jobs/migration/warm_target.h"

struct cluster_target {
    struct vf_warm_target base;
    struct vf_landing_cluster l;
    struct vf_guard *guard;
    char *name;     /* by which an earlier run was looked for */
    bool begun;     /* names are settled, store and board are there */
    bool delivered; /* the VM is there: its disks are not written to any more */
};

static struct cluster_target *target_of(struct vf_warm_target *t)
{
    return (struct cluster_target *)t;
}

/* --- prepare ----------------------------------------------------------------------------- */

static void release_disks(struct vf_landing_cluster *l)
{
    for (size_t i = 0; i < l->n_disks; i++) {
        free(l->disks[i].claim);
        free(l->disks[i].mount);
        free(l->disks[i].uid);
    }
    free(vf_take(l->disks));
    l->n_disks = 0;
}

static int refuse_disk(const struct vf_landing_cluster *l, const struct vf_vm_disk *disk,
                       struct vf_error **err)
{
    vf_error_set(err, VF_CONFLICT,
                 "there is no claim for disk \"%s\", which the VM did not have when its claims "
                 "were made, in namespace \"%s\"",
                 disk->label ? disk->label : "?", l->ns);
    vf_error_hint(err,
                  "end this run and start the same \"vmferry migrate --warm --to pvc\" again: it "
                  "makes the claim, and goes on with the other disks where they are");
    return VF_CONFLICT;
}

/* Which claim each disk has. */
static int init_disks(struct cluster_target *t, const struct vf_vm *vm,
                      const struct vf_warm_claims *claims, struct vf_error **err)
{
    struct vf_landing_cluster *l = &t->l;
    size_t *claim_of = vf_xcalloc(vm->n_disks + 1, sizeof *claim_of);
    int rc = 0;
    vf_warm_claims_match(claims, vm, claim_of);
    l->disks = vf_xcalloc(vm->n_disks + 1, sizeof *l->disks);
    for (size_t i = 0; i < vm->n_disks && rc == 0; i++) {
        if (claim_of[i] == VF_WARM_NO_CLAIM) {
            rc = refuse_disk(l, &vm->disks[i], err);
            break;
        }
        const struct vf_warm_claim *k = &claims->claims[claim_of[i]];
        struct vf_cluster_disk *d = &l->disks[l->n_disks++];
        d->landing = l;
        d->index = k->number;
        d->claim = vf_xstrdup(k->name);
        d->label = t->base.im->copies && i < t->base.im->n_copies ? t->base.im->copies[i].name : "";
        d->size_bytes = vm->disks[i].capacity_bytes;
        vf_cluster_claim_target_init(d);
        rc = k->deleted
                 ? vf_error_set(err, VF_CONFLICT, "claim \"%s\" is being deleted", k->name)
                 : vf_cluster_choose_storage_of(d, k->storage_class, k->volume_mode, vm, i, err);
    }
    free(claim_of);
    return rc;
}

/* What the checkpoint says of the claims; one that cannot be read says nothing. */
static int fetch_claims(struct cluster_target *t, struct vf_warm_claims *ret, struct vf_error **err)
{
    struct vf_checkpoint checkpoint = {0};
    struct vf_error *e = NULL;
    int rc = vf_warm_claims_fetch(&t->l, t->base.im->cancel, ret, err);
    if (rc) {
        return rc;
    }
    rc = vf_checkpoint_load(t->base.store, &checkpoint, &e);
    if (rc == VF_MISSING || rc == VF_INVALID) {
        vf_error_clear(&e);
        rc = 0;
    }
    vf_warm_claims_set_keys(ret, &checkpoint);
    vf_checkpoint_release(&checkpoint);
    vf_error_move(err, &e);
    return rc;
}

/* A cutover that failed after the disks were marked: they are being filled again. */
static int unmark(struct cluster_target *t, const char *claim, const struct vf_cancel *cancel,
                  struct vf_error **err)
{
    const struct vf_kube_ref ref = {.resource = &vf_kube_claims, .ns = t->l.ns, .name = claim};
    const struct vf_kube_options options = {.cancel = cancel};
    cJSON *patch = vf_json_new_object();
    cJSON *metadata = vf_json_add_object(patch, "metadata");
    vf_json_add_string(vf_json_add_object(metadata, "labels"), VF_OWNED_STATE, VF_OWNED_FILLING);
    cJSON_AddNullToObject(vf_json_add_object(metadata, "annotations"), VF_OWNED_DIGEST);
    int rc = vf_kube_merge_patch(t->l.client, &ref, patch, &options, NULL, err);
    cJSON_Delete(patch);
    return rc ? vf_error_wrap(err, rc, "claim \"%s\"", claim) : 0;
}

static int prepare_disks(struct cluster_target *t, const struct vf_vm *vm, struct vf_error **err)
{
    struct vf_landing_cluster *l = &t->l;
    struct vf_warm_claims claims = {0};
    release_disks(l); /* they borrow labels of what is gone */
    int rc = fetch_claims(t, &claims, err);
    if (rc == 0) {
        rc = init_disks(t, vm, &claims, err);
    }
    for (size_t i = 0; i < l->n_disks && rc == 0 && !t->delivered; i++) {
        rc = vf_cluster_claim_prepare(&l->disks[i], t->base.im->cancel, err);
        rc = vf_cluster_wrap_disk(&l->disks[i], rc, err);
    }
    for (size_t i = 0; i < claims.n && rc == 0 && !t->delivered; i++) {
        rc = claims.claims[i].complete ? unmark(t, claims.claims[i].name, t->base.im->cancel, err)
                                       : 0;
    }
    vf_warm_claims_release(&claims);
    return rc;
}

static struct vf_checkpoint_store *make_store(struct cluster_target *t)
{
    struct vf_import *im = t->base.im;
    const struct vf_claim_store_env env = {.client = t->l.client,
                                           .ns = t->l.ns,
                                           .owner = &t->l.owner,
                                           .reporter = im->reporter,
                                           .vm = im->vm_name,
                                           .cancel = im->cancel};
    struct vf_checkpoint_store *store = vf_claim_store_new(&env);
    if (t->delivered) {
        vf_claim_store_set_delivered(store);
    }
    return store;
}

/* `makes`: the board is made where there is none. */
static int open_board(struct cluster_target *t, bool makes, struct vf_board **ret_board,
                      struct vf_error **err)
{
    struct vf_import *im = t->base.im;
    struct vf_cluster_options where = im->options->cluster.where;
    where.namespace_name = t->l.ns;
    const struct vf_board_cluster_options options = {.where = &where,
                                                     .name = t->l.owner.import,
                                                     .owner = makes ? &t->l.owner : NULL,
                                                     .cancel = im->cancel};
    return vf_board_cluster_open(&options, ret_board, err);
}

static void make_guard(struct cluster_target *t)
{
    struct vf_import *im = t->base.im;
    const struct vf_guard_env env = {.client = t->l.client,
                                     .ns = t->l.ns,
                                     .owner = &t->l.owner,
                                     .reporter = im->reporter,
                                     .vm = im->vm_name,
                                     .cancel = im->cancel};
    t->guard = vf_guard_new(&env);
}

static void set_names(struct cluster_target *t, const struct vf_vm *vm)
{
    struct vf_import *im = t->base.im;
    if (!im->vm_name) {
        im->vm_name = vf_xstrdup(vm->name);
    }
    if (!im->name) {
        im->name = im->options->name ? vf_name_to_label(im->options->name, VF_NAME_VM_MAX)
                                     : vf_name_of_vm(vm);
    }
    t->l.source_uuid = vf_cluster_identity(im, vm);
    t->l.owner = (struct vf_owner){.import = im->name,
                                   .source_vm = im->vm_name,
                                   .source_uuid = t->l.source_uuid,
                                   .warm = true};
}

/* Once, before anything else. */
static int begin(struct cluster_target *t, const struct vf_vm *vm, struct vf_error **err)
{
    struct vf_landing_cluster *l = &t->l;
    struct vf_import *im = t->base.im;
    struct vf_board *board = NULL;
    free(vf_take(l->source_uuid));
    set_names(t, vm);
    int rc = vf_cluster_settle_names(l, vm, false, err);
    if (rc == 0) {
        rc = vf_cluster_fetch_made(l, im->cancel, &t->delivered, err);
    }
    if (rc == 0) {
        make_guard(t);
        rc = vf_guard_check(t->guard, err);
    }
    if (rc == 0) {
        rc = open_board(t, true, &board, err);
    }
    if (rc) {
        vf_guard_free(vf_take(t->guard));
        return rc;
    }
    vf_board_free(t->base.board); /* those that were found by name */
    vf_checkpoint_store_free(t->base.store);
    t->base.board = board;
    t->base.store = make_store(t);
    free(t->base.place);
    t->base.place = vf_xasprintf("VirtualMachine \"%s\" in namespace \"%s\"", im->name, l->ns);
    t->begun = true;
    return 0;
}

/* The server looks at the VM that is to be, while nothing was copied. */
static int check_machine(struct cluster_target *t, const struct vf_vm *vm, struct vf_error **err)
{
    cJSON *documents = vf_json_new_array();
    int rc = vf_cluster_check_networks(&t->l, vm, err);
    rc = rc ? rc : vf_cluster_check_machine(&t->l, vm, documents, err);
    cJSON_Delete(documents);
    return rc;
}

static int prepare(struct vf_warm_target *base, const struct vf_vm *vm, struct vf_error **err)
{
    struct cluster_target *t = target_of(base);
    struct vf_error *e = NULL;
    bool first = !t->begun;
    int rc = 0;
    if (!base->im->options->to_path) {
        rc = vf_error_set(&e, VF_UNSUPPORTED, "the claims are not mounted here");
    } else if (first) {
        rc = begin(t, vm, &e);
    }
    if (rc == 0 && !(first && t->delivered)) {
        rc = prepare_disks(t, vm, &e);
    }
    if (rc == 0 && first && !t->delivered) {
        rc = check_machine(t, vm, &e);
    }
    if (rc == 0) {
        rc = vf_inject("warm.prepared", &e);
    }
    vf_error_move(err, &e);
    return rc;
}

/* --- disks ------------------------------------------------------------------------------- */

static const char *get_name(const struct vf_warm_target *base, size_t index)
{
    const struct vf_landing_cluster *l = &((const struct cluster_target *)base)->l;
    return index < l->n_disks ? l->disks[index].claim : NULL;
}

static int open_disk(struct vf_warm_target *base, size_t index, uint64_t size_bytes, bool fresh,
                     const struct vf_cancel *cancel, struct vf_sink **ret_sink,
                     struct vf_error **err)
{
    struct cluster_target *t = target_of(base);
    if (index >= t->l.n_disks) {
        return vf_error_set(err, VF_INTERNAL, "there is no disk %zu", index);
    }
    struct vf_cluster_disk *d = &t->l.disks[index];
    if (t->delivered) {
        vf_error_set(err, VF_CONFLICT,
                     "claim \"%s\" is VirtualMachine \"%s\"'s already: it is not written to",
                     d->claim, t->l.owner.import);
        return VF_CONFLICT;
    }
    int rc = vf_inject("warm.open_disk", err);
    if (rc == 0) {
        rc = fresh ? vf_claim_sink_open(d->mount, size_bytes, true, ret_sink, err)
                   : vf_claim_sink_reopen(d->mount, size_bytes, ret_sink, err);
    }
    if (rc) {
        return vf_error_wrap(err, rc, "claim \"%s\"", d->claim);
    }
    d->size_bytes = size_bytes;
    /* The sink outlives the round, and with it `cancel`. */
    vf_claim_sink_set_cancel(*ret_sink, base->im->cancel);
    (void)cancel;
    return 0;
}

static int guard(struct vf_warm_target *base, const struct vf_checkpoint *c, struct vf_error **err)
{
    struct cluster_target *t = target_of(base);
    struct vf_guard_claim *claims = vf_xcalloc(t->l.n_disks + 1, sizeof *claims);
    for (size_t i = 0; i < t->l.n_disks; i++) {
        claims[i] =
            (struct vf_guard_claim){.name = t->l.disks[i].claim, .storage = t->l.disks[i].storage};
    }
    int rc = vf_guard_take(t->guard, claims, t->l.n_disks, c, err);
    free(claims);
    return rc;
}

/* --- the end ----------------------------------------------------------------------------- */

static int mark_disks(struct cluster_target *t, struct vf_error **err)
{
    int rc = vf_inject("warm.mark", err);
    rc = rc ? rc : vf_cluster_mark_complete(&t->l, false, err);
    return rc ? rc : vf_inject("warm.marked", err);
}

static int deliver(struct vf_warm_target *base, const struct vf_vm *vm, struct vf_error **err)
{
    struct cluster_target *t = target_of(base);
    if (t->delivered) {
        return 0;
    }
    if (vm->n_disks != t->l.n_disks || base->im->n_copies != t->l.n_disks) {
        return vf_error_set(err, VF_CONFLICT, "the VM has %zu disks now, and %zu were copied",
                            vm->n_disks, t->l.n_disks);
    }
    t->l.keep = true; /* the claims have to be there */
    vf_report_phase(base->im->reporter, base->im->vm_name, "finish", "making VirtualMachine \"%s\"",
                    base->im->name);
    int rc = mark_disks(t, err);
    if (rc == 0) {
        rc = vf_cluster_create_machine(&t->l, vm, err);
    }
    if (rc == 0) {
        t->delivered = true;
        vf_claim_store_set_delivered(base->store);
        rc = vf_inject("warm.created", err);
    }
    return rc;
}

static int fetch_accepted(struct vf_warm_target *base, bool *ret_accepted, struct vf_error **err)
{
    struct cluster_target *t = target_of(base);
    if (!base->im->name) {
        *ret_accepted = false;
        return 0;
    }
    t->l.owner.import = base->im->name;
    int rc = vf_cluster_fetch_made(&t->l, NULL, ret_accepted, err);
    if (rc == 0 && *ret_accepted) {
        t->delivered = true;
        if (base->store) {
            vf_claim_store_set_delivered(base->store);
        }
    }
    return rc;
}

static int start(struct vf_warm_target *base, struct vf_error **err)
{
    struct cluster_target *t = target_of(base);
    if (!t->l.landing.place) {
        t->l.landing.place = vf_xstrdup(base->place);
    }
    return vf_cluster_start_machine(&t->l, err);
}

static bool is_in_use(const struct vf_landing_cluster *l, const char *claim)
{
    for (size_t i = 0; i < l->n_disks; i++) {
        if (strcmp(l->disks[i].claim, claim) == 0) {
            return true;
        }
    }
    return false;
}

/* As it is now, and by its uid. A pod that mounts it keeps it until its own end: nothing is waited
 * for. */
static int delete_claim(struct cluster_target *t, const char *name, struct vf_error **err)
{
    const struct vf_kube_ref ref = {.resource = &vf_kube_claims, .ns = t->l.ns, .name = name};
    struct vf_error *e = NULL;
    cJSON *object = NULL;
    int rc = vf_kube_get(t->l.client, &ref, NULL, &object, &e);
    if (rc == 0 && vf_owned_is_warm(object) &&
        vf_kube_has_label(object, VF_OWNED_STATE, VF_OWNED_FILLING)) {
        rc = vf_inject("warm.delete", &e);
        rc = rc ? rc : vf_owned_delete(t->l.client, object, 0, NULL, &e);
    }
    cJSON_Delete(object);
    if (rc == VF_MISSING) {
        vf_error_clear(&e);
        rc = 0;
    }
    vf_error_move(err, &e);
    return rc;
}

/* Those that are not a disk's of the VM any more, or all. The first error is told, the others are
 * tried all the same. */
static int delete_claims(struct cluster_target *t, bool all, struct vf_error **err)
{
    struct vf_warm_claims claims = {0};
    int first = vf_warm_claims_fetch(&t->l, NULL, &claims, err);
    for (size_t i = 0; i < claims.n; i++) {
        const char *name = claims.claims[i].name;
        struct vf_error *e = NULL;
        int rc = 0;
        if (!claims.claims[i].complete && (all || !is_in_use(&t->l, name))) {
            vf_report_phase(t->base.im->reporter, t->base.im->vm_name, "cleanup",
                            "removing claim \"%s\"", name);
            rc = delete_claim(t, name, &e);
        }
        if (rc && first == 0) {
            vf_error_move(err, &e);
            first = vf_error_wrap(err, rc, "removing claim \"%s\"", name);
        }
        vf_error_free(e);
    }
    vf_warm_claims_release(&claims);
    return first;
}

/* The checkpoints go last: as long as they are there, the same command finishes the rest. */
static int settle(struct vf_warm_target *base, struct vf_error **err)
{
    struct cluster_target *t = target_of(base);
    int rc = 0;
    if (t->l.n_disks > 0) { /* else it was delivered by an earlier run, and has no others */
        rc = delete_claims(t, false, err);
    }
    rc = rc ? rc : vf_guard_remove(t->guard, err);
    rc = rc ? rc : vf_inject("warm.settle", err);
    rc = rc ? rc : vf_checkpoint_clear(base->store, err);
    return rc ? rc : vf_inject("warm.settled", err);
}

/* A claim whose label says that it is complete while there is no VM is of a cutover that failed. */
static int unmark_all(struct cluster_target *t, struct vf_error **err)
{
    struct vf_warm_claims claims = {0};
    int rc = vf_warm_claims_fetch(&t->l, NULL, &claims, err);
    for (size_t i = 0; i < claims.n && rc == 0; i++) {
        rc = claims.claims[i].complete ? unmark(t, claims.claims[i].name, NULL, err) : 0;
    }
    vf_warm_claims_release(&claims);
    return rc;
}

static int discard(struct vf_warm_target *base, struct vf_error **err)
{
    struct cluster_target *t = target_of(base);
    bool accepted = false;
    int rc = fetch_accepted(base, &accepted, err);
    if (rc || !base->im->name) {
        return rc;
    }
    if (accepted) {
        vf_error_set(err, VF_CONFLICT, "VirtualMachine \"%s\" in namespace \"%s\" is there",
                     base->im->name, t->l.ns);
        vf_error_hint(err, "it uses the disks that were copied: nothing was removed");
        return VF_CONFLICT;
    }
    if (!t->guard) {
        make_guard(t);
    }
    rc = vf_guard_remove(t->guard, err);
    rc = rc ? rc : unmark_all(t, err);
    return rc ? rc : delete_claims(t, true, err);
}

static void free_target(struct vf_warm_target *base)
{
    struct cluster_target *t = target_of(base);
    vf_guard_free(t->guard);
    vf_checkpoint_store_free(base->store);
    vf_board_free(base->board);
    vf_cluster_landing_release(&t->l);
    free(base->place);
    free(t->name);
    free(t);
}

static const struct vf_warm_target_ops ops = {.prepare = prepare,
                                              .get_name = get_name,
                                              .open_disk = open_disk,
                                              .guard = guard,
                                              .deliver = deliver,
                                              .fetch_accepted = fetch_accepted,
                                              .start = start,
                                              .settle = settle,
                                              .discard = discard,
                                              .free = free_target};

/* What an earlier run left is found by its name alone, by who cancels it. */
static int attach(struct cluster_target *t, struct vf_error **err)
{
    const char *name = t->base.im->options->name;
    if (!name) {
        return 0;
    }
    t->name = vf_name_to_label(name, VF_NAME_VM_MAX);
    t->l.owner.import = t->name;
    t->base.store = make_store(t);
    return open_board(t, false, &t->base.board, err);
}

int vf_warm_target_cluster_open(struct vf_import *im, struct vf_warm_target **ret_target,
                                struct vf_error **err)
{
    struct cluster_target *t = vf_xcalloc(1, sizeof *t);
    t->base = (struct vf_warm_target){.ops = &ops, .im = im};
    t->l.landing.im = im;
    t->l.warm = true;
    t->l.owner.warm = true;
    int rc;
    if (im->options->to_path) {
        rc = vf_cluster_landing_connect(&t->l, err);
    } else { /* nothing is made, and so storage is of no interest */
        struct vf_cluster_options where = im->options->cluster.where;
        where.namespace_name = im->options->namespace_name;
        rc = vf_cluster_open(&where, im->cancel, &t->l.client, err);
        t->l.ns = rc ? NULL : vf_kube_client_namespace(t->l.client);
    }
    t->base.client = t->l.client;
    rc = rc ? rc : attach(t, err);
    if (rc) {
        free_target(&t->base);
        return rc;
    }
    *ret_target = &t->base;
    return 0;
}
