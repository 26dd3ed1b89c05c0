/* Whether CDI is there, and how its upload proxy is reached and trusted. */
#include <stdlib.h>
#include <string.h>

#include "importer/base/json.h"
#include "importer/base/mem.h"
#include "importer/kube/cdi.h"
#include "importer/kube/cdi_names.h"
#include "importer/kube/resources.h"
#include "importer/kube/text.h"

#define PRODUCT "CDI"

void vf_cdi_facts_release(struct vf_cdi_facts *f)
{
    free(f->upload_proxy_url);
    free(f->upload_proxy_ca);
    *f = (struct vf_cdi_facts){0};
}

/* Ingresses and Routes are published as a mere host name, overrides as somebody wrote them. */
static int set_url(struct vf_cdi_facts *f, const char *text, struct vf_error **err)
{
    if (!text || !*text) {
        return 0;
    }
    const char *scheme = strstr(text, "://");
    char *vf_autofree clean = vf_kube_clean_text(text, 1000);
    if (strcmp(clean, text) != 0 || strchr(text, ' ') ||
        (scheme && strncmp(text, "https://", 8) != 0)) {
        vf_error_set(err, VF_INVALID, "CDI publishes \"%s\" as the address of its upload proxy",
                     clean);
        vf_error_hint(err, "name an https address with --upload-proxy URL, or set "
                           "uploadProxyURLOverride in the CDIConfig");
        return VF_INVALID;
    }
    f->upload_proxy_url = vf_xasprintf("%s%s", scheme ? "" : "https://", text);
    return 0;
}

static int read_config(struct vf_cdi_facts *f, const cJSON *config, struct vf_error **err)
{
    const cJSON *status = vf_json_object(config, "status");
    const char *url = vf_json_string(vf_json_object(config, "spec"), "uploadProxyURLOverride");
    const char *ca = vf_json_string(status, "uploadProxyCA");
    if (!url || !*url) {
        url = vf_json_string(status, "uploadProxyURL");
        /* Of the Ingress or Route that has the published address. */
        f->upload_proxy_ca = ca && *ca ? vf_xstrdup(ca) : NULL;
    }
    return set_url(f, url, err);
}

static int fetch_config(struct vf_kube_client *client, const struct vf_kube_options *options,
                        struct vf_cdi_facts *f, struct vf_error **err)
{
    static const struct vf_kube_ref ref = {.resource = &vf_kube_cdi_configs, .name = VF_CDI_CONFIG};
    struct vf_error *e = NULL;
    cJSON *config = NULL;
    int rc = vf_kube_get(client, &ref, options, &config, &e);
    if (rc == VF_MISSING) {
        /* CDI's operator is there, CDI is not. */
        vf_error_clear(&e);
        rc = vf_error_set(&e, VF_UNSUPPORTED,
                          "CDI is installed but not deployed: it has no "
                          "configuration");
        vf_error_hint(&e, "make a CDI object (kind CDI, group \"cdi.kubevirt.io\"), and wait until "
                          "its phase is Deployed");
    }
    rc = rc ? rc : read_config(f, config, &e);
    cJSON_Delete(config);
    vf_error_move(err, &e);
    return rc;
}

/* Who may not read it, or has CDI in another namespace, trusts by other means. */
static int fetch_bundle(struct vf_kube_client *client, const struct vf_kube_options *options,
                        struct vf_cdi_facts *f, struct vf_error **err)
{
    static const struct vf_kube_ref ref = {
        .resource = &vf_kube_config_maps, .ns = VF_CDI_NAMESPACE, .name = VF_CDI_PROXY_CA};
    struct vf_error *e = NULL;
    cJSON *map = NULL;
    int rc = vf_kube_get(client, &ref, options, &map, &e);
    if (!rc) {
        const char *pem = vf_json_string(vf_json_object(map, "data"), VF_CDI_BUNDLE_KEY);
        f->upload_proxy_ca = pem && *pem ? vf_xstrdup(pem) : NULL;
    } else if (rc == VF_MISSING || rc == VF_AUTH) {
        vf_error_clear(&e);
        rc = 0;
    }
    cJSON_Delete(map);
    vf_error_move(err, &e);
    return rc;
}

int vf_cdi_fetch_facts(struct vf_kube_client *client, const struct vf_cancel *cancel,
                       struct vf_cdi_facts *ret_facts, struct vf_error **err)
{
    const struct vf_kube_options options = {.cancel = cancel};
    struct vf_cdi_facts f = {0};
    int rc = vf_kube_check_resource(client, &vf_kube_data_volumes, PRODUCT, err);
    rc = rc ? rc : vf_kube_check_resource(client, &vf_kube_upload_tokens, PRODUCT, err);
    rc = rc ? rc : fetch_config(client, &options, &f, err);
    if (!rc && !f.upload_proxy_ca) {
        rc = fetch_bundle(client, &options, &f, err);
    }
    if (rc) {
        vf_cdi_facts_release(&f);
        return rc;
    }
    *ret_facts = f;
    return 0;
}
