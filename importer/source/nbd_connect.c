/* From nothing to a connection that takes requests. */
#include <errno.h>
#include <netdb.h>
#include <poll.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "importer/base/clock.h"
#include "importer/base/log.h"
#include "importer/base/mem.h"
#include "importer/base/utf8.h"
#include "importer/source/nbd_private.h"

/* The protocol's own bound for a minimum block size. */
#define MAX_MIN_BYTES 65536
#define MAX_WAIT_MS   60000

/* One line of text that is fit for a terminal; caller frees. */
static char *clean(const char *text)
{
    char *line = vf_utf8_clean(text);
    for (char *c = line; *c; c++) {
        if ((unsigned char)*c < ' ' || *c == 0x7f) {
            *c = ' ';
        }
    }
    return line;
}

static enum vf_code classify(int errnum)
{
    switch (errnum) {
    case ENOENT:
        return VF_MISSING;
    case EACCES:
    case EPERM:
        return VF_AUTH;
    case EOVERFLOW:
    case ERANGE:
        return VF_RANGE;
    case EINVAL:
    case EPROTO:
        return VF_INVALID;
    case ENOTSUP:
        return VF_UNSUPPORTED;
    case ENOSPC:
        return VF_SPACE;
    default: /* EIO, ESHUTDOWN, ENOMEM of the server; all that a network has */
        return VF_RETRY;
    }
}

int vf_nbd_error(struct vf_error **err, int errnum, const char *text, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    char *vf_autofree what = vf_xvasprintf(fmt, ap);
    va_end(ap);
    char *vf_autofree line = clean(text ? text : strerror(errnum));
    return vf_error_set(err, classify(errnum), "%s: %s", what, line);
}

static int give_error(struct vf_error **err, const char *what, const char *label)
{
    return vf_nbd_error(err, nbd_get_errno(), nbd_get_error(), "%s NBD server %s", what, label);
}

int vf_nbd_poll(struct nbd_handle *handle, int wake_fd, const struct vf_cancel *cancel,
                int64_t timeout_ms, bool *ret_heard, struct vf_error **err)
{
    unsigned direction = handle ? nbd_aio_get_direction(handle) : 0;
    struct pollfd fds[2 + VF_CANCEL_MAX_FDS] = {
        {.fd = handle ? nbd_aio_get_fd(handle) : -1},
        {.fd = wake_fd, .events = POLLIN},
    };
    fds[0].events = (short)((direction & LIBNBD_AIO_DIRECTION_READ ? POLLIN : 0) |
                            (direction & LIBNBD_AIO_DIRECTION_WRITE ? POLLOUT : 0));
    unsigned n = 2 + vf_cancel_poll_fds(cancel, fds + 2, VF_CANCEL_MAX_FDS);
    timeout_ms = timeout_ms < 0 ? 0 : timeout_ms > MAX_WAIT_MS ? MAX_WAIT_MS : timeout_ms;
    *ret_heard = false;
    if (poll(fds, n, (int)timeout_ms) < 0) {
        return 0; /* EINTR: the caller comes again */
    }
    uint64_t count;
    if (fds[1].revents && read(wake_fd, &count, sizeof count) < 0) {
        /* Read by nobody else, so there is something; if not, nothing is lost. */
    }
    /* One of the two: the first may change what the handle waits for. */
    int rc = 0;
    if (fds[0].revents & (POLLIN | POLLHUP)) {
        *ret_heard = true;
        rc = nbd_aio_notify_read(handle);
    } else if (fds[0].revents & POLLOUT) {
        rc = nbd_aio_notify_write(handle);
    } else if (fds[0].revents) {
        return vf_error_set(err, VF_RETRY, "the connection was lost");
    }
    if (rc) {
        return vf_nbd_error(err, nbd_get_errno(), nbd_get_error(), "the connection was lost");
    }
    return 0;
}

/* 0 or -1, as libnbd's functions. */
static int set_tls(struct nbd_handle *h, const struct vf_nbd_disk *d)
{
    if (d->tls == VF_NBD_TLS_OFF) {
        return nbd_set_tls(h, LIBNBD_TLS_DISABLE);
    }
    int rc = nbd_set_tls(h, LIBNBD_TLS_REQUIRE);
    if (d->tls == VF_NBD_TLS_CERTIFICATES) {
        rc = rc ? rc : nbd_set_tls_verify_peer(h, true);
        return rc ? rc : nbd_set_tls_certificates(h, d->tls_dir);
    }
    rc = rc ? rc : nbd_set_tls_username(h, d->tls_username);
    return rc ? rc : nbd_set_tls_psk_file(h, d->tls_psk_file);
}

/* gnutls gives no errno: what fails on a connection with TLS and has none is trust or keys. */
static int handshake_error(const struct vf_nbd_disk *d, int errnum, const char *text,
                           struct vf_error **err)
{
    if (errnum) {
        return vf_nbd_error(err, errnum, text, "cannot connect to NBD server %s", d->label);
    }
    char *vf_autofree line = clean(text ? text : "it closed the connection");
    if (d->tls != VF_NBD_TLS_OFF) {
        vf_error_set(err, VF_AUTH, "cannot agree on TLS with NBD server %s: %s", d->label, line);
        vf_error_hint(err, "check the certificates or the key, and that the server has TLS");
        return VF_AUTH;
    }
    return vf_error_set(err, VF_INVALID, "no NBD can be spoken with %s: %s", d->label, line);
}

