/* VirtualHardwareSection: Items as CIM_ResourceAllocationSettingData, and VMware's Config keys. */
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "converters/vm/ovf_names.h"
#include "converters/vm/ovf_parser.h"
#include "importer/base/mem.h"
#include "importer/base/xml.h"

/* vSphere's, so that the key of a NIC is none of a disk's, which is its place. */
#define FIRST_NIC_KEY 4000

/* OVF 2 has StorageItem and EthernetPortItem beside Item, of the same child names in namespaces of
 * their own: so children are found by local name. */
char *ovf_item_text(const xmlNode *item, const char *name)
{
    char *text = vf_xml_child_text(item, NULL, name);
    if (text && !*text) {
        free(text);
        text = NULL;
    }
    return text;
}

bool ovf_item_number(const xmlNode *item, const char *name, uint64_t *ret)
{
    char *vf_autofree text = ovf_item_text(item, name);
    return text && ovf_parse_number(text, ret);
}

int32_t ovf_item_small_number(const xmlNode *item, const char *name, int32_t otherwise)
{
    uint64_t v;
    return ovf_item_number(item, name, &v) && v <= INT16_MAX ? (int32_t)v : otherwise;
}

static uint64_t item_type(const xmlNode *item)
{
    uint64_t v = 0;
    return ovf_item_number(item, "ResourceType", &v) ? v : 0;
}

/* InstanceId is how drafts of the standard spelled it. */
char *ovf_item_instance(const xmlNode *item)
{
    char *id = ovf_item_text(item, "InstanceID");
    return id ? id : ovf_item_text(item, "InstanceId");
}

/* An item with a bound "min" or "max" limits what a person may choose (DSP0243, section 8.4). */
static bool is_item(const xmlNode *n)
{
    if (!vf_xml_is(n, NULL, "Item") && !vf_xml_is(n, NULL, "StorageItem") &&
        !vf_xml_is(n, NULL, "EthernetPortItem")) {
        return false;
    }
    char *vf_autofree bound = ovf_attr(n, "bound");
    return !bound || strcmp(bound, "normal") == 0;
}

/* `list`: ids between blanks. */
static bool list_has(const char *list, const char *id)
{
    size_t len = strlen(id);
    while (*list) {
        list += strspn(list, " \t\r\n");
        size_t n = strcspn(list, " \t\r\n");
        if (n == len && strncmp(list, id, n) == 0) {
            return true;
        }
        list += n;
    }
    return false;
}

xmlNode **ovf_find_item(const struct ovf_parser *p, const char *instance)
{
    for (size_t i = 0; instance && i < p->n_items; i++) {
        char *vf_autofree other = ovf_item_instance(p->items[i]);
        if (other && strcmp(other, instance) == 0) {
            return &p->items[i];
        }
    }
    return NULL;
}

/* An item of the chosen configuration stands in for the one of its InstanceID (DSP0243, section
 * 9.8); items of other configurations do not exist. */
static int collect_items(struct ovf_parser *p, bool of_configuration, struct vf_error **err)
{
    for (xmlNode *n = p->hardware->children; n; n = n->next) {
        if (!is_item(n)) {
            continue;
        }
        char *vf_autofree configuration = ovf_attr(n, "configuration");
        if ((configuration != NULL) != of_configuration ||
            (configuration && (!p->configuration || !list_has(configuration, p->configuration)))) {
            continue;
        }
        char *vf_autofree instance = ovf_item_instance(n);
        xmlNode **old = of_configuration ? ovf_find_item(p, instance) : NULL;
        if (old) {
            *old = n;
            continue;
        }
        if (p->n_items == OVF_MAX_ITEMS) {
            return vf_error_set(err, VF_INVALID, "more than %d items", OVF_MAX_ITEMS);
        }
        p->items = vf_xrealloc_array(p->items, p->n_items + 1, sizeof(xmlNode *));
        p->items[p->n_items++] = n;
    }
    return 0;
}

/* "hertz * 10^6", "MHz": what VMware and VirtualBox write. */
static bool counts_megahertz(const xmlNode *item)
{
    char *vf_autofree units = ovf_item_text(item, "AllocationUnits");
    return !units || strcasestr(units, "10^6") || strcasestr(units, "megahertz") ||
           strcasecmp(units, "MHz") == 0;
}

