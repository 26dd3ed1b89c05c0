#include "jobs/explain.h"

#include <stdlib.h>
#include <string.h>

#include "importer/base/mem.h"
#include "jobs/import_plan.h"

/* NULL: there is none. */
static const cJSON *machine_of(const struct vf_manifests *m)
{
    return m->n_documents ? m->documents[m->n_documents - 1] : NULL;
}

int vf_explain_run(const struct vf_import_options *options, struct vf_cancel *cancel,
                   struct vf_explanation *ret, struct vf_error **err)
{
    struct vf_explanation e = {0};
    int rc = vf_import_plan(options, cancel, &e.vm, &e.manifests, err);
    if (rc == 0) {
        vf_origins_explain(e.manifests.origins, machine_of(&e.manifests), &e.fields, &e.n_fields);
        *ret = e;
    }
    return rc;
}

void vf_explanation_release(struct vf_explanation *e)
{
    vf_explained_free(e->fields, e->n_fields);
    vf_manifests_release(&e->manifests);
    free(e->vm);
    *e = (struct vf_explanation){0};
}
