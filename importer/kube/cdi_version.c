/* What can be told from CDI's version. */
#include <stdlib.h>
#include <string.h>

#include "importer/base/json.h"
#include "importer/kube/cdi.h"
#include "importer/kube/resources.h"

/* The first that was measured; earlier ones may do as well. */
#define ZSTD_MAJOR 1
#define ZSTD_MINOR 64

/* A number of at most six digits, and the dot behind it; NULL for anything else. */
static const char *read_number(const char *s, unsigned *ret)
{
    size_t n = strspn(s, "0123456789");
    if (n == 0 || n > 6 || s[n] != '.') {
        return NULL;
    }
    *ret = (unsigned)strtoul(s, NULL, 10);
    return s + n + 1;
}

/* "v1.65.0", "1.65.0-rc1" */
static bool takes_zstd(const char *version)
{
    unsigned major = 0, minor = 0;
    const char *at = version ? read_number(version + (*version == 'v'), &major) : NULL;
    at = at ? read_number(at, &minor) : NULL;
    return at && (major > ZSTD_MAJOR || (major == ZSTD_MAJOR && minor >= ZSTD_MINOR));
}

int vf_cdi_fetch_takes_zstd(struct vf_kube_client *client, const struct vf_cancel *cancel,
                            bool *ret_takes, struct vf_error **err)
{
    const struct vf_kube_ref ref = {.resource = &vf_kube_cdis};
    const struct vf_kube_options options = {.cancel = cancel};
    struct vf_error *e = NULL;
    cJSON *items = NULL;
    *ret_takes = false;
    int rc = vf_kube_list(client, &ref, NULL, &options, &items, NULL, &e);
    if (rc == VF_AUTH || rc == VF_MISSING || rc == VF_UNSUPPORTED) {
        vf_error_clear(&e);
        rc = 0;
    } else if (!rc) {
        /* There is one in a cluster. */
        const cJSON *cdi = cJSON_GetArrayItem(items, 0);
        *ret_takes = takes_zstd(vf_json_string(vf_json_object(cdi, "status"), "observedVersion"));
    }
    cJSON_Delete(items);
    vf_error_move(err, &e);
    return rc;
}
