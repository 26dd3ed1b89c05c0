/* The digest of a disk's content, computed anew from its definition (jobs/digest.h) and nothing of
 * the program's code. */
#ifndef TESTS_SUPPORT_LEAF_DIGEST_H
#define TESTS_SUPPORT_LEAF_DIGEST_H

#include <stdint.h>

/* "sha256-1m:..." into text, which has room for 75 bytes. */
#define LEAF_DIGEST_SIZE 75
void leaf_digest(const uint8_t *content, uint64_t size_bytes, char text[LEAF_DIGEST_SIZE]);

#endif
