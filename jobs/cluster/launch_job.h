/* The objects that `import --to pvc` and `migrate --warm --to pvc` make for their worker: a Job of
 * one pod, which mounts the claims and copies the same VM with target pvc:PATH, and the Secret that
 * it reads. Pure, but for the name. Private to jobs/cluster.
 *
 * The pod of a migration that is killed or evicted is made anew, and goes on from the checkpoint;
 * one that ended by itself, well or not, is not. The new one waits until the old one has ended, so
 * that two never write into one claim.
 *
 * Source: Kubernetes, concepts/workloads/controllers/job (podFailurePolicy, podReplacementPolicy),
 * concepts/security/pod-security-standards
 * ("restricted"), tasks/inject-data-application/define-command-argument-container ($(NAME), $$).
 */
#ifndef JOBS_CLUSTER_LAUNCH_JOB_H
#define JOBS_CLUSTER_LAUNCH_JOB_H

#include <cjson/cJSON.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "importer/kube/owned.h"
#include "jobs/import.h"
#include "jobs/migration/migration.h"

/* From the signal to the kill: abort the export, remove the snapshot. */
#define VF_WORKER_GRACE_S 120

/* Of a migration: in a cutover the source is powered on again, and the removal of a snapshot merges
 * what was written meanwhile. */
#define VF_WORKER_MIGRATION_GRACE_S 600

/* For its pod to end and its Job to be gone. */
#define VF_WORKER_DELETE_TIMEOUT_MS           ((VF_WORKER_GRACE_S + 60) * 1000)
#define VF_WORKER_MIGRATION_DELETE_TIMEOUT_MS ((VF_WORKER_MIGRATION_GRACE_S + 60) * 1000)

/* Who the disks' files belong to in KubeVirt. */
#define VF_WORKER_UID 107

/* What of the worker's Secret is none. */
#define VF_WORKER_MAPPING_KEY "mapping.yaml"

struct vf_worker_plan {
    const struct vf_import_options *options;      /* of the launcher */
    const struct vf_migration_options *migration; /* what holds them, of a warm one; else NULL */
    const struct vf_owner *owner;                 /* `import` is the VM's name */
    const char *ns;
    const char *vm;      /* reference at the source; NULL: options->path says what */
    const char *storage; /* class of claims that the mapping names none for, so that the worker
                            finds the same default; NULL: there is none */
    const char *mapping; /* YAML text of a mapping file; NULL: nothing is told */
    const char *const *claims;
    const bool *blocks;      /* which of them are block devices; NULL: none */
    const unsigned *numbers; /* the N of PATH/disk-N for each; NULL: as they come */
    size_t n_claims;
    const char *image;
    const char *secret; /* its name; NULL: the worker needs none */
    const char *ca_pem; /* content of the CA file; NULL: none was given */
    bool debug;
};

/* "web01-import": one a VM. Caller frees. */
char *vf_worker_job_name(const char *import);
/* "web01-migrate", of a warm migration. */
char *vf_worker_migration_name(const char *import);
/* One of the two, as the plan is. Caller frees. */
char *vf_worker_name_of(const struct vf_worker_plan *plan);
/* Another each time, so that none has to be looked for: the Job's and something random. Caller
 * frees. VF_INTERNAL without randomness. */
int vf_worker_secret_name(const char *job, char **ret_name, struct vf_error **err);

/* What its pod requests, and is limited to: in memory the same. */
struct vf_worker_size {
    uint64_t cpu_millis, cpu_limit_millis, memory_bytes;
};
/* `warm` is NULL for a cold import. */
struct vf_worker_size vf_worker_size_of(const struct vf_import_options *options,
                                        const struct vf_transport_options *warm, size_t n_claims);

/* NULL-terminated; caller frees each and the array. */
char **vf_worker_args(const struct vf_worker_plan *plan);
void vf_worker_args_free(char **args);

/* Suspended, so that no pod starts before its Secret is there. Caller deletes. */
cJSON *vf_worker_build_job(const struct vf_worker_plan *plan);

bool vf_worker_needs_secret(const struct vf_worker_plan *plan);
/* Goes with the Job of that uid (NULL: of none, for a dry run). vf_json_delete_wiped it. */
cJSON *vf_worker_build_secret(const struct vf_worker_plan *plan, const char *job_uid);

/* Of a Job as the server tells it: it neither completed nor failed, and was let run at all, or has
 * pods still. */
bool vf_worker_job_runs(const cJSON *job);

#endif
