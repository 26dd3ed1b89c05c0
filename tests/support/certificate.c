#include "tests/support/certificate.h"

#include <openssl/pem.h>
#include <openssl/x509v3.h>
#include <string.h>
#include <unistd.h>

#include "tests/support/check.h"

#define DAY_SECONDS (24L * 60 * 60)

static void add_extension(X509 *cert, X509 *issuer, int nid, const char *value)
{
    X509V3_CTX ctx;
    X509V3_set_ctx_nodb(&ctx);
    X509V3_set_ctx(&ctx, issuer, cert, NULL, NULL, 0);
    X509_EXTENSION *extension = X509V3_EXT_conf_nid(NULL, &ctx, nid, value);
    vf_test_check(extension && X509_add_ext(cert, extension, -1));
    X509_EXTENSION_free(extension);
}

static void set_name(X509 *cert, const char *common_name)
{
    X509_NAME *name = X509_get_subject_name(cert);
    vf_test_check(X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_ASC,
                                             (const unsigned char *)common_name, -1, -1, 0));
}

void vf_test_certificate_init(struct vf_test_certificate *c,
                              const struct vf_test_certificate_options *o)
{
    const long begin = o->days < 0 ? (o->days - 1) * DAY_SECONDS : -DAY_SECONDS;
    c->key = EVP_EC_gen("P-256");
    c->cert = X509_new();
    vf_test_check(c->key && c->cert && X509_set_version(c->cert, X509_VERSION_3));
    unsigned char serial[8];
    vf_test_check(getentropy(serial, sizeof serial) == 0);
    BIGNUM *number = BN_bin2bn(serial, sizeof serial, NULL);
    BN_to_ASN1_INTEGER(number, X509_get_serialNumber(c->cert));
    BN_free(number);
    X509_gmtime_adj(X509_getm_notBefore(c->cert), begin);
    X509_gmtime_adj(X509_getm_notAfter(c->cert), o->days * DAY_SECONDS);
    set_name(c->cert, o->common_name);
    X509 *issuer = o->issuer ? o->issuer->cert : c->cert;
    X509_set_issuer_name(c->cert, X509_get_subject_name(issuer));
    vf_test_check(X509_set_pubkey(c->cert, c->key));
    add_extension(c->cert, issuer, NID_basic_constraints,
                  o->is_ca ? "critical,CA:TRUE" : "CA:FALSE");
    add_extension(c->cert, issuer, NID_subject_key_identifier, "hash");
    if (o->alt_names) {
        add_extension(c->cert, issuer, NID_subject_alt_name, o->alt_names);
    }
    vf_test_check(X509_sign(c->cert, o->issuer ? o->issuer->key : c->key, EVP_sha256()));
}

void vf_test_certificate_release(struct vf_test_certificate *c)
{
    X509_free(c->cert);
    EVP_PKEY_free(c->key);
    *c = (struct vf_test_certificate){0};
}

char *vf_test_certificate_thumbprint(const struct vf_test_certificate *c, const EVP_MD *md)
{
    unsigned char digest[EVP_MAX_MD_SIZE];
    unsigned n = 0;
    vf_test_check(X509_digest(c->cert, md, digest, &n));
    char *text = calloc(n, 3);
    vf_test_check(text);
    for (unsigned i = 0; i < n; i++) {
        snprintf(text + 3 * (size_t)i, 4, i + 1 < n ? "%02X:" : "%02X", digest[i]);
    }
    return text;
}

char *vf_test_certificate_write(const struct vf_test_certificate *c)
{
    char *path = strdup("/tmp/vmferry-test-ca-XXXXXX");
    vf_test_check(path);
    int fd = mkstemp(path);
    vf_test_check(fd >= 0);
    FILE *f = fdopen(fd, "w");
    vf_test_check(f && PEM_write_X509(f, c->cert));
    vf_test_check(fclose(f) == 0);
    return path;
}

static char *take_text(BIO *bio)
{
    const char *data = NULL;
    long n = BIO_get_mem_data(bio, &data);
    char *text = strndup(data, (size_t)n);
    vf_test_check(text);
    BIO_free(bio);
    return text;
}

char *vf_test_certificate_pem(const struct vf_test_certificate *c)
{
    BIO *bio = BIO_new(BIO_s_mem());
    vf_test_check(bio && PEM_write_bio_X509(bio, c->cert));
    return take_text(bio);
}

char *vf_test_certificate_key_pem(const struct vf_test_certificate *c)
{
    BIO *bio = BIO_new(BIO_s_mem());
    vf_test_check(bio && PEM_write_bio_PrivateKey(bio, c->key, NULL, NULL, 0, NULL, NULL));
    return take_text(bio);
}
