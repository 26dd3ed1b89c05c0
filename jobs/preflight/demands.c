#include "jobs/preflight/demands.h"

#include <stdlib.h>
#include <string.h>

#include "converters/vm/names.h"
#include "importer/base/json.h"
#include "importer/base/mem.h"
#include "importer/kube/quantity.h"
#include "importer/kube/resources.h"
#include "jobs/preflight/target_facts.h"

#define MIB (UINT64_C(1) << 20)

/* virt-launcher and its helpers; tables of each vCPU and of the I/O thread; video; swtpm; what
 * dedicated CPUs take besides. And of the guest's memory one part in PAGE_TABLES. */
#define LAUNCHER_BYTES  (220 * MIB)
#define CPU_BYTES       (8 * MIB)
#define VIDEO_BYTES     (32 * MIB)
#define TPM_BYTES       (53 * MIB)
#define DEDICATED_BYTES (100 * MIB)
#define PAGE_TABLES     512

/* Of a KubeVirt that may not be read. */
#define USUAL_ALLOCATION_RATIO 10

struct vf_kube_storage_wish vf_target_wish(const struct vf_check_options *options,
                                           const struct vf_vm *vm, size_t i)
{
    struct vf_disk_storage s = vf_mapping_storage_of(options->import->mapping, vm, i);
    return (struct vf_kube_storage_wish){
        .class_name = s.storage_class, .volume_mode = s.volume_mode, .access_mode = s.access_mode};
}

const struct vf_kube_storage *vf_target_storage_of(const struct vf_check *c, const struct vf_vm *vm,
                                                   size_t i)
{
    const struct vf_kube_storage_wish wish = vf_target_wish(c->options, vm, i);
    const struct vf_target_storage *s = vf_target_find_storage(&c->facts->target, &wish);
    return s ? s->storage : NULL;
}

uint64_t vf_target_request_bytes(const struct vf_kube_storage *s, const struct vf_vm_disk *d)
{
    uint64_t bytes;
    return vf_kube_storage_request_bytes(s, d->capacity_bytes, &bytes, NULL) ? 0 : bytes;
}

uint64_t vf_target_add(uint64_t a, uint64_t b)
{
    return a > UINT64_MAX - b ? UINT64_MAX : a + b;
}

/* Is an object of that name there already, of an import of VM number `vm`? */
static bool has_own(const struct vf_check *c, size_t vm, const struct vf_kube_resource *resource,
                    const char *name)
{
    const struct vf_owner owner = {.import = c->facts->names[vm],
                                   .source_uuid = vf_target_identity(&c->facts->vms[vm])};
    char *vf_autofree key = vf_xasprintf("%s/%s", vf_kube_kind(resource), name);
    const struct vf_target_name *n = vf_target_find_name(&c->facts->target, key);
    enum vf_owned owned = n ? vf_owned_judge_marks(&n->marks, &owner) : VF_OWNED_NOT;
    return owned == VF_OWNED_UNFINISHED || owned == VF_OWNED_FINISHED;
}

static const char *name_of(const struct vf_check *c, size_t vm)
{
    return c->facts->names ? c->facts->names[vm] : NULL;
}

bool vf_target_has_claim(const struct vf_check *c, size_t vm, size_t i)
{
    char *vf_autofree claim = name_of(c, vm) ? vf_name_of_disk(name_of(c, vm), i) : NULL;
    return claim && has_own(c, vm, &vf_kube_claims, claim);
}

bool vf_target_has_volume(const struct vf_check *c, size_t vm, size_t i)
{
    char *vf_autofree volume = name_of(c, vm) ? vf_name_of_disk(name_of(c, vm), i) : NULL;
    return volume && has_own(c, vm, &vf_kube_data_volumes, volume);
}

bool vf_target_has_machine(const struct vf_check *c, size_t vm)
{
    return name_of(c, vm) && has_own(c, vm, &vf_kube_virtual_machines, name_of(c, vm));
}

static bool is_set(const char *s)
{
    return s && *s;
}

/* What KubeVirt requests for the guest's memory where the manifest says nothing (v1.8,
 * pkg/defaults). */
static uint64_t overcommit(const struct vf_check *c, uint64_t bytes)
{
    unsigned percent = c->facts->kubevirt.memory_overcommit;
    uint64_t hundredfold;
    if (!percent) {
        return bytes;
    }
    return __builtin_mul_overflow(bytes, (uint64_t)100, &hundredfold) ? bytes / percent * 100
                                                                      : hundredfold / percent;
}

/* A manifest's requests go before what KubeVirt reckons. */
static void read_requests(const struct vf_check *c, struct vf_target_demand *ret)
{
    const cJSON *resources = vf_json_object(vf_target_domain(c), "resources");
    const cJSON *requests = vf_json_object(resources, "requests");
    const char *memory = vf_json_string(requests, "memory"), *cpu = vf_json_string(requests, "cpu");
    uint64_t amount;
    if (memory && vf_kube_parse_bytes(memory, &amount) && amount) {
        ret->request_bytes = amount;
    }
    if (cpu && !ret->dedicated && vf_kube_parse_millis(cpu, &amount) && amount) {
        ret->cpu_millis = amount;
    }
}

