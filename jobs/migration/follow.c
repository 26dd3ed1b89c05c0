#include "jobs/migration/follow.h"

#include <stdlib.h>
#include <string.h>

#include "importer/base/clock.h"
#include "importer/base/mem.h"

#define INTERVAL_MS 500
/* Who has just begun shows how an earlier run ended until it gets to say something. */
#define BEGIN_MS 10000

struct followed_disk {
    char *name;
    struct vf_progress progress;
    bool running;
};

struct vf_follow {
    struct vf_reporter *reporter;
    char *vm;
    bool told;    /* anything at all */
    bool running; /* was told of, so that an end is this run's and not an earlier one's */
    enum vf_migration_phase phase;
    char *detail, *error;
    uint32_t round;
    struct followed_disk *disks;
    size_t n_disks;
};

struct vf_follow *vf_follow_new(struct vf_reporter *reporter)
{
    struct vf_follow *f = vf_xcalloc(1, sizeof *f);
    f->reporter = reporter;
    return f;
}

static void tell_disk(struct vf_follow *f, enum vf_event_type type, size_t index)
{
    struct followed_disk *d = &f->disks[index];
    vf_report(f->reporter, &(struct vf_event){.type = type,
                                              .vm = f->vm,
                                              .disk = (unsigned)index,
                                              .name = d->name,
                                              .progress = &d->progress});
    d->running = type == VF_EVENT_DISK_START;
}

static void end_disks(struct vf_follow *f)
{
    for (size_t i = 0; i < f->n_disks; i++) {
        if (f->disks[i].running) {
            tell_disk(f, VF_EVENT_DISK_END, i);
        }
        free(f->disks[i].name);
    }
    free(vf_take(f->disks));
    f->n_disks = 0;
}

void vf_follow_free(struct vf_follow *f)
{
    if (f) {
        end_disks(f);
        free(f->vm);
        free(f->detail);
        free(f->error);
        free(f);
    }
}

static bool same(const char *a, const char *b)
{
    return a && b ? strcmp(a, b) == 0 : a == b;
}

/* A disk joins when it has something to copy: its progress' total does not change after that. */
static void begin_disks(struct vf_follow *f, const struct vf_migration_status *s)
{
    if (f->n_disks != s->n_disks) {
        end_disks(f);
        f->disks = vf_xcalloc(s->n_disks, sizeof *f->disks);
        f->n_disks = s->n_disks;
    }
    for (size_t i = 0; i < s->n_disks; i++) {
        struct followed_disk *d = &f->disks[i];
        if (!d->name && s->disks[i].round_total_bytes > 0) {
            d->name = s->disks[i].name ? vf_xstrdup(s->disks[i].name) : vf_xasprintf("disk %zu", i);
            d->progress.total_bytes = s->disks[i].round_total_bytes;
            tell_disk(f, VF_EVENT_DISK_START, i);
        }
    }
}

static void count_disks(struct vf_follow *f, const struct vf_migration_status *s)
{
    for (size_t i = 0; i < f->n_disks && i < s->n_disks; i++) {
        struct vf_progress *p = &f->disks[i].progress;
        if (s->disks[i].round_total_bytes != p->total_bytes) {
            continue; /* of another round */
        }
        uint64_t done_bytes = s->disks[i].round_bytes;
        done_bytes = done_bytes > p->total_bytes ? p->total_bytes : done_bytes;
        atomic_store(&p->done_bytes, done_bytes);
        atomic_store(&p->data_bytes, done_bytes);
    }
}

static void tell_phase(struct vf_follow *f, const struct vf_migration_status *s)
{
    const char *name = vf_migration_phase_name(s->phase);
    char *vf_autofree message =
        vf_xasprintf("%s%s%s", s->detail ? s->detail : name, s->next_step ? "; " : "",
                     s->next_step ? s->next_step : "");
    char *vf_autofree data = vf_migration_status_encode(s);
    vf_report(
        f->reporter,
        &(struct vf_event){
            .type = VF_EVENT_PHASE, .vm = f->vm, .name = name, .message = message, .data = data});
}

