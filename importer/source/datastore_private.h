/* What the files datastore*.c share. */
#ifndef IMPORTER_SOURCE_DATASTORE_PRIVATE_H
#define IMPORTER_SOURCE_DATASTORE_PRIVATE_H

#include "importer/source/datastore.h"
#include "importer/source/datastore_gate.h"

struct vf_datastore {
    struct vf_disk base;
    struct vf_http *http;
    const struct vf_cancel *cancel;
    vf_datastore_cookie_fn *cookie;
    void *cookie_opaque;
    struct vf_retry_policy probe_policy, read_policy;
    unsigned timeout_ms;
    char *authority;
    char *name; /* "[datastore1] web01/web01-flat.vmdk" */
    char *url;
    struct vf_datastore_gate gate;
};

/* Carries a request out; any status but that of success is an error that holds it. */
typedef int vf_datastore_send_fn(struct vf_datastore *d, const struct vf_http_request *req,
                                 void *opaque, struct vf_error **err);

/* datastore_request.c */

/* One try of `send` to d->url, with the session's cookie, renewed when it is refused, and a place
 * at the gate. A refusal of the file gets its reason and hint. To the `patient` status 500 is a
 * server in trouble, which is worth another try; to others a file that is locked. *err must be
 * wanted. */
int vf_datastore_send(struct vf_datastore *d, const struct vf_http_request *req, bool patient,
                      vf_datastore_send_fn *send, void *opaque, struct vf_error **err);

/* datastore_probe.c */

/* `want_bytes` as in the options; *ret_size_bytes is the file's. */
int vf_datastore_probe(struct vf_datastore *d, uint64_t want_bytes, uint64_t *ret_size_bytes,
                       struct vf_error **err);

#endif
