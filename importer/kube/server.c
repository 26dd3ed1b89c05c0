#include "importer/kube/server.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "importer/base/http_date.h"
#include "importer/base/json.h"
#include "importer/base/mem.h"
#include "importer/kube/client_private.h"
#include "importer/kube/resources.h"
#include "importer/kube/text.h"

#define MAX_VERSION_BYTES 80

static int64_t now_ms(void)
{
    struct timespec t;
    clock_gettime(CLOCK_REALTIME, &t);
    return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

/* The answer was made somewhere between `from` and `to`, in the second that its header names. */
static void read_clock(struct vf_kube_server *s, const struct vf_http_response *r, int64_t from_ms,
                       int64_t to_ms)
{
    char *vf_autofree date = vf_http_response_header(r, "Date");
    int64_t date_s;
    if (date && vf_http_parse_date(date, &date_s)) {
        s->clock_known = true;
        s->clock_skew_ms = date_s * 1000 + 500 - (from_ms + (to_ms - from_ms) / 2);
    }
}

static int read_version(struct vf_kube_server *s, const struct vf_http_response *r,
                        struct vf_error **err)
{
    cJSON *tree = NULL;
    int rc = vf_json_parse(r->body, r->body_len, "the API server's version", &tree, err);
    const char *version = rc ? NULL : vf_json_string(tree, "gitVersion");
    s->version = version ? vf_kube_clean_text(version, MAX_VERSION_BYTES) : NULL;
    cJSON_Delete(tree);
    return rc;
}

int vf_kube_server_fetch(struct vf_kube_client *client, const struct vf_cancel *cancel,
                         struct vf_kube_server *ret, struct vf_error **err)
{
    /* The path has no resource; one that exists stands in for errors to name. */
    static const struct vf_kube_resource version = {
        .group = "", .version = "v1", .plural = "version"};
    const struct vf_kube_ref ref = {.resource = &version};
    struct vf_kube_server s = {0};
    struct vf_http_response r = {0};
    struct vf_kube_call call;
    int rc = vf_kube_call_init(&call, client, &ref, "get", "", cancel, err);
    if (rc) {
        return rc;
    }
    free(call.url);
    call.url = vf_xasprintf("%s/version", client->config->server);
    call.repeatable = true;
    int64_t from_ms = now_ms();
    rc = vf_kube_call_send(client, &call, &r, err);
    if (rc == 0) {
        read_clock(&s, &r, from_ms, now_ms());
        rc = read_version(&s, &r, err);
    }
    vf_http_response_release(&r);
    vf_kube_call_release(&call);
    if (rc) {
        vf_kube_server_release(&s);
        return rc;
    }
    *ret = s;
    return 0;
}

void vf_kube_server_release(struct vf_kube_server *s)
{
    free(s->version);
    *s = (struct vf_kube_server){0};
}
