/* CDI looks at the first 512 bytes of what it gets, and after each unwrapping at the first 512 of
 * that, whoever wrote them: a guest whose disk begins like a qcow2 file would have CDI open the
 * files it names. Source: CDI, pkg/image/filefmt.go and pkg/importer/format-readers.go (v1.64,
 * v1.65). The tar format is known there too, but nothing is done about it.
 */
#include <string.h>

#include "importer/target/upload_private.h"

struct magic {
    const char *name;
    size_t offset, len;
    const char *bytes;
};

static const struct magic magics[] = {
    {"a gzip file", 0, 2, "\x1f\x8b"},
    {"a zstd file", 0, 4, "\x28\xb5\x2f\xfd"},
    {"an xz file", 0, 6, "\xfd\x37\x7a\x58\x5a\x00"},
    {"a qcow2 image", 0, 4, "QFI\xfb"},
    {"a VMDK image", 0, 4, "KDMV"},
    {"a VHD image", 0, 8, "conectix"},
    {"a VHDX image", 0, 8, "vhdxfile"},
    {"a VDI image", 0x40, 4, "\x7f\x10\xda\xbe"},
};

const char *vf_upload_sniff(const void *head, size_t len)
{
    for (size_t i = 0; i < sizeof magics / sizeof *magics; i++) {
        const struct magic *m = &magics[i];
        if (len >= m->offset + m->len &&
            memcmp((const char *)head + m->offset, m->bytes, m->len) == 0) {
            return m->name;
        }
    }
    return NULL;
}
