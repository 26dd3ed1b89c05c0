#include "jobs/migration/watch.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "importer/base/clock.h"
#include "importer/base/mem.h"

/* How often the board is written and read, and the reporter's rate is taken. */
#define TICK_MS 1000

struct running_disk {
    char *name;
    const struct vf_progress *progress; /* NULL: it has ended */
    uint64_t bytes, total_bytes;        /* of the one that ended */
};

/* Lock order: board_lock before lock. Nothing is reported under either. */
struct vf_watch {
    struct vf_reporter reporter;
    struct vf_reporter *next;       /* may be NULL */
    const struct vf_cancel *cancel; /* the user's */

    /* The thread that shows signs of life, as long as there is a board. */
    pthread_t thread;
    struct vf_cancel *stop; /* NULL: none runs */

    pthread_mutex_t board_lock; /* guards calls of the board, and what follows */
    struct vf_board *board;     /* may be NULL */
    bool told_board;            /* a failing board was said */
    struct vf_migration_status status;
    struct vf_migration_request pending; /* taken off the board, and not yet asked for */
    struct vf_cancel *round;             /* of the round that is being copied; borrowed */
    bool cancelled;                      /* the round was, by request */
    int64_t rate_ms;
    uint64_t rate_bytes;

    pthread_mutex_t lock; /* guards the disks: events come from any thread */
    struct running_disk *disks;
    size_t n_disks;
};

/* --- the reporter that listens ----------------------------------------------------------- */

static struct running_disk *note_disk(struct vf_watch *w, const char *name)
{
    for (size_t i = 0; i < w->n_disks; i++) {
        if (strcmp(w->disks[i].name, name) == 0) {
            return &w->disks[i];
        }
    }
    w->disks = vf_xrealloc_array(w->disks, w->n_disks + 1, sizeof *w->disks);
    struct running_disk *d = &w->disks[w->n_disks++];
    *d = (struct running_disk){.name = vf_xstrdup(name)};
    return d;
}

static void hear(struct vf_reporter *reporter, const struct vf_event *e)
{
    struct vf_watch *w = (struct vf_watch *)reporter;
    if ((e->type == VF_EVENT_DISK_START || e->type == VF_EVENT_DISK_END) && e->name) {
        pthread_mutex_lock(&w->lock);
        struct running_disk *d = note_disk(w, e->name);
        if (e->type == VF_EVENT_DISK_START) {
            d->progress = e->progress;
        } else if (d->progress) {
            d->bytes = atomic_load(&d->progress->done_bytes);
            d->total_bytes = d->progress->total_bytes;
            d->progress = NULL;
        }
        pthread_mutex_unlock(&w->lock);
    }
    vf_report(w->next, e);
}

/* It is a part of the watch. */
static void free_reporter(struct vf_reporter *reporter)
{
    (void)reporter;
}

static const struct vf_reporter_ops reporter_ops = {.event = hear, .free = free_reporter};

struct vf_reporter *vf_watch_reporter(struct vf_watch *w)
{
    return &w->reporter;
}

struct vf_watch *vf_watch_new(struct vf_reporter *next, const struct vf_cancel *cancel)
{
    struct vf_watch *w = vf_xcalloc(1, sizeof *w);
    char now[VF_CLOCK_RFC3339_SIZE];
    w->reporter.ops = &reporter_ops;
    w->next = next;
    w->cancel = cancel;
    vf_clock_rfc3339(now);
    w->status.started = vf_xstrdup(now);
    w->status.eta_ms = -1;
    if (pthread_mutex_init(&w->lock, NULL) != 0) {
        free(w->status.started);
        free(w);
        return NULL;
    }
    if (pthread_mutex_init(&w->board_lock, NULL) != 0) {
        pthread_mutex_destroy(&w->lock);
        free(w->status.started);
        free(w);
        return NULL;
    }
    return w;
}

static void forget_disks(struct vf_watch *w)
{
    pthread_mutex_lock(&w->lock);
    for (size_t i = 0; i < w->n_disks; i++) {
        free(w->disks[i].name);
    }
    free(vf_take(w->disks));
    w->n_disks = 0;
    pthread_mutex_unlock(&w->lock);
}

void vf_watch_free(struct vf_watch *w)
{
    if (!w) {
        return;
    }
    vf_watch_quiet(w);
    forget_disks(w);
    pthread_mutex_destroy(&w->lock);
    pthread_mutex_destroy(&w->board_lock);
    vf_migration_status_release(&w->status);
    free(w);
}

