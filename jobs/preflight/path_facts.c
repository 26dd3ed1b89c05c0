#include "jobs/preflight/path_facts.h"

#include <stdlib.h>
#include <string.h>

#include "importer/base/mem.h"
#include "jobs/parallel.h"
#include "jobs/preflight/probe.h"
#include "jobs/preflight/rights.h"

#define PARALLEL 4u
/* What runs when the time is over ends within some seconds more: an abort, a logout. */
#define LIGHT_MS 20000
#define FULL_MS  150000
/* A probe is told of a server that is busy, and does not wait for it. */
#define RETRY_MS 3000

enum task_kind { TASK_NFC, TASK_HTTPS, TASK_VDDK, TASK_SNAPSHOT, TASK_HOST };

struct task {
    enum task_kind kind;
    const struct vf_vm *vm;
    const struct vf_vm_disk *like; /* of HTTPS: on whose datastore */
    const struct vf_host *host;
    bool seen; /* export URLs of the VM's host came */
};

struct plan {
    struct vf_probes probes;
    char *no_session;
    struct task *tasks;
    size_t n_tasks;
};

void vf_path_facts_release(struct vf_path_facts *f)
{
    for (size_t i = 0; i < f->n_results; i++) {
        struct vf_probe_result *r = &f->results[i];
        char *owned[] = {r->vm,     r->host_moref, r->datastore, r->datastore_moref,
                         r->object, r->reason,     r->hint};
        for (size_t j = 0; j < sizeof owned / sizeof owned[0]; j++) {
            free(owned[j]);
        }
    }
    free(f->results);
    *f = (struct vf_path_facts){0};
}

/* --- what to try ------------------------------------------------------------------------- */

static void add_task(struct plan *p, struct task t)
{
    p->tasks = vf_xrealloc_array(p->tasks, p->n_tasks + 1, sizeof t);
    p->tasks[p->n_tasks++] = t;
}

/* Which host it is on: its reference, or what else is told. */
static const char *host_of(const struct vf_vm *vm)
{
    return vm->host_moref ? vm->host_moref : vm->host ? vm->host : "";
}

static bool is_on_datastore(const struct vf_vm *vm, const struct vf_vm_disk *like)
{
    for (size_t i = 0; i < vm->n_disks; i++) {
        if (vf_datastore_has(like->datastore_moref, like->datastore, &vm->disks[i])) {
            return true;
        }
    }
    return false;
}

/* How well a VM stands for others: one that is off shows most, and a probe of it does least. */
static int fitness(const struct vf_vm *vm)
{
    bool fine = vm->connection == VF_CONNECTION_GOOD || vm->connection == VF_CONNECTION_UNKNOWN;
    if (!vm->moref || vm->n_disks == 0 || !fine || vm->power == VF_POWER_SUSPENDED) {
        return 0;
    }
    return vm->power == VF_POWER_OFF && !vm->template ? 3 : vm->power == VF_POWER_ON ? 2 : 1;
}

/* The best of all that are on the host of VM `i`, or on the datastore of its disk `like`; NULL when
 * a VM before it was on the same. */
static const struct vf_vm *representative(const struct vf_probes *p, size_t i,
                                          const struct vf_vm_disk *like)
{
    const struct vf_vm *best = NULL;
    for (size_t j = 0; j < p->n_vms; j++) {
        const struct vf_vm *vm = &p->vms[j];
        bool with =
            like ? is_on_datastore(vm, like) : strcmp(host_of(vm), host_of(&p->vms[i])) == 0;
        if (with && j < i) {
            return NULL;
        }
        if (with && (!best || fitness(vm) > fitness(best))) {
            best = vm;
        }
    }
    return best;
}

/* A snapshot is exported another way than a VM that is off: of the host's VMs that run, the first
 * that is fit for it. */
static void plan_snapshot(struct plan *p, const struct vf_vm *like)
{
    const struct vf_vm *unfit = NULL;
    for (size_t i = 0; i < p->probes.n_vms; i++) {
        const struct vf_vm *vm = &p->probes.vms[i];
        if (vm->power != VF_POWER_ON || strcmp(host_of(vm), host_of(like)) != 0) {
            continue;
        }
        if (fitness(vm)) {
            add_task(p, (struct task){.kind = TASK_SNAPSHOT, .vm = vm});
            return;
        }
        unfit = unfit ? unfit : vm;
    }
    if (unfit) {
        const struct vf_probe_of of = {.transport = VF_TRANSPORT_NFC, .vm = unfit};
        vf_probe_not_tried(&p->probes, &of,
                           "of the VMs of the host that run none has disks and can be reached, to "
                           "take a snapshot of",
                           NULL);
    }
}

