#include "tests/support/event_log.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "importer/base/mem.h"
#include "tests/support/check.h"

static void put_disk(struct vf_buf *b, const struct vf_event *e)
{
    uint64_t done = e->progress ? atomic_load(&e->progress->done_bytes) : 0;
    vf_buf_printf(b, " %u %s %" PRIu64 "/%" PRIu64, e->disk, e->name ? e->name : "-", done,
                  e->progress ? e->progress->total_bytes : 0);
}

static void put_outcome(struct vf_buf *b, const struct vf_event *e)
{
    char *vf_autofree error = e->error ? vf_error_format(e->error) : NULL;
    vf_buf_printf(b, " %s: %s", vf_code_name(vf_error_code(e->error)),
                  error        ? error
                  : e->message ? e->message
                               : "");
}

static void take(struct vf_reporter *r, const struct vf_event *e)
{
    static const char *const names[] = {"phase",      "warning",  "info",
                                        "disk_start", "disk_end", "result"};
    struct vf_test_events *log = (struct vf_test_events *)r;
    pthread_mutex_lock(&log->lock);
    struct vf_buf *b = &log->text;
    vf_buf_printf(b, "%s %s", names[e->type], e->vm ? e->vm : "-");
    if (e->type == VF_EVENT_DISK_START || e->type == VF_EVENT_DISK_END) {
        put_disk(b, e);
    }
    if (e->type == VF_EVENT_DISK_END || e->type == VF_EVENT_RESULT) {
        put_outcome(b, e);
    } else if (e->type == VF_EVENT_PHASE) {
        vf_buf_printf(b, " %s: %s", e->name ? e->name : "", e->message ? e->message : "");
    } else if (e->type != VF_EVENT_DISK_START) {
        vf_buf_printf(b, ": %s", e->message ? e->message : "");
    }
    vf_buf_puts(b, "\n");
    pthread_mutex_unlock(&log->lock);
}

static const struct vf_reporter_ops ops = {.event = take};

void vf_test_events_init(struct vf_test_events *e)
{
    e->reporter.ops = &ops;
    pthread_mutex_init(&e->lock, NULL);
    vf_buf_init(&e->text, 1 << 20);
}

void vf_test_events_release(struct vf_test_events *e)
{
    vf_buf_release(&e->text);
    pthread_mutex_destroy(&e->lock);
}

char *vf_test_events_text(struct vf_test_events *e)
{
    pthread_mutex_lock(&e->lock);
    char *text = vf_xstrdup(e->text.data ? e->text.data : "");
    pthread_mutex_unlock(&e->lock);
    return text;
}

bool vf_test_events_has(struct vf_test_events *e, const char *part)
{
    char *vf_autofree text = vf_test_events_text(e);
    return strstr(text, part) != NULL;
}

void vf_test_events_expect(struct vf_test_events *e, const char *part)
{
    if (!vf_test_events_has(e, part)) {
        char *vf_autofree text = vf_test_events_text(e);
        fprintf(stderr, "not told: %s\nbut:\n%s", part, text);
        vf_test_check(!"event as expected");
    }
}
