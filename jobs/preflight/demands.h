/* Private to preflight of the target: what a VM asks of a cluster. Pure. */
#ifndef JOBS_PREFLIGHT_DEMANDS_H
#define JOBS_PREFLIGHT_DEMANDS_H

#include <cjson/cJSON.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <vmferry/vm.h>

#include "importer/kube/rights.h"
#include "importer/kube/storage.h"
#include "jobs/preflight/facts.h"
#include "jobs/preflight/rule.h"

/* --- disks ---- */

/* How disk `i` of the VM is to be stored; borrows from the options. */
struct vf_kube_storage_wish vf_target_wish(const struct vf_check_options *options,
                                           const struct vf_vm *vm, size_t i);
/* What that came to; NULL: not known, or impossible. */
const struct vf_kube_storage *vf_target_storage_of(const struct vf_check *c, const struct vf_vm *vm,
                                                   size_t i);
/* What its claim asks for, as CDI counts it; 0: not known. */
uint64_t vf_target_request_bytes(const struct vf_kube_storage *s, const struct vf_vm_disk *d);

/* Is a claim for disk `i` of VM number `vm` there already, of an import of that VM? It takes no
 * more room than it has. */
bool vf_target_has_claim(const struct vf_check *c, size_t vm, size_t i);
/* Its DataVolume, and the VirtualMachine, in the same way. */
bool vf_target_has_volume(const struct vf_check *c, size_t vm, size_t i);
bool vf_target_has_machine(const struct vf_check *c, size_t vm);

/* Without going round. */
uint64_t vf_target_add(uint64_t a, uint64_t b);

/* --- the VM, as it is to run ---- */

struct vf_target_demand {
    bool known; /* false: an instancetype or a template decides */
    uint32_t cpus;
    uint64_t memory_bytes;   /* of the guest */
    uint64_t request_bytes;  /* of it, that are set aside for it on a node */
    uint64_t overhead_bytes; /* of what KubeVirt runs it in */
    uint64_t cpu_millis;     /* requested of a node */
    bool dedicated;
    const char *hugepages; /* "2Mi", "1Gi"; NULL: none; borrowed */
    bool state_claim;      /* its TPM or EFI has a claim of its own */
};
/* By KubeVirt's own formula (v1.8, pkg/hypervisor/kvm, GetMemoryOverhead). */
void vf_target_demand(const struct vf_check *c, const struct vf_vm *vm,
                      struct vf_target_demand *ret);
/* Requested of a node, besides hugepages. */
uint64_t vf_target_pod_bytes(const struct vf_target_demand *d);

/* --- its manifest ---- */

/* The VirtualMachine among the manifests; NULL: there are none. Borrowed. */
const cJSON *vf_target_machine(const struct vf_check *c);
/* spec.template.spec, and its domain; NULL without. */
const cJSON *vf_target_instance(const struct vf_check *c);
const cJSON *vf_target_domain(const struct vf_check *c);
bool vf_target_has_persistent_state(const struct vf_check *c);

/* --- the rest ---- */

/* "NAMESPACE/NAME" of "NAME" or "NAMESPACE/NAME". Heap. */
char *vf_target_attachment(const char *attachment, const char *ns);

/* What this account has to be allowed for the import; NULL-terminated, static; NULL: nothing is
 * asked (a folder). */
const struct vf_kube_need *const *vf_target_needs(const struct vf_check_options *options);

#endif
