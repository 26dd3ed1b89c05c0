/* Every object of some types in the inventory, as far as the account may see them, by one paged
 * query over one container view.
 */
#ifndef IMPORTER_VSPHERE_VIEW_H
#define IMPORTER_VSPHERE_VIEW_H

#include <vmferry/error.h>

#include "importer/base/buf.h"
#include "importer/vsphere/property.h"

struct vf_view_query {
    const char *what;
    const char *const *types; /* NULL-terminated */
    void (*put_sets)(struct vf_buf *specs, void *opaque);
    void (*reset)(void *opaque); /* forgets what had come, before the query starts over */
    vf_property_object_fn *object;
    void *opaque;
    unsigned max_objects; /* of a page; 0: 100 */
};

/* As vf_property_fetch. */
int vf_view_fetch(struct vf_vsphere *vs, const struct vf_view_query *q, struct vf_error **err);

#endif
