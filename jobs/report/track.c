#include "jobs/report/track.h"

#include <stdlib.h>
#include <string.h>

#include "importer/base/mem.h"

void vf_track_init(struct vf_track *t)
{
    *t = (struct vf_track){0};
}

void vf_track_release(struct vf_track *t)
{
    for (size_t i = 0; i < t->n_disks; i++) {
        free(t->disks[i].vm);
        free(t->disks[i].name);
    }
    free(t->disks);
    vf_track_init(t);
}

static bool same_vm(const char *a, const char *b)
{
    return a && b ? strcmp(a, b) == 0 : a == b;
}

static struct vf_track_disk *find(struct vf_track *t, const struct vf_event *e)
{
    for (size_t i = 0; i < t->n_disks; i++) {
        if (t->disks[i].index == e->disk && same_vm(t->disks[i].vm, e->vm)) {
            return &t->disks[i];
        }
    }
    return NULL;
}

static void sample_disk(struct vf_track_disk *d, int64_t now_ms)
{
    const struct vf_progress *p = d->progress;
    if (!p) {
        return;
    }
    d->done_bytes = atomic_load_explicit(&p->done_bytes, memory_order_relaxed);
    d->data_bytes = atomic_load_explicit(&p->data_bytes, memory_order_relaxed);
    d->source_bytes = atomic_load_explicit(&p->source_bytes, memory_order_relaxed);
    if (d->first_ms < 0) {
        if (d->done_bytes == 0 && d->source_bytes == 0) {
            return; /* waits for its turn: that time says nothing about its pace */
        }
        d->first_ms = now_ms;
    }
    d->last_ms = now_ms;
    vf_rate_sample(&d->rate, now_ms, d->done_bytes);
}

/* Disks start in any order, on threads of their own; people look for them in theirs. */
static struct vf_track_disk *insert(struct vf_track *t, const struct vf_event *e)
{
    t->disks = vf_xrealloc_array(t->disks, t->n_disks + 1, sizeof *t->disks);
    size_t at = t->n_disks++;
    for (; at > 0 && same_vm(t->disks[at - 1].vm, e->vm) && t->disks[at - 1].index > e->disk;
         at--) {
        t->disks[at] = t->disks[at - 1];
    }
    return &t->disks[at];
}

static bool is_any_running(const struct vf_track *t)
{
    for (size_t i = 0; i < t->n_disks; i++) {
        if (t->disks[i].state == VF_TRACK_RUNNING) {
            return true;
        }
    }
    return false;
}

static struct vf_track_disk *start_disk(struct vf_track *t, const struct vf_event *e)
{
    struct vf_track_disk *d = find(t, e);
    if (!d) {
        d = insert(t, e);
    } else { /* a second try of the same disk */
        free(d->vm);
        free(d->name);
    }
    *d = (struct vf_track_disk){
        .vm = vf_xstrdup(e->vm),
        .index = e->disk,
        .name = e->name ? vf_xstrdup(e->name) : vf_xasprintf("disk %u", e->disk),
        .progress = e->progress,
        .total_bytes = e->progress ? e->progress->total_bytes : 0,
        .first_ms = -1,
        .last_ms = -1,
    };
    return d;
}

const struct vf_track_disk *vf_track_event(struct vf_track *t, const struct vf_event *e,
                                           int64_t now_ms)
{
    if (e->type == VF_EVENT_PHASE) {
        t->over = !is_any_running(t);
    }
    if (e->type == VF_EVENT_DISK_START) {
        if (t->over) { /* a migration copies them again and again */
            vf_track_release(t);
        }
        return start_disk(t, e);
    }
    if (e->type != VF_EVENT_DISK_END) {
        return NULL;
    }
    struct vf_track_disk *d = find(t, e);
    if (d) {
        sample_disk(d, now_ms);
        d->progress = NULL;
        d->state = e->error ? VF_TRACK_FAILED : VF_TRACK_DONE;
    }
    return d;
}

void vf_track_sample(struct vf_track *t, int64_t now_ms)
{
    uint64_t done_bytes = 0;
    bool moved = false;
    for (size_t i = 0; i < t->n_disks; i++) {
        sample_disk(&t->disks[i], now_ms);
        done_bytes += t->disks[i].done_bytes;
        moved = moved || t->disks[i].first_ms >= 0;
    }
    if (moved) {
        vf_rate_sample(&t->rate, now_ms, done_bytes);
    }
}

struct vf_track_disk vf_track_total(const struct vf_track *t)
{
    static char name[] = "total";
    struct vf_track_disk sum = {.name = name, .first_ms = -1, .last_ms = -1, .rate = t->rate};
    size_t running = 0, failed = 0;
    for (size_t i = 0; i < t->n_disks; i++) {
        const struct vf_track_disk *d = &t->disks[i];
        running += d->state == VF_TRACK_RUNNING;
        failed += d->state == VF_TRACK_FAILED;
        sum.done_bytes += d->done_bytes;
        sum.data_bytes += d->data_bytes;
        sum.source_bytes += d->source_bytes;
        sum.total_bytes += d->total_bytes;
        int64_t eta_s = d->state == VF_TRACK_RUNNING ? vf_track_eta_s(d) : 0;
        sum.least_eta_s = eta_s > sum.least_eta_s ? eta_s : sum.least_eta_s;
        if (d->first_ms >= 0 && (sum.first_ms < 0 || d->first_ms < sum.first_ms)) {
            sum.first_ms = d->first_ms;
        }
        sum.last_ms = d->last_ms > sum.last_ms ? d->last_ms : sum.last_ms;
    }
    sum.state = failed ? VF_TRACK_FAILED : running ? VF_TRACK_RUNNING : VF_TRACK_DONE;
    return sum;
}

uint64_t vf_track_elapsed_s(const struct vf_track_disk *d)
{
    return d->first_ms < 0 ? 0 : (uint64_t)(d->last_ms - d->first_ms) / 1000;
}

unsigned vf_track_percent(const struct vf_track_disk *d)
{
    if (d->done_bytes >= d->total_bytes) {
        return d->total_bytes > 0 || d->state == VF_TRACK_DONE ? 100 : 0;
    }
    return (unsigned)((double)d->done_bytes * 100 / (double)d->total_bytes);
}

uint64_t vf_track_bytes_per_s(const struct vf_track_disk *d)
{
    if (d->state == VF_TRACK_RUNNING) {
        return vf_rate_bytes_per_s(&d->rate);
    }
    int64_t took_ms = d->first_ms < 0 ? 0 : d->last_ms - d->first_ms;
    return took_ms > 0 ? (uint64_t)((double)d->done_bytes * 1000 / (double)took_ms) : 0;
}

int64_t vf_track_eta_s(const struct vf_track_disk *d)
{
    int64_t eta_s = vf_rate_eta_s(
        &d->rate, d->total_bytes > d->done_bytes ? d->total_bytes - d->done_bytes : 0);
    return eta_s >= 0 && eta_s < d->least_eta_s ? d->least_eta_s : eta_s;
}
