#include "jobs/cluster/worker_events.h"

#include <stdlib.h>
#include <string.h>

#include "importer/base/buf.h"
#include "importer/base/json.h"
#include "importer/base/log.h"
#include "importer/base/mem.h"
#include "importer/kube/text.h"
#include "jobs/migration/status.h"

#define MAX_LINE_BYTES  65536u
#define MAX_PHASE_BYTES 64u
#define MAX_DISK_BYTES  (1ull << 62)

void vf_worker_events_init(struct vf_worker_events *w, struct vf_reporter *reporter, const char *vm,
                           size_t n_disks)
{
    *w = (struct vf_worker_events){.reporter = reporter, .vm = vf_xstrdup(vm), .n_disks = n_disks};
    w->disks = vf_xcalloc(n_disks, sizeof *w->disks);
    for (size_t i = 0; i < n_disks; i++) {
        w->disks[i].name = vf_xasprintf("disk %zu", i);
    }
}

void vf_worker_events_name_disk(struct vf_worker_events *w, size_t index, const char *name)
{
    vf_replace_string(&w->disks[index].name, name);
}

/* NULL when there is none, or it is empty. */
static char *text_of(const cJSON *line, const char *key, size_t max_bytes)
{
    const char *raw = vf_json_string(line, key);
    char *text = raw ? vf_kube_clean_text(raw, max_bytes) : NULL;
    if (text && !*text) {
        free(vf_take(text));
    }
    return text;
}

static enum vf_code code_of(const cJSON *line)
{
    const char *name = vf_json_string(line, "code");
    for (int code = VF_OK; name && code >= VF_INTERNAL; code--) {
        if (strcmp(name, vf_code_name(code)) == 0) {
            return (enum vf_code)code;
        }
    }
    return VF_INTERNAL;
}

static uint64_t bytes_of(const cJSON *line, const char *key, uint64_t max)
{
    uint64_t n = 0;
    if (!vf_json_u64(line, key, &n)) {
        return 0;
    }
    return n < max ? n : max;
}

static void take_counters(struct vf_progress *p, const cJSON *line)
{
    atomic_store(&p->data_bytes, bytes_of(line, "data_bytes", p->total_bytes));
    atomic_store(&p->source_bytes, bytes_of(line, "source_bytes", MAX_DISK_BYTES));
    atomic_store(&p->done_bytes, bytes_of(line, "done_bytes", p->total_bytes));
}

static void report_disk(const struct vf_worker_events *w, enum vf_event_type type, unsigned index,
                        const struct vf_error *error)
{
    const struct vf_worker_disk *d = &w->disks[index];
    vf_report(w->reporter, &(struct vf_event){.type = type,
                                              .vm = w->vm,
                                              .disk = index,
                                              .name = d->name,
                                              .progress = &d->progress,
                                              .error = error});
}

/* A second start is a second try. */
static void start_disk(struct vf_worker_events *w, unsigned index, const cJSON *line)
{
    struct vf_worker_disk *d = &w->disks[index];
    d->progress.total_bytes = bytes_of(line, "total_bytes", MAX_DISK_BYTES);
    take_counters(&d->progress, line);
    d->running = true;
    report_disk(w, VF_EVENT_DISK_START, index, NULL);
}

static void end_disk(struct vf_worker_events *w, unsigned index, const cJSON *line)
{
    struct vf_worker_disk *d = &w->disks[index];
    enum vf_code code = code_of(line);
    struct vf_error *e = NULL;
    if (!d->running) {
        return;
    }
    if (code != VF_OK) {
        char *vf_autofree text = text_of(line, "message", VF_WORKER_TEXT_MAX);
        vf_error_set(&e, code, "%s", text ? text : "no reason given");
    }
    take_counters(&d->progress, line);
    d->running = false;
    report_disk(w, VF_EVENT_DISK_END, index, e);
    vf_error_free(e);
}

static void disk_event(struct vf_worker_events *w, const char *event, const cJSON *line)
{
    uint64_t index;
    if (!vf_json_u64(line, "disk", &index) || index >= w->n_disks) {
        return;
    }
    if (strcmp(event, "disk_start") == 0) {
        start_disk(w, (unsigned)index, line);
    } else if (strcmp(event, "disk_end") == 0) {
        end_disk(w, (unsigned)index, line);
    } else if (w->disks[index].running) {
        take_counters(&w->disks[index].progress, line);
    }
}

/* The first one stands: a worker that goes on talking after its end is none of ours. */
static void take_result(struct vf_worker_events *w, const cJSON *line)
{
    if (w->has_result) {
        return;
    }
    w->has_result = true;
    w->code = code_of(line);
    w->message = text_of(line, "message", VF_WORKER_TEXT_MAX);
    w->hint = text_of(line, "hint", VF_WORKER_TEXT_MAX);
}

