/* The property collector: many properties of many objects in one paged query. */
#ifndef IMPORTER_VSPHERE_PROPERTY_H
#define IMPORTER_VSPHERE_PROPERTY_H

#include <libxml/tree.h>
#include <stdbool.h>

#include <vmferry/error.h>

#include "importer/base/buf.h"
#include "importer/vsphere/session.h"
#include "importer/vsphere/soap.h"

/* The parts of a PropertyFilterSpec. Arrays of strings are NULL-terminated. */
void vf_property_put_set(struct vf_buf *b, const char *type, const char *const *paths);
/* Opens an objectSet; traversals follow, then close it. */
void vf_property_open_object(struct vf_buf *b, const char *type, const char *moref, bool skip);
void vf_property_close_object(struct vf_buf *b);

/* A TraversalSpec: from objects of `type` along the property `path`, then on by the traversals
 * named in `next` (may be NULL). */
struct vf_traversal {
    const char *name, *type, *path;
    const char *const *next;
};
void vf_property_put_traversal(struct vf_buf *b, const struct vf_traversal *t);

/* One ObjectContent: its reference and its element, for vf_property_value. */
typedef int vf_property_object_fn(void *opaque, const struct vf_ref *ref, const xmlNode *content,
                                  struct vf_error **err);

struct vf_property_query {
    const char *what;
    /* Writes propSets and objectSets; makes the views that they need. Called again when the query
     * starts over; `reset` (may be NULL) then forgets what had come. */
    int (*encode)(struct vf_vsphere *vs, struct vf_buf *specs, void *opaque, struct vf_error **err);
    void (*reset)(void *opaque);
    vf_property_object_fn *object;
    void *opaque;
    unsigned max_objects; /* of a page; 0: 100 */
    bool session_bound;   /* encode names a view: start over when it is gone */
    bool cleanup;
};

/* Objects that vanished meanwhile are left out. Starts over when a page or the session is lost, at
 * most three times. */
int vf_property_fetch(struct vf_vsphere *vs, const struct vf_property_query *q,
                      struct vf_error **err);

/* Properties of one object; VF_MISSING, with the reason ManagedObjectNotFound, when there is none.
 */
int vf_property_fetch_object(struct vf_vsphere *vs, const char *type, const char *moref,
                             const char *const *paths, bool cleanup, const char *what,
                             vf_property_object_fn *object, void *opaque, struct vf_error **err);

/* <val> of a property in an ObjectContent; NULL when it has none. */
const xmlNode *vf_property_value(const xmlNode *content, const char *path);

/* The fault for a property that may not be read; false when there is none. */
bool vf_property_fault(const xmlNode *content, const char *path, struct vf_fault *ret);

#endif
