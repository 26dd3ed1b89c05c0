#include "jobs/cluster/cdi_target.h"

#include <stdlib.h>
#include <string.h>

#include "converters/vm/names.h"
#include "importer/base/inject.h"
#include "importer/base/json.h"
#include "importer/base/mem.h"
#include "importer/kube/cdi_stage.h"
#include "importer/kube/metadata.h"
#include "importer/kube/resources.h"
#include "importer/kube/watch.h"
#include "importer/source/vddk.h"
#include "jobs/cluster/cdi_private.h"
#include "jobs/cluster/warm_board.h"

static struct vf_cdi_target *target_of(struct vf_warm_target *t)
{
    return (struct vf_cdi_target *)t;
}

/* --- what is there ----------------------------------------------------------------------- */

int vf_cdi_target_list(struct vf_cdi_target *t, const struct vf_kube_resource *resource,
                       const struct vf_cancel *cancel, cJSON **ret_items, struct vf_error **err)
{
    const struct vf_kube_ref ref = {.resource = resource, .ns = t->l.ns};
    char *vf_autofree labels = vf_xasprintf(VF_OWNED_IMPORT "=%s", t->l.owner.import);
    const struct vf_kube_select select = {.labels = labels};
    const struct vf_kube_options options = {.cancel = cancel};
    return vf_kube_list(t->l.client, &ref, &select, &options, ret_items, NULL, err);
}

const cJSON *vf_cdi_find(const cJSON *items, const char *name)
{
    const cJSON *item;
    cJSON_ArrayForEach(item, items)
    {
        const char *have = vf_kube_name(item);
        if (have && strcmp(have, name) == 0) {
            return item;
        }
    }
    return NULL;
}

static int is_gone(void *opaque, const cJSON *object, struct vf_error **err)
{
    (void)opaque;
    (void)err;
    return !object;
}

int vf_cdi_target_wait_claim_gone(struct vf_cdi_target *t, const char *name,
                                  const struct vf_cancel *cancel, struct vf_error **err)
{
    const struct vf_kube_ref ref = {.resource = &vf_kube_claims, .ns = t->l.ns, .name = name};
    int rc = vf_kube_wait(t->l.client, &ref, is_gone, NULL, VF_CLUSTER_DELETE_TIMEOUT_MS, cancel,
                          NULL, err);
    return rc ? vf_error_wrap(err, rc, "waiting for claim \"%s\" to be gone", name) : 0;
}

/* Lists leave out what all their items have in common. */
int vf_cdi_target_delete(struct vf_cdi_target *t, const struct vf_kube_resource *resource,
                         const cJSON *item, struct vf_error **err)
{
    char *vf_autofree api_version = vf_kube_api_version(resource);
    cJSON *object = cJSON_Duplicate(item, true);
    cJSON_DeleteItemFromObjectCaseSensitive(object, "apiVersion");
    cJSON_DeleteItemFromObjectCaseSensitive(object, "kind");
    vf_json_add_string(object, "apiVersion", api_version);
    vf_json_add_string(object, "kind", vf_kube_kind(resource));
    int rc = vf_owned_delete(t->l.client, object, 0, NULL, err);
    vf_json_delete_wiped(object);
    return rc;
}

/* --- prepare ----------------------------------------------------------------------------- */

static int find_thumbprint(struct vf_cdi_target *t, struct vf_error **err)
{
    if (t->options->vddk_thumbprint) {
        t->thumbprint = vf_vddk_spell_thumbprint(t->options->vddk_thumbprint);
        return t->thumbprint ? 0
                             : vf_error_set(err, VF_INVALID, "\"%s\" is no SHA-1 thumbprint",
                                            t->options->vddk_thumbprint);
    }
    int rc = vf_http_fetch_thumbprint(vf_vsphere_http_options(t->vs), t->url, t->base.im->cancel,
                                      &t->thumbprint, err);
    if (rc) {
        vf_error_hint(err, "give the SHA-1 thumbprint of vCenter's certificate with "
                           "--vddk-thumbprint");
        return vf_error_wrap(err, rc, "looking for the thumbprint that VMware's library wants");
    }
    return 0;
}

