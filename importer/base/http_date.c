#include "importer/base/http_date.h"

#include <stddef.h>
#include <string.h>
#include <time.h>

#define LENGTH 29

/* The digits from `at` to before `end`. */
static bool read_number(const char *text, size_t at, size_t end, int *ret)
{
    *ret = 0;
    for (; at < end; at++) {
        if (text[at] < '0' || text[at] > '9') {
            return false;
        }
        *ret = *ret * 10 + (text[at] - '0');
    }
    return true;
}

static bool read_month(const char *text, int *ret)
{
    static const char months[][4] = {"Jan", "Feb", "Mar", "Apr", "May", "Jun",
                                     "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};
    for (int i = 0; i < 12; i++) {
        if (memcmp(text, months[i], 3) == 0) {
            *ret = i;
            return true;
        }
    }
    return false;
}

bool vf_http_parse_date(const char *text, int64_t *ret_s)
{
    struct tm t = {0};
    if (!text || strlen(text) != LENGTH || text[3] != ',' || text[4] != ' ' || text[7] != ' ' ||
        text[11] != ' ' || text[16] != ' ' || text[19] != ':' || text[22] != ':' ||
        strcmp(text + 25, " GMT") != 0 || !read_number(text, 5, 7, &t.tm_mday) ||
        !read_month(text + 8, &t.tm_mon) || !read_number(text, 12, 16, &t.tm_year) ||
        !read_number(text, 17, 19, &t.tm_hour) || !read_number(text, 20, 22, &t.tm_min) ||
        !read_number(text, 23, 25, &t.tm_sec)) {
        return false;
    }
    /* A leap second is allowed. */
    if (t.tm_mday < 1 || t.tm_mday > 31 || t.tm_hour > 23 || t.tm_min > 59 || t.tm_sec > 60 ||
        t.tm_year < 1970) {
        return false;
    }
    t.tm_year -= 1900;
    *ret_s = (int64_t)timegm(&t);
    return true;
}
