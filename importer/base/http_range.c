/* Does an answer bring the bytes that were asked for? */
#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
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

struct content_range {
    unsigned long long first, last;
    unsigned long long total; /* 0: not told */
};

/* "bytes FIRST-LAST/TOTAL", TOTAL "*" when it is not known (RFC 9110, section 14.4). */
static bool parse_content_range(const char *value, struct content_range *ret)
{
    const char *at = strncasecmp(value, "bytes ", 6) == 0 ? value + 6 : NULL;
    at = at ? parse_number(at, '-', &ret->first) : NULL;
    at = at ? parse_number(at, '/', &ret->last) : NULL;
    ret->total = 0;
    return at && (strcmp(at, "*") == 0 || parse_number(at, '\0', &ret->total));
}

static int check_place(const struct vf_http_lane *lane, const struct content_range *r,
                       struct vf_error **err)
{
    if (r->first != lane->range_first || r->last < r->first || r->last > lane->range_last) {
        return vf_error_set(err, VF_INVALID,
                            "\"%s\" answers bytes %llu to %llu where %llu to %llu were asked for",
                            lane->host, r->first, r->last, (unsigned long long)lane->range_first,
                            (unsigned long long)lane->range_last);
    }
    if (lane->range_total_bytes && r->total && r->total != lane->range_total_bytes) {
        vf_error_set(err, VF_CONFLICT,
                     "what \"%s\" sends has %llu bytes in all where %llu were expected", lane->host,
                     r->total, (unsigned long long)lane->range_total_bytes);
        vf_error_set_http_status(err, lane->status);
        return VF_CONFLICT;
    }
    return 0;
}

/* A server that answers another range than the one asked for, or a part of something encoded, would
 * put wrong bytes into a place without anybody noticing. */
int vf_http_lane_check_range(const struct vf_http_lane *lane, struct vf_error **err)
{
    if (!lane->use_range || lane->status != 206) {
        return 0;
    }
    char *vf_autofree coding = vf_http_find_header(lane->answer_headers.data, "Content-Encoding");
    if (coding && strcasecmp(coding, "identity") != 0) {
        vf_error_set(err, VF_UNSUPPORTED, "\"%s\" serves byte ranges of encoded content",
                     lane->host);
        vf_error_set_http_status(err, lane->status);
        return VF_UNSUPPORTED;
    }
    char *vf_autofree value = vf_http_find_header(lane->answer_headers.data, "Content-Range");
    struct content_range range;
    if (!value || !parse_content_range(value, &range)) {
        return vf_error_set(err, VF_INVALID, "\"%s\" answers a byte range without saying which",
                            lane->host);
    }
    return check_place(lane, &range, err);
}
