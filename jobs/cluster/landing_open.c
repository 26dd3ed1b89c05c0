/* What every landing in a cluster begins with: the client, and what the server would say. */
#include <stdlib.h>
#include <string.h>

#include "importer/base/json.h"
#include "importer/base/mem.h"
#include "importer/kube/resources.h"
#include "importer/kube/virtual_machine.h"
#include "jobs/cluster/landing.h"
#include "jobs/cluster/upload_proxy.h"

static const struct vf_import_cluster *settings(const struct vf_landing_cluster *l)
{
    return &l->landing.im->options->cluster;
}

bool vf_cluster_is_upload(const struct vf_landing_cluster *l)
{
    return l->landing.im->options->target == VF_TO_UPLOAD;
}

bool vf_cluster_is_launch(const struct vf_landing_cluster *l)
{
    return !vf_cluster_is_upload(l) && !l->landing.im->options->to_path;
}

int vf_cluster_landing_connect(struct vf_landing_cluster *l, struct vf_error **err)
{
    struct vf_import *im = l->landing.im;
    const struct vf_import_cluster *c = settings(l);
    struct vf_cluster_options where = c->where;
    where.namespace_name = im->options->namespace_name;

    int rc = vf_cluster_open(&where, im->cancel, &l->client, err);
    if (rc) {
        return rc;
    }
    l->ns = vf_kube_client_namespace(l->client);
    vf_report_phase(im->reporter, im->options->vm, "connect", "namespace \"%s\" by %s", l->ns,
                    vf_kube_client_origin(l->client));
    rc = vf_virtual_machine_check(l->client, im->cancel, err);
    if (rc == 0 && vf_cluster_is_upload(l)) {
        rc = vf_cdi_fetch_facts(l->client, im->cancel, &l->facts, err);
    } else if (rc == 0 && c->handover == VF_IMPORT_ADOPT) {
        rc = vf_kube_check_resource(l->client, &vf_kube_data_volumes, "CDI", err);
    }
    rc = rc ? rc : vf_cluster_check_storage(l, err);
    if (rc == 0 && vf_cluster_is_upload(l)) {
        rc = vf_upload_proxy_open(c, &l->facts, im->cancel, &l->proxy, &l->proxy_url, err);
        rc = rc ? rc : vf_cluster_upload_choose_coding(l, err);
    }
    return rc;
}

char *vf_cluster_identity(const struct vf_import *im, const struct vf_vm *vm)
{
    const char *uuid = vm->instance_uuid && *vm->instance_uuid ? vm->instance_uuid : vm->bios_uuid;
    return uuid && *uuid ? vf_xstrdup(uuid)
                         : vf_xasprintf("%s:%s", vf_import_kind_name(im->options->kind),
                                        im->source ? im->source : "");
}

int vf_cluster_wrap_disk(const struct vf_cluster_disk *d, int rc, struct vf_error **err)
{
    return rc ? vf_error_wrap(err, rc, "disk %zu (%s)", d->index, d->label) : 0;
}

int vf_cluster_check_claim(struct vf_cluster_disk *d, cJSON **ret_object, struct vf_error **err)
{
    const struct vf_landing_cluster *l = d->landing;
    struct vf_claim_plan plan = vf_cluster_claim_plan(d);
    cJSON *object = NULL;
    int rc = vf_cluster_is_upload(l) ? vf_cdi_build_upload_volume(&plan, &object, err)
                                     : vf_cdi_build_claim(&plan, &object, err);
    if (rc == 0) {
        struct vf_error *e = NULL;
        rc = vf_cluster_make(d, vf_cluster_is_upload(l) ? &vf_kube_data_volumes : &vf_kube_claims,
                             cJSON_Duplicate(object, true), true, l->landing.im->cancel, &e);
        const char *reason = vf_error_reason(e);
        if (settings(l)->dry_run && reason && strcmp(reason, VF_KUBE_REASON_ALREADY_EXISTS) == 0) {
            /* Ours, unfinished, as was seen: an import removes it first. */
            vf_error_clear(&e);
            rc = 0;
        }
        vf_error_move(err, &e);
    }
    if (rc == 0 && ret_object) {
        *ret_object = vf_take(object);
    }
    cJSON_Delete(object);
    return vf_cluster_wrap_disk(d, rc, err);
}

static bool all_sized(const struct vf_landing_cluster *l)
{
    for (size_t i = 0; i < l->n_disks; i++) {
        if (l->disks[i].size_bytes == 0) {
            return false;
        }
    }
    return true;
}

int vf_cluster_check_machine(struct vf_landing_cluster *l, const struct vf_vm *vm, cJSON *documents,
                             struct vf_error **err)
{
    cJSON *machine = NULL;
    int rc = 0;
    if (all_sized(l)) {
        rc = vf_cluster_build_machine(l, vm, &machine, err);
    }
    if (rc == 0 && machine) {
        rc = vf_virtual_machine_create(l->client, l->ns, machine, true, l->landing.im->cancel, NULL,
                                       err);
        cJSON_AddItemToArray(documents, vf_take(machine));
    }
    cJSON_Delete(machine);
    return rc;
}

void vf_cluster_landing_release(struct vf_landing_cluster *l)
{
    for (size_t i = 0; i < l->n_disks; i++) {
        free(l->disks[i].claim);
        free(l->disks[i].mount);
        free(l->disks[i].uid);
    }
    free(l->disks);
    vf_http_free(l->proxy);
    free(l->proxy_url);
    free(l->source_uuid);
    vf_cdi_facts_release(&l->facts);
    vf_cluster_storages_release(l);
    vf_kube_client_free(l->client);
    free(l->landing.place);
}
