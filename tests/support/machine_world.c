#include "tests/support/machine_world.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "importer/base/mem.h"

#define BEGIN_S      INT64_C(1800000000)
#define LINGER_CALLS 8
#define GARBAGE      UINT64_MAX

static const char *const op_names[FAKE_N_OPS] = {
    "look", "track",   "take",  "shut_down",      "remove", "power_on", "note", "prepare", "guard",
    "copy", "deliver", "start", "fetch_accepted", "settle", "discard",  "save", "wait"};

void fake_world_violate(struct fake_world *f, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    if (f->violations++ == 0) {
        vsnprintf(f->violation, sizeof f->violation, fmt, ap);
    }
    va_end(ap);
    if (f->loud) {
        printf("  VIOLATION %s\n", f->violation);
    }
}

static struct fake_world *of(struct vf_world *w)
{
    return (struct fake_world *)w;
}

/* --- snapshots ---------------------------------------------------------------------------- */

static struct fake_snapshot *find_snapshot(struct fake_world *f, unsigned id)
{
    for (size_t i = 0; i < FAKE_MAX_SNAPS && id; i++) {
        if (f->snaps[i].id == id) {
            return &f->snaps[i];
        }
    }
    return NULL;
}

size_t fake_world_count_own(const struct fake_world *f)
{
    size_t n = 0;
    for (size_t i = 0; i < FAKE_MAX_SNAPS; i++) {
        n += f->snaps[i].id && f->snaps[i].own;
    }
    return n;
}

static size_t count_users(const struct fake_world *f)
{
    size_t n = 0;
    for (size_t i = 0; i < FAKE_MAX_SNAPS; i++) {
        n += f->snaps[i].id && !f->snaps[i].own;
    }
    return n;
}

static struct fake_snapshot *add_snapshot(struct fake_world *f, bool own)
{
    for (size_t i = 0; i < FAKE_MAX_SNAPS; i++) {
        if (!f->snaps[i].id) {
            f->snaps[i] = (struct fake_snapshot){.id = ++f->last_id,
                                                 .own = own,
                                                 .of_off = f->power == VF_POWER_OFF,
                                                 .content = f->content};
            f->contents[f->last_id % 512] = f->content;
            return &f->snaps[i];
        }
    }
    fake_world_violate(f, "too many snapshots");
    return NULL;
}

static void remove_own(struct fake_world *f, size_t most)
{
    for (size_t i = 0; i < FAKE_MAX_SNAPS; i++) {
        bool users = f->mutation == FAKE_REMOVE_USERS;
        if (f->snaps[i].id && (f->snaps[i].own || users) && most > 0) {
            f->snaps[i].id = 0;
            most--;
        }
    }
}

/* --- the checkpoint ----------------------------------------------------------------------- */

static char *time_text(int64_t unix_s)
{
    char text[32];
    time_t t = (time_t)unix_s;
    struct tm tm;
    gmtime_r(&t, &tm);
    strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%SZ", &tm);
    return vf_xstrdup(text);
}

static int64_t now_s(const struct fake_world *f)
{
    return BEGIN_S + f->ms / 1000;
}

static void load(struct fake_world *f)
{
    const struct fake_saved *s = &f->saved;
    vf_checkpoint_release(&f->c);
    if (!s->is_there) {
        return;
    }
    f->c.stage = s->stage;
    f->c.was_on = s->was_on;
    f->c.cutover_s = s->cutover_s;
    f->c.updated = time_text(s->saved_s);
    f->c.disks = vf_xcalloc(FAKE_DISKS, sizeof *f->c.disks);
    f->c.n_disks = s->n_disks;
    for (size_t i = 0; i < s->n_disks; i++) {
        f->c.disks[i] =
            (struct vf_checkpoint_disk){.key = (int32_t)i,
                                        .phase = s->disks[i].phase,
                                        .round = s->disks[i].round,
                                        .snapshot = vf_xasprintf("%u", s->disks[i].snapshot),
                                        .copied_bytes = s->disks[i].copied_bytes,
                                        .round_started = time_text(s->disks[i].started_s)};
    }
    f->c.n_rounds = s->n_rounds;
    memcpy(f->c.rounds, s->rounds, sizeof s->rounds);
}

