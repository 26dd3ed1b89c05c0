#include "jobs/cli/status_view.h"

#include "importer/base/buf.h"
#include "importer/base/json.h"
#include "importer/base/mem.h"
#include "jobs/cli/command.h"
#include "jobs/cli/table.h"
#include "jobs/report/text.h"

#define TITLE_COLUMNS 13

static void put_line(struct vf_buf *b, const char *title, const char *text)
{
    if (text && *text) {
        vf_buf_printf(b, "%-*s", TITLE_COLUMNS, title);
        vf_text_put_safe(b, text);
        vf_buf_puts(b, "\n");
    }
}

__attribute__((format(printf, 3, 4))) static void put_linef(struct vf_buf *b, const char *title,
                                                            const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    char *vf_autofree text = vf_xvasprintf(fmt, ap);
    va_end(ap);
    put_line(b, title, text);
}

/* Rounded up: a downtime is not to be promised shorter than it is. */
static const char *duration(char buf[VF_TEXT_DURATION_SIZE], int64_t ms)
{
    return vf_text_duration(buf, ms > 0 ? ((uint64_t)ms + 999) / 1000 : 0);
}

static bool is_copying(const struct vf_migration_status *s)
{
    return s->phase == VF_PHASE_COPYING || s->phase == VF_PHASE_LAST_COPY;
}

static void put_round(struct vf_buf *b, const struct vf_migration_status *s)
{
    char done[VF_TEXT_BYTES_SIZE], all[VF_TEXT_BYTES_SIZE], rate[VF_TEXT_BYTES_SIZE];
    char left[VF_TEXT_DURATION_SIZE];
    uint64_t done_bytes = 0, total_bytes = 0;
    for (size_t i = 0; i < s->n_disks; i++) {
        done_bytes += s->disks[i].round_bytes;
        total_bytes += s->disks[i].round_total_bytes;
    }
    vf_buf_printf(b, "%-*s%u%s: %s of %s", TITLE_COLUMNS, "Round", s->round,
                  s->round == 0 ? " (the full copy)" : "", vf_text_bytes(done, done_bytes),
                  vf_text_bytes(all, total_bytes));
    if (s->bytes_per_s > 0 && is_copying(s)) {
        vf_buf_printf(b, ", %s/s", vf_text_bytes(rate, s->bytes_per_s));
    }
    if (s->eta_ms >= 0 && is_copying(s)) {
        vf_buf_printf(b, ", %s left", duration(left, s->eta_ms));
    }
    if (s->tries > 0) {
        vf_buf_printf(b, "; %u %s failed", s->tries, s->tries == 1 ? "try" : "tries");
    }
    vf_buf_puts(b, "\n");
}

static void put_forecast(struct vf_buf *b, const struct vf_migration_status *s)
{
    char changed[VF_TEXT_BYTES_SIZE], rate[VF_TEXT_BYTES_SIZE];
    char expected[VF_TEXT_DURATION_SIZE], worst[VF_TEXT_DURATION_SIZE];
    char best[VF_TEXT_DURATION_SIZE];
    put_linef(b, "Changed", "%s since the last snapshot, %s/s",
              vf_text_bytes(changed, s->expected_bytes),
              vf_text_bytes(rate, s->change_bytes_per_s));
    put_linef(b, "Downtime", "%s expected, %s at worst; %s at best, after more rounds",
              duration(expected, s->downtime_ms), duration(worst, s->worst_downtime_ms),
              duration(best, s->best_downtime_ms));
}

static void put_disks(struct vf_buf *b, const struct vf_migration_status *s)
{
    static const struct vf_table_column columns[] = {{.title = "DISK"},
                                                     {.title = "TARGET"},
                                                     {.title = "SIZE", .right = true},
                                                     {.title = "ROUND", .right = true},
                                                     {.title = "COPIED", .right = true}};
    char size[VF_TEXT_BYTES_SIZE], done[VF_TEXT_BYTES_SIZE], all[VF_TEXT_BYTES_SIZE];
    if (s->n_disks == 0) {
        return;
    }
    struct vf_table *t = vf_table_new(columns, VF_COUNT(columns));
    for (size_t i = 0; i < s->n_disks; i++) {
        const struct vf_disk_status *d = &s->disks[i];
        vf_table_add(t, d->name);
        vf_table_add(t, d->target);
        vf_table_add(t, vf_text_bytes(size, d->size_bytes));
        vf_table_addf(t, "%s of %s", vf_text_bytes(done, d->round_bytes),
                      vf_text_bytes(all, d->round_total_bytes));
        vf_table_add(t, vf_text_bytes(done, d->copied_bytes));
    }
    char *vf_autofree text = vf_table_print(t);
    vf_table_free(t);
    vf_buf_printf(b, "\n%s", text);
}

