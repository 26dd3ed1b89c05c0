/* How a migration stands, as data: what `vmferry status` shows and -o json gives; and the requests
 * that may be made of it. As text both are one JSON object with a format version; read back they
 * are foreign input, bounded and checked.
 */
#ifndef JOBS_MIGRATION_STATUS_H
#define JOBS_MIGRATION_STATUS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <cjson/cJSON.h>

#include <vmferry/error.h>

#define VF_STATUS_VERSION   1
#define VF_STATUS_MAX_BYTES ((size_t)256 << 10)

enum vf_migration_phase {
    VF_PHASE_PREPARING,  /* looking, checking, making room */
    VF_PHASE_TRACKING,   /* changed-block tracking is being switched on */
    VF_PHASE_SNAPSHOT,   /* one is being made */
    VF_PHASE_COPYING,    /* round 0: all; later: what changed */
    VF_PHASE_SETTLING,   /* flush, checkpoint, snapshot removed */
    VF_PHASE_WAITING,    /* for the next round or the cutover */
    VF_PHASE_STOPPING,   /* cutover: the source is being shut down */
    VF_PHASE_LAST_COPY,  /* cutover: what changed since the last round */
    VF_PHASE_DELIVERING, /* cutover: the new VM is being made */
    VF_PHASE_STARTING,   /* the new VM is accepted, and is being started */
    VF_PHASE_CLEANING,   /* snapshots, note on the source, checkpoint */
    VF_PHASE_UNDOING,    /* a failed or cancelled one: power on, snapshots */
    VF_PHASE_DONE,
    VF_PHASE_FAILED, /* the same command goes on */
    VF_PHASE_CANCELLED,
};

struct vf_disk_status {
    char *name;   /* "Hard disk 1" */
    char *target; /* image or claim */
    uint64_t size_bytes;
    uint64_t round_bytes, round_total_bytes; /* of the round under way, or of the last */
    uint64_t copied_bytes;                   /* in all rounds */
};

/* Strings are owned and may be NULL. Times are RFC 3339, UTC. Zero: not known. */
struct vf_migration_status {
    char *name;                             /* of the migration: the new VM's */
    char *source_vm, *source_uuid, *source; /* name, instance UUID, host */
    char *place;                            /* where it goes, for people */
    enum vf_migration_phase phase;
    char *detail;       /* of the phase: "taking snapshot ..." */
    char *next_step;    /* what will happen, and when; or what somebody has to do */
    char *error, *hint; /* FAILED, CANCELLED, or of the last try that is repeated */
    char *transport, *transport_reason;
    uint32_t round;        /* 0: the full copy */
    uint32_t tries;        /* of this round that failed */
    uint64_t bytes_per_s;  /* of the round under way */
    uint64_t copied_bytes; /* in all rounds, of all disks */
    /* As vf_rounds_forecast has them. */
    bool forecast;
    uint64_t change_bytes_per_s, expected_bytes;
    int64_t downtime_ms, worst_downtime_ms, best_downtime_ms;
    int64_t eta_ms; /* to the end of the round under way; negative: not known */
    char *started, *updated;
    char *last_checkpoint;        /* when; every disk was complete then */
    char *cutover_at;             /* fixed time, or begin of the window */
    int64_t measured_downtime_ms; /* DONE: shutdown asked for to VM accepted (or running) */
    struct vf_disk_status *disks;
    size_t n_disks;
};

void vf_migration_status_release(struct vf_migration_status *s); /* of a zeroed struct too */

/* "copying"; borrowed. */
const char *vf_migration_phase_name(enum vf_migration_phase phase);
bool vf_migration_phase_is_end(enum vf_migration_phase phase);

/* The object that `status -o json` shows, and the text of a board. */
cJSON *vf_migration_status_to_json(const struct vf_migration_status *s);
char *vf_migration_status_encode(const struct vf_migration_status *s);
/* VF_INVALID; VF_UNSUPPORTED for a later version. */
int vf_migration_status_parse(const char *text, size_t len, struct vf_migration_status *ret,
                              struct vf_error **err);

enum vf_request_kind { VF_REQUEST_NONE, VF_REQUEST_CUTOVER, VF_REQUEST_CANCEL };

struct vf_migration_request {
    enum vf_request_kind kind;
    bool discard; /* CANCEL: remove what was copied too */
    int64_t at_s; /* CUTOVER: Unix time; 0: now */
};

char *vf_migration_request_encode(const struct vf_migration_request *r);
int vf_migration_request_parse(const char *text, size_t len, struct vf_migration_request *ret,
                               struct vf_error **err);

#endif