static void plan_host(struct plan *p, const struct vf_vm *vm)
{
    const struct vf_check_options *o = p->probes.options;
    const struct vf_probe_of vddk = {.transport = VF_TRANSPORT_VDDK, .vm = vm};
    bool use_vddk = vf_check_may_use(o, VF_TRANSPORT_VDDK) && o->transport.vddk_libdir;
    int fit = fitness(vm);
    if (fit == 3 && vf_check_may_use(o, VF_TRANSPORT_NFC)) {
        add_task(p, (struct task){.kind = TASK_NFC, .vm = vm});
    }
    if (fit == 3 && use_vddk) {
        add_task(p, (struct task){.kind = TASK_VDDK, .vm = vm});
    }
    if (o->probe == VF_PROBE_FULL) {
        plan_snapshot(p, vm);
    } else if (fit == 2 && use_vddk) {
        vf_probe_not_tried(&p->probes, &vddk,
                           "no VM of the host is off, and the library reads of a "
                           "running one only a snapshot",
                           "--probe full takes one, and removes it again");
    }
}

/* Its snapshot is read by https, too. */
static bool is_snapshot_planned(const struct plan *p, const struct vf_vm *vm)
{
    for (size_t i = 0; i < p->n_tasks; i++) {
        if (p->tasks[i].kind == TASK_SNAPSHOT && p->tasks[i].vm == vm) {
            return true;
        }
    }
    return false;
}

static void plan_datastores(struct plan *p, size_t i)
{
    const struct vf_vm *vm = &p->probes.vms[i];
    for (size_t j = 0; j < vm->n_disks; j++) {
        const struct vf_vm_disk *d = &vm->disks[j];
        bool before = !d->datastore;
        for (size_t k = 0; k < j && !before; k++) {
            before = vf_datastore_has(d->datastore_moref, d->datastore, &vm->disks[k]);
        }
        const struct vf_vm *best = before ? NULL : representative(&p->probes, i, d);
        if (best && fitness(best) && !is_snapshot_planned(p, best)) {
            add_task(p, (struct task){.kind = TASK_HTTPS, .vm = best, .like = d});
        }
    }
}

static void plan_probes(struct plan *p)
{
    const struct vf_check_options *o = p->probes.options;
    for (size_t i = 0; i < p->probes.n_vms; i++) {
        const struct vf_vm *vm = representative(&p->probes, i, NULL);
        if (vm) {
            plan_host(p, vm);
        }
    }
    for (size_t i = 0; i < p->probes.n_vms; i++) {
        if (vf_check_may_use(o, VF_TRANSPORT_HTTPS)) {
            plan_datastores(p, i);
        }
    }
    if (o->warm && o->transport.kind == VF_TRANSPORT_CDI) {
        const struct vf_probe_of of = {.transport = VF_TRANSPORT_CDI};
        vf_probe_not_tried(&p->probes, &of, "CDI reads the disks in the cluster, by itself", NULL);
    }
}

/* Hosts whose URLs no export has shown. */
static void plan_hosts(struct plan *p)
{
    const struct vf_source_facts *s = p->probes.source;
    size_t n_before = p->n_tasks;
    for (size_t i = 0; i < p->probes.n_vms; i++) {
        const struct vf_vm *vm = representative(&p->probes, i, NULL);
        const struct vf_host *h = vm ? vf_host_find(s->hosts, s->n_hosts, vm->host_moref) : NULL;
        bool seen = !h || !h->connected;
        for (size_t j = 0; j < n_before && !seen; j++) {
            seen = p->tasks[j].seen && strcmp(host_of(p->tasks[j].vm), host_of(vm)) == 0;
        }
        if (!seen) {
            add_task(p, (struct task){.kind = TASK_HOST, .vm = vm, .host = h});
        }
    }
}

/* --- trying ------------------------------------------------------------------------------ */

struct batch {
    struct plan *plan;
    size_t first;
};

static int run_task(void *opaque, size_t index, struct vf_error **err)
{
    const struct batch *b = opaque;
    struct task *t = &b->plan->tasks[b->first + index];
    const struct vf_probes *p = &b->plan->probes;
    (void)err;
    switch (t->kind) {
    case TASK_NFC:
        vf_probe_nfc(p, t->vm, NULL, &t->seen);
        break;
    case TASK_HTTPS:
        vf_probe_https(p, t->vm, t->like);
        break;
    case TASK_VDDK:
        vf_probe_vddk(p, t->vm, NULL);
        break;
    case TASK_SNAPSHOT:
        vf_probe_snapshot(p, t->vm, &t->seen);
        break;
    case TASK_HOST:
        vf_probe_host(p, t->vm, t->host);
        break;
    }
    return 0;
}

