/* Time: monotonic for deadlines, wall clock for what people read. */
#ifndef IMPORTER_BASE_CLOCK_H
#define IMPORTER_BASE_CLOCK_H

#include <stdint.h>

int64_t vf_clock_ms(void); /* CLOCK_MONOTONIC, milliseconds */

/* "2026-11-21T14:18:25Z" of now; buf holds at least 21 bytes. */
#define VF_CLOCK_RFC3339_SIZE 21
void vf_clock_rfc3339(char buf[VF_CLOCK_RFC3339_SIZE]);

#endif
