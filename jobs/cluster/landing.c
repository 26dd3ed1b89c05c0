/* A VM lands in a cluster: one claim a disk, filled by upload or where it is mounted, and at the
 * end, when every disk is whole, the VirtualMachine.
 */
#include "jobs/cluster/launch.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "converters/vm/names.h"
#include "importer/base/buf.h"
#include "importer/base/json.h"
#include "importer/base/mem.h"
#include "importer/kube/metadata.h"
#include "importer/kube/resources.h"
#include "importer/kube/virtual_machine.h"

/* Claims are bound and pods started within seconds, mostly; after this people want to know why. */
#define PATIENCE_MS 15000

/* Creates of one object whose answers are lost, one after the other. */
#define MAX_CREATES 3

static const struct vf_import_cluster *settings(const struct vf_landing_cluster *l)
{
    return &l->landing.im->options->cluster;
}

struct vf_claim_plan vf_cluster_claim_plan(const struct vf_cluster_disk *d)
{
    const struct vf_landing_cluster *l = d->landing;
    return (struct vf_claim_plan){.ns = l->ns,
                                  .name = d->claim,
                                  .owner = &l->owner,
                                  .disk = (unsigned)d->index,
                                  .disk_label = d->label,
                                  .storage = d->storage,
                                  .size_bytes = d->size_bytes,
                                  .bind_immediately = settings(l)->bind_immediately};
}

/* Warn of what holds a wait up; `opaque` is the struct vf_cluster_disk. Phases come too often. */
static void tell(void *opaque, const char *phase, const char *message, const char *hint)
{
    const struct vf_cluster_disk *d = opaque;
    const struct vf_import *im = d->landing->landing.im;
    if (hint) { /* it may hang: a person is needed */
        vf_report_warning(im->reporter, im->vm_name, "\"%s\": %s (%s)", d->claim, message, hint);
    }
    (void)phase;
}

struct vf_cdi_wait vf_cluster_wait(struct vf_cluster_disk *d, int64_t timeout_ms,
                                   const struct vf_cancel *cancel)
{
    return (struct vf_cdi_wait){.ns = d->landing->ns,
                                .name = d->claim,
                                .uid = d->uid,
                                .timeout_ms = timeout_ms,
                                .patience_ms =
                                    timeout_ms / 2 < PATIENCE_MS ? timeout_ms / 2 : PATIENCE_MS,
                                .tell = tell,
                                .opaque = d,
                                .cancel = cancel};
}

int vf_cluster_settle(int rc, struct vf_error **e, struct vf_error **err)
{
    const char *reason = vf_error_reason(*e);
    if (rc == VF_RETRY && !(reason && strcmp(reason, VF_CDI_REASON_RESTARTED) == 0)) {
        const char *hint = vf_error_get_hint(*e);
        char *vf_autofree text = vf_error_format(*e);
        rc = vf_error_set(err, VF_CONFLICT, "%s", text);
        vf_error_hint(err, "%s",
                      hint
                          ? hint
                          : "see what keeps the cluster from it; the same command begins anew, and "
                            "removes what it finds half-made");
        vf_error_clear(e);
    }
    vf_error_move(err, e);
    return rc;
}

static void note_made(struct vf_cluster_disk *d, const cJSON *made)
{
    const char *uid = vf_kube_uid(made);
    d->may_exist = false;
    vf_replace_string(&d->uid, uid ? uid : "");
}

/* After a create without an answer. Nothing had the name a moment ago: what carries it and our
 * marks is what was just made. VF_MISSING: nothing was. The import's cancellation is not looked at,
 * it may be the reason. */
static int find_made(struct vf_cluster_disk *d, const struct vf_kube_resource *resource)
{
    struct vf_landing_cluster *l = d->landing;
    struct vf_kube_ref ref = {.resource = resource, .ns = l->ns, .name = d->claim};
    cJSON *object = NULL;
    d->may_exist = true;
    int rc = vf_kube_get(l->client, &ref, NULL, &object, NULL);
    if (rc == 0 && vf_owned_judge(object, &l->owner) == VF_OWNED_UNFINISHED) {
        note_made(d, object);
    } else if (rc == 0 || rc == VF_MISSING) {
        d->may_exist = false;
        rc = rc ? rc : VF_CONFLICT;
    }
    cJSON_Delete(object);
    return rc;
}

