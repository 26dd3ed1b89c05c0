/* A growing byte buffer with a ceiling: whatever a peer can fill goes through one of these.
 * Always NUL-terminated behind its content, so text may be used as a string. Not thread-safe.
 */
#ifndef IMPORTER_BASE_BUF_H
#define IMPORTER_BASE_BUF_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct vf_buf {
    char *data; /* NULL until something was appended */
    size_t len, cap;
    size_t max;    /* ceiling in bytes for len */
    bool overflow; /* an append was refused; content up to then stands */
};

void vf_buf_init(struct vf_buf *b, size_t max_bytes);
void vf_buf_release(struct vf_buf *b); /* may be init-ed again */

/* false, and overflow set, when the ceiling would be passed; nothing was appended then. */
bool vf_buf_append(struct vf_buf *b, const void *data, size_t len);
bool vf_buf_puts(struct vf_buf *b, const char *s);
bool vf_buf_printf(struct vf_buf *b, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
/* Escapes & < > " ' and drops control characters that XML 1.0 has no form for. */
bool vf_buf_put_xml(struct vf_buf *b, const char *s);

void vf_buf_clear(struct vf_buf *b); /* keeps the memory */

/* The content as a heap string (never NULL), owned by the caller; b is empty after. */
char *vf_buf_take_string(struct vf_buf *b);

#endif