/* --- what is known ----------------------------------------------------------------------- */

static void replace_known(char **s, const char *value)
{
    if (value) {
        vf_replace_string(s, value);
    }
}

void vf_watch_set_names(struct vf_watch *w, const char *name, const char *vm, const char *uuid,
                        const char *source, const char *place)
{
    pthread_mutex_lock(&w->board_lock);
    replace_known(&w->status.name, name);
    replace_known(&w->status.source_vm, vm);
    replace_known(&w->status.source_uuid, uuid);
    replace_known(&w->status.source, source);
    replace_known(&w->status.place, place);
    pthread_mutex_unlock(&w->board_lock);
}

void vf_watch_set_transport(struct vf_watch *w, const char *name, const char *reason)
{
    pthread_mutex_lock(&w->board_lock);
    vf_replace_string(&w->status.transport, name);
    vf_replace_string(&w->status.transport_reason, reason);
    pthread_mutex_unlock(&w->board_lock);
}

void vf_watch_set_cutover(struct vf_watch *w, const char *when)
{
    pthread_mutex_lock(&w->board_lock);
    vf_replace_string(&w->status.cutover_at, when);
    pthread_mutex_unlock(&w->board_lock);
}

void vf_watch_set_numbers(struct vf_watch *w, unsigned tries, int64_t downtime_ms)
{
    pthread_mutex_lock(&w->board_lock);
    w->status.tries = tries;
    w->status.measured_downtime_ms = downtime_ms;
    pthread_mutex_unlock(&w->board_lock);
}

static struct vf_disk_status *find_disk(struct vf_migration_status *s, const char *name)
{
    for (size_t i = 0; i < s->n_disks; i++) {
        if (s->disks[i].name && strcmp(s->disks[i].name, name) == 0) {
            return &s->disks[i];
        }
    }
    return NULL;
}

void vf_watch_set_checkpoint(struct vf_watch *w, const struct vf_checkpoint *c)
{
    struct vf_disk_status *disks = vf_xcalloc(c->n_disks ? c->n_disks : 1, sizeof *disks);
    bool complete = c->n_disks > 0;
    pthread_mutex_lock(&w->board_lock);
    w->status.copied_bytes = 0;
    w->status.round = 0;
    for (size_t i = 0; i < c->n_disks; i++) {
        const struct vf_checkpoint_disk *from = &c->disks[i];
        char *vf_autofree name =
            from->label ? vf_xstrdup(from->label) : vf_xasprintf("disk %zu", i);
        const struct vf_disk_status *old = find_disk(&w->status, name);
        disks[i] = (struct vf_disk_status){.name = vf_take(name),
                                           .target = vf_xstrdup(from->target),
                                           .size_bytes = from->size_bytes,
                                           .round_bytes = old ? old->round_bytes : 0,
                                           .round_total_bytes = old ? old->round_total_bytes : 0,
                                           .copied_bytes = from->copied_bytes};
        complete = complete && from->phase == VF_CHECKPOINT_COMPLETE;
        w->status.copied_bytes += from->copied_bytes;
        w->status.round = from->round > w->status.round ? from->round : w->status.round;
    }
    for (size_t i = 0; i < w->status.n_disks; i++) {
        free(w->status.disks[i].name);
        free(w->status.disks[i].target);
    }
    free(w->status.disks);
    w->status.disks = disks;
    w->status.n_disks = c->n_disks;
    if (complete && c->updated) {
        vf_replace_string(&w->status.last_checkpoint, c->updated);
    }
    pthread_mutex_unlock(&w->board_lock);
}

/* --- what is told ------------------------------------------------------------------------ */

/* The calls below want the board_lock, and give what is to be said without it (heap), or NULL. */

static char *publish(struct vf_watch *w)
{
    char now[VF_CLOCK_RFC3339_SIZE];
    struct vf_error *e = NULL;
    char *said = NULL;
    if (!w->board) {
        return NULL;
    }
    vf_clock_rfc3339(now);
    vf_replace_string(&w->status.updated, now);
    if (w->board->ops->publish(w->board, &w->status, &e) != 0 && !w->told_board) {
        char *vf_autofree text = vf_error_format(e);
        w->told_board = true;
        said = vf_xasprintf("the status cannot be published (%s); the migration goes on without",
                            text);
    }
    vf_error_free(e);
    return said;
}

