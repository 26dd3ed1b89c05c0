/* SOAP 1.1 as vSphere speaks it: request bytes out, answers in. No network here.
 *
 * Elements are written in schema order, base type's first, options that are not set left out. In
 * answers, names are resolved by namespace and types by xsi:type, whatever the prefixes.
 */
#ifndef IMPORTER_VSPHERE_SOAP_H
#define IMPORTER_VSPHERE_SOAP_H

#include <libxml/tree.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <vmferry/error.h>

#include "importer/base/buf.h"
#include "importer/vsphere/fault.h"

/* Ceiling of one request of ours. */
#define VF_SOAP_MAX_REQUEST (4u << 20)

/* A managed object reference: both strings heap-owned, NULL when unset. */
struct vf_ref {
    char *type;
    char *value;
};

void vf_ref_release(struct vf_ref *r);

/* <e:Envelope...><e:Body><METHOD xmlns="urn:vim25"><_this type="T">M</_this> */
void vf_soap_open(struct vf_buf *b, const char *method, const char *this_type,
                  const char *this_moref);
void vf_soap_close(struct vf_buf *b, const char *method);

void vf_soap_put_text(struct vf_buf *b, const char *element, const char *text);
/* As put_text, with '%', '/' and '\' in the %xx form that vSphere wants in names of its objects. */
void vf_soap_put_name(struct vf_buf *b, const char *element, const char *name);
void vf_soap_put_bool(struct vf_buf *b, const char *element, bool value);
void vf_soap_put_int(struct vf_buf *b, const char *element, int64_t value);
void vf_soap_put_ref(struct vf_buf *b, const char *element, const char *type, const char *moref);

/* A whole call that has no argument but _this. */
void vf_soap_encode_plain(struct vf_buf *b, const char *method, const char *this_type,
                          const char *this_moref);

/* %2f %5c %25 of a name back to the characters they stand for, in place; NULL is fine. */
void vf_soap_unescape_name(char *name);

/* One parsed answer. */
struct vf_answer {
    xmlDoc *doc;
    xmlNode *response;     /* <METHODResponse>, in doc; NULL when it was a fault */
    struct vf_fault fault; /* type NULL: none */
};

void vf_answer_release(struct vf_answer *a);

/* Parse the body of an answer to `method`. A fault is a success here, told by ret->fault.
 * VF_INVALID for what is neither an answer to this method nor a fault. */
int vf_soap_parse(const char *data, size_t len, const char *method, struct vf_answer *ret,
                  struct vf_error **err);

/* The reference in an element: its text, and its plain `type` attribute. False when either is
 * missing or empty. */
bool vf_soap_get_ref(const xmlNode *n, struct vf_ref *ret);

/* Text of <returnval>; NULL when absent. */
char *vf_answer_returnval(const struct vf_answer *a);

/* A fault in a LocalizedMethodFault ("fault" + "localizedMessage"), as tasks, leases and missing
 * sets hold it. */
void vf_fault_parse_localized(const xmlNode *n, struct vf_fault *ret);

#endif
