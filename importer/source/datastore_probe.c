/* May this file be read, and is it the disk? */
#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "importer/base/mem.h"
#include "importer/source/datastore_private.h"

#define SECTOR_BYTES   512
#define MAX_TIMEOUT_MS 30000 /* of answers that are this small */

struct probe {
    struct vf_datastore *disk;
    const char *method;
    uint64_t first, last; /* of GET */
    struct vf_http_response response;
};

static int fetch(struct vf_datastore *d, const struct vf_http_request *req, void *opaque,
                 struct vf_error **err)
{
    struct vf_http_response *response = opaque;
    int rc = vf_http_fetch(d->http, req, response, err);
    if (!rc && response->status != (req->use_range ? 206 : 200)) {
        rc = vf_http_response_error(response, d->authority, err);
        vf_http_response_release(response);
    }
    return rc;
}

static int ask(struct probe *p, struct vf_error **err)
{
    struct vf_datastore *d = p->disk;
    unsigned timeout_ms = d->timeout_ms < MAX_TIMEOUT_MS ? d->timeout_ms : MAX_TIMEOUT_MS;
    struct vf_http_request req = {.method = p->method,
                                  .use_range = p->last > 0,
                                  .range_first = p->first,
                                  .range_last = p->last,
                                  .timeout_ms = timeout_ms,
                                  .max_answer_bytes = 1u << 20};
    struct vf_retry retry;
    int rc;
    vf_http_response_release(&p->response);
    vf_retry_init(&retry, &d->probe_policy, d->cancel);
    do {
        rc = vf_datastore_send(d, &req, false, fetch, &p->response, err);
    } while (vf_retry_again(&retry, &rc, err));
    return rc;
}

/* Digits alone, up to what a signed offset holds. */
static bool parse_size(const char *s, uint64_t *ret)
{
    char *end;
    if (!s || *s < '0' || *s > '9') {
        return false;
    }
    errno = 0;
    unsigned long long n = strtoull(s, &end, 10);
    *ret = n;
    return errno == 0 && *end == '\0' && n <= INT64_MAX;
}

/* What a Content-Range says of the whole; 0: nothing. Its form was checked. */
static uint64_t total_of(const struct vf_http_response *r)
{
    char *vf_autofree value = vf_http_response_header(r, "Content-Range");
    const char *slash = value ? strchr(value, '/') : NULL;
    uint64_t total;
    return slash && parse_size(slash + 1, &total) ? total : 0;
}

/* By HEAD; when the server has no such method or tells nothing there, from the answer to a GET. */
static int fetch_size(struct probe *p, uint64_t total_bytes, uint64_t *ret, struct vf_error **err)
{
    struct vf_error *failure = NULL;
    p->method = "HEAD";
    p->first = p->last = 0;
    int rc = ask(p, &failure);
    long status = vf_error_http_status(failure);
    if (rc && !(total_bytes && (status == 405 || status == 501))) {
        vf_error_move(err, &failure);
        return rc;
    }
    vf_error_clear(&failure);
    char *vf_autofree length = rc ? NULL : vf_http_response_header(&p->response, "Content-Length");
    uint64_t size = total_bytes;
    if (length && !parse_size(length, &size)) {
        return vf_error_set(err, VF_INVALID, "\"%s\" has a size that is no number", p->disk->name);
    }
    if (total_bytes && size != total_bytes) {
        vf_error_set(err, VF_CONFLICT, "the size of \"%s\" is told as %llu and as %llu bytes",
                     p->disk->name, (unsigned long long)size, (unsigned long long)total_bytes);
        vf_error_set_reason(err, VF_DATASTORE_SIZE);
        return VF_CONFLICT;
    }
    *ret = size;
    return 0;
}

/* The beginnings of what VMware also calls .vmdk (Virtual Disk Format 5.0; vmfsSparse; seSparse).
 * A flat disk whose guest wrote one of them there is refused too: better that than to take a
 * container for its content. */
static const char *name_of_format(const struct vf_http_response *r)
{
    static const struct {
        const char *magic;
        const char *name;
    } formats[] = {
        {"# Disk DescriptorFile", "a descriptor"},
        {"KDMV", "a sparse extent"},
        {"COWD", "a delta"},
        {"\xbe\xba\xfe\xca", "a delta (SEsparse)"},
    };
    for (size_t i = 0; i < sizeof formats / sizeof formats[0]; i++) {
        size_t n = strlen(formats[i].magic);
        if (r->body_len >= n && memcmp(r->body, formats[i].magic, n) == 0) {
            return formats[i].name;
        }
    }
    return NULL;
}

static int check_is_disk(const struct probe *p, const char *format, uint64_t size_bytes,
                         uint64_t want_bytes, struct vf_error **err)
{
    const char *name = p->disk->name;
    if (format || size_bytes == 0) {
        vf_error_set(err, VF_UNSUPPORTED, "\"%s\" is %s and no flat disk", name,
                     format ? format : "empty");
        vf_error_set_reason(err, VF_DATASTORE_NOT_FLAT);
        vf_error_hint(err, "choose another transport");
        return VF_UNSUPPORTED;
    }
    if (want_bytes && size_bytes != want_bytes) {
        vf_error_set(err, VF_CONFLICT, "\"%s\" has %llu bytes where the disk has %llu", name,
                     (unsigned long long)size_bytes, (unsigned long long)want_bytes);
        vf_error_set_reason(err, VF_DATASTORE_SIZE);
        vf_error_hint(err, "choose another transport");
        return VF_CONFLICT;
    }
    return 0;
}

/* Far behind the start other code serves, here and there: offsets of more than 32 bits. */
static int read_last(struct probe *p, uint64_t size_bytes, struct vf_error **err)
{
    p->method = "GET";
    p->first = size_bytes > SECTOR_BYTES ? size_bytes - SECTOR_BYTES : 0;
    p->last = size_bytes - 1;
    int rc = p->last > 0 ? ask(p, err) : 0;
    if (!rc && p->last > 0 && p->response.body_len != p->last - p->first + 1) {
        return vf_error_set(err, VF_INVALID, "the end of \"%s\" cannot be read", p->disk->name);
    }
    return rc;
}

static int run(struct probe *p, uint64_t want_bytes, uint64_t *ret_size_bytes,
               struct vf_error **err)
{
    uint64_t size_bytes;
    /* GET first: of a refusal its body says why, which a HEAD has not. */
    int rc = ask(p, err);
    if (rc) {
        return rc;
    }
    const char *format = name_of_format(&p->response);
    rc = fetch_size(p, total_of(&p->response), &size_bytes, err);
    if (rc || (rc = check_is_disk(p, format, size_bytes, want_bytes, err)) ||
        (rc = read_last(p, size_bytes, err))) {
        return rc;
    }
    *ret_size_bytes = size_bytes;
    return 0;
}

int vf_datastore_probe(struct vf_datastore *d, uint64_t want_bytes, uint64_t *ret_size_bytes,
                       struct vf_error **err)
{
    struct probe p = {.disk = d, .method = "GET", .last = SECTOR_BYTES - 1};
    int rc = run(&p, want_bytes, ret_size_bytes, err);
    vf_http_response_release(&p.response);
    return rc;
}
