/* A session with vCenter or one ESXi host over the vSphere Web Services API (SOAP, vim25).
 *
 * Threads: every function that takes a struct vf_vsphere may be called by several threads at once,
 * but for vf_vsphere_free. Calls run in parallel; when the session is lost, one thread logs in
 * again and all repeat their call.
 * Cancellation: every wait ends within a second of it with VF_CANCELLED. Calls that clean up (the
 * headers name them) go on after it, with deadlines of their own.
 * Errors: a fault's type ("NoPermission", "ManagedObjectNotFound") is vf_error_reason(); its code
 * is that of vf_fault_code() (fault.h).
 */
#ifndef IMPORTER_VSPHERE_VSPHERE_H
#define IMPORTER_VSPHERE_VSPHERE_H

#include <stdbool.h>

#include <vmferry/cancel.h>
#include <vmferry/error.h>

#include "importer/base/http.h"
#include "importer/base/secret.h"

struct vf_vsphere;

/* Everything is copied by vf_vsphere_login. */
struct vf_vsphere_options {
    const char *url; /* https://HOST[:PORT][/sdk], or HOST[:PORT]; http is refused */
    const char *user;
    const struct vf_secret *password;
    struct vf_http_options http;
    unsigned retry_deadline_ms; /* how long a call that may be repeated is repeated; 0: 60 s */
};

/* Agree on an API version, log in. `cancel` may be NULL and must outlive the session.
 * VF_AUTH for a refused login (hint included) or certificate, VF_MISSING for an unknown host,
 * VF_RETRY for one that does not answer, VF_UNSUPPORTED for a version below 4.1, VF_INVALID for a
 * URL or an answer that is none of vSphere. */
int vf_vsphere_login(const struct vf_vsphere_options *options, const struct vf_cancel *cancel,
                     struct vf_vsphere **ret_vsphere, struct vf_error **err);

/* One more session of the same user with the same server, for what is to end by a deadline or a
 * cancellation of its own. As vf_vsphere_login. */
int vf_vsphere_login_again(const struct vf_vsphere *vs, unsigned retry_deadline_ms,
                           const struct vf_cancel *cancel, struct vf_vsphere **ret_vsphere,
                           struct vf_error **err);

/* Logs out, even after cancellation, waiting 5 s at most. NULL is fine. */
void vf_vsphere_free(struct vf_vsphere *vs);

/* A call to CurrentTime when nothing else was sent for 5 minutes, so that the session (which idles
 * out after 30) stays. Waits of this library do it by themselves. */
int vf_vsphere_keep_alive(struct vf_vsphere *vs, struct vf_error **err);

/* All borrowed, valid until free. */
bool vf_vsphere_is_esxi(const struct vf_vsphere *vs);
const char *vf_vsphere_about_name(const struct vf_vsphere *vs);    /* "VMware vCenter Server" */
const char *vf_vsphere_about_version(const struct vf_vsphere *vs); /* "8.0.2" */
const char *vf_vsphere_about_uuid(const struct vf_vsphere *vs);    /* instanceUuid; "" on ESXi */
const char *vf_vsphere_api_version(const struct vf_vsphere *vs);   /* the one spoken: "8.0.2.0" */
const char *vf_vsphere_host(const struct vf_vsphere *vs);          /* "vc.example", no port */
const char *vf_vsphere_authority(const struct vf_vsphere *vs);     /* "vc.example[:port]" */
const char *vf_vsphere_user(const struct vf_vsphere *vs);

/* How this server is reached and trusted, for other requests to it. */
const struct vf_http_options *vf_vsphere_http_options(const struct vf_vsphere *vs);

#endif
