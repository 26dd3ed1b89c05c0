/* OVF descriptors: DMTF DSP0243 1.x and 2.x, with VMware's and VirtualBox's additions. */
#ifndef CONVERTERS_VM_OVF_H
#define CONVERTERS_VM_OVF_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <vmferry/error.h>
#include <vmferry/vm.h>

#include "converters/vm/concerns.h"

struct vf_ovf_file {
    char *id;
    char *href;          /* as written; whoever opens it checks where it leads */
    char *name;          /* href without percent-encoding and leading "./" */
    uint64_t size_bytes; /* as stored in the package; 0: not said */
    bool gzip;
};

struct vf_ovf {
    /* Disks: source_id is the diskId, file the href of the file, NULL for a disk that is empty;
     * key is the disk's place in the hardware section. */
    struct vf_vm vm;
    struct vf_ovf_file *files;
    size_t n_files;
    struct vf_concerns concerns; /* devices of the descriptor that have no place in the model */
};

/* VF_INVALID: not OVF, a reference that leads nowhere, no VM or several (they are listed);
 * VF_RANGE: a number that is absent, malformed or absurd; VF_UNSUPPORTED: parent disks, encryption,
 * chunked, remote or bzip2 files, OVF 0.9. `what` names the descriptor in errors. Where there are
 * deployment options the default one is taken. */
int vf_ovf_parse(const char *data, size_t len, const char *what, struct vf_ovf *ret_ovf,
                 struct vf_error **err);
void vf_ovf_release(struct vf_ovf *ovf); /* an all-zero struct is fine */

/* The file that a member or file of the package is, by href or name; NULL for others. */
const struct vf_ovf_file *vf_ovf_find_file(const struct vf_ovf *ovf, const char *name);
/* The disk that a file fills; NULL when it is none's. */
const struct vf_vm_disk *vf_ovf_find_disk(const struct vf_ovf *ovf, const struct vf_ovf_file *file);

/* "byte * 2^30", "GB", "MegaBytes" (DSP0004, annex C; the words as VMware and VirtualBox write
 * them) into bytes; NULL or "" is 1. VF_RANGE. */
int vf_ovf_parse_units(const char *s, uint64_t *ret_factor, struct vf_error **err);

#endif