void vf_follow_tell(struct vf_follow *f, const struct vf_migration_status *s)
{
    bool copying = s->phase == VF_PHASE_COPYING || s->phase == VF_PHASE_LAST_COPY;
    bool other_phase = !f->told || s->phase != f->phase || s->round != f->round;
    bool news = other_phase || !same(s->detail, f->detail);
    if (s->source_vm && !f->vm) {
        f->vm = vf_xstrdup(s->source_vm);
    }
    if (other_phase) {
        count_disks(f, s);
        end_disks(f);
    }
    /* How it ended is told by who followed it. */
    if (news && !(s->error && vf_migration_phase_is_end(s->phase))) {
        tell_phase(f, s);
    }
    if (s->error && !same(s->error, f->error) && !vf_migration_phase_is_end(s->phase)) {
        vf_report_warning(f->reporter, f->vm, "%s", s->error);
    }
    if (copying) {
        begin_disks(f, s);
        count_disks(f, s);
    }
    f->told = true;
    f->running = f->running || !vf_migration_phase_is_end(s->phase);
    f->phase = s->phase;
    f->round = s->round;
    vf_replace_string(&f->detail, s->detail);
    vf_replace_string(&f->error, s->error);
}

static int nobody_works(const struct vf_migration_status *last, bool has_last,
                        struct vf_error **err)
{
    const char *name = has_last && last->name ? last->name : "?";
    vf_error_set(err, VF_CONFLICT,
                 "no vmferry works on the migration \"%s\" any more; it was last seen %s", name,
                 has_last ? vf_migration_phase_name(last->phase) : "before it began");
    vf_error_hint(err, "run the same \"vmferry migrate --warm\" command again: it goes on from its "
                       "last checkpoint");
    return VF_CONFLICT;
}

/* 0 with *ret_alive; VF_RETRY is as good as nobody. */
static int look(struct vf_board *board, bool *ret_alive, struct vf_migration_status *s,
                bool *ret_has, struct vf_error **err)
{
    struct vf_migration_status now = {0};
    struct vf_error *e = NULL;
    *ret_alive = false;
    /* In this order: who ends between the two has told how. */
    int rc = board->ops->fetch_alive(board, ret_alive, &e);
    rc = rc ? rc : board->ops->fetch_status(board, &now, &e);
    if (rc == 0) {
        vf_migration_status_release(s);
        *s = now;
        *ret_has = true;
        return 0;
    }
    if (rc == VF_RETRY || (rc == VF_MISSING && *ret_alive)) {
        *ret_alive = *ret_alive && rc != VF_RETRY;
        vf_error_free(e);
        return 0;
    }
    vf_error_move(err, &e);
    return rc;
}

int vf_follow_run(struct vf_follow *f, struct vf_board *board, int64_t patience_ms,
                  const struct vf_cancel *cancel, struct vf_migration_status *ret_last,
                  struct vf_error **err)
{
    struct vf_migration_status s = {0};
    bool has = false;
    int64_t begun_ms = vf_clock_ms(), alive_ms = begun_ms;
    int rc;
    for (;;) {
        bool alive;
        rc = look(board, &alive, &s, &has, err);
        if (rc) {
            break;
        }
        if (has && (!vf_migration_phase_is_end(s.phase) || f->running)) {
            vf_follow_tell(f, &s);
        }
        int64_t now_ms = vf_clock_ms();
        bool beginning = alive && !f->running && now_ms - begun_ms < BEGIN_MS;
        if (has && vf_migration_phase_is_end(s.phase) && !beginning) {
            *ret_last = s;
            return 0;
        }
        alive_ms = alive ? now_ms : alive_ms;
        if (now_ms - alive_ms >= patience_ms) {
            rc = nobody_works(&s, has, err);
            break;
        }
        rc = vf_cancel_wait(cancel, INTERVAL_MS, err);
        if (rc) {
            break;
        }
    }
    vf_migration_status_release(&s);
    return rc;
}

int vf_follow_end(const struct vf_migration_status *s, struct vf_error **err)
{
    if (s->phase == VF_PHASE_DONE) {
        return 0;
    }
    int code = s->phase == VF_PHASE_CANCELLED ? VF_CANCELLED : VF_CONFLICT;
    vf_error_set(err, (enum vf_code)code, "the migration \"%s\" %s%s%s", s->name ? s->name : "?",
                 code == VF_CANCELLED ? "was cancelled" : "failed", s->error ? ": " : "",
                 s->error ? s->error : "");
    if (s->hint) {
        vf_error_hint(err, "%s", s->hint);
    }
    return code;
}