static unsigned snapshot_of(const struct vf_checkpoint_disk *d)
{
    return d->snapshot ? (unsigned)strtoul(d->snapshot, NULL, 10) : 0;
}

static void store(struct fake_world *f)
{
    struct fake_saved *s = &f->saved, old = f->saved;
    if (f->dead) {
        return;
    }
    *s = (struct fake_saved){.is_there = true,
                             .stage = f->c.stage,
                             .was_on = f->c.was_on,
                             .cutover_s = f->c.cutover_s,
                             .saved_s = now_s(f),
                             .n_disks = f->c.n_disks,
                             .n_rounds = f->c.n_rounds};
    if (f->mutation == FAKE_STAGE_NOT_SAVED) {
        s->stage = old.stage;
    }
    if (f->mutation == FAKE_WAS_ON_NOT_SAVED) {
        s->was_on = false;
    }
    memcpy(s->rounds, f->c.rounds, sizeof s->rounds);
    for (size_t i = 0; i < f->c.n_disks; i++) {
        const struct vf_checkpoint_disk *d = &f->c.disks[i];
        int64_t started = s->saved_s;
        struct tm tm = {0};
        if (d->round_started && strptime(d->round_started, "%Y-%m-%dT%H:%M:%SZ", &tm)) {
            started = timegm(&tm);
        }
        s->disks[i].phase = d->phase;
        s->disks[i].round = d->round;
        s->disks[i].snapshot = snapshot_of(d);
        s->disks[i].copied_bytes = d->copied_bytes;
        s->disks[i].started_s = started;
        if (d->phase == VF_CHECKPOINT_COMPLETE &&
            f->values[i] != f->contents[s->disks[i].snapshot % 512]) {
            fake_world_violate(f, "disk %zu is saved as complete, and is not", i);
        }
    }
}

/* --- a call ------------------------------------------------------------------------------- */

struct call {
    enum fake_op op;
    bool cleanup, half;
    bool linger;
    int after; /* the code to return once it has happened */
    bool kill_after;
};

static int fail(struct vf_error **err, enum vf_code code, enum fake_op op)
{
    return vf_error_set(err, code, "%s failed", op_names[op]);
}

static bool is_source_op(enum fake_op op)
{
    return op <= FAKE_NOTE || op == FAKE_COPY;
}

static bool is_target_op(enum fake_op op)
{
    return op >= FAKE_GUARD && op <= FAKE_SAVE;
}

static void power(struct fake_world *f, enum vf_power p)
{
    f->power = p;
    f->linger = 0;
    if (p == VF_POWER_ON) {
        f->content++;
    }
}

static int strike(struct fake_world *f, enum fake_fault_kind kind, struct call *c)
{
    if (c->op == FAKE_WAIT && kind <= FAKE_LOST_FAIL) {
        return 0; /* a wait is cancelled, or over */
    }
    switch (kind) {
    case FAKE_RETRY:
        return VF_RETRY;
    case FAKE_FAIL:
        return VF_INTERNAL;
    case FAKE_LOST:
    case FAKE_LOST_FAIL:
        c->after = kind == FAKE_LOST ? VF_RETRY : VF_INTERNAL;
        return 0;
    case FAKE_CANCEL:
        f->cancelled = true;
        return 0;
    case FAKE_LOST_CANCEL:
        f->cancelled = true;
        c->after = c->cleanup ? 0 : VF_CANCELLED;
        c->cleanup = true;
        return 0;
    case FAKE_KILL:
        f->dead = true;
        return VF_INTERNAL;
    case FAKE_KILL_AFTER:
        c->kill_after = true;
        return 0;
    case FAKE_HALF:
    case FAKE_HALF_KILL:
        c->half = true;
        c->after = VF_RETRY;
        c->kill_after = kind == FAKE_HALF_KILL;
        return 0;
    case FAKE_LINGER:
    case FAKE_LINGER_KILL:
        c->linger = true;
        c->kill_after = kind == FAKE_LINGER_KILL;
        return 0;
    case FAKE_SOURCE_OUT:
        f->source_out = true;
        return 0;
    case FAKE_TARGET_OUT:
        f->target_out = true;
        return 0;
    case FAKE_SOMEBODY_ON:
        if (f->power == VF_POWER_OFF) {
            power(f, VF_POWER_ON);
            f->owner_on = f->owner_on || !f->accepted;
            /* Between the last look and the delivery, or after it, nobody can know in time. */
            f->behind = f->behind || f->accepted || c->op == FAKE_DELIVER;
            f->late = f->late || f->running || c->op == FAKE_START;
        }
        return 0;
    case FAKE_SNAPS_GONE:
        remove_own(f, FAKE_MAX_SNAPS);
        return 0;
    case FAKE_N_KINDS:
        break;
    }
    return 0;
}

