/* One connection and the thread that alone uses it. Pieces of requests are taken from the disk's
 * queue into slots; a slot keeps its piece over losses of the connection until it is answered or
 * has been tried often enough. */
#include <errno.h>
#include <signal.h>
#include <string.h>
#include <unistd.h>

#include "importer/base/clock.h"
#include "importer/base/log.h"
#include "importer/base/mem.h"
#include "importer/source/nbd_private.h"

/* Taken from the queue before the socket is looked at again, so that other links get some too. */
#define TAKE_AT_ONCE 16
/* An answer that others overtake for this many times the stall's timeout does not come. */
#define OVERTAKEN_STALLS 10

void vf_nbd_wake(struct vf_nbd_disk *d)
{
    uint64_t one = 1;
    for (unsigned i = 0; i < d->n_links; i++) {
        struct vf_nbd_link *l = &d->links[i];
        if (l->sleeping || d->stop) {
            l->sleeping = false;
            if (write(l->wake_fd, &one, sizeof one) < 0) {
                /* Only when the counter is full: it is readable then. */
            }
        }
    }
}

/* Under the lock. A request leaves the queue when all is handed out, or when it failed. */
static void leave_queue(struct vf_nbd_disk *d, struct vf_nbd_request *r)
{
    for (struct vf_nbd_request **at = &d->first; *at; at = &(*at)->next) {
        if (*at == r) {
            *at = r->next;
            if (d->last == &r->next) {
                d->last = at;
            }
            return;
        }
    }
}

/* Under the lock. */
static void fail_request(struct vf_nbd_disk *d, struct vf_nbd_request *r, int rc,
                         const char *message)
{
    if (!r->rc) {
        r->rc = rc;
        vf_error_set(&r->error, (enum vf_code)rc, "%s", message);
        leave_queue(d, r);
    }
    if (!r->under_way) {
        pthread_cond_signal(&r->done);
    }
}

/* Under the lock: the slot's piece is read (rc 0), or will not be. */
static void release_slot(struct vf_nbd_slot *s, int rc, const char *message)
{
    struct vf_nbd_link *l = s->link;
    struct vf_nbd_request *r = s->request;
    r->under_way--;
    if (rc) {
        fail_request(l->disk, r, rc, message);
    } else if (!r->under_way) {
        pthread_cond_signal(&r->done);
    }
    s->state = VF_NBD_FREE;
    s->request = NULL;
    l->held--;
}

static void fail_slot(struct vf_nbd_slot *s, int rc, const char *why)
{
    struct vf_nbd_disk *d = s->link->disk;
    char *vf_autofree message = vf_xasprintf(
        "cannot %s %u bytes at offset %llu of NBD server %s: %s (try %u)", s->buf ? "read" : "map",
        s->length_bytes, (unsigned long long)s->offset_bytes, d->label, why, s->tries);
    pthread_mutex_lock(&d->lock);
    release_slot(s, rc, message);
    pthread_mutex_unlock(&d->lock);
}

static void fail_held(struct vf_nbd_link *l, int rc, const char *message)
{
    struct vf_nbd_disk *d = l->disk;
    pthread_mutex_lock(&d->lock);
    for (unsigned i = 0; i < d->in_flight; i++) {
        if (l->slots[i].state != VF_NBD_FREE) {
            release_slot(&l->slots[i], rc, message);
        }
    }
    pthread_mutex_unlock(&d->lock);
}

/* What no connection is left for. */
static void fail_queue(struct vf_nbd_disk *d, int rc, const char *message)
{
    pthread_mutex_lock(&d->lock);
    while (d->first) {
        fail_request(d, d->first, rc, message);
    }
    pthread_mutex_unlock(&d->lock);
}

static int64_t delay_ms(const struct vf_nbd_disk *d, unsigned tries)
{
    int64_t ms = d->retry.first_wait_ms;
    for (unsigned i = 1; i < tries && ms < d->retry.max_wait_ms; i++) {
        ms *= 2;
    }
    return ms < d->retry.max_wait_ms ? ms : d->retry.max_wait_ms;
}

static bool is_wanted(const struct vf_nbd_slot *s)
{
    struct vf_nbd_disk *d = s->link->disk;
    pthread_mutex_lock(&d->lock);
    bool wanted = !s->request->rc;
    pthread_mutex_unlock(&d->lock);
    return wanted;
}

