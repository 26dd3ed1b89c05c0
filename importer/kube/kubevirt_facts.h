/* What a cluster's KubeVirt is and can do: version, feature gates, configuration.
 *
 * Source: kubevirt.io/api, core/v1 KubeVirt; kubevirt/kubevirt, pkg/virt-config/featuregate (which
 * gate is GA, Beta, Alpha since when).
 */
#ifndef IMPORTER_KUBE_KUBEVIRT_FACTS_H
#define IMPORTER_KUBE_KUBEVIRT_FACTS_H

#include <stdbool.h>
#include <stddef.h>

#include <vmferry/cancel.h>
#include <vmferry/error.h>

#include "importer/kube/client.h"

/* Strings are heap. */
struct vf_kubevirt_facts {
    bool absent;   /* there is none in the cluster */
    bool known;    /* the KubeVirt object could be read; else the rest is as of a new install */
    char *version; /* "v1.9.0"; NULL: not told */
    unsigned major, minor; /* 0, 0: not told */
    char *phase;           /* "Deployed" */
    char **gates, **disabled_gates;
    size_t n_gates, n_disabled_gates;
    bool live_update;              /* vmRolloutStrategy, by the version's default */
    unsigned max_hotplug_ratio;    /* 4 unless told */
    unsigned cpu_allocation_ratio; /* 10 unless told */
    unsigned memory_overcommit; /* percent of what is requested that a guest has; 100 unless told */
    bool permit_bridge_on_pod_network;
    bool seccomp_profile;            /* its VMs' pods are given one */
    bool persistent_reservation;     /* configured, or its gate */
    char *vm_state_storage_class;    /* NULL: the default one */
    char *default_eviction_strategy; /* NULL: None */
};

/* VF_MISSING when there is no KubeVirt at all. What may not be read is not known, and no error. */
int vf_kubevirt_fetch_facts(struct vf_kube_client *client, const struct vf_cancel *cancel,
                            struct vf_kubevirt_facts *ret, struct vf_error **err);
void vf_kubevirt_facts_release(struct vf_kubevirt_facts *f); /* an all-zero struct is fine */

/* Whether a gate is open: GA, named, disabled, Beta from v1.9 on, in this order. Gates that are
 * not in the table: if named. Of a version that is not told: as of the newest, unless disabled.
 * Pure. */
bool vf_kubevirt_has_gate(const struct vf_kubevirt_facts *f, const char *gate);
/* Since which version it needs no naming, "v1.6"; NULL: never yet. Static. */
const char *vf_kubevirt_gate_since(const char *gate);

#endif