/* libnbd looks the name up by itself, but cannot tell how that failed. */
static int check_host(const struct vf_nbd_disk *d, struct vf_error **err)
{
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_ADDRCONFIG};
    struct addrinfo *found = NULL;
    int rc = getaddrinfo(d->host, d->port, &hints, &found);
    if (rc) {
        return vf_error_set(err, rc == EAI_AGAIN ? VF_RETRY : VF_MISSING,
                            "cannot find NBD server %s: %s", d->label, gai_strerror(rc));
    }
    freeaddrinfo(found);
    return 0;
}

static int begin(const struct vf_nbd_disk *d, struct nbd_handle **ret_handle, struct vf_error **err)
{
    struct nbd_handle *h = nbd_create();
    if (!h) {
        return vf_error_set(err, VF_INTERNAL, "cannot make an NBD handle: %s", nbd_get_error());
    }
    nbd_set_debug(h, false); /* LIBNBD_DEBUG in the environment would write to standard error */
    if (d->tls != VF_NBD_TLS_OFF && nbd_supports_tls(h) != 1) {
        nbd_close(h);
        return vf_error_set(err, VF_UNSUPPORTED, "this libnbd was built without TLS");
    }
    int rc = nbd_set_export_name(h, d->export_name);
    rc = rc ? rc : nbd_add_meta_context(h, LIBNBD_CONTEXT_BASE_ALLOCATION);
    rc = rc ? rc : set_tls(h, d);
    if (!rc) {
        rc = d->unix_socket ? nbd_aio_connect_unix(h, d->unix_socket)
                            : nbd_aio_connect_tcp(h, d->host, d->port);
    }
    if (rc) { /* the handshake may have come to its end already */
        rc = handshake_error(d, nbd_get_errno(), nbd_get_error(), err);
        nbd_close(h);
        return rc;
    }
    *ret_handle = h;
    return 0;
}

static int negotiate(const struct vf_nbd_disk *d, struct nbd_handle *h, struct vf_error **err)
{
    int64_t deadline_ms = vf_clock_ms() + d->connect_timeout_ms;
    while (nbd_aio_is_connecting(h) == 1) {
        int64_t left_ms = deadline_ms - vf_clock_ms();
        if (left_ms <= 0) {
            return vf_error_set(err, VF_RETRY, "NBD server %s did not answer within %lld s",
                                d->label, (long long)(d->connect_timeout_ms + 500) / 1000);
        }
        bool heard;
        int rc = vf_cancel_check(d->cancel, err);
        if (rc) {
            return rc;
        }
        if (vf_nbd_poll(h, -1, d->cancel, left_ms, &heard, NULL)) {
            return handshake_error(d, nbd_get_errno(), nbd_get_error(), err);
        }
    }
    if (nbd_aio_is_ready(h) != 1) {
        return vf_error_set(err, VF_RETRY, "NBD server %s closed the connection", d->label);
    }
    return 0;
}

static int learn(const struct vf_nbd_disk *d, struct nbd_handle *h, struct vf_nbd_server *s,
                 struct vf_error **err)
{
    int64_t size = nbd_get_size(h);
    int64_t min = nbd_get_block_size(h, LIBNBD_SIZE_MINIMUM);
    int64_t max = nbd_get_block_size(h, LIBNBD_SIZE_MAXIMUM);
    if (size < 0 || min < 0 || max < 0) {
        return give_error(err, "cannot learn the size from", d->label);
    }
    *s = (struct vf_nbd_server){.size_bytes = (uint64_t)size,
                                .min_bytes = min ? (uint32_t)min : 1,
                                .max_bytes = max && max < UINT32_MAX ? (uint32_t)max : UINT32_MAX,
                                .has_extents =
                                    nbd_can_meta_context(h, LIBNBD_CONTEXT_BASE_ALLOCATION) == 1,
                                .multi_conn = nbd_can_multi_conn(h) == 1};
    if (min > MAX_MIN_BYTES || (s->min_bytes & (s->min_bytes - 1)) || s->max_bytes < s->min_bytes ||
        s->size_bytes % s->min_bytes) {
        return vf_error_set(err, VF_INVALID,
                            "NBD server %s gives %llu bytes in blocks of %lld to %lld bytes, which "
                            "do not fit together",
                            d->label, (unsigned long long)size, (long long)min, (long long)max);
    }
    return 0;
}

int vf_nbd_connect(const struct vf_nbd_disk *d, struct nbd_handle **ret_handle,
                   struct vf_nbd_server *ret_server, struct vf_error **err)
{
    struct nbd_handle *h = NULL;
    int rc = vf_cancel_check(d->cancel, err);
    rc = rc || !d->host ? rc : check_host(d, err);
    rc = rc ? rc : begin(d, &h, err);
    rc = rc ? rc : negotiate(d, h, err);
    rc = rc ? rc : learn(d, h, ret_server, err);
    if (rc) {
        nbd_close(h);
        return rc;
    }
    vf_debug("nbd: connected to %s: %llu bytes, blocks from %u", d->label,
             (unsigned long long)ret_server->size_bytes, ret_server->min_bytes);
    *ret_handle = h;
    return 0;
}

void vf_nbd_disconnect(struct nbd_handle *handle)
{
    if (handle && nbd_aio_is_ready(handle) == 1) {
        nbd_aio_disconnect(handle, 0); /* written at once, as the socket has room */
    }
    nbd_close(handle);
}
