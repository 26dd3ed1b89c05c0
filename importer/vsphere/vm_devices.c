/* Virtual hardware: an array of VirtualDevice, each with its real type in xsi:type. Source: vSphere
 * API reference, VirtualDevice and its descendants. */
#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#include "importer/base/mem.h"
#include "importer/base/xml.h"
#include "importer/vsphere/vim_names.h"
#include "importer/vsphere/vm_draft_private.h"

enum vf_bus vf_controller_bus(const char *type, size_t len)
{
    static const struct {
        const char *type;
        enum vf_bus bus;
    } known[] = {
        {"ParaVirtualSCSIController", VF_BUS_SCSI},    {"VirtualLsiLogicController", VF_BUS_SCSI},
        {"VirtualLsiLogicSASController", VF_BUS_SCSI}, {"VirtualBusLogicController", VF_BUS_SCSI},
        {"VirtualSCSIController", VF_BUS_SCSI},        {"VirtualAHCIController", VF_BUS_SATA},
        {"VirtualSATAController", VF_BUS_SATA},        {"VirtualIDEController", VF_BUS_IDE},
        {"VirtualNVMEController", VF_BUS_NVME},
    };
    for (size_t i = 0; i < sizeof known / sizeof known[0]; i++) {
        if (strlen(known[i].type) == len && memcmp(known[i].type, type, len) == 0) {
            return known[i].bus;
        }
    }
    return VF_BUS_UNKNOWN;
}

bool vf_vm_child_i32(const xmlNode *n, const char *name, int32_t *ret)
{
    int64_t v;
    if (!vf_xml_child_i64(n, VF_VIM_NS, name, &v) || v < INT32_MIN || v > INT32_MAX) {
        return false;
    }
    *ret = (int32_t)v;
    return true;
}

static void add_controller(struct vf_vm_controllers *c, const xmlNode *device, enum vf_bus bus,
                           char *type)
{
    struct vf_vm_controller n = {.bus = bus, .type = type};
    char *vf_autofree sharing = vf_xml_child_text(device, VF_VIM_NS, "sharedBus");
    n.shared = sharing && strcmp(sharing, "noSharing") != 0;
    if (!vf_vm_child_i32(device, "key", &n.key) ||
        !vf_vm_child_i32(device, "busNumber", &n.bus_number)) {
        free(type);
        return; /* no disk can name it */
    }
    c->list = vf_xrealloc_array(c->list, c->n + 1, sizeof c->list[0]);
    c->list[c->n++] = n;
}

static void release_controllers(struct vf_vm_controllers *c)
{
    for (size_t i = 0; i < c->n; i++) {
        free(c->list[i].type);
    }
    free(c->list);
}

const struct vf_vm_controller *vf_vm_find_controller(const struct vf_vm_controllers *c, int32_t key)
{
    for (size_t i = 0; i < c->n; i++) {
        if (c->list[i].key == key) {
            return &c->list[i];
        }
    }
    return NULL;
}

char *vf_vm_device_label(const xmlNode *device)
{
    return vf_xml_child_text(vf_xml_child(device, VF_VIM_NS, "deviceInfo"), VF_VIM_NS, "label");
}

/* A LUN goes by its name on the host, or else by its SCSI identity. */
static void parse_raw_device(struct vf_vm_disk *disk, const xmlNode *backing)
{
    char *vf_autofree mode = vf_xml_child_text(backing, VF_VIM_NS, "compatibilityMode");
    disk->rdm = true;
    disk->rdm_physical = mode && strcmp(mode, "physicalMode") == 0;
    disk->rdm_device = vf_xml_child_text(backing, VF_VIM_NS, "deviceName");
    if (!disk->rdm_device || !*disk->rdm_device) {
        vf_replace_string(&disk->rdm_device, NULL);
        disk->rdm_device = vf_xml_child_text(backing, VF_VIM_NS, "lunUuid");
    }
}

