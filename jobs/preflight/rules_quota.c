/* Rules of the namespace's quotas: what all VMs that were chosen take together.
 *
 * Source: Kubernetes, concepts/policy/resource-quotas.md (names of what is counted).
 */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "importer/base/mem.h"
#include "jobs/cluster/launch_job.h"
#include "jobs/preflight/demands.h"
#include "jobs/preflight/looks.h"
#include "jobs/report/text.h"

#define OF_CLASS ".storageclass.storage.k8s.io/"
#define STORAGE  "requests.storage"
#define CLAIMS   "persistentvolumeclaims"

/* A claim for what a TPM and firmware keep (KubeVirt, pkg/storage/backend-storage, PVCSize). */
#define STATE_CLAIM_BYTES (UINT64_C(10) << 20)
/* Where a quota demands limits: of the requests (KubeVirt, DefaultMemoryLimitOverheadRatio). */
#define MEMORY_LIMIT_RATIO 2

/* What is taken of one resource. */
struct taking {
    uint64_t amount;
    bool is_cpu, is_bytes;
    bool counts; /* the resource is one of those that imports take of */
    bool runs;   /* taken only once VMs run */
    bool is_worker;
};

/* CDI makes a claim of about the size of the disk for what an upload may have to unpack; of the VM
 * that needs most, since VMs go one after the other. */
static void add_scratch(const struct vf_check *c, const struct vf_vm *vm, size_t v, uint64_t *bytes,
                        uint64_t *claims)
{
    uint64_t own_bytes = 0, own_claims = 0;
    for (size_t i = 0; i < vm->n_disks; i++) {
        const struct vf_kube_storage *s = vf_target_storage_of(c, vm, i);
        if (s && !vf_target_has_claim(c, v, i)) {
            own_bytes = vf_target_add(own_bytes, vf_target_request_bytes(s, &vm->disks[i]));
            own_claims++;
        }
    }
    *bytes = own_bytes > *bytes ? own_bytes : *bytes;
    *claims = own_claims > *claims ? own_claims : *claims;
}

/* Of all classes (NULL), or of one. */
static void sum_storage(const struct vf_check *c, const char *class_name, size_t class_len,
                        uint64_t *ret_bytes, uint64_t *ret_claims)
{
    const struct vf_facts *f = c->facts;
    uint64_t bytes = 0, claims = 0, scratch_bytes = 0, scratch_claims = 0;
    for (size_t v = 0; v < f->n_vms; v++) {
        const struct vf_vm *vm = &f->vms[v];
        struct vf_target_demand d;
        for (size_t i = 0; i < vm->n_disks; i++) {
            const struct vf_kube_storage *s = vf_target_storage_of(c, vm, i);
            bool of_class =
                s && (!class_name || (strlen(s->class_name) == class_len &&
                                      memcmp(s->class_name, class_name, class_len) == 0));
            if (of_class && !vf_target_has_claim(c, v, i)) {
                bytes = vf_target_add(bytes, vf_target_request_bytes(s, &vm->disks[i]));
                claims++;
            }
        }
        vf_target_demand(c, vm, &d);
        if (!class_name && d.state_claim) {
            bytes = vf_target_add(bytes, STATE_CLAIM_BYTES);
            claims++;
        }
        if (!class_name && c->options->import->target == VF_TO_UPLOAD) {
            add_scratch(c, vm, v, &scratch_bytes, &scratch_claims);
        }
    }
    *ret_bytes = vf_target_add(bytes, scratch_bytes);
    *ret_claims = claims + scratch_claims;
}

static struct taking take_storage(const struct vf_check *c, const char *resource)
{
    const char *of = strstr(resource, OF_CLASS);
    const char *what = of ? of + strlen(OF_CLASS) : resource;
    bool is_bytes = strcmp(what, STORAGE) == 0;
    bool is_count = strcmp(what, CLAIMS) == 0 || (!of && strcmp(what, "count/" CLAIMS) == 0);
    uint64_t bytes = 0, claims = 0;
    if (is_bytes || is_count) {
        sum_storage(c, of ? resource : NULL, of ? (size_t)(of - resource) : 0, &bytes, &claims);
    }
    return (struct taking){
        .amount = is_bytes ? bytes : claims, .is_bytes = is_bytes, .counts = is_bytes || is_count};
}

/* --- what runs --------------------------------------------------------------------------- */

enum compute { REQUESTED_CPU, LIMITED_CPU, REQUESTED_MEMORY, LIMITED_MEMORY, PODS };

