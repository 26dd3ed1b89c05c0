/* The machine of a VirtualMachine: the parts of spec.template.spec.domain that are no devices. Each
 * function writes its fields into `domain`, notes where they come from, and adds what the VM loses
 * to `concerns`.
 *
 * Source: KubeVirt v1.8, api/core/v1/schema.go, and the admission of VirtualMachineInstances.
 */
#ifndef CONVERTERS_VM_KUBEVIRT_MACHINE_H
#define CONVERTERS_VM_KUBEVIRT_MACHINE_H

#include <cjson/cJSON.h>
#include <stdbool.h>

#include <vmferry/error.h>

#include "converters/vm/kubevirt_vm.h"

/* VF_INVALID: pages that the guest's memory is no multiple of. */
int vf_kubevirt_check_machine(const struct vf_manifest_plan *plan, struct vf_error **err);

/* The same of a whole VirtualMachine, with what a template told. */
int vf_kubevirt_check_pages(const cJSON *machine, struct vf_error **err);

/* domain.cpu: topology as of the source, unless an instance type has it; what else a person told.
 * Where CPUs could not be added to the running VM, maxSockets keeps it so; else the cluster's own
 * maximum holds. */
void vf_kubevirt_cpu(const struct vf_manifest_plan *plan, cJSON *domain,
                     struct vf_concerns *concerns);

/* domain.memory: the same. maxGuest is taken by admission from 1 GiB on, in whole pages (2 MiB, or
 * 1 GiB with such hugepages), and not beside the host's NUMA nodes; where it cannot be written
 * KubeVirt adds no memory to the running VM anyway. */
void vf_kubevirt_memory(const struct vf_manifest_plan *plan, cJSON *domain);

/* domain.resources, with VF_RESOURCES_SOURCE:
 *
 * - requests.cpu is the reservation, in MHz, by the speed of the host's cores. Without one it
 *   follows the shares: KubeVirt requests a tenth of each vCPU by itself (cpuAllocationRatio 10),
 *   which stands for normal shares, 1000 a vCPU; so low, high and custom ones request a tenth of
 *   what they are in thousands, no more than all vCPUs.
 * - limits.cpu is the limit by the same speed, where it is less than all vCPUs.
 * - requests.memory is the reservation. Without one KubeVirt requests all of the guest's memory.
 * - A memory limit has no counterpart: Kubernetes would end a VM that reaches it.
 *
 * With VF_RESOURCES_CLUSTER nothing is written, and what the source has is told. With dedicated
 * CPUs KubeVirt requests all of both by itself, with hugepages all of the memory. */
void vf_kubevirt_resources(const struct vf_manifest_plan *plan, cJSON *domain,
                           struct vf_concerns *concerns);

/* Whether the VM boots securely: by EFI, and as told or as the source has it. */
bool vf_kubevirt_boots_securely(const struct vf_manifest_plan *plan);

/* domain.firmware */
void vf_kubevirt_firmware(const struct vf_manifest_plan *plan, cJSON *domain,
                          struct vf_concerns *concerns);

/* domain.features */
void vf_kubevirt_features(const struct vf_manifest_plan *plan, cJSON *domain);

/* domain.clock */
void vf_kubevirt_clock(const struct vf_manifest_plan *plan, cJSON *domain);
/* Of a whole VirtualMachine, with what a template told: a Windows guest whose clock shows UTC. */
void vf_kubevirt_clock_concerns(const struct vf_manifest_plan *plan, const cJSON *machine,
                                struct vf_concerns *concerns);

#endif
