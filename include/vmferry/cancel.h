/* Cancellation: a token that every wait looks at. Tokens form a chain: a child is set when it or
 * any ancestor was triggered, so that one failing disk stops its siblings and a signal stops all.
 */
#ifndef VMFERRY_CANCEL_H
#define VMFERRY_CANCEL_H

#include <poll.h>
#include <stdbool.h>
#include <stdint.h>

#include <vmferry/error.h>

struct vf_cancel;

/* `parent` may be NULL and must outlive the child. NULL on out of memory or descriptors. */
struct vf_cancel *vf_cancel_new(const struct vf_cancel *parent);
void vf_cancel_free(struct vf_cancel *c);

/* Any thread, any number of times, async-signal-safe. */
void vf_cancel_trigger(struct vf_cancel *c);

/* All of these accept NULL, a token that is never set. */
bool vf_cancel_is_set(const struct vf_cancel *c);

/* 0, or VF_CANCELLED with an error that says so. */
int vf_cancel_check(const struct vf_cancel *c, struct vf_error **err);

/* Sleep timeout_ms, or until cancelled: 0 or VF_CANCELLED. */
int vf_cancel_wait(const struct vf_cancel *c, int64_t timeout_ms, struct vf_error **err);

/* Append the descriptors that become readable on cancellation to fds (events POLLIN set), at most
 * `cap`; returns how many. For poll loops over other descriptors too. */
#define VF_CANCEL_MAX_FDS 8
unsigned vf_cancel_poll_fds(const struct vf_cancel *c, struct pollfd *fds, unsigned cap);

#endif
