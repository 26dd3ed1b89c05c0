#include "importer/source/peek.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "importer/base/mem.h"

#define MAX_HEAD_BYTES (64u << 10)

struct peek {
    struct vf_stream base;
    struct vf_stream *in; /* owned */
    uint8_t *head;
    size_t pos, len;
};

static int peek_read(struct vf_stream *s, void *buf, size_t len_bytes, size_t *ret_n,
                     struct vf_error **err)
{
    struct peek *p = (struct peek *)s;
    size_t left = p->len - p->pos;
    if (left == 0) {
        return p->in->ops->read(p->in, buf, len_bytes, ret_n, err);
    }
    size_t n = left < len_bytes ? left : len_bytes;
    memcpy(buf, p->head + p->pos, n);
    p->pos += n;
    *ret_n = n;
    return 0;
}

static void peek_free(struct vf_stream *s)
{
    struct peek *p = (struct peek *)s;
    vf_stream_free(p->in);
    free(p->head);
    free(p);
}

static const struct vf_stream_ops peek_ops = {.read = peek_read, .free = peek_free};

int vf_peek_open(struct vf_stream *in, size_t len_bytes, struct vf_stream **ret_stream,
                 const void **ret_head, size_t *ret_len, struct vf_error **err)
{
    if (len_bytes > MAX_HEAD_BYTES) {
        len_bytes = MAX_HEAD_BYTES;
    }
    struct peek *p = vf_xcalloc(1, sizeof *p);
    p->base = (struct vf_stream){.ops = &peek_ops, .size_bytes = in->size_bytes};
    p->in = in;
    p->head = vf_xcalloc(1, len_bytes);
    int rc = vf_stream_read_full(in, p->head, len_bytes, &p->len, err);
    if (rc) {
        peek_free(&p->base);
        return rc;
    }
    *ret_stream = &p->base;
    *ret_head = p->head;
    *ret_len = p->len;
    return 0;
}
