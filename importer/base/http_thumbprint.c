/* The thumbprint of a server's certificate, for peers of ours that trust by it. */
#include "importer/base/http_private.h"

#define TIMEOUT_MS       30000
#define MAX_ANSWER_BYTES (1u << 20)

int vf_http_fetch_thumbprint(const struct vf_http_options *options, const char *url,
                             const struct vf_cancel *cancel, char **ret_sha1, struct vf_error **err)
{
    /* A client of its own: only a whole handshake shows a certificate, no resumed session does. */
    struct vf_http *h = NULL;
    struct vf_http_response response = {0};
    struct vf_http_request req = {.method = "HEAD",
                                  .url = url,
                                  .timeout_ms = TIMEOUT_MS,
                                  .max_answer_bytes = MAX_ANSWER_BYTES};
    int rc = vf_http_new(options, cancel, &h, err);
    rc = rc ? rc : vf_http_fetch(h, &req, &response, err);
    if (rc == 0 && h->idle && h->idle->leaf.seen) {
        *ret_sha1 = vf_http_format_sha1(&h->idle->leaf);
    } else if (rc == 0) {
        rc = vf_error_set(err, VF_UNSUPPORTED, "the server shows no certificate");
    }
    vf_http_response_release(&response);
    vf_http_free(h);
    return rc;
}
