/* What vSphere calls a file, and how a URL does. */
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "importer/base/buf.h"
#include "importer/base/mem.h"
#include "importer/source/datastore.h"

static bool ends_with(const char *s, const char *end)
{
    size_t len = strlen(s), end_len = strlen(end);
    return len > end_len && strcmp(s + len - end_len, end) == 0;
}

/* libcurl, as RFC 3986 wants, resolves dot segments: such a path could leave the folder. */
static bool is_plain_path(const char *path)
{
    for (const char *at = path;; at++) {
        size_t n = strcspn(at, "/");
        if (n == 0 || (n == 1 && at[0] == '.') || (n == 2 && at[0] == '.' && at[1] == '.')) {
            return false;
        }
        at += n;
        if (!*at) {
            return true;
        }
    }
}

int vf_datastore_parse_file(const char *file, char **ret_datastore, char **ret_flat,
                            struct vf_error **err)
{
    static const char suffix[] = ".vmdk", flat_suffix[] = "-flat.vmdk";
    const char *end = file[0] == '[' ? strstr(file, "] ") : NULL;
    const char *path = end ? end + 2 : NULL;
    if (!path || end == file + 1 || !ends_with(path, suffix) || !is_plain_path(path)) {
        return vf_error_set(err, VF_INVALID, "\"%s\" is no disk of a datastore (\"[%s] %s\")", file,
                            "NAME", "FOLDER/DISK.vmdk");
    }
    size_t stem_len = strlen(path) - strlen(suffix);
    *ret_datastore = vf_xstrndup(file + 1, (size_t)(end - file) - 1);
    *ret_flat = ends_with(path, flat_suffix)
                    ? vf_xstrdup(path)
                    : vf_xasprintf("%.*s%s", (int)stem_len, path, flat_suffix);
    return 0;
}

static void put_path(struct vf_buf *url, const char *path)
{
    for (const char *at = path; *at;) {
        size_t n = strcspn(at, "/");
        char *vf_autofree segment = vf_xstrndup(at, n);
        char *vf_autofree encoded = vf_http_escape(segment);
        vf_buf_printf(url, "/%s", encoded);
        at += n + (at[n] == '/');
    }
}

static void put_value(struct vf_buf *url, const char *name, const char *value,
                      enum vf_datastore_coding coding)
{
    char *vf_autofree once = vf_http_escape(value);
    char *vf_autofree twice = vf_http_escape(once);
    vf_buf_printf(url, "%s=%s", name, coding == VF_DATASTORE_TWICE ? twice : once);
}

char *vf_datastore_encode_url(const char *scheme, const char *authority, const char *dc_path,
                              const char *datastore, const char *path,
                              enum vf_datastore_coding coding)
{
    struct vf_buf url;
    vf_buf_init(&url, SIZE_MAX);
    vf_buf_printf(&url, "%s://%s/folder", scheme ? scheme : "https", authority);
    put_path(&url, path);
    put_value(&url, "?dcPath", dc_path, coding);
    put_value(&url, "&dsName", datastore, coding);
    return vf_buf_take_string(&url);
}
