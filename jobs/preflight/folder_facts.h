/* What preflight knows of the folder that a VM is to land in (--to dir:PATH), which it does not
 * make or write into.
 */
#ifndef JOBS_PREFLIGHT_FOLDER_FACTS_H
#define JOBS_PREFLIGHT_FOLDER_FACTS_H

#include "jobs/preflight/facts.h"

/* Of `path`, which may be NULL: nothing is known then. */
void vf_folder_facts_get(const char *path, struct vf_folder_facts *ret);
void vf_folder_facts_release(struct vf_folder_facts *f); /* an all-zero struct is fine */

#endif