static const struct {
    const char *resource;
    enum compute what;
} computes[] = {
    {"cpu", REQUESTED_CPU},
    {"requests.cpu", REQUESTED_CPU},
    {"limits.cpu", LIMITED_CPU},
    {"memory", REQUESTED_MEMORY},
    {"pods", PODS},
    {"requests.memory", REQUESTED_MEMORY},
    {"count/pods", PODS},
    {"limits.memory", LIMITED_MEMORY},
};

static uint64_t demand_of(const struct vf_target_demand *d, enum compute what)
{
    uint64_t memory = vf_target_pod_bytes(d);
    switch (what) {
    case REQUESTED_CPU:
        return d->cpu_millis;
    case LIMITED_CPU:
        return (uint64_t)d->cpus * 1000;
    case REQUESTED_MEMORY:
        return memory;
    case LIMITED_MEMORY:
        return memory > UINT64_MAX / MEMORY_LIMIT_RATIO ? UINT64_MAX : memory * MEMORY_LIMIT_RATIO;
    case PODS:
        return 1;
    }
    return 0;
}

static struct taking take_compute(const struct vf_check *c, const char *resource)
{
    struct taking t = {.runs = true};
    for (size_t i = 0; i < sizeof computes / sizeof *computes; i++) {
        if (strcmp(resource, computes[i].resource) != 0) {
            continue;
        }
        t.counts = true;
        t.is_cpu = computes[i].what == REQUESTED_CPU || computes[i].what == LIMITED_CPU;
        t.is_bytes = computes[i].what == REQUESTED_MEMORY || computes[i].what == LIMITED_MEMORY;
        for (size_t v = 0; v < c->facts->n_vms; v++) {
            struct vf_target_demand d;
            vf_target_demand(c, &c->facts->vms[v], &d);
            if (d.known || computes[i].what == PODS) {
                t.amount = vf_target_add(t.amount, demand_of(&d, computes[i].what));
            }
        }
    }
    return t;
}

static bool has_worker(const struct vf_check *c)
{
    return c->options->import->target == VF_TO_CLAIM && !c->options->import->to_path;
}

/* Of the pod that copies: the largest one, since there need not be two at once. It runs whether or
 * not the VM is to be started. */
static struct taking take_worker(const struct vf_check *c, const char *resource)
{
    const struct taking vms = take_compute(c, resource);
    struct taking t = {.is_cpu = vms.is_cpu, .is_bytes = vms.is_bytes, .is_worker = true};
    t.counts = vms.counts && has_worker(c);
    for (size_t i = 0; t.counts && i < sizeof computes / sizeof *computes; i++) {
        for (size_t v = 0; strcmp(resource, computes[i].resource) == 0 && v < c->facts->n_vms;
             v++) {
            const struct vf_worker_size size = vf_worker_size_of(
                c->options->import, c->options->warm ? &c->options->transport : NULL,
                c->facts->vms[v].n_disks);
            uint64_t amount = computes[i].what == REQUESTED_CPU ? size.cpu_millis
                              : computes[i].what == LIMITED_CPU ? size.cpu_limit_millis
                              : computes[i].what == PODS        ? 1
                                                                : size.memory_bytes;
            t.amount = amount > t.amount ? amount : t.amount;
        }
    }
    return t;
}

/* An upload fills DataVolumes; those that adopt are made by KubeVirt, of the VM's templates. */
static bool makes_volumes(const struct vf_check *c)
{
    const struct vf_import_options *import = c->options->import;
    return import->target == VF_TO_UPLOAD || import->cluster.handover == VF_IMPORT_ADOPT;
}

static struct taking take_objects(const struct vf_check *c, const char *resource)
{
    struct taking t = {.amount = 0};
    bool volumes = strcmp(resource, "count/datavolumes.cdi.kubevirt.io") == 0 && makes_volumes(c);
    bool machines = strcmp(resource, "count/virtualmachines.kubevirt.io") == 0;
    t.counts = volumes || machines;
    for (size_t v = 0; v < c->facts->n_vms && t.counts; v++) {
        t.amount += machines && !vf_target_has_machine(c, v);
        for (size_t i = 0; volumes && i < c->facts->vms[v].n_disks; i++) {
            t.amount += !vf_target_has_volume(c, v, i);
        }
    }
    return t;
}

/* --- the rules --------------------------------------------------------------------------- */

static char *write_amount(const struct taking *t, uint64_t amount)
{
    char text[VF_TEXT_BYTES_SIZE];
    if (t->is_bytes) {
        return vf_xstrdup(vf_text_bytes(text, amount));
    }
    return t->is_cpu ? vf_xasprintf("%" PRIu64 ".%03" PRIu64, amount / 1000, amount % 1000)
                     : vf_xasprintf("%" PRIu64, amount);
}

