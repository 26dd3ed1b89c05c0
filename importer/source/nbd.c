#include "importer/source/nbd.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "importer/base/mem.h"
#include "importer/source/nbd_private.h"

#define DEFAULT_PORT               "10809"
#define DEFAULT_IN_FLIGHT          64
#define DEFAULT_REQUEST_BYTES      (256u << 10)
#define DEFAULT_CONNECT_TIMEOUT_MS 15000
#define DEFAULT_STALL_TIMEOUT_MS   60000
#define DEFAULT_MAX_TRIES          5
#define DEFAULT_FIRST_WAIT_MS      500
#define DEFAULT_MAX_WAIT_MS        30000
/* What every server must take that names no maximum. */
#define MAX_REQUEST_BYTES (32u << 20)
/* Below the 32 bits of the wire. */
#define WINDOW_BYTES (1ull << 30)

/* NBD_STATE_HOLE is set for what is not allocated, and says nothing of what reading gives. */
#define STATE_ZERO 2u

static const struct vf_disk_ops nbd_ops;

static int check_range(const struct vf_nbd_disk *d, uint64_t offset_bytes, uint64_t length_bytes,
                       struct vf_error **err)
{
    uint64_t size_bytes = d->base.size_bytes;
    if (offset_bytes > size_bytes || length_bytes > size_bytes - offset_bytes) {
        return vf_error_set(err, VF_RANGE,
                            "%llu bytes at offset %llu are not inside the disk of %llu",
                            (unsigned long long)length_bytes, (unsigned long long)offset_bytes,
                            (unsigned long long)size_bytes);
    }
    return 0;
}

/* Queue it, and wait until no link knows of it any more: each wait of theirs has an end. */
static int run_request(struct vf_nbd_disk *d, struct vf_nbd_request *r, struct vf_error **err)
{
    int rc = vf_cancel_check(d->cancel, err);
    if (rc) {
        return rc;
    }
    pthread_cond_init(&r->done, NULL);
    pthread_mutex_lock(&d->lock);
    *d->last = r;
    d->last = &r->next;
    vf_nbd_wake(d);
    while (r->under_way || (!r->rc && r->next_bytes < r->end_bytes)) {
        pthread_cond_wait(&r->done, &d->lock);
    }
    pthread_mutex_unlock(&d->lock);
    pthread_cond_destroy(&r->done);
    if (r->rc) {
        vf_error_move(err, &r->error);
        if (d->explain && r->rc != VF_CANCELLED) {
            d->explain(d->explain_opaque, err);
        }
    }
    return r->rc;
}

static int read_aligned(struct vf_nbd_disk *d, uint8_t *buf, uint64_t length_bytes,
                        uint64_t offset_bytes, struct vf_error **err)
{
    struct vf_nbd_request r = {
        .buf = buf, .next_bytes = offset_bytes, .end_bytes = offset_bytes + length_bytes};
    return length_bytes ? run_request(d, &r, err) : 0;
}

/* The part of one block that the server gives only whole. */
static int read_part(struct vf_nbd_disk *d, uint8_t *buf, size_t len_bytes, uint64_t offset_bytes,
                     struct vf_error **err)
{
    size_t inside = offset_bytes % d->min_bytes;
    uint8_t *vf_autofree block = vf_xcalloc(1, d->min_bytes);
    int rc = read_aligned(d, block, d->min_bytes, offset_bytes - inside, err);
    if (!rc) {
        memcpy(buf, block + inside, len_bytes);
    }
    return rc;
}

static int nbd_disk_pread(struct vf_disk *disk, void *buf, size_t len_bytes, uint64_t offset_bytes,
                          struct vf_error **err)
{
    struct vf_nbd_disk *d = (struct vf_nbd_disk *)disk;
    uint8_t *to = buf;
    int rc = check_range(d, offset_bytes, len_bytes, err);
    size_t head = (d->min_bytes - offset_bytes % d->min_bytes) % d->min_bytes;
    head = head < len_bytes ? head : len_bytes;
    if (!rc && head) {
        rc = read_part(d, to, head, offset_bytes, err);
    }
    size_t tail = (len_bytes - head) % d->min_bytes;
    size_t middle = len_bytes - head - tail;
    rc = rc ? rc : read_aligned(d, to + head, middle, offset_bytes + head, err);
    if (!rc && tail) {
        rc = read_part(d, to + head + middle, tail, offset_bytes + head + middle, err);
    }
    return rc;
}

