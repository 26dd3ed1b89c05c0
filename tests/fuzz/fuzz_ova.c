/* A whole OVA: tar, gzip around and inside, manifest. The first byte chooses the size of pieces in
 * which the bytes come and whether every other member is read. */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "importer/source/ova.h"
#include "tests/support/memory_stream.h"

#define MAX_MEMBER_BYTES (1u << 20)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static int read_member(struct vf_ova *ova, const struct vf_ova_member *m)
{
    if (strstr(m->name, ".ovf")) {
        char *text = NULL;
        size_t len;
        int rc = vf_ova_read_descriptor(ova, &text, &len, NULL);
        free(text);
        return rc;
    }
    struct vf_stream *s = NULL;
    int rc = vf_ova_open_member(ova, MAX_MEMBER_BYTES, &s, NULL);
    uint64_t total = 0;
    size_t n = 1;
    while (rc == 0 && n > 0) {
        char buf[4096];
        rc = s->ops->read(s, buf, sizeof buf, &n, NULL);
        total += rc ? 0 : n;
    }
    if (total > MAX_MEMBER_BYTES) {
        abort();
    }
    return rc;
}

/* Set the checksum of what looks like tar headers (POSIX pax, ustar interchange format): the fuzzer
 * would seldom get past it. */
static void fix_checksums(uint8_t *tar, size_t len)
{
    for (size_t at = 0; at + 512 <= len; at += 512) {
        uint8_t *h = tar + at;
        if (memcmp(h + 257, "ustar", 5) != 0) {
            continue;
        }
        unsigned sum = 0;
        memset(h + 148, ' ', 8);
        for (size_t i = 0; i < 512; i++) {
            sum += h[i];
        }
        snprintf((char *)h + 148, 8, "%06o", sum);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size == 0) {
        return 0;
    }
    uint8_t *tar = malloc(size);
    memcpy(tar, data + 1, size - 1);
    fix_checksums(tar, size - 1);
    size_t piece = (size_t)1 << (data[0] & 15);
    bool skip = data[0] & 16;
    struct vf_ova *ova = NULL;
    struct vf_ova_member m;
    bool end = false;
    int rc = vf_ova_open(memory_stream_new(tar, size - 1, piece, data[0] & 32), "fuzz", &ova, NULL);
    for (unsigned i = 0; rc == 0 && !end; i++) {
        rc = vf_ova_next(ova, &m, &end, NULL);
        if (rc == 0 && !end && (!skip || i % 2 == 0)) {
            (void)read_member(ova, &m); /* the caller may go on to the next */
        }
    }
    if (ova) {
        vf_ova_finish(ova, NULL, NULL);
    }
    vf_ova_free(ova);
    free(tar);
    return 0;
}
