/* `vmferry check`: every reason why a VM would not arrive, or not as it was, before anything is
 * touched; and the same before every copy.
 */
#ifndef JOBS_PREFLIGHT_PREFLIGHT_H
#define JOBS_PREFLIGHT_PREFLIGHT_H

#include <stdbool.h>
#include <stddef.h>

#include <vmferry/cancel.h>
#include <vmferry/error.h>
#include <vmferry/event.h>

#include "importer/kube/client.h"
#include "importer/vsphere/inventory.h"
#include "jobs/preflight/rule.h"

struct vf_preflight_options {
    struct vf_check_options check;
    const struct vf_vm_query *query; /* which VMs; NULL: all */
    /* These, each as vf_find_vm has it, instead of a query; NULL-terminated, may be NULL. */
    const char *const *vms;
    const char *const *skip; /* IDs of rules that are not judged; may be NULL */
};

/* What copying a VM will take, from measured rate (or the usual one, said so) and used size. */
struct vf_estimate {
    uint64_t bytes; /* to be read */
    double bytes_per_s;
    bool measured;
    double copy_s, downtime_s; /* downtime of a warm migration's cutover; of a cold one the copy */
};

struct vf_preflight {
    struct vf_vm *vms;
    size_t n_vms;
    struct vf_estimate *estimates; /* one each */
    struct vf_facts facts;
    struct vf_findings findings; /* by VM in order, the gravest first; then those of no VM */
    size_t counts[VF_CRITICAL + 1];
};

/* Logs in, looks, judges. An error only for what kept it from looking (no login, no VM of that
 * name, cancelled); whatever else is wrong is a finding. `reporter` and `cancel` may be NULL. */
int vf_preflight_run(const struct vf_preflight_options *options, struct vf_reporter *reporter,
                     struct vf_cancel *cancel, struct vf_preflight *ret, struct vf_error **err);
void vf_preflight_release(struct vf_preflight *p); /* an all-zero struct is fine */

/* Before a copy, with the sessions it has: `client` NULL for a folder. Warnings are reported;
 * critical findings are VF_UNSUPPORTED, with all of them in the message, and their actions. What
 * the mapping tells by itself (area MAPPING) is not told again. */
int vf_preflight_before_copy(const struct vf_check_options *options, struct vf_vsphere *vs,
                             struct vf_kube_client *client, const struct vf_vm *vm,
                             const char *const *skip, struct vf_reporter *reporter,
                             const struct vf_cancel *cancel, struct vf_error **err);

/* The table of rules as Markdown (deploy/docs/preflight.md is this). Caller frees. */
char *vf_rules_print(void);

#endif
