/* A vSphere endpoint whose every answer a test writes itself: for what no real peer does on demand
 * (an answer lost at exactly this call, two collectors, odd pages). */
#ifndef TESTS_SUPPORT_SOAP_SERVER_H
#define TESTS_SUPPORT_SOAP_SERVER_H

#include <stdbool.h>

#include "importer/vsphere/vsphere.h"

struct vf_test_soap;

struct vf_test_soap_call {
    const char *method;
    unsigned nth;       /* of this method, from 1 */
    const char *cookie; /* NULL: none */
    const char *action; /* SOAPAction */
    const char *body;
    unsigned logins; /* that went well so far */
};

/* What stands inside <METHODResponse> ("" for nothing); or one of those below. Called under a lock;
 * the string is used before the next call. NULL: the server's own answer (Login, Logout,
 * RetrieveServiceContent, CurrentTime). */
typedef const char *vf_test_soap_fn(const struct vf_test_soap_call *call, void *opaque);

#define VF_TEST_SOAP_RESET "!reset"  /* close the connection without an answer */
#define VF_TEST_SOAP_FAULT "!fault " /* followed by the type of a fault */
#define VF_TEST_SOAP_RAW   "!raw "   /* followed by a status, a blank, and the body */

struct vf_test_soap *vf_test_soap_start(vf_test_soap_fn *fn, void *opaque);
void vf_test_soap_stop(struct vf_test_soap *s);

/* What it says to anything but SOAP, at first 404 to all. Before the first request. */
struct vf_test_exchange;
void vf_test_soap_set_rest(struct vf_test_soap *s,
                           void (*rest)(struct vf_test_exchange *x, void *opaque));

unsigned vf_test_soap_count(struct vf_test_soap *s, const char *method);

/* Options that reach it: user "u", password "p4ssw0rd". Release with vf_secret_free(password). */
struct vf_vsphere_options vf_test_soap_options(struct vf_test_soap *s);

/* A session with it; the test fails if there is none. */
struct vf_vsphere *vf_test_soap_login(struct vf_test_soap *s, const struct vf_cancel *cancel);

#endif