static int parse_cpu(struct vf_vm *vm, const xmlNode *item, struct vf_error **err)
{
    uint64_t n;
    if (!ovf_item_number(item, "VirtualQuantity", &n) || n == 0 || n > OVF_MAX_CPUS) {
        return vf_error_set(err, VF_RANGE, "the number of CPUs is absent or absurd");
    }
    vm->cpus = (uint32_t)n;
    if (counts_megahertz(item)) {
        ovf_parse_allocation(&vm->cpu_allocation, item, 1, 1000 * n);
    }
    if (ovf_item_number(item, "CoresPerSocket", &n)) {
        if (n == 0 || n > OVF_MAX_CPUS) {
            return vf_error_set(err, VF_RANGE, "the number of cores per socket is absurd");
        }
        vm->cores_per_socket = (uint32_t)n;
    }
    return 0;
}

static int parse_memory(struct vf_vm *vm, const xmlNode *item, struct vf_error **err)
{
    char *vf_autofree units = ovf_item_text(item, "AllocationUnits");
    uint64_t factor;
    int rc = vf_ovf_parse_units(units, &factor, err);
    if (rc) {
        return rc;
    }
    uint64_t n;
    if (!ovf_item_number(item, "VirtualQuantity", &n) || __builtin_mul_overflow(n, factor, &n) ||
        n < OVF_MIN_MEMORY_BYTES || n > OVF_MAX_MEMORY_BYTES) {
        return vf_error_set(err, VF_RANGE, "the size of memory is absent or absurd");
    }
    vm->memory_bytes = n;
    ovf_parse_allocation(&vm->memory_allocation, item, factor, (n >> 20) * 10);
    return 0;
}

enum vf_bus ovf_controller_bus(const xmlNode *controller)
{
    char *vf_autofree subtype = ovf_item_text(controller, "ResourceSubType");
    switch (item_type(controller)) {
    case OVF_RESOURCE_IDE:
        return VF_BUS_IDE;
    case OVF_RESOURCE_SCSI:
        return VF_BUS_SCSI;
    case OVF_RESOURCE_STORAGE:
        if (subtype && strcasestr(subtype, "nvme")) {
            return VF_BUS_NVME;
        }
        if (subtype && (strcasestr(subtype, "ahci") || strcasestr(subtype, "sata"))) {
            return VF_BUS_SATA;
        }
        /* VirtualBox calls its SAS and virtio controllers so */
        return subtype ? VF_BUS_SCSI : VF_BUS_UNKNOWN;
    default:
        return VF_BUS_UNKNOWN;
    }
}

/* Whether a file fills another disk already: forward reading gives each file once. */
static bool is_file_taken(const struct ovf_parser *p, const char *href)
{
    for (size_t i = 0; href && i < p->n_disks; i++) {
        if (p->disks[i].attached && p->disks[i].file_href &&
            strcmp(p->disks[i].file_href, href) == 0) {
            return true;
        }
    }
    return false;
}

/* The disk of "ovf:/disk/ID" or "/disk/ID". An empty one may be had several times, each its own. */
static int find_disk(struct ovf_parser *p, const char *resource, const struct ovf_disk **ret_disk,
                     struct vf_error **err)
{
    const char *at = strstr(resource, "/disk/");
    if (!at) {
        return vf_error_set(err, VF_INVALID, "it refers to \"%s\", which is no disk of the package",
                            resource);
    }
    const char *id = at + strlen("/disk/");
    for (size_t i = 0; i < p->n_disks; i++) {
        struct ovf_disk *d = &p->disks[i];
        if (strcmp(d->id, id) == 0) {
            if (is_file_taken(p, d->file_href)) {
                return vf_error_set(err, VF_UNSUPPORTED, "the file of disk \"%s\" fills two disks",
                                    id);
            }
            d->attached = true;
            *ret_disk = d;
            return 0;
        }
    }
    return vf_error_set(err, VF_INVALID, "there is no disk \"%s\"", id);
}

/* An item that refers to no disk asks for an empty one. */
static int parse_empty_disk(const xmlNode *item, uint64_t *ret_bytes, struct vf_error **err)
{
    char *vf_autofree units = ovf_item_text(item, "AllocationUnits");
    uint64_t factor;
    int rc = vf_ovf_parse_units(units, &factor, err);
    if (rc) {
        return rc;
    }
    uint64_t n;
    if (!ovf_item_number(item, "VirtualQuantity", &n)) {
        return vf_error_set(err, VF_INVALID, "it refers to no disk of the package");
    }
    if (__builtin_mul_overflow(n, factor, &n) || n == 0 || n > OVF_MAX_DISK_BYTES || n % 512) {
        return vf_error_set(err, VF_RANGE, "its quantity is no size of a disk");
    }
    *ret_bytes = n;
    return 0;
}