int vf_cluster_make(struct vf_cluster_disk *d, const struct vf_kube_resource *resource,
                    cJSON *object, bool dry_run, const struct vf_cancel *cancel,
                    struct vf_error **err)
{
    struct vf_kube_ref ref = {.resource = resource, .ns = d->landing->ns};
    struct vf_kube_options options = {.dry_run = dry_run, .cancel = cancel};
    struct vf_error *e = NULL;
    int rc, found;
    unsigned tries = 0;
    do {
        cJSON *made = NULL;
        vf_error_clear(&e);
        found = 0;
        rc = vf_kube_create(d->landing->client, &ref, object, &options, &made, &e);
        if (rc == 0 && !dry_run) {
            note_made(d, made);
        } else if ((rc == VF_RETRY || rc == VF_CANCELLED) && !dry_run) {
            found = find_made(d, resource);
        }
        cJSON_Delete(made);
    } while (rc == VF_RETRY && found == VF_MISSING && ++tries < MAX_CREATES);
    cJSON_Delete(object);
    if (rc == VF_RETRY && d->uid) {
        vf_error_clear(&e); /* the answer was lost, not the object */
        rc = 0;
    }
    vf_error_move(err, &e);
    return rc;
}

/* --- before anything is made ------------------------------------------------------------- */

static int init_disks(struct vf_landing_cluster *l, const struct vf_vm *vm, struct vf_error **err)
{
    int rc = 0;
    struct vf_import *im = l->landing.im;
    l->disks = vf_xcalloc(vm->n_disks, sizeof *l->disks);
    l->n_disks = vm->n_disks;
    for (size_t i = 0; i < l->n_disks && rc == 0; i++) {
        struct vf_cluster_disk *d = &l->disks[i];
        d->landing = l;
        d->index = i;
        d->claim = vf_name_of_disk(im->name, i);
        d->label = im->copies[i].name;
        d->size_bytes = vm->disks[i].capacity_bytes;
        if (vf_cluster_is_upload(l)) {
            vf_cluster_upload_target_init(d);
        } else {
            vf_cluster_claim_target_init(d);
        }
        im->copies[i].target = &d->target;
        rc = vf_cluster_choose_storage(d, vm, i, err);
    }
    return rc;
}

/* Everything that can be refused is, while nothing was made. */
static int check_all(struct vf_landing_cluster *l, const struct vf_vm *vm, cJSON *documents,
                     struct vf_error **err)
{
    int rc = 0;
    bool mounted = l->landing.im->options->target == VF_TO_CLAIM && !vf_cluster_is_launch(l);
    for (size_t i = 0; i < l->n_disks && rc == 0 && !mounted; i++) {
        if (l->disks[i].size_bytes > 0) {
            cJSON *object = NULL;
            rc = vf_cluster_check_claim(&l->disks[i], &object, err);
            if (rc == 0) {
                cJSON_AddItemToArray(documents, object);
            }
        }
    }
    if (rc == 0) {
        rc = vf_cluster_check_networks(l, vm, err);
    }
    if (rc == 0 && vf_cluster_is_launch(l) && l->n_disks > 0) {
        rc = vf_cluster_check_launch(l, vm, documents, err);
    }
    return rc ? rc : vf_cluster_check_machine(l, vm, documents, err);
}

static int make_disks(struct vf_landing_cluster *l, struct vf_error **err)
{
    const struct vf_import *im = l->landing.im;
    const struct vf_cancel *cancel = im->cancel;
    int rc = 0;
    if (vf_cluster_is_upload(l) && l->n_disks > 0) {
        char *vf_autofree storages = vf_cluster_describe_storages(l);
        vf_report_phase(im->reporter, im->vm_name, "prepare",
                        "making %zu DataVolume%s in namespace \"%s\", %s", l->n_disks,
                        l->n_disks == 1 ? "" : "s", l->ns, storages);
    }
    for (size_t i = 0; i < l->n_disks && rc == 0; i++) {
        struct vf_cluster_disk *d = &l->disks[i];
        if (!vf_cluster_is_upload(l)) {
            rc = vf_cluster_claim_prepare(d, cancel, err);
        } else if (d->size_bytes > 0) {
            rc = vf_cluster_upload_prepare(d, cancel, err);
        }
        rc = vf_cluster_wrap_disk(d, rc, err);
    }
    return rc;
}

