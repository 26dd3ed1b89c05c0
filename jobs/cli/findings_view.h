/* What preflight found, as text and as data. Pure. */
#ifndef JOBS_CLI_FINDINGS_VIEW_H
#define JOBS_CLI_FINDINGS_VIEW_H

#include <cjson/cJSON.h>
#include <stdbool.h>

#include "jobs/preflight/preflight.h"

/* Findings of no VM, then VM by VM, each with its action; VMs without any in one line, and a line
 * that adds up. Of findings only those that are at least as grave as `least`, and as many of the
 * milder ones as there are in numbers. Safe for a terminal. Caller frees. */
char *vf_findings_print(const struct vf_preflight *p, enum vf_severity least);

/* Everything: {"vms": [{"name", "reference", "folder", "target_name", "severity", "findings",
 * "estimate"}], "findings" (of no VM), "summary"}. A finding is {"id", "severity", "area",
 * "object", "message", "action"}; "severity" of a VM is that of its gravest finding, or "none". */
cJSON *vf_findings_to_json(const struct vf_preflight *p);

/* The table of rules, a line each: ID, severity, area, what it means. Caller frees. */
char *vf_rules_print_table(void);
/* {"rules": [{"id", "severity", "area", "looks_at", "message", "action", "once"}]} */
cJSON *vf_rules_to_json(void);

#endif
