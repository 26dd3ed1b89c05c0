/* What target, store and transport of CDI's own copies share. Private to jobs/cluster. */
#ifndef JOBS_CLUSTER_CDI_PRIVATE_H
#define JOBS_CLUSTER_CDI_PRIVATE_H

#include <cjson/cJSON.h>
#include <stdbool.h>

#include "importer/kube/cdi.h"
#include "jobs/checkpoint_store.h"
#include "jobs/cluster/landing.h"
#include "jobs/migration/transport.h"
#include "jobs/migration/warm_target.h"

struct vf_cdi_target {
    struct vf_warm_target base;
    struct vf_landing_cluster l; /* disks[i].claim is the DataVolume of disk i */
    const struct vf_transport_options *options;
    struct vf_vsphere *vs;
    char *url, *thumbprint, *uuid; /* of the source, as CDI is told */
    char *secret;                  /* its name */
    bool begun;                    /* names are settled, store and board are there */
    bool guard_told;
    bool delivered;
};

/* --- cdi_target.c --- */

/* The DataVolume of disk `index`, whose first stage is a copy in full of `snapshot`. */
int vf_cdi_target_build(struct vf_cdi_target *t, size_t index, const struct vf_vm_disk *disk,
                        const char *snapshot, bool last, cJSON **ret_object, struct vf_error **err);
/* All DataVolumes of this migration. Caller deletes. */
int vf_cdi_target_list(struct vf_cdi_target *t, const struct vf_kube_resource *resource,
                       const struct vf_cancel *cancel, cJSON **ret_items, struct vf_error **err);
/* After its DataVolume was deleted. */
int vf_cdi_target_wait_claim_gone(struct vf_cdi_target *t, const char *name,
                                  const struct vf_cancel *cancel, struct vf_error **err);
/* Of the list; borrowed; NULL: none. */
const cJSON *vf_cdi_find(const cJSON *items, const char *name);

/* An object of ours as a list gave it; nothing is waited for. Clean-up. */
int vf_cdi_target_delete(struct vf_cdi_target *t, const struct vf_kube_resource *resource,
                         const cJSON *item, struct vf_error **err);

/* --- cdi_secret.c --- */

/* t->secret: what the DataVolumes there are name, which cannot be changed; else a new name. */
int vf_cdi_choose_secret(struct vf_cdi_target *t, const cJSON *volumes, struct vf_error **err);
/* With the password of this run, in the place of earlier ones'. */
int vf_cdi_provide_secret(struct vf_cdi_target *t, struct vf_error **err);
/* All that were made for this migration. Clean-up. */
int vf_cdi_remove_secrets(struct vf_cdi_target *t, struct vf_error **err);

/* --- cdi_store.c --- */

struct vf_checkpoint_store *vf_cdi_store_new(struct vf_cdi_target *t);
/* The uid of what the checkpoint is in; borrowed; NULL: nothing was saved or loaded yet. */
const char *vf_cdi_store_uid(const struct vf_checkpoint_store *base);
/* Is there a checkpoint of the migration of that name? */
int vf_cdi_store_fetch_kept(struct vf_landing_cluster *l, const char *name,
                            const struct vf_cancel *cancel, bool *ret_kept, struct vf_error **err);

#endif
