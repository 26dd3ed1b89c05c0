/* The VirtualMachine at the end. */
#include <limits.h>
#include <stdlib.h>
#include <string.h>

#include "converters/vm/manifest.h"
#include "importer/base/json.h"
#include "importer/base/mem.h"
#include "importer/base/retry.h"
#include "importer/kube/metadata.h"
#include "importer/kube/quantity.h"
#include "importer/kube/resources.h"
#include "importer/kube/virtual_machine.h"
#include "jobs/cluster/landing.h"
#include "jobs/cluster/warm_claims.h"

/* What a claim became: the template that adopts it has to say the same. Strings are heap. */
struct claim_facts {
    char *storage_class, *volume_mode, *access_mode;
    uint64_t request_bytes;
};

static void planned(const struct vf_cluster_disk *d, struct claim_facts *f)
{
    const struct vf_kube_storage *s = d->storage;
    *f = (struct claim_facts){.storage_class = vf_xstrdup(s->class_name),
                              .volume_mode = vf_xstrdup(s->volume_mode),
                              .access_mode = vf_xstrdup(s->access_mode)};
    if (vf_kube_storage_request_bytes(s, d->size_bytes, &f->request_bytes, NULL) != 0) {
        f->request_bytes = d->size_bytes;
    }
}

/* The claim as it is, where there is one. */
static int fetch_facts(const struct vf_cluster_disk *d, struct claim_facts *f,
                       struct vf_error **err)
{
    const struct vf_landing_cluster *l = d->landing;
    struct vf_kube_ref ref = {.resource = &vf_kube_claims, .ns = l->ns, .name = d->claim};
    struct vf_kube_options options = {.cancel = l->landing.im->cancel};
    struct vf_error *e = NULL;
    cJSON *object = NULL;
    int rc = vf_kube_get(l->client, &ref, &options, &object, &e);
    planned(d, f);
    if (rc == VF_MISSING && !l->keep) { /* nothing was made yet */
        vf_error_free(e);
        return 0;
    }
    if (rc == 0 && l->keep && vf_kube_is_being_deleted(object)) {
        rc = vf_error_set(&e, VF_CONFLICT, "claim \"%s\" is being deleted", d->claim);
    }
    if (rc) {
        cJSON_Delete(object);
        vf_error_move(err, &e);
        return rc;
    }
    const cJSON *spec = vf_json_object(object, "spec");
    const cJSON *modes = vf_json_array(spec, "accessModes");
    const char *mode = cJSON_GetStringValue(cJSON_GetArrayItem(modes, 0));
    const cJSON *requests = vf_json_object(vf_json_object(spec, "resources"), "requests");
    const char *storage_class = vf_json_string(spec, "storageClassName");
    const char *volume_mode = vf_json_string(spec, "volumeMode");
    if (storage_class) {
        vf_replace_string(&f->storage_class, storage_class);
    }
    if (volume_mode) {
        vf_replace_string(&f->volume_mode, volume_mode);
    }
    if (mode) {
        vf_replace_string(&f->access_mode, mode);
    }
    (void)vf_kube_parse_bytes(vf_json_string(requests, "storage"), &f->request_bytes);
    cJSON_Delete(object);
    return 0;
}

static void release_facts(struct claim_facts *f)
{
    free(f->storage_class);
    free(f->volume_mode);
    free(f->access_mode);
}

static int build(struct vf_landing_cluster *l, const struct vf_vm *vm,
                 const struct vf_manifest_disk *disks, cJSON **ret_object, struct vf_error **err)
{
    struct vf_import *im = l->landing.im;
    struct vf_manifest_options mo = {.name = im->name,
                                     .namespace_name = l->ns,
                                     .mapping = im->options->mapping,
                                     .source = im->source,
                                     .handover = im->options->cluster.handover == VF_IMPORT_ADOPT
                                                     ? VF_HANDOVER_ADOPT
                                                     : VF_HANDOVER_CLAIM,
                                     .vm_only = true,
                                     .disks = disks,
                                     .n_disks = vm->n_disks};
    struct vf_manifests m = {0};
    int rc = vf_manifests_build(vm, &mo, &m, err);
    for (size_t i = 0; rc == 0 && !im->warned && i < m.concerns.n_items; i++) {
        vf_report_warning(im->reporter, im->vm_name, "%s", m.concerns.items[i].text);
    }
    if (rc == 0) {
        im->warned = true;
        *ret_object = vf_take(m.documents[m.n_documents - 1]);
        vf_owned_mark(*ret_object, &l->owner, VF_OWNED_COMPLETE);
    }
    vf_manifests_release(&m);
    return rc;
}

int vf_cluster_build_machine(struct vf_landing_cluster *l, const struct vf_vm *vm,
                             cJSON **ret_object, struct vf_error **err)
{
    struct vf_manifest_disk *disks = vf_xcalloc(l->n_disks, sizeof *disks);
    struct claim_facts *facts = vf_xcalloc(l->n_disks, sizeof *facts);
    int rc = 0;
    for (size_t i = 0; i < l->n_disks && rc == 0; i++) {
        const struct vf_cluster_disk *d = &l->disks[i];
        rc = fetch_facts(d, &facts[i], err);
        disks[i] = (struct vf_manifest_disk){.claim = d->claim,
                                             .size_bytes = d->size_bytes,
                                             .digest = l->landing.im->copies[i].digest,
                                             .request_bytes = facts[i].request_bytes,
                                             .storage_class = facts[i].storage_class,
                                             .volume_mode = facts[i].volume_mode,
                                             .access_mode = facts[i].access_mode};
    }
    if (rc == 0) {
        rc = build(l, vm, disks, ret_object, err);
    }
    for (size_t i = 0; i < l->n_disks; i++) {
        release_facts(&facts[i]);
    }
    free(facts);
    free(disks);
    return rc;
}

