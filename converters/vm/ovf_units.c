/* Allocation units: DSP0004 2.5, annex C ("programmatic units"), and the words before it. */
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "converters/vm/ovf_parser.h"
#include "importer/base/mem.h"

bool ovf_parse_number(const char *s, uint64_t *ret)
{
    s += strspn(s, " \t\r\n");
    size_t n = strspn(s, "0123456789");
    if (n == 0 || s[n + strspn(s + n, " \t\r\n")] != '\0') {
        return false;
    }
    uint64_t v = 0;
    for (size_t i = 0; i < n; i++) {
        if (__builtin_mul_overflow(v, UINT64_C(10), &v) ||
            __builtin_add_overflow(v, (uint64_t)(s[i] - '0'), &v)) {
            return false;
        }
    }
    *ret = v;
    return true;
}

/* "2^30", "1024" or "1024*1024"; `s` is changed. */
static bool parse_factors(char *s, uint64_t *ret)
{
    uint64_t v = 1;
    while (s) {
        char *next = strchr(s, '*');
        if (next) {
            *next++ = '\0';
        }
        uint64_t base;
        uint64_t exponent = 1;
        char *caret = strchr(s, '^');
        if (caret) {
            *caret = '\0';
            if (!ovf_parse_number(caret + 1, &exponent) || exponent > 63) {
                return false;
            }
        }
        if (!ovf_parse_number(s, &base)) {
            return false;
        }
        while (exponent-- > 0) {
            if (__builtin_mul_overflow(v, base, &v)) {
                return false;
            }
        }
        s = next;
    }
    *ret = v;
    return v != 0;
}

static bool parse_word(const char *s, uint64_t *ret)
{
    static const struct {
        const char *names[4];
        unsigned shift;
    } words[] = {
        {{"byte", "bytes", "b", NULL}, 0},
        {{"kb", "kilobytes", "kibibytes", "kilobyte"}, 10},
        {{"mb", "megabytes", "mebibytes", "megabyte"}, 20},
        {{"gb", "gigabytes", "gibibytes", "gigabyte"}, 30},
        {{"tb", "terabytes", "tebibytes", "terabyte"}, 40},
    };
    for (size_t i = 0; i < sizeof words / sizeof *words; i++) {
        for (size_t j = 0; j < 4 && words[i].names[j]; j++) {
            if (strcasecmp(s, words[i].names[j]) == 0) {
                *ret = UINT64_C(1) << words[i].shift;
                return true;
            }
        }
    }
    return false;
}

static void trim_end(char *s)
{
    size_t n = strlen(s);
    while (n > 0 && strchr(" \t\r\n", s[n - 1])) {
        s[--n] = '\0';
    }
}

int vf_ovf_parse_units(const char *s, uint64_t *ret_factor, struct vf_error **err)
{
    s = s ? s + strspn(s, " \t\r\n") : "";
    if (!*s) {
        *ret_factor = 1;
        return 0;
    }
    char *vf_autofree copy = vf_xstrdup(s);
    char *star = strchr(copy, '*');
    if (star) {
        *star = '\0';
    }
    trim_end(copy);
    uint64_t unit;
    uint64_t factor = 1;
    if (!parse_word(copy, &unit) || (star && !parse_factors(star + 1, &factor)) ||
        __builtin_mul_overflow(unit, factor, ret_factor)) {
        return vf_error_set(err, VF_RANGE, "allocation unit \"%s\" is not understood", s);
    }
    return 0;
}
