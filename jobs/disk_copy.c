#include "jobs/disk_copy.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "converters/disk/vmdk_stream.h"
#include "importer/base/mem.h"
#include "jobs/disk_digest.h"
#include "jobs/transfer.h"

#define COMPARE_BYTES (256u << 10)

/* Hashes what is read of another stream, which stays the caller's. */
struct hashing_stream {
    struct vf_stream base;
    struct vf_stream *in;
    struct vf_xxh64 hash;
};

static int hashing_read(struct vf_stream *s, void *buf, size_t len_bytes, size_t *ret_n,
                        struct vf_error **err)
{
    struct hashing_stream *h = (struct hashing_stream *)s;
    int rc = h->in->ops->read(h->in, buf, len_bytes, ret_n, err);
    if (rc == 0) {
        vf_xxh64_update(&h->hash, buf, *ret_n);
    }
    return rc;
}

static void hashing_free(struct vf_stream *s)
{
    (void)s;
}

static const struct vf_stream_ops hashing_ops = {.read = hashing_read, .free = hashing_free};

static struct hashing_stream hashing_stream(struct vf_stream *in)
{
    struct hashing_stream h = {.base = {.ops = &hashing_ops, .size_bytes = in->size_bytes},
                               .in = in};
    vf_xxh64_init(&h.hash);
    return h;
}

static void start(struct vf_disk_copy *c, const struct vf_copy_env *env, uint64_t size_bytes)
{
    atomic_store(&c->progress.done_bytes, 0);
    atomic_store(&c->progress.data_bytes, 0);
    c->size_bytes = size_bytes;
    if (c->progress.total_bytes != size_bytes) { /* when it starts over, others are reading it */
        c->progress.total_bytes = size_bytes;
    }
    if (!c->started) {
        c->started = true;
        vf_report(env->reporter, &(struct vf_event){.type = VF_EVENT_DISK_START,
                                                    .vm = env->vm,
                                                    .disk = c->index,
                                                    .name = c->name,
                                                    .progress = &c->progress});
    }
}

void vf_disk_copy_announce(struct vf_disk_copy *c, const struct vf_copy_env *env)
{
    start(c, env, c->expected_bytes);
}

void vf_disk_copy_report_end(struct vf_disk_copy *c, const struct vf_copy_env *env,
                             const struct vf_error *error)
{
    if (c->started) {
        c->started = false;
        vf_report(env->reporter, &(struct vf_event){.type = VF_EVENT_DISK_END,
                                                    .vm = env->vm,
                                                    .disk = c->index,
                                                    .name = c->name,
                                                    .progress = &c->progress,
                                                    .error = error});
    }
}

/* One of the sources is given, or none for an empty disk. */
static int pump(struct vf_disk_copy *c, const struct vf_copy_env *env,
                struct vf_vmdk_stream *stream, struct vf_disk *disk, struct vf_sink *sink,
                struct vf_cancel *cancel, struct vf_error **err)
{
    int rc;
    if (stream) {
        rc = vf_vmdk_stream_decode(stream, sink, env->pool, cancel, err);
    } else if (disk) {
        rc = vf_transfer_disk(disk, sink, env->pool, &c->progress, cancel, err);
    } else {
        rc = vf_sink_zero(sink, 0, c->size_bytes, err);
    }
    if (rc == 0) {
        rc = vf_cancel_check(cancel, err);
    }
    uint64_t done = atomic_load(&c->progress.done_bytes);
    if (rc == 0 && done < c->size_bytes) {
        /* Every byte comes at least once; anything else is our own mistake, and no copy. */
        rc = vf_error_set(err, VF_INTERNAL, "%" PRIu64 " of %" PRIu64 " bytes were accounted for",
                          done, c->size_bytes);
    }
    return rc ? rc : vf_sink_finish(sink, err);
}

static int copy(struct vf_disk_copy *c, const struct vf_copy_env *env,
                struct vf_vmdk_stream *stream, struct vf_disk *disk, struct vf_cancel *cancel,
                struct vf_error **err)
{
    struct vf_digest digest = {0};
    struct vf_sink *sink = NULL;
    int rc = c->target->ops->open(c->target, c->size_bytes, cancel, &sink, err);
    if (rc) {
        return rc;
    }
    if (c->want_digest) {
        rc = vf_digest_init(&digest, c->size_bytes, err);
    }
    if (rc == 0) {
        struct vf_sink *target = vf_take(sink);
        rc = vf_transfer_chain(target, c->want_digest ? &digest : NULL, &c->progress, &sink, err);
    }
    if (rc == 0) {
        rc = pump(c, env, stream, disk, sink, cancel, err);
    }
    if (rc == 0 && c->want_digest) {
        free(vf_take(c->digest));
        rc = vf_digest_format(&digest, &c->digest, err);
    }
    vf_sink_free(sink);
    vf_digest_release(&digest);
    c->complete = rc == 0;
    c->blank = !stream && !disk;
    if (rc) {
        c->target->ops->discard(c->target);
    }
    return rc;
}

