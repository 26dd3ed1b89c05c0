/* Does an ESXi host's name lead anywhere, and does it answer in TLS as the host that vCenter knows?
 */
#include <stdlib.h>
#include <string.h>

#include "importer/base/http.h"
#include "importer/base/mem.h"
#include "jobs/preflight/probe.h"

#define CONNECT_TIMEOUT_MS 6000
#define TIMEOUT_MS         8000
#define MAX_ANSWER_BYTES   (1u << 20)

/* The name comes from vCenter, and goes into a URL: DNS names, with the underscores that some have,
 * and addresses. */
static bool is_host_name(const char *name)
{
    static const char letters[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789";
    for (const char *s = name; *s; s++) {
        if (!strchr(letters, *s) && !strchr(".-_:", *s)) {
            return false;
        }
    }
    return *name && strlen(name) <= 253;
}

static int ask(const struct vf_probes *p, const struct vf_host *host, struct vf_error **err)
{
    struct vf_http_options o = *p->http;
    bool is_v6 = strchr(host->name, ':') != NULL;
    char *vf_autofree url =
        vf_xasprintf("https://%s%s%s/", is_v6 ? "[" : "", host->name, is_v6 ? "]" : "");
    struct vf_http_request req = {
        .url = url, .timeout_ms = TIMEOUT_MS, .max_answer_bytes = MAX_ANSWER_BYTES};
    struct vf_http_response response = {0};
    struct vf_http *http = NULL;
    o.connect_timeout_ms = CONNECT_TIMEOUT_MS;
    if (host->thumbprint && !o.insecure) {
        o.thumbprint = host->thumbprint;
        o.ca_file = NULL;
    } else {
        /* Nothing is known that it could be held against, and nothing is told to it. */
        o.thumbprint = NULL;
        o.insecure = true;
    }
    int rc = vf_http_new(&o, p->limit, &http, err);
    rc = rc ? rc : vf_http_fetch(http, &req, &response, err);
    vf_http_response_release(&response);
    vf_http_free(http);
    return rc == VF_SPACE ? 0 : rc; /* it answers, at length */
}

void vf_probe_host(const struct vf_probes *p, const struct vf_vm *vm, const struct vf_host *host)
{
    char *vf_autofree object = vf_xasprintf("%s:443", host->name ? host->name : host->moref);
    const struct vf_probe_of of = {.vm = vm, .object = object, .guessed = true, .at_host = true};
    struct vf_error *e = NULL;
    if (!host->name || !is_host_name(host->name)) {
        vf_probe_not_tried(p, &of, "its name in vCenter is none of a host", NULL);
    } else if (vf_probe_is_over(p)) {
        vf_probe_not_tried(p, &of, "no time was left", NULL);
    } else if (ask(p, host, &e)) {
        vf_probe_failed(p, &of, &e);
    } else {
        vf_probe_good(p, &of, 0);
    }
    vf_error_free(e);
}
