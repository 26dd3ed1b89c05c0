/* `vmferry convert`: one disk image into raw or qcow2. */
#ifndef JOBS_CONVERT_H
#define JOBS_CONVERT_H

#include <stdbool.h>
#include <stdint.h>

#include <vmferry/cancel.h>
#include <vmferry/error.h>
#include <vmferry/event.h>

#include "converters/disk/image_format.h"

struct vf_convert_options {
    const char *source;        /* path, or "-" for standard input (streamOptimized VMDK or OVA) */
    const char *source_format; /* --from; NULL: probed */
    const char *target;        /* path; with several disks in an OVA "-N" comes before its suffix */
    enum vf_format format;     /* VF_FORMAT_AUTO: by the suffix of target, else raw */
    bool overwrite;
    bool digest;      /* compute it and report it */
    unsigned threads; /* 0: vf_pool_new decides */
};

struct vf_convert_result {
    uint64_t size_bytes; /* of the disk */
    char *digest;        /* NULL unless asked for */
};

/* The target appears under its name only when it is complete and durable. `ret_result` may be NULL;
 * vf_convert_result_release it. */
int vf_convert_run(const struct vf_convert_options *options, struct vf_reporter *reporter,
                   struct vf_cancel *cancel, struct vf_convert_result *ret_result,
                   struct vf_error **err);
void vf_convert_result_release(struct vf_convert_result *r);

#endif
