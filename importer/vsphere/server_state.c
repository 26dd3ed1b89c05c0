/* The server's clock, and its licence. Part of hosts.h. */
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "importer/base/mem.h"
#include "importer/base/xml.h"
#include "importer/vsphere/hosts.h"
#include "importer/vsphere/property.h"
#include "importer/vsphere/vim_names.h"

#define CLOCK_TIMEOUT_MS 15000
/* An answer that took longer says too little about the moment it was made. */
#define GOOD_ROUND_TRIP_MS 2000

static int64_t now_ms(void)
{
    struct timespec t;
    clock_gettime(CLOCK_REALTIME, &t);
    return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

/* "hh:mm", and nothing behind it. */
static bool parse_minutes(const char *s, int64_t *ret_minutes)
{
    if (strspn(s, "0123456789") != 2 || s[2] != ':' || strspn(s + 3, "0123456789") != 2 || s[5]) {
        return false;
    }
    int64_t hours = (s[0] - '0') * 10 + (s[1] - '0');
    int64_t minutes = (s[3] - '0') * 10 + (s[4] - '0');
    *ret_minutes = hours * 60 + minutes;
    return hours <= 14 && minutes <= 59;
}

/* What stands behind the seconds of an xsd:dateTime: a zone, or nothing, which is UTC here. */
static bool parse_zone(const char *s, int64_t *ret_east_s)
{
    int64_t minutes = 0;
    if (*s && strcmp(s, "Z") != 0 &&
        ((*s != '+' && *s != '-') || !parse_minutes(s + 1, &minutes))) {
        return false;
    }
    *ret_east_s = (*s == '-' ? -60 : 60) * minutes;
    return true;
}

/* xsd:dateTime (XML Schema Part 2, section 3.2.7), milliseconds since 1970. */
static bool parse_time(const char *text, int64_t *ret_ms)
{
    struct tm tm = {0};
    const char *s = text ? strptime(text, "%Y-%m-%dT%H:%M:%S", &tm) : NULL;
    int64_t ms = 0, east_s;
    if (!s) {
        return false;
    }
    if (*s == '.') {
        int64_t unit = 100;
        for (s++; *s >= '0' && *s <= '9'; s++, unit /= 10) {
            ms += (*s - '0') * unit;
        }
    }
    if (!parse_zone(s, &east_s)) {
        return false;
    }
    *ret_ms = ((int64_t)timegm(&tm) - east_s) * 1000 + ms;
    return true;
}

static int ask_time(struct vf_vsphere *vs, int64_t *ret_ms, struct vf_error **err)
{
    struct vf_buf body;
    vf_buf_init(&body, VF_SOAP_MAX_REQUEST);
    vf_soap_encode_plain(&body, "CurrentTime", "ServiceInstance", "ServiceInstance");
    struct vf_call call = {.method = "CurrentTime",
                           .what = "ask for the server's time",
                           .body = &body,
                           .flags = VF_CALL_REPEATABLE,
                           .timeout_ms = CLOCK_TIMEOUT_MS};
    struct vf_answer answer = {0};
    int rc = vf_session_call(vs, &call, &answer, err);
    vf_buf_release(&body);
    if (rc) {
        return rc;
    }
    char *vf_autofree text = vf_answer_returnval(&answer);
    vf_answer_release(&answer);
    if (!parse_time(text, ret_ms)) {
        return vf_error_set(err, VF_INVALID, "cannot %s: what came is no time", call.what);
    }
    return 0;
}

int vf_vsphere_fetch_clock_skew(struct vf_vsphere *vs, int64_t *ret_skew_ms, struct vf_error **err)
{
    int64_t best_ms = INT64_MAX;
    /* The first call may have waited for a connection, or been repeated. */
    for (unsigned i = 0; i < 2 && best_ms > GOOD_ROUND_TRIP_MS; i++) {
        int64_t theirs_ms, start_ms = now_ms();
        int rc = ask_time(vs, &theirs_ms, err);
        if (rc) {
            return rc;
        }
        int64_t took_ms = now_ms() - start_ms;
        if (took_ms < best_ms) {
            best_ms = took_ms;
            *ret_skew_ms = theirs_ms - (start_ms + took_ms / 2);
        }
    }
    return 0;
}

static int on_licences(void *opaque, const struct vf_ref *ref, const xmlNode *content,
                       struct vf_error **err)
{
    bool *free_licence = opaque;
    const xmlNode *list = vf_property_value(content, "licenses");
    const xmlNode *n = vf_xml_child(list, VF_VIM_NS, "LicenseManagerLicenseInfo");
    (void)ref;
    (void)err;
    for (; n; n = vf_xml_next(n, VF_VIM_NS, "LicenseManagerLicenseInfo")) {
        char *vf_autofree edition = vf_xml_child_text(n, VF_VIM_NS, "editionKey");
        *free_licence |= edition && strcmp(edition, "esxBasic") == 0;
    }
    return 0;
}

int vf_vsphere_fetch_free_licence(struct vf_vsphere *vs, bool *ret_free, struct vf_error **err)
{
    static const char *const paths[] = {"licenses", NULL};
    *ret_free = false;
    if (!vs->esxi || !vs->services.license_manager) {
        return 0;
    }
    return vf_property_fetch_object(vs, VF_MO_LICENCES, vs->services.license_manager, paths, false,
                                    "read the host's licence", on_licences, ret_free, err);
}
