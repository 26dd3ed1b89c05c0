/* Private to jobs/cluster: the claims of a warm migration, and which disk of the VM each is for.
 *
 * A claim stays with its disk: by the device key in its checkpoint, however the VM's disks are
 * counted by now. The N of claim NAME-disk-N is also that of the path it is mounted at.
 */
#ifndef JOBS_CLUSTER_WARM_CLAIMS_H
#define JOBS_CLUSTER_WARM_CLAIMS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <vmferry/vm.h>

#include "jobs/checkpoint.h"
#include "jobs/cluster/landing.h"

/* As vf_owned_judge, of objects of a warm migration; where no look was had at the source, and
 * owner->source_uuid is NULL, its name says whose they are. */
enum vf_owned vf_warm_judge(const struct vf_owner *owner, const cJSON *object);

struct vf_warm_claim {
    char *name;
    unsigned number;
    bool has_key; /* a checkpoint says of which disk it is */
    int32_t key;
    bool complete;                     /* so labelled */
    bool deleted;                      /* is being deleted */
    char *storage_class, *volume_mode; /* as it is; NULL: not told */
};

struct vf_warm_claims {
    struct vf_warm_claim *claims; /* by number */
    size_t n;
};

/* All claims of l->owner that are of a warm migration; with no source_uuid, of its name. */
int vf_warm_claims_fetch(struct vf_landing_cluster *l, const struct vf_cancel *cancel,
                         struct vf_warm_claims *ret, struct vf_error **err);
void vf_warm_claims_release(struct vf_warm_claims *c); /* of a zeroed struct too */

/* As the checkpoint has it: keys by the claims' names. Pure, as what follows. */
void vf_warm_claims_set_keys(struct vf_warm_claims *c, const struct vf_checkpoint *checkpoint);

#define VF_WARM_NO_CLAIM SIZE_MAX

/* For each disk of `vm` the index of its claim in `c`, or VF_WARM_NO_CLAIM: that of its key; else
 * the one of the disk's own index, or any, that no checkpoint names. */
void vf_warm_claims_match(const struct vf_warm_claims *c, const struct vf_vm *vm,
                          size_t *ret_claim_of_disk);

/* The lowest number that no claim has, and none of the `n_taken` in `taken`. */
unsigned vf_warm_claims_free_number(const struct vf_warm_claims *c, const unsigned *taken,
                                    size_t n_taken);

#endif
