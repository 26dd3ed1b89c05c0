/* Private to target_facts*.c: the parts of one look at a cluster. */
#ifndef IMPORTER_KUBE_TARGET_FACTS_PRIVATE_H
#define IMPORTER_KUBE_TARGET_FACTS_PRIVATE_H

#include <stdbool.h>
#include <stddef.h>

#include "importer/kube/target_facts.h"

/* The longest text of the cluster's that is kept. */
#define VF_TARGET_MAX_TEXT 253

struct vf_target_look {
    struct vf_kube_client *client;
    const struct vf_target_question *question;
    const struct vf_cancel *cancel;
    struct vf_target_facts *facts;
};

/* What came of one query: 0 and *ret_known, whether it told; a refusal, or a failure of this query
 * alone, is noted as not known ("the nodes: ..."), what is not served is known to be empty. Takes
 * *e over. Other than 0 ends the look. */
int vf_target_judge(struct vf_target_look *l, int rc, struct vf_error **e, const char *what,
                    bool *ret_known, struct vf_error **err);

/* Each object of a kind, in the namespace or in all: told page by page, and judged. `begin` (may be
 * NULL) empties what was told. */
struct vf_target_list {
    const struct vf_kube_resource *resource;
    const char *what; /* "the nodes" */
    bool all_namespaces;
    bool metadata_only;
    void (*begin)(struct vf_target_facts *f);
    void (*each)(struct vf_target_facts *f, const struct vf_target_list *list, const cJSON *item);
};
int vf_target_list(struct vf_target_look *l, const struct vf_target_list *list, bool *ret_known,
                   struct vf_error **err);

/* A text of the cluster's, made fit for messages and bounded; NULL for NULL. Heap. */
char *vf_target_text(const char *text);
/* Appends `s`, which is taken over. */
void vf_target_add_string(char ***strings, size_t *n, char *s);

/* target_facts_machines.c: names, MACs, preferences, instancetypes. */
int vf_target_fetch_machines(struct vf_target_look *l, struct vf_error **err);
/* target_facts_storage.c: classes, capacities, snapshot classes, wishes. */
int vf_target_fetch_storage(struct vf_target_look *l, struct vf_error **err);
/* target_facts_nodes.c */
int vf_target_fetch_nodes(struct vf_target_look *l, struct vf_error **err);
/* target_facts_namespace.c: its labels, quotas, limits, attachments, account, rights. */
int vf_target_fetch_namespace(struct vf_target_look *l, struct vf_error **err);

#endif
