/* VMs that preflight has nothing to say about, to be spoilt one fact at a time. */
#ifndef TESTS_SUPPORT_CHECK_WORLD_H
#define TESTS_SUPPORT_CHECK_WORLD_H

#include "jobs/preflight/judge.h"

#define CHECK_WORLD_VMS 2

struct check_world {
    struct vf_vm vms[CHECK_WORLD_VMS]; /* the first is "web01", on; then "db01", off */
    struct vf_mapping mapping;
    struct vf_import_options import; /* into a folder, unless the test says otherwise */
    struct vf_check_options check;
    struct vf_facts facts;
    struct vf_findings findings;
    const char *const *skip;
};

void check_world_init(struct check_world *w);
void check_world_release(struct check_world *w);

/* What changes a VM; strings are copied. */
void check_world_add_disk(struct vf_vm *vm, const char *file);
void check_world_add_nic(struct vf_vm *vm, const char *mac, const char *network);
void check_world_add_snapshot(struct vf_vm *vm, const char *name, int32_t depth);
void check_world_add_device(struct vf_vm *vm, enum vf_device_kind kind, const char *label);
void check_world_add_guest_disk(struct vf_vm *vm, const char *path, uint64_t free_mib);

/* All rules over all VMs. */
void check_world_judge(struct check_world *w);
/* The first finding with that ID; NULL: none. */
const struct vf_finding *check_world_find(const struct check_world *w, const char *id);

/* One rule: a world that trips it, and one, as near as can be, that does not. */
struct check_case {
    const char *id;
    enum vf_severity severity; /* that is found */
    const char *says;          /* a part of the message, or of the object */
    void (*trip)(struct check_world *w);
    void (*near)(struct check_world *w); /* NULL: the world as it is */
};
/* Judges both; fails the test, with the ID, when they do not do so. */
void check_world_run_case(const struct check_case *c);

#endif