static void judge(const struct vf_check *c, const struct vf_target_quota *q, const struct taking *t)
{
    uint64_t left = q->hard > q->used ? q->hard - q->used : 0;
    if (!t->counts || t->amount <= left) {
        return;
    }
    bool starts = c->options->import->cluster.start;
    char *vf_autofree need = write_amount(t, t->amount);
    char *vf_autofree have = write_amount(t, left);
    if (t->is_worker) {
        vf_found(c, NULL,
                 "quota \"%s\" of namespace \"%s\" leaves %s of %s, and the worker that copies "
                 "needs %s",
                 q->name, c->facts->target.ns, have, q->resource, need);
        return;
    }
    vf_found_as(c, t->runs && !starts ? VF_WARNING : c->rule->severity, NULL, NULL,
                "quota \"%s\" of namespace \"%s\" leaves %s of %s, and %zu VM%s need%s %s%s",
                q->name, c->facts->target.ns, have, q->resource, c->facts->n_vms,
                vf_check_plural(c->facts->n_vms), c->facts->n_vms == 1 ? "s" : "", need,
                t->runs ? " to run" : "");
}

typedef struct taking take_fn(const struct vf_check *c, const char *resource);

static void each_quota(const struct vf_check *c, take_fn *take)
{
    const struct vf_target_facts *f = &c->facts->target;
    for (size_t i = 0; i < f->n_quotas; i++) {
        const struct taking t = take(c, f->quotas[i].resource);
        judge(c, &f->quotas[i], &t);
    }
}

static void check_storage(const struct vf_check *c)
{
    each_quota(c, take_storage);
}

static void check_compute(const struct vf_check *c)
{
    each_quota(c, take_worker);
    each_quota(c, take_compute);
}

static void check_objects(const struct vf_check *c)
{
    each_quota(c, take_objects);
}

static void check_memory_limit(const struct vf_check *c)
{
    uint64_t limit = c->facts->target.max_memory_bytes;
    struct vf_target_demand d;
    vf_target_demand(c, c->vm, &d);
    uint64_t need = demand_of(&d, REQUESTED_MEMORY);
    if (d.known && limit && need > limit) {
        char ask[VF_TEXT_BYTES_SIZE], most[VF_TEXT_BYTES_SIZE];
        vf_found_as(c, c->options->import->cluster.start ? VF_CRITICAL : c->rule->severity, NULL,
                    NULL,
                    "the VM's pod needs %s of memory, and a LimitRange of namespace \"%s\" "
                    "allows %s",
                    vf_text_bytes(ask, need), c->facts->target.ns, vf_text_bytes(most, limit));
    }
}

const struct vf_rule vf_rules_quota[] = {
    {.id = "quota.storage",
     .severity = VF_CRITICAL,
     .area = VF_AREA_TARGET,
     .looks_at = "quotas of storage and claims, and the disks of all VMs that were chosen, with "
                 "CDI's scratch space for --to upload",
     .message = "a quota leaves too little for the disks",
     .action = "have the quota raised, or choose fewer VMs",
     .once = true,
     .check = check_storage},
    {.id = "quota.compute",
     .severity = VF_CRITICAL,
     .area = VF_AREA_TARGET,
     .looks_at = "quotas of CPU, memory and pods, what KubeVirt runs all VMs in, and the worker "
                 "that copies",
     .message = "a quota leaves too little for the worker of --to pvc, or for the VMs to run "
                "(warning: without --start)",
     .action = "have the quota raised, choose fewer VMs, or give them less: --instancetype, or "
               "change the VMs at the source",
     .once = true,
     .check = check_compute},
    {.id = "quota.objects",
     .severity = VF_CRITICAL,
     .area = VF_AREA_TARGET,
     .looks_at = "quotas of numbers of VirtualMachines and DataVolumes",
     .message = "a quota allows too few objects",
     .action = "have the quota raised, or choose fewer VMs",
     .once = true,
     .check = check_objects},
    {.id = "quota.memory-limit",
     .severity = VF_WARNING,
     .area = VF_AREA_TARGET,
     .looks_at = "the namespace's LimitRanges for pods and containers",
     .message = "the VM's pod would be refused for its memory (critical with --start)",
     .action = "raise max of the LimitRange, or give the VM less memory: --instancetype, or change "
               "the VM at the source",
     .check = check_memory_limit},
    {.id = NULL},
};
