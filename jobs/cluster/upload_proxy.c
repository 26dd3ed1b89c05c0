#include "jobs/cluster/upload_proxy.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "importer/base/mem.h"

static bool trust_is_told(const struct vf_http_options *o)
{
    return o->ca_file || o->thumbprint || o->insecure;
}

/* What is opened. */
struct opening {
    const struct vf_import_cluster *cluster;
    const struct vf_cdi_facts *facts;
    const struct vf_cancel *cancel;
    char *url; /* without a slash at its end */
    struct vf_http *http;
};

/* Any answer shows that the way is there. */
static int knock(struct opening *o, const struct vf_http_options *options, struct vf_error **err)
{
    char *vf_autofree url = vf_xasprintf("%s/healthz", o->url);
    struct vf_http *http = NULL;
    struct vf_http_response response = {0};
    struct vf_http_request req = {
        .url = url, .timeout_ms = 15000, .max_answer_bytes = 64u << 10, .cancel = o->cancel};
    int rc = vf_http_new(options, NULL, &http, err);
    if (rc == 0) {
        rc = vf_http_fetch(http, &req, &response, err);
        vf_http_response_release(&response);
    }
    if (rc) {
        vf_http_free(http);
        return rc;
    }
    o->http = http;
    return 0;
}

/* CDI's own certificate is signed by its own bundle; an ingress in front of it has one that the
 * system may know. */
static int knock_by_bundle(struct opening *o, struct vf_http_options options, struct vf_error **err)
{
    struct vf_error *e = NULL;
    options.ca_pem = o->facts->upload_proxy_ca;
    int rc = knock(o, &options, &e);
    if (rc == VF_AUTH) {
        options.ca_pem = NULL;
        rc = knock(o, &options, NULL);
        rc = rc ? VF_AUTH : 0;
    }
    if (rc) {
        vf_error_move(err, &e);
    }
    vf_error_free(e);
    return rc;
}

/* What CDI publishes may be an address for the cluster's own use only. */
static int unreachable(const char *told_url, const struct vf_error *e, struct vf_error **err)
{
    int rc = vf_error_set(err, VF_RETRY, "%s", vf_error_message(e));
    if (told_url) {
        vf_error_hint(err, "check the URL given with --upload-proxy, and the way to it");
    } else {
        vf_error_hint(err, "CDI publishes this address; if it cannot be reached from here, run "
                           "\"kubectl port-forward -n cdi service/cdi-uploadproxy 8443:443\" and "
                           "give --upload-proxy https://localhost:8443");
    }
    return rc;
}

/* Not repeated in the error: it may hold what is secret. */
static int check_url(const char *url, struct vf_error **err)
{
    const char *scheme_end = strstr(url, "://");
    if ((!scheme_end || strncasecmp(url, "https://", 8) == 0) && !strpbrk(url, "?#@ ")) {
        return 0;
    }
    vf_error_set(err, VF_INVALID, "the upload proxy's URL is not https://HOST[:PORT][/PATH]");
    vf_error_hint(err, "tokens for uploads, and the disks, go over TLS alone; --upload-proxy names "
                       "another way to the proxy than the one that CDI publishes");
    return VF_INVALID;
}

static int open_url(struct opening *o, struct vf_error **err)
{
    struct vf_http_options options = o->cluster->proxy_http;
    bool by_bundle = o->facts->upload_proxy_ca && !trust_is_told(&options);
    options.trust_hint = trust_is_told(&options) || o->facts->upload_proxy_ca
                             ? "--upload-ca-file FILE or --upload-thumbprint HEX trusts it"
                             : "CDI's own certificates (ConfigMap cdi-uploadproxy-signer-bundle in "
                               "namespace cdi) are not readable for this account; --upload-ca-file "
                               "FILE or --upload-thumbprint HEX trusts the proxy";
    struct vf_error *e = NULL;
    int rc = by_bundle ? knock_by_bundle(o, options, &e) : knock(o, &options, &e);
    if (rc == VF_RETRY) {
        rc = unreachable(o->cluster->proxy_url, e, err);
    } else {
        vf_error_move(err, &e);
    }
    vf_error_free(e);
    return rc ? vf_error_wrap(err, rc, "upload proxy %s", o->url) : 0;
}

int vf_upload_proxy_open(const struct vf_import_cluster *cluster, const struct vf_cdi_facts *facts,
                         const struct vf_cancel *cancel, struct vf_http **ret_http, char **ret_url,
                         struct vf_error **err)
{
    struct opening o = {.cluster = cluster, .facts = facts, .cancel = cancel};
    const char *url = cluster->proxy_url ? cluster->proxy_url : facts->upload_proxy_url;
    if (!url) {
        vf_error_set(err, VF_MISSING, "CDI publishes no address of its upload proxy");
        vf_error_hint(err, "name it by --upload-proxy URL (kubectl port-forward -n cdi "
                           "service/cdi-uploadproxy 8443:443 makes it https://localhost:8443), or "
                           "set spec.config.uploadProxyURLOverride of the CDI object");
        return VF_MISSING;
    }
    int rc = check_url(url, err);
    if (rc) {
        return rc;
    }
    size_t len = strlen(url);
    o.url = strstr(url, "://") ? vf_xasprintf("%.*s", (int)(len - (url[len - 1] == '/')), url)
                               : vf_xasprintf("https://%s", url);
    rc = open_url(&o, err);
    if (rc) {
        free(o.url);
        return rc;
    }
    *ret_http = o.http;
    *ret_url = o.url;
    return 0;
}
