/* Between the files of checkpoint.h, and for its fuzz target. */
#ifndef JOBS_CHECKPOINT_PRIVATE_H
#define JOBS_CHECKPOINT_PRIVATE_H

#include <stddef.h>
#include <stdint.h>

/* Sizes and counts of bytes: what a JSON number holds exactly (json.h). */
#define VF_CHECKPOINT_MAX_COUNT (UINT64_C(1) << 53)

/* `text` is a JSON object with at least one member; the heap text is the same with its checksum as
 * the last member. Whoever reads it needs no knowledge of JSON to tell a torn text. */
char *vf_checkpoint_seal(const char *text, size_t len);

#endif