/* The import has come to its end although no disk was copied here. */
static int stop_here(struct vf_error **err)
{
    vf_error_set(err, VF_CANCELLED, "nothing is left to do here");
    vf_error_set_reason(err, VF_IMPORT_LANDED);
    return VF_CANCELLED;
}

static int prepare_all(struct vf_landing *landing, const struct vf_vm *vm, struct vf_error **err)
{
    struct vf_landing_cluster *l = (struct vf_landing_cluster *)landing;
    struct vf_import *im = landing->im;
    bool dry_run = settings(l)->dry_run;
    l->source_uuid = vf_cluster_identity(im, vm);
    l->owner = (struct vf_owner){.source_vm = im->vm_name, .source_uuid = l->source_uuid};

    int rc = vf_cluster_settle_names(l, vm, dry_run, err);
    if (rc) {
        return rc;
    }
    l->owner.import = im->name;
    rc = init_disks(l, vm, err);
    if (rc) {
        return rc;
    }
    bool launch = vf_cluster_is_launch(l) && l->n_disks > 0; /* else there is nothing to copy */
    cJSON *documents = vf_json_new_array();
    im->warned = launch && !dry_run; /* the worker warns of what the VM loses */
    rc = check_all(l, vm, documents, err);
    if (rc == 0 && dry_run) {
        im->documents = vf_take(documents);
        vf_report_info(im->reporter, im->vm_name,
                       "the API server and its webhooks accept this; nothing was made");
        rc = stop_here(err);
    } else if (rc == 0 && launch) {
        rc = vf_cluster_launch(l, vm, err);
        l->whole = rc == 0;
        rc = rc ? rc : stop_here(err);
    } else if (rc == 0) {
        rc = make_disks(l, err);
    }
    cJSON_Delete(documents);
    return rc;
}

static int prepare(struct vf_landing *landing, const struct vf_vm *vm, struct vf_error **err)
{
    struct vf_error *e = NULL;
    int rc = prepare_all(landing, vm, &e);
    return vf_cluster_settle(rc, &e, err);
}

/* --- after the copy ---------------------------------------------------------------------- */

int vf_cluster_mark_complete(struct vf_landing_cluster *l, bool by_volume, struct vf_error **err)
{
    const struct vf_import *im = l->landing.im;
    int rc = 0;
    for (size_t i = 0; i < l->n_disks && rc == 0; i++) {
        struct vf_cluster_disk *d = &l->disks[i];
        d->size_bytes = im->copies[i].size_bytes;
        rc = vf_cdi_mark_complete(l->client, l->ns, d->claim, by_volume ? d->uid : NULL,
                                  im->copies[i].digest, im->cancel, err);
        rc = vf_cluster_wrap_disk(d, rc, err);
    }
    return rc;
}

static int finish(struct vf_landing *landing, const struct vf_vm *vm, struct vf_error **err)
{
    struct vf_landing_cluster *l = (struct vf_landing_cluster *)landing;
    struct vf_import *im = landing->im;
    int rc = vf_cancel_check(im->cancel, err);
    if (vf_cluster_is_upload(l) && l->n_disks > 0) {
        vf_report_info(im->reporter, im->vm_name,
                       "the disks were checked on their way, by TLS and by their checksums; they "
                       "were not read back");
    }
    vf_report_phase(im->reporter, im->vm_name, "finish", "making VirtualMachine \"%s\"", im->name);
    /* From here on the disks are worth more than a tidy namespace. */
    l->keep = rc == 0;
    rc = rc ? rc : vf_cluster_mark_complete(l, vf_cluster_is_upload(l), err);
    if (rc == 0) {
        rc = vf_cluster_make_machine(l, vm, err);
    }
    if (rc && l->keep && !l->whole) {
        vf_error_hint(err,
                      "the disks are complete and stay in namespace \"%s\"; to begin anew: vmferry "
                      "cleanup --namespace %s --name %s --all",
                      l->ns, l->ns, im->name);
    }
    return rc;
}

