/* One request for a file of a datastore: who asks, when, and what a refusal means. */
#include "importer/base/inject.h"
#include "importer/base/mem.h"
#include "importer/source/datastore_private.h"

#define MAX_RENEWALS 2 /* of the cookie in one request */

/* Why a file is not to be read, by the status (facts of the field more than of a specification). */
static const struct refusal {
    long status;
    enum vf_code code;
    const char *reason;
    const char *hint;
} refusals[] = {
    {401, VF_AUTH, NULL, "check that the user may log in and that its session is not ended"},
    {403, VF_AUTH, VF_DATASTORE_FORBIDDEN,
     "give the user the privileges Datastore.Browse and Datastore.FileManagement; the file of a "
     "running VM may be refused whatever they are: choose another transport for it"},
    {404, VF_MISSING, VF_DATASTORE_MISSING,
     "disks on vSAN or vVols have no such file, and that of a running VM may be hidden: choose "
     "another transport"},
    {410, VF_MISSING, VF_DATASTORE_MISSING, "choose another transport"},
    {416, VF_CONFLICT, VF_DATASTORE_SIZE, "choose another transport"},
    {500, VF_CONFLICT, VF_DATASTORE_LOCKED,
     "the file of a running VM is locked on many datastores: choose another transport, or copy it "
     "with the VM off"},
};

static const struct refusal *find_refusal(const struct vf_error *e)
{
    static const struct refusal no_ranges = {0, VF_UNSUPPORTED, VF_DATASTORE_NO_RANGES,
                                             "choose another transport"};
    static const struct refusal size = {0, VF_CONFLICT, VF_DATASTORE_SIZE,
                                        "the disk was grown or replaced: begin its copy anew"};
    long status = vf_error_http_status(e);
    for (size_t i = 0; i < sizeof refusals / sizeof refusals[0]; i++) {
        if (refusals[i].status == status) {
            return &refusals[i];
        }
    }
    if (status / 100 != 2) {
        return NULL;
    }
    /* An answer of success that vf_http refused. */
    enum vf_code code = vf_error_code(e);
    return code == VF_UNSUPPORTED ? &no_ranges : code == VF_CONFLICT ? &size : NULL;
}

static void explain(bool patient, struct vf_error **failure)
{
    const struct refusal *r = find_refusal(*failure);
    if (!r) {
        return;
    }
    bool again = vf_error_code(*failure) == VF_RETRY && patient;
    if (!again && r->code != vf_error_code(*failure)) {
        struct vf_error *told = NULL;
        vf_error_set(&told, r->code, "%s", vf_error_message(*failure));
        vf_error_set_http_status(&told, vf_error_http_status(*failure));
        vf_error_clear(failure);
        *failure = told;
    }
    if (r->reason) {
        vf_error_set_reason(failure, r->reason);
    }
    vf_error_hint(failure, "%s", r->hint);
}

static enum vf_datastore_outcome outcome_of(const struct vf_error *failure)
{
    long status = vf_error_http_status(failure);
    if (status == 503 || status == 429) {
        return VF_DATASTORE_BUSY;
    }
    return failure ? VF_DATASTORE_OTHER : VF_DATASTORE_GOOD;
}

/* Sends until a cookie is taken. Of the callback's own failures nothing is made. */
static int send_authorized(struct vf_datastore *d, struct vf_http_request *req, bool patient,
                           vf_datastore_send_fn *send, void *opaque,
                           enum vf_datastore_outcome *ret_outcome, struct vf_error **failure)
{
    struct vf_secret *cookie = NULL;
    int rc;
    for (unsigned renewals = 0;; renewals++) {
        struct vf_secret *refused = vf_take(cookie);
        rc = d->cookie(d->cookie_opaque, refused, &cookie, failure);
        vf_secret_free(refused);
        if (rc) {
            return rc;
        }
        req->cookie = vf_secret_reveal(cookie);
        rc = send(d, req, opaque, failure);
        if (!rc || vf_error_http_status(*failure) != 401 || renewals == MAX_RENEWALS) {
            break;
        }
        vf_error_clear(failure);
    }
    vf_secret_free(cookie);
    *ret_outcome = outcome_of(*failure);
    explain(patient, failure);
    return vf_error_code(*failure);
}

int vf_datastore_send(struct vf_datastore *d, const struct vf_http_request *req, bool patient,
                      vf_datastore_send_fn *send, void *opaque, struct vf_error **err)
{
    /* Of an encoded file a range would be one of other bytes. */
    static const char *const headers[] = {"Accept-Encoding: identity", NULL};
    struct vf_http_request own = *req;
    struct vf_error *failure = NULL;
    enum vf_datastore_outcome outcome = VF_DATASTORE_OTHER;
    unsigned era;
    int rc = vf_datastore_gate_enter(&d->gate, d->cancel, &era, err);
    if (rc) {
        return rc;
    }
    own.url = d->url;
    own.headers = headers;
    own.cancel = d->cancel;
    rc = vf_inject("datastore.read", &failure);
    if (!rc) {
        rc = send_authorized(d, &own, patient, send, opaque, &outcome, &failure);
    }
    vf_datastore_gate_leave(&d->gate, era, outcome);
    vf_error_move(err, &failure);
    return rc;
}
