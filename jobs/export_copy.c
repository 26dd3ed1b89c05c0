#include "jobs/export_copy.h"

#include <stdatomic.h>

#include "jobs/export_streams.h"

static bool wants(void *opaque, size_t disk)
{
    (void)opaque;
    (void)disk;
    return true;
}

static int take(void *opaque, size_t disk, struct vf_stream *in, struct vf_cancel *cancel,
                struct vf_error **err)
{
    const struct vf_export_copy *x = opaque;
    return vf_disk_copy_stream(&x->copies[disk], x->env, in, cancel, err);
}

static void ended(void *opaque, size_t disk, const struct vf_error *error)
{
    const struct vf_export_copy *x = opaque;
    vf_disk_copy_report_end(&x->copies[disk], x->env, error);
}

static uint64_t get_done_bytes(void *opaque, size_t disk)
{
    const struct vf_export_copy *x = opaque;
    return atomic_load(&x->copies[disk].progress.done_bytes);
}

static const struct vf_export_taker taker = {
    .wants = wants, .take = take, .ended = ended, .get_done_bytes = get_done_bytes};

int vf_export_copy_run(const struct vf_export_copy *x, struct vf_error **err)
{
    struct vf_export_copy copy = *x;
    struct vf_export_streams streams = {.lease = x->lease,
                                        .vm = x->vm,
                                        .http = x->http,
                                        .reporter = x->env->reporter,
                                        .parallel = x->parallel,
                                        .cancel = x->cancel,
                                        .taker = &taker,
                                        .opaque = &copy};
    return vf_export_streams_run(&streams, err);
}
