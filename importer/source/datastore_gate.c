#include "importer/source/datastore_gate.h"

#include <stdint.h>
#include <time.h>

#include "importer/base/clock.h"

#define LOOK_MS  200 /* how often a wait looks for a cancellation */
#define PER_STEP 16  /* answers, for each request under way, before one more is risked */

void vf_datastore_gate_init(struct vf_datastore_gate *g, unsigned max)
{
    pthread_condattr_t attr;
    pthread_condattr_init(&attr);
    pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    *g = (struct vf_datastore_gate){.max = max, .limit = max};
    pthread_mutex_init(&g->lock, NULL);
    pthread_cond_init(&g->changed, &attr);
    pthread_condattr_destroy(&attr);
}

void vf_datastore_gate_release(struct vf_datastore_gate *g)
{
    pthread_cond_destroy(&g->changed);
    pthread_mutex_destroy(&g->lock);
}

static void wait_a_moment(struct vf_datastore_gate *g)
{
    int64_t until_ms = vf_clock_ms() + LOOK_MS;
    struct timespec until = {.tv_sec = (time_t)(until_ms / 1000),
                             .tv_nsec = (long)(until_ms % 1000) * 1000000};
    pthread_cond_timedwait(&g->changed, &g->lock, &until);
}

int vf_datastore_gate_enter(struct vf_datastore_gate *g, const struct vf_cancel *cancel,
                            unsigned *ret_era, struct vf_error **err)
{
    int rc = vf_cancel_check(cancel, err);
    if (rc) {
        return rc;
    }
    pthread_mutex_lock(&g->lock);
    while (g->under_way >= g->limit && !rc) {
        wait_a_moment(g);
        rc = vf_cancel_check(cancel, err);
    }
    if (!rc) {
        g->under_way++;
        *ret_era = g->era;
    }
    pthread_mutex_unlock(&g->lock);
    return rc;
}

static void lower(struct vf_datastore_gate *g)
{
    g->limit = g->limit > 1 ? g->limit / 2 : 1;
    g->good = 0;
    g->era++;
}

static void lift(struct vf_datastore_gate *g)
{
    if (g->limit < g->max && ++g->good >= g->limit * PER_STEP) {
        g->limit++;
        g->good = 0;
    }
}

void vf_datastore_gate_leave(struct vf_datastore_gate *g, unsigned era,
                             enum vf_datastore_outcome outcome)
{
    pthread_mutex_lock(&g->lock);
    g->under_way--;
    if (outcome == VF_DATASTORE_BUSY && era == g->era) {
        lower(g);
    } else if (outcome == VF_DATASTORE_GOOD) {
        lift(g);
    }
    pthread_cond_broadcast(&g->changed);
    pthread_mutex_unlock(&g->lock);
}

unsigned vf_datastore_gate_get_limit(struct vf_datastore_gate *g)
{
    pthread_mutex_lock(&g->lock);
    unsigned limit = g->limit;
    pthread_mutex_unlock(&g->lock);
    return limit;
}
