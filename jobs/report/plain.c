#include "jobs/report/report.h"

#include <stdlib.h>

#include "importer/base/mem.h"
#include "jobs/report/listener.h"
#include "jobs/report/message.h"
#include "jobs/report/text.h"

#define INTERVAL_MS 10000

struct plain {
    struct vf_listener l; /* first: the two are cast into each other */
    enum vf_report_level level;
};

static void plain_event(struct vf_listener *l, const struct vf_event *e,
                        const struct vf_track_disk *disk)
{
    const struct plain *p = (const struct plain *)l;
    if (p->level == VF_REPORT_SILENT ||
        (p->level == VF_REPORT_WARNINGS && e->type != VF_EVENT_WARNING)) {
        return;
    }
    char *vf_autofree text = vf_report_message(e, disk, l->options.color);
    if (text) {
        fprintf(l->options.out, "%s\n", text);
        fflush(l->options.out);
    }
}

static void plain_tick(struct vf_listener *l)
{
    struct vf_track_disk total = vf_track_total(&l->track);
    if (total.state != VF_TRACK_RUNNING || total.first_ms < 0) {
        return;
    }
    char done[VF_TEXT_BYTES_SIZE], all[VF_TEXT_BYTES_SIZE], rate[VF_TEXT_BYTES_SIZE];
    char left[VF_TEXT_DURATION_SIZE];
    fprintf(l->options.out, "vmferry: %u %%: %s of %s, %s/s", vf_track_percent(&total),
            vf_text_bytes(done, total.done_bytes), vf_text_bytes(all, total.total_bytes),
            vf_text_bytes(rate, vf_track_bytes_per_s(&total)));
    int64_t eta_s = vf_track_eta_s(&total);
    if (eta_s >= 0) {
        fprintf(l->options.out, ", %s left", vf_text_duration(left, (uint64_t)eta_s));
    }
    fputc('\n', l->options.out);
    fflush(l->options.out);
}

static void plain_end(struct vf_listener *l)
{
    (void)l;
}

static const struct vf_listener_ops plain_ops = {
    .interval_ms = INTERVAL_MS, .event = plain_event, .tick = plain_tick, .end = plain_end};
static const struct vf_listener_ops still_ops = {
    .event = plain_event, .tick = plain_end, .end = plain_end};

struct vf_reporter *vf_report_plain_new(const struct vf_report_options *options,
                                        enum vf_report_level level)
{
    struct plain *p = vf_xcalloc(1, sizeof *p);
    p->level = level;
    return vf_listener_start(&p->l, level == VF_REPORT_PLAIN ? &plain_ops : &still_ops, options);
}
