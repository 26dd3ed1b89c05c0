#include "tests/support/package.h"

#include <archive.h>
#include <archive_entry.h>
#include <openssl/evp.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <zlib.h>

#include <cmocka.h>

#include "importer/base/mem.h"

void package_begin(struct package *p)
{
    *p = (struct package){.data = vf_xcalloc(PACKAGE_MAX_BYTES, 1), .tar = archive_write_new()};
    assert_int_equal(archive_write_set_format_ustar(p->tar), ARCHIVE_OK);
    assert_int_equal(archive_write_set_bytes_per_block(p->tar, 512), ARCHIVE_OK);
    assert_int_equal(archive_write_open_memory(p->tar, p->data, PACKAGE_MAX_BYTES, &p->len),
                     ARCHIVE_OK);
}

static void add(struct package *p, const char *name, unsigned type, const char *target,
                const void *data, size_t len)
{
    struct archive_entry *e = archive_entry_new();
    archive_entry_set_pathname(e, name);
    archive_entry_set_filetype(e, type);
    archive_entry_set_perm(e, 0644);
    archive_entry_set_size(e, (int64_t)len);
    if (target) {
        archive_entry_set_symlink(e, target);
    }
    assert_int_equal(archive_write_header(p->tar, e), ARCHIVE_OK);
    if (len > 0) {
        assert_int_equal(archive_write_data(p->tar, data, len), (la_ssize_t)len);
    }
    archive_entry_free(e);
}

void package_add(struct package *p, const char *name, const void *data, size_t len)
{
    add(p, name, AE_IFREG, NULL, data, len);
}

void package_add_text(struct package *p, const char *name, const char *text)
{
    package_add(p, name, text, strlen(text));
}

void package_add_link(struct package *p, const char *name, const char *target)
{
    add(p, name, AE_IFLNK, target, NULL, 0);
}

void package_end(struct package *p)
{
    assert_int_equal(archive_write_free(p->tar), ARCHIVE_OK);
    p->tar = NULL;
}

void package_release(struct package *p)
{
    free(p->data);
}

char *package_manifest_line(const char *algorithm, const char *name, const void *data, size_t len)
{
    unsigned char value[EVP_MAX_MD_SIZE];
    unsigned n = 0;
    assert_true(EVP_Digest(data, len, value, &n, EVP_get_digestbyname(algorithm), NULL));
    char hex[2 * EVP_MAX_MD_SIZE + 1];
    for (unsigned i = 0; i < n; i++) {
        snprintf(hex + 2 * (size_t)i, 3, "%02x", value[i]);
    }
    return vf_xasprintf("%s(%s)= %s\n", algorithm, name, hex);
}

void *package_gzip(const void *data, size_t len, size_t *ret_len)
{
    size_t room = len + len / 10 + 1024;
    unsigned char *out = vf_xcalloc(room, 1);
    z_stream z = {.next_in = (Bytef *)(uintptr_t)data,
                  .avail_in = (uInt)len,
                  .next_out = out,
                  .avail_out = (uInt)room};
    assert_int_equal(deflateInit2(&z, 6, Z_DEFLATED, 15 + 16, 8, Z_DEFAULT_STRATEGY), Z_OK);
    assert_int_equal(deflate(&z, Z_FINISH), Z_STREAM_END);
    deflateEnd(&z);
    *ret_len = z.total_out;
    return out;
}
