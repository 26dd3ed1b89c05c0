#include "jobs/preflight/rights.h"

#include <stddef.h>
#include <string.h>

#define CREATE_SNAPSHOT "VirtualMachine.State.CreateSnapshot"
#define REMOVE_SNAPSHOT "VirtualMachine.State.RemoveSnapshot"
#define CHANGE_TRACKING "VirtualMachine.Config.ChangeTracking"
#define ANNOTATION      "VirtualMachine.Config.Annotation"
#define READ_RANDOM     "VirtualMachine.Provisioning.DiskRandomRead"
#define GET_FILES       "VirtualMachine.Provisioning.GetVmFiles"
#define POWER_OFF       "VirtualMachine.Interact.PowerOff"
#define POWER_ON        "VirtualMachine.Interact.PowerOn"

/* Of VixDiskLib_PrepareForAccess, which reading goes without. */
#define NOT_MOVED "VMware's library cannot keep vSphere from moving the VM while it reads"

const struct vf_right vf_rights[] = {
    {.name = CREATE_SNAPSHOT},
    {.name = REMOVE_SNAPSHOT},
    {.name = CHANGE_TRACKING},
    {.name = POWER_OFF},
    {.name = POWER_ON, .loss = "a source whose cutover failed would stay off"},
    {.name = ANNOTATION, .loss = "the source would not tell in its notes that it was migrated"},
    {.name = READ_RANDOM,
     .loss = "vSphere would not tell what changed, so that each round reads "
             "the disks in full"},
    {.name = "VApp.Export", .transport = VF_TRANSPORT_NFC},
    {.name = "Datastore.Browse", .on_datastore = true, .transport = VF_TRANSPORT_HTTPS},
    {.name = "Datastore.FileManagement", .on_datastore = true, .transport = VF_TRANSPORT_HTTPS},
    {.name = GET_FILES, .transport = VF_TRANSPORT_VDDK},
    {.name = READ_RANDOM, .transport = VF_TRANSPORT_VDDK},
    {.name = "Global.DisableMethods", .transport = VF_TRANSPORT_VDDK, .loss = NOT_MOVED},
    {.name = "Global.EnableMethods", .transport = VF_TRANSPORT_VDDK, .loss = NOT_MOVED},
    {.name = NULL},
};

bool vf_check_may_use(const struct vf_check_options *options, enum vf_transport_kind kind)
{
    const struct vf_transport_options *t = &options->transport;
    if (!options->warm) {
        return kind == VF_TRANSPORT_NFC;
    }
    if (t->kind == VF_TRANSPORT_CDI) {
        return kind == VF_TRANSPORT_VDDK; /* by CDI, as the same user */
    }
    if (t->kind != VF_TRANSPORT_AUTO) {
        return kind == t->kind;
    }
    return kind == VF_TRANSPORT_NFC || kind == VF_TRANSPORT_HTTPS ||
           (kind == VF_TRANSPORT_VDDK && t->vddk_libdir);
}

static bool is(const struct vf_right *r, const char *name)
{
    return strcmp(r->name, name) == 0;
}

enum vf_right_need vf_right_needed(const struct vf_right *r, const struct vf_check_options *options,
                                   const struct vf_vm *vm)
{
    bool running = vm->power == VF_POWER_ON;
    if (r->transport != VF_TRANSPORT_AUTO) {
        return !vf_check_may_use(options, r->transport) ? VF_RIGHT_NONE
               : r->loss                                ? VF_RIGHT_USEFUL
                                                        : VF_RIGHT_TRANSPORT;
    }
    if (is(r, CREATE_SNAPSHOT) || is(r, REMOVE_SNAPSHOT)) {
        return options->warm || running ? VF_RIGHT_MUST : VF_RIGHT_NONE;
    }
    if (!options->warm) {
        return VF_RIGHT_NONE;
    }
    if (is(r, CHANGE_TRACKING)) {
        return vm->cbt_enabled || !vm->cbt_supported ? VF_RIGHT_NONE : VF_RIGHT_MUST;
    }
    if (is(r, POWER_OFF)) {
        return running ? VF_RIGHT_MUST : VF_RIGHT_NONE;
    }
    if (is(r, POWER_ON)) {
        return running ? VF_RIGHT_USEFUL : VF_RIGHT_NONE;
    }
    return VF_RIGHT_USEFUL;
}