static void parse_backing(struct vf_vm_disk *disk, const xmlNode *backing)
{
    char *vf_autofree type = vf_xml_type(backing);
    char *vf_autofree sharing = vf_xml_child_text(backing, VF_VIM_NS, "sharing");
    disk->file = vf_xml_child_text(backing, VF_VIM_NS, "fileName");
    disk->datastore_moref = vf_xml_child_text(backing, VF_VIM_NS, "datastore");
    disk->mode = vf_xml_child_text(backing, VF_VIM_NS, "diskMode");
    disk->uuid = vf_xml_child_text(backing, VF_VIM_NS, "uuid");
    disk->change_id = vf_xml_child_text(backing, VF_VIM_NS, "changeId");
    disk->encrypted = vf_xml_child(backing, VF_VIM_NS, "keyId") != NULL;
    disk->delta = vf_xml_child(backing, VF_VIM_NS, "parent") != NULL;
    disk->shared = sharing && strcmp(sharing, "sharingMultiWriter") == 0;
    disk->independent = disk->mode && strncmp(disk->mode, "independent", 11) == 0;
    if (type && strstr(type, "RawDisk")) {
        parse_raw_device(disk, backing);
    }
    /* Sparse kinds grow as they are written; flat ones say whether they do. */
    disk->thin = vf_xml_child_bool(backing, VF_VIM_NS, "thinProvisioned", false) ||
                 (type && strstr(type, "Sparse") != NULL);
    if (disk->file && disk->file[0] == '[') {
        disk->datastore = vf_xstrndup(disk->file + 1, strcspn(disk->file + 1, "]"));
    }
}

/* capacityInBytes since 5.5; capacityInKB rounds down. */
static bool parse_capacity(const xmlNode *device, uint64_t *ret)
{
    if (vf_xml_child_u64(device, VF_VIM_NS, "capacityInBytes", ret) && *ret > 0) {
        return *ret <= INT64_MAX;
    }
    uint64_t kb;
    return vf_xml_child_u64(device, VF_VIM_NS, "capacityInKB", &kb) &&
           !__builtin_mul_overflow(kb, UINT64_C(1024), ret) && *ret <= INT64_MAX;
}

static int add_disk(struct vf_vm_draft *d, const xmlNode *device, const struct vf_vm_controllers *c,
                    struct vf_error **err)
{
    struct vf_vm *vm = &d->vm;
    vm->disks = vf_xrealloc_array(vm->disks, vm->n_disks + 1, sizeof vm->disks[0]);
    struct vf_vm_disk *disk = &vm->disks[vm->n_disks++];
    *disk = (struct vf_vm_disk){.bus_number = -1, .unit_number = -1};
    parse_backing(disk, vf_xml_child(device, VF_VIM_NS, "backing"));
    disk->label = vf_vm_device_label(device);
    if (!vf_vm_child_i32(device, "key", &disk->key) ||
        !parse_capacity(device, &disk->capacity_bytes)) {
        return vf_error_set(err, VF_INVALID, "disk \"%s\" has no proper key or capacity",
                            disk->label ? disk->label : "without label");
    }
    vf_vm_child_i32(device, "controllerKey", &disk->controller_key);
    vf_vm_child_i32(device, "unitNumber", &disk->unit_number);
    const struct vf_vm_controller *at = vf_vm_find_controller(c, disk->controller_key);
    if (at) {
        disk->bus = at->bus;
        disk->bus_number = at->bus_number;
        disk->controller_type = vf_xstrdup(at->type);
        disk->shared |= at->shared;
    }
    return 0;
}

/* Models as a person writes them; a card of a type unknown here goes by its type's name. */
static const char *nic_model(const char *type)
{
    static const struct {
        const char *type, *model;
    } known[] = {
        {"VirtualVmxnet3", "vmxnet3"}, {"VirtualVmxnet3Vrdma", "vmxnet3vrdma"},
        {"VirtualVmxnet2", "vmxnet2"}, {"VirtualVmxnet", "vmxnet"},
        {"VirtualE1000", "e1000"},     {"VirtualE1000e", "e1000e"},
        {"VirtualPCNet32", "pcnet32"}, {"VirtualSriovEthernetCard", "sriov"},
    };
    for (size_t i = 0; i < sizeof known / sizeof known[0]; i++) {
        if (strcmp(type, known[i].type) == 0) {
            return known[i].model;
        }
    }
    return type;
}