static int describe_source(struct vf_cdi_target *t, const struct vf_vm *vm, struct vf_error **err)
{
    if (!vm->bios_uuid || !*vm->bios_uuid) {
        return vf_error_set(err, VF_UNSUPPORTED,
                            "the VM has no UUID, by which CDI would look for it");
    }
    free(t->url);
    t->url = vf_xasprintf("https://%s/sdk", vf_vsphere_authority(t->vs));
    vf_replace_string(&t->uuid, vm->bios_uuid);
    return t->thumbprint ? 0 : find_thumbprint(t, err);
}

static void release_disks(struct vf_landing_cluster *l)
{
    for (size_t i = 0; i < l->n_disks; i++) {
        free(l->disks[i].claim);
        free(l->disks[i].uid);
    }
    free(vf_take(l->disks));
    l->n_disks = 0;
}

static bool has_key(const cJSON *volume, int32_t key)
{
    char *vf_autofree text = vf_xasprintf("%d", (int)key);
    return vf_kube_has_annotation(volume, VF_CDI_DISK_KEY, text);
}

/* A disk keeps its DataVolume, however the VM's disks are counted by now. */
static const cJSON *find_by_key(const struct vf_cdi_target *t, const cJSON *volumes, int32_t key)
{
    const cJSON *volume;
    cJSON_ArrayForEach(volume, volumes)
    {
        if (vf_owned_judge(volume, &t->l.owner) != VF_OWNED_OTHER && vf_owned_is_ours(volume) &&
            !vf_kube_is_being_deleted(volume) && has_key(volume, key)) {
            return volume;
        }
    }
    return NULL;
}

static bool is_taken(const struct vf_landing_cluster *l, const cJSON *volumes, const char *name)
{
    for (size_t i = 0; i < l->n_disks; i++) {
        if (l->disks[i].claim && strcmp(l->disks[i].claim, name) == 0) {
            return true;
        }
    }
    return vf_cdi_find(volumes, name) != NULL;
}

static char *free_name(const struct vf_cdi_target *t, const cJSON *volumes, size_t index)
{
    char *name = vf_name_of_disk(t->base.im->name, index);
    while (is_taken(&t->l, volumes, name)) {
        free(name);
        name = vf_name_of_disk(t->base.im->name, ++index);
    }
    return name;
}

static int init_disks(struct vf_cdi_target *t, const struct vf_vm *vm, const cJSON *volumes,
                      struct vf_error **err)
{
    int rc = 0;
    struct vf_landing_cluster *l = &t->l;
    const struct vf_import *im = t->base.im;
    release_disks(l);
    l->disks = vf_xcalloc(vm->n_disks + 1, sizeof *l->disks);
    l->n_disks = vm->n_disks;
    for (size_t i = 0; i < vm->n_disks; i++) {
        const cJSON *volume = find_by_key(t, volumes, vm->disks[i].key);
        l->disks[i] = (struct vf_cluster_disk){
            .landing = l,
            .index = i,
            .claim = volume ? vf_xstrdup(vf_kube_name(volume)) : NULL,
            .uid = volume ? vf_xstrdup(vf_kube_uid(volume)) : NULL,
            .label = i < im->n_copies ? im->copies[i].name : "",
            .size_bytes = vm->disks[i].capacity_bytes,
        };
    }
    for (size_t i = 0; i < vm->n_disks && rc == 0; i++) {
        struct vf_cluster_disk *d = &l->disks[i];
        d->claim = d->claim ? d->claim : free_name(t, volumes, i);
        rc = vf_cluster_choose_storage(d, vm, i, err);
    }
    return rc;
}

int vf_cdi_target_build(struct vf_cdi_target *t, size_t index, const struct vf_vm_disk *disk,
                        const char *snapshot, bool last, cJSON **ret_object, struct vf_error **err)
{
    struct vf_claim_plan plan = vf_cluster_claim_plan(&t->l.disks[index]);
    const struct vf_cdi_vddk vddk = {.url = t->url,
                                     .uuid = t->uuid,
                                     .backing_file = disk->file,
                                     .thumbprint = t->thumbprint,
                                     .secret = t->secret,
                                     .init_image = t->options->vddk_image,
                                     .disk_key = disk->key,
                                     .set = vf_cdi_store_uid(t->base.store),
                                     .change_id = disk->change_id};
    if (!disk->file) {
        return vf_error_set(err, VF_UNSUPPORTED, "it has no file at the source");
    }
    return vf_cdi_build_vddk_volume(&plan, &vddk, snapshot, last, ret_object, err);
}

