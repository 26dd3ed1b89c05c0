#include "importer/kube/text.h"

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#include "importer/base/buf.h"
#include "importer/base/mem.h"
#include "importer/base/utf8.h"

static bool is_control(uint32_t c)
{
    /* C0, DEL, C1, and the marks that turn the direction of text. */
    return c < ' ' || (c >= 0x7f && c < 0xa0) || (c >= 0x200e && c <= 0x200f) ||
           (c >= 0x2028 && c <= 0x202e) || (c >= 0x2066 && c <= 0x2069);
}

char *vf_kube_clean_text(const char *text, size_t max_bytes)
{
    struct vf_buf b;
    vf_buf_init(&b, max_bytes + 3);
    char *vf_autofree clean = vf_utf8_clean(text ? text : "");
    size_t left = strlen(clean);
    for (const char *at = clean; left;) {
        uint32_t c;
        size_t n = vf_utf8_decode(at, left, &c);
        if (n == 0) {
            break;
        }
        if (b.len + n > max_bytes) {
            vf_buf_puts(&b, "...");
            break;
        }
        if (is_control(c) || c == ' ') {
            if (b.len && b.data[b.len - 1] != ' ') {
                vf_buf_puts(&b, " ");
            }
        } else {
            vf_buf_append(&b, at, n);
        }
        at += n;
        left -= n;
    }
    while (b.len && b.data[b.len - 1] == ' ') {
        b.data[--b.len] = '\0';
    }
    return vf_buf_take_string(&b);
}