/* Take what was asked for off the board: a later request takes the place of one that nobody has
 * asked for yet, a cancellation that of a cutover above all. */
static char *take_request(struct vf_watch *w)
{
    struct vf_migration_request request = {0};
    struct vf_error *e = NULL;
    char *said = NULL;
    if (!w->board) {
        return NULL;
    }
    int rc = w->board->ops->fetch_request(w->board, &request, &e);
    if (rc == 0 && request.kind != VF_REQUEST_NONE) {
        w->pending = request;
        (void)w->board->ops->clear_request(w->board, NULL);
    } else if (rc == VF_INVALID) {
        said = vf_xasprintf("a request was dropped: %s", vf_error_message(e));
    }
    vf_error_free(e);
    return said;
}

static void say(struct vf_watch *w, char *said)
{
    if (!said) {
        return;
    }
    pthread_mutex_lock(&w->board_lock);
    char *vf_autofree vm = vf_xstrdup(w->status.source_vm);
    pthread_mutex_unlock(&w->board_lock);
    vf_report_warning(w->next, vm, "%s", said);
    free(said);
}

static void set_forecast(struct vf_migration_status *s, const struct vf_rounds_forecast *f)
{
    s->forecast = f && f->known;
    if (s->forecast) {
        s->change_bytes_per_s = f->change_bytes_per_s;
        s->expected_bytes = f->expected_bytes;
        s->downtime_ms = f->downtime_ms;
        s->worst_downtime_ms = f->worst_downtime_ms;
        s->best_downtime_ms = f->best_downtime_ms;
    }
}

void vf_watch_tell(struct vf_watch *w, enum vf_migration_phase phase,
                   const struct vf_rounds_forecast *forecast, const char *detail,
                   const char *next_step, const struct vf_error *error)
{
    struct vf_migration_status *s = &w->status;
    char *vf_autofree text = error ? vf_error_format(error) : NULL;
    pthread_mutex_lock(&w->board_lock);
    bool news = s->phase != phase || !s->detail || !detail || strcmp(s->detail, detail) != 0;
    s->phase = phase;
    if (forecast) {
        set_forecast(s, forecast);
    }
    vf_replace_string(&s->detail, detail);
    vf_replace_string(&s->next_step, next_step);
    vf_replace_string(&s->error, text);
    vf_replace_string(&s->hint, error ? vf_error_get_hint(error) : NULL);
    if (phase != VF_PHASE_COPYING && phase != VF_PHASE_LAST_COPY) {
        s->bytes_per_s = 0;
        s->eta_ms = -1;
    }
    char *said = publish(w);
    const char *name = vf_migration_phase_name(phase);
    char *vf_autofree message = vf_xasprintf("%s%s%s", detail ? detail : name,
                                             next_step ? "; " : "", next_step ? next_step : "");
    char *vf_autofree data = vf_migration_status_encode(s);
    char *vf_autofree vm = vf_xstrdup(s->source_vm);
    pthread_mutex_unlock(&w->board_lock);
    say(w, said);
    if (!news || (error && vf_migration_phase_is_end(phase))) {
        return; /* main() tells the error */
    }
    vf_report(
        w->next,
        &(struct vf_event){
            .type = VF_EVENT_PHASE, .vm = vm, .name = name, .message = message, .data = data});
}

int vf_watch_wait(struct vf_watch *w, int64_t timeout_ms, struct vf_migration_request *ret,
                  struct vf_error **err)
{
    int64_t end_ms = vf_clock_ms() + timeout_ms;
    *ret = (struct vf_migration_request){0};
    for (;;) {
        pthread_mutex_lock(&w->board_lock);
        char *said = take_request(w);
        *ret = w->pending;
        w->pending = (struct vf_migration_request){0};
        pthread_mutex_unlock(&w->board_lock);
        say(w, said);
        if (ret->kind != VF_REQUEST_NONE) {
            return 0;
        }
        int64_t left_ms = end_ms - vf_clock_ms();
        int rc = vf_cancel_check(w->cancel, err);
        if (rc || left_ms <= 0) {
            return rc;
        }
        rc = vf_cancel_wait(w->cancel, left_ms < TICK_MS ? left_ms : TICK_MS, err);
        if (rc) {
            return rc;
        }
    }
}

/* --- while a round is copied ------------------------------------------------------------- */

