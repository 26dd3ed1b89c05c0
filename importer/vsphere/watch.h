/* Waiting for a property to change, with WaitForUpdatesEx. */
#ifndef IMPORTER_VSPHERE_WATCH_H
#define IMPORTER_VSPHERE_WATCH_H

#include <libxml/tree.h>
#include <stdbool.h>
#include <stdint.h>

#include <vmferry/error.h>

#include "importer/vsphere/session.h"

/* Called with the value of each property that changed, at first with that of all; the same value
 * may come twice. Sets *ret_done to end the watch. */
typedef int vf_watch_fn(void *opaque, const char *path, const xmlNode *value, bool *ret_done,
                        struct vf_error **err);

struct vf_watch {
    const char *type, *moref;
    const char *const *paths; /* NULL-terminated */
    const char *what;         /* for "cannot WHAT: ..." */
    int64_t timeout_ms;
    bool cleanup;     /* go on after cancellation... */
    int64_t grace_ms; /* ...for this long */
    vf_watch_fn *change;
    void *opaque;
};

/* Until `change` says done or fails. VF_RETRY when the time is up, VF_MISSING when the object is
 * gone, the fault's code when a property cannot be read. A collector of its own serves each watch,
 * so any number may run at once. */
int vf_watch_run(struct vf_vsphere *vs, const struct vf_watch *w, struct vf_error **err);

#endif