struct walk {
    uint64_t at_bytes, end_bytes; /* of the caller's window; at moves */
    vf_extent_fn *fn;
    void *opaque;
};

/* Give [w->at, until) to the caller, as far as it lies in the window. */
static int give(struct walk *w, uint64_t until_bytes, bool zero, struct vf_error **err)
{
    until_bytes = until_bytes < w->end_bytes ? until_bytes : w->end_bytes;
    if (until_bytes <= w->at_bytes) {
        return 0;
    }
    struct vf_extent e = {.offset_bytes = w->at_bytes,
                          .length_bytes = until_bytes - w->at_bytes,
                          .kind = zero ? VF_EXTENT_ZERO : VF_EXTENT_DATA};
    w->at_bytes = until_bytes;
    return w->fn(w->opaque, &e, err);
}

/* Neighbours of one kind are given as one. */
static int give_areas(struct walk *w, uint64_t from_bytes, const struct vf_nbd_request *r,
                      struct vf_error **err)
{
    uint64_t at_bytes = from_bytes;
    int rc = 0;
    for (unsigned i = 0; i < r->n_areas && !rc; i++) {
        bool zero = r->areas[i].flags & STATE_ZERO;
        at_bytes += r->areas[i].length_bytes;
        if (i + 1 == r->n_areas || zero != !!(r->areas[i + 1].flags & STATE_ZERO)) {
            rc = give(w, at_bytes, zero, err);
        }
    }
    if (!rc && at_bytes == from_bytes) {
        return vf_error_set(err, VF_INVALID, "the map of the disk has an extent without a length");
    }
    return rc;
}

/* One window of the map. A server may give up anywhere in it, but not before its first extent. */
static int walk_window(struct vf_nbd_disk *d, struct walk *w, struct vf_nbd_area *areas,
                       struct vf_error **err)
{
    uint64_t from_bytes = w->at_bytes - w->at_bytes % d->min_bytes;
    uint64_t until_bytes = w->end_bytes + d->min_bytes - 1;
    until_bytes -= until_bytes % d->min_bytes;
    if (until_bytes - from_bytes > WINDOW_BYTES) {
        until_bytes = from_bytes + WINDOW_BYTES;
    }
    struct vf_nbd_request r = {.next_bytes = from_bytes, .end_bytes = until_bytes, .areas = areas};
    struct vf_error *refusal = NULL;
    int rc = run_request(d, &r, &refusal);
    if (rc == VF_UNSUPPORTED) {
        vf_error_free(refusal);
        return give(w, until_bytes, false, err);
    }
    vf_error_move(err, &refusal);
    return rc ? rc : give_areas(w, from_bytes, &r, err);
}

static int nbd_disk_extents(struct vf_disk *disk, uint64_t offset_bytes, uint64_t length_bytes,
                            vf_extent_fn *fn, void *opaque, struct vf_error **err)
{
    struct vf_nbd_disk *d = (struct vf_nbd_disk *)disk;
    int rc = check_range(d, offset_bytes, length_bytes, err);
    if (rc) {
        return rc;
    }
    struct walk w = {.at_bytes = offset_bytes,
                     .end_bytes = offset_bytes + length_bytes,
                     .fn = fn,
                     .opaque = opaque};
    if (!d->has_extents) {
        return give(&w, w.end_bytes, false, err);
    }
    struct vf_nbd_area *vf_autofree areas = vf_xcalloc(VF_NBD_MAX_AREAS, sizeof *areas);
    while (!rc && w.at_bytes < w.end_bytes) {
        rc = walk_window(d, &w, areas, err);
    }
    return rc;
}

static void stop_links(struct vf_nbd_disk *d)
{
    pthread_mutex_lock(&d->lock);
    d->stop = true;
    vf_nbd_wake(d);
    pthread_mutex_unlock(&d->lock);
    if (d->cancel) {
        vf_cancel_trigger(d->cancel); /* a link may be between two tries to connect */
    }
    for (unsigned i = 0; i < d->n_links; i++) {
        struct vf_nbd_link *l = &d->links[i];
        if (l->has_thread) {
            pthread_join(l->thread, NULL);
        } else {
            vf_nbd_disconnect(l->handle);
        }
        if (l->wake_fd >= 0) {
            close(l->wake_fd);
        }
        free(l->slots);
    }
    free(d->links);
}