#define BIT(kind) (UINT32_C(1) << (kind))

/* A kill before a call is one after the call before it. */
static uint32_t kinds_of(const struct fake_world *f, const struct call *c)
{
    bool source = is_source_op(c->op), target = is_target_op(c->op);
    bool effect = c->op != FAKE_LOOK && c->op != FAKE_WAIT && c->op != FAKE_FETCH_ACCEPTED;
    uint32_t kinds = BIT(FAKE_CANCEL);
    kinds |= c->op != FAKE_WAIT ? BIT(FAKE_RETRY) | BIT(FAKE_FAIL) : 0;
    kinds |= effect ? BIT(FAKE_LOST) | BIT(FAKE_LOST_FAIL) | BIT(FAKE_KILL_AFTER) : 0;
    kinds |= effect && !c->cleanup ? BIT(FAKE_LOST_CANCEL) : 0;
    kinds |= f->calls == 1 ? BIT(FAKE_KILL) : 0;
    bool parts = c->op == FAKE_COPY || (c->op == FAKE_REMOVE && fake_world_count_own(f) > 1);
    kinds |= parts ? BIT(FAKE_HALF) | BIT(FAKE_HALF_KILL) : 0;
    kinds |= c->op == FAKE_SHUT_DOWN ? BIT(FAKE_LINGER) | BIT(FAKE_LINGER_KILL) : 0;
    kinds |= source && !f->source_out ? BIT(FAKE_SOURCE_OUT) : 0;
    kinds |= target && !f->target_out ? BIT(FAKE_TARGET_OUT) : 0;
    kinds |= f->power == VF_POWER_OFF ? BIT(FAKE_SOMEBODY_ON) : 0;
    kinds |= fake_world_count_own(f) > 0 ? BIT(FAKE_SNAPS_GONE) : 0;
    return kinds;
}

/* 0: let it happen, then leave(). */
static int enter(struct fake_world *f, struct call *c, struct vf_error **err)
{
    int rc = 0;
    if (f->dead) {
        return fail(err, VF_INTERNAL, c->op);
    }
    f->calls++;
    f->counts[c->op]++;
    f->ms += 10;
    f->content += f->power == VF_POWER_ON;
    if (f->linger && --f->linger == 0) {
        power(f, VF_POWER_OFF);
    }
    if (f->loud) {
        printf("  %u %s\n", f->calls, op_names[c->op]);
    }
    if (f->calls < FAKE_MAX_TRACE) {
        f->trace[f->calls] = kinds_of(f, c);
    }
    for (size_t i = 0; i < FAKE_MAX_FAULTS; i++) {
        if (f->faults[i].at == f->calls) {
            int struck = strike(f, f->faults[i].kind, c);
            rc = rc ? rc : struck;
        }
    }
    if (rc == 0 && f->cancelled && !c->cleanup) {
        rc = VF_CANCELLED;
    }
    if (rc == 0 &&
        ((f->source_out && is_source_op(c->op)) || (f->target_out && is_target_op(c->op)))) {
        rc = VF_RETRY;
    }
    return rc ? fail(err, rc, c->op) : 0;
}

static int leave(struct fake_world *f, const struct call *c, struct vf_error **err)
{
    if (c->kill_after) {
        f->dead = true;
        return fail(err, VF_INTERNAL, c->op);
    }
    return c->after ? fail(err, c->after, c->op) : 0;
}

