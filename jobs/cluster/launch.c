/* A Job fills the claims: made, followed, and removed again. */
#include <stdlib.h>
#include <string.h>

#include "importer/base/json.h"
#include "importer/base/mem.h"
#include "importer/kube/metadata.h"
#include "importer/kube/resources.h"
#include "jobs/cluster/launch.h"
#include "jobs/cluster/launch_make.h"

static int make_claims(struct vf_launch *la, struct vf_error **err)
{
    int rc = 0;
    for (size_t i = 0; i < la->l->n_disks && rc == 0; i++) {
        struct vf_cluster_disk *d = &la->l->disks[i];
        struct vf_claim_plan claim = vf_cluster_claim_plan(d);
        cJSON *object = NULL;
        rc = vf_cdi_build_claim(&claim, &object, err);
        if (rc == 0) {
            rc = vf_cluster_make(d, &vf_kube_claims, object, false, la->im->cancel, err);
        }
        if (rc) {
            return vf_error_wrap(err, rc, "disk %zu (%s)", i, d->label);
        }
    }
    return 0;
}

static int make_all(struct vf_launch *la, struct vf_error **err)
{
    int rc = make_claims(la, err);
    return rc ? rc : vf_launch_make(la, err);
}

/* --- its end ----------------------------------------------------------------------------- */

/* Disks are never taken from under a VM: without an answer it is there. */
static bool machine_may_exist(const struct vf_launch *la)
{
    const struct vf_landing_cluster *l = la->l;
    struct vf_kube_ref ref = {
        .resource = &vf_kube_virtual_machines, .ns = l->ns, .name = l->owner.import};
    cJSON *machine = NULL;
    int rc = vf_kube_get(l->client, &ref, NULL, &machine, NULL);
    cJSON_Delete(machine);
    return rc != VF_MISSING;
}

/* The worker had its chance to leave the source as it was: what did it make of it? */
static int stopped(struct vf_launch *la, struct vf_error **err)
{
    struct vf_import *im = la->im;
    const struct vf_worker_events *w = &la->run.events;
    if (w->has_result && w->code != VF_OK && (w->code != VF_CANCELLED || w->hint)) {
        vf_report_warning(im->reporter, im->vm_name, "the worker: %s%s%s",
                          w->message ? vf_launch_without_vm(la, w->message) : vf_code_name(w->code),
                          w->hint ? "; " : "", w->hint ? w->hint : "");
    } else if (w->heard && !w->has_result && im->options->kind == VF_IMPORT_VSPHERE) {
        vf_report_warning(im->reporter, im->vm_name,
                          "the worker did not say how it ended: a snapshot of the VM whose name "
                          "begins with \"vmferry-import-\" may be left at the source");
    }
    int rc = vf_cancel_check(im->cancel, err);
    return rc ? rc : vf_error_set(err, VF_CANCELLED, "cancelled");
}

static int landed(struct vf_launch *la)
{
    struct vf_landing_cluster *l = la->l;
    l->keep = true;
    free(l->landing.place);
    l->landing.place =
        vf_xasprintf("VirtualMachine \"%s\" in namespace \"%s\"", l->owner.import, l->ns);
    return 0;
}

/* The cluster does not answer, or hides the Job: it may well go on without us. */
static bool is_out_of_sight(const struct vf_launch *la, int rc, const struct vf_error *e)
{
    const char *reason = vf_error_reason(e);
    bool timeout = reason && strcmp(reason, VF_KUBE_REASON_TIMEOUT) == 0;
    return rc && rc != VF_MISSING && !timeout && !atomic_load(&la->run.stopped);
}

static int leave_running(struct vf_launch *la, int rc, struct vf_error **err)
{
    const char *name = vf_kube_name(la->job);
    la->l->keep = true;
    vf_error_hint(
        err,
        "kubectl logs -f -n %s job/%s shows how far it is; vmferry cleanup --namespace %s "
        "--name %s --force ends it",
        la->l->ns, name, la->l->ns, la->l->owner.import);
    /* No hint: the error may have one, which stands. */
    return vf_error_wrap(err, rc,
                         "the Job goes on and makes the VM, but nobody looks at it any more");
}

static int conclude(struct vf_launch *la, int rc, struct vf_error **err)
{
    const struct vf_worker_events *w = &la->run.events;
    bool says_good = w->has_result && w->code == VF_OK;
    if (rc == 0 && la->run.end.succeeded && (says_good || !w->has_result)) {
        return landed(la);
    }
    bool machine = machine_may_exist(la);
    la->l->keep = machine;
    if (machine && says_good) { /* cancelled, or its Job deleted, when all was done */
        vf_error_clear(err);
        return landed(la);
    }
    if (atomic_load(&la->run.stopped)) {
        vf_error_clear(err);
        rc = stopped(la, err);
    } else if (rc == 0) {
        rc = vf_launch_worker_error(la, err);
        vf_error_wrap(err, rc, "Job \"%s\"", vf_kube_name(la->job));
    } else if (rc == VF_MISSING) {
        vf_error_hint(err, "somebody stopped the import: kubectl delete job, or vmferry cleanup "
                           "--force");
    }
    if (machine) { /* no hint: the worker's own stands */
        vf_error_wrap(err, rc,
                      "the VirtualMachine \"%s\" was made, or may have been, and its disks were "
                      "left alone",
                      la->l->owner.import);
    }
    return rc;
}

static int run(struct vf_launch *la, struct vf_error **err)
{
    struct vf_import *im = la->im;
    struct vf_error *e = NULL;
    la->run.client = la->l->client;
    la->run.im = im;
    la->run.job = la->job;
    vf_worker_events_init(&la->run.events, im->reporter, im->vm_name, la->l->n_disks);
    for (size_t i = 0; i < la->l->n_disks; i++) {
        vf_worker_events_name_disk(&la->run.events, i, la->l->disks[i].label);
    }
    vf_report_phase(im->reporter, im->vm_name, "worker", "Job \"%s\" copies %zu disk%s",
                    vf_kube_name(la->job), la->l->n_disks, la->l->n_disks == 1 ? "" : "s");
    int rc = vf_worker_follow(&la->run, &e);
    if (is_out_of_sight(la, rc, e)) {
        rc = leave_running(la, rc, &e);
    } else {
        rc = conclude(la, rc, &e);
        vf_worker_events_end(&la->run.events, e);
        vf_launch_remove(la);
    }
    vf_worker_events_end(&la->run.events, e);
    vf_job_end_release(&la->run.end);
    vf_worker_events_release(&la->run.events);
    vf_error_move(err, &e);
    return rc;
}

int vf_cluster_check_launch(struct vf_landing_cluster *l, const struct vf_vm *vm, cJSON *documents,
                            struct vf_error **err)
{
    struct vf_launch la = {.l = l, .im = l->landing.im};
    int rc = vf_launch_plan(&la, vm, err);
    rc = rc ? rc : vf_launch_check(&la, documents, err);
    vf_launch_release(&la);
    return rc;
}

int vf_cluster_launch(struct vf_landing_cluster *l, const struct vf_vm *vm, struct vf_error **err)
{
    struct vf_launch la = {.l = l, .im = l->landing.im};
    int rc = vf_launch_plan(&la, vm, err);
    if (rc == 0) {
        rc = make_all(&la, err);
        if (rc) {
            vf_launch_remove(&la);
        } else {
            rc = run(&la, err);
        }
    }
    vf_launch_release(&la);
    return rc;
}
