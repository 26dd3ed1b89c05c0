/* Errors: a code that drives behaviour and a text for the person who reads it.
 *
 * Every function that can fail returns 0 or a negative enum vf_code and takes `struct vf_error
 * **err` last. `err` may be NULL when the caller wants the code alone; otherwise `*err` must be
 * NULL on entry, is set only on failure, and is then owned by the caller (vf_error_free).
 * A vf_error is a plain object: it may be handed from one thread to another, but is not to be used
 * by two at once.
 */
#ifndef VMFERRY_ERROR_H
#define VMFERRY_ERROR_H

#include <stddef.h>
#include <stdint.h>

/* Few on purpose. Whoever decides on retry or exit status switches on these, never on text. */
enum vf_code {
    VF_OK = 0,
    VF_RETRY = -1,       /* transient: the same call may succeed later */
    VF_AUTH = -2,        /* credentials, session, certificate or privilege */
    VF_MISSING = -3,     /* what was named does not exist */
    VF_INVALID = -4,     /* input (ours or a peer's) that breaks its own rules */
    VF_CONFLICT = -5,    /* the object exists or is in a state that forbids this */
    VF_SPACE = -6,       /* no room: disk, quota, memory ceiling */
    VF_RANGE = -7,       /* a number, offset or size out of bounds */
    VF_CANCELLED = -8,   /* the user or a failed sibling asked to stop */
    VF_UNSUPPORTED = -9, /* well-formed, but not something vmferry or the peer can do */
    VF_INTERNAL = -10,   /* a bug, or the operating system failed us */
};

struct vf_error;

/* Set *err (unless err is NULL) and return `code`. A second set on the same *err is ignored: the
 * first error is the one to report. */
int vf_error_set(struct vf_error **err, enum vf_code code, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));

/* As vf_error_set, with the code classified from `errnum` (ENOSPC and EDQUOT: SPACE, ENOENT:
 * MISSING, EACCES and EPERM: AUTH, EEXIST: CONFLICT, else INTERNAL) and its text appended. */
int vf_error_set_errno(struct vf_error **err, int errnum, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));

/* Remember the HTTP status that led here; 0 is none. No effect without an error. */
void vf_error_set_http_status(struct vf_error **err, long status);

/* The peer's own machine-readable name of the failure: the type of a vSphere fault, the reason of a
 * Kubernetes status. For decisions finer than the code; the first one stands. No effect without an
 * error. */
void vf_error_set_reason(struct vf_error **err, const char *reason);

/* How long the peer asked to wait before the next try; negative is none. No effect without an
 * error. */
void vf_error_set_retry_after_ms(struct vf_error **err, int64_t ms);

/* One action that helps, shown after the message. The innermost hint wins. */
void vf_error_hint(struct vf_error **err, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));

/* Add a frame that says on what this happened ("disk 2 of vm \"web01\""); returns the code held,
 * or `code` when err is NULL or empty. */
int vf_error_wrap(struct vf_error **err, int code, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));

/* Move *from into *to, if *to is wanted and empty; frees it otherwise. *from is NULL after. */
void vf_error_move(struct vf_error **to, struct vf_error **from);

enum vf_code vf_error_code(const struct vf_error *e);      /* VF_OK for NULL */
int vf_error_errno(const struct vf_error *e);              /* 0 when none */
long vf_error_http_status(const struct vf_error *e);       /* 0 when none */
const char *vf_error_reason(const struct vf_error *e);     /* borrowed; NULL when none */
int64_t vf_error_retry_after_ms(const struct vf_error *e); /* -1 when none */
const char *vf_error_message(const struct vf_error *e);    /* borrowed; "" for NULL */
const char *vf_error_get_hint(const struct vf_error *e);   /* borrowed; NULL when none */
const char *vf_code_name(int code);                        /* "retry", "auth", ... */

/* One line: outermost frame first, then the message: `vm "web01": disk 1: ...`. Caller frees. */
char *vf_error_format(const struct vf_error *e);

void vf_error_free(struct vf_error *e);
void vf_error_clear(struct vf_error **e);

#endif
