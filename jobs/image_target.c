#include "jobs/image_target.h"

#include <unistd.h>

#include "converters/disk/qcow2.h"
#include "converters/disk/raw.h"

static int open_image(struct vf_disk_target *target, uint64_t size_bytes,
                      const struct vf_cancel *cancel, struct vf_sink **ret_sink,
                      struct vf_error **err)
{
    const struct vf_image_target *t = (const struct vf_image_target *)target;
    (void)cancel;
    if (t->format == VF_FORMAT_QCOW2) {
        return vf_qcow2_sink_create(t->place.partial, size_bytes, ret_sink, err);
    }
    return vf_raw_sink_create(t->place.partial, size_bytes, ret_sink, err);
}

static void discard(struct vf_disk_target *target)
{
    unlink(((struct vf_image_target *)target)->place.partial);
}

static const struct vf_disk_target_ops ops = {.open = open_image, .discard = discard};

int vf_image_target_init(struct vf_image_target *t, const char *path, enum vf_format format,
                         bool overwrite, struct vf_error **err)
{
    *t = (struct vf_image_target){.target = {.ops = &ops}, .format = format};
    return vf_place_reserve(&t->place, path, overwrite, err);
}

int vf_image_target_adopt(struct vf_image_target *t, const char *path, enum vf_format format,
                          bool overwrite, struct vf_error **err)
{
    *t = (struct vf_image_target){.target = {.ops = &ops}, .format = format};
    return vf_place_adopt(&t->place, path, overwrite, err);
}

int vf_image_target_reopen(const struct vf_image_target *t, uint64_t size_bytes,
                           struct vf_sink **ret_sink, struct vf_error **err)
{
    if (t->format == VF_FORMAT_QCOW2) {
        return vf_qcow2_sink_open(t->place.partial, size_bytes, ret_sink, err);
    }
    return vf_raw_sink_open(t->place.partial, size_bytes, ret_sink, err);
}

int vf_image_target_commit(struct vf_image_target *t, struct vf_error **err)
{
    return vf_place_commit(&t->place, err);
}

void vf_image_target_release(struct vf_image_target *t)
{
    vf_place_release(&t->place);
}
