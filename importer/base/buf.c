#include "importer/base/buf.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "importer/base/mem.h"

void vf_buf_init(struct vf_buf *b, size_t max_bytes)
{
    *b = (struct vf_buf){.max = max_bytes};
}

void vf_buf_release(struct vf_buf *b)
{
    free(b->data);
    vf_buf_init(b, b->max);
}

static bool reserve(struct vf_buf *b, size_t extra)
{
    size_t need;
    if (b->overflow || __builtin_add_overflow(b->len, extra, &need) || need > b->max ||
        need == SIZE_MAX) {
        b->overflow = true;
        return false;
    }
    if (need + 1 > b->cap) {
        size_t cap = b->cap ? b->cap : 256;
        while (cap < need + 1) {
            cap = cap > SIZE_MAX / 2 ? need + 1 : cap * 2;
        }
        b->data = vf_xrealloc_array(b->data, cap, 1);
        b->cap = cap;
    }
    return true;
}

bool vf_buf_append(struct vf_buf *b, const void *data, size_t len)
{
    if (!reserve(b, len)) {
        return false;
    }
    if (len) {
        memcpy(b->data + b->len, data, len);
    }
    b->len += len;
    b->data[b->len] = '\0';
    return true;
}

bool vf_buf_puts(struct vf_buf *b, const char *s)
{
    return vf_buf_append(b, s, strlen(s));
}

bool vf_buf_printf(struct vf_buf *b, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    char *s = vf_xvasprintf(fmt, ap);
    va_end(ap);
    bool ok = vf_buf_puts(b, s);
    free(s);
    return ok;
}

bool vf_buf_put_xml(struct vf_buf *b, const char *s)
{
    bool ok = true;
    for (; *s; s++) {
        switch (*s) {
        case '&':
            ok &= vf_buf_puts(b, "&amp;");
            break;
        case '<':
            ok &= vf_buf_puts(b, "&lt;");
            break;
        case '>':
            ok &= vf_buf_puts(b, "&gt;");
            break;
        case '"':
            ok &= vf_buf_puts(b, "&quot;");
            break;
        case '\'':
            ok &= vf_buf_puts(b, "&apos;");
            break;
        case '\r': /* a parser takes a bare one for the end of a line */
            ok &= vf_buf_puts(b, "&#13;");
            break;
        default:
            if ((unsigned char)*s >= 0x20 || *s == '\t' || *s == '\n') {
                ok &= vf_buf_append(b, s, 1);
            }
        }
    }
    return ok;
}

void vf_buf_clear(struct vf_buf *b)
{
    b->len = 0;
    b->overflow = false;
    if (b->data) {
        b->data[0] = '\0';
    }
}

char *vf_buf_take_string(struct vf_buf *b)
{
    char *s = b->data ? b->data : vf_xstrdup("");
    vf_buf_init(b, b->max);
    return s;
}
