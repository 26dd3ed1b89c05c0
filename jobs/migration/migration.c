#include "jobs/migration/migration.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "converters/vm/names.h"
#include "importer/base/mem.h"
#include "importer/source/vddk.h"
#include "jobs/cluster/cdi_target.h"
#include "jobs/cluster/cdi_transport.h"
#include "jobs/migration/world.h"
#include "jobs/preflight/preflight.h"

int vf_migration_check_mapping(const struct vf_mapping *mapping, struct vf_error **err)
{
    int rc = mapping ? vf_mapping_check(mapping, err) : 0;
    for (size_t i = 0; mapping && i < mapping->n_disks && rc == 0; i++) {
        const char *disk = mapping->disks[i].disk;
        if (*disk && disk[strspn(disk, "0123456789")] == '\0') {
            rc = vf_error_set(err, VF_INVALID,
                              "a rule names disk \"%s\" by its number, and numbers change when "
                              "disks come and go: name it by its label or UUID",
                              disk);
            vf_error_hint(err, "vmferry inventory -o yaml has labels and UUIDs");
        }
    }
    return rc;
}

/* --- making and freeing a world ---------------------------------------------------------- */

static int init_world(struct vf_real_world *r, const struct vf_migration_options *options,
                      struct vf_reporter *reporter, struct vf_cancel *cancel, struct vf_error **err)
{
    *r = (struct vf_real_world){.world = {.ops = &vf_real_world_ops}, .options = options};
    r->im.options = &options->import;
    r->im.cancel = vf_cancel_new(cancel);
    r->im.env.pool = vf_pool_new(options->import.threads);
    r->watch = vf_watch_new(reporter, r->im.cancel);
    if (!r->im.cancel || !r->im.env.pool || !r->watch) {
        return vf_error_set(err, VF_INTERNAL, "cannot start a thread");
    }
    r->im.reporter = r->im.env.reporter = vf_watch_reporter(r->watch);
    return options->import.mapping ? vf_mapping_check(options->import.mapping, err) : 0;
}

static int open_source(struct vf_real_world *r, struct vf_error **err)
{
    const struct vf_migration_options *o = r->options;
    struct vf_source_vm_options so = {.vsphere = &o->import.vsphere,
                                      .mapping = o->import.mapping,
                                      .vm = o->import.vm,
                                      .no_quiesce = o->import.no_quiesce,
                                      .hard_power_off = o->hard_power_off,
                                      .shutdown_timeout_ms = o->shutdown_timeout_ms,
                                      .reporter = r->im.reporter,
                                      .cancel = r->im.cancel};
    vf_report_phase(r->im.reporter, o->import.vm, "connect", "logging in to %s",
                    o->import.vsphere.url);
    int rc = vf_source_vm_open(&so, &r->source, err);
    if (rc) {
        return rc;
    }
    const struct vf_vm *vm = vf_source_vm_get(r->source);
    r->im.source = vf_xstrdup(vf_vsphere_host(vf_source_vm_vsphere(r->source)));
    r->im.vm_name = vf_xstrdup(vm->name);
    r->im.env.vm = r->im.vm_name;
    vf_watch_set_names(r->watch, NULL, vm->name, vm->instance_uuid, r->im.source, NULL);
    return 0;
}

static int open_target(struct vf_real_world *r, struct vf_error **err)
{
    const struct vf_import_options *o = &r->options->import;
    if (o->target == VF_TO_DIR) {
        return vf_warm_target_dir_open(&r->im, o->to_path, &r->target, err);
    }
    if (r->options->transport.kind != VF_TRANSPORT_CDI) {
        return vf_warm_target_cluster_open(&r->im, &r->target, err);
    }
    int rc =
        vf_warm_target_cdi_open(&r->im, &r->options->transport, vf_source_vm_vsphere(r->source),
                                vf_source_vm_get(r->source), &r->target, err);
    if (rc == 0) {
        r->transport = vf_transport_cdi_new(r->target, vf_world_transport_env(r));
        vf_watch_set_transport(r->watch, vf_transport_name(VF_TRANSPORT_CDI),
                               "CDI was asked to copy by itself");
    }
    return rc;
}

static void release_world(struct vf_real_world *r)
{
    vf_watch_set_board(r->watch, NULL);
    vf_disks_free(r->disks);
    vf_transport_free(r->transport);
    vf_warm_target_free(r->target);
    vf_source_vm_free(r->source);
    vf_checkpoint_release(&r->checkpoint);
    vf_watch_free(r->watch);
    vf_import_release(&r->im);
}

/* --- what is done with it ---------------------------------------------------------------- */

static char *describe_cutover(const struct vf_machine_policy *p)
{
    char text[32];
    time_t from = (time_t)p->from_s;
    struct tm tm;
    if (p->when != VF_CUTOVER_AT && p->when != VF_CUTOVER_WINDOW) {
        return NULL;
    }
    gmtime_r(&from, &tm);
    strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%SZ", &tm);
    return vf_xstrdup(text);
}

