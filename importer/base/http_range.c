/* Does an answer bring the bytes that were asked for? */
#include <errno.h>
#include <stdlib.h>
#include <strings.h>

#include "importer/base/http_private.h"
#include "importer/base/mem.h"

/* Digits, then `end`; what stands behind it, or NULL. */
static const char *parse_number(const char *s, char end, unsigned long long *ret)
{
    char *after;
    if (*s < '0' || *s > '9') {
        return NULL;
    }
    errno = 0;
    *ret = strtoull(s, &after, 10);
    return errno == 0 && *after == end ? after + 1 : NULL;
}

/* "bytes FIRST-LAST/TOTAL" (RFC 9110, section 14.4). */
static bool parse_content_range(const char *value, unsigned long long *ret_first,
                                unsigned long long *ret_last)
{
    const char *at = strncasecmp(value, "bytes ", 6) == 0 ? value + 6 : NULL;
    at = at ? parse_number(at, '-', ret_first) : NULL;
    return at && parse_number(at, '/', ret_last);
}

/* A server that answers another range than the one asked for would put bytes in the wrong place
 * without anybody noticing. */
int vf_http_lane_check_range(const struct vf_http_lane *lane, struct vf_error **err)
{
    if (!lane->use_range || lane->status != 206) {
        return 0;
    }
    char *vf_autofree value = vf_http_find_header(lane->answer_headers.data, "Content-Range");
    unsigned long long first, last;
    if (!value || !parse_content_range(value, &first, &last)) {
        return vf_error_set(err, VF_INVALID, "\"%s\" answers a byte range without saying which",
                            lane->host);
    }
    if (first != lane->range_first || last < first || last > lane->range_last) {
        return vf_error_set(err, VF_INVALID,
                            "\"%s\" answers bytes %llu to %llu where %llu to %llu were asked for",
                            lane->host, first, last, (unsigned long long)lane->range_first,
                            (unsigned long long)lane->range_last);
    }
    return 0;
}
