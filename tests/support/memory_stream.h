/* A stream over bytes in memory, given in pieces of at most `piece_bytes`; may fail at its end. For
 * unit tests and fuzz targets alike, so all in the header. */
#ifndef TESTS_SUPPORT_MEMORY_STREAM_H
#define TESTS_SUPPORT_MEMORY_STREAM_H

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include <vmferry/stream.h>

struct memory_stream {
    struct vf_stream base;
    const char *data; /* borrowed */
    size_t len_bytes, piece_bytes;
    bool breaks; /* VF_RETRY instead of an end */
};

static inline int memory_stream_read(struct vf_stream *s, void *buf, size_t len_bytes,
                                     size_t *ret_n, struct vf_error **err)
{
    struct memory_stream *m = (struct memory_stream *)s;
    if (m->len_bytes == 0 && m->breaks) {
        return vf_error_set(err, VF_RETRY, "the connection was reset");
    }
    size_t n = m->piece_bytes < len_bytes ? m->piece_bytes : len_bytes;
    n = n < m->len_bytes ? n : m->len_bytes;
    if (n > 0) {
        memcpy(buf, m->data, n);
        m->data += n;
        m->len_bytes -= n;
    }
    *ret_n = n;
    return 0;
}

static inline void memory_stream_free(struct vf_stream *s)
{
    free((struct memory_stream *)s);
}

static inline struct vf_stream *memory_stream_new(const void *data, size_t len_bytes,
                                                  size_t piece_bytes, bool breaks)
{
    static const struct vf_stream_ops ops = {.read = memory_stream_read,
                                             .free = memory_stream_free};
    struct memory_stream *m = calloc(1, sizeof *m);
    if (!m) {
        abort();
    }
    *m = (struct memory_stream){
        .base = {.ops = &ops, .size_bytes = breaks ? -1 : (int64_t)len_bytes},
        .data = data,
        .len_bytes = len_bytes,
        .piece_bytes = piece_bytes,
        .breaks = breaks};
    return &m->base;
}

#endif
