#include "jobs/stages/stage.h"

void vf_stage_init(struct vf_stage *st, const struct vf_sink_ops *ops, struct vf_sink *next)
{
    st->base = (struct vf_sink){.ops = ops, .size_bytes = next->size_bytes, .caps = next->caps};
    st->next = next;
}

int vf_stage_read(struct vf_sink *s, void *buf, size_t len_bytes, uint64_t offset_bytes,
                  struct vf_error **err)
{
    return vf_sink_read(((struct vf_stage *)s)->next, buf, len_bytes, offset_bytes, err);
}

int vf_stage_flush(struct vf_sink *s, struct vf_error **err)
{
    return vf_sink_flush(((struct vf_stage *)s)->next, err);
}

int vf_stage_finish(struct vf_sink *s, struct vf_error **err)
{
    return vf_sink_finish(((struct vf_stage *)s)->next, err);
}
