/* A stage that hands on only what lies in a set of areas: of a source that must be read whole, to a
 * target of which only that is to be rewritten.
 */
#ifndef JOBS_STAGES_ONLY_H
#define JOBS_STAGES_ONLY_H

#include <vmferry/error.h>
#include <vmferry/sink.h>

#include "importer/base/areas.h"

/* What is outside of `areas` is dropped, and is no less a success; extents that reach over an edge
 * are cut there. Other than stages do it borrows both: `next`, for it gets a part of a copy and
 * others give it the rest, and `areas`, which must not change meanwhile. Any number of threads, if
 * `next` takes them.
 *
 * finish() leaves `next` alone: it says whether all of `areas` was handed on, each byte once;
 * VF_INTERNAL if not, for then the source broke the contract of a complete copy. */
struct vf_sink *vf_only_stage_new(struct vf_sink *next, const struct vf_areas *areas);

/* What `next` has taken by now goes out of `left`, which may be the set that the stage was made
 * with, as long as nothing is written any more. So a copy that starts over need not write it again.
 */
int vf_only_stage_subtract(struct vf_sink *only, struct vf_areas *left, struct vf_error **err);

#endif
