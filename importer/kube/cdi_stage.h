/* Copies in stages, as CDI makes them of a disk whose snapshots come one after the other: what a
 * DataVolume and its claim say of them. All pure.
 *
 * A stage is a snapshot (`current`) and what the claim held before (`previous`: "" for nothing,
 * else a change ID). They are listed in spec.checkpoints, which may be changed at any time; the
 * first one that was not copied is copied next. CDI notes on the claim which were: an annotation
 * each.
 *
 * Source: CDI v1.65, pkg/controller/common/checkpoint-util.go (GetNextCheckpoint,
 * setPvcMultistageImportAnnotations), doc/datavolumes.md ("Multi-stage Import").
 */
#ifndef IMPORTER_KUBE_CDI_STAGE_H
#define IMPORTER_KUBE_CDI_STAGE_H

#include <cjson/cJSON.h>
#include <stdbool.h>

#include <vmferry/error.h>

/* The snapshot becomes a part of an annotation's key, whose name has at most 63 characters. */
#define VF_CDI_STAGE_MAX 37

/* VF_UNSUPPORTED when a snapshot's reference cannot be a stage's name. */
int vf_cdi_check_stage(const char *snapshot, struct vf_error **err);

/* Is the snapshot in the DataVolume's list? */
bool vf_cdi_stage_is_listed(const cJSON *volume, const char *snapshot);
/* Is it marked as the final one? */
bool vf_cdi_stage_is_last(const cJSON *volume, const char *snapshot);
/* The one that is listed and was not copied, the first one; borrowed; NULL: none. */
const char *vf_cdi_stage_open(const cJSON *volume, const cJSON *claim);
/* Did CDI copy it? */
bool vf_cdi_stage_is_copied(const cJSON *claim, const char *snapshot);
/* The last stage was marked as such, and is copied: nothing more can be. */
bool vf_cdi_stages_are_over(const cJSON *volume, const cJSON *claim);

struct vf_cdi_stage {
    const char *previous; /* NULL: nothing */
    const char *snapshot;
    const char *change_id; /* of the disk in it; NULL: not tracked */
    bool last;
};
/* A merge patch that lists one stage more. Caller deletes. */
cJSON *vf_cdi_build_stage_patch(const cJSON *volume, const struct vf_cdi_stage *stage);

/* status.progress, "12.34%", as a part of 1; negative: not told. */
double vf_cdi_stage_progress(const cJSON *volume);

#endif