int vf_disk_copy_stream(struct vf_disk_copy *c, const struct vf_copy_env *env, struct vf_stream *in,
                        struct vf_cancel *cancel, struct vf_error **err)
{
    struct vf_vmdk_stream *stream = NULL;
    struct hashing_stream hashed = hashing_stream(in);
    struct vf_stream *counted = vf_counting_stream_new(&hashed.base, &c->progress);
    atomic_store(&c->progress.source_bytes, 0);

    int rc = vf_vmdk_stream_open(counted, &stream, err);
    uint64_t capacity = rc == 0 ? vf_vmdk_stream_capacity_bytes(stream) : 0;
    if (rc == 0 && c->expected_bytes && capacity != c->expected_bytes) {
        rc = vf_error_set(err, VF_INVALID,
                          "the stream is of a disk of %" PRIu64
                          " bytes, but the hardware says %" PRIu64,
                          capacity, c->expected_bytes);
    }
    if (rc == 0) {
        start(c, env, capacity);
        rc = copy(c, env, stream, NULL, cancel, err);
    }
    vf_vmdk_stream_free(stream);
    vf_stream_free(counted);
    c->read = hashed.hash;
    return rc;
}

int vf_disk_copy_disk(struct vf_disk_copy *c, const struct vf_copy_env *env, struct vf_disk *disk,
                      struct vf_cancel *cancel, struct vf_error **err)
{
    if (c->expected_bytes && disk->size_bytes != c->expected_bytes) {
        return vf_error_set(err, VF_INVALID,
                            "the image is of a disk of %" PRIu64
                            " bytes, but the hardware says %" PRIu64,
                            disk->size_bytes, c->expected_bytes);
    }
    start(c, env, disk->size_bytes);
    return copy(c, env, NULL, disk, cancel, err);
}

int vf_disk_copy_blank(struct vf_disk_copy *c, const struct vf_copy_env *env,
                       struct vf_cancel *cancel, struct vf_error **err)
{
    start(c, env, c->expected_bytes);
    return copy(c, env, NULL, NULL, cancel, err);
}

static int another(struct vf_error **err)
{
    return vf_error_set(err, VF_CONFLICT,
                        "it is not what an earlier try copied: it was changed meanwhile");
}

int vf_disk_copy_compare_stream(const struct vf_disk_copy *c, struct vf_stream *in,
                                struct vf_error **err)
{
    char *vf_autofree buf = vf_xcalloc(1, COMPARE_BYTES);
    struct hashing_stream hashed = hashing_stream(in);
    uint64_t left = c->read.total_bytes;
    size_t n = 1;
    int rc = 0;
    for (; left && n && !rc; left -= n) {
        size_t part = left < COMPARE_BYTES ? (size_t)left : COMPARE_BYTES;
        rc = hashing_read(&hashed.base, buf, part, &n, err);
        n = rc ? 0 : n;
    }
    if (rc) {
        return rc;
    }
    /* A disk that came from no stream has none to be compared with. */
    bool same =
        c->read.total_bytes && !left && vf_xxh64_get(&hashed.hash) == vf_xxh64_get(&c->read);
    return same ? 0 : another(err);
}

int vf_disk_copy_compare_disk(const struct vf_disk_copy *c, const struct vf_copy_env *env,
                              struct vf_disk *disk, struct vf_cancel *cancel, struct vf_error **err)
{
    char *vf_autofree digest = NULL;
    int rc = vf_disk_compute_digest(disk, env->pool, NULL, cancel, &digest, err);
    if (rc) {
        return rc;
    }
    return c->digest && strcmp(digest, c->digest) == 0 ? 0 : another(err);
}

void vf_disk_copy_release(struct vf_disk_copy *c)
{
    free(c->name);
    free(c->digest);
    c->name = NULL;
    c->digest = NULL;
}
