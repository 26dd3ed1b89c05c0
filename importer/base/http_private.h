/* What the files http*.c share. */
#ifndef IMPORTER_BASE_HTTP_PRIVATE_H
#define IMPORTER_BASE_HTTP_PRIVATE_H

#include <curl/curl.h>
#include <openssl/x509.h>
#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "importer/base/buf.h"
#include "importer/base/http.h"

#define VF_HTTP_SHA1_BYTES   20
#define VF_HTTP_SHA256_BYTES 32

/* Whom to trust; fixed at vf_http_new, read by all threads. */
struct vf_http_trust {
    char *ca_file;
    STACK_OF(X509) * roots; /* instead of ca_file; NULL: none */
    X509 *client_cert;      /* NULL: none */
    STACK_OF(X509) * client_chain;
    EVP_PKEY *client_key;
    char *server_name; /* in place of the URL's host; NULL: that */
    char *hint;
    bool insecure;
    unsigned char thumbprint[VF_HTTP_SHA256_BYTES];
    unsigned thumbprint_len; /* 0: none, else one of the lengths above */
};

/* The leaf certificate of the last handshake. */
struct vf_http_leaf {
    bool seen;
    bool mismatch;    /* another thumbprint than the one trusted */
    int verify_error; /* X509_V_...; X509_V_OK when the chain is good */
    unsigned char sha1[VF_HTTP_SHA1_BYTES];
    unsigned char sha256[VF_HTTP_SHA256_BYTES];
};

/* One transfer at a time: an easy handle in a multi of its own. The multi keeps the connections
 * between transfers and lets every wait look at the cancellation's descriptors too. */
struct vf_http_lane {
    struct vf_http *client;
    struct vf_http_lane *next; /* in the client's idle list */
    CURLM *multi;
    CURL *easy;
    struct vf_http_leaf leaf;

    /* Of the request under way. */
    struct curl_slist *headers; /* may hold secrets: wiped when freed */
    char *label;                /* "GET https://host/first-segment", fit for a log */
    char *host;
    long port;
    bool is_tls;
    bool has_no_body; /* HEAD */
    bool use_range;
    uint64_t range_first, range_last;
    uint64_t range_total_bytes; /* 0: any */
    const struct vf_cancel *cancel;
    unsigned stall_timeout_ms;
    int64_t deadline_ms;        /* of a stream; INT64_MAX: none */
    curl_read_callback on_send; /* gives a body of unknown length, chunked; NULL: no such body.
                                   Set before the start */
    void *send_opaque;
    bool attached;
    int64_t started_ms;

    /* Of its answer. */
    struct vf_buf answer_headers;
    bool headers_done;
    long status;
    bool close_notified; /* TLS told its end */
    bool done;
    CURLcode result;
    char curl_text[CURL_ERROR_SIZE];
};

struct vf_http {
    struct vf_http_trust trust;
    char *proxy;
    char *user_agent;
    unsigned connect_timeout_ms;
    unsigned stall_timeout_ms;
    const struct vf_cancel *cancel;
    pthread_mutex_t lock; /* of the two below; no other lock is taken under it */
    struct vf_http_lane *idle;
    unsigned n_idle;
};

/* Deadlines of a series of waits. */
struct vf_http_timer {
    int64_t deadline_ms; /* on vf_clock_ms; INT64_MAX: none */
    int64_t stall_ms;
    bool stall_before_answer; /* the wait for the answer's first byte counts as a stall too */
    int64_t moved_at_ms;
    uint64_t moved_bytes;
};

/* http_lane.c */

struct vf_http_lane *vf_http_lane_take(struct vf_http *h, struct vf_error **err);
void vf_http_lane_give(struct vf_http_lane *lane); /* back to the pool, its transfer ended */
void vf_http_lane_free(struct vf_http_lane *lane);

/* Sets the request up and starts it. `on_body` is a CURLOPT_WRITEFUNCTION. */
int vf_http_lane_start(struct vf_http_lane *lane, const struct vf_http_request *req,
                       curl_write_callback on_body, void *opaque, struct vf_error **err);
/* Moves bytes without waiting; lane->done is set at the end of the transfer, good or bad. */
int vf_http_lane_perform(struct vf_http_lane *lane, struct vf_error **err);
/* Waits for something to perform. */
int vf_http_lane_wait(struct vf_http_lane *lane, struct vf_http_timer *t, struct vf_error **err);
/* True when bytes can be moved at once. */
bool vf_http_lane_is_ready(struct vf_http_lane *lane);
void vf_http_timer_start(struct vf_http_timer *t, const struct vf_http_lane *lane,
                         int64_t timeout_ms);

/* http_range.c */

/* With headers_done: does a 206 answer the range that was asked? */
int vf_http_lane_check_range(const struct vf_http_lane *lane, struct vf_error **err);

/* http_error.c */

/* With lane->done: 0 when a whole answer came. */
int vf_http_lane_result(const struct vf_http_lane *lane, struct vf_error **err);
/* The error for lane->result, other than CURLE_OK. */
int vf_http_lane_error(const struct vf_http_lane *lane, struct vf_error **err);
int vf_http_timeout_error(const struct vf_http_lane *lane, const struct vf_http_timer *t,
                          struct vf_error **err);

/* http.c */

/* Value of a header in a raw block; heap, NULL when absent. */
char *vf_http_find_header(const char *block, const char *name);
/* Retry-After in milliseconds, -1 when absent (RFC 9110, section 10.2.3). */
int64_t vf_http_retry_after_ms(const char *block);
int vf_http_set_status_error(const char *host, long status, const char *header_block,
                             const char *body, struct vf_error **err);

/* http_pem.c */

/* Reads the certificates and the key that the options hold in memory. */
int vf_http_pem_init(struct vf_http_trust *t, const struct vf_http_options *o,
                     struct vf_error **err);
void vf_http_pem_release(struct vf_http_trust *t);

/* http_tls.c */

void vf_http_tls_init(void); /* once, before threads */

int vf_http_trust_init(struct vf_http_trust *t, const struct vf_http_options *o,
                       struct vf_error **err);
void vf_http_trust_release(struct vf_http_trust *t);
/* Makes the lane's handle verify peers by the client's trust and note what it saw. */
void vf_http_trust_apply(struct vf_http_lane *lane);
/* "AA:BB:..."; heap. */
char *vf_http_format_sha1(const struct vf_http_leaf *leaf);
/* The error for a certificate that was refused. */
int vf_http_trust_error(const struct vf_http_lane *lane, struct vf_error **err);

#endif