/* The server looks at what is to be made without keeping it: rights, quota, webhooks. */
static int check_volumes(struct vf_cdi_target *t, const struct vf_vm *vm, struct vf_error **err)
{
    int rc = 0;
    for (size_t i = 0; i < t->l.n_disks && rc == 0; i++) {
        struct vf_cluster_disk *d = &t->l.disks[i];
        cJSON *object = NULL;
        if (d->uid) {
            continue;
        }
        rc = vf_cdi_target_build(t, i, &vm->disks[i], "snapshot-0", false, &object, err);
        rc = rc ? rc
                : vf_cluster_make(d, &vf_kube_data_volumes, object, true, t->base.im->cancel, err);
        rc = vf_cluster_wrap_disk(d, rc, err);
    }
    return rc;
}

static int check_machine(struct vf_cdi_target *t, const struct vf_vm *vm, struct vf_error **err)
{
    cJSON *documents = vf_json_new_array();
    int rc = vf_cluster_check_networks(&t->l, vm, err);
    rc = rc ? rc : vf_cluster_check_machine(&t->l, vm, documents, err);
    cJSON_Delete(documents);
    return rc;
}

static int open_board(struct vf_cdi_target *t, struct vf_error **err)
{
    struct vf_import *im = t->base.im;
    struct vf_cluster_options where = im->options->cluster.where;
    where.namespace_name = t->l.ns;
    const struct vf_board_cluster_options options = {
        .where = &where, .name = im->name, .owner = &t->l.owner, .cancel = im->cancel};
    return vf_board_cluster_open(&options, &t->base.board, err);
}

/* Once, before anything else. */
static int begin(struct vf_cdi_target *t, const struct vf_vm *vm, struct vf_error **err)
{
    struct vf_import *im = t->base.im;
    char *vf_autofree name = vf_xstrdup(im->name);
    int rc = vf_kube_check_resource(t->l.client, &vf_kube_data_volumes, "CDI", err);
    rc = rc ? rc : vf_cdi_store_fetch_kept(&t->l, im->name, im->cancel, &t->l.kept, err);
    rc = rc ? rc : vf_cluster_settle_names(&t->l, vm, false, err);
    rc = rc ? rc : vf_cluster_fetch_made(&t->l, im->cancel, &t->delivered, err);
    if (rc == 0 && strcmp(name, im->name) != 0) {
        vf_board_free(vf_take(t->base.board));
        rc = open_board(t, err);
    }
    if (rc == 0) {
        free(t->base.place);
        t->base.place =
            vf_xasprintf("VirtualMachine \"%s\" in namespace \"%s\"", im->name, t->l.ns);
        t->begun = true;
    }
    return rc;
}

static int prepare_disks(struct vf_cdi_target *t, const struct vf_vm *vm, struct vf_error **err)
{
    cJSON *volumes = NULL;
    int rc = describe_source(t, vm, err);
    rc = rc ? rc : vf_cdi_target_list(t, &vf_kube_data_volumes, t->base.im->cancel, &volumes, err);
    rc = rc ? rc : vf_cdi_choose_secret(t, volumes, err);
    if (rc == 0) {
        rc = init_disks(t, vm, volumes, err);
        rc = rc ? rc : check_volumes(t, vm, err);
    }
    cJSON_Delete(volumes);
    return rc;
}

static int prepare(struct vf_warm_target *base, const struct vf_vm *vm, struct vf_error **err)
{
    struct vf_cdi_target *t = target_of(base);
    bool first = !t->begun;
    int rc = first ? begin(t, vm, err) : 0;
    rc = rc ? rc : prepare_disks(t, vm, err);
    if (rc == 0 && first && !t->delivered) {
        rc = check_machine(t, vm, err);
        rc = rc ? rc : vf_cdi_provide_secret(t, err);
    }
    return rc ? rc : vf_inject("cdi.prepared", err);
}