/* Rules of all VMs together have no manifests at hand: they are built where they may request
 * anything. One that cannot be is told by the VM's own rules. */
static void find_requests(const struct vf_check *c, const struct vf_vm *vm,
                          struct vf_target_demand *ret)
{
    const struct vf_mapping *m = c->options->import->mapping;
    struct vf_check own = *c;
    struct vf_manifests built = {0};
    if (c->vm == vm && c->manifests) {
        read_requests(c, ret);
        return;
    }
    if (!m || (m->resources != VF_RESOURCES_SOURCE && !m->template_text && !m->n_os_templates)) {
        return;
    }
    const struct vf_manifest_options mo = {.mapping = m,
                                           .os_table = c->facts->os_table,
                                           .namespace_name = c->facts->target.ns,
                                           .handover = VF_HANDOVER_CLAIM,
                                           .vm_only = true};
    if (vf_manifests_build(vm, &mo, &built, NULL) == 0) {
        own.manifests = &built;
        read_requests(&own, ret);
    }
    vf_manifests_release(&built);
}

void vf_target_demand(const struct vf_check *c, const struct vf_vm *vm,
                      struct vf_target_demand *ret)
{
    const struct vf_mapping *m = c->options->import->mapping;
    unsigned ratio = c->facts->kubevirt.cpu_allocation_ratio;
    bool tpm = m && m->tpm != VF_UNSET ? m->tpm == VF_YES : vm->has_vtpm;
    bool dedicated = m && m->dedicated_cpus;
    bool efi = vm->firmware == VF_FIRMWARE_EFI && m && m->persistent_efi == VF_YES;
    *ret = (struct vf_target_demand){
        .known = !(m && is_set(m->instancetype)) && vm->cpus && vm->memory_bytes,
        .cpus = vm->cpus,
        .memory_bytes = vm->memory_bytes,
        .request_bytes = overcommit(c, vm->memory_bytes),
        .dedicated = dedicated,
        .hugepages = m && is_set(m->hugepages) ? m->hugepages : NULL,
        .state_claim = tpm || efi,
    };
    ret->cpu_millis = (uint64_t)vm->cpus * 1000;
    if (!dedicated) {
        ret->cpu_millis /= ratio ? ratio : USUAL_ALLOCATION_RATIO;
    }
    ret->overhead_bytes = vm->memory_bytes / PAGE_TABLES + LAUNCHER_BYTES +
                          CPU_BYTES * ((uint64_t)vm->cpus + 1) + VIDEO_BYTES +
                          (tpm ? TPM_BYTES : 0) + (dedicated ? DEDICATED_BYTES : 0);
    if (ret->known) {
        find_requests(c, vm, ret);
    }
}

uint64_t vf_target_pod_bytes(const struct vf_target_demand *d)
{
    return d->hugepages ? d->overhead_bytes : vf_target_add(d->overhead_bytes, d->request_bytes);
}

const cJSON *vf_target_machine(const struct vf_check *c)
{
    for (size_t i = 0; c->manifests && i < c->manifests->n_documents; i++) {
        const char *kind = vf_json_string(c->manifests->documents[i], "kind");
        if (kind && strcmp(kind, "VirtualMachine") == 0) {
            return c->manifests->documents[i];
        }
    }
    return NULL;
}

const cJSON *vf_target_instance(const struct vf_check *c)
{
    const cJSON *spec = vf_json_object(vf_target_machine(c), "spec");
    return vf_json_object(vf_json_object(spec, "template"), "spec");
}

const cJSON *vf_target_domain(const struct vf_check *c)
{
    return vf_json_object(vf_target_instance(c), "domain");
}

bool vf_target_has_persistent_state(const struct vf_check *c)
{
    const cJSON *domain = vf_target_domain(c);
    const cJSON *tpm = vf_json_object(vf_json_object(domain, "devices"), "tpm");
    const cJSON *loader = vf_json_object(vf_json_object(domain, "firmware"), "bootloader");
    return (vf_json_bool(tpm, "persistent", false) && vf_json_bool(tpm, "enabled", true)) ||
           vf_json_bool(vf_json_object(loader, "efi"), "persistent", false);
}

char *vf_target_attachment(const char *attachment, const char *ns)
{
    return strchr(attachment, '/') ? vf_xstrdup(attachment) : vf_xasprintf("%s/%s", ns, attachment);
}

/* --- rights ------------------------------------------------------------------------------ */

#define MAKES_VM     "makes the VirtualMachine"
#define MAKES_DISKS  "makes the disks"
#define MAKES_CLAIMS "makes the disks' claims"
#define UPLOADS      "uploads the disks"
#define RUNS_WORKER  "runs the worker that copies"
#define CLEANS_UP    "removes what a failed import left"