/* A half-built one too. */
static void nbd_disk_free(struct vf_disk *disk)
{
    struct vf_nbd_disk *d = (struct vf_nbd_disk *)disk;
    stop_links(d);
    vf_cancel_free(d->cancel);
    pthread_mutex_destroy(&d->lock);
    free(d->unix_socket);
    free(d->host);
    free(d->port);
    free(d->export_name);
    free(d->tls_dir);
    free(d->tls_username);
    free(d->tls_psk_file);
    free(d->label);
    free(d);
}

static const struct vf_disk_ops nbd_ops = {
    .extents = nbd_disk_extents, .pread = nbd_disk_pread, .free = nbd_disk_free};

static int check_options(const struct vf_nbd_options *o, struct vf_error **err)
{
    const char *wrong = NULL;
    if (!o->unix_socket == !o->host) {
        wrong = "either a socket or a host";
    } else if (o->tls == VF_NBD_TLS_CERTIFICATES && !o->tls_dir) {
        wrong = "a folder with certificates";
    } else if (o->tls == VF_NBD_TLS_PSK && (!o->tls_username || !o->tls_psk_file)) {
        wrong = "a user name and a file of keys";
    } else if (o->connections > VF_NBD_MAX_CONNECTIONS || o->in_flight > VF_NBD_MAX_IN_FLIGHT) {
        wrong = "at most 64 connections and 1024 requests in flight";
    }
    if (wrong) {
        return vf_error_set(err, VF_INVALID, "an NBD disk needs %s", wrong);
    }
    /* libnbd would say it at the handshake, in the words of gnutls. */
    char *vf_autofree path = o->tls == VF_NBD_TLS_CERTIFICATES
                                 ? vf_xasprintf("%s/ca-cert.pem", o->tls_dir)
                                 : vf_xstrdup(o->tls == VF_NBD_TLS_PSK ? o->tls_psk_file : NULL);
    if (path && access(path, R_OK)) {
        return vf_error_set_errno(err, errno, "cannot read \"%s\"", path);
    }
    return 0;
}

static char *make_label(const struct vf_nbd_options *o, const char *port)
{
    char *vf_autofree at = o->unix_socket ? vf_xasprintf("\"%s\"", o->unix_socket)
                                          : vf_xasprintf("\"%s\" port %s", o->host, port);
    return o->export_name && *o->export_name ? vf_xasprintf("%s export \"%s\"", at, o->export_name)
                                             : vf_xstrdup(at);
}

static struct vf_nbd_disk *new_disk(const struct vf_nbd_options *o)
{
    struct vf_nbd_disk *d = vf_xcalloc(1, sizeof *d);
    d->base.ops = &nbd_ops;
    pthread_mutex_init(&d->lock, NULL);
    d->last = &d->first;
    d->unix_socket = vf_xstrdup(o->unix_socket);
    d->host = vf_xstrdup(o->host);
    d->port = vf_xstrdup(o->port ? o->port : DEFAULT_PORT);
    d->export_name = vf_xstrdup(o->export_name ? o->export_name : "");
    d->tls = o->tls;
    d->tls_dir = vf_xstrdup(o->tls_dir);
    d->tls_username = vf_xstrdup(o->tls_username);
    d->tls_psk_file = vf_xstrdup(o->tls_psk_file);
    d->label = make_label(o, d->port);
    d->in_flight = o->in_flight ? o->in_flight : DEFAULT_IN_FLIGHT;
    d->connect_timeout_ms =
        o->connect_timeout_ms ? o->connect_timeout_ms : DEFAULT_CONNECT_TIMEOUT_MS;
    d->stall_timeout_ms = o->stall_timeout_ms ? o->stall_timeout_ms : DEFAULT_STALL_TIMEOUT_MS;
    d->retry = o->retry;
    d->retry.max_tries = d->retry.max_tries ? d->retry.max_tries : DEFAULT_MAX_TRIES;
    d->retry.first_wait_ms =
        d->retry.first_wait_ms ? d->retry.first_wait_ms : DEFAULT_FIRST_WAIT_MS;
    d->retry.max_wait_ms = d->retry.max_wait_ms ? d->retry.max_wait_ms : DEFAULT_MAX_WAIT_MS;
    d->explain = o->explain;
    d->explain_opaque = o->explain_opaque;
    return d;
}