static const char *get_name(const struct vf_warm_target *base, size_t index)
{
    const struct vf_landing_cluster *l = &((const struct vf_cdi_target *)base)->l;
    return index < l->n_disks ? l->disks[index].claim : NULL;
}

static int open_disk(struct vf_warm_target *base, size_t index, uint64_t size_bytes, bool fresh,
                     const struct vf_cancel *cancel, struct vf_sink **ret_sink,
                     struct vf_error **err)
{
    (void)base;
    (void)index;
    (void)size_bytes;
    (void)fresh;
    (void)cancel;
    (void)ret_sink;
    return vf_error_set(err, VF_UNSUPPORTED, "CDI alone writes into its claims");
}

static int guard(struct vf_warm_target *base, const struct vf_checkpoint *c, struct vf_error **err)
{
    struct vf_cdi_target *t = target_of(base);
    (void)c;
    (void)err;
    if (!t->guard_told) {
        t->guard_told = true;
        vf_report_info(base->im->reporter, base->im->vm_name,
                       "no VolumeSnapshots are taken: a DataVolume that CDI fills in stages cannot "
                       "go back");
    }
    return 0;
}

/* --- the end ----------------------------------------------------------------------------- */

/* Every DataVolume has had its last stage. */
static int check_over(struct vf_cdi_target *t, struct vf_error **err)
{
    cJSON *volumes = NULL;
    int rc = vf_cdi_target_list(t, &vf_kube_data_volumes, t->base.im->cancel, &volumes, err);
    for (size_t i = 0; i < t->l.n_disks && rc == 0; i++) {
        struct vf_cluster_disk *d = &t->l.disks[i];
        const cJSON *volume = vf_cdi_find(volumes, d->claim);
        if (!vf_cdi_stages_are_over(volume, NULL)) {
            vf_error_set(err, VF_CONFLICT, "DataVolume \"%s\" has not had its last copy", d->claim);
            rc = vf_cluster_wrap_disk(d, VF_CONFLICT, err);
        } else {
            vf_replace_string(&d->uid, vf_kube_uid(volume));
        }
    }
    cJSON_Delete(volumes);
    return rc;
}

static int mark_disks(struct vf_cdi_target *t, struct vf_error **err)
{
    int rc = vf_inject("cdi.mark", err);
    rc = rc ? rc : vf_cluster_mark_complete(&t->l, true, err);
    return rc ? rc : vf_inject("cdi.marked", err);
}

static int deliver(struct vf_warm_target *base, const struct vf_vm *vm, struct vf_error **err)
{
    struct vf_cdi_target *t = target_of(base);
    if (t->delivered) {
        return 0;
    }
    if (vm->n_disks != t->l.n_disks || base->im->n_copies != t->l.n_disks) {
        return vf_error_set(err, VF_CONFLICT, "the VM has %zu disks now, and %zu were copied",
                            vm->n_disks, t->l.n_disks);
    }
    vf_report_phase(base->im->reporter, base->im->vm_name, "finish", "making VirtualMachine \"%s\"",
                    base->im->name);
    vf_report_info(base->im->reporter, base->im->vm_name,
                   "CDI made the copies, which were not read back");
    t->l.keep = true; /* the claims have to be there */
    int rc = check_over(t, err);
    rc = rc ? rc : mark_disks(t, err);
    rc = rc ? rc : vf_cluster_create_machine(&t->l, vm, err);
    t->delivered = rc == 0;
    return rc ? rc : vf_inject("cdi.created", err);
}

static int fetch_accepted(struct vf_warm_target *base, bool *ret_accepted, struct vf_error **err)
{
    struct vf_cdi_target *t = target_of(base);
    int rc = vf_cluster_fetch_made(&t->l, NULL, ret_accepted, err);
    t->delivered = t->delivered || (rc == 0 && *ret_accepted);
    return rc;
}

