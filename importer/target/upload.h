/* Sink: one disk into a claim through CDI's upload proxy.
 *
 * Raw content, as one compressed member, goes to POST .../v1beta1/upload: of all that CDI takes
 * only this is checked from end to end (the frame's checksum) and needs no scratch conversion.
 * There are no ranges: a broken upload starts again from byte 0, on a new sink.
 * Source: CDI, pkg/uploadserver and pkg/uploadproxy (v1.64); RFC 8878 (zstd), RFC 1952 (gzip).
 *
 * Ordered only; not readable. finish() is 0 only when the server answered 200, which it does once
 * the content is written, checked and synced.
 */
#ifndef IMPORTER_TARGET_UPLOAD_H
#define IMPORTER_TARGET_UPLOAD_H

#include <stdint.h>

#include <vmferry/cancel.h>
#include <vmferry/error.h>
#include <vmferry/sink.h>

#include "importer/base/http.h"
#include "importer/base/secret.h"

enum vf_upload_coding {
    VF_UPLOAD_ZSTD, /* one frame with content size and checksum */
    VF_UPLOAD_GZIP, /* one member */
};

/* A token for the claim, good for one request that starts now. */
typedef int vf_upload_token_fn(void *opaque, struct vf_secret **ret_token, struct vf_error **err);

struct vf_upload_options {
    struct vf_http *http; /* how the proxy is reached and trusted; borrowed, outlives the sink */
    const char *url;      /* of the proxy, with or without a path before /v1beta1/upload */
    vf_upload_token_fn *fetch_token; /* called at the first byte */
    void *opaque;
    uint64_t size_bytes;
    enum vf_upload_coding coding;
    unsigned threads;               /* that compress; 0: one */
    unsigned answer_timeout_ms;     /* from the last byte to the answer; 0: 30 min, and what a slow
                                       disk needs for what may lie in buffers on the way */
    unsigned stall_timeout_ms;      /* the server takes nothing for so long; 0: 5 min */
    const struct vf_cancel *cancel; /* may be NULL */
};

/* Reasons (vf_error_reason) that a caller decides on. */
#define VF_UPLOAD_REASON_TOKEN "UploadToken" /* VF_RETRY: token refused, 401 */
#define VF_UPLOAD_REASON_NOT_READY                                                                 \
    "UploadNotReady"                       /* VF_RETRY: 503; 502, 504 before all was sent */
#define VF_UPLOAD_REASON_DONE "UploadDone" /* VF_CONFLICT: 409, the claim is filled */
/* VF_RETRY: all was sent, and the answer is lost or a 502 or 504 of something in between: look at
 * the claim before another try. */
#define VF_UPLOAD_REASON_DOUBT "UploadInDoubt"

/* No request is made before the first write, which calls fetch_token too; some of the request may
 * go out on other threads. Memory: about 16 MiB, and 4 MiB a thread. Errors of write and finish:
 * VF_SPACE (the image does not fit), VF_RETRY (broken, refused for now), VF_AUTH (certificate,
 * proxy that asks for other credentials), VF_UNSUPPORTED (the disk begins like an image format or
 * archive, which CDI would take apart), VF_INVALID (any other 4xx). */
int vf_upload_sink_open(const struct vf_upload_options *options, struct vf_sink **ret_sink,
                        struct vf_error **err);

#endif
