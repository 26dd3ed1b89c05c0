/* The log of a pod: whatever its lines are, the events that come of them stay within bounds. */
#include <stdlib.h>
#include <string.h>

#include "jobs/cluster/worker_events.h"

#define N_DISKS 3

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_text(const char *text)
{
    for (; text && *text; text++) {
        if ((unsigned char)*text < ' ' || *text == 0x7f) {
            abort();
        }
    }
}

static void check_event(struct vf_reporter *r, const struct vf_event *e)
{
    (void)r;
    bool disk = e->type == VF_EVENT_DISK_START || e->type == VF_EVENT_DISK_END;
    if (strcmp(e->vm, "web01") != 0 || (disk && e->disk >= N_DISKS) || e->type == VF_EVENT_RESULT) {
        abort();
    }
    if (disk && atomic_load(&e->progress->done_bytes) > e->progress->total_bytes) {
        abort();
    }
    check_text(e->message);
    check_text(e->name);
    if (e->message && strlen(e->message) > VF_WORKER_TEXT_MAX + 3) {
        abort();
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const struct vf_reporter_ops ops = {.event = check_event};
    struct vf_reporter reporter = {.ops = &ops};
    struct vf_worker_events w;
    vf_worker_events_init(&w, &reporter, "web01", N_DISKS);
    while (size) {
        const uint8_t *end = memchr(data, '\n', size);
        size_t len = end ? (size_t)(end - data) : size;
        vf_worker_events_line(&w, (const char *)data, len);
        data += len + (end ? 1 : 0);
        size -= len + (end ? 1 : 0);
    }
    check_text(w.message);
    check_text(w.hint);
    free(vf_worker_events_tail(&w));
    vf_worker_events_end(&w, NULL);
    vf_worker_events_release(&w);
    return 0;
}
