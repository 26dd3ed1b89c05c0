/* `vmferry migrate --warm --to pvc`: claims, a Secret, a ConfigMap and a Job that migrates into the
 * claims it mounts; followed, and left running by whoever stops looking.
 */
#include <stdlib.h>
#include <string.h>

#include "converters/vm/names.h"
#include "importer/base/clock.h"
#include "importer/base/inject.h"
#include "importer/base/json.h"
#include "importer/base/mem.h"
#include "importer/kube/metadata.h"
#include "importer/kube/resources.h"
#include "jobs/cluster/claim_store.h"
#include "jobs/cluster/guard.h"
#include "jobs/cluster/launch_make.h"
#include "jobs/cluster/warm_board.h"
#include "jobs/cluster/warm_claims.h"
#include "jobs/find_vm.h"
#include "jobs/migration/source_vm.h"
#include "jobs/preflight/preflight.h"

struct warm_launch {
    struct vf_launch la;
    struct vf_landing_cluster l;
    struct vf_import im;
    struct vf_source_vm *source; /* until the Job runs */
    char **labels;               /* of the disks */
    size_t n_labels;
    bool *made;      /* which claims are there already */
    cJSON *job_then; /* the Job of an earlier start; NULL: none */
};

/* --- source and names -------------------------------------------------------------------- */

static int open_source(struct warm_launch *w, struct vf_error **err)
{
    struct vf_import *im = &w->im;
    const struct vf_source_vm_options options = {.vsphere = &im->options->vsphere,
                                                 .mapping = im->options->mapping,
                                                 .vm = im->options->vm,
                                                 .reporter = im->reporter,
                                                 .cancel = im->cancel};
    vf_report_phase(im->reporter, im->options->vm, "connect", "logging in to %s",
                    im->options->vsphere.url);
    int rc = vf_source_vm_open(&options, &w->source, err);
    if (rc) {
        return rc;
    }
    const struct vf_vm *vm = vf_source_vm_get(w->source);
    im->source = vf_xstrdup(vf_vsphere_host(vf_source_vm_vsphere(w->source)));
    im->vm_name = vf_xstrdup(vm->name);
    im->name =
        im->options->name ? vf_name_to_label(im->options->name, VF_NAME_VM_MAX) : vf_name_of_vm(vm);
    w->labels = vf_xcalloc(vm->n_disks + 1, sizeof *w->labels);
    for (; w->n_labels < vm->n_disks; w->n_labels++) {
        const char *label = vm->disks[w->n_labels].label;
        w->labels[w->n_labels] = label ? vf_xstrdup(label) : vf_xasprintf("disk %zu", w->n_labels);
    }
    rc = vf_vm_check_exportable(vm, im->options->mapping, err);
    if (rc == 0 && vm->n_disks == 0) {
        rc = vf_error_set(err, VF_MISSING, "the VM has no disk to copy");
    }
    return rc;
}

static int settle_names(struct warm_launch *w, struct vf_error **err)
{
    const struct vf_vm *vm = vf_source_vm_get(w->source);
    w->l.source_uuid = vf_cluster_identity(&w->im, vm);
    w->l.owner = (struct vf_owner){.import = w->im.name,
                                   .source_vm = w->im.vm_name,
                                   .source_uuid = w->l.source_uuid,
                                   .warm = true};
    return vf_cluster_settle_names(&w->l, vm, false, err);
}

static int check_guard(struct warm_launch *w, struct vf_error **err)
{
    const struct vf_guard_env env = {.client = w->l.client,
                                     .ns = w->l.ns,
                                     .owner = &w->l.owner,
                                     .reporter = w->im.reporter,
                                     .vm = w->im.vm_name,
                                     .cancel = w->im.cancel};
    struct vf_guard *guard = vf_guard_new(&env);
    int rc = vf_guard_check(guard, err);
    vf_guard_free(guard);
    return rc;
}

/* --- claims ------------------------------------------------------------------------------ */

