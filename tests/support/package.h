/* OVF packages made in memory: tar files with hostile details, manifests over their members. */
#ifndef TESTS_SUPPORT_PACKAGE_H
#define TESTS_SUPPORT_PACKAGE_H

#include <stddef.h>

#define PACKAGE_MAX_BYTES (1u << 20)

struct package {
    char *data; /* heap, PACKAGE_MAX_BYTES */
    size_t len;
    struct archive *tar;
};

void package_begin(struct package *p);
/* A regular file; `data` of `len` bytes. */
void package_add(struct package *p, const char *name, const void *data, size_t len);
void package_add_text(struct package *p, const char *name, const char *text);
void package_add_link(struct package *p, const char *name, const char *target);
void package_end(struct package *p);
void package_release(struct package *p);

/* "SHA256(name)= hex\n" over data; heap. `algorithm` as OpenSSL and the manifest name it. */
char *package_manifest_line(const char *algorithm, const char *name, const void *data, size_t len);

/* gzip of data, heap. */
void *package_gzip(const void *data, size_t len, size_t *ret_len);

#endif