static void try_again(struct vf_nbd_slot *s, int rc, const char *why)
{
    const struct vf_nbd_disk *d = s->link->disk;
    if (rc != VF_RETRY || s->tries >= d->retry.max_tries || !is_wanted(s)) {
        fail_slot(s, rc, why);
        return;
    }
    s->state = VF_NBD_WAITING;
    s->not_before_ms = vf_clock_ms() + delay_ms(d, s->tries);
}

static void set_connected(struct vf_nbd_link *l, bool connected)
{
    pthread_mutex_lock(&l->disk->lock);
    l->connected = connected;
    l->disk->losses += !connected;
    pthread_mutex_unlock(&l->disk->lock);
}

/* The connection is of no use any more: what was asked over it is to be asked again. libnbd writes
 * into no buffer after nbd_close. */
static void lose(struct vf_nbd_link *l, const char *why)
{
    struct vf_nbd_disk *d = l->disk;
    vf_debug("nbd: %s: %s; %u requests were under way", d->label, why, l->asked);
    nbd_close(l->handle);
    l->handle = NULL;
    l->renew = false;
    l->asked = 0;
    set_connected(l, false);
    for (unsigned i = 0; i < d->in_flight; i++) {
        struct vf_nbd_slot *s = &l->slots[i];
        if (s->state == VF_NBD_ASKED || s->state == VF_NBD_ANSWERED) {
            s->tries++;
            try_again(s, VF_RETRY, why);
        }
    }
}

static bool other_is_connected(struct vf_nbd_link *l)
{
    struct vf_nbd_disk *d = l->disk;
    bool any = false;
    pthread_mutex_lock(&d->lock);
    for (unsigned i = 0; i < d->n_links; i++) {
        any = any || d->links[i].connected;
    }
    pthread_mutex_unlock(&d->lock);
    return any;
}

static int check_same(const struct vf_nbd_disk *d, const struct vf_nbd_server *server,
                      struct vf_error **err)
{
    if (server->size_bytes != d->base.size_bytes || server->min_bytes > d->min_bytes ||
        server->max_bytes < d->request_bytes) {
        return vf_error_set(err, VF_CONFLICT,
                            "NBD server %s came back with another disk (%llu bytes, before %llu)",
                            d->label, (unsigned long long)server->size_bytes,
                            (unsigned long long)d->base.size_bytes);
    }
    return 0;
}

/* Until connected, or nobody can say any more that it will come. */
static int connect_again(struct vf_nbd_link *l, struct vf_error **err)
{
    struct vf_nbd_disk *d = l->disk;
    struct vf_nbd_server server;
    struct vf_retry retry;
    vf_retry_init(&retry, &d->retry, d->cancel);
    int rc;
    do {
        rc = vf_nbd_connect(d, &l->handle, &server, err);
        /* It was an NBD server, and let us in: now it may be about to start, or to end. */
        rc = rc == VF_MISSING || rc == VF_INVALID || rc == VF_AUTH ? VF_RETRY : rc;
    } while (vf_retry_again(&retry, &rc, err));
    rc = rc ? rc : check_same(d, &server, err);
    if (rc && l->handle) {
        nbd_close(l->handle);
        l->handle = NULL;
    }
    return rc;
}

static void connect_link(struct vf_nbd_link *l)
{
    struct vf_nbd_disk *d = l->disk;
    struct vf_error *err = NULL;
    int rc = connect_again(l, &err);
    if (!rc) {
        set_connected(l, true);
        return;
    }
    char *vf_autofree message = vf_error_format(err);
    vf_error_free(err);
    vf_debug("nbd: gave up: %s", message);
    fail_held(l, rc, message);
    if (other_is_connected(l)) {
        l->connect_after_ms = vf_clock_ms() + d->retry.max_wait_ms;
    } else {
        fail_queue(d, rc, message);
    }
}

/* Called by libnbd inside of nbd_aio_notify_* and nbd_aio_pread, on the link's thread. */
static int on_answer(void *opaque, int *error)
{
    struct vf_nbd_slot *s = opaque;
    s->errnum = *error;
    s->state = VF_NBD_ANSWERED;
    return 1; /* libnbd forgets the command by itself */
}

