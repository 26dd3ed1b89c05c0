#include "jobs/preflight/looks.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "importer/base/mem.h"

bool vf_check_takes_snapshot(const struct vf_check *c)
{
    return c->options->warm || c->vm->power == VF_POWER_ON;
}

char *vf_check_disk_object(const struct vf_vm_disk *d)
{
    return vf_xasprintf("disk %" PRIu32 "%s%s%s", d->position, d->label ? " (\"" : "",
                        d->label ? d->label : "", d->label ? "\")" : "");
}

char *vf_check_nic_object(const struct vf_vm *vm, size_t i)
{
    const char *label = vm->nics[i].label;
    return vf_xasprintf("NIC %zu%s%s%s", i, label ? " (\"" : "", label ? label : "",
                        label ? "\")" : "");
}

bool vf_check_ignores_nic(const struct vf_check *c, size_t i)
{
    const struct vf_mapping *m = vf_check_mapping(c);
    struct vf_network_choice *choices = NULL;
    if (vf_network_map_resolve(m ? &m->networks : NULL, c->vm, &choices, NULL) != 0) {
        return false;
    }
    bool ignored = choices[i].kind == VF_NETWORK_IGNORE;
    vf_network_choices_free(choices, c->vm->n_nics);
    return ignored;
}

bool vf_check_is_told(const struct vf_vm *vm)
{
    return vm->hardware || vm->cpus || vm->memory_bytes || vm->n_disks || vm->n_other_disks ||
           vm->n_nics;
}

unsigned vf_check_hardware(const struct vf_vm *vm)
{
    const char *digits =
        vm->hardware && strncmp(vm->hardware, "vmx-", 4) == 0 ? vm->hardware + 4 : "";
    unsigned long n = strspn(digits, "0123456789") <= 4 ? strtoul(digits, NULL, 10) : 0;
    return (unsigned)n;
}

const struct vf_mapping *vf_check_mapping(const struct vf_check *c)
{
    return c->options->import ? c->options->import->mapping : NULL;
}

const char *vf_check_plural(size_t n)
{
    return n == 1 ? "" : "s";
}
