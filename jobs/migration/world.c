#include "jobs/migration/world.h"

#include <time.h>

#include "importer/base/clock.h"

static struct vf_real_world *real(struct vf_world *w)
{
    return (struct vf_real_world *)w;
}

static int64_t now_ms(struct vf_world *w)
{
    (void)w;
    return vf_clock_ms();
}

static int64_t now_s(struct vf_world *w)
{
    (void)w;
    return (int64_t)time(NULL);
}

static int wait_for(struct vf_world *w, int64_t timeout_ms, struct vf_migration_request *ret,
                    struct vf_error **err)
{
    return vf_watch_wait(real(w)->watch, timeout_ms, ret, err);
}

static void rest(struct vf_world *w, int64_t timeout_ms)
{
    (void)w;
    (void)vf_cancel_wait(NULL, timeout_ms, NULL);
}

static void tell(struct vf_world *w, enum vf_migration_phase phase,
                 const struct vf_rounds_forecast *forecast, const char *detail,
                 const char *next_step, const struct vf_error *error)
{
    vf_watch_set_numbers(real(w)->watch, w->numbers.tries, w->numbers.downtime_ms);
    vf_watch_tell(real(w)->watch, phase, forecast, detail, next_step, error);
}

static void warn(struct vf_world *w, const char *text)
{
    struct vf_real_world *r = real(w);
    vf_report_warning(r->im.reporter, r->im.vm_name, "%s", text);
}

const struct vf_world_ops vf_real_world_ops = {
    .look = vf_world_look,
    .enable_tracking = vf_world_enable_tracking,
    .take_snapshot = vf_world_take_snapshot,
    .shut_down = vf_world_shut_down,
    .remove_snapshots = vf_world_remove_snapshots,
    .power_on = vf_world_power_on,
    .note = vf_world_note,
    .prepare = vf_world_prepare,
    .guard = vf_world_guard,
    .copy = vf_world_copy,
    .deliver = vf_world_deliver,
    .fetch_accepted = vf_world_fetch_accepted,
    .start = vf_world_start,
    .settle = vf_world_settle,
    .discard = vf_world_discard,
    .checkpoint = vf_world_checkpoint,
    .save = vf_world_save,
    .now_ms = now_ms,
    .now_s = now_s,
    .wait = wait_for,
    .rest = rest,
    .tell = tell,
    .warn = warn,
};