static int on_areas(void *opaque, const char *context, uint64_t offset_bytes, uint32_t *entries,
                    size_t n_entries, int *error)
{
    (void)error;
    struct vf_nbd_slot *s = opaque;
    struct vf_nbd_request *r = s->request;
    if (strcmp(context, LIBNBD_CONTEXT_BASE_ALLOCATION) != 0 || offset_bytes != s->offset_bytes) {
        return 0;
    }
    r->n_areas = 0;
    for (size_t i = 0; i + 1 < n_entries && r->n_areas < VF_NBD_MAX_AREAS; i += 2) {
        r->areas[r->n_areas++] =
            (struct vf_nbd_area){.length_bytes = entries[i], .flags = entries[i + 1]};
    }
    return 0;
}

static void ask(struct vf_nbd_link *l, struct vf_nbd_slot *s, int64_t now_ms)
{
    nbd_completion_callback done = {.callback = on_answer, .user_data = s};
    if (!l->asked) {
        l->heard_ms = now_ms;
    }
    s->state = VF_NBD_ASKED;
    s->asked_ms = now_ms;
    l->asked++;
    int64_t cookie;
    if (s->buf) {
        cookie = nbd_aio_pread(l->handle, s->buf, s->length_bytes, s->offset_bytes, done, 0);
    } else {
        nbd_extent_callback areas = {.callback = on_areas, .user_data = s};
        cookie = nbd_aio_block_status(l->handle, s->length_bytes, s->offset_bytes, areas, done, 0);
    }
    if (cookie < 0 && s->state == VF_NBD_ASKED) { /* refused before it went out */
        s->errnum = nbd_get_errno() ? nbd_get_errno() : EIO;
        s->state = VF_NBD_ANSWERED;
    }
}

static void ask_waiting(struct vf_nbd_link *l)
{
    int64_t now_ms = vf_clock_ms();
    for (unsigned i = 0; i < l->disk->in_flight && l->handle && !l->renew; i++) {
        struct vf_nbd_slot *s = &l->slots[i];
        if (s->state == VF_NBD_WAITING && s->not_before_ms <= now_ms) {
            ask(l, s, now_ms);
        }
    }
}

static void judge_answer(struct vf_nbd_link *l, struct vf_nbd_slot *s)
{
    struct vf_nbd_disk *d = l->disk;
    l->asked--;
    if (!s->errnum && !s->buf && !s->request->n_areas) {
        s->tries++;
        fail_slot(s, VF_INVALID, "an answer without what was asked for");
        return;
    }
    if (!s->errnum) {
        pthread_mutex_lock(&d->lock);
        release_slot(s, 0, NULL);
        pthread_mutex_unlock(&d->lock);
        return;
    }
    struct vf_error *err = NULL;
    int rc = vf_nbd_error(&err, s->errnum, NULL, "the server answered");
    if (rc == VF_INVALID && !s->buf) {
        rc = VF_UNSUPPORTED; /* no wrong window: a map it cannot make, in nbdkit's words */
    }
    s->tries++;
    /* A server may have lost what is behind it for good, and find it anew for a new client. */
    l->renew = l->renew || s->tries % 2 == 0;
    try_again(s, rc, vf_error_message(err));
    vf_error_free(err);
}

/* What the answers and the clock say. */
static void settle(struct vf_nbd_link *l)
{
    struct vf_nbd_disk *d = l->disk;
    bool dead = nbd_aio_is_dead(l->handle) == 1 || nbd_aio_is_closed(l->handle) == 1;
    bool overtaken = false;
    int64_t now_ms = vf_clock_ms();
    for (unsigned i = 0; i < d->in_flight; i++) {
        struct vf_nbd_slot *s = &l->slots[i];
        if (s->state == VF_NBD_ANSWERED && !(dead && s->errnum)) {
            judge_answer(l, s);
        }
        overtaken = overtaken || (s->state == VF_NBD_ASKED &&
                                  now_ms - s->asked_ms >= OVERTAKEN_STALLS * d->stall_timeout_ms);
    }
    if (dead) {
        lose(l, "the connection was lost");
    } else if (overtaken || (l->asked && now_ms - l->heard_ms >= d->stall_timeout_ms)) {
        lose(l, "no answer came in time");
    } else if (l->renew && !l->asked) {
        vf_nbd_disconnect(l->handle);
        l->handle = NULL;
        l->renew = false;
        set_connected(l, false);
    }
}

