/* Takes everything and keeps nothing: behind a digest stage, for reading a disk through. */
#include <stdlib.h>

#include "importer/base/mem.h"
#include "jobs/stages/stage.h"

static int null_write(struct vf_sink *s, const void *buf, size_t len_bytes, uint64_t offset_bytes,
                      struct vf_error **err)
{
    (void)s;
    (void)buf;
    (void)len_bytes;
    (void)offset_bytes;
    (void)err;
    return 0;
}

static int null_zero(struct vf_sink *s, uint64_t offset_bytes, uint64_t length_bytes,
                     struct vf_error **err)
{
    (void)s;
    (void)offset_bytes;
    (void)length_bytes;
    (void)err;
    return 0;
}

static int null_read(struct vf_sink *s, void *buf, size_t len_bytes, uint64_t offset_bytes,
                     struct vf_error **err)
{
    (void)s;
    (void)buf;
    (void)len_bytes;
    (void)offset_bytes;
    return vf_error_set(err, VF_UNSUPPORTED, "nothing was kept that could be read back");
}

static int null_flush(struct vf_sink *s, struct vf_error **err)
{
    (void)s;
    (void)err;
    return 0;
}

static void null_free(struct vf_sink *s)
{
    free(s);
}

static const struct vf_sink_ops null_ops = {
    .write = null_write,
    .zero = null_zero,
    .read = null_read,
    .flush = null_flush,
    .finish = null_flush,
    .free = null_free,
};

struct vf_sink *vf_null_sink_new(uint64_t size_bytes)
{
    struct vf_sink *s = vf_xcalloc(1, sizeof *s);
    *s = (struct vf_sink){.ops = &null_ops,
                          .size_bytes = size_bytes,
                          .caps = VF_SINK_RANDOM | VF_SINK_PARALLEL | VF_SINK_REWRITABLE};
    return s;
}
