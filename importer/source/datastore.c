#include "importer/source/datastore.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "importer/base/clock.h"
#include "importer/base/mem.h"
#include "importer/source/datastore_private.h"

#define DEFAULT_TIMEOUT_MS 300000
/* What a try must have brought for the next one to count as the first: a peer that gives little
 * each time before it breaks does not hold a read for ever. */
#define PROGRESS_BYTES (64u << 10)

/* Once a file was read, status 500 is a server in trouble for so many tries, a locked file then. */
#define MAX_STATUS_500 6

/* What of a read is still to come. */
struct reading {
    char *at;
    size_t left;
    uint64_t offset;
    unsigned n_500; /* since the last answer */
};

/* As far as the answer goes. */
static int read_body(struct vf_stream *stream, struct reading *r, const char *name,
                     struct vf_error **err)
{
    size_t n = 1;
    while (r->left && n) {
        int rc = stream->ops->read(stream, r->at, r->left, &n, err);
        if (rc) {
            return rc;
        }
        r->at += n;
        r->left -= n;
        r->offset += n;
    }
    /* Only a transfer that ended leaves a connection for the next. All was read: how it ends is of
     * no matter, unless there is more. */
    char beyond;
    if (n && !stream->ops->read(stream, &beyond, 1, &n, NULL) && n) {
        return vf_error_set(err, VF_INVALID, "more of \"%s\" came than was asked for", name);
    }
    return 0;
}

static int read_part(struct vf_datastore *d, const struct vf_http_request *req, void *opaque,
                     struct vf_error **err)
{
    struct reading *r = opaque;
    struct vf_stream *stream = NULL;
    int rc = vf_http_open(d->http, req, &stream, err);
    if (!rc) {
        rc = read_body(stream, r, d->name, err);
    }
    vf_stream_free(stream);
    return rc;
}

static bool has_reason(const struct vf_error *e, const char *reason)
{
    const char *own = vf_error_reason(e);
    return own && strcmp(own, reason) == 0;
}

static int try_read(struct vf_datastore *d, struct reading *r, struct vf_error **err)
{
    struct vf_http_request req = {.use_range = true,
                                  .range_first = r->offset,
                                  .range_last = r->offset + r->left - 1,
                                  .range_total_bytes = d->base.size_bytes,
                                  .deadline_ms = vf_clock_ms() + d->timeout_ms};
    bool patient = r->n_500 + 1 < MAX_STATUS_500;
    int rc = vf_datastore_send(d, &req, patient, read_part, r, err);
    r->n_500 = has_reason(*err, VF_DATASTORE_LOCKED) ? r->n_500 + 1 : 0;
    return rc;
}

static int read_all(struct vf_datastore *d, struct reading *r, struct vf_error **err)
{
    struct vf_retry retry;
    int rc;
    vf_retry_init(&retry, &d->read_policy, d->cancel);
    do {
        size_t before = r->left;
        rc = try_read(d, r, err);
        size_t got = before - r->left;
        if (got >= PROGRESS_BYTES) {
            vf_retry_init(&retry, &d->read_policy, d->cancel);
        } else if (!rc && r->left) {
            rc =
                vf_error_set(err, VF_RETRY, "%zu bytes came where %zu were asked for", got, before);
        }
    } while ((!rc && r->left) || vf_retry_again(&retry, &rc, err));
    return rc;
}

static int check_inside(const struct vf_datastore *d, uint64_t offset_bytes, uint64_t length_bytes,
                        struct vf_error **err)
{
    uint64_t size_bytes = d->base.size_bytes;
    if (offset_bytes > size_bytes || length_bytes > size_bytes - offset_bytes) {
        return vf_error_set(err, VF_RANGE, "%llu bytes at %llu are not inside \"%s\"",
                            (unsigned long long)length_bytes, (unsigned long long)offset_bytes,
                            d->name);
    }
    return 0;
}

static int datastore_pread(struct vf_disk *disk, void *buf, size_t len_bytes, uint64_t offset_bytes,
                           struct vf_error **err)
{
    struct vf_datastore *d = (struct vf_datastore *)disk;
    struct reading r = {.at = buf, .left = len_bytes, .offset = offset_bytes};
    struct vf_error *failure = NULL;
    int rc = check_inside(d, offset_bytes, len_bytes, err);
    if (rc || len_bytes == 0) {
        return rc;
    }
    rc = read_all(d, &r, &failure);
    if (rc) {
        vf_error_wrap(&failure, rc, "cannot read \"%s\" at byte %llu", d->name,
                      (unsigned long long)r.offset);
        vf_error_move(err, &failure);
    }
    return rc;
}

