/* Whom to trust. libcurl verifies names and sets OpenSSL up; the decision on the certificate
 * is taken in a callback of ours, which also notes the leaf so that an error can name it.
 */
#include <errno.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <openssl/x509.h>
#include <openssl/x509v3.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "importer/base/http_private.h"
#include "importer/base/mem.h"

/* "AA:BB:" for every byte; one NUL instead of the last colon. */
#define HEX_SIZE(bytes) ((bytes)*3)

static int hex_value(char c)
{
    if (c >= '0' && c <= '9') {
        return c - '0';
    }
    c |= 0x20;
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

static bool parse_thumbprint(const char *text, unsigned char *ret, unsigned *ret_len)
{
    unsigned n = 0;
    while (*text) {
        int high = hex_value(text[0]);
        int low = high < 0 ? -1 : hex_value(text[1]);
        if (low < 0 || n == VF_HTTP_SHA256_BYTES) {
            return false;
        }
        ret[n++] = (unsigned char)(high << 4 | low);
        text += 2;
        if (*text == ':' && text[1]) {
            text++;
        }
    }
    *ret_len = n;
    return n == VF_HTTP_SHA1_BYTES || n == VF_HTTP_SHA256_BYTES;
}

static void print_hex(char *out, const unsigned char *bytes, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        snprintf(out + 3 * i, 4, i + 1 < n ? "%02X:" : "%02X", bytes[i]);
    }
}

/* curl would find a bad file only at the first connection, and say little. */
static int check_ca_file(const char *path, struct vf_error **err)
{
    FILE *f = fopen(path, "re");
    if (!f) {
        return vf_error_set_errno(err, errno, "cannot open CA file \"%s\"", path);
    }
    X509 *cert = PEM_read_X509(f, NULL, NULL, NULL);
    fclose(f);
    ERR_clear_error();
    if (!cert) {
        vf_error_set(err, VF_INVALID, "CA file \"%s\" holds no certificate in PEM form", path);
        vf_error_hint(err, "give the issuer's certificate, beginning with "
                           "\"-----BEGIN CERTIFICATE-----\"");
        return VF_INVALID;
    }
    X509_free(cert);
    return 0;
}

int vf_http_trust_init(struct vf_http_trust *t, const struct vf_http_options *o,
                       struct vf_error **err)
{
    *t = (struct vf_http_trust){.insecure = o->insecure};
    if (o->thumbprint && !parse_thumbprint(o->thumbprint, t->thumbprint, &t->thumbprint_len)) {
        vf_error_set(err, VF_INVALID, "thumbprint \"%s\" is not a SHA-1 or SHA-256 in hex",
                     o->thumbprint);
        vf_error_hint(err, "give 40 or 64 hex digits, with or without colons");
        return VF_INVALID;
    }
    t->hint = vf_xstrdup(o->trust_hint);
    t->server_name = vf_xstrdup(o->tls_server_name);
    if (o->ca_file && !o->ca_pem) {
        int rc = check_ca_file(o->ca_file, err);
        if (rc) {
            return rc;
        }
        t->ca_file = vf_xstrdup(o->ca_file);
    }
    return vf_http_pem_init(t, o, err);
}

void vf_http_trust_release(struct vf_http_trust *t)
{
    vf_http_pem_release(t);
    free(t->ca_file);
    free(t->server_name);
    free(t->hint);
    *t = (struct vf_http_trust){0};
}

static bool verifies_chain(const struct vf_http_trust *t)
{
    return t->thumbprint_len == 0 && !t->insecure;
}

/* What libcurl can do itself. It would let roots and client certificates in memory be seen only
 * through copies of its own, and knows no other name than the URL's. */
static bool curl_verifies(const struct vf_http_trust *t)
{
    return verifies_chain(t) && !t->roots && !t->client_cert && !t->server_name;
}

static void note_leaf(struct vf_http_leaf *leaf, const X509 *cert)
{
    *leaf = (struct vf_http_leaf){.verify_error = X509_V_ERR_UNSPECIFIED};
    leaf->seen = cert && X509_digest(cert, EVP_sha1(), leaf->sha1, NULL) &&
                 X509_digest(cert, EVP_sha256(), leaf->sha256, NULL);
}

static bool is_pinned(const struct vf_http_trust *t, const struct vf_http_leaf *leaf)
{
    const unsigned char *digest =
        t->thumbprint_len == VF_HTTP_SHA1_BYTES ? leaf->sha1 : leaf->sha256;
    return leaf->seen && memcmp(digest, t->thumbprint, t->thumbprint_len) == 0;
}

/* As client-go has it: a name is looked for among the alternative names alone, and any certificate
 * that was given as a root is one. */
