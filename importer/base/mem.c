#include "importer/base/mem.h"

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void die_no_memory(void)
{
    static const char text[] = "vmferry: out of memory\n";
    fwrite(text, 1, sizeof text - 1, stderr);
    abort();
}

void *vf_xcalloc(size_t n, size_t size)
{
    void *p = calloc(n ? n : 1, size ? size : 1);
    if (!p) {
        die_no_memory();
    }
    return p;
}

void *vf_xrealloc_array(void *p, size_t n, size_t size)
{
    void *q = reallocarray(p, n ? n : 1, size ? size : 1);
    if (!q) {
        die_no_memory();
    }
    return q;
}

char *vf_xstrdup(const char *s)
{
    return s ? vf_xstrndup(s, strlen(s)) : NULL;
}

char *vf_xstrndup(const char *s, size_t n)
{
    char *p = strndup(s, n);
    if (!p) {
        die_no_memory();
    }
    return p;
}

char *vf_xvasprintf(const char *fmt, va_list ap)
{
    char *s = NULL;
    if (vasprintf(&s, fmt, ap) < 0) {
        die_no_memory();
    }
    return s;
}

char *vf_xasprintf(const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    char *s = vf_xvasprintf(fmt, ap);
    va_end(ap);
    return s;
}

void vf_replace_string(char **s, const char *value)
{
    char *copy = vf_xstrdup(value);
    free(*s);
    *s = copy;
}

void vf_autofree_cleanup(void *p)
{
    free(*(void **)p);
}