static int fetch_claims(struct warm_launch *w, struct vf_warm_claims *ret, struct vf_error **err)
{
    const struct vf_claim_store_env env = {
        .client = w->l.client, .ns = w->l.ns, .owner = &w->l.owner, .cancel = w->im.cancel};
    int rc = vf_warm_claims_fetch(&w->l, w->im.cancel, ret, err);
    if (rc) {
        return rc;
    }
    struct vf_checkpoint_store *store = vf_claim_store_new(&env);
    struct vf_checkpoint checkpoint = {0};
    struct vf_error *e = NULL;
    rc = vf_checkpoint_load(store, &checkpoint, &e);
    if (rc == VF_MISSING || rc == VF_INVALID) { /* the worker tells of the latter */
        vf_error_clear(&e);
        rc = 0;
    }
    vf_warm_claims_set_keys(ret, &checkpoint);
    vf_checkpoint_release(&checkpoint);
    vf_checkpoint_store_free(store);
    vf_error_move(err, &e);
    return rc;
}

static void init_disk(struct warm_launch *w, size_t i, unsigned number)
{
    const struct vf_vm_disk *disk = &vf_source_vm_get(w->source)->disks[i];
    struct vf_cluster_disk *d = &w->l.disks[i];
    d->landing = &w->l;
    d->index = number;
    d->claim = vf_name_of_disk(w->im.name, number);
    d->label = w->labels[i];
    d->size_bytes = disk->capacity_bytes;
}

/* vf_cluster_build_machine() asks for their digests. */
static void make_copies(struct vf_import *im, size_t n)
{
    im->copies = vf_xcalloc(n + 1, sizeof *im->copies);
    im->n_copies = n;
}

/* Every disk has a claim, there or to be made. */
static int assign_claims(struct warm_launch *w, struct vf_error **err)
{
    const struct vf_vm *vm = vf_source_vm_get(w->source);
    struct vf_warm_claims claims = {0};
    int rc = fetch_claims(w, &claims, err);
    if (rc) {
        vf_warm_claims_release(&claims);
        return rc;
    }
    size_t *claim_of = vf_xcalloc(vm->n_disks + 1, sizeof *claim_of);
    unsigned *numbers = vf_xcalloc(vm->n_disks + 1, sizeof *numbers);
    vf_warm_claims_match(&claims, vm, claim_of);
    w->l.disks = vf_xcalloc(vm->n_disks + 1, sizeof *w->l.disks);
    w->made = vf_xcalloc(vm->n_disks + 1, sizeof *w->made);
    w->l.n_disks = vm->n_disks;
    make_copies(&w->im, vm->n_disks);
    for (size_t i = 0; i < vm->n_disks; i++) {
        w->made[i] = claim_of[i] != VF_WARM_NO_CLAIM;
        numbers[i] = w->made[i] ? claims.claims[claim_of[i]].number
                                : vf_warm_claims_free_number(&claims, numbers, i);
        init_disk(w, i, numbers[i]);
        const struct vf_warm_claim *k = w->made[i] ? &claims.claims[claim_of[i]] : NULL;
        rc = rc ? rc
                : vf_cluster_choose_storage_of(&w->l.disks[i], k ? k->storage_class : NULL,
                                               k ? k->volume_mode : NULL, vm, i, err);
        if (w->made[i] && claims.claims[claim_of[i]].deleted && rc == 0) {
            rc = vf_error_set(err, VF_CONFLICT, "claim \"%s\" is being deleted",
                              w->l.disks[i].claim);
            vf_error_hint(err, "start again when it is gone: its disk is copied in full then");
        }
    }
    free(claim_of);
    free(numbers);
    vf_warm_claims_release(&claims);
    return rc;
}

static int make_claims(struct warm_launch *w, struct vf_error **err)
{
    int rc = 0;
    for (size_t i = 0; i < w->l.n_disks && rc == 0; i++) {
        struct vf_cluster_disk *d = &w->l.disks[i];
        struct vf_claim_plan plan = vf_cluster_claim_plan(d);
        cJSON *object = NULL;
        if (w->made[i]) {
            vf_report_info(w->im.reporter, w->im.vm_name,
                           "claim \"%s\" is there, from an earlier start, and is gone on with",
                           d->claim);
            continue;
        }
        rc = vf_inject("launch.claim", err);
        rc = rc ? rc : vf_cdi_build_claim(&plan, &object, err);
        rc = rc ? rc : vf_cluster_make(d, &vf_kube_claims, object, false, w->im.cancel, err);
        rc = vf_cluster_wrap_disk(d, rc, err);
    }
    return rc;
}