/* --- source ------------------------------------------------------------------------------- */

static int look(struct vf_world *w, struct vf_world_view *ret, struct vf_error **err)
{
    struct fake_world *f = of(w);
    struct call c = {.op = FAKE_LOOK};
    int rc = enter(f, &c, err);
    if (rc) {
        return rc;
    }
    *ret = (struct vf_world_view){.power = f->power,
                                  .tracking = f->tracking,
                                  .stun_due = !f->tracking && f->power == VF_POWER_ON,
                                  .stays_on = f->power == VF_POWER_ON && f->came_back,
                                  .own_snapshots = fake_world_count_own(f),
                                  .user_snapshots = count_users(f)};
    if (f->mutation == FAKE_ALWAYS_LOOKS_OFF && f->accepted + f->c.stage > 0) {
        ret->power = VF_POWER_OFF;
    }
    return leave(f, &c, err);
}

static int enable_tracking(struct vf_world *w, bool may_stun, struct vf_error **err)
{
    struct fake_world *f = of(w);
    struct call c = {.op = FAKE_TRACK};
    int rc = enter(f, &c, err);
    if (rc) {
        return rc;
    }
    if (fake_world_count_own(f) > 0) {
        fake_world_violate(f, "tracking is switched on above a snapshot of ours");
    }
    if (!may_stun && f->power == VF_POWER_ON) {
        fake_world_violate(f, "tracking is switched on by a stun that was not permitted");
    }
    f->tracking = true;
    return leave(f, &c, err);
}

static unsigned adoptable(struct fake_world *f, enum vf_round_kind kind)
{
    if (kind == VF_ROUND_LAST) {
        return 0;
    }
    for (size_t i = 0; i < f->c.n_disks; i++) {
        unsigned id = snapshot_of(&f->c.disks[i]);
        bool wanted = f->c.disks[i].phase != VF_CHECKPOINT_COMPLETE;
        if (wanted && find_snapshot(f, id)) {
            return id;
        }
    }
    return 0;
}

static int take_snapshot(struct vf_world *w, enum vf_round_kind kind, struct vf_error **err)
{
    struct fake_world *f = of(w);
    struct call c = {.op = FAKE_TAKE};
    int rc = enter(f, &c, err);
    if (rc) {
        return rc;
    }
    unsigned id = adoptable(f, kind);
    if (id == 0) {
        const struct fake_snapshot *s = add_snapshot(f, true);
        id = s ? s->id : 0;
    }
    if (fake_world_count_own(f) > 2) {
        fake_world_violate(f, "%zu snapshots of ours at once", fake_world_count_own(f));
    }
    rc = leave(f, &c, err);
    f->in_hand = rc ? 0 : id;
    return rc;
}

static int shut_down(struct vf_world *w, struct vf_error **err)
{
    struct fake_world *f = of(w);
    struct call c = {.op = FAKE_SHUT_DOWN};
    int rc = enter(f, &c, err);
    if (rc) {
        return rc;
    }
    if (f->saved.stage != VF_STAGE_CUTOVER) {
        fake_world_violate(f, "the source is shut down, and no checkpoint knows of it");
    }
    if (f->accepted) {
        fake_world_violate(f, "the source is shut down a second time");
    }
    f->came_back = false;
    f->cut_over_ms = f->ms;
    f->stale_ms = f->ms - f->state_ms;
    f->ms += f->shutdown_ms;
    if (c.linger) {
        f->linger = LINGER_CALLS;
        f->dead = c.kill_after;
        return fail(err, VF_CONFLICT, c.op);
    }
    power(f, VF_POWER_OFF);
    return leave(f, &c, err);
}

static int remove_snapshots(struct vf_world *w, struct vf_error **err)
{
    struct fake_world *f = of(w);
    struct call c = {.op = FAKE_REMOVE, .cleanup = true};
    int rc = enter(f, &c, err);
    if (rc) {
        return rc;
    }
    if (f->mutation != FAKE_REMOVE_NOTHING) {
        remove_own(f, c.half ? 1 : FAKE_MAX_SNAPS);
    }
    f->in_hand = 0;
    if (count_users(f) != f->n_users) {
        fake_world_violate(f, "a snapshot of somebody else's was removed");
    }
    return leave(f, &c, err);
}

