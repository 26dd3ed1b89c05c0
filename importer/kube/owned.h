/* What is ours in a cluster: the labels and annotations that every object made by vmferry carries,
 * and finding, judging and removing by them. Nothing else is ever touched.
 */
#ifndef IMPORTER_KUBE_OWNED_H
#define IMPORTER_KUBE_OWNED_H

#include <cjson/cJSON.h>
#include <stdbool.h>

#include <vmferry/cancel.h>
#include <vmferry/error.h>

#include "importer/kube/client.h"

/* Labels. Ours is what has VF_OWNED_IMPORT and is managed by vmferry, or by "cdi-controller": the
 * claims that CDI makes for a DataVolume have its labels, but for who manages them. Who takes an
 * object over says so in VF_OWNED_MANAGED_BY, and vmferry leaves it alone. */
#define VF_OWNED_MANAGED_BY "app.kubernetes.io/managed-by" /* = "vmferry" */
#define VF_OWNED_MANAGER    "vmferry"
#define VF_OWNED_IMPORT     "vmferry.io/import" /* name of the VirtualMachine that is to be */
#define VF_OWNED_STATE      "vmferry.io/state"  /* VF_OWNED_FILLING, then VF_OWNED_COMPLETE */
#define VF_OWNED_FILLING    "filling"
#define VF_OWNED_COMPLETE   "complete"
#define VF_OWNED_MIGRATION                                                                         \
    "vmferry.io/migration" /* = "warm": what is unfinished is gone on with                         \
                            */
#define VF_OWNED_WARM "warm"
/* Annotations. */
#define VF_OWNED_SOURCE_VM "vmferry.io/source-vm" /* its name there */
#define VF_OWNED_SOURCE_UUID                                                                       \
    "vmferry.io/source-uuid"                /* instance UUID, or another stable identity */
#define VF_OWNED_DISK   "vmferry.io/disk"   /* index, label of a claim's disk */
#define VF_OWNED_DIGEST "vmferry.io/digest" /* of a complete disk's content */

/* One import, as its objects name it. Strings borrowed. */
struct vf_owner {
    const char *import;      /* name of the VirtualMachine */
    const char *source_vm;   /* may be NULL */
    const char *source_uuid; /* may be NULL: then any other import without one is the same */
    bool warm;               /* of a warm migration; nothing that is judged by */
};

enum vf_owned {
    VF_OWNED_NOT,        /* somebody else's: never touched */
    VF_OWNED_OTHER,      /* made by vmferry for another source VM */
    VF_OWNED_UNFINISHED, /* of this very import, not complete */
    VF_OWNED_FINISHED,   /* of this very import, complete */
};

/* Adds labels and annotations to an object's metadata. `state` may be NULL. */
void vf_owned_mark(cJSON *object, const struct vf_owner *owner, const char *state);

bool vf_owned_is_ours(const cJSON *object);
/* Of a warm migration, which keeps its disks from run to run. */
bool vf_owned_is_warm(const cJSON *object);

/* What an object says of itself. Strings are heap. */
struct vf_owned_marks {
    bool ours, complete, warm;
    char *import, *source_uuid; /* NULL: none, or not ours */
};

/* `object` as the server gave it, or its metadata alone. */
void vf_owned_read_marks(const cJSON *object, struct vf_owned_marks *ret);
void vf_owned_marks_release(struct vf_owned_marks *m); /* an all-zero struct is fine */
enum vf_owned vf_owned_judge_marks(const struct vf_owned_marks *m, const struct vf_owner *owner);
enum vf_owned vf_owned_judge(const cJSON *object, const struct vf_owner *owner);

/* Objects in the namespace that carry our labels, of one import or (NULL) of all. One list a kind:
 * Jobs, Secrets, DataVolumes, PersistentVolumeClaims, VolumeSnapshots, ConfigMaps, VirtualMachines.
 * Kinds that are not served here are passed over, and VolumeSnapshots that may not be read.
 * *ret_items: array of the objects as listed, each with its apiVersion and kind set, Secrets
 * without their data; the caller's. */
int vf_owned_list(struct vf_kube_client *client, const char *ns, const char *import,
                  const struct vf_cancel *cancel, cJSON **ret_items, struct vf_error **err);

/* Delete an object that was read, by its uid, and wait until it is gone (timeout_ms; 0: do not
 * wait). What is gone already is good. VF_CONFLICT when it does not carry our label. A Job's pods
 * go before it (Foreground), everything else as the server likes. */
int vf_owned_delete(struct vf_kube_client *client, const cJSON *object, int64_t timeout_ms,
                    const struct vf_cancel *cancel, struct vf_error **err);

#endif
