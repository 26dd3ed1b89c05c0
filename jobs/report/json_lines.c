#include "jobs/report/report.h"

#include <stdlib.h>

#include "importer/base/json.h"
#include "importer/base/mem.h"
#include "jobs/report/listener.h"

static cJSON *new_line(struct vf_listener *l, const char *event, const char *vm)
{
    char now[VF_CLOCK_RFC3339_SIZE];
    l->options.wall_clock(l->options.opaque, now);
    cJSON *line = vf_json_new_object();
    vf_json_add_string(line, "event", event);
    vf_json_add_string(line, "time", now);
    vf_json_add_string(line, "vm", vm);
    return line;
}

/* A reader that went away does not stop a copy; main() learns of it when it closes stdout. */
static void put_line(struct vf_listener *l, cJSON *line)
{
    char *vf_autofree text = vf_json_print(line, false);
    cJSON_Delete(line);
    fprintf(l->options.out, "%s\n", text);
    fflush(l->options.out);
}

static void add_outcome(cJSON *line, const struct vf_event *e)
{
    const struct vf_error *error = e->error;
    vf_json_add_string(line, "code", vf_code_name(vf_error_code(error)));
    if (error) {
        char *vf_autofree message = vf_error_format(error);
        vf_json_add_string(line, "message", message);
        vf_json_add_string(line, "hint", vf_error_get_hint(error));
    } else {
        vf_json_add_string(line, "message", e->message);
    }
}

static void add_disk(cJSON *line, const struct vf_track_disk *d)
{
    vf_json_add_u64(line, "disk", d->index);
    vf_json_add_string(line, "name", d->name);
    vf_json_add_u64(line, "total_bytes", d->total_bytes);
}

static void add_counters(cJSON *line, const struct vf_track_disk *d)
{
    vf_json_add_u64(line, "done_bytes", d->done_bytes);
    vf_json_add_u64(line, "data_bytes", d->data_bytes);
    vf_json_add_u64(line, "source_bytes", d->source_bytes);
    vf_json_add_u64(line, "rate", vf_track_bytes_per_s(d));
}

static void add_data(cJSON *line, const char *data)
{
    cJSON *tree = data ? cJSON_Parse(data) : NULL;
    if (tree && !cJSON_AddItemToObject(line, "status", tree)) {
        cJSON_Delete(tree);
    }
}

static void json_event(struct vf_listener *l, const struct vf_event *e,
                       const struct vf_track_disk *disk)
{
    static const char *const names[] = {
        [VF_EVENT_PHASE] = "phase",       [VF_EVENT_WARNING] = "warning",
        [VF_EVENT_INFO] = "info",         [VF_EVENT_DISK_START] = "disk_start",
        [VF_EVENT_DISK_END] = "disk_end", [VF_EVENT_RESULT] = "result",
    };
    cJSON *line = new_line(l, names[e->type], e->vm);
    if (disk) {
        add_disk(line, disk);
    }
    if (e->type == VF_EVENT_PHASE) {
        vf_json_add_string(line, "phase", e->name);
        add_data(line, e->data);
    }
    if (e->type == VF_EVENT_DISK_END) {
        if (disk) {
            add_counters(line, disk);
        }
        add_outcome(line, e);
    } else if (e->type == VF_EVENT_RESULT) {
        add_outcome(line, e);
    } else {
        vf_json_add_string(line, "message", e->message);
    }
    put_line(l, line);
}

static void json_tick(struct vf_listener *l)
{
    for (size_t i = 0; i < l->track.n_disks; i++) {
        const struct vf_track_disk *d = &l->track.disks[i];
        if (d->state != VF_TRACK_RUNNING || d->first_ms < 0) {
            continue;
        }
        cJSON *line = new_line(l, "progress", d->vm);
        add_disk(line, d);
        add_counters(line, d);
        int64_t eta_s = vf_track_eta_s(d);
        if (eta_s >= 0) {
            vf_json_add_u64(line, "eta_s", (uint64_t)eta_s);
        }
        put_line(l, line);
    }
}

static void json_end(struct vf_listener *l)
{
    (void)l;
}

static const struct vf_listener_ops json_ops = {
    .interval_ms = 1000, .event = json_event, .tick = json_tick, .end = json_end};

struct vf_reporter *vf_report_json_new(const struct vf_report_options *options)
{
    struct vf_listener *l = vf_xcalloc(1, sizeof *l);
    return vf_listener_start(l, &json_ops, options);
}
