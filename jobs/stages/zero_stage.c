#include <stdlib.h>

#include "importer/base/mem.h"
#include "importer/base/zero.h"
#include "jobs/stages/stage.h"

static int zero_zero(struct vf_sink *s, uint64_t offset_bytes, uint64_t length_bytes,
                     struct vf_error **err)
{
    return vf_sink_zero(((struct vf_stage *)s)->next, offset_bytes, length_bytes, err);
}

/* Length of the run of zero blocks (or of others, as `zero` says) at p. Blocks are counted from the
 * start of the write: callers write at block boundaries but for odd ends. */
static size_t run_length(const uint8_t *p, size_t len, bool zero)
{
    size_t n = 0;
    while (n < len) {
        size_t block = len - n < VF_ZERO_BLOCK_BYTES ? len - n : VF_ZERO_BLOCK_BYTES;
        if (vf_is_zero(p + n, block) != zero) {
            break;
        }
        n += block;
    }
    return n;
}

static int zero_write(struct vf_sink *s, const void *buf, size_t len_bytes, uint64_t offset_bytes,
                      struct vf_error **err)
{
    struct vf_sink *next = ((struct vf_stage *)s)->next;
    const uint8_t *p = buf;
    size_t data = 0; /* bytes at p known to be data, not handed on yet */
    size_t left = len_bytes;
    int rc = 0;

    while (left > data && rc == 0) {
        data += run_length(p + data, left - data, false);
        size_t zeros = run_length(p + data, left - data, true);
        if (zeros < VF_ZERO_RUN_BYTES && zeros != len_bytes) {
            data += zeros;
            continue;
        }
        if (data > 0) {
            rc = vf_sink_write(next, p, data, offset_bytes, err);
        }
        if (rc == 0) {
            rc = vf_sink_zero(next, offset_bytes + data, zeros, err);
        }
        p += data + zeros;
        offset_bytes += data + zeros;
        left -= data + zeros;
        data = 0;
    }
    if (rc == 0 && data > 0) {
        rc = vf_sink_write(next, p, data, offset_bytes, err);
    }
    return rc;
}

static void zero_free(struct vf_sink *s)
{
    vf_sink_free(((struct vf_stage *)s)->next);
    free(s);
}

static const struct vf_sink_ops zero_ops = {
    .write = zero_write,
    .zero = zero_zero,
    .read = vf_stage_read,
    .flush = vf_stage_flush,
    .finish = vf_stage_finish,
    .free = zero_free,
};

struct vf_sink *vf_zero_stage_new(struct vf_sink *next)
{
    struct vf_stage *st = vf_xcalloc(1, sizeof *st);
    vf_stage_init(st, &zero_ops, next);
    return &st->base;
}
