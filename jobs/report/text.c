#include "jobs/report/text.h"

#include <langinfo.h>
#include <stdio.h>
#include <string.h>
#include <wchar.h>

#include "importer/base/utf8.h"

bool vf_text_is_utf8(void)
{
    return strcmp(nl_langinfo(CODESET), "UTF-8") == 0;
}

/* C0 and C1 controls, line and paragraph separators, and the embeddings, overrides and isolates of
 * the Unicode Bidirectional Algorithm (UAX #9), which let a name pass itself off as another. */
static bool steers_terminal(uint32_t c)
{
    return c < 0x20 || (c >= 0x7f && c < 0xa0) || (c >= 0x2028 && c <= 0x202e) ||
           (c >= 0x2066 && c <= 0x2069) || c == 0x200e || c == 0x200f || c == 0x061c;
}

/* The next character of s as it will be shown: its bytes and its columns. Returns how far to go. */
static size_t next_shown(const char *s, size_t len, const char **ret_text, size_t *ret_text_len,
                         size_t *ret_columns)
{
    uint32_t c;
    size_t n = vf_utf8_decode(s, len, &c);
    if (n == 0 || steers_terminal(c)) {
        *ret_text = "?";
        *ret_text_len = 1;
        *ret_columns = 1;
        return n ? n : 1;
    }
    /* wcwidth knows nothing outside ASCII in the C locale; one column is the best guess then. */
    int columns = wcwidth((wchar_t)c);
    *ret_text = s;
    *ret_text_len = n;
    *ret_columns = columns < 0 ? 1 : (size_t)columns;
    return n;
}

void vf_text_put_safe(struct vf_buf *b, const char *s)
{
    for (size_t len = strlen(s); len > 0;) {
        const char *text;
        size_t text_len, columns;
        size_t n = next_shown(s, len, &text, &text_len, &columns);
        vf_buf_append(b, text, text_len);
        s += n;
        len -= n;
    }
}

char *vf_text_safe(const char *s)
{
    struct vf_buf b;
    vf_buf_init(&b, SIZE_MAX);
    vf_text_put_safe(&b, s);
    return vf_buf_take_string(&b);
}

size_t vf_text_width(const char *s)
{
    size_t width = 0;
    for (size_t len = strlen(s); len > 0;) {
        const char *text;
        size_t text_len, columns;
        size_t n = next_shown(s, len, &text, &text_len, &columns);
        width += columns;
        s += n;
        len -= n;
    }
    return width;
}

static void put_blanks(struct vf_buf *b, size_t n)
{
    vf_buf_printf(b, "%*s", (int)n, "");
}

static void put_cut(struct vf_buf *b, const char *s, size_t columns)
{
    const char *ellipsis = vf_text_is_utf8() ? "\xe2\x80\xa6" : "~";
    size_t room = columns - 1;
    size_t used = 0;
    for (size_t len = strlen(s); len > 0;) {
        const char *text;
        size_t text_len, n_columns;
        size_t n = next_shown(s, len, &text, &text_len, &n_columns);
        if (used + n_columns > room) {
            break;
        }
        vf_buf_append(b, text, text_len);
        used += n_columns;
        s += n;
        len -= n;
    }
    vf_buf_puts(b, ellipsis);
    put_blanks(b, room - used);
}

void vf_text_put_fitted(struct vf_buf *b, const char *s, size_t columns, bool right)
{
    size_t width = vf_text_width(s);
    if (width > columns) {
        if (columns > 0) {
            put_cut(b, s, columns);
        }
        return;
    }
    if (right) {
        put_blanks(b, columns - width);
    }
    vf_text_put_safe(b, s);
    if (!right) {
        put_blanks(b, columns - width);
    }
}

const char *vf_text_bytes(char buf[VF_TEXT_BYTES_SIZE], uint64_t n_bytes)
{
    static const char *const units[] = {"B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB"};
    unsigned unit = 0;
    uint64_t whole = n_bytes;
    uint64_t rest = 0;
    while (whole >= 1024) {
        rest = whole & 1023;
        whole >>= 10;
        unit++;
    }
    if (unit == 0 || whole >= 100) {
        snprintf(buf, VF_TEXT_BYTES_SIZE, "%u %s", (unsigned)whole, units[unit]);
    } else {
        snprintf(buf, VF_TEXT_BYTES_SIZE, "%u.%u %s", (unsigned)whole, (unsigned)(rest * 10 / 1024),
                 units[unit]);
    }
    return buf;
}

const char *vf_text_duration(char buf[VF_TEXT_DURATION_SIZE], uint64_t seconds)
{
    unsigned s = (unsigned)(seconds % 60);
    unsigned m = (unsigned)(seconds / 60 % 60);
    unsigned h = (unsigned)(seconds / 3600 % 24);
    uint64_t d = seconds / 86400;
    if (d > 0) {
        snprintf(buf, VF_TEXT_DURATION_SIZE, "%llud %02u:%02u:%02u", (unsigned long long)d, h, m,
                 s);
    } else if (h > 0) {
        snprintf(buf, VF_TEXT_DURATION_SIZE, "%u:%02u:%02u", h, m, s);
    } else {
        snprintf(buf, VF_TEXT_DURATION_SIZE, "%u:%02u", m, s);
    }
    return buf;
}
