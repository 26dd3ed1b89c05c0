/* What libcurl's codes mean to vmferry, and how a person is told. */
#include <errno.h>
#include <openssl/x509.h>
#include <string.h>

#include "importer/base/clock.h"
#include "importer/base/http_private.h"
#include "importer/base/mem.h"

int vf_http_timeout_error(const struct vf_http_lane *lane, const struct vf_http_timer *t,
                          struct vf_error **err)
{
    int64_t now_ms = vf_clock_ms();
    if (now_ms < t->deadline_ms) {
        return vf_error_set(err, VF_RETRY, "\"%s\" sent nothing for %lld s", lane->host,
                            (long long)(t->stall_ms + 500) / 1000);
    }
    return vf_error_set(err, VF_RETRY, "\"%s\" did not answer in full within %lld s", lane->host,
                        (long long)(now_ms - lane->started_ms + 500) / 1000);
}

static int connect_error(const struct vf_http_lane *lane, struct vf_error **err)
{
    long errnum = 0;
    curl_easy_getinfo(lane->easy, CURLINFO_OS_ERRNO, &errnum);
    /* "Failed to connect to NAME port N ...": another name than the endpoint's is the proxy's. */
    if (lane->curl_text[0] && !strstr(lane->curl_text, lane->host)) {
        vf_error_set(err, VF_RETRY, "cannot connect to the proxy on the way to \"%s\": %s",
                     lane->host, lane->curl_text);
        vf_error_hint(err, "check --proxy, HTTPS_PROXY, HTTP_PROXY and NO_PROXY");
        return VF_RETRY;
    }
    vf_error_set(err, VF_RETRY, "cannot connect to \"%s\" port %ld: %s", lane->host, lane->port,
                 errnum ? strerror((int)errnum) : lane->curl_text);
    vf_error_hint(err, "check that the host runs, that the port is right and that no firewall or "
                       "proxy setting is in the way");
    return VF_RETRY;
}

static int unknown_host_error(const struct vf_http_lane *lane, struct vf_error **err)
{
    vf_error_set(err, VF_MISSING, "host \"%s\" is not known", lane->host);
    vf_error_hint(err, "check its spelling, and that this machine's name servers know it");
    return VF_MISSING;
}

static int unknown_proxy_error(const struct vf_http_lane *lane, struct vf_error **err)
{
    vf_error_set(err, VF_MISSING, "the proxy's host name is not known (on the way to \"%s\")",
                 lane->host);
    vf_error_hint(err, "check --proxy, HTTPS_PROXY and HTTP_PROXY");
    return VF_MISSING;
}

/* The proxy answered CONNECT with something else than 200. */
static int proxy_error(const struct vf_http_lane *lane, long status, struct vf_error **err)
{
    enum vf_code code = status == 407 ? VF_AUTH : vf_http_status_code(status);
    vf_error_set(err, code, "the proxy refused a connection to \"%s\" port %ld: status %ld",
                 lane->host, lane->port, status);
    vf_error_set_http_status(err, status);
    if (status == 407) {
        vf_error_hint(err, "give the proxy's user and password in its URL");
    } else {
        vf_error_hint(err, "have the proxy allow this host, or leave it out with NO_PROXY");
    }
    return code;
}

static int tls_error(const struct vf_http_lane *lane, struct vf_error **err)
{
    if (lane->leaf.mismatch || (lane->leaf.seen && lane->leaf.verify_error != X509_V_OK)) {
        return vf_http_trust_error(lane, err);
    }
    /* libcurl has one code for a peer that went away in the handshake and one that speaks no TLS
     * which we accept; only OpenSSL's text tells them apart. */
    bool refused =
        strstr(lane->curl_text, "SSL routines") && !strstr(lane->curl_text, "unexpected eof");
    return vf_error_set(err, refused ? VF_UNSUPPORTED : VF_RETRY,
                        "no TLS connection to \"%s\" port %ld: %s", lane->host, lane->port,
                        lane->curl_text);
}

static const char *reason(const struct vf_http_lane *lane)
{
    if (lane->curl_text[0]) {
        return lane->curl_text;
    }
    return lane->result ? curl_easy_strerror(lane->result)
                        : "it ended without TLS's notice of the end";
}