static int connect_first(struct vf_nbd_disk *d, struct nbd_handle **ret_handle,
                         struct vf_nbd_server *ret_server, struct vf_error **err)
{
    struct vf_retry retry;
    vf_retry_init(&retry, &d->retry, d->cancel);
    int rc;
    do {
        rc = vf_nbd_connect(d, ret_handle, ret_server, err);
    } while (vf_retry_again(&retry, &rc, err));
    if (rc && rc != VF_CANCELLED && d->explain) {
        d->explain(d->explain_opaque, err);
    }
    return rc;
}

static void adopt_limits(struct vf_nbd_disk *d, const struct vf_nbd_server *server,
                         uint32_t request_bytes)
{
    d->base.size_bytes = server->size_bytes;
    d->min_bytes = server->min_bytes;
    d->has_extents = server->has_extents;
    uint32_t most = server->max_bytes < MAX_REQUEST_BYTES ? server->max_bytes : MAX_REQUEST_BYTES;
    uint32_t n = request_bytes ? request_bytes : DEFAULT_REQUEST_BYTES;
    n = n < most ? n : most;
    n -= n % d->min_bytes;
    d->request_bytes = n ? n : d->min_bytes;
}

/* The first link has the connection that showed the size; the others make theirs when there is
 * work. */
static int start_links(struct vf_nbd_disk *d, unsigned n, struct nbd_handle *handle,
                       struct vf_error **err)
{
    d->links = vf_xcalloc(n, sizeof *d->links);
    d->links[0].handle = handle;
    d->links[0].connected = true;
    for (d->n_links = 0; d->n_links < n; d->n_links++) {
        struct vf_nbd_link *l = &d->links[d->n_links];
        l->disk = d;
        l->slots = vf_xcalloc(d->in_flight, sizeof *l->slots);
        l->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
        if (l->wake_fd < 0) {
            int errnum = errno;
            d->n_links++; /* for free to find what there is */
            return vf_error_set_errno(err, errnum, "cannot make an eventfd");
        }
    }
    for (unsigned i = 0; i < n; i++) {
        int errnum = pthread_create(&d->links[i].thread, NULL, vf_nbd_link_run, &d->links[i]);
        if (errnum) {
            return vf_error_set_errno(err, errnum, "cannot start a thread");
        }
        d->links[i].has_thread = true;
    }
    return 0;
}

int vf_nbd_disk_open(const struct vf_nbd_options *options, struct vf_disk **ret_disk,
                     struct vf_error **err)
{
    int rc = check_options(options, err);
    if (rc) {
        return rc;
    }
    struct vf_nbd_disk *d = new_disk(options);
    struct vf_nbd_server server;
    struct nbd_handle *handle = NULL;
    d->cancel = vf_cancel_new(options->cancel);
    if (!d->cancel) {
        rc = vf_error_set_errno(err, errno, "cannot make a cancellation");
    }
    rc = rc ? rc : connect_first(d, &handle, &server, err);
    if (!rc) {
        adopt_limits(d, &server, options->request_bytes);
        unsigned n = options->connections && server.multi_conn ? options->connections : 1;
        rc = start_links(d, n, handle, err);
    }
    if (rc) {
        nbd_disk_free(&d->base);
        return rc;
    }
    *ret_disk = &d->base;
    return 0;
}

void vf_nbd_disk_get_facts(struct vf_disk *disk, struct vf_nbd_facts *ret_facts)
{
    struct vf_nbd_disk *d = (struct vf_nbd_disk *)disk;
    pthread_mutex_lock(&d->lock);
    *ret_facts = (struct vf_nbd_facts){.has_extents = d->has_extents,
                                       .connections = d->n_links,
                                       .min_bytes = d->min_bytes,
                                       .request_bytes = d->request_bytes,
                                       .losses = d->losses};
    pthread_mutex_unlock(&d->lock);
}
