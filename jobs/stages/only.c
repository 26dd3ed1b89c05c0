#include "jobs/stages/only.h"

#include <inttypes.h>
#include <pthread.h>
#include <stdlib.h>

#include "importer/base/mem.h"
#include "jobs/stages/stage.h"

struct only_stage {
    struct vf_sink base;
    struct vf_sink *next;
    const struct vf_areas *areas;

    pthread_mutex_t lock; /* guards all below; no call is made under it */
    struct vf_areas taken;
    uint64_t taken_bytes; /* counted, for what is at its ceiling `taken` does not tell */
};

static void note_taken(struct only_stage *o, const struct vf_area *part)
{
    pthread_mutex_lock(&o->lock);
    o->taken_bytes += part->length_bytes;
    /* Cannot fail: the range lies in a set, and small areas are dropped where there are too many.
     */
    (void)vf_areas_add(&o->taken, part->offset_bytes, part->length_bytes, NULL);
    pthread_mutex_unlock(&o->lock);
}

/* The parts of [offset, offset + length) that lie in the set; data, or zero when buf is NULL. */
static int hand_on(struct only_stage *o, const uint8_t *buf, uint64_t offset_bytes,
                   uint64_t length_bytes, struct vf_error **err)
{
    uint64_t at = offset_bytes, end = offset_bytes + length_bytes;
    struct vf_area part;
    int rc = 0;
    while (rc == 0 && at < end && vf_areas_next(o->areas, at, &part) && part.offset_bytes < end) {
        uint64_t left = end - part.offset_bytes;
        part.length_bytes = part.length_bytes < left ? part.length_bytes : left;
        rc = buf ? vf_sink_write(o->next, buf + (part.offset_bytes - offset_bytes),
                                 (size_t)part.length_bytes, part.offset_bytes, err)
                 : vf_sink_zero(o->next, part.offset_bytes, part.length_bytes, err);
        if (rc == 0) {
            note_taken(o, &part);
        }
        at = part.offset_bytes + part.length_bytes;
    }
    return rc;
}

static int only_write(struct vf_sink *s, const void *buf, size_t len_bytes, uint64_t offset_bytes,
                      struct vf_error **err)
{
    return hand_on((struct only_stage *)s, buf, offset_bytes, len_bytes, err);
}

static int only_zero(struct vf_sink *s, uint64_t offset_bytes, uint64_t length_bytes,
                     struct vf_error **err)
{
    return hand_on((struct only_stage *)s, NULL, offset_bytes, length_bytes, err);
}

static int only_read(struct vf_sink *s, void *buf, size_t len_bytes, uint64_t offset_bytes,
                     struct vf_error **err)
{
    return vf_sink_read(((struct only_stage *)s)->next, buf, len_bytes, offset_bytes, err);
}

static int only_flush(struct vf_sink *s, struct vf_error **err)
{
    return vf_sink_flush(((struct only_stage *)s)->next, err);
}

static int only_finish(struct vf_sink *s, struct vf_error **err)
{
    struct only_stage *o = (struct only_stage *)s;
    pthread_mutex_lock(&o->lock);
    uint64_t taken_bytes = o->taken_bytes;
    pthread_mutex_unlock(&o->lock);
    if (taken_bytes != o->areas->total_bytes) {
        return vf_error_set(err, VF_INTERNAL,
                            "%" PRIu64 " bytes came by where %" PRIu64 " were to be copied",
                            taken_bytes, o->areas->total_bytes);
    }
    return 0;
}

static void only_free(struct vf_sink *s)
{
    struct only_stage *o = (struct only_stage *)s;
    vf_areas_release(&o->taken);
    pthread_mutex_destroy(&o->lock);
    free(o);
}

static const struct vf_sink_ops only_ops = {
    .write = only_write,
    .zero = only_zero,
    .read = only_read,
    .flush = only_flush,
    .finish = only_finish,
    .free = only_free,
};

struct vf_sink *vf_only_stage_new(struct vf_sink *next, const struct vf_areas *areas)
{
    struct only_stage *o = vf_xcalloc(1, sizeof *o);
    o->base =
        (struct vf_sink){.ops = &only_ops, .size_bytes = next->size_bytes, .caps = next->caps};
    o->next = next;
    o->areas = areas;
    pthread_mutex_init(&o->lock, NULL);
    vf_areas_init(&o->taken, VF_AREAS_MAX_DEFAULT, VF_AREAS_DROP);
    return &o->base;
}

int vf_only_stage_subtract(struct vf_sink *only, struct vf_areas *left, struct vf_error **err)
{
    struct only_stage *o = (struct only_stage *)only;
    pthread_mutex_lock(&o->lock);
    int rc = vf_areas_subtract_all(left, &o->taken, err);
    pthread_mutex_unlock(&o->lock);
    return rc;
}
