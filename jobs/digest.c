#include "jobs/digest.h"

#include <errno.h>
#include <openssl/evp.h>
#include <string.h>
#include <sys/mman.h>

#include "importer/base/bytes.h"
#include "importer/base/mem.h"
#include "importer/base/zero.h"

#define PREAMBLE "vmferry-leaf-1M\n"

static size_t table_bytes(const struct vf_digest *d)
{
    return (size_t)(d->n_leaves ? d->n_leaves : 1) * VF_LEAF_VALUE_BYTES;
}

int vf_digest_init(struct vf_digest *d, uint64_t size_bytes, struct vf_error **err)
{
    *d = (struct vf_digest){.size_bytes = size_bytes,
                            .n_leaves =
                                size_bytes / VF_LEAF_BYTES + (size_bytes % VF_LEAF_BYTES ? 1 : 0)};
    void *p = mmap(NULL, table_bytes(d), PROT_READ | PROT_WRITE,
                   MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (p == MAP_FAILED) {
        return vf_error_set_errno(err, errno, "cannot map a digest table");
    }
    d->leaves = p;
    return 0;
}

void vf_digest_release(struct vf_digest *d)
{
    if (d->leaves) {
        munmap(d->leaves, table_bytes(d));
    }
    *d = (struct vf_digest){0};
}

uint64_t vf_digest_leaf_bytes(const struct vf_digest *d, uint64_t leaf)
{
    uint64_t left = d->size_bytes - leaf * VF_LEAF_BYTES;
    return left < VF_LEAF_BYTES ? left : VF_LEAF_BYTES;
}

void vf_digest_set_value(struct vf_digest *d, uint64_t leaf,
                         const uint8_t value[VF_LEAF_VALUE_BYTES])
{
    memcpy(d->leaves + leaf * VF_LEAF_VALUE_BYTES, value, VF_LEAF_VALUE_BYTES);
}

int vf_digest_set_leaf(struct vf_digest *d, uint64_t leaf, const void *buf, struct vf_error **err)
{
    static const uint8_t zero[VF_LEAF_VALUE_BYTES];
    size_t len = (size_t)vf_digest_leaf_bytes(d, leaf);
    uint8_t *value = d->leaves + leaf * VF_LEAF_VALUE_BYTES;

    if (!buf || vf_is_zero(buf, len)) {
        if (!vf_is_zero(value, VF_LEAF_VALUE_BYTES)) {
            memcpy(value, zero, VF_LEAF_VALUE_BYTES);
        }
        return 0;
    }
    if (!EVP_Digest(buf, len, value, NULL, EVP_sha256(), NULL)) {
        return vf_error_set(err, VF_INTERNAL, "SHA-256 failed");
    }
    return 0;
}

int vf_digest_format(const struct vf_digest *d, char **ret_text, struct vf_error **err)
{
    uint8_t size[8], root[EVP_MAX_MD_SIZE];
    be64_store(size, d->size_bytes);
    EVP_MD_CTX *ctx = EVP_MD_CTX_new();
    bool ok = ctx && EVP_DigestInit_ex(ctx, EVP_sha256(), NULL) &&
              EVP_DigestUpdate(ctx, PREAMBLE, sizeof PREAMBLE - 1) &&
              EVP_DigestUpdate(ctx, size, sizeof size) &&
              EVP_DigestUpdate(ctx, d->leaves, (size_t)d->n_leaves * VF_LEAF_VALUE_BYTES) &&
              EVP_DigestFinal_ex(ctx, root, NULL);
    EVP_MD_CTX_free(ctx);
    if (!ok) {
        return vf_error_set(err, VF_INTERNAL, "SHA-256 failed");
    }
    char *text = vf_xcalloc(sizeof VF_DIGEST_PREFIX + (size_t)VF_LEAF_VALUE_BYTES * 2, 1);
    memcpy(text, VF_DIGEST_PREFIX, sizeof VF_DIGEST_PREFIX);
    for (unsigned i = 0; i < VF_LEAF_VALUE_BYTES; i++) {
        static const char hex[] = "0123456789abcdef";
        char *at = text + sizeof VF_DIGEST_PREFIX - 1 + (size_t)i * 2;
        at[0] = hex[root[i] >> 4];
        at[1] = hex[root[i] & 15];
    }
    *ret_text = text;
    return 0;
}
