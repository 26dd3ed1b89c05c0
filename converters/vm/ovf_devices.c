/* Drives and other devices of a VirtualHardwareSection, shares of the host, VMware's boot order. */
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "converters/vm/ovf_names.h"
#include "converters/vm/ovf_parser.h"
#include "importer/base/mem.h"
#include "importer/base/xml.h"

/* vSphere's, so that a drive's key is none of a disk's (its place) or of a NIC's. */
#define FIRST_CDROM_KEY 3000

/* The file of "ovf:/file/ID" or "/file/ID"; NULL: none. */
static const struct vf_ovf_file *host_file(const struct ovf_parser *p, const xmlNode *item)
{
    static const char mark[] = "/file/";
    char *vf_autofree resource = ovf_item_text(item, "HostResource");
    const char *at = resource ? strstr(resource, mark) : NULL;
    for (size_t i = 0; at && i < p->out->n_files; i++) {
        if (strcmp(p->out->files[i].id, at + strlen(mark)) == 0) {
            return &p->out->files[i];
        }
    }
    return NULL;
}

void ovf_add_cdrom(struct ovf_parser *p, const xmlNode *item)
{
    struct vf_vm *vm = &p->out->vm;
    char *vf_autofree parent = ovf_item_text(item, "Parent");
    xmlNode **controller = ovf_find_item(p, parent);
    const struct vf_ovf_file *file = host_file(p, item);
    bool start = vf_xml_child_bool(item, NULL, "AutomaticAllocation", false);
    vm->cdroms = vf_xrealloc_array(vm->cdroms, vm->n_cdroms + 1, sizeof *vm->cdroms);
    vm->cdroms[vm->n_cdroms] = (struct vf_vm_cdrom){
        .label = ovf_item_text(item, "ElementName"),
        .key = FIRST_CDROM_KEY + (int32_t)vm->n_cdroms,
        .kind = file ? VF_CDROM_ISO : VF_CDROM_EMPTY,
        .file = file ? vf_xstrdup(file->href) : NULL,
        .start_connected = start,
        .bus = controller ? ovf_controller_bus(*controller) : VF_BUS_UNKNOWN,
        .bus_number = controller ? ovf_item_small_number(*controller, "Address", 0) : 0,
        .unit_number = ovf_item_small_number(item, "AddressOnParent", (int32_t)vm->n_cdroms)};
    vm->n_cdroms++;
}

static void add_device(struct vf_vm *vm, const xmlNode *item, enum vf_device_kind kind,
                       const char *type)
{
    vm->devices = vf_xrealloc_array(vm->devices, vm->n_devices + 1, sizeof *vm->devices);
    vm->devices[vm->n_devices++] = (struct vf_vm_device){
        .kind = kind, .label = ovf_item_text(item, "ElementName"), .type = vf_xstrdup(type)};
}

static bool has_config(const xmlNode *item, const char *name)
{
    const xmlNode *n = vf_xml_child(item, OVF_NS_VMW, "Config");
    for (; n; n = vf_xml_next(n, OVF_NS_VMW, "Config")) {
        char *vf_autofree key = vf_xml_attr(n, OVF_NS_VMW, "key");
        char *vf_autofree value = vf_xml_attr(n, OVF_NS_VMW, "value");
        if (key && value && strcmp(key, name) == 0) {
            return strcasecmp(value, "true") == 0;
        }
    }
    return false;
}

/* Devices of type "other" go by VMware's ResourceSubType: "vmware.vtpm", "vmware.usb.xhci",
 * "vmware.pcipassthrough...", "vmware.vgpu". */
static void add_by_subtype(struct vf_vm *vm, const xmlNode *item, const char *subtype)
{
    static const struct {
        const char *part;
        enum vf_device_kind kind;
    } known[] = {{"usb", VF_DEVICE_USB_CONTROLLER}, {"vgpu", VF_DEVICE_VGPU},
                 {"vmiop", VF_DEVICE_VGPU},         {"pcipassthrough", VF_DEVICE_PCI_PASSTHROUGH},
                 {"nvdimm", VF_DEVICE_NVDIMM},      {"wdt", VF_DEVICE_WATCHDOG}};
    if (strcasestr(subtype, "vtpm")) {
        vm->has_vtpm = true;
        return;
    }
    for (size_t i = 0; i < sizeof known / sizeof *known; i++) {
        if (strcasestr(subtype, known[i].part)) {
            add_device(vm, item, known[i].kind, subtype);
            return;
        }
    }
}

