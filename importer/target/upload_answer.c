/* What the answers of CDI's upload proxy and server mean, and those of what stands before them.
 * Source: CDI, pkg/uploadproxy/uploadproxy.go, pkg/uploadserver/uploadserver.go (v1.64, v1.65).
 */
#include <string.h>

#include "importer/base/http_send.h"
#include "importer/base/mem.h"
#include "importer/target/upload.h"
#include "importer/target/upload_private.h"

/* As much of a token in an answer is no accident. A token begins with a header that many share, so
 * it is looked for from here on. */
#define TOKEN_SKIP  48u
#define TOKEN_PIECE 16u

#define DOUBT_HINT "see on the claim whether the upload has ended before it is tried again"

static bool tells_token(const char *text, const struct vf_secret *token)
{
    const char *secret = token ? vf_secret_reveal(token) : "";
    size_t len = strlen(secret);
    if (!text || len == 0) {
        return false;
    }
    size_t skip = len > TOKEN_SKIP + TOKEN_PIECE ? TOKEN_SKIP : 0;
    /* Pieces that lie behind one another: a part of the token twice as long holds a whole one. */
    for (size_t at = skip; at < len; at += TOKEN_PIECE) {
        char piece[TOKEN_PIECE + 1];
        size_t n = len - at < TOKEN_PIECE ? len - at : TOKEN_PIECE;
        memcpy(piece, secret + at, n);
        piece[n] = '\0';
        if ((n == TOKEN_PIECE || at == 0) && strstr(text, piece)) {
            return true;
        }
    }
    return false;
}

struct verdict {
    enum vf_code code;
    const char *reason, *hint;
};

static struct verdict judge_refusal(const struct vf_upload_answer *a,
                                    const struct vf_http_response *r)
{
    bool is_stream_failure = r->body && strstr(r->body, "Saving stream failed");
    switch (r->status) {
    case 400:
        if (is_stream_failure) {
            return (struct verdict){VF_SPACE, NULL,
                                    "make the claim larger, or give its storage or quota room"};
        }
        break;
    case 401:
        return (struct verdict){VF_RETRY, VF_UPLOAD_REASON_TOKEN, NULL};
    case 403:
    case 407:
        return (struct verdict){VF_AUTH, NULL,
                                "something before the upload proxy wants credentials of its own"};
    case 404:
    case 405:
        return (struct verdict){VF_INVALID, NULL,
                                "check that the URL is that of CDI's upload proxy"};
    case 408:
    case 425:
    case 429:
        return (struct verdict){VF_RETRY, NULL, NULL};
    case 409:
        return (struct verdict){VF_CONFLICT, VF_UPLOAD_REASON_DONE, NULL};
    case 413:
        return (struct verdict){VF_INVALID, NULL,
                                "raise the body size that the ingress before the upload proxy "
                                "allows, or go around it"};
    case 502:
    case 504:
        /* The upload server, or the way to it, went away: perhaps after it had all. */
        if (a->all_sent) {
            return (struct verdict){VF_RETRY, VF_UPLOAD_REASON_DOUBT, DOUBT_HINT};
        }
        return (struct verdict){VF_RETRY, VF_UPLOAD_REASON_NOT_READY, NULL};
    case 503:
        return (struct verdict){VF_RETRY, VF_UPLOAD_REASON_NOT_READY, NULL};
    default:
        break;
    }
    if (r->status >= 500 && r->status != 501) {
        return (struct verdict){VF_RETRY, NULL, NULL};
    }
    return (struct verdict){VF_INVALID, NULL,
                            r->status < 400 ? "check that the URL is that of CDI's upload proxy"
                                            : NULL};
}

/* "... answered with status 503: what it said", bounded and on one line. */
static void set_refusal(const struct vf_upload_answer *a, const struct vf_http_response *r,
                        enum vf_code code, struct vf_error **err)
{
    struct vf_http_response shown = *r;
    struct vf_error *quoted = NULL;
    char *vf_autofree nothing = vf_xstrdup("");
    if (tells_token(r->body, a->token)) {
        shown.body = nothing;
    }
    vf_http_response_error(&shown, a->host, &quoted);
    vf_error_set(err, code, "%s%s", vf_error_message(quoted),
                 a->all_sent ? "" : ", before it had the whole disk");
    vf_error_set_http_status(err, r->status);
    vf_error_set_retry_after_ms(err, vf_error_retry_after_ms(quoted));
    vf_error_free(quoted);
}

int vf_upload_judge(const struct vf_upload_answer *a, const struct vf_http_response *r,
                    struct vf_error **err)
{
    if (r->status == 200 && a->all_sent) {
        return 0;
    }
    struct verdict v = judge_refusal(a, r);
    set_refusal(a, r, v.code, err);
    if (v.reason) {
        vf_error_set_reason(err, v.reason);
    }
    if (v.hint) {
        vf_error_hint(err, "%s", v.hint);
    }
    return v.code;
}

int vf_upload_lost(int rc, struct vf_error **failure, struct vf_error **err)
{
    const char *reason = vf_error_reason(*failure);
    if (!reason || strcmp(reason, VF_HTTP_REASON_ANSWER_LOST) != 0) {
        vf_error_move(err, failure);
        return rc;
    }
    vf_error_set(err, rc, "the answer to the upload is lost: %s", vf_error_message(*failure));
    vf_error_set_reason(err, VF_UPLOAD_REASON_DOUBT);
    vf_error_hint(err, DOUBT_HINT);
    vf_error_clear(failure);
    return rc;
}
