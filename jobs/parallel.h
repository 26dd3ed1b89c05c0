/* Tasks that are few and long, such as the copies of a VM's disks: some at once, a thread each. */
#ifndef JOBS_PARALLEL_H
#define JOBS_PARALLEL_H

#include <stddef.h>

#include <vmferry/cancel.h>
#include <vmferry/error.h>

#define VF_PARALLEL_MAX 64u

/* One task; on a thread of its own. */
typedef int vf_parallel_fn(void *opaque, size_t index, struct vf_error **err);

/* fn for each index below n, ascending, `threads` at once (0: one; VF_PARALLEL_MAX at most). The
 * first error wins: `cancel` (may be NULL) is triggered, no further task is begun, and all that run
 * are waited for. */
int vf_parallel_run(size_t n, unsigned threads, vf_parallel_fn *fn, void *opaque,
                    struct vf_cancel *cancel, struct vf_error **err);

#endif