static int add_disk(struct ovf_parser *p, const xmlNode *item, struct vf_error **err)
{
    struct vf_vm *vm = &p->out->vm;
    struct ovf_disk empty = {0};
    const struct ovf_disk *from = &empty;
    char *vf_autofree resource = ovf_item_text(item, "HostResource");
    int rc = resource ? find_disk(p, resource, &from, err)
                      : parse_empty_disk(item, &empty.capacity_bytes, err);
    if (rc) {
        return rc;
    }
    char *vf_autofree parent = ovf_item_text(item, "Parent");
    xmlNode **controller = ovf_find_item(p, parent);
    vm->disks = vf_xrealloc_array(vm->disks, vm->n_disks + 1, sizeof *vm->disks);
    vm->disks[vm->n_disks] = (struct vf_vm_disk){
        .label = ovf_item_text(item, "ElementName"),
        .key = (int32_t)vm->n_disks,
        .source_id = vf_xstrdup(from->id),
        .file = vf_xstrdup(from->file_href),
        .capacity_bytes = from->capacity_bytes,
        .used_bytes = from->populated_bytes,
        .bus = controller ? ovf_controller_bus(*controller) : VF_BUS_UNKNOWN,
        .controller_type = controller ? ovf_item_text(*controller, "ResourceSubType") : NULL,
        .bus_number = controller ? ovf_item_small_number(*controller, "Address", 0) : 0,
        .unit_number = ovf_item_small_number(item, "AddressOnParent", (int32_t)vm->n_disks)};
    vm->provisioned_bytes += from->capacity_bytes;
    vm->n_disks++;
    return 0;
}

/* Six bytes as "00:50:56:9a:11:02", "00-50-..." or "0050569a1102"; heap, NULL for anything else. */
static char *parse_mac(const char *s)
{
    char hex[13] = "";
    size_t n = 0;
    for (; s && *s; s++) {
        if (strchr("0123456789abcdefABCDEF", *s)) {
            if (n == 12) {
                return NULL;
            }
            hex[n++] = (char)(*s >= 'A' && *s <= 'F' ? *s - 'A' + 'a' : *s);
        } else if (!strchr(":-", *s) || n % 2) {
            return NULL;
        }
    }
    if (n != 12) {
        return NULL;
    }
    return vf_xasprintf("%.2s:%.2s:%.2s:%.2s:%.2s:%.2s", hex, hex + 2, hex + 4, hex + 6, hex + 8,
                        hex + 10);
}

static void add_nic(struct vf_vm *vm, const xmlNode *item)
{
    char *vf_autofree address = ovf_item_text(item, "Address");
    char *model = ovf_item_text(item, "ResourceSubType");
    if (model) { /* several may be offered */
        model[strcspn(model, " \t\r\n")] = '\0';
        for (char *c = model; *c; c++) {
            *c = (char)(*c >= 'A' && *c <= 'Z' ? *c - 'A' + 'a' : *c);
        }
    }
    vm->nics = vf_xrealloc_array(vm->nics, vm->n_nics + 1, sizeof *vm->nics);
    vm->nics[vm->n_nics] = (struct vf_vm_nic){
        .label = ovf_item_text(item, "ElementName"),
        .key = FIRST_NIC_KEY + (int32_t)vm->n_nics,
        .mac = parse_mac(address),
        .model = model,
        .network = ovf_item_text(item, "Connection"),
        .start_connected = vf_xml_child_bool(item, NULL, "AutomaticAllocation", true)};
    vm->n_nics++;
}

static int parse_item(struct ovf_parser *p, size_t i, struct vf_error **err)
{
    struct vf_vm *vm = &p->out->vm;
    const xmlNode *item = p->items[i];
    uint64_t type = item_type(item);
    int rc;
    p->keys[i] = -1;
    switch (type) {
    case OVF_RESOURCE_CPU:
        return parse_cpu(vm, item, err);
    case OVF_RESOURCE_MEMORY:
        return parse_memory(vm, item, err);
    case OVF_RESOURCE_DISK:
        rc = add_disk(p, item, err);
        p->keys[i] = rc ? -1 : vm->disks[vm->n_disks - 1].key;
        return rc;
    case OVF_RESOURCE_ETHERNET:
        add_nic(vm, item);
        p->keys[i] = vm->nics[vm->n_nics - 1].key;
        return 0;
    case OVF_RESOURCE_CD:
    case OVF_RESOURCE_DVD:
        ovf_add_cdrom(p, item);
        return 0;
    default:
        ovf_add_device(p, item, type);
        return 0;
    }
}

static enum vf_tristate tristate(const char *value)
{
    return strcasecmp(value, "true") == 0 ? VF_YES : VF_NO;
}

