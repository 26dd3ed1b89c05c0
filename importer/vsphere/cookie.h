/* The session's cookie, for requests to the same server that are no SOAP: the datastore browser. */
#ifndef IMPORTER_VSPHERE_COOKIE_H
#define IMPORTER_VSPHERE_COOKIE_H

#include <vmferry/error.h>

#include "importer/base/secret.h"

/* The value of the Cookie header, "vmware_soap_session=..."; the caller's to free. `refused` is
 * NULL, or a cookie that the server did not take: while the session still has that one, it logs in
 * again; of several threads that were refused together one does. `vsphere` is a struct vf_vsphere:
 * the form is that of callbacks. Any thread; may block for a login, whose errors are those of
 * vf_vsphere_login. */
int vf_vsphere_fetch_cookie(void *vsphere, const struct vf_secret *refused,
                            struct vf_secret **ret_cookie, struct vf_error **err);

#endif