/* What is said after a result is said by the next worker. */
static void forget_result(struct vf_worker_events *w)
{
    w->has_result = false;
    w->code = VF_OK;
    free(vf_take(w->message));
    free(vf_take(w->hint));
}

/* A migration's status, as it is put out again: what could be read of it, and nothing else. */
static char *status_of(const cJSON *line)
{
    const cJSON *tree = vf_json_object(line, "status");
    struct vf_migration_status status = {0};
    char *vf_autofree raw = tree ? vf_json_print(tree, false) : NULL;
    if (!raw || vf_migration_status_parse(raw, strlen(raw), &status, NULL) != 0) {
        return NULL;
    }
    char *text = vf_migration_status_encode(&status);
    vf_migration_status_release(&status);
    return text;
}

static void text_event(const struct vf_worker_events *w, const char *event, const cJSON *line)
{
    char *vf_autofree text = text_of(line, "message", VF_WORKER_TEXT_MAX);
    if (strcmp(event, "phase") == 0) {
        char *vf_autofree phase = text_of(line, "phase", MAX_PHASE_BYTES);
        char *vf_autofree status = phase ? status_of(line) : NULL;
        if (phase) {
            vf_report(w->reporter, &(struct vf_event){.type = VF_EVENT_PHASE,
                                                      .vm = w->vm,
                                                      .name = phase,
                                                      .message = text ? text : "",
                                                      .data = status});
        }
    } else if (text && strcmp(event, "warning") == 0) {
        vf_report_warning(w->reporter, w->vm, "%s", text);
    } else if (text && strcmp(event, "info") == 0) {
        vf_report_info(w->reporter, w->vm, "%s", text);
    }
}

static void keep_tail(struct vf_worker_events *w, const char *line, size_t len)
{
    char *vf_autofree raw = vf_xstrndup(line, len);
    char *text = vf_kube_clean_text(raw, VF_WORKER_TEXT_MAX / VF_WORKER_TAIL_LINES);
    if (!*text) {
        free(text);
        return;
    }
    vf_debug("worker: %s", text);
    if (w->n_tail == VF_WORKER_TAIL_LINES) {
        free(w->tail[0]);
        memmove(w->tail, w->tail + 1, (VF_WORKER_TAIL_LINES - 1) * sizeof *w->tail);
        w->n_tail--;
    }
    w->tail[w->n_tail++] = text;
}

void vf_worker_events_line(struct vf_worker_events *w, const char *line, size_t len)
{
    cJSON *tree = NULL;
    w->heard = true;
    len = len < MAX_LINE_BYTES ? len : MAX_LINE_BYTES;
    if (len == 0 || line[0] != '{' || vf_json_parse(line, len, "a line", &tree, NULL) != 0) {
        keep_tail(w, line, len);
        return;
    }
    const char *event = vf_json_string(tree, "event");
    if (w->many && w->has_result && event && strcmp(event, "result") != 0) {
        forget_result(w);
    }
    if (!event) {
        keep_tail(w, line, len);
    } else if (strcmp(event, "result") == 0) {
        take_result(w, tree);
    } else if (strcmp(event, "progress") == 0 || strncmp(event, "disk_", 5) == 0) {
        disk_event(w, event, tree);
    } else {
        text_event(w, event, tree);
    }
    cJSON_Delete(tree);
}

void vf_worker_events_end(struct vf_worker_events *w, const struct vf_error *error)
{
    for (size_t i = 0; i < w->n_disks; i++) {
        if (w->disks[i].running) {
            w->disks[i].running = false;
            report_disk(w, VF_EVENT_DISK_END, (unsigned)i, error);
        }
    }
}

char *vf_worker_events_tail(const struct vf_worker_events *w)
{
    struct vf_buf b;
    vf_buf_init(&b, SIZE_MAX);
    for (size_t i = 0; i < w->n_tail; i++) {
        vf_buf_printf(&b, "%s%s", i ? "\n" : "", w->tail[i]);
    }
    return w->n_tail ? vf_buf_take_string(&b) : NULL;
}

void vf_worker_events_release(struct vf_worker_events *w)
{
    for (size_t i = 0; i < w->n_disks; i++) {
        free(w->disks[i].name);
    }
    for (size_t i = 0; i < w->n_tail; i++) {
        free(w->tail[i]);
    }
    free(w->disks);
    free(w->vm);
    free(w->message);
    free(w->hint);
    *w = (struct vf_worker_events){0};
}
