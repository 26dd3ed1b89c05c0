/* CDI as a client meets it: DataVolumes that take an upload, tokens, and waiting for their phases.
 *
 * Source: CDI (kubevirt.io/containerized-data-importer v1.64), doc/upload.md, doc/datavolumes.md,
 * doc/waitforfirstconsumer-storage-handling.md; what was measured is in the tests of the cluster.
 */
#ifndef IMPORTER_KUBE_CDI_H
#define IMPORTER_KUBE_CDI_H

#include <cjson/cJSON.h>
#include <stdbool.h>
#include <stdint.h>

#include <vmferry/cancel.h>
#include <vmferry/error.h>

#include "importer/base/secret.h"
#include "importer/kube/client.h"
#include "importer/kube/owned.h"
#include "importer/kube/storage.h"

struct vf_cdi_facts {
    /* CDIConfig: override, else status; always with a scheme, https; NULL: none is published. */
    char *upload_proxy_url;
    /* PEM: that of the published Ingress or Route, else of ConfigMap cdi-uploadproxy-signer-bundle
     * in namespace "cdi"; NULL: neither is readable. What stands before the proxy at another
     * address may have a certificate of another CA. */
    char *upload_proxy_ca;
};

/* Is CDI here, with the versions this client speaks? VF_UNSUPPORTED when not. Then its
 * configuration. */
int vf_cdi_fetch_facts(struct vf_kube_client *client, const struct vf_cancel *cancel,
                       struct vf_cdi_facts *ret_facts, struct vf_error **err);
void vf_cdi_facts_release(struct vf_cdi_facts *f);

/* Does the upload server of this CDI unpack zstd? True only when the CDI object could be read and
 * its version is one that was seen to: a server that does not know the format stores it as it is,
 * and says that all is well. */
int vf_cdi_fetch_takes_zstd(struct vf_kube_client *client, const struct vf_cancel *cancel,
                            bool *ret_takes, struct vf_error **err);

/* One claim to be. */
struct vf_claim_plan {
    const char *ns, *name;
    const struct vf_owner *owner;
    unsigned disk;          /* index */
    const char *disk_label; /* "Hard disk 1"; may be NULL */
    const struct vf_kube_storage *storage;
    uint64_t size_bytes;
    bool bind_immediately; /* on WaitForFirstConsumer do not wait for one */
};

/* A DataVolume with source upload and spec.storage, marked as ours and filling, without populator.
 * The caller deletes it. VF_RANGE as vf_kube_storage_request_bytes. */
int vf_cdi_build_upload_volume(const struct vf_claim_plan *plan, cJSON **ret_object,
                               struct vf_error **err);

/* A disk at its vSphere, which CDI reads by VMware's library, one snapshot after the other. */
struct vf_cdi_vddk {
    const char *url;          /* https://HOST[:PORT]/sdk */
    const char *uuid;         /* of the VM: BIOS UUID, which every version of CDI looks for */
    const char *backing_file; /* "[datastore1] app01/app01.vmdk" */
    const char *thumbprint;   /* SHA-1 of vCenter's certificate */
    const char *secret;       /* with the keys accessKeyId and secretKey */
    const char *init_image;   /* with the library; NULL: as CDI is configured */
    int32_t disk_key;         /* noted as VF_CDI_DISK_KEY */
    const char *set;          /* noted as VF_CDI_CHECKPOINT_SET; NULL: none */
    const char *change_id;    /* of the disk in the first stage, noted as VF_CDI_CHANGE_ID; NULL:
                                 not tracked */
};
/* Annotations of ours. */
#define VF_CDI_DISK_KEY       "vmferry.io/disk-key"
#define VF_CDI_CHECKPOINT_SET "vmferry.io/checkpoint-set"
#define VF_CDI_CHANGE_ID      "vmferry.io/change-id" /* of the newest stage */

