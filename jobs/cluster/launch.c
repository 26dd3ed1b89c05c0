/* A Job fills the claims: made, followed, and removed again. */
#include <signal.h>
#include <stdlib.h>
#include <string.h>

#include "importer/base/json.h"
#include "importer/base/log.h"
#include "importer/base/mem.h"
#include "importer/kube/material.h"
#include "importer/kube/metadata.h"
#include "importer/kube/resources.h"
#include "jobs/cluster/launch.h"
#include "jobs/cluster/launch_follow.h"
#include "jobs/cluster/launch_job.h"

/* A Secret takes 1 MiB; a bundle of all public roots is a quarter of that. */
#define MAX_CA_BYTES (512u << 10)

struct launch {
    struct vf_landing_cluster *l;
    struct vf_import *im;
    struct vf_worker_plan plan;
    const char **claims;
    char *secret_name, *ca_pem;
    cJSON *job;       /* as the server made it; NULL: not made */
    char *secret_uid; /* NULL: not made */
    struct vf_worker_run run;
};

/* --- what cannot work -------------------------------------------------------------------- */

static bool is_url(const char *path)
{
    return strncmp(path, "http://", 7) == 0 || strncmp(path, "https://", 8) == 0;
}

static int check_source(const struct launch *la, struct vf_error **err)
{
    const struct vf_import_options *o = la->im->options;
    if (o->kind != VF_IMPORT_VSPHERE && !is_url(o->path)) {
        vf_error_set(err, VF_UNSUPPORTED, "a pod cannot read %s",
                     strcmp(o->path, "-") == 0 ? "this standard input" : "a file of this machine");
        vf_error_hint(err, "use --to upload, or give an http or https URL");
        return VF_UNSUPPORTED;
    }
    for (size_t i = 0; i < la->l->n_disks; i++) {
        const struct vf_cluster_disk *d = &la->l->disks[i];
        if (d->size_bytes == 0) {
            vf_error_set(err, VF_UNSUPPORTED,
                         "the size of disk %zu (%s) is not known before it is read, but its claim "
                         "has to be made before",
                         i, d->label);
            vf_error_hint(err, "use --to upload");
            return VF_UNSUPPORTED;
        }
    }
    return 0;
}

static int find_image(struct launch *la, struct vf_error **err)
{
    const char *image = la->im->options->cluster.worker_image;
    image = image ? image : getenv("VMFERRY_WORKER_IMAGE");
    if (!image || !*image) {
        vf_error_set(err, VF_INVALID, "no container image is named for the Job that copies");
        vf_error_hint(err, "give one whose entry point is vmferry by --worker-image or in "
                           "VMFERRY_WORKER_IMAGE; --to upload needs none");
        return VF_INVALID;
    }
    la->plan.image = image;
    return 0;
}

static int fetch_ca(struct launch *la, struct vf_error **err)
{
    const struct vf_import_options *o = la->im->options;
    const struct vf_http_options *http = o->kind == VF_IMPORT_VSPHERE ? &o->vsphere.http : &o->http;
    size_t len;
    if (http->ca_pem) {
        la->ca_pem = vf_xstrdup(http->ca_pem);
    } else if (http->ca_file) {
        int rc =
            vf_kube_fetch_file(http->ca_file, "the CA file", MAX_CA_BYTES, &la->ca_pem, &len, err);
        if (rc) {
            return rc;
        }
    }
    la->plan.ca_pem = la->ca_pem;
    return 0;
}

