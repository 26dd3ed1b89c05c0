#include "converters/vm/mapping_checks.h"

#include <string.h>

#include "converters/vm/names.h"
#include "importer/base/mem.h"
#include "importer/base/utf8.h"

#define LETTERS "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
#define DIGITS  "0123456789"

#define MAX_SERIAL 256
#define MAX_NAME   253

static bool is_made_of(const char *s, size_t max, const char *characters)
{
    size_t n = strlen(s);
    return n > 0 && n <= max && strspn(s, characters) == n;
}

bool vf_mapping_is_cpu_model(const char *s)
{
    return is_made_of(s, VF_NAME_LABEL_MAX, LETTERS DIGITS "_.-");
}

bool vf_mapping_is_hugepages(const char *s)
{
    size_t n = strspn(s, DIGITS);
    const char *unit = s + n;
    return n > 0 && n <= 9 && s[0] != '0' &&
           (strcmp(unit, "Ki") == 0 || strcmp(unit, "Mi") == 0 || strcmp(unit, "Gi") == 0);
}

bool vf_mapping_is_timezone(const char *s)
{
    return is_made_of(s, VF_NAME_LABEL_MAX, LETTERS DIGITS "_+-/") && s[0] != '/';
}

bool vf_mapping_is_serial(const char *s)
{
    return is_made_of(s, MAX_SERIAL, LETTERS DIGITS "_.+-");
}

bool vf_mapping_is_kind_name(const char *s)
{
    const char *slash = strchr(s, '/');
    size_t kind_len = slash ? (size_t)(slash - s) : 0;
    return vf_name_is_subdomain(slash ? slash + 1 : s) &&
           (!slash ||
            (kind_len > 0 && kind_len <= VF_NAME_LABEL_MAX && strspn(s, LETTERS) == kind_len));
}

/* Name of a label or annotation behind its prefix: a letter or digit at both ends. */
static bool is_qualified(const char *s)
{
    size_t n = strlen(s);
    return is_made_of(s, VF_NAME_LABEL_MAX, LETTERS DIGITS "_.-") && !strchr("_.-", s[0]) &&
           !strchr("_.-", s[n - 1]);
}

bool vf_mapping_is_label_value(const char *s)
{
    return !*s || is_qualified(s);
}

/* By labels and annotations of these prefixes vmferry knows its objects again. */
static bool is_of_vmferry(const char *key, size_t prefix_len)
{
    static const char own[] = "vmferry.io";
    size_t n = sizeof own - 1;
    return (prefix_len == n || (prefix_len > n && key[prefix_len - n - 1] == '.')) &&
           strncmp(key + prefix_len - n, own, n) == 0;
}

bool vf_mapping_is_own_key(const char *s)
{
    const char *slash = strchr(s, '/');
    if (!slash) {
        return is_qualified(s);
    }
    size_t prefix_len = (size_t)(slash - s);
    char *vf_autofree prefix = vf_xstrndup(s, prefix_len);
    return vf_name_is_subdomain(prefix) && is_qualified(slash + 1) &&
           !is_of_vmferry(s, prefix_len) && strcmp(s, "app.kubernetes.io/managed-by") != 0 &&
           strcmp(s, "app.kubernetes.io/name") != 0;
}

bool vf_mapping_is_file_name(const char *s)
{
    return is_made_of(s, MAX_NAME, LETTERS DIGITS "_.-") && s[0] != '.';
}

bool vf_mapping_has_control(const char *s, bool several_lines)
{
    for (size_t len = strlen(s); len > 0;) {
        uint32_t c;
        size_t n = vf_utf8_decode(s, len, &c);
        bool line = several_lines && (c == '\n' || c == '\r' || c == '\t');
        if (n == 0 || (!line && (c < 0x20 || (c >= 0x7f && c < 0xa0)))) {
            return true;
        }
        s += n;
        len -= n;
    }
    return false;
}

bool vf_mapping_is_text(const char *s)
{
    return strlen(s) <= VF_MAPPING_MAX_TEXT && !vf_mapping_has_control(s, false);
}
