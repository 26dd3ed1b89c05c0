#include "importer/base/pool.h"

#include <pthread.h>
#include <sched.h>
#include <stdlib.h>
#include <sys/sysinfo.h>
#include <unistd.h>

#include "importer/base/mem.h"

#define MAX_THREADS 64u

struct task {
    struct task *next;
    void (*run)(struct task *);
};

/* Lock order: a lane's lock before the pool's. Neither is held while a task runs. */
struct vf_pool {
    pthread_mutex_t lock;
    pthread_cond_t wake;
    struct task *head, **tail;
    bool stop;
    unsigned n_threads;
    pthread_t threads[MAX_THREADS];
};

static unsigned usable_cores(void)
{
    cpu_set_t set;
    if (sched_getaffinity(0, sizeof set, &set) == 0) {
        return (unsigned)CPU_COUNT(&set);
    }
    return (unsigned)get_nprocs();
}

static void *work(void *opaque)
{
    struct vf_pool *p = opaque;
    pthread_mutex_lock(&p->lock);
    for (;;) {
        while (!p->head && !p->stop) {
            pthread_cond_wait(&p->wake, &p->lock);
        }
        if (!p->head) {
            break;
        }
        struct task *t = p->head;
        p->head = t->next;
        if (!p->head) {
            p->tail = &p->head;
        }
        pthread_mutex_unlock(&p->lock);
        t->run(t);
        pthread_mutex_lock(&p->lock);
    }
    pthread_mutex_unlock(&p->lock);
    return NULL;
}

struct vf_pool *vf_pool_new(unsigned threads)
{
    if (threads == 0) {
        threads = usable_cores() + 2;
    }
    threads = threads < 1 ? 1 : threads > MAX_THREADS ? MAX_THREADS : threads;

    struct vf_pool *p = vf_xcalloc(1, sizeof *p);
    pthread_mutex_init(&p->lock, NULL);
    pthread_cond_init(&p->wake, NULL);
    p->tail = &p->head;
    while (p->n_threads < threads &&
           pthread_create(&p->threads[p->n_threads], NULL, work, p) == 0) {
        p->n_threads++;
    }
    if (p->n_threads == 0) {
        vf_pool_free(p);
        return NULL;
    }
    return p;
}

void vf_pool_free(struct vf_pool *p)
{
    if (!p) {
        return;
    }
    pthread_mutex_lock(&p->lock);
    p->stop = true;
    pthread_cond_broadcast(&p->wake);
    pthread_mutex_unlock(&p->lock);
    for (unsigned i = 0; i < p->n_threads; i++) {
        pthread_join(p->threads[i], NULL);
    }
    pthread_cond_destroy(&p->wake);
    pthread_mutex_destroy(&p->lock);
    free(p);
}

unsigned vf_pool_threads(const struct vf_pool *p)
{
    return p->n_threads;
}

static void pool_submit(struct vf_pool *p, struct task *t)
{
    t->next = NULL;
    pthread_mutex_lock(&p->lock);
    *p->tail = t;
    p->tail = &t->next;
    pthread_cond_signal(&p->wake);
    pthread_mutex_unlock(&p->lock);
}

struct slot {
    struct task task; /* first: the pool hands it back */
    struct vf_lane *lane;
    struct slot *next_free;
    bool under_way; /* submitted and not returned */
    uint64_t seq;   /* of its submission */
    void *user;
};

struct vf_lane {
    struct vf_pool *pool;
    const struct vf_lane_ops *ops;
    struct vf_cancel *cancel;
    struct slot *slots;
    unsigned n_slots, n_ready; /* of them, n_ready were initialised */
    char *memory;

    pthread_mutex_t lock; /* guards all below */
    pthread_cond_t freed; /* a slot came back: producer and turn waiters look again */
    struct slot *free_list;
    unsigned n_free;
    uint64_t next_seq; /* given to the next submission */
    struct vf_error *error;
    int code; /* of error; 0: none */
};

#define MAX_SLOTS 64u

/* Lock held. */
static void put_free(struct vf_lane *lane, struct slot *s)
{
    s->next_free = lane->free_list;
    lane->free_list = s;
    lane->n_free++;
}

static void slot_run(struct task *t)
{
    struct slot *s = (struct slot *)t;
    struct vf_lane *lane = s->lane;
    struct vf_error *error = NULL;
    int rc = 0;

    pthread_mutex_lock(&lane->lock);
    bool failed = lane->code != 0;
    pthread_mutex_unlock(&lane->lock);
    if (!failed) {
        rc = lane->ops->run(s->user, lane, &error);
    }

    pthread_mutex_lock(&lane->lock);
    bool first = rc && !lane->code;
    if (first) {
        lane->code = rc;
        lane->error = vf_take(error);
    }
    s->under_way = false;
    put_free(lane, s);
    if (first && lane->cancel) {
        vf_cancel_trigger(lane->cancel);
    }
    pthread_cond_broadcast(&lane->freed);
    pthread_mutex_unlock(&lane->lock);
    vf_error_free(error);
}

int vf_lane_new(struct vf_pool *pool, unsigned slots, const struct vf_lane_ops *ops, void *owner,
                struct vf_cancel *cancel, struct vf_lane **ret_lane, struct vf_error **err)
{
    slots = slots < 1 ? 1 : slots > MAX_SLOTS ? MAX_SLOTS : slots;
    size_t stride = (ops->slot_size + 63) & ~(size_t)63;