static int plan(struct launch *la, const struct vf_vm *vm, struct vf_error **err)
{
    struct vf_landing_cluster *l = la->l;
    const struct vf_import_options *o = la->im->options;
    la->claims = vf_xcalloc(l->n_disks, sizeof *la->claims);
    for (size_t i = 0; i < l->n_disks; i++) {
        la->claims[i] = l->disks[i].claim;
    }
    la->plan = (struct vf_worker_plan){
        .options = o,
        .owner = &l->owner,
        .ns = l->ns,
        .vm = vm->moref ? vm->moref : o->vm,
        .storage = l->storage->class_name,
        .block = strcmp(l->storage->volume_mode, VF_VOLUME_MODE_BLOCK) == 0,
        .claims = la->claims,
        .n_claims = l->n_disks,
        .debug = vf_log_is_debug(),
    };
    int rc = check_source(la, err);
    rc = rc ? rc : find_image(la, err);
    rc = rc ? rc : fetch_ca(la, err);
    if (rc == 0 && vf_worker_needs_secret(&la->plan)) {
        rc = vf_worker_secret_name(l->owner.import, &la->secret_name, err);
        la->plan.secret = la->secret_name;
    }
    return rc;
}

/* --- making it --------------------------------------------------------------------------- */

static int create(struct launch *la, const struct vf_kube_resource *resource, const cJSON *object,
                  bool dry_run, cJSON **ret_made, struct vf_error **err)
{
    struct vf_kube_ref ref = {.resource = resource, .ns = la->l->ns};
    struct vf_kube_options options = {.dry_run = dry_run, .cancel = la->im->cancel};
    return vf_kube_create(la->l->client, &ref, object, &options, ret_made, err);
}

/* Which values there are, and not what they are: neither people nor webhooks and audit logs need
 * them for a check. */
static void hide_values(cJSON *secret)
{
    cJSON *data = cJSON_DetachItemFromObjectCaseSensitive(secret, "stringData");
    cJSON *shown = vf_json_add_object(secret, "stringData");
    const cJSON *item;
    cJSON_ArrayForEach(item, data)
    {
        vf_json_add_string(shown, item->string, "(not shown)");
    }
    vf_json_delete_wiped(data);
}

static int check_with_server(struct launch *la, cJSON *documents, struct vf_error **err)
{
    int rc = 0;
    if (la->plan.secret) {
        cJSON *secret = vf_worker_build_secret(&la->plan, NULL);
        hide_values(secret);
        rc = create(la, &vf_kube_secrets, secret, true, NULL, err);
        cJSON_AddItemToArray(documents, secret);
    }
    if (rc == 0) {
        cJSON *job = vf_worker_build_job(&la->plan);
        rc = create(la, &vf_kube_jobs, job, true, NULL, err);
        cJSON_AddItemToArray(documents, job);
    }
    return rc;
}

/* Of a create without an answer. Nothing had the name a moment ago: what carries it and our marks
 * is what was just made. The import's cancellation is not looked at, it may be the reason. */
static int find_job(struct launch *la, const char *name)
{
    struct vf_kube_ref ref = {.resource = &vf_kube_jobs, .ns = la->l->ns, .name = name};
    cJSON *job = NULL;
    int rc = vf_kube_get(la->l->client, &ref, NULL, &job, NULL);
    if (rc == 0 && vf_owned_judge(job, &la->l->owner) != VF_OWNED_UNFINISHED) {
        rc = VF_CONFLICT;
    }
    if (rc == 0) {
        la->job = vf_take(job);
    }
    cJSON_Delete(job);
    return rc;
}

static int make_job(struct launch *la, struct vf_error **err)
{
    cJSON *job = vf_worker_build_job(&la->plan);
    struct vf_error *e = NULL;
    int rc = create(la, &vf_kube_jobs, job, false, &la->job, &e);
    if ((rc == VF_RETRY || rc == VF_CANCELLED) && find_job(la, vf_kube_name(job)) == 0 &&
        rc == VF_RETRY) {
        vf_error_clear(&e); /* the answer was lost, not the Job */
        rc = 0;
    }
    cJSON_Delete(job);
    vf_error_move(err, &e);
    return rc;
}

static int make_secret(struct launch *la, struct vf_error **err)
{
    cJSON *secret = vf_worker_build_secret(&la->plan, vf_kube_uid(la->job));
    cJSON *made = NULL;
    int rc = create(la, &vf_kube_secrets, secret, false, &made, err);
    const char *uid = vf_kube_uid(made);
    if (rc == 0 && uid) {
        la->secret_uid = vf_xstrdup(uid);
    }
    vf_json_delete_wiped(secret);
    vf_json_delete_wiped(made);
    return rc;
}