static void parse_nic_backing(struct vf_nic_backing *to, const xmlNode *backing)
{
    const xmlNode *port = vf_xml_child(backing, VF_VIM_NS, "port");
    to->network = port ? vf_xml_child_text(port, VF_VIM_NS, "portgroupKey")
                       : vf_xml_child_text(backing, VF_VIM_NS, "network");
    to->opaque_id = vf_xml_child_text(backing, VF_VIM_NS, "opaqueNetworkId");
    to->device_name = vf_xml_child_text(backing, VF_VIM_NS, "deviceName");
}

static void add_nic(struct vf_vm_draft *d, const xmlNode *device, const char *type)
{
    struct vf_vm *vm = &d->vm;
    vm->nics = vf_xrealloc_array(vm->nics, vm->n_nics + 1, sizeof vm->nics[0]);
    d->backings = vf_xrealloc_array(d->backings, vm->n_nics + 1, sizeof d->backings[0]);
    struct vf_vm_nic *nic = &vm->nics[vm->n_nics];
    struct vf_nic_backing *backing = &d->backings[vm->n_nics++];
    *nic = (struct vf_vm_nic){.model = vf_xstrdup(nic_model(type))};
    *backing = (struct vf_nic_backing){0};
    vf_vm_child_i32(device, "key", &nic->key);
    nic->label = vf_vm_device_label(device);
    nic->mac = vf_xml_child_text(device, VF_VIM_NS, "macAddress");
    for (char *p = nic->mac; p && *p; p++) {
        *p = *p == '-' ? ':' : (char)tolower((unsigned char)*p);
    }
    if (nic->mac && !*nic->mac) {
        vf_replace_string(&nic->mac, NULL);
    }
    const xmlNode *connectable = vf_xml_child(device, VF_VIM_NS, "connectable");
    nic->connected = vf_xml_child_bool(connectable, VF_VIM_NS, "connected", false);
    nic->start_connected = vf_xml_child_bool(connectable, VF_VIM_NS, "startConnected", false);
    parse_nic_backing(backing, vf_xml_child(device, VF_VIM_NS, "backing"));
}

static int parse_device(struct vf_vm_draft *d, const xmlNode *device,
                        const struct vf_vm_controllers *c, struct vf_error **err)
{
    char *vf_autofree type = vf_xml_type(device);
    if (!type) {
        return 0;
    }
    if (strcmp(type, "VirtualDisk") == 0) {
        return add_disk(d, device, c, err);
    }
    if (strcmp(type, "VirtualCdrom") == 0) {
        vf_vm_draft_add_cdrom(d, device, c);
    } else if (vf_xml_child(device, VF_VIM_NS, "macAddress") || nic_model(type) != type) {
        add_nic(d, device, type); /* VirtualEthernetCard alone has a macAddress */
    } else if (vf_controller_bus(type, strlen(type)) == VF_BUS_UNKNOWN) {
        vf_vm_draft_add_peripheral(d, device, type);
    }
    return 0;
}

int vf_vm_draft_parse_devices(struct vf_vm_draft *d, const xmlNode *devices, struct vf_error **err)
{
    static const char element[] = "VirtualDevice";
    struct vf_vm_controllers c = {0};
    size_t n = 0;
    int rc = 0;
    const xmlNode *dev = vf_xml_child(devices, VF_VIM_NS, element);
    for (; dev && n < VF_VM_MAX_DEVICES; dev = vf_xml_next(dev, VF_VIM_NS, element), n++) {
        char *vf_autofree type = vf_xml_type(dev);
        enum vf_bus bus = type ? vf_controller_bus(type, strlen(type)) : VF_BUS_UNKNOWN;
        if (bus != VF_BUS_UNKNOWN) {
            add_controller(&c, dev, bus, vf_take(type));
        }
    }
    if (dev) {
        rc = vf_error_set(err, VF_RANGE, "the VM has more than %d devices", VF_VM_MAX_DEVICES);
    }
    dev = vf_xml_child(devices, VF_VIM_NS, element);
    for (; dev && rc == 0; dev = vf_xml_next(dev, VF_VIM_NS, element)) {
        rc = parse_device(d, dev, &c, err);
    }
    release_controllers(&c);
    vf_vm_sort_disks(&d->vm);
    vf_vm_sort_cdroms(&d->vm);
    return rc;
}
