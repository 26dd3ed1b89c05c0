#include "importer/base/retry.h"

#include <stdlib.h>
#include <sys/random.h>

#include "importer/base/clock.h"
#include "importer/base/log.h"

void vf_retry_init(struct vf_retry *r, const struct vf_retry_policy *policy,
                   const struct vf_cancel *cancel)
{
    *r = (struct vf_retry){.cancel = cancel};
    if (policy) {
        r->policy = *policy;
    }
    struct vf_retry_policy *p = &r->policy;
    p->max_tries = p->max_tries ? p->max_tries : 5;
    p->first_wait_ms = p->first_wait_ms ? p->first_wait_ms : 500;
    p->max_wait_ms = p->max_wait_ms ? p->max_wait_ms : 30000;
    r->deadline_ms = p->timeout_ms ? vf_clock_ms() + p->timeout_ms : INT64_MAX;
}

/* So that workers which failed together do not come back together. */
static int64_t jitter(int64_t wait_ms)
{
    uint32_t random = 0;
    if (getrandom(&random, sizeof random, GRND_NONBLOCK) != sizeof random) {
        random = (uint32_t)vf_clock_ms();
    }
    return wait_ms - (int64_t)(random % (uint64_t)(wait_ms / 2 + 1));
}

static int64_t next_wait_ms(const struct vf_retry *r, const struct vf_error *e)
{
    int64_t wait_ms = r->policy.first_wait_ms;
    for (unsigned i = 1; i < r->tries && wait_ms < r->policy.max_wait_ms; i++) {
        wait_ms *= 2;
    }
    wait_ms = jitter(wait_ms < r->policy.max_wait_ms ? wait_ms : r->policy.max_wait_ms);
    int64_t asked_ms = vf_error_retry_after_ms(e);
    return wait_ms > asked_ms ? wait_ms : asked_ms;
}

bool vf_retry_again(struct vf_retry *r, int *rc, struct vf_error **err)
{
    if (*rc != VF_RETRY) {
        return false;
    }
    r->tries++;
    int64_t wait_ms = next_wait_ms(r, err ? *err : NULL);
    if (r->tries >= r->policy.max_tries || wait_ms > r->deadline_ms - vf_clock_ms()) {
        if (r->tries > 1) {
            vf_error_wrap(err, *rc, "after %u tries", r->tries);
        }
        return false;
    }
    if (vf_log_is_debug()) {
        char *text = err && *err ? vf_error_format(*err) : NULL;
        vf_debug("retry: try %u of %u in %lld ms, because: %s", r->tries + 1, r->policy.max_tries,
                 (long long)wait_ms, text ? text : "(no text)");
        free(text);
    }
    struct vf_error *stopped = NULL;
    int code = vf_cancel_wait(r->cancel, wait_ms, &stopped);
    if (err) {
        vf_error_clear(err);
    }
    vf_error_move(err, &stopped);
    *rc = code;
    return code == 0;
}

void vf_retry_progressed(struct vf_retry *r)
{
    r->tries = 0;
}