static int run_tasks(struct plan *p, size_t first, struct vf_error **err)
{
    struct batch b = {.plan = p, .first = first};
    return vf_parallel_run(p->n_tasks - first, PARALLEL, run_task, &b, NULL, err);
}

static void open_session(struct plan *p, const struct vf_vsphere *like)
{
    struct vf_error *e = NULL;
    if (vf_vsphere_login_again(like, RETRY_MS, p->probes.limit, &p->probes.vs, &e)) {
        char *vf_autofree text = vf_error_format(e);
        p->probes.vs = NULL;
        p->no_session = vf_xasprintf("no session of the probes' own could be had: %s", text);
        p->probes.no_session = p->no_session;
    }
    vf_error_free(e);
}

static int run_plan(struct plan *p, const struct vf_vsphere *like, struct vf_error **err)
{
    int rc = 0;
    plan_probes(p);
    if (p->n_tasks > 0) {
        open_session(p, like);
        rc = run_tasks(p, 0, err);
        vf_vsphere_free(p->probes.vs);
    }
    size_t n = p->n_tasks;
    if (rc == 0 && vf_check_may_use(p->probes.options, VF_TRANSPORT_NFC)) {
        plan_hosts(p);
        rc = run_tasks(p, n, err);
    }
    return rc;
}

/* --- the end of the time ----------------------------------------------------------------- */

struct timer {
    struct vf_cancel *limit;
    struct vf_cancel *done; /* triggered when the probes are over */
    int64_t ms;
};

static void *keep_time(void *opaque)
{
    const struct timer *t = opaque;
    if (vf_cancel_wait(t->done, t->ms, NULL) == 0) {
        vf_cancel_trigger(t->limit);
    }
    return NULL;
}

static int run_within(struct plan *p, struct timer *t, const struct vf_vsphere *like,
                      struct vf_error **err)
{
    pthread_t thread;
    if (pthread_create(&thread, NULL, keep_time, t)) {
        return vf_error_set(err, VF_INTERNAL, "cannot start a thread");
    }
    int rc = run_plan(p, like, err);
    vf_cancel_trigger(t->done);
    pthread_join(thread, NULL);
    return rc;
}

/* --- the whole --------------------------------------------------------------------------- */

static int compare_text(const char *a, const char *b)
{
    return strcmp(a ? a : "", b ? b : "");
}

static int compare(const void *pa, const void *pb)
{
    const struct vf_probe_result *a = pa, *b = pb;
    int c = (int)a->transport - (int)b->transport;
    c = c ? c : compare_text(a->object, b->object);
    return c ? c : compare_text(a->vm, b->vm);
}

int vf_path_facts_fetch(struct vf_vsphere *vs, const struct vf_check_options *options,
                        const struct vf_source_facts *source, const struct vf_vm *vms, size_t n,
                        struct vf_reporter *reporter, const struct vf_cancel *cancel,
                        struct vf_path_facts *ret, struct vf_error **err)
{
    if (options->probe == VF_PROBE_NONE || !vms) {
        *ret = (struct vf_path_facts){0};
        return 0;
    }
    struct timer timer = {.limit = vf_cancel_new(cancel),
                          .done = vf_cancel_new(cancel),
                          .ms = options->probe_timeout_ms         ? options->probe_timeout_ms
                                : options->probe == VF_PROBE_FULL ? FULL_MS
                                                                  : LIGHT_MS};
    struct vf_probe_log log = {0};
    struct plan plan = {.probes = {.log = &log,
                                   .http = vf_vsphere_http_options(vs),
                                   .options = options,
                                   .source = source,
                                   .vms = vms,
                                   .n_vms = n,
                                   .reporter = reporter,
                                   .limit = timer.limit}};
    struct vf_path_facts *facts = &log.facts;
    pthread_mutex_init(&log.lock, NULL);
    int rc = timer.limit && timer.done ? run_within(&plan, &timer, vs, err)
                                       : vf_error_set(err, VF_INTERNAL, "no descriptor left");
    rc = rc ? rc : vf_cancel_check(cancel, err);
    pthread_mutex_destroy(&log.lock);
    free(plan.no_session);
    free(plan.tasks);
    vf_cancel_free(timer.done);
    vf_cancel_free(timer.limit);
    if (rc) {
        vf_path_facts_release(facts);
        return rc;
    }
    if (facts->n_results > 1) {
        qsort(facts->results, facts->n_results, sizeof *facts->results, compare);
    }
    *ret = *facts;
    return 0;
}
