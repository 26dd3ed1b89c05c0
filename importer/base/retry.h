/* Trying again: exponential backoff with jitter, bounded by a number of tries and a deadline.
 *
 *     struct vf_retry retry;
 *     vf_retry_init(&retry, NULL, cancel);
 *     do {
 *         rc = attempt(..., err);
 *     } while (vf_retry_again(&retry, &rc, err));
 *
 * Not thread-safe; cheap to make one a call.
 */
#ifndef IMPORTER_BASE_RETRY_H
#define IMPORTER_BASE_RETRY_H

#include <stdbool.h>
#include <stdint.h>

#include <vmferry/cancel.h>
#include <vmferry/error.h>

struct vf_retry_policy {
    unsigned max_tries;    /* in all; 0: 5 */
    int64_t first_wait_ms; /* doubled each time; 0: 500 */
    int64_t max_wait_ms;   /* 0: 30 s. A peer's Retry-After goes beyond it */
    int64_t timeout_ms;    /* no wait goes past this, counted from init; 0: none */
};

struct vf_retry {
    struct vf_retry_policy policy;
    const struct vf_cancel *cancel;
    int64_t deadline_ms;
    unsigned tries;
};

/* `policy` is copied; NULL: the defaults. `cancel` may be NULL. */
void vf_retry_init(struct vf_retry *r, const struct vf_retry_policy *policy,
                   const struct vf_cancel *cancel);

/* Call with the outcome of a try. True: the failure was VF_RETRY and the wait is over; *err was
 * cleared, try again. False: *rc and *err are the outcome to return; a cancellation during the
 * wait makes them VF_CANCELLED. Each wait is between half of and the whole of what the doubling
 * gives, but never shorter than the error's Retry-After; a wait that would go past the deadline is
 * not begun. `err` may be NULL. */
bool vf_retry_again(struct vf_retry *r, int *rc, struct vf_error **err);

/* After progress: the next failure counts as the first one. The deadline stands. */
void vf_retry_progressed(struct vf_retry *r);

#endif
