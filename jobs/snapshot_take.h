/* A snapshot to copy from: taken, read, told about; what an import and a migration have in common.
 */
#ifndef JOBS_SNAPSHOT_TAKE_H
#define JOBS_SNAPSHOT_TAKE_H

#include <stdbool.h>

#include <vmferry/error.h>
#include <vmferry/event.h>
#include <vmferry/vm.h>

#include "converters/vm/mapping.h"
#include "importer/vsphere/vsphere.h"

/* Of snapshots that are removed by the run that takes them: by this one they are known again, by
 * people and by later runs. */
#define VF_SNAPSHOT_IMPORT_PREFIX "vmferry-import-"

/* PREFIX, time, process: a name that nobody else uses, in order by age. Heap. */
char *vf_snapshot_new_name(const char *prefix);

/* All borrowed. */
struct vf_snapshot_take {
    struct vf_vsphere *vs;
    struct vf_reporter *reporter;     /* may be NULL */
    const struct vf_vm *vm;           /* as it is */
    const struct vf_mapping *mapping; /* what it does not copy is set aside; may be NULL */
    const char *name, *description;
    bool quiesce; /* and without, said, when the guest cannot be frozen */
    bool told;    /* that the snapshot is not quiesced was said before */
};

struct vf_snapshot_taken {
    char *moref; /* NULL: none is there */
    char *name;
    bool has_frozen;
    struct vf_vm frozen; /* with the live facts of the VM; when has_frozen */
    bool quiesced;
    bool quiesce_failed; /* it was tried in vain */
    bool told;
};
void vf_snapshot_taken_release(struct vf_snapshot_taken *t); /* of a zeroed one too */

/* Also after a failure `ret` (zeroed by the caller, who releases it) says by its moref whether
 * there is a snapshot now that has to be removed. */
int vf_snapshot_take(const struct vf_snapshot_take *t, struct vf_snapshot_taken *ret,
                     struct vf_error **err);

/* A snapshot holds the hardware; where the VM lives and what its guest says only the VM knows: put
 * that from `live` into `frozen`. */
void vf_snapshot_carry_live_facts(struct vf_vm *frozen, const struct vf_vm *live);

/* After snapshots were removed: merge what a removal left behind, unless the VM was in need of that
 * before. Clean-up; a failure is told as a warning. */
void vf_snapshot_settle_disks(struct vf_vsphere *vs, struct vf_reporter *reporter,
                              const struct vf_vm *vm);

#endif
