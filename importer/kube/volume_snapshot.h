/* VolumeSnapshots: what a claim's volume held at one moment, kept by its storage.
 *
 * Source: kubernetes-csi/external-snapshotter, client/v8 apis/volumesnapshot/v1/types.go;
 * Kubernetes, concepts/storage/volume-snapshots; CDI, doc/storageprofile.md (snapshotClass).
 */
#ifndef IMPORTER_KUBE_VOLUME_SNAPSHOT_H
#define IMPORTER_KUBE_VOLUME_SNAPSHOT_H

#include <cjson/cJSON.h>
#include <stdbool.h>
#include <stdint.h>

#include <vmferry/cancel.h>
#include <vmferry/error.h>

#include "importer/kube/client.h"
#include "importer/kube/owned.h"
#include "importer/kube/storage.h"

/* Are they served here? VF_UNSUPPORTED with reason VF_KUBE_REASON_NOT_SERVED when not. */
int vf_volume_snapshot_check(struct vf_kube_client *client, struct vf_error **err);

/* The VolumeSnapshotClass for claims of this storage: as its StorageProfile says; else the default
 * one of its driver; else the only one of its driver. VF_MISSING: there is none, or there are
 * several and none of them is the default, with what to do. Caller frees. */
int vf_volume_snapshot_fetch_class(struct vf_kube_client *client,
                                   const struct vf_kube_storage *storage,
                                   const struct vf_cancel *cancel, char **ret_class,
                                   struct vf_error **err);
/* The part that decides. Pure. `classes`: array of VolumeSnapshotClasses. */
int vf_volume_snapshot_choose_class(const cJSON *classes, const char *driver, char **ret_class,
                                    struct vf_error **err);

/* Of a claim in the same namespace, marked as the owner's. Caller deletes. */
cJSON *vf_volume_snapshot_build(const char *ns, const char *name, const char *class_name,
                                const char *claim, const struct vf_owner *owner);

/* readyToUse, and not being deleted. */
bool vf_volume_snapshot_is_ready(const cJSON *snapshot);
/* spec.source.persistentVolumeClaimName; borrowed, may be NULL. */
const char *vf_volume_snapshot_claim(const cJSON *snapshot);
/* restoreSize: the least that a claim made from it may ask for; 0: not told. */
uint64_t vf_volume_snapshot_restore_bytes(const cJSON *snapshot);

/* Until it is ready to use. VF_MISSING: it was deleted. VF_CONFLICT: the driver says again and
 * again that it cannot, for half a minute, with the driver's words. VF_RETRY with reason
 * VF_KUBE_REASON_TIMEOUT past the timeout, with what is known of why. */
int vf_volume_snapshot_wait_ready(struct vf_kube_client *client, const char *ns, const char *name,
                                  int64_t timeout_ms, const struct vf_cancel *cancel,
                                  struct vf_error **err);

#endif