static int let_run(struct launch *la, struct vf_error **err)
{
    struct vf_kube_ref ref = {
        .resource = &vf_kube_jobs, .ns = la->l->ns, .name = vf_kube_name(la->job)};
    struct vf_kube_options options = {.cancel = la->im->cancel};
    cJSON *patch = vf_json_new_object();
    vf_json_add_bool(vf_json_add_object(patch, "spec"), "suspend", false);
    int rc = vf_kube_merge_patch(la->l->client, &ref, patch, &options, NULL, err);
    cJSON_Delete(patch);
    return rc;
}

static int make_claims(struct launch *la, struct vf_error **err)
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

static int make_all(struct launch *la, struct vf_error **err)
{
    int rc = make_claims(la, err);
    rc = rc ? rc : make_job(la, err);
    if (rc == 0 && la->plan.secret) {
        rc = make_secret(la, err);
    }
    return rc ? rc : let_run(la, err);
}

/* --- its end ----------------------------------------------------------------------------- */

/* The Secret goes with its Job; a garbage collector takes its time, which a password should not
 * have. */
static void remove_all(struct launch *la)
{
    struct vf_landing_cluster *l = la->l;
    struct vf_error *e = NULL;
    int rc =
        la->job ? vf_owned_delete(l->client, la->job, VF_WORKER_DELETE_TIMEOUT_MS, NULL, &e) : 0;
    if (rc == 0 && la->secret_uid) {
        struct vf_kube_ref ref = {
            .resource = &vf_kube_secrets, .ns = l->ns, .name = la->secret_name};
        struct vf_kube_options options = {.uid = la->secret_uid};
        rc = vf_kube_delete(l->client, &ref, &options, &e);
        if (rc == VF_MISSING) {
            vf_error_clear(&e);
            rc = 0;
        }
    }
    if (rc) {
        char *vf_autofree text = vf_error_format(e);
        vf_report_warning(la->im->reporter, la->im->vm_name,
                          "%s; later: vmferry cleanup --namespace %s --name %s", text, l->ns,
                          l->owner.import);
    }
    vf_error_free(e);
}

/* Disks are never taken from under a VM: without an answer it is there. */
static bool machine_may_exist(const struct launch *la)
{
    const struct vf_landing_cluster *l = la->l;
    struct vf_kube_ref ref = {
        .resource = &vf_kube_virtual_machines, .ns = l->ns, .name = l->owner.import};
    cJSON *machine = NULL;
    int rc = vf_kube_get(l->client, &ref, NULL, &machine, NULL);
    cJSON_Delete(machine);
    return rc != VF_MISSING;
}

/* vf_import_vsphere() says again which VM this is about. */
static const char *without_vm(const struct launch *la, const char *message)
{
    char *vf_autofree frame = vf_xasprintf("vm \"%s\": ", la->im->vm_name);
    size_t len = strlen(frame);
    return strncmp(message, frame, len) == 0 ? message + len : message;
}

/* Of a worker that told of no result: what the kubelet and the log have. */
static int silent_end(const struct launch *la, struct vf_error **err)
{
    const struct vf_job_end *end = &la->run.end;
    char *vf_autofree tail = vf_worker_events_tail(&la->run.events);
    char *vf_autofree code =
        end->exit_code < 0 ? NULL : vf_xasprintf("with exit code %d", end->exit_code);
    vf_error_set(err, VF_INTERNAL, "the worker ended %s%s%s%s: %s", code ? code : "before its time",
                 end->reason ? " (" : "", end->reason ? end->reason : "", end->reason ? ")" : "",
                 tail           ? tail
                 : end->message ? end->message
                                : "it left no word");
    if (end->exit_code == 128 + SIGKILL) {
        vf_error_hint(err, "it was killed, for the memory it took or by its node; fewer --threads "
                           "and --parallel-disks take less memory");
    } else if (end->exit_code == 2) { /* misuse */
        vf_error_hint(err, "the vmferry of image \"%s\" may be of another version than this one",
                      la->plan.image);
    } else {
        vf_error_hint(err, "kubectl get events -n %s may tell more", la->l->ns);
    }
    return VF_INTERNAL;
}

