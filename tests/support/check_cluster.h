/* A cluster that preflight has nothing to say about, beside the VMs of check_world. */
#ifndef TESTS_SUPPORT_CHECK_CLUSTER_H
#define TESTS_SUPPORT_CHECK_CLUSTER_H

#include "tests/support/check_world.h"

/* Of an initialised world: namespace "prod", KubeVirt v1.9.0, CDI v1.64.0, the default storage
 * class "fast" (Block, ReadWriteMany), one node; the target is --to pvc. */
void check_cluster_init(struct check_world *w);

struct vf_kube_storage *check_cluster_storage(struct check_world *w); /* of every disk */
void check_cluster_add_name(struct check_world *w, const char *key, const char *import,
                            const char *source_uuid, bool complete, bool warm);
void check_cluster_add_mac(struct check_world *w, const char *mac, const char *owner, bool running);
void check_cluster_add_quota(struct check_world *w, const char *resource, uint64_t hard,
                             uint64_t used);
void check_cluster_add_string(char ***strings, size_t *n, const char *s);
/* "v1.8.2" */
void check_cluster_set_kubevirt(struct check_world *w, const char *version);
void check_cluster_add_gate(struct check_world *w, const char *gate);

/* One rule that looks at the manifest: with the spec of a VirtualMachine's template, JSON. Both are
 * judged for the first VM. */
struct check_manifest_case {
    const char *id;
    enum vf_severity severity;
    const char *says;
    const char *trip_spec, *near_spec;   /* NULL near: the other one */
    void (*trip)(struct check_world *w); /* NULL: the cluster as it is */
    void (*near)(struct check_world *w);
};
void check_cluster_run_case(const struct check_manifest_case *c);

#endif
