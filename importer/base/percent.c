#include "importer/base/percent.h"

#include <stdbool.h>
#include <string.h>

#include "importer/base/mem.h"

static int hex_value(char c)
{
    if (c >= '0' && c <= '9') {
        return c - '0';
    }
    c = (char)(c | 0x20);
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

char *vf_percent_decode(const char *s)
{
    char *out = vf_xcalloc(strlen(s) + 1, 1);
    char *to = out;
    while (*s) {
        int high = *s == '%' ? hex_value(s[1]) : -1;
        int low = high >= 0 ? hex_value(s[2]) : -1;
        bool escape = low >= 0 && (high | low) != 0;
        *to++ = escape ? (char)(high << 4 | low) : *s;
        s += escape ? 3 : 1;
    }
    return out;
}