static int broken_error(const struct vf_http_lane *lane, struct vf_error **err)
{
    curl_off_t got = 0, sent = 0;
    curl_easy_getinfo(lane->easy, CURLINFO_SIZE_DOWNLOAD_T, &got);
    curl_easy_getinfo(lane->easy, CURLINFO_SIZE_UPLOAD_T, &sent);
    if (!lane->headers_done && sent > 0) {
        return vf_error_set(err, VF_RETRY,
                            "the connection to \"%s\" broke with %lld bytes sent: %s", lane->host,
                            (long long)sent, reason(lane));
    }
    return vf_error_set(err, VF_RETRY, "the connection to \"%s\" broke %s %lld bytes: %s",
                        lane->host, lane->headers_done ? "in the body after" : "after",
                        (long long)got, reason(lane));
}

static int timeout_error(const struct vf_http_lane *lane, struct vf_error **err)
{
    vf_error_set(err, VF_RETRY, "no connection to \"%s\" port %ld within %u ms", lane->host,
                 lane->port, lane->client->connect_timeout_ms);
    vf_error_hint(err, "check that the host runs and that no firewall is in the way");
    return VF_RETRY;
}

/* RFC 9112, section 6.3: neither a length nor chunks tell where this body ends. */
static bool ends_with_connection(const struct vf_http_lane *lane)
{
    curl_off_t length = -1;
    curl_easy_getinfo(lane->easy, CURLINFO_CONTENT_LENGTH_DOWNLOAD_T, &length);
    if (lane->has_no_body || lane->status == 204 || lane->status == 304 || length >= 0) {
        return false;
    }
    char *vf_autofree coding = vf_http_find_header(lane->answer_headers.data, "Transfer-Encoding");
    return coding == NULL;
}

int vf_http_lane_result(const struct vf_http_lane *lane, struct vf_error **err)
{
    if (lane->result != CURLE_OK) {
        return vf_http_lane_error(lane, err);
    }
    /* libcurl takes a connection that ends between two headers for the end of them. */
    if (!lane->headers_done) {
        return vf_error_set(err, VF_RETRY, "\"%s\" closed the connection within its headers",
                            lane->host);
    }
    if (lane->is_tls && !lane->close_notified && ends_with_connection(lane)) {
        return broken_error(lane, err);
    }
    return 0;
}

static int classify(const struct vf_http_lane *lane, struct vf_error **err)
{
    long connect_status = 0;
    curl_easy_getinfo(lane->easy, CURLINFO_HTTP_CONNECTCODE, &connect_status);
    if (connect_status && connect_status / 100 != 2 && lane->status == 0) {
        return proxy_error(lane, connect_status, err);
    }
    switch (lane->result) {
    case CURLE_COULDNT_RESOLVE_HOST:
        return unknown_host_error(lane, err);
    case CURLE_COULDNT_RESOLVE_PROXY:
        return unknown_proxy_error(lane, err);
    case CURLE_COULDNT_CONNECT:
        return connect_error(lane, err);
    case CURLE_OPERATION_TIMEDOUT:
        return timeout_error(lane, err);
    case CURLE_PEER_FAILED_VERIFICATION:
    case CURLE_SSL_ISSUER_ERROR:
        return vf_http_trust_error(lane, err);
    case CURLE_SSL_CONNECT_ERROR:
        return tls_error(lane, err);
    case CURLE_SSL_CACERT_BADFILE:
        return vf_error_set(err, VF_INVALID, "the CA certificates cannot be read: %s",
                            lane->curl_text);
    case CURLE_GOT_NOTHING:
    case CURLE_SEND_ERROR:
    case CURLE_RECV_ERROR:
    case CURLE_PARTIAL_FILE:
        return broken_error(lane, err);
    case CURLE_WEIRD_SERVER_REPLY:
    case CURLE_UNSUPPORTED_PROTOCOL:
    case CURLE_BAD_CONTENT_ENCODING:
        return vf_error_set(err, VF_INVALID, "\"%s\" does not answer in HTTP: %s", lane->host,
                            lane->curl_text);
    case CURLE_WRITE_ERROR:
        return vf_error_set(err, VF_SPACE, "\"%s\" sends too many headers", lane->host);
    default:
        return vf_error_set(err, VF_INTERNAL, "the request to \"%s\" failed: %s", lane->host,
                            reason(lane));
    }
}

int vf_http_lane_error(const struct vf_http_lane *lane, struct vf_error **err)
{
    long sent = 0;
    int rc = classify(lane, err);
    curl_easy_getinfo(lane->easy, CURLINFO_REQUEST_SIZE, &sent);
    if (sent == 0) {
        vf_error_set_reason(err, VF_HTTP_REASON_NOT_SENT);
    }
    return rc;
}
