/* UTF-8 as RFC 3629 has it: no surrogates, no overlong forms, nothing above U+10FFFF. */
#ifndef IMPORTER_BASE_UTF8_H
#define IMPORTER_BASE_UTF8_H

#include <stddef.h>
#include <stdint.h>

/* Length in bytes (1..4) of the character at s, its code point in *ret_char; 0 when the bytes up
 * to s + len are no character. */
size_t vf_utf8_decode(const char *s, size_t len, uint32_t *ret_char);

/* Copy with each bad byte replaced by U+FFFD; caller frees. */
char *vf_utf8_clean(const char *s);

#endif