static int worker_error(const struct launch *la, struct vf_error **err)
{
    const struct vf_worker_events *w = &la->run.events;
    if (!w->has_result || w->code == VF_OK) {
        return silent_end(la, err);
    }
    vf_error_set(err, w->code, "%s", w->message ? without_vm(la, w->message) : "no reason given");
    if (w->hint) {
        vf_error_hint(err, "%s", w->hint);
    }
    return w->code;
}

/* The worker had its chance to leave the source as it was: what did it make of it? */
static int stopped(struct launch *la, struct vf_error **err)
{
    struct vf_import *im = la->im;
    const struct vf_worker_events *w = &la->run.events;
    if (w->has_result && w->code != VF_OK && (w->code != VF_CANCELLED || w->hint)) {
        vf_report_warning(im->reporter, im->vm_name, "the worker: %s%s%s",
                          w->message ? without_vm(la, w->message) : vf_code_name(w->code),
                          w->hint ? "; " : "", w->hint ? w->hint : "");
    } else if (w->heard && !w->has_result && im->options->kind == VF_IMPORT_VSPHERE) {
        vf_report_warning(im->reporter, im->vm_name,
                          "the worker did not say how it ended: a snapshot of the VM whose name "
                          "begins with \"vmferry-import-\" may be left at the source");
    }
    int rc = vf_cancel_check(im->cancel, err);
    return rc ? rc : vf_error_set(err, VF_CANCELLED, "cancelled");
}

static int landed(struct launch *la)
{
    struct vf_landing_cluster *l = la->l;
    l->keep = true;
    free(l->landing.place);
    l->landing.place =
        vf_xasprintf("VirtualMachine \"%s\" in namespace \"%s\"", l->owner.import, l->ns);
    return 0;
}

/* The cluster does not answer, or hides the Job: it may well go on without us. */
static bool is_out_of_sight(const struct launch *la, int rc, const struct vf_error *e)
{
    const char *reason = vf_error_reason(e);
    bool timeout = reason && strcmp(reason, VF_KUBE_REASON_TIMEOUT) == 0;
    return rc && rc != VF_MISSING && !timeout && !atomic_load(&la->run.stopped);
}

static int leave_running(struct launch *la, int rc, struct vf_error **err)
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

static int conclude(struct launch *la, int rc, struct vf_error **err)
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
        rc = worker_error(la, err);
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

static int run(struct launch *la, struct vf_error **err)
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
        remove_all(la);
    }
    vf_worker_events_end(&la->run.events, e);
    vf_job_end_release(&la->run.end);
    vf_worker_events_release(&la->run.events);
    vf_error_move(err, &e);
    return rc;
}

static void release(struct launch *la)
{
    cJSON_Delete(la->job);
    free(la->claims);
    free(la->secret_name);
    free(la->secret_uid);
    free(la->ca_pem);
}

int vf_cluster_check_launch(struct vf_landing_cluster *l, const struct vf_vm *vm, cJSON *documents,
                            struct vf_error **err)
{
    struct launch la = {.l = l, .im = l->landing.im};
    int rc = plan(&la, vm, err);
    rc = rc ? rc : check_with_server(&la, documents, err);
    release(&la);
    return rc;
}

int vf_cluster_launch(struct vf_landing_cluster *l, const struct vf_vm *vm, struct vf_error **err)
{
    struct launch la = {.l = l, .im = l->landing.im};
    int rc = plan(&la, vm, err);
    if (rc == 0) {
        rc = make_all(&la, err);
        if (rc) {
            remove_all(&la);
        } else {
            rc = run(&la, err);
        }
    }
    release(&la);
    return rc;
}