static int datastore_extents(struct vf_disk *disk, uint64_t offset_bytes, uint64_t length_bytes,
                             vf_extent_fn *fn, void *opaque, struct vf_error **err)
{
    const struct vf_datastore *d = (struct vf_datastore *)disk;
    struct vf_extent all = {offset_bytes, length_bytes, VF_EXTENT_DATA};
    int rc = check_inside(d, offset_bytes, length_bytes, err);
    return rc || length_bytes == 0 ? rc : fn(opaque, &all, err);
}

static void datastore_free(struct vf_disk *disk)
{
    struct vf_datastore *d = (struct vf_datastore *)disk;
    vf_datastore_gate_release(&d->gate);
    free(d->authority);
    free(d->name);
    free(d->url);
    free(d);
}

static const struct vf_disk_ops ops = {
    .extents = datastore_extents, .pread = datastore_pread, .free = datastore_free};

static struct vf_datastore *make(const struct vf_datastore_options *o)
{
    static const struct vf_retry_policy of_probe = {
        .max_tries = 6, .first_wait_ms = 250, .max_wait_ms = 15000, .timeout_ms = 60000};
    static const struct vf_retry_policy of_read = {
        .max_tries = 200, .first_wait_ms = 250, .max_wait_ms = 15000, .timeout_ms = 900000};
    struct vf_datastore *d = vf_xcalloc(1, sizeof *d);
    *d = (struct vf_datastore){
        .base = {.ops = &ops},
        .http = o->http,
        .cancel = o->cancel,
        .cookie = o->cookie,
        .cookie_opaque = o->cookie_opaque,
        .probe_policy = o->retry ? *o->retry : of_probe,
        .read_policy = o->retry ? *o->retry : of_read,
        .timeout_ms = o->timeout_ms ? o->timeout_ms : DEFAULT_TIMEOUT_MS,
    };
    vf_datastore_gate_init(&d->gate, o->max_requests ? o->max_requests : VF_DATASTORE_REQUESTS);
    return d;
}

/* vSphere reads the query's values decoded twice. A server that decodes once finds nothing under
 * such a name; then the other one is tried. */
static int probe(struct vf_datastore *d, const struct vf_datastore_options *o,
                 const char *datastore, const char *path, struct vf_error **err)
{
    struct vf_error *failure = NULL, *second = NULL;
    d->url = vf_datastore_encode_url(o->scheme, o->authority, o->dc_path, datastore, path,
                                     VF_DATASTORE_TWICE);
    int rc = vf_datastore_probe(d, o->size_bytes, &d->base.size_bytes, &failure);
    char *vf_autofree once = vf_datastore_encode_url(o->scheme, o->authority, o->dc_path, datastore,
                                                     path, VF_DATASTORE_ONCE);
    if (has_reason(failure, VF_DATASTORE_MISSING) && strcmp(once, d->url) != 0) {
        free(d->url);
        d->url = vf_take(once);
        rc = vf_datastore_probe(d, o->size_bytes, &d->base.size_bytes, &second);
        vf_error_clear(&failure);
        failure = second;
    }
    if (rc) {
        vf_error_wrap(&failure, rc, "cannot read \"%s\"", d->name);
        vf_error_move(err, &failure);
    }
    return rc;
}

int vf_datastore_open(const struct vf_datastore_options *options, struct vf_disk **ret_disk,
                      struct vf_error **err)
{
    char *vf_autofree datastore = NULL;
    char *vf_autofree path = NULL;
    int rc = vf_datastore_parse_file(options->file, &datastore, &path, err);
    if (rc) {
        return rc;
    }
    struct vf_datastore *d = make(options);
    d->authority = vf_xstrdup(options->authority);
    d->name = vf_xasprintf("[%s] %s", datastore, path);
    rc = probe(d, options, datastore, path, err);
    if (rc) {
        datastore_free(&d->base);
        return rc;
    }
    *ret_disk = &d->base;
    return 0;
}