static bool expect_name(X509_STORE_CTX *ctx, const struct vf_http_lane *lane)
{
    const char *given = lane->client->trust.server_name;
    const char *name = given ? given : lane->host;
    size_t len = strlen(name);
    bool bracketed = name[0] == '[' && name[len - 1] == ']';
    char *vf_autofree bare = bracketed ? vf_xstrndup(name + 1, len - 2) : vf_xstrdup(name);
    X509_VERIFY_PARAM *param = X509_STORE_CTX_get0_param(ctx);
    X509_VERIFY_PARAM_set_flags(param, X509_V_FLAG_PARTIAL_CHAIN);
    X509_VERIFY_PARAM_set_hostflags(param, X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS |
                                               X509_CHECK_FLAG_NEVER_CHECK_SUBJECT);
    bool good =
        X509_VERIFY_PARAM_set1_ip_asc(param, bare) || X509_VERIFY_PARAM_set1_host(param, bare, 0);
    ERR_clear_error();
    return good;
}

static int on_verify(X509_STORE_CTX *ctx, void *opaque)
{
    struct vf_http_lane *lane = opaque;
    const struct vf_http_trust *trust = &lane->client->trust;
    struct vf_http_leaf *leaf = &lane->leaf;

    note_leaf(leaf, X509_STORE_CTX_get0_cert(ctx));
    if (trust->thumbprint_len == 0) {
        int good = (curl_verifies(trust) || expect_name(ctx, lane)) && X509_verify_cert(ctx) == 1;
        leaf->verify_error = X509_STORE_CTX_get_error(ctx);
        return good;
    }
    leaf->mismatch = !is_pinned(trust, leaf);
    leaf->verify_error = leaf->mismatch ? X509_V_ERR_CERT_REJECTED : X509_V_OK;
    X509_STORE_CTX_set_error(ctx, leaf->verify_error);
    return !leaf->mismatch;
}

static int lane_index = -1; /* of the lane in a context's ex_data; set once */

void vf_http_tls_init(void)
{
    lane_index = SSL_CTX_get_ex_new_index(0, NULL, NULL, NULL, NULL);
}

/* The name in the ClientHello (RFC 6066, section 3), which libcurl took from the URL. There is no
 * other place between its SSL_new() and the handshake, and the object is not const. */
static void tell_name(const SSL *ssl)
{
    const struct vf_http_lane *lane = SSL_CTX_get_ex_data(SSL_get_SSL_CTX(ssl), lane_index);
    const char *name = lane->client->trust.server_name;
    if (name) {
        ASN1_OCTET_STRING *ip = a2i_IPADDRESS(name);
        SSL_set_tlsext_host_name((SSL *)(uintptr_t)ssl, (uintptr_t)(ip ? NULL : name));
        ASN1_OCTET_STRING_free(ip);
        ERR_clear_error();
    }
}

/* Without this a body that ends with its connection could be cut short unnoticed: libcurl takes
 * the end of the TCP stream for the end of TLS (RFC 8446, section 6.1; RFC 9112, section 9.8). */
static void on_info(const SSL *ssl, int where, int value)
{
    if (where & SSL_CB_HANDSHAKE_START) {
        tell_name(ssl);
    }
    struct vf_http_lane *lane = SSL_CTX_get_ex_data(SSL_get_SSL_CTX(ssl), lane_index);
    if (where & SSL_CB_HANDSHAKE_DONE && !lane->leaf.seen) { /* nobody verified it */
        note_leaf(&lane->leaf, SSL_get0_peer_certificate(ssl));
    }
    if (where == SSL_CB_READ_ALERT && (value & 0xff) == SSL3_AD_CLOSE_NOTIFY) {
        lane->close_notified = true;
    }
}

/* libcurl loads none for an endpoint that it does not verify. */
static bool add_roots(X509_STORE *store, const struct vf_http_trust *t)
{
    for (int i = 0; i < sk_X509_num(t->roots); i++) {
        if (!X509_STORE_add_cert(store, sk_X509_value(t->roots, i))) {
            return false;
        }
    }
    if (t->roots || !verifies_chain(t)) {
        return true;
    }
    if (t->ca_file) {
        return X509_STORE_load_file(store, t->ca_file);
    }
    const curl_version_info_data *system = curl_version_info(CURLVERSION_NOW);
    if (!system->cainfo && !system->capath) {
        return X509_STORE_set_default_paths(store);
    }
    return (!system->cainfo || X509_STORE_load_file(store, system->cainfo)) &&
           (!system->capath || X509_STORE_load_path(store, system->capath));
}

static bool add_certificates(SSL_CTX *ctx, const struct vf_http_trust *t)
{
    return add_roots(SSL_CTX_get_cert_store(ctx), t) &&
           (!t->client_cert ||
            SSL_CTX_use_cert_and_key(ctx, t->client_cert, t->client_key, t->client_chain, 1));
}

