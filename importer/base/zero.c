#include "importer/base/zero.h"

#include <stdint.h>
#include <string.h>

bool vf_is_zero(const void *p, size_t len)
{
    const uint8_t *b = p;
    uint64_t word;

    /* A block that holds data mostly shows it in its first bytes. */
    for (; len >= 64; b += 64, len -= 64) {
        uint64_t any = 0;
        for (unsigned i = 0; i < 64; i += sizeof word) {
            memcpy(&word, b + i, sizeof word);
            any |= word;
        }
        if (any) {
            return false;
        }
    }
    for (; len > 0; b++, len--) {
        if (*b) {
            return false;
        }
    }
    return true;
}
