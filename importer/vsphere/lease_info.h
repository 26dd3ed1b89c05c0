/* HttpNfcLeaseInfo, and which of its files is which disk. No network here. */
#ifndef IMPORTER_VSPHERE_LEASE_INFO_H
#define IMPORTER_VSPHERE_LEASE_INFO_H

#include <libxml/tree.h>

#include "importer/vsphere/lease.h"

struct vf_lease_info {
    struct vf_lease_device *devices;
    size_t n_devices;
    unsigned timeout_s;
};

/* `info` is the value of the property `info`; NULL is VF_INVALID. Hosts of '*' are replaced by the
 * given ones (url.h). *ret may hold an earlier result, which is dropped. */
int vf_lease_info_parse(struct vf_lease_info *ret, const xmlNode *info, const char *authority,
                        const char *host, struct vf_error **err);
void vf_lease_info_release(struct vf_lease_info *info);

int vf_lease_info_match(const struct vf_lease_info *info, const struct vf_vm *vm, int *ret_index,
                        struct vf_error **err);

#endif