/* --- the end ----------------------------------------------------------------------------- */

/* What a failed import made is of no use to anybody. The import's own cancellation is not looked
 * at: this is what it leads to. */
static int remove_disk(struct vf_cluster_disk *d, struct vf_error **err)
{
    struct vf_landing_cluster *l = d->landing;
    const struct vf_kube_resource *kind =
        vf_cluster_is_upload(l) ? &vf_kube_data_volumes : &vf_kube_claims;
    struct vf_kube_ref ref = {.resource = kind, .ns = l->ns, .name = d->claim};
    struct vf_error *e = NULL;
    cJSON *object = NULL;

    int rc = vf_kube_get(l->client, &ref, NULL, &object, &e);
    const char *uid = vf_kube_uid(object);
    if (rc == 0 && (d->uid ? uid && strcmp(uid, d->uid) == 0
                           : vf_owned_judge(object, &l->owner) == VF_OWNED_UNFINISHED)) {
        rc = vf_owned_delete(l->client, object, VF_CLUSTER_DELETE_TIMEOUT_MS, NULL, &e);
    }
    cJSON_Delete(object);
    if (rc == VF_MISSING) {
        vf_error_clear(&e);
        rc = 0;
    }
    vf_error_move(err, &e);
    return rc;
}

/* "DataVolumes "a", "b"" that could not be removed, and how to do it later. */
static void tell_left(const struct vf_landing_cluster *l, const char *names, unsigned n,
                      const struct vf_error *why)
{
    const struct vf_import *im = l->landing.im;
    vf_report_warning(im->reporter, im->vm_name,
                      "%s%s %s in namespace \"%s\" may still be there (%s); later: vmferry cleanup "
                      "--namespace %s --name %s",
                      vf_cluster_is_upload(l) ? "DataVolume" : "claim", n == 1 ? "" : "s", names,
                      l->ns, vf_error_message(why), l->ns, im->name);
}

static void remove_disks(struct vf_landing_cluster *l)
{
    struct vf_import *im = l->landing.im;
    struct vf_error *first = NULL;
    struct vf_buf left;
    unsigned n_left = 0, n = 0;
    bool away = false;
    vf_buf_init(&left, SIZE_MAX);
    for (size_t i = 0; i < l->n_disks; i++) {
        struct vf_cluster_disk *d = &l->disks[i];
        struct vf_error *e = NULL;
        if (!d->uid && !d->may_exist) {
            continue;
        }
        if (n++ == 0) {
            vf_report_phase(im->reporter, im->vm_name, "cleanup",
                            "removing the disks that were begun");
        }
        int rc = away ? VF_RETRY : remove_disk(d, &e);
        if (rc) {
            /* A server that is away would be waited for again and again. */
            away |= rc == VF_RETRY && !vf_error_http_status(e);
            vf_buf_printf(&left, "%s\"%s\"", n_left++ ? ", " : "", d->claim);
        }
        if (first) {
            vf_error_free(e);
        } else {
            first = e;
        }
    }
    char *vf_autofree names = vf_buf_take_string(&left);
    if (n_left) {
        tell_left(l, names, n_left, first);
    }
    vf_error_free(first);
}

static void free_landing(struct vf_landing *landing)
{
    struct vf_landing_cluster *l = (struct vf_landing_cluster *)landing;
    if (!l->keep && !l->whole) {
        remove_disks(l);
    }
    vf_cluster_landing_release(l);
    free(l);
}

static const struct vf_landing_ops ops = {
    .prepare = prepare, .finish = finish, .free = free_landing};

int vf_landing_cluster_open(struct vf_import *im, struct vf_landing **ret_landing,
                            struct vf_error **err)
{
    struct vf_landing_cluster *l = vf_xcalloc(1, sizeof *l);
    l->landing = (struct vf_landing){.ops = &ops, .im = im};
    int rc = vf_cluster_landing_connect(l, err);
    if (rc) {
        free_landing(&l->landing);
        return rc;
    }
    l->landing.client = l->client;
    *ret_landing = &l->landing;
    return 0;
}