static int power_on(struct vf_world *w, struct vf_error **err)
{
    struct fake_world *f = of(w);
    struct call c = {.op = FAKE_POWER_ON, .cleanup = true};
    int rc = enter(f, &c, err);
    if (rc) {
        return rc;
    }
    if (f->accepted) {
        fake_world_violate(f, "the source is powered on though the new VM was accepted");
    }
    if (!f->owner_on) {
        fake_world_violate(f, "a source that was off is powered on");
    }
    if (f->power == VF_POWER_OFF && f->mutation != FAKE_POWER_ON_NOTHING) {
        power(f, VF_POWER_ON);
        f->came_back = true;
    }
    return leave(f, &c, err);
}

static int note(struct vf_world *w, struct vf_error **err)
{
    struct fake_world *f = of(w);
    struct call c = {.op = FAKE_NOTE, .cleanup = true};
    int rc = enter(f, &c, err);
    if (rc) {
        return rc;
    }
    if (!f->accepted) {
        fake_world_violate(f, "a note of a VM that was not accepted");
    }
    f->noted = true;
    return leave(f, &c, err);
}

/* --- target ------------------------------------------------------------------------------- */

static int prepare(struct vf_world *w, struct vf_error **err)
{
    struct fake_world *f = of(w);
    struct call c = {.op = FAKE_PREPARE};
    int rc = enter(f, &c, err);
    if (rc) {
        return rc;
    }
    f->prepared = true;
    load(f);
    rc = leave(f, &c, err);
    f->prepared = rc == 0;
    return rc;
}

static int guard(struct vf_world *w, struct vf_error **err)
{
    struct fake_world *f = of(w);
    struct call c = {.op = FAKE_GUARD};
    int rc = enter(f, &c, err);
    if (rc) {
        return rc;
    }
    for (size_t i = 0; i < FAKE_DISKS; i++) {
        if (i >= f->c.n_disks || f->c.disks[i].phase != VF_CHECKPOINT_COMPLETE ||
            f->values[i] == GARBAGE) {
            fake_world_violate(f, "disk %zu is kept in a state that is none", i);
        }
    }
    return leave(f, &c, err);
}

static void begin_disk(struct fake_world *f, struct vf_checkpoint_disk *d, unsigned id)
{
    char *vf_autofree now = time_text(now_s(f));
    char *vf_autofree name = vf_xasprintf("%u", id);
    if (d->phase == VF_CHECKPOINT_COMPLETE && snapshot_of(d) != id) {
        d->phase = f->untracked ? VF_CHECKPOINT_FULL : VF_CHECKPOINT_DELTA;
        d->round += !f->untracked;
        vf_replace_string(&d->round_started, now);
    } else if (!d->round_started) {
        vf_replace_string(&d->round_started, now);
    }
    vf_replace_string(&d->snapshot, name);
}

static void copy_disk(struct fake_world *f, size_t i, const struct fake_snapshot *s)
{
    struct vf_checkpoint_disk *d = &f->c.disks[i];
    begin_disk(f, d, s->id);
    if (d->phase == VF_CHECKPOINT_COMPLETE) {
        return;
    }
    if (f->mutation == FAKE_COMPLETE_TOO_EARLY) {
        d->phase = VF_CHECKPOINT_COMPLETE;
    }
    store(f);
    f->values[i] = s->content;
    d->phase = VF_CHECKPOINT_COMPLETE;
    d->copied_bytes++;
    store(f);
}

/* A request to cancel within the next ms: then it is that time. */
static bool is_cancel_due(struct fake_world *f, int64_t ms)
{
    for (size_t i = 0; i < FAKE_MAX_REQUESTS; i++) {
        if (!f->requests[i].given && f->requests[i].request.kind == VF_REQUEST_CANCEL &&
            f->requests[i].at_ms <= f->ms + ms) {
            f->ms = f->requests[i].at_ms > f->ms ? f->requests[i].at_ms : f->ms;
            return true;
        }
    }
    return false;
}

