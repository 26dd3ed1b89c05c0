/* Drives, and the devices that KubeVirt has no counterpart for, or none without a person's
 * decision. Source: vSphere API reference, VirtualDevice and its descendants. */
#include <stdlib.h>
#include <string.h>

#include "importer/base/mem.h"
#include "importer/base/xml.h"
#include "importer/vsphere/vim_names.h"
#include "importer/vsphere/vm_draft_private.h"

/* "[datastore1] iso/debian.iso". An image that was taken out leaves "[]" or "[datastore1]". */
static bool names_file(const char *file)
{
    if (file && file[0] == '[') {
        const char *end = strchr(file, ']');
        file = end ? end + 1 : NULL;
    }
    return file && file[strspn(file, " ")] != '\0';
}

void vf_vm_draft_add_cdrom(struct vf_vm_draft *d, const xmlNode *device,
                           const struct vf_vm_controllers *c)
{
    struct vf_vm *vm = &d->vm;
    vm->cdroms = vf_xrealloc_array(vm->cdroms, vm->n_cdroms + 1, sizeof vm->cdroms[0]);
    struct vf_vm_cdrom *cd = &vm->cdroms[vm->n_cdroms++];
    *cd = (struct vf_vm_cdrom){.bus_number = -1, .unit_number = -1};
    cd->label = vf_vm_device_label(device);
    vf_vm_child_i32(device, "key", &cd->key);
    vf_vm_child_i32(device, "unitNumber", &cd->unit_number);
    const xmlNode *backing = vf_xml_child(device, VF_VIM_NS, "backing");
    char *vf_autofree type = vf_xml_type(backing);
    char *vf_autofree file = vf_xml_child_text(backing, VF_VIM_NS, "fileName");
    if (type && strcmp(type, "VirtualCdromIsoBackingInfo") == 0 && names_file(file)) {
        cd->kind = VF_CDROM_ISO;
        cd->file = vf_take(file);
        if (cd->file[0] == '[') {
            cd->datastore = vf_xstrndup(cd->file + 1, strcspn(cd->file + 1, "]"));
        }
    }
    const xmlNode *connectable = vf_xml_child(device, VF_VIM_NS, "connectable");
    cd->connected = vf_xml_child_bool(connectable, VF_VIM_NS, "connected", false);
    cd->start_connected = vf_xml_child_bool(connectable, VF_VIM_NS, "startConnected", false);
    int32_t controller;
    const struct vf_vm_controller *at = vf_vm_child_i32(device, "controllerKey", &controller)
                                            ? vf_vm_find_controller(c, controller)
                                            : NULL;
    if (at) {
        cd->bus = at->bus;
        cd->bus_number = at->bus_number;
    }
}

/* What every VM has, or what carries something that is looked at for itself. */
static bool is_usual(const char *type)
{
    static const char *const usual[] = {
        "VirtualPCIController",    "VirtualPS2Controller",
        "VirtualSIOController",    "VirtualKeyboard",
        "VirtualPointingDevice",   "VirtualMachineVMCIDevice",
        "VirtualNVDIMMController", "VirtualMachineVideoCard",
        "VirtualFloppy",           "VirtualTPM",
    };
    for (size_t i = 0; i < sizeof usual / sizeof usual[0]; i++) {
        if (strcmp(type, usual[i]) == 0) {
            return true;
        }
    }
    return false;
}

static bool has_image(const xmlNode *device)
{
    const xmlNode *backing = vf_xml_child(device, VF_VIM_NS, "backing");
    char *vf_autofree file = vf_xml_child_text(backing, VF_VIM_NS, "fileName");
    return names_file(file);
}

static bool is_vgpu(const xmlNode *device)
{
    char *vf_autofree type = vf_xml_type(vf_xml_child(device, VF_VIM_NS, "backing"));
    return type && strcmp(type, "VirtualPCIPassthroughVmiopBackingInfo") == 0;
}

/* OTHER for what a later vSphere may have: a person should know that it stays behind. */
static enum vf_device_kind kind_of(const xmlNode *device, const char *type)
{
    static const struct {
        const char *type;
        enum vf_device_kind kind;
    } known[] = {
        {"VirtualPCIPassthrough", VF_DEVICE_PCI_PASSTHROUGH},
        {"VirtualUSBController", VF_DEVICE_USB_CONTROLLER},
        {"VirtualUSBXHCIController", VF_DEVICE_USB_CONTROLLER},
        {"VirtualUSB", VF_DEVICE_USB},
        {"VirtualSerialPort", VF_DEVICE_SERIAL},
        {"VirtualParallelPort", VF_DEVICE_PARALLEL},
        {"VirtualFloppy", VF_DEVICE_FLOPPY},
        {"VirtualSoundCard", VF_DEVICE_SOUND},
        {"VirtualHdAudioCard", VF_DEVICE_SOUND},
        {"VirtualEnsoniq1371", VF_DEVICE_SOUND},
        {"VirtualSoundBlaster16", VF_DEVICE_SOUND},
        {"VirtualNVDIMM", VF_DEVICE_NVDIMM},
        {"VirtualWDT", VF_DEVICE_WATCHDOG},
        {"VirtualMachineVideoCard", VF_DEVICE_3D},
    };
    for (size_t i = 0; i < sizeof known / sizeof known[0]; i++) {
        if (strcmp(type, known[i].type) == 0) {
            return known[i].kind == VF_DEVICE_PCI_PASSTHROUGH && is_vgpu(device) ? VF_DEVICE_VGPU
                                                                                 : known[i].kind;
        }
    }
    return VF_DEVICE_OTHER;
}

static bool matters(const xmlNode *device, const char *type)
{
    if (strcmp(type, "VirtualMachineVideoCard") == 0) {
        return vf_xml_child_bool(device, VF_VIM_NS, "enable3DSupport", false);
    }
    if (strcmp(type, "VirtualFloppy") == 0) {
        return has_image(device);
    }
    return !is_usual(type);
}

void vf_vm_draft_add_peripheral(struct vf_vm_draft *d, const xmlNode *device, const char *type)
{
    struct vf_vm *vm = &d->vm;
    if (strcmp(type, "VirtualTPM") == 0) {
        vm->has_vtpm = true;
    }
    if (!matters(device, type)) {
        return;
    }
    vm->devices = vf_xrealloc_array(vm->devices, vm->n_devices + 1, sizeof vm->devices[0]);
    vm->devices[vm->n_devices++] = (struct vf_vm_device){.kind = kind_of(device, type),
                                                         .label = vf_vm_device_label(device),
                                                         .type = vf_xstrdup(type)};
}
