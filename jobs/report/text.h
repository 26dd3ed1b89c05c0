/* Text for terminals: display width, safe output of foreign names, sizes and durations as people
 * read them. Pure functions; the width depends on the locale's LC_CTYPE.
 */
#ifndef JOBS_REPORT_TEXT_H
#define JOBS_REPORT_TEXT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "importer/base/buf.h"

/* The locale can show characters outside ASCII. */
bool vf_text_is_utf8(void);

/* Append s with everything that could steer a terminal (control characters, escape sequences,
 * bidirectional overrides) and every byte that is not UTF-8 replaced by '?'. */
void vf_text_put_safe(struct vf_buf *b, const char *s);
char *vf_text_safe(const char *s); /* the same as a heap string */

/* Columns that s takes on a terminal, once it is safe. */
size_t vf_text_width(const char *s);

/* Append s, made safe, in exactly `columns`: filled up with blanks (left of s when `right`), or cut
 * with an ellipsis. */
void vf_text_put_fitted(struct vf_buf *b, const char *s, size_t columns, bool right);

/* "0 B", "512 B", "1.5 KiB", "40.0 GiB", "120 GiB": rounded down. */
#define VF_TEXT_BYTES_SIZE 40
const char *vf_text_bytes(char buf[VF_TEXT_BYTES_SIZE], uint64_t n_bytes);

/* "0:07", "12:30", "3:04:05", "2d 03:04:05". */
#define VF_TEXT_DURATION_SIZE 64
const char *vf_text_duration(char buf[VF_TEXT_DURATION_SIZE], uint64_t seconds);

#endif