static uint64_t round_bytes(const struct fake_world *f)
{
    bool full = f->c.n_rounds == 0;
    uint64_t changed = f->power == VF_POWER_ON
                           ? f->hot_bytes + f->change_bytes_ms * (uint64_t)(f->ms - f->state_ms)
                           : 0;
    return full ? f->full_bytes : changed;
}

static int copy(struct vf_world *w, enum vf_round_kind kind, struct vf_round *ret,
                struct vf_error **err)
{
    struct fake_world *f = of(w);
    struct call c = {.op = FAKE_COPY};
    (void)kind;
    int rc = enter(f, &c, err);
    if (rc) {
        return rc;
    }
    const struct fake_snapshot *s = find_snapshot(f, f->in_hand);
    if (!s) {
        return fail(err, VF_MISSING, c.op);
    }
    ret->bytes = round_bytes(f);
    ret->copy_ms = (int64_t)(ret->bytes / f->copy_bytes_ms);
    f->state_ms = f->ms;
    if (is_cancel_due(f, ret->copy_ms)) {
        return fail(err, VF_CANCELLED, c.op);
    }
    f->ms += ret->copy_ms;
    if (f->c.n_disks == 0) {
        f->c.disks = vf_xcalloc(FAKE_DISKS, sizeof *f->c.disks);
        f->c.n_disks = FAKE_DISKS;
    }
    for (size_t i = 0; i < FAKE_DISKS; i++) {
        if (c.half && i == 1) {
            begin_disk(f, &f->c.disks[i], s->id);
            store(f);
            if (f->c.disks[i].phase != VF_CHECKPOINT_COMPLETE) {
                f->values[i] = GARBAGE;
            }
            break;
        }
        copy_disk(f, i, s);
    }
    return leave(f, &c, err);
}

static int deliver(struct vf_world *w, struct vf_error **err)
{
    struct fake_world *f = of(w);
    struct call c = {.op = FAKE_DELIVER};
    int rc = enter(f, &c, err);
    if (rc) {
        return rc;
    }
    f->ms += f->deliver_ms;
    if (!f->behind && !f->accepted) {
        if (f->power != VF_POWER_OFF) {
            fake_world_violate(f, "a VM is made while the source runs");
        }
        for (size_t i = 0; i < FAKE_DISKS; i++) {
            if (f->values[i] != f->content) {
                fake_world_violate(f, "a VM is made whose disk %zu is not the source's", i);
            }
        }
    }
    f->accepted = true;
    return leave(f, &c, err);
}

static int fetch_accepted(struct vf_world *w, bool *ret_accepted, struct vf_error **err)
{
    struct fake_world *f = of(w);
    struct call c = {.op = FAKE_FETCH_ACCEPTED, .cleanup = true};
    int rc = enter(f, &c, err);
    if (rc) {
        return rc;
    }
    *ret_accepted = f->accepted && f->mutation != FAKE_NEVER_ACCEPTED;
    return leave(f, &c, err);
}

static int start(struct vf_world *w, struct vf_error **err)
{
    struct fake_world *f = of(w);
    bool was_on = f->power == VF_POWER_ON;
    struct call c = {.op = FAKE_START};
    int rc = enter(f, &c, err);
    if (rc) {
        return rc;
    }
    if (!f->accepted) {
        fake_world_violate(f, "a VM is started that was not accepted");
    }
    if (was_on) {
        fake_world_violate(f, "the new VM is started while the source runs");
    }
    f->running = f->start_wanted;
    return leave(f, &c, err);
}

static int settle(struct vf_world *w, struct vf_error **err)
{
    struct fake_world *f = of(w);
    struct call c = {.op = FAKE_SETTLE, .cleanup = true};
    int rc = enter(f, &c, err);
    if (rc) {
        return rc;
    }
    if (!f->accepted) {
        fake_world_violate(f, "settled before the VM was accepted");
    }
    f->saved = (struct fake_saved){0};
    f->settled = true;
    return leave(f, &c, err);
}