static CURLcode on_ssl_ctx(CURL *easy, void *ssl_ctx, void *opaque)
{
    (void)easy;
    struct vf_http_lane *lane = opaque;
    const struct vf_http_trust *trust = &lane->client->trust;
    /* libcurl calls this for the TLS of an https:// proxy too. That one is told by being verified
     * although verification of the endpoint is off; the endpoint's thumbprint is not for it. */
    if (!curl_verifies(trust) && SSL_CTX_get_verify_mode(ssl_ctx) != SSL_VERIFY_NONE) {
        return CURLE_OK;
    }
    if (lane_index < 0 || !SSL_CTX_set_ex_data(ssl_ctx, lane_index, lane)) {
        return CURLE_OUT_OF_MEMORY;
    }
    SSL_CTX_set_info_callback(ssl_ctx, on_info);
    if (!curl_verifies(trust) && !add_certificates(ssl_ctx, trust)) {
        ERR_clear_error();
        return CURLE_SSL_CACERT_BADFILE;
    }
    if (trust->insecure && trust->thumbprint_len == 0) {
        return CURLE_OK;
    }
    SSL_CTX_set_verify(ssl_ctx, SSL_VERIFY_PEER, NULL);
    SSL_CTX_set_cert_verify_callback(ssl_ctx, on_verify, lane);
    return CURLE_OK;
}

void vf_http_trust_apply(struct vf_http_lane *lane)
{
    const struct vf_http_trust *t = &lane->client->trust;
    CURL *easy = lane->easy;
    curl_easy_setopt(easy, CURLOPT_SSL_CTX_FUNCTION, on_ssl_ctx);
    curl_easy_setopt(easy, CURLOPT_SSL_CTX_DATA, lane);
    curl_easy_setopt(easy, CURLOPT_SSLVERSION, (long)CURL_SSLVERSION_TLSv1_2);
    curl_easy_setopt(easy, CURLOPT_SSL_VERIFYPEER, curl_verifies(t) ? 1L : 0L);
    curl_easy_setopt(easy, CURLOPT_SSL_VERIFYHOST, curl_verifies(t) ? 2L : 0L);
    if (t->ca_file || !curl_verifies(t)) {
        /* The system's roots do not stand beside the file, and are not parsed for nothing. */
        curl_easy_setopt(easy, CURLOPT_CAINFO, t->ca_file);
        curl_easy_setopt(easy, CURLOPT_CAPATH, NULL);
    }
}

static const char *refusal(const struct vf_http_leaf *leaf)
{
    switch (leaf->verify_error) {
    case X509_V_OK: /* a good chain that was refused all the same: libcurl looked for the name */
    case X509_V_ERR_HOSTNAME_MISMATCH:
    case X509_V_ERR_IP_ADDRESS_MISMATCH:
        return "it is not for this host name";
    default:
        return X509_verify_cert_error_string(leaf->verify_error);
    }
}

char *vf_http_format_sha1(const struct vf_http_leaf *leaf)
{
    char text[HEX_SIZE(VF_HTTP_SHA1_BYTES)];
    print_hex(text, leaf->sha1, sizeof leaf->sha1);
    return vf_xstrdup(text);
}

int vf_http_trust_error(const struct vf_http_lane *lane, struct vf_error **err)
{
    const struct vf_http_leaf *leaf = &lane->leaf;
    long proxy_result = 0;
    curl_easy_getinfo(lane->easy, CURLINFO_PROXY_SSL_VERIFYRESULT, &proxy_result);
    if (proxy_result || !leaf->seen) {
        vf_error_set(err, VF_AUTH, "the certificate of %s is not trusted: %s",
                     proxy_result ? "the proxy" : lane->host, lane->curl_text);
        vf_error_hint(err, "add its issuer to the certificates this system trusts");
        return VF_AUTH;
    }
    char sha1[HEX_SIZE(VF_HTTP_SHA1_BYTES)];
    char sha256[HEX_SIZE(VF_HTTP_SHA256_BYTES)];
    print_hex(sha1, leaf->sha1, sizeof leaf->sha1);
    print_hex(sha256, leaf->sha256, sizeof leaf->sha256);
    if (leaf->mismatch) {
        vf_error_set(err, VF_AUTH,
                     "the certificate of \"%s\" does not match the thumbprint given: it has "
                     "SHA-256 %s, SHA-1 %s",
                     lane->host, sha256, sha1);
        vf_error_hint(err,
                      "if the server's own console shows this thumbprint, trust it with "
                      "--thumbprint %s; otherwise someone may sit in between",
                      sha256);
        return VF_AUTH;
    }
    vf_error_set(err, VF_AUTH,
                 "the certificate of \"%s\" is not trusted: %s; it has SHA-256 thumbprint %s, "
                 "SHA-1 thumbprint %s",
                 lane->host, refusal(leaf), sha256, sha1);
    if (lane->client->trust.hint) {
        vf_error_hint(err, "%s", lane->client->trust.hint);
        return VF_AUTH;
    }
    vf_error_hint(err,
                  "compare the thumbprint with the server's own and trust it with --thumbprint "
                  "%s, or give its issuer with --ca-file FILE",
                  sha256);
    return VF_AUTH;
}