/* Under the lock: the next pieces, into free slots. */
static void take(struct vf_nbd_link *l)
{
    struct vf_nbd_disk *d = l->disk;
    unsigned taken = 0;
    for (unsigned i = 0; i < d->in_flight && d->first && taken < TAKE_AT_ONCE; i++) {
        struct vf_nbd_slot *s = &l->slots[i];
        if (s->state != VF_NBD_FREE) {
            continue;
        }
        struct vf_nbd_request *r = d->first;
        uint64_t left_bytes = r->end_bytes - r->next_bytes;
        uint32_t most_bytes = r->buf ? d->request_bytes : UINT32_MAX;
        uint32_t n = left_bytes < most_bytes ? (uint32_t)left_bytes : most_bytes;
        *s = (struct vf_nbd_slot){.link = l,
                                  .state = VF_NBD_WAITING,
                                  .request = r,
                                  .buf = r->buf,
                                  .offset_bytes = r->next_bytes,
                                  .length_bytes = n};
        r->buf = r->buf ? r->buf + n : NULL;
        r->next_bytes += n;
        r->under_way++;
        l->held++;
        taken++;
        if (r->next_bytes == r->end_bytes) {
            leave_queue(d, r);
        }
    }
}

static int64_t wait_ms(const struct vf_nbd_link *l, bool work)
{
    const struct vf_nbd_disk *d = l->disk;
    int64_t at_ms = INT64_MAX;
    if (!l->handle && work) {
        at_ms = l->connect_after_ms;
    } else if (l->handle && work && !l->renew && l->held < d->in_flight) {
        return 0;
    }
    for (unsigned i = 0; i < d->in_flight && l->held; i++) {
        const struct vf_nbd_slot *s = &l->slots[i];
        if (s->state == VF_NBD_WAITING && !l->renew && s->not_before_ms < at_ms) {
            at_ms = s->not_before_ms;
        }
    }
    if (l->asked && l->heard_ms + d->stall_timeout_ms < at_ms) {
        at_ms = l->heard_ms + d->stall_timeout_ms;
    }
    return at_ms == INT64_MAX ? INT64_MAX : at_ms - vf_clock_ms();
}

static void serve(struct vf_nbd_link *l, bool work)
{
    if (!l->handle && (l->held || (work && vf_clock_ms() >= l->connect_after_ms))) {
        connect_link(l);
        return;
    }
    ask_waiting(l);
    bool heard;
    struct vf_error *err = NULL;
    int rc = vf_nbd_poll(l->handle, l->wake_fd, l->disk->cancel, wait_ms(l, work), &heard, &err);
    if (heard) {
        l->heard_ms = vf_clock_ms();
    }
    if (l->handle) {
        settle(l);
    }
    if (rc && l->handle) { /* not dead for libnbd, but its socket is of no use */
        lose(l, vf_error_message(err));
    }
    vf_error_free(err);
}

static void end_cancelled(struct vf_nbd_link *l)
{
    if (l->handle) {
        nbd_close(l->handle);
        l->handle = NULL;
        l->asked = 0;
        set_connected(l, false);
    }
    fail_held(l, VF_CANCELLED, "cancelled");
    fail_queue(l->disk, VF_CANCELLED, "cancelled");
    bool heard;
    vf_nbd_poll(NULL, l->wake_fd, NULL, INT64_MAX, &heard, NULL);
}

void *vf_nbd_link_run(void *link)
{
    struct vf_nbd_link *l = link;
    struct vf_nbd_disk *d = l->disk;
    /* gnutls writes to sockets without MSG_NOSIGNAL; the other signals are for the main thread. */
    sigset_t all;
    sigfillset(&all);
    pthread_sigmask(SIG_BLOCK, &all, NULL);
    for (;;) {
        pthread_mutex_lock(&d->lock);
        bool stop = d->stop;
        if (!stop && l->handle && !l->renew) {
            take(l);
        }
        bool work = d->first != NULL;
        l->sleeping = !work && l->held < d->in_flight;
        pthread_mutex_unlock(&d->lock);
        if (stop) {
            break;
        }
        if (vf_cancel_is_set(d->cancel)) {
            end_cancelled(l);
        } else {
            serve(l, work);
        }
    }
    vf_nbd_disconnect(l->handle);
    return NULL;
}
