/* What the files upload*.c share, but for the coders. */
#ifndef IMPORTER_TARGET_UPLOAD_PRIVATE_H
#define IMPORTER_TARGET_UPLOAD_PRIVATE_H

#include <stdbool.h>
#include <stddef.h>

#include <vmferry/error.h>

#include "importer/base/http.h"
#include "importer/base/secret.h"

/* upload_head.c */

/* The disk's first bytes: the name of what CDI would take them for and take apart, or NULL. */
const char *vf_upload_sniff(const void *head, size_t len);

/* upload_answer.c */

struct vf_upload_answer {
    const char *host;              /* that answered */
    const struct vf_secret *token; /* never to be shown, even if the server says it */
    bool all_sent;                 /* before the answer came */
};

/* 0 only for 200 after all was sent. */
int vf_upload_judge(const struct vf_upload_answer *a, const struct vf_http_response *r,
                    struct vf_error **err);

/* A failure without an answer; takes *failure over. Returns the code. */
int vf_upload_lost(int rc, struct vf_error **failure, struct vf_error **err);

#endif