#define NEED(name, resource_, subresource_, verb_, purpose_, needed_)                              \
    static const struct vf_kube_need name = {                                                      \
        .resource = &(resource_),                                                                  \
        .subresource = (subresource_),                                                             \
        .verb = (verb_),                                                                           \
        .purpose = (purpose_),                                                                     \
        .needed = (needed_),                                                                       \
    }

/* The same as in deploy/rbac.yaml, which says for each what it is for. */
NEED(vm_get, vf_kube_virtual_machines, NULL, "get", MAKES_VM, true);
NEED(vm_create, vf_kube_virtual_machines, NULL, "create", MAKES_VM, true);
NEED(vm_list, vf_kube_virtual_machines, NULL, "list", "follows the VM until it runs", false);
NEED(vm_start, vf_kube_machine_subresources, "start", "update", "starts the VM", true);
NEED(claim_get, vf_kube_claims, NULL, "get", MAKES_CLAIMS, true);
NEED(claim_list, vf_kube_claims, NULL, "list", MAKES_CLAIMS, true);
NEED(claim_create, vf_kube_claims, NULL, "create", MAKES_CLAIMS, true);
NEED(claim_patch, vf_kube_claims, NULL, "patch", "marks the disks' claims as complete", true);
NEED(claim_delete, vf_kube_claims, NULL, "delete", CLEANS_UP, false);
NEED(volume_get, vf_kube_data_volumes, NULL, "get", MAKES_DISKS, true);
NEED(volume_list, vf_kube_data_volumes, NULL, "list", MAKES_DISKS, true);
NEED(volume_create, vf_kube_data_volumes, NULL, "create", MAKES_DISKS, true);
NEED(volume_patch, vf_kube_data_volumes, NULL, "patch", "marks the disks as complete", true);
NEED(volume_delete, vf_kube_data_volumes, NULL, "delete", CLEANS_UP, false);
NEED(token_create, vf_kube_upload_tokens, NULL, "create", UPLOADS, true);
NEED(job_get, vf_kube_jobs, NULL, "get", RUNS_WORKER, true);
NEED(job_list, vf_kube_jobs, NULL, "list", RUNS_WORKER, true);
NEED(job_watch, vf_kube_jobs, NULL, "watch", RUNS_WORKER, true);
NEED(job_create, vf_kube_jobs, NULL, "create", RUNS_WORKER, true);
NEED(job_patch, vf_kube_jobs, NULL, "patch", RUNS_WORKER, true);
NEED(job_delete, vf_kube_jobs, NULL, "delete", RUNS_WORKER, true);
NEED(secret_create, vf_kube_secrets, NULL, "create", "gives the worker the source's password",
     true);
NEED(pod_list, vf_kube_pods, NULL, "list", RUNS_WORKER, true);
NEED(log_get, vf_kube_pods, "log", "get", "shows how far the worker is", false);
NEED(event_list, vf_kube_events, NULL, "list", "tells what a pod or claim waits for", false);
NEED(map_create, vf_kube_config_maps, NULL, "create", "keeps a warm migration's status", true);
NEED(map_get, vf_kube_config_maps, NULL, "get", "keeps a warm migration's status", true);
NEED(map_patch, vf_kube_config_maps, NULL, "patch", "keeps a warm migration's status", true);

#define UPLOAD_NEEDS                                                                               \
    &volume_get, &volume_list, &volume_create, &volume_patch, &volume_delete, &token_create,       \
        &claim_get, &claim_patch, &event_list, &vm_get, &vm_create
#define LAUNCH_NEEDS                                                                               \
    &claim_get, &claim_list, &claim_create, &claim_patch, &claim_delete, &job_get, &job_list,      \
        &job_watch, &job_create, &job_patch, &job_delete, &secret_create, &pod_list, &log_get,     \
        &event_list, &vm_get
#define START_NEEDS &vm_start, &vm_list
#define WARM_NEEDS  &map_create, &map_get, &map_patch

/* Of a worker the VM is the service account's to make; inside of one nothing is asked, since it is
 * under way. */
const struct vf_kube_need *const *vf_target_needs(const struct vf_check_options *options)
{
    static const struct vf_kube_need *const upload[] = {UPLOAD_NEEDS, NULL};
    static const struct vf_kube_need *const upload_start[] = {UPLOAD_NEEDS, START_NEEDS, NULL};
    static const struct vf_kube_need *const launch[] = {LAUNCH_NEEDS, NULL};
    static const struct vf_kube_need *const launch_warm[] = {LAUNCH_NEEDS, WARM_NEEDS, NULL};
    const struct vf_import_options *import = options->import;
    if (import->target == VF_TO_UPLOAD) {
        return import->cluster.start ? upload_start : upload;
    }
    if (import->target == VF_TO_CLAIM && !import->to_path) {
        return options->warm ? launch_warm : launch;
    }
    return NULL;
}
