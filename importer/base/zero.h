/* Is a block of memory all zero? */
#ifndef IMPORTER_BASE_ZERO_H
#define IMPORTER_BASE_ZERO_H

#include <stdbool.h>
#include <stddef.h>

/* Any alignment and length; an empty block is zero. Quick to say no. */
bool vf_is_zero(const void *p, size_t len);

#endif