/* --- the Job ----------------------------------------------------------------------------- */

static int refuse_job(const struct warm_launch *w, const char *name, enum vf_owned owned,
                      struct vf_error **err)
{
    vf_error_set(err, VF_CONFLICT, "there is a Job \"%s\" in namespace \"%s\" already, %s", name,
                 w->l.ns, owned == VF_OWNED_NOT ? "which is not vmferry's" : "for another VM");
    vf_error_hint(err, "it was left alone; choose another name with --name");
    return VF_CONFLICT;
}

/* One that runs is taken up; what is left of one that ended is removed. */
static int look_for_job(struct warm_launch *w, struct vf_error **err)
{
    char *vf_autofree name = vf_worker_migration_name(w->im.name);
    const struct vf_kube_ref ref = {.resource = &vf_kube_jobs, .ns = w->l.ns, .name = name};
    const struct vf_kube_options options = {.cancel = w->im.cancel};
    struct vf_error *e = NULL;
    cJSON *job = NULL;
    int rc = vf_kube_get(w->l.client, &ref, &options, &job, &e);
    if (rc == VF_MISSING) {
        vf_error_free(e);
        return 0;
    }
    vf_error_move(err, &e);
    if (rc) {
        return rc;
    }
    enum vf_owned owned = vf_warm_judge(&w->l.owner, job);
    if (owned != VF_OWNED_UNFINISHED) {
        rc = refuse_job(w, name, owned, err);
    } else if (vf_worker_job_runs(job) && !vf_kube_is_being_deleted(job)) {
        w->job_then = vf_take(job);
    } else {
        vf_report_phase(w->im.reporter, w->im.vm_name, "prepare",
                        "removing Job \"%s\" of an earlier start, which has ended", name);
        rc = vf_owned_delete(w->l.client, job, VF_WORKER_MIGRATION_DELETE_TIMEOUT_MS, w->im.cancel,
                             err);
    }
    cJSON_Delete(job);
    return rc;
}

/* By the rules of preflight. What goes on with the claims of an earlier start was judged then. */
static int judge(struct warm_launch *w, const struct vf_vm *vm, struct vf_error **err)
{
    const struct vf_import_options *o = w->im.options;
    const struct vf_check_options check = vf_migration_check_options(w->la.migration);
    bool goes_on = false;
    for (size_t i = 0; i < w->l.n_disks; i++) {
        goes_on = goes_on || w->made[i];
    }
    if (o->no_check || goes_on) {
        return 0;
    }
    return vf_preflight_before_copy(&check, vf_source_vm_vsphere(w->source), w->l.client, vm,
                                    o->skip_checks, w->im.reporter, w->im.cancel, err);
}

/* Everything that can be refused is, while nothing was made. */
static int check_all(struct warm_launch *w, const struct vf_vm *vm, struct vf_error **err)
{
    cJSON *documents = vf_json_new_array();
    int rc = 0;
    for (size_t i = 0; i < w->l.n_disks && rc == 0; i++) {
        rc = w->made[i] ? 0 : vf_cluster_check_claim(&w->l.disks[i], NULL, err);
    }
    rc = rc ? rc : vf_cluster_check_networks(&w->l, vm, err);
    rc = rc ? rc : vf_launch_check(&w->la, documents, err);
    rc = rc ? rc : vf_cluster_check_machine(&w->l, vm, documents, err);
    cJSON_Delete(documents);
    return rc;
}

static struct vf_migration_status status_of(const struct warm_launch *w,
                                            enum vf_migration_phase phase)
{
    char now[VF_CLOCK_RFC3339_SIZE];
    vf_clock_rfc3339(now);
    return (struct vf_migration_status){
        .name = vf_xstrdup(w->im.name),
        .source_vm = vf_xstrdup(w->im.vm_name),
        .source_uuid = vf_xstrdup(vf_source_vm_get(w->source)->instance_uuid),
        .source = vf_xstrdup(w->im.source),
        .place = vf_xasprintf("VirtualMachine \"%s\" in namespace \"%s\"", w->im.name, w->l.ns),
        .phase = phase,
        .eta_ms = -1,
        .started = vf_xstrdup(now),
        .updated = vf_xstrdup(now)};
}

