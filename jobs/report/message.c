#include "jobs/report/message.h"

#include "importer/base/mem.h"
#include "jobs/report/text.h"

#define YELLOW "\033[33m"
#define NORMAL "\033[0m"

static void put_subject(struct vf_buf *b, const struct vf_event *e)
{
    if (e->vm) {
        vf_text_put_safe(b, e->vm);
        vf_buf_puts(b, ": ");
    }
}

static void put_phase(struct vf_buf *b, const struct vf_event *e)
{
    vf_text_put_safe(b, e->name ? e->name : "");
    if (e->message && *e->message) {
        vf_buf_puts(b, e->name ? ": " : "");
        vf_text_put_safe(b, e->message);
    }
}

static void put_disk_end(struct vf_buf *b, const struct vf_track_disk *d)
{
    char done[VF_TEXT_BYTES_SIZE], rate[VF_TEXT_BYTES_SIZE], took[VF_TEXT_DURATION_SIZE];
    vf_text_put_safe(b, d->name);
    if (d->state == VF_TRACK_FAILED) {
        vf_buf_printf(b, ": stopped at %u %%", vf_track_percent(d));
        return;
    }
    vf_buf_printf(b, ": %s in %s", vf_text_bytes(done, d->done_bytes),
                  vf_text_duration(took, vf_track_elapsed_s(d)));
    if (vf_track_bytes_per_s(d) > 0) {
        vf_buf_printf(b, ", %s/s", vf_text_bytes(rate, vf_track_bytes_per_s(d)));
    }
}

char *vf_report_message(const struct vf_event *e, const struct vf_track_disk *disk, bool color)
{
    struct vf_buf b;
    vf_buf_init(&b, SIZE_MAX);
    vf_buf_puts(&b, "vmferry: ");
    switch (e->type) {
    case VF_EVENT_PHASE:
        put_subject(&b, e);
        put_phase(&b, e);
        break;
    case VF_EVENT_WARNING:
        vf_buf_printf(&b, "%swarning:%s ", color ? YELLOW : "", color ? NORMAL : "");
        put_subject(&b, e);
        vf_text_put_safe(&b, e->message ? e->message : "");
        break;
    case VF_EVENT_INFO:
        put_subject(&b, e);
        vf_text_put_safe(&b, e->message ? e->message : "");
        break;
    case VF_EVENT_RESULT:
        if (!e->error && e->message) {
            put_subject(&b, e);
            vf_buf_puts(&b, "done: ");
            vf_text_put_safe(&b, e->message);
            break;
        }
        vf_buf_release(&b);
        return NULL;
    case VF_EVENT_DISK_END:
        if (disk) {
            put_subject(&b, e);
            put_disk_end(&b, disk);
            break;
        }
        /* fall through */
    case VF_EVENT_DISK_START:
        vf_buf_release(&b);
        return NULL;
    }
    return vf_buf_take_string(&b);
}
