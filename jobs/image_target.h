/* A disk's copy as an image file, which gets its name only when it is complete. */
#ifndef JOBS_IMAGE_TARGET_H
#define JOBS_IMAGE_TARGET_H

#include <stdbool.h>

#include <vmferry/error.h>

#include "converters/disk/image_format.h"
#include "importer/target/place.h"
#include "jobs/disk_target.h"

struct vf_image_target {
    struct vf_disk_target target;
    enum vf_format format; /* RAW or QCOW2 */
    struct vf_place place;
};

/* Reserve `path`. Release in any case. */
int vf_image_target_init(struct vf_image_target *t, const char *path, enum vf_format format,
                         bool overwrite, struct vf_error **err);
/* The same, but an image that an earlier run left is kept, now and at release. */
int vf_image_target_adopt(struct vf_image_target *t, const char *path, enum vf_format format,
                          bool overwrite, struct vf_error **err);

/* Go on with the image that an earlier run left: as vf_raw_sink_open, vf_qcow2_sink_open. */
int vf_image_target_reopen(const struct vf_image_target *t, uint64_t size_bytes,
                           struct vf_sink **ret_sink, struct vf_error **err);

/* Give the image its final name, durably. */
int vf_image_target_commit(struct vf_image_target *t, struct vf_error **err);

/* Removes what was not committed. A zeroed struct is fine. */
void vf_image_target_release(struct vf_image_target *t);

#endif