/* vmw:Config carries fields of vSphere's VirtualMachineConfigSpec, vmw:ExtraConfig lines of a VMX
 * file. */
static void parse_config(struct vf_vm *vm, const xmlNode *n)
{
    char *vf_autofree key = vf_xml_attr(n, OVF_NS_VMW, "key");
    char *vf_autofree value = vf_xml_attr(n, OVF_NS_VMW, "value");
    if (!key || !value) {
        return;
    }
    bool yes = tristate(value) == VF_YES;
    if (strcmp(key, "firmware") == 0) {
        vm->firmware = strcasecmp(value, "efi") == 0 ? VF_FIRMWARE_EFI : VF_FIRMWARE_BIOS;
    } else if (strcmp(key, "bootOptions.efiSecureBootEnabled") == 0 ||
               strncmp(key, "uefi.secureBoot", strlen("uefi.secureBoot")) == 0) {
        vm->secure_boot = yes;
    } else if (strcmp(key, "cpuHotAddEnabled") == 0) {
        vm->cpu_hot_add = tristate(value);
    } else if (strcmp(key, "cpuHotRemoveEnabled") == 0) {
        vm->cpu_hot_remove = yes;
    } else if (strcmp(key, "numa.nodeAffinity") == 0) {
        vm->numa_affinity = *value != '\0';
    } else if (strcmp(key, "sched.cpu.affinity") == 0) {
        vm->cpu_affinity = *value != '\0' && strcasecmp(value, "all") != 0;
    } else if (strcmp(key, "sched.cpu.latencySensitivity") == 0) {
        vf_replace_string(&vm->latency, value);
    } else if (strcmp(key, "memoryHotAddEnabled") == 0) {
        vm->memory_hot_add = tristate(value);
    } else if (strcmp(key, "nestedHVEnabled") == 0) {
        vm->nested_hv = yes;
    }
}

static void parse_firmware(struct ovf_parser *p)
{
    struct vf_vm *vm = &p->out->vm;
    char *vf_autofree type =
        vf_xml_text(vf_xml_path(p->hardware, NULL, "System", "VirtualSystemType", (char *)NULL));
    const char *vmx = type ? strstr(type, "vmx-") : NULL;
    if (vmx) {
        vm->hardware = vf_xstrndup(vmx, strcspn(vmx, " ,\t\r\n"));
        vm->firmware = VF_FIRMWARE_BIOS; /* what VMware leaves out */
    }
    for (const xmlNode *n = p->hardware->children; n; n = n->next) {
        if (vf_xml_is(n, OVF_NS_VMW, "Config") || vf_xml_is(n, OVF_NS_VMW, "ExtraConfig")) {
            parse_config(vm, n);
        }
    }
    const xmlNode *firmware = vf_xml_path(p->system, NULL, "Machine", "Hardware", "Firmware",
                                          (char *)NULL); /* VirtualBox */
    char *vf_autofree kind = firmware ? vf_xml_attr(firmware, NULL, "type") : NULL;
    if (kind) {
        vm->firmware = strncasecmp(kind, "EFI", 3) == 0 ? VF_FIRMWARE_EFI : VF_FIRMWARE_BIOS;
    }
    vm->secure_boot &= vm->firmware == VF_FIRMWARE_EFI;
}

int ovf_parse_hardware(struct ovf_parser *p, struct vf_error **err)
{
    p->hardware = vf_xml_child(p->system, NULL, "VirtualHardwareSection");
    if (!p->hardware) {
        return vf_error_set(err, VF_INVALID, "the virtual machine has no hardware section");
    }
    int rc = collect_items(p, false, err);
    rc = rc ? rc : collect_items(p, true, err);
    p->keys = vf_xcalloc(p->n_items, sizeof *p->keys);
    for (size_t i = 0; rc == 0 && i < p->n_items; i++) {
        rc = parse_item(p, i, err);
        if (rc) {
            char *vf_autofree name = ovf_item_text(p->items[i], "ElementName");
            return vf_error_wrap(err, rc, "item \"%s\"", name ? name : "");
        }
    }
    if (rc) {
        return rc;
    }
    for (size_t i = 0; i < p->n_disks; i++) {
        if (!p->disks[i].attached) {
            vf_concerns_add(&p->out->concerns, "disk.unattached",
                            "disk \"%s\" is attached to nothing: left out", p->disks[i].id);
        }
    }
    parse_firmware(p);
    ovf_parse_boot_order(p);
    vf_vm_sort_disks(&p->out->vm);
    vf_vm_sort_cdroms(&p->out->vm);
    return 0;
}