/* A DataVolume with source vddk whose first stage is a copy in full of `snapshot` (cdi_stage.h),
 * bound at once, without populator. The caller deletes it. VF_RANGE as above. */
int vf_cdi_build_vddk_volume(const struct vf_claim_plan *plan, const struct vf_cdi_vddk *vddk,
                             const char *snapshot, bool last, cJSON **ret_object,
                             struct vf_error **err);

/* A plain PersistentVolumeClaim, to be filled by a pod that mounts it and adopted later. */
int vf_cdi_build_claim(const struct vf_claim_plan *plan, cJSON **ret_object, struct vf_error **err);

/* What a wait sees, told when it changes: the phase, and what holds it up, for a person ("the
 * claim waits for its first consumer"; "provisioning failed: ..."; "quota: ..."). `hint` may be
 * NULL, `message` is "" when nothing is known to hold it up. On the waiting thread. */
typedef void vf_cdi_tell_fn(void *opaque, const char *phase, const char *message, const char *hint);

struct vf_cdi_wait {
    const char *ns, *name;
    const char *uid;      /* of the DataVolume, or claim, that was made; another under the name is
                             VF_CONFLICT; NULL: any */
    int64_t timeout_ms;   /* 0: none */
    int64_t patience_ms;  /* what has a hint is told once the phase has lasted for so long */
    vf_cdi_tell_fn *tell; /* may be NULL */
    void *opaque;
    const struct vf_cancel *cancel;
};

/* Until the upload server of the DataVolume takes data (phase UploadReady, and the claim's
 * storage.pod.ready is "true"). What can never become so ends it at once: VF_MISSING (deleted),
 * VF_CONFLICT (it is another's; an upload into it has ended), VF_SPACE (quota), VF_INVALID
 * (ErrClaimNotValid). Past the timeout VF_RETRY with reason VF_KUBE_REASON_TIMEOUT, and the message
 * says what was waited for and why, from conditions, annotations and events of DataVolume, claim
 * and its pods, with what to do about it. */
int vf_cdi_wait_upload_ready(struct vf_kube_client *client, const struct vf_cdi_wait *wait,
                             struct vf_error **err);

/* Until the DataVolume says Succeeded. VF_RETRY with reason VF_CDI_REASON_RESTARTED when the upload
 * pod was restarted or replaced after `restarts` restarts: what it got is lost. */
#define VF_CDI_REASON_RESTARTED "UploadRestarted"
int vf_cdi_wait_succeeded(struct vf_kube_client *client, const struct vf_cdi_wait *wait,
                          int restarts, struct vf_error **err);

/* Restarts of the transfer pod as the claim tells them, and its phase ("Running", "Succeeded";
 * NULL: not told), for the decision after an answer was lost. */
int vf_cdi_fetch_upload_state(struct vf_kube_client *client, const char *ns, const char *name,
                              const struct vf_cancel *cancel, int *ret_restarts, char **ret_phase,
                              struct vf_error **err);

/* Good for five minutes, looked at when an upload starts. */
int vf_cdi_fetch_upload_token(struct vf_kube_client *client, const char *ns, const char *claim,
                              const struct vf_cancel *cancel, struct vf_secret **ret_token,
                              struct vf_error **err);

/* Until a plain claim is Bound; told and ended as above. On WaitForFirstConsumer the pod that
 * mounts it must be there. */
int vf_cdi_wait_bound(struct vf_kube_client *client, const struct vf_cdi_wait *wait,
                      struct vf_error **err);

/* Label a DataVolume (if there is one of that name) and its claim as complete, with the digest.
 * `uid` is what was filled: of the DataVolume, which then has to be there; NULL: a plain claim.
 * VF_CONFLICT when one of them is being deleted, is not that one any more, or not ours; VF_MISSING
 * when it is gone. */
int vf_cdi_mark_complete(struct vf_kube_client *client, const char *ns, const char *name,
                         const char *uid, const char *digest, const struct vf_cancel *cancel,
                         struct vf_error **err);

#endif
