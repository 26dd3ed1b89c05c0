#include "importer/kube/quantity.h"

#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#define MAX_BYTES (UINT64_C(1) << 62)
/* Digits behind the point that are looked at; what follows only rounds up. */
#define MAX_FRACTION_DIGITS 9
#define MAX_EXPONENT        30

static const struct {
    const char *suffix;
    unsigned shift; /* times 2^shift */
    int exponent;   /* times 10^exponent */
} suffixes[] = {
    {"", 0, 0},    {"k", 0, 3},   {"M", 0, 6},   {"G", 0, 9},   {"T", 0, 12},  {"P", 0, 15},
    {"E", 0, 18},  {"Ki", 10, 0}, {"Mi", 20, 0}, {"Gi", 30, 0}, {"Ti", 40, 0}, {"Pi", 50, 0},
    {"Ei", 60, 0}, {"m", 0, -3},  {"u", 0, -6},  {"n", 0, -9},
};

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

/* The number without its point: value * 10^-scale, and whether digits beyond were left out. */
struct number {
    uint64_t value;
    int scale;
    bool more;
};

static bool add_digit(struct number *n, char c)
{
    return !__builtin_mul_overflow(n->value, UINT64_C(10), &n->value) &&
           !__builtin_add_overflow(n->value, (uint64_t)(c - '0'), &n->value);
}

static bool parse_number(const char **at, struct number *n)
{
    const char *s = *at;
    size_t digits = 0;
    *n = (struct number){0};
    s += *s == '+';
    for (; is_digit(*s); s++, digits++) {
        if (!add_digit(n, *s)) {
            return false;
        }
    }
    s += *s == '.';
    bool after_point = s > *at && s[-1] == '.';
    for (; after_point && is_digit(*s); s++, digits++) {
        if (n->scale == MAX_FRACTION_DIGITS) {
            n->more |= *s != '0';
        } else if (add_digit(n, *s)) {
            n->scale++;
        } else {
            return false;
        }
    }
    *at = s;
    return digits > 0;
}

static bool parse_exponent(const char *s, int *ret_exponent)
{
    char *end;
    if ((*s != 'e' && *s != 'E') || !s[1]) {
        return false;
    }
    const char *digits = s + 1 + (s[1] == '-' || s[1] == '+');
    if (!is_digit(*digits)) {
        return false;
    }
    long value = strtol(s + 1, &end, 10);
    *ret_exponent = (int)value;
    return !*end && value >= -MAX_EXPONENT && value <= MAX_EXPONENT;
}

static bool parse_suffix(const char *s, unsigned *ret_shift, int *ret_exponent)
{
    for (size_t i = 0; i < sizeof suffixes / sizeof *suffixes; i++) {
        if (strcmp(s, suffixes[i].suffix) == 0) {
            *ret_shift = suffixes[i].shift;
            *ret_exponent = suffixes[i].exponent;
            return true;
        }
    }
    *ret_shift = 0;
    return parse_exponent(s, ret_exponent);
}

/* Times 10^scale. */
static bool parse_scaled(const char *text, int scale, uint64_t *ret)
{
    struct number n;
    unsigned shift;
    int exponent;
    if (!text || !parse_number(&text, &n) || !parse_suffix(text, &shift, &exponent)) {
        return false;
    }
    /* 2^64 * 2^60 fits; powers of ten only as long as they do. */
    unsigned __int128 v = (unsigned __int128)n.value << shift;
    bool more = n.more;
    for (exponent += scale - n.scale; exponent > 0; exponent--) {
        if (v >= MAX_BYTES) {
            return false;
        }
        v *= 10;
    }
    for (; exponent < 0; exponent++) {
        more |= v % 10 != 0;
        v /= 10;
    }
    v += more;
    if (v >= MAX_BYTES) {
        return false;
    }
    *ret = (uint64_t)v;
    return true;
}

bool vf_kube_parse_bytes(const char *text, uint64_t *ret_bytes)
{
    return parse_scaled(text, 0, ret_bytes);
}

bool vf_kube_parse_millis(const char *text, uint64_t *ret_millis)
{
    return parse_scaled(text, 3, ret_millis);
}