char *vf_status_print(const struct vf_status_row *row)
{
    const struct vf_migration_status *s = row->status;
    char copied[VF_TEXT_BYTES_SIZE], took[VF_TEXT_DURATION_SIZE];
    bool ended = vf_migration_phase_is_end(s->phase);
    struct vf_buf b;
    vf_buf_init(&b, SIZE_MAX);
    put_line(&b, "Migration", s->name);
    put_linef(&b, "Source", "\"%s\" at %s", s->source_vm ? s->source_vm : "?",
              s->source ? s->source : "?");
    put_line(&b, "Target", s->place);
    put_linef(&b, "Phase", "%s%s%s", vf_migration_phase_name(s->phase), s->detail ? ": " : "",
              s->detail ? s->detail : "");
    put_line(&b, "Next", s->next_step);
    if (!ended && !row->alive) {
        put_line(&b, "Worked on",
                 "by nobody: it was interrupted, and the same \"vmferry migrate --warm\" goes on");
    }
    put_line(&b, "Error", s->error);
    put_line(&b, "Hint", s->hint);
    put_round(&b, s);
    put_linef(&b, "Copied", "%s in all rounds", vf_text_bytes(copied, s->copied_bytes));
    if (s->transport) {
        put_linef(&b, "Transport", "%s%s%s", s->transport, s->transport_reason ? ": " : "",
                  s->transport_reason ? s->transport_reason : "");
    }
    if (s->forecast && !ended) {
        put_forecast(&b, s);
    }
    if (s->phase == VF_PHASE_DONE && s->measured_downtime_ms > 0) {
        put_linef(&b, "Downtime", "%s, measured", duration(took, s->measured_downtime_ms));
    }
    put_line(&b, "Cutover", ended ? NULL : s->cutover_at);
    put_line(&b, "Checkpoint", s->last_checkpoint);
    put_line(&b, "Started", s->started);
    put_line(&b, "Updated", s->updated);
    put_disks(&b, s);
    return vf_buf_take_string(&b);
}

char *vf_status_print_table(const struct vf_status_row *rows, size_t n)
{
    static const struct vf_table_column columns[] = {
        {.title = "NAME"},
        {.title = "PHASE"},
        {.title = "ALIVE"},
        {.title = "ROUND", .right = true},
        {.title = "COPIED", .right = true},
        {.title = "RATE", .right = true},
        {.title = "CHANGED", .right = true},
        {.title = "DOWNTIME", .right = true},
        {.title = "NEXT"},
    };
    char text[VF_TEXT_BYTES_SIZE], time[VF_TEXT_DURATION_SIZE];
    struct vf_table *t = vf_table_new(columns, VF_COUNT(columns));
    for (size_t i = 0; i < n; i++) {
        const struct vf_migration_status *s = rows[i].status;
        bool forecast = s->forecast && !vf_migration_phase_is_end(s->phase);
        vf_table_add(t, s->name ? s->name : rows[i].name);
        vf_table_add(t, vf_migration_phase_name(s->phase));
        vf_table_add(t, rows[i].alive ? "yes" : "no");
        vf_table_addf(t, "%u", s->round);
        vf_table_add(t, vf_text_bytes(text, s->copied_bytes));
        if (s->bytes_per_s > 0 && is_copying(s)) {
            vf_table_addf(t, "%s/s", vf_text_bytes(text, s->bytes_per_s));
        } else {
            vf_table_add(t, NULL);
        }
        vf_table_add(t, forecast ? vf_text_bytes(text, s->expected_bytes) : NULL);
        vf_table_add(t, forecast                    ? duration(time, s->downtime_ms)
                        : s->phase == VF_PHASE_DONE ? duration(time, s->measured_downtime_ms)
                                                    : NULL);
        vf_table_add(t, s->error ? s->error : s->next_step);
    }
    char *out = vf_table_print(t);
    vf_table_free(t);
    return out;
}

cJSON *vf_status_to_json(const struct vf_status_row *row)
{
    cJSON *tree = vf_migration_status_to_json(row->status);
    vf_json_add_bool(tree, "alive", row->alive);
    return tree;
}
