/* Certificates made in memory, for tests. */
#ifndef TESTS_SUPPORT_CERTIFICATE_H
#define TESTS_SUPPORT_CERTIFICATE_H

#include <openssl/ssl.h>
#include <stdbool.h>

struct vf_test_certificate {
    X509 *cert;
    EVP_PKEY *key;
};

struct vf_test_certificate_options {
    const char *common_name;
    const char *alt_names; /* "IP:127.0.0.1,DNS:localhost"; NULL: none */
    bool is_ca;
    int days;                                 /* of validity from now; negative: expired */
    const struct vf_test_certificate *issuer; /* NULL: self-signed */
};

void vf_test_certificate_init(struct vf_test_certificate *c,
                              const struct vf_test_certificate_options *o);
void vf_test_certificate_release(struct vf_test_certificate *c);
/* "AA:BB:..." of the DER form; caller frees. */
char *vf_test_certificate_thumbprint(const struct vf_test_certificate *c, const EVP_MD *md);
/* As PEM into a new temporary file; caller unlinks and frees. */
char *vf_test_certificate_write(const struct vf_test_certificate *c);

/* The same, and the key, as text; caller frees. */
char *vf_test_certificate_pem(const struct vf_test_certificate *c);
char *vf_test_certificate_key_pem(const struct vf_test_certificate *c);

#endif
