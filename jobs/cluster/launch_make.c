/* The Job and the Secret of a worker: planned, checked, made and removed; and what it said. */
#include "jobs/cluster/launch_make.h"

#include <signal.h>
#include <stdlib.h>
#include <string.h>

#include "importer/base/json.h"
#include "importer/base/log.h"
#include "importer/base/mem.h"
#include "importer/kube/material.h"
#include "importer/kube/metadata.h"
#include "importer/kube/resources.h"

/* A Secret takes 1 MiB; a bundle of all public roots is a quarter of that. */
#define MAX_CA_BYTES      (512u << 10)
#define MAX_MAPPING_BYTES (384u << 10)

/* --- what cannot work -------------------------------------------------------------------- */

static bool is_url(const char *path)
{
    return strncmp(path, "http://", 7) == 0 || strncmp(path, "https://", 8) == 0;
}

static int check_source(const struct vf_launch *la, struct vf_error **err)
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

static int find_image(struct vf_launch *la, struct vf_error **err)
{
    const char *image = la->im->options->cluster.worker_image;
    image = image ? image : getenv("VMFERRY_WORKER_IMAGE");
    if (!image || !*image) {
        vf_error_set(err, VF_INVALID, "no container image is named for the Job that copies");
        vf_error_hint(err,
                      "give one whose entry point is vmferry by --worker-image or in "
                      "VMFERRY_WORKER_IMAGE; %s needs none",
                      la->migration ? "--to dir:PATH" : "--to upload");
        return VF_INVALID;
    }
    la->plan.image = image;
    return 0;
}

static int fetch_ca(struct vf_launch *la, struct vf_error **err)
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

static bool tells_something(const struct vf_mapping *m)
{
    cJSON *tree = m ? vf_mapping_encode(m) : NULL;
    bool any = tree && tree->child;
    cJSON_Delete(tree);
    return any;
}

/* All of it goes along: the worker's look at the VM is to be the same. */
static int write_mapping(struct vf_launch *la, struct vf_error **err)
{
    const struct vf_mapping *m = la->im->options->mapping;
    int rc = tells_something(m) ? vf_mapping_print(m, &la->mapping, err) : 0;
    size_t len = rc == 0 && la->mapping ? strlen(la->mapping) : 0;
    if (len > MAX_MAPPING_BYTES) {
        vf_error_set(err, VF_SPACE,
                     "the mapping, with its templates and its table of guest operating systems, "
                     "has %zu bytes; the Secret of a Job takes %u of it",
                     len, MAX_MAPPING_BYTES);
        vf_error_hint(err,
                      "leave out rows and templates that this VM does not need, or use --to "
                      "%s",
                      la->migration ? "dir:PATH" : "upload");
        return VF_SPACE;
    }
    la->plan.mapping = la->mapping;
    return rc;
}

/* Class of the disks that the mapping names none for: the cluster's default, as it is now. */
static const char *default_class(const struct vf_launch *la, const struct vf_vm *vm)
{
    for (size_t i = 0; i < la->l->n_disks; i++) {
        if (!vf_mapping_storage_of(la->im->options->mapping, vm, i).storage_class) {
            return la->l->disks[i].storage->class_name;
        }
    }
    return NULL;
}

int vf_launch_plan(struct vf_launch *la, const struct vf_vm *vm, struct vf_error **err)
{
    struct vf_landing_cluster *l = la->l;
    const struct vf_import_options *o = la->im->options;
    la->claims = vf_xcalloc(l->n_disks + 1, sizeof *la->claims);
    la->numbers = vf_xcalloc(l->n_disks + 1, sizeof *la->numbers);
    la->blocks = vf_xcalloc(l->n_disks + 1, sizeof *la->blocks);
    for (size_t i = 0; i < l->n_disks; i++) {
        la->blocks[i] = strcmp(l->disks[i].storage->volume_mode, VF_VOLUME_MODE_BLOCK) == 0;
        la->claims[i] = l->disks[i].claim;
        la->numbers[i] = (unsigned)l->disks[i].index;
    }
    la->plan = (struct vf_worker_plan){
        .options = o,
        .migration = la->migration,
        .owner = &l->owner,
        .ns = l->ns,
        .vm = vm->moref ? vm->moref : o->vm,
        .storage = default_class(la, vm),
        .blocks = la->blocks,
        .claims = la->claims,
        .numbers = la->numbers,
        .n_claims = l->n_disks,
        .debug = vf_log_is_debug(),
    };
    int rc = check_source(la, err);
    rc = rc ? rc : find_image(la, err);
    rc = rc ? rc : fetch_ca(la, err);
    rc = rc ? rc : write_mapping(la, err);
    if (rc == 0 && vf_worker_needs_secret(&la->plan)) {
        char *vf_autofree job = vf_worker_name_of(&la->plan);
        rc = vf_worker_secret_name(job, &la->secret_name, err);
        la->plan.secret = la->secret_name;
    }
    return rc;
}

/* --- making it --------------------------------------------------------------------------- */

static int create(struct vf_launch *la, const struct vf_kube_resource *resource,
                  const cJSON *object, bool dry_run, cJSON **ret_made, struct vf_error **err)
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
        bool secret_value = strcmp(item->string, VF_WORKER_MAPPING_KEY) != 0;
        vf_json_add_string(shown, item->string,
                           secret_value ? "(not shown)" : cJSON_GetStringValue(item));
    }
    vf_json_delete_wiped(data);
}

int vf_launch_check(struct vf_launch *la, cJSON *documents, struct vf_error **err)
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
static int find_job(struct vf_launch *la, const char *name)
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

static int make_job(struct vf_launch *la, struct vf_error **err)
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

static int make_secret(struct vf_launch *la, struct vf_error **err)
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

static int let_run(struct vf_launch *la, struct vf_error **err)
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

int vf_launch_make(struct vf_launch *la, struct vf_error **err)
{
    int rc = make_job(la, err);
    if (rc == 0 && la->plan.secret) {
        rc = make_secret(la, err);
    }
    return rc ? rc : let_run(la, err);
}

/* --- its end ----------------------------------------------------------------------------- */

/* The Secret goes with its Job; a garbage collector takes its time, which a password should not
 * have. */
void vf_launch_remove(struct vf_launch *la)
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

/* vf_import_vsphere() says again which VM this is about. */
const char *vf_launch_without_vm(const struct vf_launch *la, const char *message)
{
    char *vf_autofree frame = vf_xasprintf("vm \"%s\": ", la->im->vm_name);
    size_t len = strlen(frame);
    return strncmp(message, frame, len) == 0 ? message + len : message;
}

/* Of a worker that told of no result: what the kubelet and the log have. */
static int silent_end(const struct vf_launch *la, struct vf_error **err)
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

int vf_launch_worker_error(const struct vf_launch *la, struct vf_error **err)
{
    const struct vf_worker_events *w = &la->run.events;
    if (!w->has_result || w->code == VF_OK) {
        return silent_end(la, err);
    }
    vf_error_set(err, w->code, "%s",
                 w->message ? vf_launch_without_vm(la, w->message) : "no reason given");
    if (w->hint) {
        vf_error_hint(err, "%s", w->hint);
    }
    return w->code;
}

void vf_launch_release(struct vf_launch *la)
{
    cJSON_Delete(la->job);
    free(la->claims);
    free(la->numbers);
    free(la->blocks);
    free(la->secret_name);
    free(la->secret_uid);
    free(la->ca_pem);
    free(la->mapping);
}