static int start(struct vf_warm_target *base, struct vf_error **err)
{
    struct vf_cdi_target *t = target_of(base);
    if (!t->l.landing.place) {
        t->l.landing.place = vf_xstrdup(base->place);
    }
    return vf_cluster_start_machine(&t->l, err);
}

/* Those that are not a disk's of the VM any more, or all; and the Secrets. The first
 * error is told, the others are tried all the same. */
static int delete_volumes(struct vf_cdi_target *t, bool all, struct vf_error **err)
{
    cJSON *volumes = NULL;
    const cJSON *volume;
    int first = vf_cdi_target_list(t, &vf_kube_data_volumes, NULL, &volumes, err);
    cJSON_ArrayForEach(volume, volumes)
    {
        struct vf_error *e = NULL;
        bool in_use = false;
        for (size_t i = 0; i < t->l.n_disks; i++) {
            const char *name = vf_kube_name(volume);
            in_use = in_use || (name && strcmp(t->l.disks[i].claim, name) == 0);
        }
        enum vf_owned owned = vf_owned_judge(volume, &t->l.owner);
        bool unwanted = owned == VF_OWNED_UNFINISHED || (all && owned == VF_OWNED_FINISHED);
        if ((in_use && !all) || !unwanted || !vf_owned_is_warm(volume)) {
            continue;
        }
        vf_report_phase(t->base.im->reporter, t->base.im->vm_name, "cleanup",
                        "removing DataVolume \"%s\"", vf_kube_name(volume));
        int rc = vf_inject("cdi.delete", &e);
        rc = rc ? rc : vf_cdi_target_delete(t, &vf_kube_data_volumes, volume, &e);
        if (rc && first == 0) {
            vf_error_move(err, &e);
            first = vf_error_wrap(err, rc, "removing DataVolume \"%s\"", vf_kube_name(volume));
        }
        vf_error_free(e);
    }
    cJSON_Delete(volumes);
    return first ? first : vf_cdi_remove_secrets(t, err);
}

/* The checkpoint goes last: as long as it is there, the same command finishes the rest. */
static int settle(struct vf_warm_target *base, struct vf_error **err)
{
    struct vf_cdi_target *t = target_of(base);
    int rc = delete_volumes(t, false, err);
    rc = rc ? rc : vf_inject("cdi.settle", err);
    return rc ? rc : vf_checkpoint_clear(base->store, err);
}

static int discard(struct vf_warm_target *base, struct vf_error **err)
{
    struct vf_cdi_target *t = target_of(base);
    bool accepted = false;
    int rc = fetch_accepted(base, &accepted, err);
    if (rc) {
        return rc;
    }
    if (accepted) {
        vf_error_set(err, VF_CONFLICT, "VirtualMachine \"%s\" in namespace \"%s\" is there",
                     t->l.owner.import, t->l.ns);
        vf_error_hint(err, "it uses the disks that were copied: nothing was removed");
        return VF_CONFLICT;
    }
    rc = delete_volumes(t, true, err);
    return rc ? rc : vf_checkpoint_clear(base->store, err);
}

static void free_target(struct vf_warm_target *base)
{
    struct vf_cdi_target *t = target_of(base);
    vf_checkpoint_store_free(base->store);
    vf_board_free(base->board);
    vf_cluster_landing_release(&t->l);
    free(base->place);
    free(t->url);
    free(t->thumbprint);
    free(t->uuid);
    free(t->secret);
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

int vf_warm_target_cdi_open(struct vf_import *im, const struct vf_transport_options *options,
                            struct vf_vsphere *vs, const struct vf_vm *vm,
                            struct vf_warm_target **ret_target, struct vf_error **err)
{
    struct vf_cdi_target *t = vf_xcalloc(1, sizeof *t);
    t->base = (struct vf_warm_target){.ops = &ops, .im = im};
    t->options = options;
    t->vs = vs;
    t->l.landing.im = im;
    t->l.warm = true;
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
    t->base.store = vf_cdi_store_new(t);
    int rc = vf_cluster_landing_connect(&t->l, err);
    t->base.client = t->l.client;
    rc = rc ? rc : open_board(t, err);
    if (rc) {
        free_target(&t->base);
        return rc;
    }
    *ret_target = &t->base;
    return 0;
}