/* For a cancel nothing is prepared: what an earlier run left is looked for by its name. */
static int attach(struct vf_real_world *r, struct vf_error **err)
{
    const struct vf_vm *vm = vf_source_vm_get(r->source);
    const char *name = r->options->import.name;
    struct vf_error *e = NULL;
    if (!r->im.name) {
        r->im.name = name ? vf_name_to_label(name, VF_NAME_VM_MAX) : vf_name_of_vm(vm);
    }
    vf_watch_set_names(r->watch, r->im.name, NULL, NULL, NULL, r->target->place);
    vf_watch_set_board(r->watch, r->target->board);
    int rc = vf_world_load_checkpoint(r, &e);
    if (rc == VF_INVALID) {
        char *vf_autofree text = vf_error_format(e);
        vf_report_warning(r->im.reporter, r->im.vm_name,
                          "the checkpoint cannot be read (%s): look yourself whether the VM is on, "
                          "if a cutover had shut it down",
                          text);
        vf_error_clear(&e);
        rc = 0;
    }
    vf_error_move(err, &e);
    return rc;
}

/* The job for one world: `discard` is of a cancel. */
struct job {
    bool cancel, discard;
};

/* What can be refused is, before anything is done to the source. */
static int check_transport(const struct vf_real_world *r, struct vf_error **err)
{
    const struct vf_transport_options *o = &r->options->transport;
    struct vf_vddk_options library = {.program = o->nbdkit_program,
                                      .plugin = o->nbdkit_plugin,
                                      .libdir = o->vddk_libdir,
                                      .cancel = r->im.cancel};
    int rc = o->kind == VF_TRANSPORT_VDDK ? vf_vddk_probe(&library, NULL, err) : 0;
    return rc ? vf_error_wrap(err, rc, "transport vddk") : 0;
}

struct vf_check_options vf_migration_check_options(const struct vf_migration_options *options)
{
    return (struct vf_check_options){.import = &options->import,
                                     .warm = true,
                                     .allow_stun = options->policy.may_stun,
                                     .hard_power_off = options->hard_power_off,
                                     .transport = options->transport};
}

/* One that goes on was judged when it began, and may stand in the middle of its cutover. */
static bool has_begun(const struct vf_real_world *r)
{
    struct vf_checkpoint c = {0};
    int rc = r->target->store ? vf_checkpoint_load(r->target->store, &c, NULL) : VF_MISSING;
    vf_checkpoint_release(&c);
    return rc != VF_MISSING;
}

/* By the rules of preflight, before anything is touched. */
static int judge(const struct vf_real_world *r, struct vf_error **err)
{
    const struct vf_import_options *o = &r->options->import;
    const struct vf_check_options check = vf_migration_check_options(r->options);
    if (o->no_check || has_begun(r)) {
        return 0;
    }
    return vf_preflight_before_copy(&check, vf_source_vm_vsphere(r->source), r->target->client,
                                    vf_source_vm_get(r->source), o->skip_checks, r->im.reporter,
                                    r->im.cancel, err);
}

static int run_job(struct vf_real_world *r, const struct job *job, struct vf_error **err)
{
    char *vf_autofree when = describe_cutover(&r->options->policy);
    enum vf_machine_end end;
    vf_watch_set_cutover(r->watch, when);
    int rc = job->cancel ? 0 : check_transport(r, err);
    rc = rc ? rc : open_source(r, err);
    if (rc) {
        return rc;
    }
    rc = open_target(r, err);
    if (rc == 0 && job->cancel) {
        rc = attach(r, err);
        rc = rc ? rc : vf_machine_cancel(&r->world, job->discard, err);
    } else if (rc == 0) {
        rc = judge(r, err);
        rc = rc ? rc : vf_machine_run(&r->world, &r->options->policy, &end, err);
    }
    return rc ? vf_error_wrap(err, rc, "vm \"%s\"", r->im.vm_name) : 0;
}

static int run(const struct vf_migration_options *options, const struct job *job,
               struct vf_reporter *reporter, struct vf_cancel *cancel, struct vf_error **err)
{
    struct vf_real_world r;
    struct vf_error *e = NULL;
    int rc = init_world(&r, options, reporter, cancel, &e);
    rc = rc || job->cancel ? rc : vf_migration_check_mapping(options->import.mapping, &e);
    rc = rc ? rc : run_job(&r, job, &e);
    char *vf_autofree place =
        r.target && r.target->place && !job->cancel ? vf_xstrdup(r.target->place) : NULL;
    release_world(&r);
    vf_report(reporter,
              &(struct vf_event){
                  .type = VF_EVENT_RESULT, .vm = options->import.vm, .message = place, .error = e});
    vf_error_move(err, &e);
    return rc;
}

int vf_migration_run(const struct vf_migration_options *options, struct vf_reporter *reporter,
                     struct vf_cancel *cancel, struct vf_error **err)
{
    return run(options, &(struct job){0}, reporter, cancel, err);
}

int vf_migration_cancel(const struct vf_migration_options *options, bool discard,
                        struct vf_reporter *reporter, struct vf_cancel *cancel,
                        struct vf_error **err)
{
    return run(options, &(struct job){.cancel = true, .discard = discard}, reporter, cancel, err);
}
