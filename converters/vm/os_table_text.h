/* deploy/os-table.yaml, as it was when the program was built (converters/embed.cmake). */
#ifndef CONVERTERS_VM_OS_TABLE_TEXT_H
#define CONVERTERS_VM_OS_TABLE_TEXT_H

#include <stddef.h>

extern const char vf_os_table_text[]; /* NUL-terminated */
extern const size_t vf_os_table_text_len;

#endif
