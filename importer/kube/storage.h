/* Where claims can come from: storage classes, and what CDI knows of them.
 *
 * Source: CDI, doc/storageprofile.md, doc/datavolumes.md, pkg/controller/common (sizes);
 * Kubernetes, concepts/storage/storage-classes.
 */
#ifndef IMPORTER_KUBE_STORAGE_H
#define IMPORTER_KUBE_STORAGE_H

#include <cjson/cJSON.h>
#include <stdbool.h>
#include <stdint.h>

#include <vmferry/cancel.h>
#include <vmferry/error.h>

#include "importer/kube/client.h"

#define VF_VOLUME_MODE_BLOCK      "Block"
#define VF_VOLUME_MODE_FILESYSTEM "Filesystem"

struct vf_kube_storage {
    char *class_name;
    char *provisioner;
    bool waits_for_consumer; /* volumeBindingMode WaitForFirstConsumer; false when this account may
                                not read storage classes */
    char *volume_mode;       /* VF_VOLUME_MODE_... */
    char *access_mode;       /* "ReadWriteMany", ... */
    bool has_profile; /* CDI knows the class; else Filesystem, ReadWriteOnce, or what was wished */
    /* A DataVolume has to name them: they were wished for, or there is no profile. Else CDI
     * chooses, the same, and with every access mode that the profile has. */
    bool tell_volume_mode, tell_access_mode;
    uint64_t min_bytes;   /* minimumSupportedPvcSize; 0: none */
    char *snapshot_class; /* NULL: none known */
    double overhead;      /* of a filesystem, 0..1 */
};

struct vf_kube_storage_wish {
    const char *class_name;  /* NULL: the default class, KubeVirt's before Kubernetes' */
    const char *volume_mode; /* NULL: as the profile prefers */
    const char *access_mode; /* NULL: as the profile prefers, for that volume mode */
};

/* `wish` may be NULL. VF_MISSING: no such class (the hint lists those there are), no default class
 * (the hint names the option). VF_INVALID: a wish that the profile does not have, e.g. Block where
 * it knows Filesystem only; wishes are taken as they are where there is no profile. */
int vf_kube_storage_fetch(struct vf_kube_client *client, const struct vf_kube_storage_wish *wish,
                          const struct vf_cancel *cancel, struct vf_kube_storage **ret_storage,
                          struct vf_error **err);
void vf_kube_storage_free(struct vf_kube_storage *s);

/* Of an array of StorageClasses the one that is the default, for VMs (KubeVirt's) or for all
 * (Kubernetes'): of several the newest, then the first by name. Borrowed; NULL: none. Pure. */
const cJSON *vf_kube_storage_choose_default(const cJSON *classes, bool for_vms);

/* What to request in spec.storage of a DataVolume, which CDI adds the overhead to: the disk in
 * whole MiB, one at least. VF_RANGE as below. Pure. */
int vf_kube_storage_volume_bytes(uint64_t size_bytes, uint64_t *ret_bytes, struct vf_error **err);

/* What to request in spec.resources of a plain claim so that a disk of size_bytes fits: whole MiB;
 * for a filesystem CDI's formula, ceil(roundUp(size, MiB) * (1 + overhead)); at least min_bytes.
 * VF_RANGE beyond 2^62. Pure. */
int vf_kube_storage_request_bytes(const struct vf_kube_storage *s, uint64_t size_bytes,
                                  uint64_t *ret_bytes, struct vf_error **err);

#endif