void ovf_add_device(struct ovf_parser *p, const xmlNode *item, uint64_t type)
{
    static const struct {
        uint64_t type;
        enum vf_device_kind kind;
        const char *name;
    } known[] = {{OVF_RESOURCE_SERIAL, VF_DEVICE_SERIAL, "serial port"},
                 {OVF_RESOURCE_PARALLEL, VF_DEVICE_PARALLEL, "parallel port"},
                 {OVF_RESOURCE_USB, VF_DEVICE_USB_CONTROLLER, "USB controller"},
                 {OVF_RESOURCE_SOUND, VF_DEVICE_SOUND, "sound card"}};
    struct vf_vm *vm = &p->out->vm;
    char *vf_autofree subtype = ovf_item_text(item, "ResourceSubType");
    if (type == OVF_RESOURCE_FLOPPY) {
        if (host_file(p, item)) {
            add_device(vm, item, VF_DEVICE_FLOPPY, subtype ? subtype : "floppy drive");
        }
        return;
    }
    if (type == OVF_RESOURCE_GRAPHICS) {
        if (has_config(item, "enable3DSupport")) {
            add_device(vm, item, VF_DEVICE_3D, subtype ? subtype : "video card");
        }
        return;
    }
    for (size_t i = 0; i < sizeof known / sizeof *known; i++) {
        if (known[i].type == type) {
            add_device(vm, item, known[i].kind, subtype ? subtype : known[i].name);
            return;
        }
    }
    if (subtype) {
        add_by_subtype(vm, item, subtype);
    }
}

/* What `normal` shares are, by vSphere: 1000 a CPU, 10 a MiB; half of it is low, twice high. */
static enum vf_shares shares_level(uint64_t shares, uint64_t normal)
{
    return shares == normal       ? VF_SHARES_NORMAL
           : shares == normal * 2 ? VF_SHARES_HIGH
           : shares * 2 == normal ? VF_SHARES_LOW
                                  : VF_SHARES_CUSTOM;
}

/* Reservation and Limit are in AllocationUnits (CIM_ResourceAllocationSettingData), Weight is in
 * none. */
void ovf_parse_allocation(struct vf_vm_allocation *to, const xmlNode *item, uint64_t unit,
                          uint64_t normal_shares)
{
    uint64_t n;
    if (ovf_item_number(item, "Reservation", &n) &&
        __builtin_mul_overflow(n, unit, &to->reservation)) {
        to->reservation = 0;
    }
    if (ovf_item_number(item, "Limit", &n) && __builtin_mul_overflow(n, unit, &to->limit)) {
        to->limit = VF_NO_LIMIT;
    }
    if (ovf_item_number(item, "Weight", &n) && n > 0 && n <= INT32_MAX) {
        to->shares = (uint32_t)n;
        to->level = shares_level(n, normal_shares);
    }
}

/* The key of the disk or NIC that the item of that InstanceID became. */
static bool find_key(const struct ovf_parser *p, const char *instance, int32_t *ret)
{
    for (size_t i = 0; i < p->n_items; i++) {
        char *vf_autofree id = ovf_item_instance(p->items[i]);
        if (id && strcmp(id, instance) == 0 && p->keys[i] >= 0) {
            *ret = p->keys[i];
            return true;
        }
    }
    return false;
}

/* VMware: one vmw:BootOrderSection for each kind of device, in order, with the InstanceIDs of
 * those of a kind that has several. */
void ovf_parse_boot_order(struct ovf_parser *p)
{
    struct vf_vm *vm = &p->out->vm;
    const xmlNode *section = vf_xml_child(p->system, OVF_NS_VMW, "BootOrderSection");
    for (; section; section = vf_xml_next(section, OVF_NS_VMW, "BootOrderSection")) {
        char *vf_autofree type = vf_xml_attr(section, OVF_NS_VMW, "type");
        char *vf_autofree ids = vf_xml_attr(section, OVF_NS_VMW, "instanceId");
        if (type && strcmp(type, "cdrom") == 0) {
            vm->boot_keys_cdrom_first |= vm->n_boot_keys == 0;
            continue;
        }
        char *rest = ids;
        for (char *id; rest && (id = strsep(&rest, " \t\r\n"));) {
            int32_t key;
            if (vm->n_boot_keys < OVF_MAX_ITEMS && *id && find_key(p, id, &key)) {
                vm->boot_keys =
                    vf_xrealloc_array(vm->boot_keys, vm->n_boot_keys + 1, sizeof *vm->boot_keys);
                vm->boot_keys[vm->n_boot_keys++] = key;
            }
        }
    }
}
