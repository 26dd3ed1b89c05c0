#include "importer/source/gunzip.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <zlib.h>

#include "importer/base/mem.h"

#define INPUT_BYTES (256u << 10)
/* zlib: 15 bits of window, +16 for a gzip wrapper. */
#define GZIP_WINDOW (15 + 16)

struct gunzip {
    struct vf_stream base;
    struct vf_stream *in;
    char *name;
    uint64_t left_bytes; /* of what may still come out */
    bool compressed;
    bool inside;    /* a member is begun */
    z_stream z;     /* next_in, avail_in: what was read from `in` and not used */
    uint8_t *input; /* INPUT_BYTES */
};

static int refill(struct gunzip *g, struct vf_error **err)
{
    size_t n = 0;
    int rc = g->in->ops->read(g->in, g->input, INPUT_BYTES, &n, err);
    g->z.next_in = g->input;
    g->z.avail_in = (uInt)n;
    return rc;
}

static int spend(struct gunzip *g, size_t n, struct vf_error **err)
{
    if (n > g->left_bytes) {
        return vf_error_set(err, VF_SPACE, "\"%s\" holds more than was announced", g->name);
    }
    g->left_bytes -= n;
    return 0;
}

static int read_plain(struct gunzip *g, void *buf, size_t len_bytes, size_t *ret_n,
                      struct vf_error **err)
{
    size_t n = g->z.avail_in;
    if (n > 0) {
        n = n < len_bytes ? n : len_bytes;
        memcpy(buf, g->z.next_in, n);
        g->z.next_in += n;
        g->z.avail_in -= (uInt)n;
    } else {
        int rc = g->in->ops->read(g->in, buf, len_bytes, &n, err);
        if (rc) {
            return rc;
        }
    }
    *ret_n = n;
    return spend(g, n, err);
}

static int inflate_some(struct gunzip *g, struct vf_error **err)
{
    int z = inflate(&g->z, Z_NO_FLUSH);
    if (z == Z_STREAM_END) {
        g->inside = false;
        inflateReset2(&g->z, GZIP_WINDOW);
        return 0;
    }
    if (z != Z_OK && z != Z_BUF_ERROR) {
        return vf_error_set(err, z == Z_MEM_ERROR ? VF_INTERNAL : VF_INVALID,
                            "the gzip data of \"%s\" is damaged: %s", g->name,
                            g->z.msg ? g->z.msg : "no reason given");
    }
    return 0;
}

static int read_compressed(struct gunzip *g, void *buf, size_t len_bytes, size_t *ret_n,
                           struct vf_error **err)
{
    uInt want = len_bytes < INPUT_BYTES ? (uInt)len_bytes : INPUT_BYTES;
    g->z.next_out = buf;
    g->z.avail_out = want;
    while (g->z.avail_out == want) {
        if (g->z.avail_in == 0) {
            int rc = refill(g, err);
            if (rc) {
                return rc;
            }
        }
        if (g->z.avail_in == 0) {
            if (g->inside) {
                return vf_error_set(err, VF_INVALID, "the gzip data of \"%s\" is cut short",
                                    g->name);
            }
            break;
        }
        g->inside = true;
        int rc = inflate_some(g, err);
        if (rc) {
            return rc;
        }
    }
    *ret_n = want - g->z.avail_out;
    return spend(g, *ret_n, err);
}

static int gunzip_read(struct vf_stream *s, void *buf, size_t len_bytes, size_t *ret_n,
                       struct vf_error **err)
{
    struct gunzip *g = (struct gunzip *)s;
    return g->compressed ? read_compressed(g, buf, len_bytes, ret_n, err)
                         : read_plain(g, buf, len_bytes, ret_n, err);
}

static void gunzip_free(struct vf_stream *s)
{
    struct gunzip *g = (struct gunzip *)s;
    if (g->compressed) {
        inflateEnd(&g->z);
    }
    vf_stream_free(g->in);
    free(g->input);
    free(g->name);
    free(g);
}

static const struct vf_stream_ops gunzip_ops = {.read = gunzip_read, .free = gunzip_free};

int vf_gunzip_open(struct vf_stream *in, const char *name, uint64_t max_output_bytes,
                   struct vf_stream **ret_stream, struct vf_error **err)
{
    struct gunzip *g = vf_xcalloc(1, sizeof *g);
    *g = (struct gunzip){.base = {.ops = &gunzip_ops, .size_bytes = -1},
                         .in = in,
                         .name = vf_xstrdup(name),
                         .left_bytes = max_output_bytes,
                         .input = vf_xcalloc(INPUT_BYTES, 1)};
    size_t n = 0;
    int rc = vf_stream_read_full(in, g->input, 2, &n, err);
    if (rc == 0 && n == 2 && g->input[0] == 0x1f && g->input[1] == 0x8b) {
        if (inflateInit2(&g->z, GZIP_WINDOW) != Z_OK) {
            rc = vf_error_set(err, VF_INTERNAL, "cannot start to inflate \"%s\"", name);
        }
        g->compressed = rc == 0;
    } else {
        g->base.size_bytes = in->size_bytes;
    }
    if (rc) {
        gunzip_free(&g->base);
        return rc;
    }
    g->z.next_in = g->input;
    g->z.avail_in = (uInt)n;
    *ret_stream = &g->base;
    return 0;
}
