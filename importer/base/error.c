#include <vmferry/error.h>

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "importer/base/buf.h"
#include "importer/base/mem.h"

#define MAX_FRAMES 8

struct vf_error {
    enum vf_code code;
    int errnum;
    long http_status;
    int64_t retry_after_ms;
    char *message;
    char *hint;
    char *reason;
    char *frames[MAX_FRAMES]; /* innermost first */
    unsigned n_frames;
};

static void __attribute__((format(printf, 4, 0)))
fill(struct vf_error **err, enum vf_code code, int errnum, const char *fmt, va_list ap)
{
    if (!err || *err) {
        return;
    }
    struct vf_error *e = vf_xcalloc(1, sizeof *e);
    e->code = code;
    e->errnum = errnum;
    e->retry_after_ms = -1;
    e->message = vf_xvasprintf(fmt, ap);
    if (errnum) {
        char *with = vf_xasprintf("%s: %s", e->message, strerror(errnum));
        free(e->message);
        e->message = with;
    }
    *err = e;
}

int vf_error_set(struct vf_error **err, enum vf_code code, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    fill(err, code, 0, fmt, ap);
    va_end(ap);
    return code;
}

static enum vf_code classify_errno(int errnum)
{
    switch (errnum) {
    case ENOSPC:
    case EDQUOT:
    case EFBIG:
        return VF_SPACE;
    case ENOENT:
    case ENOTDIR:
        return VF_MISSING;
    case EACCES:
    case EPERM:
    case EROFS:
        return VF_AUTH;
    case EEXIST:
    case EBUSY:
    case ENOTEMPTY:
    case EISDIR:
        return VF_CONFLICT;
    case EAGAIN:
    case ECONNRESET:
    case ETIMEDOUT:
        return VF_RETRY;
    case ENOTSUP:
        return VF_UNSUPPORTED;
    default:
        return VF_INTERNAL;
    }
}

int vf_error_set_errno(struct vf_error **err, int errnum, const char *fmt, ...)
{
    enum vf_code code = classify_errno(errnum);
    va_list ap;
    va_start(ap, fmt);
    fill(err, code, errnum, fmt, ap);
    va_end(ap);
    return code;
}

void vf_error_set_http_status(struct vf_error **err, long status)
{
    if (err && *err) {
        (*err)->http_status = status;
    }
}

void vf_error_set_reason(struct vf_error **err, const char *reason)
{
    if (err && *err && !(*err)->reason) {
        (*err)->reason = vf_xstrdup(reason);
    }
}

void vf_error_set_retry_after_ms(struct vf_error **err, int64_t ms)
{
    if (err && *err) {
        (*err)->retry_after_ms = ms < 0 ? -1 : ms;
    }
}

void vf_error_hint(struct vf_error **err, const char *fmt, ...)
{
    if (!err || !*err || (*err)->hint) {
        return;
    }
    va_list ap;
    va_start(ap, fmt);
    (*err)->hint = vf_xvasprintf(fmt, ap);
    va_end(ap);
}

int vf_error_wrap(struct vf_error **err, int code, const char *fmt, ...)
{
    if (!err || !*err) {
        return code;
    }
    struct vf_error *e = *err;
    if (e->n_frames < MAX_FRAMES) {
        va_list ap;
        va_start(ap, fmt);
        e->frames[e->n_frames++] = vf_xvasprintf(fmt, ap);
        va_end(ap);
    }
    return e->code;
}

void vf_error_move(struct vf_error **to, struct vf_error **from)
{
    if (to && !*to) {
        *to = *from;
    } else {
        vf_error_free(*from);
    }
    *from = NULL;
}

enum vf_code vf_error_code(const struct vf_error *e)
{
    return e ? e->code : VF_OK;
}

int vf_error_errno(const struct vf_error *e)
{
    return e ? e->errnum : 0;
}

long vf_error_http_status(const struct vf_error *e)
{
    return e ? e->http_status : 0;
}

const char *vf_error_reason(const struct vf_error *e)
{
    return e ? e->reason : NULL;
}

int64_t vf_error_retry_after_ms(const struct vf_error *e)
{
    return e ? e->retry_after_ms : -1;
}

const char *vf_error_message(const struct vf_error *e)
{
    return e ? e->message : "";
}

const char *vf_error_get_hint(const struct vf_error *e)
{
    return e ? e->hint : NULL;
}

const char *vf_code_name(int code)
{
    static const char *const names[] = {"ok",        "retry",       "auth",    "missing",
                                        "invalid",   "conflict",    "space",   "range",
                                        "cancelled", "unsupported", "internal"};
    if (code > 0 || code < VF_INTERNAL) {
        return "unknown";
    }
    return names[-code];
}

char *vf_error_format(const struct vf_error *e)
{
    struct vf_buf b;
    vf_buf_init(&b, SIZE_MAX);
    for (unsigned i = e ? e->n_frames : 0; i > 0; i--) {
        vf_buf_printf(&b, "%s: ", e->frames[i - 1]);
    }
    vf_buf_printf(&b, "%s", vf_error_message(e));
    return vf_buf_take_string(&b);
}

void vf_error_free(struct vf_error *e)
{
    if (!e) {
        return;
    }
    for (unsigned i = 0; i < e->n_frames; i++) {
        free(e->frames[i]);
    }
    free(e->message);
    free(e->hint);
    free(e->reason);
    free(e);
}

void vf_error_clear(struct vf_error **e)
{
    vf_error_free(*e);
    *e = NULL;
}
