/* Allocation: checked, freed at the end of scope, sizes that cannot overflow.
 *
 * vf_xmalloc and friends abort on exhaustion: a small allocation that fails leaves nothing to do.
 * Buffers whose size a peer decides go through struct vf_buf, which has a ceiling and an error.
 */
#ifndef IMPORTER_BASE_MEM_H
#define IMPORTER_BASE_MEM_H

#include <stdarg.h>
#include <stddef.h>

void *vf_xcalloc(size_t n, size_t size);
void *vf_xrealloc_array(void *p, size_t n, size_t size);
char *vf_xstrdup(const char *s); /* NULL gives NULL */
char *vf_xstrndup(const char *s, size_t n);
char *vf_xasprintf(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
char *vf_xvasprintf(const char *fmt, va_list ap) __attribute__((format(printf, 1, 0)));

/* Frees what *s was, then owns a copy of `value`. */
void vf_replace_string(char **s, const char *value);

void vf_autofree_cleanup(void *p);

/* char *vf_autofree x = ...; freed when x leaves its scope. */
#define vf_autofree __attribute__((cleanup(vf_autofree_cleanup)))

/* Hand a vf_autofree pointer over: gives its value and disarms it. */
#define vf_take(p)                                                                                 \
    ({                                                                                             \
        __auto_type vf_taken = (p);                                                                \
        (p) = NULL;                                                                                \
        vf_taken;                                                                                  \
    })

#endif
