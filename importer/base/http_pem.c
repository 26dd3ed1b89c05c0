/* Certificates and keys that come as text: kubeconfigs hold them inline, plugins print them. */
#include <openssl/crypto.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509.h>
#include <string.h>

#include "importer/base/http_private.h"
#include "importer/base/secret.h"

/* More than any sane bundle; the system's own holds about 150. */
#define MAX_CERTIFICATES 1000

static int no_certificate(const char *what, struct vf_error **err)
{
    vf_error_set(err, VF_INVALID, "%s hold no certificate in PEM form", what);
    vf_error_hint(err, "give certificates that begin with \"-----BEGIN CERTIFICATE-----\"");
    return VF_INVALID;
}

/* At the end of the text the reader complains that no further object begins; anything else is a
 * certificate that is none. */
static bool is_end_of_text(void)
{
    unsigned long code = ERR_peek_last_error();
    return ERR_GET_LIB(code) == ERR_LIB_PEM && ERR_GET_REASON(code) == PEM_R_NO_START_LINE;
}

static int read_certificates(const char *pem, const char *what, STACK_OF(X509) * *ret,
                             struct vf_error **err)
{
    STACK_OF(X509) *certs = sk_X509_new_null();
    BIO *bio = BIO_new_mem_buf(pem, -1);
    int rc = certs && bio ? 0 : vf_error_set(err, VF_INTERNAL, "cannot read certificates");
    ERR_clear_error();
    while (!rc) {
        X509 *cert = PEM_read_bio_X509(bio, NULL, NULL, NULL);
        if (!cert) {
            break;
        }
        if (sk_X509_num(certs) == MAX_CERTIFICATES || !sk_X509_push(certs, cert)) {
            X509_free(cert);
            rc = vf_error_set(err, VF_SPACE, "%s are more than %d", what, MAX_CERTIFICATES);
        }
    }
    if (!rc && (sk_X509_num(certs) == 0 || !is_end_of_text())) {
        rc = no_certificate(what, err);
    }
    ERR_clear_error();
    BIO_free(bio);
    if (rc) {
        sk_X509_pop_free(certs, X509_free);
        return rc;
    }
    *ret = certs;
    return 0;
}

/* OpenSSL's own would ask on the terminal. */
static int no_passphrase(char *buf, int size, int writing, void *opaque)
{
    (void)buf;
    (void)size;
    (void)writing;
    *(bool *)opaque = true;
    return -1;
}

static int read_key(const struct vf_secret *pem, EVP_PKEY **ret_key, struct vf_error **err)
{
    bool encrypted = false;
    BIO *bio = BIO_new_mem_buf(vf_secret_reveal(pem), -1);
    EVP_PKEY *key = bio ? PEM_read_bio_PrivateKey(bio, NULL, no_passphrase, &encrypted) : NULL;
    BIO_free(bio);
    ERR_clear_error();
    if (encrypted) {
        vf_error_set(err, VF_UNSUPPORTED, "the client key is encrypted");
        vf_error_hint(err, "give it without a passphrase, readable by its owner alone");
        return VF_UNSUPPORTED;
    }
    if (!key) {
        return vf_error_set(err, VF_INVALID, "the client key is no private key in PEM form");
    }
    *ret_key = key;
    return 0;
}

static int read_client(struct vf_http_trust *t, const struct vf_http_options *o,
                       struct vf_error **err)
{
    if (!o->client_key_pem) {
        return vf_error_set(err, VF_INVALID, "a client certificate is given without its key");
    }
    int rc =
        read_certificates(o->client_cert_pem, "the client's certificates", &t->client_chain, err);
    if (rc) {
        return rc;
    }
    t->client_cert = sk_X509_shift(t->client_chain);
    if ((rc = read_key(o->client_key_pem, &t->client_key, err))) {
        return rc;
    }
    int matches = X509_check_private_key(t->client_cert, t->client_key);
    ERR_clear_error();
    return matches == 1 ? 0
                        : vf_error_set(err, VF_INVALID,
                                       "the client key does not belong to the client certificate");
}

int vf_http_pem_init(struct vf_http_trust *t, const struct vf_http_options *o,
                     struct vf_error **err)
{
    int rc = 0;
    if (o->ca_pem) {
        rc = read_certificates(o->ca_pem, "the CA certificates", &t->roots, err);
    }
    if (!rc && o->client_cert_pem) {
        rc = read_client(t, o, err);
    }
    return rc;
}

void vf_http_pem_release(struct vf_http_trust *t)
{
    sk_X509_pop_free(t->roots, X509_free);
    sk_X509_pop_free(t->client_chain, X509_free);
    X509_free(t->client_cert);
    EVP_PKEY_free(t->client_key);
}
