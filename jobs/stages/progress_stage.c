#include <stdlib.h>

#include "importer/base/mem.h"
#include "jobs/stages/stage.h"

struct progress_stage {
    struct vf_stage stage;
    struct vf_progress *progress;
};

static void add(_Atomic uint64_t *counter, uint64_t n)
{
    atomic_fetch_add_explicit(counter, n, memory_order_relaxed);
}

static int progress_write(struct vf_sink *s, const void *buf, size_t len_bytes,
                          uint64_t offset_bytes, struct vf_error **err)
{
    struct progress_stage *p = (struct progress_stage *)s;
    int rc = vf_sink_write(p->stage.next, buf, len_bytes, offset_bytes, err);
    if (rc == 0) {
        add(&p->progress->data_bytes, len_bytes);
        add(&p->progress->done_bytes, len_bytes);
    }
    return rc;
}

static int progress_zero(struct vf_sink *s, uint64_t offset_bytes, uint64_t length_bytes,
                         struct vf_error **err)
{
    struct progress_stage *p = (struct progress_stage *)s;
    int rc = vf_sink_zero(p->stage.next, offset_bytes, length_bytes, err);
    if (rc == 0) {
        add(&p->progress->done_bytes, length_bytes);
    }
    return rc;
}

static void progress_free(struct vf_sink *s)
{
    vf_sink_free(((struct vf_stage *)s)->next);
    free(s);
}

static const struct vf_sink_ops progress_ops = {
    .write = progress_write,
    .zero = progress_zero,
    .read = vf_stage_read,
    .flush = vf_stage_flush,
    .finish = vf_stage_finish,
    .free = progress_free,
};

struct vf_sink *vf_progress_stage_new(struct vf_sink *next, struct vf_progress *progress)
{
    struct progress_stage *p = vf_xcalloc(1, sizeof *p);
    vf_stage_init(&p->stage, &progress_ops, next);
    p->progress = progress;
    return &p->stage.base;
}