static int discard(struct vf_world *w, struct vf_error **err)
{
    struct fake_world *f = of(w);
    struct call c = {.op = FAKE_DISCARD, .cleanup = true};
    int rc = enter(f, &c, err);
    if (rc) {
        return rc;
    }
    if (f->accepted) {
        fake_world_violate(f, "an accepted VM's disks are removed");
    }
    for (size_t i = 0; i < FAKE_DISKS; i++) {
        f->values[i] = 0;
    }
    f->saved = (struct fake_saved){0};
    f->discarded = true;
    return leave(f, &c, err);
}

/* --- the rest ----------------------------------------------------------------------------- */

static struct vf_checkpoint *checkpoint(struct vf_world *w)
{
    return &of(w)->c;
}

static int save(struct vf_world *w, struct vf_error **err)
{
    struct fake_world *f = of(w);
    struct call c = {.op = FAKE_SAVE, .cleanup = true};
    int rc = enter(f, &c, err);
    if (rc) {
        return rc;
    }
    store(f);
    return leave(f, &c, err);
}

static int64_t world_now_ms(struct vf_world *w)
{
    return of(w)->ms;
}

static int64_t world_now_s(struct vf_world *w)
{
    return now_s(of(w));
}

static int wait(struct vf_world *w, int64_t timeout_ms, struct vf_migration_request *ret,
                struct vf_error **err)
{
    struct fake_world *f = of(w);
    size_t next = FAKE_MAX_REQUESTS;
    struct call c = {.op = FAKE_WAIT};
    for (size_t i = 0; i < FAKE_MAX_REQUESTS; i++) {
        if (!f->dead && f->requests[i].request.kind && !f->requests[i].given &&
            f->requests[i].at_ms <= f->ms + timeout_ms &&
            (next == FAKE_MAX_REQUESTS || f->requests[i].at_ms < f->requests[next].at_ms)) {
            next = i;
        }
    }
    c.cleanup = next < FAKE_MAX_REQUESTS; /* that one is given, whatever was cancelled since */
    int rc = enter(f, &c, err);
    if (rc) {
        return rc;
    }
    if (next == FAKE_MAX_REQUESTS) {
        f->ms += timeout_ms;
        return leave(f, &c, err);
    }
    f->requests[next].given = true;
    f->ms = f->requests[next].at_ms > f->ms ? f->requests[next].at_ms : f->ms;
    *ret = f->requests[next].request;
    return leave(f, &c, err);
}

static void rest(struct vf_world *w, int64_t timeout_ms)
{
    of(w)->ms += timeout_ms;
}

static void tell(struct vf_world *w, enum vf_migration_phase phase,
                 const struct vf_rounds_forecast *forecast, const char *detail,
                 const char *next_step, const struct vf_error *error)
{
    struct fake_world *f = of(w);
    f->phase = phase;
    if (f->loud && !f->dead) {
        char *vf_autofree text = error ? vf_error_format(error) : vf_xstrdup("");
        printf("%8.1f s %s: %s; %s %s%s\n", (double)f->ms / 1000, vf_migration_phase_name(phase),
               detail ? detail : "", next_step ? next_step : "", text, forecast ? " *" : "");
    }
}

static void warn(struct vf_world *w, const char *text)
{
    struct fake_world *f = of(w);
    f->warnings++;
    if (f->loud && !f->dead) {
        printf("%8.1f s warning: %s\n", (double)f->ms / 1000, text);
    }
}

static const struct vf_world_ops ops = {.look = look,
                                        .enable_tracking = enable_tracking,
                                        .take_snapshot = take_snapshot,
                                        .shut_down = shut_down,
                                        .remove_snapshots = remove_snapshots,
                                        .power_on = power_on,
                                        .note = note,
                                        .prepare = prepare,
                                        .guard = guard,
                                        .copy = copy,
                                        .deliver = deliver,
                                        .start = start,
                                        .fetch_accepted = fetch_accepted,
                                        .settle = settle,
                                        .discard = discard,
                                        .checkpoint = checkpoint,
                                        .save = save,
                                        .now_ms = world_now_ms,
                                        .now_s = world_now_s,
                                        .wait = wait,
                                        .rest = rest,
                                        .tell = tell,
                                        .warn = warn};

