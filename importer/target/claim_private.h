/* The two forms of a mounted claim, behind one sink. */
#ifndef IMPORTER_TARGET_CLAIM_PRIVATE_H
#define IMPORTER_TARGET_CLAIM_PRIVATE_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <vmferry/cancel.h>
#include <vmferry/error.h>
#include <vmferry/sink.h>

#include "importer/base/file_io.h"

/* How ranges of a device become zero; each falls back to the next. */
enum vf_claim_zeroing { VF_CLAIM_PUNCH, VF_CLAIM_ZEROOUT, VF_CLAIM_WRITE };

struct vf_claim_sink {
    struct vf_sink base;
    char *path; /* where the claim is mounted; names it in errors */
    int fd;     /* the partial file, or the device */
    struct vf_bulk bulk;
    int folder_fd;                  /* -1: a device */
    uint64_t device_bytes;          /* of a device: its size, */
    uint64_t granule_bytes;         /* and what ranges for the kernel to zero are aligned to */
    atomic_uint zeroing;            /* enum vf_claim_zeroing */
    const struct vf_cancel *cancel; /* NULL: none */
};

/* As vf_error_set_errno, with a hint for what befalls storage of a cluster. */
int vf_claim_fail(struct vf_error **err, int errnum, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));

/* Filesystem: fd is a fresh partial file of the disk's size, folder_fd its folder. What is set of
 * `c` on failure the caller closes. */
int vf_claim_folder_begin(struct vf_claim_sink *c, bool replace, struct vf_error **err);
/* Filesystem: fd is the partial file that an earlier run left, or the disk.img it became, under its
 * unfinished name; the rest as above. */
int vf_claim_folder_resume(struct vf_claim_sink *c, struct vf_error **err);
/* The synced partial becomes disk.img, durably. */
int vf_claim_folder_commit(const struct vf_claim_sink *c, struct vf_error **err);
/* Bytes that a partial of an earlier try holds, and whether disk.img is there. */
void vf_claim_folder_look(int folder_fd, uint64_t *ret_partial_bytes, bool *ret_has_disk);

/* Block: fd is the device, held exclusively. */
int vf_claim_device_begin(struct vf_claim_sink *c, struct vf_error **err);
/* The range reads as zero. Not interrupted. */
int vf_claim_device_zero(struct vf_claim_sink *c, uint64_t offset_bytes, uint64_t length_bytes,
                         struct vf_error **err);
int vf_claim_device_size(int fd, const char *path, uint64_t *ret_bytes, struct vf_error **err);

#endif