/* So that `vmferry status` shows it before its pod runs, and no request of an earlier start is
 * taken for one to this. */
static int begin_board(struct warm_launch *w, struct vf_board **ret_board, struct vf_error **err)
{
    struct vf_cluster_options where = w->im.options->cluster.where;
    where.namespace_name = w->l.ns;
    const struct vf_board_cluster_options options = {
        .where = &where, .name = w->im.name, .owner = &w->l.owner, .cancel = w->im.cancel};
    int rc = vf_board_cluster_open(&options, ret_board, err);
    if (rc) {
        return rc;
    }
    struct vf_migration_status status = status_of(w, VF_PHASE_PREPARING);
    status.detail = vf_xstrdup("the Job's pod is being started");
    rc = (*ret_board)->ops->publish(*ret_board, &status, err);
    vf_migration_status_release(&status);
    return rc ? rc : (*ret_board)->ops->clear_request(*ret_board, err);
}

/* Nobody will say more of it. */
static void tell_failed(const struct warm_launch *w, struct vf_board *board,
                        const struct vf_error *why)
{
    struct vf_migration_status status = status_of(w, VF_PHASE_FAILED);
    status.error = vf_error_format(why);
    status.hint = vf_xstrdup(vf_error_get_hint(why));
    status.next_step = vf_xstrdup("nothing was copied by this start; the same command tries again");
    (void)board->ops->publish(board, &status, NULL);
    vf_migration_status_release(&status);
}

static int make_objects(struct warm_launch *w, struct vf_error **err)
{
    struct vf_board *board = NULL;
    struct vf_error *e = NULL;
    int rc = begin_board(w, &board, &e);
    rc = rc ? rc : make_claims(w, &e);
    rc = rc ? rc : vf_inject("launch.job", &e);
    rc = rc ? rc : vf_launch_make(&w->la, &e);
    if (rc) {
        vf_launch_remove(&w->la);
    }
    if (rc && board && rc != VF_CONFLICT) {
        tell_failed(w, board, e);
    }
    vf_board_free(board);
    vf_error_move(err, &e);
    return rc;
}

static int make_all(struct warm_launch *w, struct vf_error **err)
{
    const struct vf_vm *vm = vf_source_vm_get(w->source);
    int rc = check_guard(w, err);
    rc = rc ? rc : assign_claims(w, err);
    rc = rc ? rc : judge(w, vm, err);
    rc = rc ? rc : vf_launch_plan(&w->la, vm, err);
    if (rc) {
        return rc;
    }
    w->im.warned = true; /* the worker warns of what the VM loses */
    rc = check_all(w, vm, err);
    if (rc) {
        return rc;
    }
    rc = make_objects(w, err);
    return rc ? rc : vf_inject("launch.made", err);
}

/* --- looking on -------------------------------------------------------------------------- */

static int leave(const struct warm_launch *w, int rc, struct vf_error **err)
{
    const char *name = w->im.name, *ns = w->l.ns;
    vf_error_hint(err,
                  "vmferry status %s -n %s shows how far it is, vmferry cutover %s -n %s has it "
                  "cut over, vmferry cancel %s -n %s ends it; the command that began it looks on",
                  name, ns, name, ns, name, ns);
    return vf_error_wrap(err, rc, "Job \"%s\" goes on with the migration", vf_kube_name(w->la.job));
}

static int conclude(struct warm_launch *w, int rc, struct vf_error **err)
{
    const struct vf_worker_events *events = &w->la.run.events;
    if (rc == 0 && w->la.run.end.succeeded) {
        vf_launch_remove(&w->la);
        return 0;
    }
    if (rc == 0) {
        rc = vf_launch_worker_error(&w->la, err);
        if (!events->has_result) {
            vf_error_hint(err, "what was copied is kept: the same command goes on with it");
        }
        rc = vf_error_wrap(err, rc, "Job \"%s\"", vf_kube_name(w->la.job));
        vf_launch_remove(&w->la);
    } else if (rc == VF_MISSING) {
        vf_error_hint(err,
                      "somebody stopped the migration: kubectl delete job, or vmferry cleanup "
                      "--force; what was copied is kept, and the same command goes on with it");
    } else { /* cancelled, or out of sight */
        rc = leave(w, rc, err);
    }
    return rc;
}

