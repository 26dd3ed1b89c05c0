/* The rules of preflight: what would make a VM other than it was, or keep it from getting there,
 * found before anything is touched. One table; help, documentation and findings are made from it.
 *
 * Rules are pure: they look at facts that were gathered before (facts.h), from one VM at a time.
 * What could not be found out is not judged: whoever gathers adds a finding that says so.
 */
#ifndef JOBS_PREFLIGHT_RULE_H
#define JOBS_PREFLIGHT_RULE_H

#include <stdbool.h>
#include <stddef.h>

#include <vmferry/vm.h>

#include "converters/vm/manifest.h"
#include "converters/vm/mapping.h"
#include "jobs/preflight/facts.h"

enum vf_severity {
    VF_INFORMATION, /* worth knowing */
    VF_WARNING,     /* the VM will run, but not as before, or something may go wrong */
    VF_CRITICAL,    /* it would fail, or lose something: nothing is begun */
};

enum vf_rule_area {
    VF_AREA_VM,      /* the source VM: hardware, guest, disks, NICs */
    VF_AREA_SOURCE,  /* vCenter, hosts, datastores, the account's privileges */
    VF_AREA_PATH,    /* what lies between: names, ports, transports */
    VF_AREA_TARGET,  /* the cluster, or the folder */
    VF_AREA_MAPPING, /* what the mapping loses, as vf_concerns tell it */
};

struct vf_finding {
    const struct vf_rule *rule;
    enum vf_severity severity; /* the rule's, unless the case is a milder or graver one */
    char *vm;                  /* name; NULL: not of one VM */
    size_t index;              /* of that VM among facts->vms, since names are not unique */
    char *object;              /* 'disk 1 ("Hard disk 2")', 'host "esx1"'; NULL: the VM itself */
    char *message;             /* what is so, lower case, no full stop */
    char *action;              /* the one thing that helps, if other than the rule's; else NULL */
};

struct vf_findings {
    struct vf_finding *items;
    size_t n_items;
    const char *vm; /* of those that are added; borrowed; NULL: none */
    size_t index;   /* of that VM */
};

/* What a rule looks at. Borrowed. */
struct vf_check {
    const struct vf_check_options *options;
    const struct vf_vm *vm; /* NULL for rules that are `once` */
    size_t index;           /* of the VM among facts->vms */
    const struct vf_facts *facts;
    const struct vf_manifests *manifests; /* of the VM; NULL: they cannot be built (mapping.invalid)
                                           */
    struct vf_findings *findings;
    const struct vf_rule *rule;
};

struct vf_rule {
    const char *id; /* "disk.rdm": area's noun, dot, what; never changes its meaning */
    enum vf_severity severity;
    enum vf_rule_area area;
    const char *looks_at; /* "backing of each disk" */
    const char *message;  /* for documentation: what it means, one sentence without a full stop */
    const char *action;   /* what to do */
    bool folder;          /* of a target that is one, and not of a cluster */
    bool once;            /* of the source or target as a whole, not of each VM */
    bool blind; /* judged also of a VM of which nothing but its state is known; others are not */
    void (*check)(const struct vf_check *c); /* NULL: found by the mapping's concerns, or by whoever
                                                gathers */
};

/* All rules: those of each file (rules_*.c), by area and ID; NULL-terminated. Any thread. */
const struct vf_rule *const *vf_rules_all(void);
const struct vf_rule *vf_rule_find(const char *id); /* NULL: there is none */

/* Parts of the table, each in a file of its own, ending with a row without ID. */
extern const struct vf_rule vf_rules_vm[], vf_rules_tracking[], vf_rules_machine[], vf_rules_disk[],
    vf_rules_guest[], vf_rules_network[], vf_rules_mapping[], vf_rules_source[], vf_rules_account[],
    vf_rules_path[], vf_rules_target[], vf_rules_look[], vf_rules_name[], vf_rules_kubevirt[],
    vf_rules_storage[], vf_rules_quota[], vf_rules_node[], vf_rules_dir[];

/* Add a finding of c->rule with its severity. `object` may be NULL; copied. */
void vf_found(const struct vf_check *c, const char *object, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));
/* The same with another severity and, unless it is NULL, another action. */
void vf_found_as(const struct vf_check *c, enum vf_severity severity, const char *object,
                 const char *action, const char *fmt, ...) __attribute__((format(printf, 5, 6)));
void vf_findings_release(struct vf_findings *f); /* an all-zero struct is fine */

/* "information", "warning", "critical"; "VM", "source", "path", "target", "mapping". */
const char *vf_severity_name(enum vf_severity severity);
const char *vf_rule_area_name(enum vf_rule_area area);

#endif
