#include "importer/base/utf8.h"

#include <string.h>

#include "importer/base/buf.h"
#include "importer/base/mem.h"

size_t vf_utf8_decode(const char *s, size_t len, uint32_t *ret_char)
{
    static const uint32_t least[] = {0, 0, 0x80, 0x800, 0x10000};
    if (len == 0) {
        return 0;
    }
    unsigned char first = (unsigned char)s[0];
    size_t n = first < 0x80   ? 1
               : first < 0xc2 ? 0
               : first < 0xe0 ? 2
               : first < 0xf0 ? 3
               : first < 0xf5 ? 4
                              : 0;
    if (n == 0 || n > len) {
        return 0;
    }
    uint32_t c = n == 1 ? first : first & (0xffu >> (n + 1));
    for (size_t i = 1; i < n; i++) {
        unsigned char next = (unsigned char)s[i];
        if ((next & 0xc0) != 0x80) {
            return 0;
        }
        c = c << 6 | (next & 0x3f);
    }
    if (c < least[n] || c > 0x10ffff || (c >= 0xd800 && c <= 0xdfff)) {
        return 0;
    }
    *ret_char = c;
    return n;
}

char *vf_utf8_clean(const char *s)
{
    size_t len = strlen(s);
    struct vf_buf b;
    vf_buf_init(&b, SIZE_MAX);
    while (len > 0) {
        uint32_t c;
        size_t n = vf_utf8_decode(s, len, &c);
        vf_buf_append(&b, n ? s : "\xef\xbf\xbd", n ? n : 3);
        s += n ? n : 1;
        len -= n ? n : 1;
    }
    return vf_buf_take_string(&b);
}
