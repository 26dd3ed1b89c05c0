#include "importer/vsphere/url.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "importer/base/mem.h"

#define MAX_AUTHORITY 300 /* a host name has 253 characters at most */

static bool is_authority(const char *s, size_t len)
{
    for (size_t i = 0; i < len; i++) {
        if ((unsigned char)s[i] <= 0x20 || s[i] == 0x7f || strchr("\\\"'<>{}|^`*", s[i])) {
            return false;
        }
    }
    return len > 0 && len <= MAX_AUTHORITY;
}

/* Length of the host in "host:port" or "[v6]:port"; 0 when it makes no sense. */
static size_t host_length(const char *authority)
{
    size_t host;
    if (*authority == '[') {
        host = strcspn(authority, "]");
        if (authority[host] != ']') {
            return 0;
        }
        host++;
    } else {
        host = strcspn(authority, ":");
    }
    const char *port = authority + host;
    if (*port == '\0') {
        return host;
    }
    size_t digits = *port == ':' ? strspn(port + 1, "0123456789") : 0;
    if (digits == 0 || digits > 5 || port[1 + digits] != '\0') {
        return 0;
    }
    return strtol(port + 1, NULL, 10) <= 65535 ? host : 0;
}

static const char *skip_scheme(const char *url, bool *ret_bad)
{
    const char *sep = strstr(url, "://");
    *ret_bad = sep && (sep - url != 5 || strncasecmp(url, "https", 5) != 0);
    return sep ? sep + 3 : url;
}

int vf_vsphere_parse_url(const char *url, char **ret_authority, char **ret_host,
                         struct vf_error **err)
{
    bool bad_scheme;
    const char *rest = skip_scheme(url, &bad_scheme);
    size_t len = strcspn(rest, "/?#");
    if (memchr(rest, '@', len)) {
        vf_error_set(err, VF_INVALID, "the address of the source holds a user name or password");
        vf_error_hint(err,
                      "give the user with --user, the password by file, environment or prompt");
        return VF_INVALID;
    }
    const char *path = rest + len;
    bool good_path = strcmp(path, "") == 0 || strcmp(path, "/") == 0 || strcmp(path, "/sdk") == 0 ||
                     strcmp(path, "/sdk/") == 0;
    char *vf_autofree authority = vf_xstrndup(rest, len);
    size_t host = is_authority(rest, len) ? host_length(authority) : 0;
    if (bad_scheme || !good_path || host == 0) {
        vf_error_set(err, VF_INVALID, "\"%s\" is not the address of a vCenter or ESXi host", url);
        vf_error_hint(err, "write https://HOST or https://HOST:PORT");
        return VF_INVALID;
    }
    *ret_host = vf_xstrndup(authority, host);
    *ret_authority = vf_take(authority);
    return 0;
}

int vf_vsphere_map_device_url(const char *url, const char *authority, const char *host,
                              char **ret_url, struct vf_error **err)
{
    bool bad_scheme;
    const char *rest = skip_scheme(url, &bad_scheme);
    size_t len = strcspn(rest, "/?#");
    const char *path = rest + len;
    /* The URL is a ticket: it is not quoted in errors. */
    if (bad_scheme || rest == url || len == 0) {
        return vf_error_set(err, VF_INVALID, "the lease gives a device address that is not https");
    }
    for (const char *p = url; *p; p++) {
        if ((unsigned char)*p <= 0x20 || *p == 0x7f) {
            return vf_error_set(err, VF_INVALID,
                                "the lease gives a device address with a stray character");
        }
    }
    if (*rest != '*') {
        *ret_url = vf_xstrdup(url);
    } else if (len == 1) {
        *ret_url = vf_xasprintf("https://%s%s", authority, path);
    } else if (rest[1] == ':') {
        *ret_url = vf_xasprintf("https://%s%s", host, rest + 1);
    } else {
        return vf_error_set(err, VF_INVALID, "the lease gives a device address without a host");
    }
    return 0;
}
