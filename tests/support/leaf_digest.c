#include "tests/support/leaf_digest.h"

#include <openssl/sha.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/support/check.h"

void leaf_digest(const uint8_t *content, uint64_t size_bytes, char text[LEAF_DIGEST_SIZE])
{
    const uint64_t leaf = 1048576;
    uint64_t n = (size_bytes + leaf - 1) / leaf;
    uint8_t *all = calloc(1, (size_t)(24 + n * 32)), root[32];
    vf_test_check(all);
    memcpy(all, "vmferry-leaf-1M\n", 16);
    for (unsigned i = 0; i < 8; i++) {
        all[16 + i] = (uint8_t)(size_bytes >> (56 - 8 * i));
    }
    for (uint64_t i = 0; i < n; i++) {
        uint64_t len = size_bytes - i * leaf < leaf ? size_bytes - i * leaf : leaf;
        bool zero = true;
        for (uint64_t k = 0; k < len && zero; k++) {
            zero = content[i * leaf + k] == 0;
        }
        if (!zero) {
            SHA256(content + i * leaf, (size_t)len, all + 24 + i * 32);
        }
    }
    SHA256(all, (size_t)(24 + n * 32), root);
    free(all);
    int at = sprintf(text, "sha256-1m:");
    for (unsigned i = 0; i < 32; i++) {
        at += sprintf(text + at, "%02x", root[i]);
    }
}