    struct vf_lane *lane = vf_xcalloc(1, sizeof *lane);
    lane->pool = pool;
    lane->ops = ops;
    lane->cancel = cancel;
    lane->n_slots = slots;
    lane->slots = vf_xcalloc(slots, sizeof *lane->slots);
    lane->memory = vf_xcalloc(slots, stride);
    pthread_mutex_init(&lane->lock, NULL);
    pthread_cond_init(&lane->freed, NULL);

    for (unsigned i = 0; i < slots; i++) {
        struct slot *s = &lane->slots[i];
        s->task.run = slot_run;
        s->lane = lane;
        s->user = lane->memory + i * stride;
        int rc = ops->init(s->user, owner, err);
        if (rc) {
            vf_lane_free(lane);
            return rc;
        }
        lane->n_ready++;
        put_free(lane, s);
    }
    *ret_lane = lane;
    return 0;
}

static void wait_all(struct vf_lane *lane)
{
    pthread_mutex_lock(&lane->lock);
    while (lane->n_free < lane->n_ready) {
        pthread_cond_wait(&lane->freed, &lane->lock);
    }
    pthread_mutex_unlock(&lane->lock);
}

void vf_lane_free(struct vf_lane *lane)
{
    if (!lane) {
        return;
    }
    wait_all(lane);
    for (unsigned i = 0; i < lane->n_ready; i++) {
        lane->ops->release(lane->slots[i].user);
    }
    pthread_cond_destroy(&lane->freed);
    pthread_mutex_destroy(&lane->lock);
    vf_error_free(lane->error);
    free(lane->memory);
    free(lane->slots);
    free(lane);
}

/* The lane's error goes to the first who asks; the code stays. Lock held. */
static int take_error(struct vf_lane *lane, struct vf_error **err)
{
    int code = lane->code;
    if (lane->error) {
        vf_error_move(err, &lane->error);
    } else {
        vf_error_set(err, code, "stopped after an earlier failure");
    }
    return code;
}

static struct slot *slot_of(struct vf_lane *lane, void *user)
{
    size_t stride = (lane->ops->slot_size + 63) & ~(size_t)63;
    return &lane->slots[(size_t)((char *)user - lane->memory) / stride];
}

int vf_lane_acquire(struct vf_lane *lane, void **ret_slot, struct vf_error **err)
{
    pthread_mutex_lock(&lane->lock);
    while (!lane->free_list && !lane->code) {
        pthread_cond_wait(&lane->freed, &lane->lock);
    }
    int rc = 0;
    if (lane->code) {
        rc = take_error(lane, err);
    } else {
        struct slot *s = lane->free_list;
        lane->free_list = s->next_free;
        lane->n_free--;
        *ret_slot = s->user;
    }
    pthread_mutex_unlock(&lane->lock);
    if (rc == 0 && vf_cancel_is_set(lane->cancel)) {
        vf_lane_abandon(lane, *ret_slot);
        rc = vf_cancel_check(lane->cancel, err);
    }
    return rc;
}

void vf_lane_submit(struct vf_lane *lane, void *slot)
{
    struct slot *s = slot_of(lane, slot);
    pthread_mutex_lock(&lane->lock);
    s->seq = lane->next_seq++;
    s->under_way = true;
    pthread_mutex_unlock(&lane->lock);
    pool_submit(lane->pool, &s->task);
}

void vf_lane_abandon(struct vf_lane *lane, void *slot)
{
    struct slot *s = slot_of(lane, slot);
    pthread_mutex_lock(&lane->lock);
    put_free(lane, s);
    pthread_mutex_unlock(&lane->lock);
}

int vf_lane_drain(struct vf_lane *lane, struct vf_error **err)
{
    wait_all(lane);
    pthread_mutex_lock(&lane->lock);
    int rc = lane->code ? take_error(lane, err) : 0;
    pthread_mutex_unlock(&lane->lock);
    return rc ? rc : vf_cancel_check(lane->cancel, err);
}

int vf_lane_settle(struct vf_lane *lane, int rc, struct vf_error **err)
{
    struct vf_error *cause = NULL;
    int lane_rc = vf_lane_drain(lane, &cause);
    if (lane_rc && (rc == 0 || (rc == VF_CANCELLED && lane_rc != VF_CANCELLED))) {
        if (err) {
            vf_error_clear(err);
        }
        vf_error_move(err, &cause);
        rc = lane_rc;
    }
    vf_error_free(cause);
    return rc;
}

/* Whether nothing submitted before `s` is under way. Lock held. */
static bool is_first(const struct vf_lane *lane, const struct slot *s)
{
    for (unsigned i = 0; i < lane->n_slots; i++) {
        const struct slot *other = &lane->slots[i];
        if (other->under_way && other->seq < s->seq) {
            return false;
        }
    }
    return true;
}

int vf_lane_wait_turn(struct vf_lane *lane, void *slot, struct vf_error **err)
{
    struct slot *s = slot_of(lane, slot);
    pthread_mutex_lock(&lane->lock);
    while (!is_first(lane, s) && !lane->code) {
        pthread_cond_wait(&lane->freed, &lane->lock);
    }
    int code = lane->code;
    pthread_mutex_unlock(&lane->lock);
    return code ? vf_error_set(err, VF_CANCELLED, "stopped after an earlier failure") : 0;
}
