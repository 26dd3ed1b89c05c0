/* Where the fields of a VirtualMachine come from, as text and as data. Pure. */
#ifndef JOBS_CLI_EXPLAIN_VIEW_H
#define JOBS_CLI_EXPLAIN_VIEW_H

#include <cjson/cJSON.h>

#include "jobs/explain.h"

/* Every field in the manifest's order, under the part of it that it stands in: value (cut where it
 * is long), where from; then what is lost or to be decided. Safe for a terminal. Caller frees. */
char *vf_explain_print(const struct vf_explanation *e);

/* {"vm", "name", "fields": [{"path", "value", "from", "detail"}], "concerns": [{"id", "message"}]};
 * a value is as in the manifest. */
cJSON *vf_explain_to_json(const struct vf_explanation *e);

#endif