/* Of a disk that no checkpoint has named yet too. */
static struct vf_disk_status *note_status(struct vf_migration_status *s, const char *name)
{
    struct vf_disk_status *d = find_disk(s, name);
    if (!d) {
        s->disks = vf_xrealloc_array(s->disks, s->n_disks + 1, sizeof *s->disks);
        d = &s->disks[s->n_disks++];
        *d = (struct vf_disk_status){.name = vf_xstrdup(name)};
    }
    return d;
}

/* Of all disks, what is done of the round and what is to be done. */
static void gather(struct vf_watch *w, uint64_t *ret_bytes, uint64_t *ret_total)
{
    *ret_bytes = *ret_total = 0;
    pthread_mutex_lock(&w->lock);
    for (size_t i = 0; i < w->n_disks; i++) {
        const struct running_disk *d = &w->disks[i];
        struct vf_disk_status *s = note_status(&w->status, d->name);
        uint64_t bytes = d->progress ? atomic_load(&d->progress->done_bytes) : d->bytes;
        uint64_t total = d->progress ? d->progress->total_bytes : d->total_bytes;
        *ret_bytes += bytes;
        *ret_total += total;
        s->round_bytes = bytes;
        s->round_total_bytes = total;
    }
    pthread_mutex_unlock(&w->lock);
}

/* Of a round. */
static void take_rate(struct vf_watch *w)
{
    uint64_t bytes, total;
    int64_t now_ms = vf_clock_ms();
    gather(w, &bytes, &total);
    if (now_ms > w->rate_ms && bytes >= w->rate_bytes) {
        uint64_t rate = (bytes - w->rate_bytes) * 1000 / (uint64_t)(now_ms - w->rate_ms);
        /* Smoothed over some five ticks. */
        w->status.bytes_per_s =
            w->status.bytes_per_s ? (w->status.bytes_per_s * 4 + rate) / 5 : rate;
    }
    w->rate_ms = now_ms;
    w->rate_bytes = bytes;
    w->status.eta_ms = w->status.bytes_per_s && total >= bytes
                           ? (int64_t)((total - bytes) / w->status.bytes_per_s) * 1000
                           : -1;
}

static void tick(struct vf_watch *w)
{
    pthread_mutex_lock(&w->board_lock);
    if (w->round) {
        take_rate(w);
    }
    char *not_shown = publish(w);
    char *not_taken = take_request(w);
    if (w->round && w->pending.kind == VF_REQUEST_CANCEL && !w->cancelled) {
        w->cancelled = true;
        vf_cancel_trigger(w->round);
    }
    pthread_mutex_unlock(&w->board_lock);
    say(w, not_shown);
    say(w, not_taken);
}

static void *run(void *opaque)
{
    struct vf_watch *w = opaque;
    while (vf_cancel_wait(w->stop, TICK_MS, NULL) == 0) {
        tick(w);
    }
    return NULL;
}

void vf_watch_quiet(struct vf_watch *w)
{
    if (w->stop) {
        vf_cancel_trigger(w->stop);
        pthread_join(w->thread, NULL);
        vf_cancel_free(vf_take(w->stop));
    }
}

void vf_watch_set_board(struct vf_watch *w, struct vf_board *board)
{
    vf_watch_quiet(w);
    pthread_mutex_lock(&w->board_lock);
    w->board = board;
    pthread_mutex_unlock(&w->board_lock);
    if (!board) {
        return;
    }
    w->stop = vf_cancel_new(NULL);
    if (!w->stop || pthread_create(&w->thread, NULL, run, w) != 0) {
        vf_cancel_free(vf_take(w->stop));
        say(w, vf_xstrdup("no thread can be had: the status is shown, and requests are taken, "
                          "between rounds alone"));
    }
}

void vf_watch_start(struct vf_watch *w, struct vf_cancel *cancel)
{
    forget_disks(w);
    pthread_mutex_lock(&w->board_lock);
    w->round = cancel;
    w->cancelled = false;
    w->rate_ms = vf_clock_ms();
    w->rate_bytes = 0;
    pthread_mutex_unlock(&w->board_lock);
}

bool vf_watch_stop(struct vf_watch *w)
{
    uint64_t bytes, total;
    pthread_mutex_lock(&w->board_lock);
    w->round = NULL;
    gather(w, &bytes, &total);
    bool cancelled = w->cancelled;
    pthread_mutex_unlock(&w->board_lock);
    return cancelled;
}
