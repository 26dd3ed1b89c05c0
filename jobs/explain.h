/* `vmferry explain`: the VirtualMachine that a VM would become, and where each of its fields comes
 * from; without a cluster, or with one that is only read.
 */
#ifndef JOBS_EXPLAIN_H
#define JOBS_EXPLAIN_H

#include <cjson/cJSON.h>
#include <stddef.h>

#include <vmferry/cancel.h>
#include <vmferry/error.h>

#include "converters/vm/manifest.h"
#include "jobs/import.h"

struct vf_explanation {
    char *vm; /* name at the source */
    struct vf_manifests manifests;
    struct vf_explained *fields; /* of the VirtualMachine */
    size_t n_fields;
};

/* `options`: as of an import; target DIR without a path is fine. Nothing is made or changed. */
int vf_explain_run(const struct vf_import_options *options, struct vf_cancel *cancel,
                   struct vf_explanation *ret, struct vf_error **err);
void vf_explanation_release(struct vf_explanation *e); /* an all-zero struct is fine */

#endif
