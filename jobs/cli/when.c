#include "jobs/cli/when.h"

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "importer/base/mem.h"
#include "jobs/report/text.h"

#define MAX_DURATION_S (INT64_C(365) * 86400)

int vf_when_parse_duration(const char *text, int64_t *ret_ms, struct vf_error **err)
{
    static const struct {
        const char *suffix;
        int64_t seconds;
    } units[] = {{"", 1}, {"s", 1}, {"m", 60}, {"h", 3600}, {"d", 86400}};
    char *end = NULL;
    errno = 0;
    long long n = text[0] >= '0' && text[0] <= '9' ? strtoll(text, &end, 10) : 0;
    for (size_t i = 0; i < sizeof units / sizeof *units && n > 0 && errno == 0; i++) {
        if (strcmp(end, units[i].suffix) == 0 && n <= MAX_DURATION_S / units[i].seconds) {
            *ret_ms = n * units[i].seconds * 1000;
            return 0;
        }
    }
    char *vf_autofree shown = vf_text_safe(text);
    return vf_error_set(err, VF_INVALID,
                        "\"%s\" is no duration from 1 s to 365 d: a whole number with s, m, h or d "
                        "behind it",
                        shown);
}

static bool take_digits(const char **s, unsigned n_digits, int *ret)
{
    int value = 0;
    for (unsigned i = 0; i < n_digits; i++) {
        char c = (*s)[i];
        if (c < '0' || c > '9') {
            return false;
        }
        value = value * 10 + (c - '0');
    }
    *s += n_digits;
    *ret = value;
    return true;
}

static bool take(const char **s, const char *any)
{
    if (!**s || !strchr(any, **s)) {
        return false;
    }
    (*s)++;
    return true;
}

static bool is_same_time(const struct tm *a, const struct tm *b)
{
    return a->tm_year == b->tm_year && a->tm_mon == b->tm_mon && a->tm_mday == b->tm_mday &&
           a->tm_hour == b->tm_hour && a->tm_min == b->tm_min && a->tm_sec == b->tm_sec;
}

/* "Z", "+01:00"; into seconds east of UTC. */
static bool parse_offset(const char **s, int64_t *ret_s)
{
    int hours, minutes;
    if (take(s, "Zz")) {
        *ret_s = 0;
        return true;
    }
    int64_t sign = **s == '-' ? -1 : 1;
    if (!take(s, "+-") || !take_digits(s, 2, &hours) || !take(s, ":") ||
        !take_digits(s, 2, &minutes) || hours > 23 || minutes > 59) {
        return false;
    }
    *ret_s = sign * (hours * INT64_C(3600) + minutes * INT64_C(60));
    return true;
}

/* The date is in the calendar, and 24:00 or a leap second is not taken. */
static bool is_in_calendar(const struct tm *tm)
{
    struct tm normal = *tm;
    return timegm(&normal) != (time_t)-1 && is_same_time(&normal, tm);
}

/* With and without daylight saving time: where both are true the time comes twice, where none is,
 * never. */
static unsigned resolve_local(const struct tm *tm, int64_t *ret_s)
{
    unsigned n = 0;
    for (int dst = 0; dst <= 1; dst++) {
        struct tm try = *tm;
        try.tm_isdst = dst;
        time_t t = mktime(&try);
        if (is_same_time(&try, tm) && (n == 0 || (int64_t)t != *ret_s)) {
            *ret_s = (int64_t)t;
            n++;
        }
    }
    return n;
}

static bool parse_fields(const char **s, struct tm *ret, bool *ret_local)
{
    int year, month;
    *ret = (struct tm){0};
    if (!take_digits(s, 4, &year) || !take(s, "-") || !take_digits(s, 2, &month) || !take(s, "-") ||
        !take_digits(s, 2, &ret->tm_mday)) {
        return false;
    }
    *ret_local = **s == ' ';
    if (!take(s, "Tt ") || !take_digits(s, 2, &ret->tm_hour) || !take(s, ":") ||
        !take_digits(s, 2, &ret->tm_min) || (take(s, ":") && !take_digits(s, 2, &ret->tm_sec))) {
        return false;
    }
    ret->tm_year = year - 1900;
    ret->tm_mon = month - 1;
    *ret_local = *ret_local && !**s;
    return year >= 1970 && is_in_calendar(ret);
}

int vf_when_parse_time(const char *text, int64_t *ret_s, struct vf_error **err)
{
    struct tm tm;
    bool local;
    int64_t east_s = 0;
    const char *s = text;
    char *vf_autofree shown = vf_text_safe(text);
    if (!parse_fields(&s, &tm, &local) || (!local && (!parse_offset(&s, &east_s) || *s))) {
        return vf_error_set(err, VF_INVALID,
                            "\"%s\" is no time: \"2026-11-22T02:00:00Z\", or local \"2026-11-22 "
                            "02:00\"",
                            shown);
    }
    if (!local) {
        *ret_s = (int64_t)timegm(&tm) - east_s;
        return 0;
    }
    unsigned n = resolve_local(&tm, ret_s);
    if (n == 1) {
        return 0;
    }
    return vf_error_set(err, VF_INVALID,
                        "the local time \"%s\" comes %s, for the clocks change: give it with its "
                        "offset, \"2026-11-22T02:00:00+01:00\"",
                        shown, n ? "twice" : "never");
}

int vf_when_parse_window(const char *text, int64_t *ret_from_s, int64_t *ret_until_s,
                         struct vf_error **err)
{
    int64_t from_s, until_s;
    const char *slash = strchr(text, '/');
    if (!slash) {
        return vf_error_set(err, VF_INVALID, "a window is FROM/TO");
    }
    char *vf_autofree from = vf_xstrndup(text, (size_t)(slash - text));
    int rc = vf_when_parse_time(from, &from_s, err);
    rc = rc ? rc : vf_when_parse_time(slash + 1, &until_s, err);
    if (rc) {
        return rc;
    }
    if (until_s <= from_s) {
        char *vf_autofree shown = vf_text_safe(text);
        return vf_error_set(err, VF_INVALID, "the window \"%s\" ends before it begins", shown);
    }
    *ret_from_s = from_s;
    *ret_until_s = until_s;
    return 0;
}

const char *vf_when_print(char buf[VF_WHEN_SIZE], int64_t time_s)
{
    time_t t = (time_t)time_s;
    struct tm tm;
    if (!localtime_r(&t, &tm) || strftime(buf, VF_WHEN_SIZE, "%Y-%m-%d %H:%M:%S %z", &tm) == 0) {
        snprintf(buf, VF_WHEN_SIZE, "%lld", (long long)time_s);
    }
    return buf;
}
