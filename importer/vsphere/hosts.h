/* ESXi hosts, with what matters of the clusters they are in. Source: vSphere API reference,
 * HostSystem, ClusterComputeResource.
 */
#ifndef IMPORTER_VSPHERE_HOSTS_H
#define IMPORTER_VSPHERE_HOSTS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <vmferry/error.h>

#include "importer/vsphere/vsphere.h"

/* Strings are heap, NULL when not told. */
struct vf_host {
    char *moref, *name; /* the name is what export URLs have; it may be an address */
    char *cluster;
    char *version; /* "8.0.2" */
    bool connected, maintenance;
    uint32_t cpu_mhz;  /* of a core */
    char *timezone;    /* "UTC", "Europe/Zurich" */
    char *thumbprint;  /* SHA-1 of its certificate, as vCenter knows it: "AA:BB:..." */
    bool drs, dpm, ha; /* of the cluster */
    char *evc_mode;    /* of the cluster, "intel-skylake" */
};

/* All that the account may see, sorted by name: one paged query, clusters included. */
int vf_vsphere_fetch_hosts(struct vf_vsphere *vs, struct vf_host **ret_hosts, size_t *ret_n,
                           struct vf_error **err);
void vf_hosts_free(struct vf_host *hosts, size_t n);

/* By reference; NULL: not among them. */
const struct vf_host *vf_host_find(const struct vf_host *hosts, size_t n, const char *moref);

/* Whether an ESXi host that is talked to directly has the free licence, with which its API only
 * reads (editionKey "esxBasic"). False for vCenter. */
int vf_vsphere_fetch_free_licence(struct vf_vsphere *vs, bool *ret_free, struct vf_error **err);

/* How far the server's clock (CurrentTime) is ahead of this machine's: the middle of the call is
 * taken for the moment of the answer. */
int vf_vsphere_fetch_clock_skew(struct vf_vsphere *vs, int64_t *ret_skew_ms, struct vf_error **err);

#endif