static int tell_status(void *opaque, const char *status, const char *message)
{
    const struct vf_import *im = opaque;
    vf_report_phase(im->reporter, im->vm_name, "start", "%s%s%s", status,
                    message && *message ? ": " : "", message ? message : "");
    return 0;
}

int vf_cluster_start_machine(struct vf_landing_cluster *l, struct vf_error **err)
{
    struct vf_import *im = l->landing.im;
    int rc = vf_virtual_machine_start(l->client, l->ns, im->name, im->cancel, err);
    if (rc == 0) {
        rc = vf_virtual_machine_wait_running(
            l->client, l->ns, im->name,
            vf_cluster_timeout_ms(&im->options->cluster.where, VF_CLUSTER_START_TIMEOUT_MS),
            tell_status, im, im->cancel, err);
    }
    if (rc) {
        vf_error_hint(err, "kubectl describe vm,vmi -n %s %s tells more; the source VM %s", l->ns,
                      im->name, l->warm ? "is off, and must stay so" : "was not changed");
        return vf_error_wrap(err, rc, "%s is there and whole, but does not run", l->landing.place);
    }
    return 0;
}

int vf_cluster_fetch_made(const struct vf_landing_cluster *l, const struct vf_cancel *cancel,
                          bool *ret_made, struct vf_error **err)
{
    struct vf_kube_ref ref = {
        .resource = &vf_kube_virtual_machines, .ns = l->ns, .name = l->owner.import};
    struct vf_kube_options options = {.cancel = cancel};
    struct vf_error *e = NULL;
    cJSON *object = NULL;
    int rc = vf_kube_get(l->client, &ref, &options, &object, &e);
    enum vf_owned owned = rc        ? VF_OWNED_NOT
                          : l->warm ? vf_warm_judge(&l->owner, object)
                                    : vf_owned_judge(object, &l->owner);
    *ret_made = owned == VF_OWNED_FINISHED && !vf_kube_is_being_deleted(object);
    cJSON_Delete(object);
    if (rc == VF_MISSING) {
        vf_error_clear(&e);
        rc = 0;
    }
    vf_error_move(err, &e);
    return rc;
}

static bool is_made(const struct vf_landing_cluster *l)
{
    bool made = false;
    return vf_cluster_fetch_made(l, l->landing.im->cancel, &made, NULL) == 0 && made;
}

/* After hours of copying a webhook that restarts is waited for. */
static int create(struct vf_landing_cluster *l, const cJSON *object, struct vf_error **err)
{
    struct vf_import *im = l->landing.im;
    const struct vf_retry_policy policy = {
        .max_tries = UINT_MAX,
        .first_wait_ms = 1000,
        .timeout_ms =
            vf_cluster_timeout_ms(&im->options->cluster.where, VF_CLUSTER_CREATE_TIMEOUT_MS)};
    struct vf_retry retry;
    bool told = false;
    int rc;
    vf_retry_init(&retry, &policy, im->cancel);
    do {
        rc = vf_virtual_machine_create(l->client, l->ns, object, false, im->cancel, NULL, err);
        const char *reason = err ? vf_error_reason(*err) : NULL;
        if (rc == VF_CONFLICT && (told || l->warm) && reason &&
            strcmp(reason, VF_KUBE_REASON_ALREADY_EXISTS) == 0 && is_made(l)) {
            vf_error_clear(err); /* an earlier try was carried out, and its answer lost */
            rc = 0;
        }
        if (rc == VF_RETRY && !told) {
            told = true;
            vf_report_warning(im->reporter, im->vm_name,
                              "the VirtualMachine is not taken yet, and tried again: %s",
                              err && *err ? vf_error_message(*err) : "no reason given");
        }
    } while (vf_retry_again(&retry, &rc, err));
    return rc;
}

int vf_cluster_create_machine(struct vf_landing_cluster *l, const struct vf_vm *vm,
                              struct vf_error **err)
{
    cJSON *object = NULL;
    int rc = vf_cluster_build_machine(l, vm, &object, err);
    if (rc == 0) {
        rc = create(l, object, err);
    }
    cJSON_Delete(object);
    if (rc == 0) {
        l->whole = true;
        free(l->landing.place);
        l->landing.place =
            vf_xasprintf("VirtualMachine \"%s\" in namespace \"%s\"", l->owner.import, l->ns);
    }
    return rc;
}

int vf_cluster_make_machine(struct vf_landing_cluster *l, const struct vf_vm *vm,
                            struct vf_error **err)
{
    int rc = vf_cluster_create_machine(l, vm, err);
    return rc || !l->landing.im->options->cluster.start ? rc : vf_cluster_start_machine(l, err);
}
