#include "converters/vm/concerns.h"

#include <stdlib.h>

#include "importer/base/mem.h"

void vf_concerns_add(struct vf_concerns *c, const char *id, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    c->items = vf_xrealloc_array(c->items, c->n_items + 1, sizeof *c->items);
    c->items[c->n_items++] = (struct vf_concern){.id = id, .text = vf_xvasprintf(fmt, ap)};
    va_end(ap);
}

void vf_concerns_release(struct vf_concerns *c)
{
    for (size_t i = 0; i < c->n_items; i++) {
        free(c->items[i].text);
    }
    free(c->items);
    *c = (struct vf_concerns){0};
}

void vf_vm_concerns(const struct vf_vm *vm, struct vf_concerns *c)
{
    if (vm->has_vtpm) {
        vf_concerns_add(c, "vm.tpm",
                        "the content of the virtual TPM is not carried: have the BitLocker "
                        "recovery key at hand, or suspend BitLocker before");
    }
    if (vm->firmware == VF_FIRMWARE_EFI) {
        vf_concerns_add(c, "vm.efi-variables",
                        "EFI variables are not carried: the guest boots from \\EFI\\BOOT");
    }
    if (vm->n_snapshots) {
        vf_concerns_add(c, "vm.snapshots", "%zu snapshot%s: only the state of the copy is carried",
                        vm->n_snapshots, vm->n_snapshots == 1 ? "" : "s");
    }
    if (vm->cpus == 0) {
        vf_concerns_add(c, "vm.cpu-unknown", "the source does not tell the number of CPUs");
    }
    if (vm->memory_bytes == 0) {
        vf_concerns_add(c, "vm.memory-unknown",
                        "the source does not tell the size of memory: 2Gi is assumed");
    }
}