void fake_world_init(struct fake_world *f)
{
    *f = (struct fake_world){.base.ops = &ops,
                             .full_bytes = 100000,
                             .hot_bytes = 10,
                             .change_bytes_ms = 1,
                             .copy_bytes_ms = 100,
                             .shutdown_ms = 10000,
                             .deliver_ms = 1000,
                             .start_wanted = true,
                             .power = VF_POWER_ON,
                             .owner_on = true,
                             .n_users = 1};
    add_snapshot(f, false);
}

void fake_world_release(struct fake_world *f)
{
    vf_checkpoint_release(&f->c);
}

void fake_world_begin(struct fake_world *f)
{
    vf_checkpoint_release(&f->c);
    f->in_hand = f->warnings = 0;
    f->came_back = false;
    f->dead = f->cancelled = f->source_out = f->target_out = f->prepared = false;
    load(f); /* vf_machine_cancel does not prepare */
}

/* --- what must be so at an end ------------------------------------------------------------ */

static bool says(const struct vf_error *err, const char *text)
{
    char *vf_autofree all = vf_error_format(err);
    return strstr(all, text) != NULL;
}

static void check_done(struct fake_world *f)
{
    if (!f->accepted || f->running != f->start_wanted || !f->noted || !f->settled ||
        f->saved.is_there || (f->power != VF_POWER_OFF && !f->late)) {
        fake_world_violate(f, "done, and it is not: accepted %d running %d noted %d settled %d",
                           f->accepted, f->running, f->noted, f->settled);
    }
}

void fake_world_check_end(struct fake_world *f, enum vf_machine_end end, int rc,
                          const struct vf_error *err)
{
    if ((rc == 0) != (end == VF_END_DONE) || (rc != 0) != (err != NULL) ||
        (rc && (int)vf_error_code(err) != rc) || (rc == VF_CANCELLED && end == VF_END_FAILED)) {
        fake_world_violate(f, "end %d, code %d and error %d do not agree", end, rc,
                           vf_error_code(err));
    }
    if (!f->prepared) {
        return; /* nothing was touched */
    }
    if (fake_world_count_own(f) > 0 && !says(err, "snapshots of ours may be left")) {
        fake_world_violate(f, "%zu snapshots of ours are left, and nobody says so",
                           fake_world_count_own(f));
    }
    if (count_users(f) != f->n_users) {
        fake_world_violate(f, "snapshots of others are gone");
    }
    bool down = f->owner_on && (f->power != VF_POWER_ON || f->linger > 0);
    if (down && !f->accepted && end != VF_END_UNKNOWN && !says(err, "THE SOURCE IS OFF")) {
        fake_world_violate(f, "the source was on, is off, and nobody says so");
    }
    if (f->accepted && f->power == VF_POWER_ON && !f->behind) {
        fake_world_violate(f, "the source is on after the VM was accepted");
    }
    if ((end == VF_END_DELIVERED && !f->accepted) ||
        (f->accepted && end != VF_END_DELIVERED && end != VF_END_DONE && end != VF_END_UNKNOWN)) {
        fake_world_violate(f, "end %d, and the VM's being accepted is %d", end, f->accepted);
    }
    bool undone = end == VF_END_FAILED || end == VF_END_CANCELLED;
    if (undone && f->saved.stage != VF_STAGE_PRECOPY && !says(err, "could not be saved") &&
        !says(err, "THE SOURCE IS OFF")) {
        fake_world_violate(f, "undone, and the checkpoint still speaks of a cutover");
    }
    if (end == VF_END_DELIVERED && f->saved.stage != VF_STAGE_DELIVERED && !f->settled &&
        f->warnings == 0) {
        fake_world_violate(f, "delivered, and the checkpoint does not know");
    }
    if (end == VF_END_DONE) {
        check_done(f);
    }
    if (end == VF_END_UNKNOWN && f->accepted && f->power == VF_POWER_ON && !f->behind) {
        fake_world_violate(f, "not known, and both could run");
    }
}