static int look_on(struct warm_launch *w, struct vf_error **err)
{
    struct vf_import *im = &w->im;
    struct vf_launch *la = &w->la;
    struct vf_error *e = NULL;
    la->run.client = w->l.client;
    la->run.im = im;
    la->run.job = la->job;
    la->run.leave = true;
    vf_source_vm_free(vf_take(w->source)); /* it may be days */
    vf_worker_events_init(&la->run.events, im->reporter, im->vm_name, w->n_labels);
    la->run.events.many = true;
    for (size_t i = 0; i < w->n_labels; i++) {
        vf_worker_events_name_disk(&la->run.events, i, w->labels[i]);
    }
    vf_report_phase(im->reporter, im->vm_name, "worker", "Job \"%s\" migrates it",
                    vf_kube_name(la->job));
    int rc = vf_worker_follow(&la->run, &e);
    rc = conclude(w, rc, &e);
    vf_worker_events_end(&la->run.events, e);
    vf_job_end_release(&la->run.end);
    vf_worker_events_release(&la->run.events);
    vf_error_move(err, &e);
    return rc;
}

static int run(struct warm_launch *w, struct vf_error **err)
{
    int rc = vf_cluster_landing_connect(&w->l, err);
    rc = rc ? rc : open_source(w, err);
    rc = rc ? rc : settle_names(w, err);
    rc = rc ? rc : look_for_job(w, err);
    if (rc) {
        return rc;
    }
    if (w->job_then) {
        w->la.job = vf_take(w->job_then);
        vf_report_info(w->im.reporter, w->im.vm_name,
                       "Job \"%s\" of an earlier start migrates this VM, with the options it was "
                       "started with",
                       vf_kube_name(w->la.job));
    } else {
        rc = make_all(w, err);
    }
    return rc ? rc : look_on(w, err);
}

/* --- beginning and end ------------------------------------------------------------------- */

static void release(struct warm_launch *w)
{
    struct vf_import *im = &w->im;
    for (size_t i = 0; i < w->n_labels; i++) {
        free(w->labels[i]);
    }
    free(w->labels);
    free(w->made);
    cJSON_Delete(w->job_then);
    vf_launch_release(&w->la);
    vf_cluster_landing_release(&w->l);
    vf_source_vm_free(w->source);
    for (size_t i = 0; i < im->n_copies; i++) {
        vf_disk_copy_release(&im->copies[i]);
    }
    free(im->copies);
    vf_cancel_free(im->cancel);
    free(im->name);
    free(im->vm_name);
    free(im->source);
}

int vf_migration_launch(const struct vf_migration_options *options, struct vf_reporter *reporter,
                        struct vf_cancel *cancel, struct vf_error **err)
{
    struct warm_launch w = {.im = {.options = &options->import, .reporter = reporter},
                            .l = {.warm = true}};
    struct vf_error *e = NULL;
    w.l.landing.im = &w.im;
    w.la = (struct vf_launch){.l = &w.l, .im = &w.im, .migration = options};
    w.im.cancel = vf_cancel_new(cancel);
    int rc = w.im.cancel ? 0 : vf_error_set(&e, VF_INTERNAL, "no descriptor left");
    rc = rc ? rc : vf_migration_check_mapping(options->import.mapping, &e);
    rc = rc ? rc : run(&w, &e);
    char *vf_autofree place =
        rc ? NULL : vf_xasprintf("VirtualMachine \"%s\" in namespace \"%s\"", w.im.name, w.l.ns);
    rc = rc && w.im.vm_name ? vf_error_wrap(&e, rc, "vm \"%s\"", w.im.vm_name) : rc;
    release(&w);
    vf_report(reporter,
              &(struct vf_event){
                  .type = VF_EVENT_RESULT, .vm = options->import.vm, .message = place, .error = e});
    vf_error_move(err, &e);
    return rc;
}
