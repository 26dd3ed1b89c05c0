/* What lies between source and here, found out by trying it: names and ports of ESXi hosts, and
 * each transport with a real read. By options->probe; nothing that is tried leaves anything behind.
 */
#ifndef JOBS_PREFLIGHT_PATH_FACTS_H
#define JOBS_PREFLIGHT_PATH_FACTS_H

#include <stddef.h>

#include <vmferry/cancel.h>
#include <vmferry/error.h>
#include <vmferry/event.h>
#include <vmferry/vm.h>

#include "importer/vsphere/vsphere.h"
#include "jobs/preflight/facts.h"

/* Of many VMs one for each host, and one for each datastore. Four at a time, all within the probes'
 * time and some seconds to clean up; what there was no time for is told as not tried. The session
 * is not used but to make one more like it, which ends by those deadlines. `source` tells hosts'
 * names and thumbprints. `reporter` (may be NULL) is told of snapshots. An error only for a
 * cancellation. */
int vf_path_facts_fetch(struct vf_vsphere *vs, const struct vf_check_options *options,
                        const struct vf_source_facts *source, const struct vf_vm *vms, size_t n,
                        struct vf_reporter *reporter, const struct vf_cancel *cancel,
                        struct vf_path_facts *ret, struct vf_error **err);
void vf_path_facts_release(struct vf_path_facts *f); /* an all-zero struct is fine */

#endif
