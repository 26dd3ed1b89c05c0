#include "importer/kube/material.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "importer/base/mem.h"

void vf_kube_wipe(char *text)
{
    if (text) {
        OPENSSL_cleanse(text, strlen(text));
        free(text);
    }
}

char *vf_kube_encode_base64(const char *data, size_t len)
{
    if (len > INT_MAX / 2) {
        return NULL;
    }
    char *text = vf_xcalloc(len / 3 + 2, 4);
    EVP_EncodeBlock((unsigned char *)text, (const unsigned char *)data, (int)len);
    return text;
}

/* Without white space; *ret_padding counts the signs "=" at the end. NULL: not base64. */
static char *squeeze(const char *text, size_t *ret_len, size_t *ret_padding)
{
    static const char alphabet[] =
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    char *out = vf_xcalloc(strlen(text) + 1, 1);
    size_t n = 0, padding = 0;
    for (; *text; text++) {
        if (strchr(" \t\r\n", *text)) {
            continue;
        }
        if (*text == '=' ? ++padding > 2 : padding || !strchr(alphabet, *text)) {
            vf_kube_wipe(out);
            return NULL;
        }
        out[n++] = *text;
    }
    *ret_len = n;
    *ret_padding = padding;
    return out;
}

char *vf_kube_decode_base64(const char *text)
{
    size_t len, padding;
    char *squeezed = squeeze(text, &len, &padding);
    if (!squeezed) {
        return NULL;
    }
    char *out = NULL;
    if (len && len % 4 == 0 && len <= INT_MAX) {
        out = vf_xcalloc(len / 4 * 3 + 1, 1);
        int n = EVP_DecodeBlock((unsigned char *)out, (const unsigned char *)squeezed, (int)len);
        if (n < 0 || strlen(out) != (size_t)n - padding) {
            OPENSSL_cleanse(out, len / 4 * 3);
            free(out);
            out = NULL;
        }
    }
    vf_kube_wipe(squeezed);
    return out;
}

/* Grows without realloc(), which would leave copies behind. */
static int read_all(int fd, size_t max_bytes, char **ret, size_t *ret_len)
{
    size_t cap = 64 << 10, have = 0;
    char *buf = vf_xcalloc(1, cap + 1);
    for (;;) {
        ssize_t n = read(fd, buf + have, cap - have);
        if (n < 0 && errno == EINTR) {
            continue;
        }
        have += n > 0 ? (size_t)n : 0;
        if (n <= 0 || have > max_bytes) {
            int errnum = n < 0 ? errno : have > max_bytes ? EFBIG : 0;
            *ret = buf;
            *ret_len = have;
            return errnum;
        }
        if (have == cap) {
            char *grown = vf_xcalloc(2, cap + 1);
            memcpy(grown, buf, have);
            OPENSSL_cleanse(buf, have);
            free(buf);
            buf = grown;
            cap *= 2;
        }
    }
}

int vf_kube_fetch_file(const char *path, const char *what, size_t max_bytes, char **ret_text,
                       size_t *ret_len, struct vf_error **err)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) {
        return vf_error_set_errno(err, errno, "cannot open %s \"%s\"", what, path);
    }
    char *text;
    size_t len;
    int rc = 0;
    int errnum = read_all(fd, max_bytes, &text, &len);
    close(fd);
    if (errnum == EFBIG) {
        rc = vf_error_set(err, VF_SPACE, "%s \"%s\" is larger than %zu bytes", what, path,
                          max_bytes);
    } else if (errnum) {
        rc = vf_error_set_errno(err, errnum, "cannot read %s \"%s\"", what, path);
    } else if (memchr(text, '\0', len)) {
        rc = vf_error_set(err, VF_INVALID, "%s \"%s\" is not a text", what, path);
    }
    if (rc) {
        OPENSSL_cleanse(text, len);
        free(text);
        return rc;
    }
    *ret_text = text;
    *ret_len = len;
    return 0;
}

int vf_kube_fetch_secret_file(const char *path, const char *what, struct vf_secret **ret_secret,
                              struct vf_error **err)
{
    char *text;
    size_t len;
    int rc = vf_kube_fetch_file(path, what, VF_SECRET_MAX_BYTES, &text, &len, err);
    if (rc) {
        return rc;
    }
    while (len && strchr(" \t\r\n", text[len - 1])) {
        len--;
    }
    if (len) {
        *ret_secret = vf_secret_new(text, len);
    } else {
        rc = vf_error_set(err, VF_INVALID, "%s \"%s\" is empty", what, path);
    }
    vf_kube_wipe(text);
    return rc;
}
