#include <vmferry/cancel.h>

#include <errno.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "importer/base/clock.h"

struct vf_cancel {
    const struct vf_cancel *parent;
    atomic_bool set;
    int fd;
};

struct vf_cancel *vf_cancel_new(const struct vf_cancel *parent)
{
    struct vf_cancel *c = calloc(1, sizeof *c);
    if (!c) {
        return NULL;
    }
    c->parent = parent;
    c->fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (c->fd < 0) {
        free(c);
        return NULL;
    }
    return c;
}

void vf_cancel_free(struct vf_cancel *c)
{
    if (c) {
        close(c->fd);
        free(c);
    }
}

void vf_cancel_trigger(struct vf_cancel *c)
{
    int saved = errno;
    uint64_t one = 1;
    atomic_store(&c->set, true);
    if (write(c->fd, &one, sizeof one) < 0) {
        /* Only when the counter is full: it is readable then, which is all that matters. */
    }
    errno = saved;
}

bool vf_cancel_is_set(const struct vf_cancel *c)
{
    for (; c; c = c->parent) {
        if (atomic_load_explicit(&c->set, memory_order_relaxed)) {
            return true;
        }
    }
    return false;
}

int vf_cancel_check(const struct vf_cancel *c, struct vf_error **err)
{
    if (vf_cancel_is_set(c)) {
        return vf_error_set(err, VF_CANCELLED, "cancelled");
    }
    return 0;
}

unsigned vf_cancel_poll_fds(const struct vf_cancel *c, struct pollfd *fds, unsigned cap)
{
    unsigned n = 0;
    for (; c && n < cap; c = c->parent) {
        fds[n++] = (struct pollfd){.fd = c->fd, .events = POLLIN};
    }
    return n;
}

int vf_cancel_wait(const struct vf_cancel *c, int64_t timeout_ms, struct vf_error **err)
{
    struct pollfd fds[VF_CANCEL_MAX_FDS];
    unsigned n = vf_cancel_poll_fds(c, fds, VF_CANCEL_MAX_FDS);
    int64_t end_ms = vf_clock_ms() + timeout_ms;

    for (;;) {
        int rc = vf_cancel_check(c, err);
        if (rc) {
            return rc;
        }
        int64_t left_ms = end_ms - vf_clock_ms();
        if (left_ms <= 0) {
            return 0;
        }
        poll(fds, n, left_ms > 60000 ? 60000 : (int)left_ms);
    }
}
