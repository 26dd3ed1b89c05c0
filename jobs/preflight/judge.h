/* Private to preflight: rules over facts. */
#ifndef JOBS_PREFLIGHT_JUDGE_H
#define JOBS_PREFLIGHT_JUDGE_H

#include <vmferry/event.h>

#include "importer/vsphere/inventory.h"
#include "jobs/preflight/rule.h"

struct vf_judge {
    const struct vf_check_options *options;
    const struct vf_facts *facts;
    const char *ns;          /* for the manifests; NULL: none */
    const char *source;      /* where the VMs come from, for people */
    const char *const *skip; /* IDs of rules that are not judged; may be NULL */
    struct vf_findings *findings;
};

/* VF_INVALID for an ID that no rule has. `skip` may be NULL. */
int vf_judge_check_skip(const char *const *skip, struct vf_error **err);

/* Every rule for that VM, and what its mapping tells. */
void vf_judge_vm(const struct vf_judge *j, size_t index);
/* What the mapping tells of the VM that j->findings is at. A rule that looks for itself has told
 * already. */
void vf_judge_concerns(const struct vf_judge *j, const struct vf_concerns *concerns);
/* Every rule that is `once`. */
void vf_judge_once(const struct vf_judge *j);

/* What could not be read of the VMs. */
void vf_judge_notes(const struct vf_judge *j, const struct vf_vm_notes *notes);
/* The cluster could not be asked, with `e`. */
void vf_judge_unreachable(const struct vf_judge *j, const struct vf_error *e);

/* A finding of the row with that ID, which is there, unless it is skipped. */
void vf_judge_found(const struct vf_judge *j, const char *id, const char *action, const char *fmt,
                    ...) __attribute__((format(printf, 4, 5)));

/* Takes out those of rules that are skipped: who gathers does not know of them. */
void vf_findings_drop(struct vf_findings *f, const char *const *skip);
/* By VM in order, the gravest first, then by area and ID; those of no VM come last. */
void vf_findings_sort(struct vf_findings *f);

/* Before a copy (verdict.c): warnings are reported, but for those of the mapping, which tells them
 * by itself; with anything critical it is VF_UNSUPPORTED, with all of that and what helps. */
int vf_findings_report(const struct vf_findings *f, struct vf_reporter *reporter,
                       struct vf_error **err);

/* What helps against it: its own action, else that of its rule. Borrowed. */
const char *vf_finding_action(const struct vf_finding *f);

#endif
