/* The material of credentials: base64 texts, and the files that hold certificates and keys. */
#ifndef IMPORTER_KUBE_MATERIAL_H
#define IMPORTER_KUBE_MATERIAL_H

#include <stddef.h>

#include <vmferry/error.h>

#include "importer/base/secret.h"

/* RFC 4648, section 4, white space between allowed. NULL for anything else, or a NUL in what comes
 * out. Ends in a NUL; the caller wipes it if it is secret, and frees it. */
char *vf_kube_decode_base64(const char *text);
char *vf_kube_encode_base64(const char *data, size_t len);

/* Overwrites and frees a text; NULL is fine. */
void vf_kube_wipe(char *text);

/* All of a file, at most max_bytes, as text; `what` it is for an error ("the kubeconfig").
 * VF_INVALID when it holds a NUL, VF_SPACE when it is larger, else as vf_error_set_errno. The
 * caller wipes it if it is secret, and frees it. */
#define VF_KUBE_MAX_FILE_BYTES (4u << 20)
int vf_kube_fetch_file(const char *path, const char *what, size_t max_bytes, char **ret_text,
                       size_t *ret_len, struct vf_error **err);

/* Such a file as a secret, white space at its end dropped. VF_INVALID when nothing is left. */
int vf_kube_fetch_secret_file(const char *path, const char *what, struct vf_secret **ret_secret,
                              struct vf_error **err);

#endif
