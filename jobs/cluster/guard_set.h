/* Private to jobs/cluster: the sets of VolumeSnapshots that guard.c makes and rollback.c goes back
 * to, as labels and annotations tell them. All pure.
 *
 * What is read back is foreign: anybody who may write VolumeSnapshots can write these annotations.
 */
#ifndef JOBS_CLUSTER_GUARD_SET_H
#define JOBS_CLUSTER_GUARD_SET_H

#include <cjson/cJSON.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <vmferry/error.h>

#include "importer/kube/owned.h"

/* Label: the number of the set, one more than that of any set before. */
#define VF_GUARD_SET "vmferry.io/guard"
/* Annotations of a VolumeSnapshot: how many there are in its set; what its claim was, as JSON; what
 * it keeps, for people; and, while a rollback to it is under way, which one. */
#define VF_GUARD_COUNT    "vmferry.io/guard-count"
#define VF_GUARD_CLAIM    "vmferry.io/guard-claim"
#define VF_GUARD_STATE    "vmferry.io/guard-state"
#define VF_GUARD_ROLLBACK "vmferry.io/rollback"
/* Annotation of a claim: the rollback that made it. */
#define VF_GUARD_ROLLED_BACK "vmferry.io/rolled-back"

#define VF_GUARD_MAX_CLAIMS 1024

struct vf_guard_set {
    uint32_t number;
    const cJSON **snapshots; /* borrowed from the list */
    size_t n;
    size_t count;         /* how many there should be; 0: they do not agree */
    bool whole;           /* all are there, each of another claim, and ready */
    const char *rollback; /* under way to it; NULL: none */
    const char *state;    /* for people; may be NULL */
};

struct vf_guard_sets {
    struct vf_guard_set *sets; /* the newest first */
    size_t n;
};

/* `items`: array of VolumeSnapshots; those without a proper set are passed over. `items` must
 * outlive the sets. */
void vf_guard_sets_read(const cJSON *items, struct vf_guard_sets *ret);
void vf_guard_sets_release(struct vf_guard_sets *s);

/* The one that a rollback is under way to, or NULL. */
const struct vf_guard_set *vf_guard_sets_under_way(const struct vf_guard_sets *s);
/* The newest whole one, or NULL. */
const struct vf_guard_set *vf_guard_sets_best(const struct vf_guard_sets *s);
/* For the next set. */
uint32_t vf_guard_sets_next_number(const struct vf_guard_sets *s);

/* "web01-disk-0-guard-7"; caller frees. */
char *vf_guard_snapshot_name(const char *claim, uint32_t number);

/* What a claim is, for VF_GUARD_CLAIM: caller frees. VF_INVALID when the server's object lacks what
 * a claim has. */
int vf_guard_describe_claim(const cJSON *claim, char **ret_text, struct vf_error **err);

/* The claim to be made from a ready snapshot; `now` is the claim as it is, or NULL: it may have
 * grown. Carries VF_GUARD_ROLLED_BACK = `rollback`. VF_INVALID when the snapshot's annotation is
 * not what vf_guard_describe_claim writes. Caller deletes. */
int vf_guard_build_claim(const cJSON *snapshot, const cJSON *now, const char *rollback,
                         cJSON **ret_claim, struct vf_error **err);

#endif
