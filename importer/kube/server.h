/* What an API server says of itself. */
#ifndef IMPORTER_KUBE_SERVER_H
#define IMPORTER_KUBE_SERVER_H

#include <stdbool.h>
#include <stdint.h>

#include <vmferry/cancel.h>
#include <vmferry/error.h>

#include "importer/kube/client.h"

struct vf_kube_server {
    char *version; /* "v1.34.2"; NULL: not told. Heap */
    bool clock_known;
    int64_t clock_skew_ms; /* its clock minus ours, to a second */
};

/* Everybody who is logged in may ask. */
int vf_kube_server_fetch(struct vf_kube_client *client, const struct vf_cancel *cancel,
                         struct vf_kube_server *ret, struct vf_error **err);
void vf_kube_server_release(struct vf_kube_server *s); /* an all-zero struct is fine */

#endif
