/* The table of rules, put together from its parts. */
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "jobs/preflight/rule.h"

#define MAX_RULES 512u

static const struct vf_rule *const parts[] = {
    vf_rules_vm,
    vf_rules_tracking,
    vf_rules_machine,
    vf_rules_disk,
    vf_rules_guest,
    vf_rules_network,
    vf_rules_look,
    vf_rules_mapping,
    vf_rules_source,
    vf_rules_account,
    vf_rules_path,
    vf_rules_target,
    vf_rules_name,
    vf_rules_kubevirt,
    vf_rules_storage,
    vf_rules_quota,
    vf_rules_node,
    vf_rules_dir,
    NULL,
};

static pthread_once_t once = PTHREAD_ONCE_INIT;
static const struct vf_rule *table[MAX_RULES + 1];
static size_t n_rules;

static int compare(const void *a, const void *b)
{
    const struct vf_rule *x = *(const struct vf_rule *const *)a;
    const struct vf_rule *y = *(const struct vf_rule *const *)b;
    return x->area != y->area ? (x->area < y->area ? -1 : 1) : strcmp(x->id, y->id);
}

static void assemble(void)
{
    for (const struct vf_rule *const *part = parts; *part; part++) {
        for (const struct vf_rule *r = *part; r->id; r++) {
            if (n_rules == MAX_RULES) {
                abort();
            }
            table[n_rules++] = r;
        }
    }
    qsort(table, n_rules, sizeof(void *), compare);
}

const struct vf_rule *const *vf_rules_all(void)
{
    pthread_once(&once, assemble);
    return table;
}

const struct vf_rule *vf_rule_find(const char *id)
{
    for (const struct vf_rule *const *r = vf_rules_all(); id && *r; r++) {
        if (strcmp((*r)->id, id) == 0) {
            return *r;
        }
    }
    return NULL;
}
