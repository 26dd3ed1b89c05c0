/* What a VM loses or needs a person for on its way: sentences for warnings, each with the ID of the
 * preflight rule (jobs/preflight/rules.c) that gives its severity and what to do. */
#ifndef CONVERTERS_VM_CONCERNS_H
#define CONVERTERS_VM_CONCERNS_H

#include <stdbool.h>
#include <stddef.h>

#include <vmferry/vm.h>

struct vf_concern {
    const char *id; /* static */
    char *text;
};

struct vf_concerns {
    struct vf_concern *items;
    size_t n_items;
};

void vf_concerns_add(struct vf_concerns *c, const char *id, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));
void vf_concerns_release(struct vf_concerns *c); /* an all-zero struct is fine */

/* Adds what the model tells of, however it is mapped. */
void vf_vm_concerns(const struct vf_vm *vm, struct vf_concerns *c);

#endif
