/* HTTP and HTTPS over libcurl: one request with a bounded answer, or a body that streams.
 *
 * Threads: a struct vf_http may be used by several threads at once (each request takes a pooled
 * easy handle; connections are kept alive and shared by the pool). A stream belongs to one thread.
 * Cancellation: every wait ends within a second of it. Redirects are not followed.
 */
#ifndef IMPORTER_BASE_HTTP_H
#define IMPORTER_BASE_HTTP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <vmferry/cancel.h>
#include <vmferry/error.h>
#include <vmferry/stream.h>

struct vf_secret;

/* How one endpoint is reached and trusted. Strings are copied. */
struct vf_http_options {
    const char *ca_file;    /* PEM; NULL: the system's roots */
    const char *thumbprint; /* SHA-1 (20 bytes) or SHA-256 (32) of the leaf, hex, colons optional:
                               trusts exactly this certificate whatever its name or issuer */
    bool insecure;          /* verify nothing; only when the user asked for it by name */
    const char *proxy;      /* URL; NULL: HTTPS_PROXY, HTTP_PROXY, NO_PROXY; "": none */
    unsigned connect_timeout_ms; /* 0: 15 s */
    unsigned stall_timeout_ms;   /* no byte for this long is an error, but for fetch's wait for the
                                    first one, which timeout_ms bounds; 0: 60 s */
    const char *user_agent;      /* NULL: "vmferry/VERSION" */

    /* Certificates in memory, as PEM text. */
    const char *ca_pem;          /* as ca_file, and goes before it */
    const char *client_cert_pem; /* shown to the endpoint, never to a proxy: leaf, then its chain */
    const struct vf_secret *client_key_pem; /* with client_cert_pem; not encrypted */

    const char *tls_server_name; /* told to the endpoint (SNI) and looked for in its certificate
                                    instead of the URL's host: DNS name or IP address */
    const char *trust_hint;      /* what helps when the endpoint's certificate is refused; NULL:
                                    --thumbprint and --ca-file */
};

struct vf_http;

/* `cancel` may be NULL and must outlive the client. VF_INVALID for a malformed thumbprint, CA or
 * client certificate, or a key that does not belong to it; the codes of vf_error_set_errno for a CA
 * file that cannot be opened. A thumbprint goes before the other ways to trust. */
int vf_http_new(const struct vf_http_options *options, const struct vf_cancel *cancel,
                struct vf_http **ret_http, struct vf_error **err);
void vf_http_free(struct vf_http *h); /* after its streams */

struct vf_http_request {
    const char *method; /* NULL: GET, or POST when there is a body */
    const char *url;
    const char *const *headers;            /* "Name: value", NULL-terminated; may be NULL */
    const char *cookie;                    /* value of the Cookie header; secret, never logged */
    const struct vf_secret *authorization; /* value of the Authorization header, or NULL */
    const void *body;
    size_t body_len;
    unsigned timeout_ms;       /* whole request; 0: 120 s. Not used by vf_http_open */
    int64_t deadline_ms;       /* of vf_http_open, on vf_clock_ms(): past it the wait for the answer
                                  and every read are VF_RETRY; 0: none */
    unsigned stall_timeout_ms; /* 0: the client's */
    const struct vf_cancel *cancel; /* looked at instead of the client's: its child; NULL: that */
    size_t max_answer_bytes;        /* 0: 64 MiB */
    /* Must not be sent twice: goes over a connection of its own, since libcurl repeats a request by
     * itself when a kept-alive connection turns out to have died. */
    bool once;
    /* Byte range asked for, both ends included; a last of UINT64_MAX is the end of the object. Last
     * before first is VF_RANGE; another 2xx than 206 is VF_UNSUPPORTED, before its body is read;
     * a 206 with a content coding too; a 206 for other bytes is VF_INVALID. */
    bool use_range;
    uint64_t range_first, range_last;
    /* The whole object's size: a 206 that tells another one is VF_CONFLICT; 0: not looked at. */
    uint64_t range_total_bytes;
};

struct vf_http_response {
    long status;
    char *body; /* NUL-terminated behind body_len */
    size_t body_len;
    char *headers; /* raw, "Name: value\r\n"... of the last answer */
};

/* The reason (vf_error_reason) of a failure before the first byte of a request went out: it may be
 * sent again whatever it does. */
#define VF_HTTP_REASON_NOT_SENT "NotSent"

/* `body` stays the caller's, unchanged until fetch returns or the stream is freed.
 *
 * Any status is a success here; transport failures are errors: VF_RETRY (refused, reset, timed out,
 * cut short), VF_AUTH (certificate: the message gives the thumbprint that was seen and the hint
 * how to trust it), VF_MISSING (host name unknown), VF_SPACE (answer over the ceiling),
 * VF_CANCELLED. */
int vf_http_fetch(struct vf_http *h, const struct vf_http_request *req,
                  struct vf_http_response *ret_response, struct vf_error **err);
void vf_http_response_release(struct vf_http_response *r);

/* Value of a header, case-insensitive, trimmed, into a heap string; NULL when absent. */
char *vf_http_response_header(const struct vf_http_response *r, const char *name);

/* The error for a status that is no success: its code, the start of the body, Retry-After. Returns
 * the code. `host` is the one that answered. */
int vf_http_response_error(const struct vf_http_response *r, const char *host,
                           struct vf_error **err);

/* As fetch, but the body comes as a stream; returns when the status is known. A status other than
 * 200 (206 with a range) is an error that quotes the start of the body. A body shorter than its
 * Content-Length, or a chunked one without its end, is VF_RETRY at that read. */
int vf_http_open(struct vf_http *h, const struct vf_http_request *req,
                 struct vf_stream **ret_stream, struct vf_error **err);

/* SHA-1 of the certificate that the endpoint of an https URL shows now, as "AA:BB:..."; heap. The
 * connection is one of its own, and trusted or refused as `options` say: VF_AUTH and the other
 * errors are those of vf_http_fetch. What it answers is of no matter. Within 30 s. */
int vf_http_fetch_thumbprint(const struct vf_http_options *options, const char *url,
                             const struct vf_cancel *cancel, char **ret_sha1,
                             struct vf_error **err);

/* Code for an HTTP status: 401, 403 AUTH; 404, 410 MISSING; 409, 412 CONFLICT; 408, 429, 5xx but
 * 501 RETRY; 416 RANGE; 501 UNSUPPORTED; else INVALID; 2xx OK. */
enum vf_code vf_http_status_code(long status);

/* Percent-encode for a URL path segment or query value; '/' is encoded too. Caller frees. */
char *vf_http_escape(const char *s);

#endif
