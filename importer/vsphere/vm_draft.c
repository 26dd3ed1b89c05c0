#include "importer/vsphere/vm_draft.h"

#include <stdlib.h>
#include <string.h>

#include "importer/base/mem.h"
#include "importer/base/xml.h"
#include "importer/vsphere/snapshot_tree.h"
#include "importer/vsphere/soap.h"
#include "importer/vsphere/version.h"
#include "importer/vsphere/vim_names.h"

void vf_vm_draft_init(struct vf_vm_draft *d)
{
    *d = (struct vf_vm_draft){0};
    vf_vm_init(&d->vm);
}

static void release_backings(struct vf_vm_draft *d)
{
    for (size_t i = 0; i < d->vm.n_nics && d->backings; i++) {
        free(d->backings[i].network);
        free(d->backings[i].opaque_id);
        free(d->backings[i].device_name);
    }
    free(d->backings);
    d->backings = NULL;
}

struct vf_vm vf_vm_draft_take(struct vf_vm_draft *d)
{
    release_backings(d);
    struct vf_vm vm = d->vm;
    vf_vm_init(&d->vm);
    vf_vm_draft_release(d);
    return vm;
}

void vf_vm_draft_release(struct vf_vm_draft *d)
{
    release_backings(d);
    free(d->parent);
    free(d->parent_vapp);
    free(d->host);
    vf_vm_release(&d->vm);
    vf_vm_draft_init(d);
}

static void set_string(char **to, const xmlNode *val)
{
    vf_replace_string(to, NULL);
    *to = vf_xml_text(val);
    if (*to && !**to) {
        vf_replace_string(to, NULL);
    }
}

static bool get_bool(const xmlNode *val)
{
    char *vf_autofree s = vf_xml_text(val);
    return s && (strcmp(s, "true") == 0 || strcmp(s, "1") == 0);
}

static int get_u32(const xmlNode *val, const char *path, uint32_t *ret, struct vf_error **err)
{
    char *vf_autofree s = vf_xml_text(val);
    char *end = NULL;
    unsigned long long v = s && *s >= '0' && *s <= '9' ? strtoull(s, &end, 10) : 0;
    if (!end || *end || v > INT32_MAX) {
        return vf_error_set(err, VF_INVALID, "property %s is no number", path);
    }
    *ret = (uint32_t)v;
    return 0;
}

enum vf_power vf_power_parse(const xmlNode *val)
{
    char *vf_autofree s = vf_xml_text(val);
    if (!s) {
        return VF_POWER_UNKNOWN;
    }
    return strcmp(s, "poweredOn") == 0    ? VF_POWER_ON
           : strcmp(s, "poweredOff") == 0 ? VF_POWER_OFF
           : strcmp(s, "suspended") == 0  ? VF_POWER_SUSPENDED
                                          : VF_POWER_UNKNOWN;
}

static enum vf_firmware parse_firmware(const xmlNode *val)
{
    char *vf_autofree s = vf_xml_text(val);
    if (!s) {
        return VF_FIRMWARE_UNKNOWN;
    }
    return strcmp(s, "bios") == 0  ? VF_FIRMWARE_BIOS
           : strcmp(s, "efi") == 0 ? VF_FIRMWARE_EFI
                                   : VF_FIRMWARE_UNKNOWN;
}

/* VirtualMachineStorageSummary: committed is what the files take, uncommitted what they may grow
 * by. */
static void parse_storage(struct vf_vm *vm, const xmlNode *val)
{
    uint64_t committed = 0, uncommitted = 0;
    vf_xml_child_u64(val, VF_VIM_NS, "committed", &committed);
    vf_xml_child_u64(val, VF_VIM_NS, "uncommitted", &uncommitted);
    vm->used_bytes = committed;
    if (__builtin_add_overflow(committed, uncommitted, &vm->provisioned_bytes)) {
        vm->provisioned_bytes = UINT64_MAX;
    }
}

static int add_snapshot(void *opaque, const xmlNode *tree, int depth, struct vf_error **err)
{
    struct vf_vm *vm = opaque;
    char *moref = vf_xml_child_text(tree, VF_VIM_NS, "snapshot");
    if (!moref) {
        return vf_error_set(err, VF_INVALID, "a snapshot came without reference");
    }
    vm->snapshots = vf_xrealloc_array(vm->snapshots, vm->n_snapshots + 1, sizeof vm->snapshots[0]);
    struct vf_vm_snapshot *s = &vm->snapshots[vm->n_snapshots++];
    *s = (struct vf_vm_snapshot){
        .moref = moref,
        .name = vf_xml_child_text(tree, VF_VIM_NS, "name"),
        .description = vf_xml_child_text(tree, VF_VIM_NS, "description"),
        .quiesced = vf_xml_child_bool(tree, VF_VIM_NS, "quiesced", false),
        .depth = depth,
    };
    vf_soap_unescape_name(s->name);
    return 0;
}

static uint64_t file_size(const xmlNode *layout, int64_t key)
{
    const xmlNode *file = vf_xml_child(layout, VF_VIM_NS, "file");
    for (; file; file = vf_xml_next(file, VF_VIM_NS, "file")) {
        int64_t k;
        uint64_t size;
        if (vf_xml_child_i64(file, VF_VIM_NS, "key", &k) && k == key &&
            vf_xml_child_u64(file, VF_VIM_NS, "size", &size)) {
            return size;
        }
    }
    return 0;
}

static uint64_t chain_size(const xmlNode *layout, const xmlNode *disk)
{
    uint64_t sum = 0;
    const xmlNode *unit = vf_xml_child(disk, VF_VIM_NS, "chain");
    for (; unit; unit = vf_xml_next(unit, VF_VIM_NS, "chain")) {
        const xmlNode *key = vf_xml_child(unit, VF_VIM_NS, "fileKey");
        for (; key; key = vf_xml_next(key, VF_VIM_NS, "fileKey")) {
            char *vf_autofree s = vf_xml_text(key);
            uint64_t size = s ? file_size(layout, strtoll(s, NULL, 10)) : 0;
            if (__builtin_add_overflow(sum, size, &sum)) {
                return UINT64_MAX;
            }
        }
    }
    return sum;
}

/* VirtualMachineFileLayoutEx: each disk's chain of files, base first. */
static void parse_layout(struct vf_vm *vm, const xmlNode *layout)
{
    const xmlNode *disk = vf_xml_child(layout, VF_VIM_NS, "disk");
    for (; disk; disk = vf_xml_next(disk, VF_VIM_NS, "disk")) {
        int64_t key;
        if (!vf_xml_child_i64(disk, VF_VIM_NS, "key", &key)) {
            continue;
        }
        for (size_t i = 0; i < vm->n_disks; i++) {
            if (vm->disks[i].key == key) {
                vm->disks[i].used_bytes = chain_size(layout, disk);
            }
        }
    }
}

enum property_kind {
    P_NAME,
    P_STRING,
    P_BOOL,
    P_TRISTATE,
    P_U32,
    P_MEMORY_MB,
    P_POWER,
    P_FIRMWARE,
    P_TOOLS,
    P_STORAGE,
    P_SNAPSHOT,
    P_DEVICES,
    P_LATER, /* once the devices are known */
};

#define AT(field) offsetof(struct vf_vm_draft, field)

/* One row for each property asked for. `since` is the API version that knows it; a server older
 * than that would refuse the whole query. Source: vSphere API reference, VirtualMachine. */
static const struct property {
    const char *path;
    enum property_kind kind;
    size_t offset;
    enum vf_vm_detail detail;
    const char *since;
} properties[] = {
    {"name", P_NAME, AT(vm.name), VF_VM_BRIEF, "4.0"},
    {"parent", P_STRING, AT(parent), VF_VM_BRIEF, "4.0"},
    {"parentVApp", P_STRING, AT(parent_vapp), VF_VM_BRIEF, "4.0"},
    {"runtime.powerState", P_POWER, 0, VF_VM_BRIEF, "4.0"},
    {"config.template", P_BOOL, AT(vm.template), VF_VM_BRIEF, "4.0"},
    {"config.instanceUuid", P_STRING, AT(vm.instance_uuid), VF_VM_BRIEF, "4.0"},
    {"runtime.host", P_STRING, AT(host), VF_VM_FULL, "4.0"},
    {"runtime.consolidationNeeded", P_BOOL, AT(vm.consolidation_needed), VF_VM_FULL, "5.0"},
    {"config.uuid", P_STRING, AT(vm.bios_uuid), VF_VM_FULL, "4.0"},
    {"config.guestId", P_STRING, AT(vm.guest_id), VF_VM_FULL, "4.0"},
    {"config.guestFullName", P_STRING, AT(vm.guest_name), VF_VM_FULL, "4.0"},
    {"config.version", P_STRING, AT(vm.hardware), VF_VM_FULL, "4.0"},
    {"config.annotation", P_STRING, AT(vm.annotation), VF_VM_FULL, "4.0"},
    {"config.firmware", P_FIRMWARE, 0, VF_VM_FULL, "5.0"},
    {"config.bootOptions.efiSecureBootEnabled", P_BOOL, AT(vm.secure_boot), VF_VM_FULL, "6.5"},
    {"config.changeTrackingEnabled", P_BOOL, AT(vm.cbt_enabled), VF_VM_FULL, "4.0"},
    {"config.nestedHVEnabled", P_BOOL, AT(vm.nested_hv), VF_VM_FULL, "5.1"},
    {"config.cpuHotAddEnabled", P_TRISTATE, AT(vm.cpu_hot_add), VF_VM_FULL, "4.0"},
    {"config.memoryHotAddEnabled", P_TRISTATE, AT(vm.memory_hot_add), VF_VM_FULL, "4.0"},
    {"config.hardware.numCPU", P_U32, AT(vm.cpus), VF_VM_FULL, "4.0"},
    {"config.hardware.numCoresPerSocket", P_U32, AT(vm.cores_per_socket), VF_VM_FULL, "5.0"},
    {"config.hardware.memoryMB", P_MEMORY_MB, 0, VF_VM_FULL, "4.0"},
    {"config.hardware.device", P_DEVICES, 0, VF_VM_FULL, "4.0"},
    {"capability.changeTrackingSupported", P_BOOL, AT(vm.cbt_supported), VF_VM_FULL, "4.0"},
    {"guest.hostName", P_STRING, AT(vm.guest_hostname), VF_VM_FULL, "4.0"},
    {"guest.toolsRunningStatus", P_TOOLS, 0, VF_VM_FULL, "4.0"},
    {"guest.net", P_LATER, 0, VF_VM_FULL, "4.0"},
    {"snapshot", P_SNAPSHOT, 0, VF_VM_FULL, "4.0"},
    {"summary.storage", P_STORAGE, 0, VF_VM_FULL, "4.0"},
    {"layoutEx", P_LATER, 0, VF_VM_WITH_USAGE, "4.0"},
};

#define N_PROPERTIES (sizeof properties / sizeof properties[0])

const char **vf_vm_draft_paths(enum vf_vm_detail detail, const char *api_version)
{
    const char **paths = vf_xcalloc(N_PROPERTIES + 1, sizeof paths[0]);
    size_t n = 0;
    for (size_t i = 0; i < N_PROPERTIES; i++) {
        if (properties[i].detail <= detail &&
            vf_vim_compare_versions(api_version, properties[i].since) >= 0) {
            paths[n++] = properties[i].path;
        }
    }
    return paths;
}

const char **vf_vm_draft_config_paths(const char *api_version)
{
    const char **paths = vf_vm_draft_paths(VF_VM_FULL, api_version);
    size_t n = 0;
    for (size_t i = 0; paths[i]; i++) {
        if (strncmp(paths[i], "config.", 7) == 0) {
            paths[n++] = paths[i];
        }
    }
    paths[n] = NULL;
    return paths;
}

static int set_property(struct vf_vm_draft *d, const struct property *p, const xmlNode *val,
                        struct vf_error **err)
{
    void *to = (char *)d + p->offset;
    int rc = 0;
    uint32_t mb = 0;
    char *vf_autofree text = NULL;
    switch (p->kind) {
    case P_NAME:
    case P_STRING:
        set_string(to, val);
        if (p->kind == P_NAME) {
            vf_soap_unescape_name(*(char **)to);
        }
        break;
    case P_BOOL:
        *(bool *)to = get_bool(val);
        break;
    case P_TRISTATE:
        *(enum vf_tristate *)to = get_bool(val) ? VF_YES : VF_NO;
        break;
    case P_U32:
        rc = get_u32(val, p->path, to, err);
        break;
    case P_MEMORY_MB:
        rc = get_u32(val, p->path, &mb, err);
        d->vm.memory_bytes = (uint64_t)mb << 20;
        break;
    case P_POWER:
        d->vm.power = vf_power_parse(val);
        break;
    case P_FIRMWARE:
        d->vm.firmware = parse_firmware(val);
        break;
    case P_TOOLS:
        text = vf_xml_text(val);
        d->vm.tools_running = text && strcmp(text, "guestToolsRunning") == 0;
        break;
    case P_STORAGE:
        parse_storage(&d->vm, val);
        break;
    case P_SNAPSHOT:
        rc = vf_snapshot_tree_walk(val, add_snapshot, &d->vm, err);
        break;
    case P_DEVICES:
        rc = vf_vm_draft_parse_devices(d, val, err);
        break;
    case P_LATER:
        break;
    }
    return rc;
}

static const struct property *find_property(const char *path)
{
    for (size_t i = 0; i < N_PROPERTIES; i++) {
        if (strcmp(properties[i].path, path) == 0) {
            return &properties[i];
        }
    }
    return NULL;
}

/* Only what the user may not see; a property that is unset is simply absent. */
static bool is_unreadable(const xmlNode *content)
{
    bool yes = false;
    const xmlNode *m = vf_xml_child(content, VF_VIM_NS, "missingSet");
    for (; m && !yes; m = vf_xml_next(m, VF_VIM_NS, "missingSet")) {
        struct vf_fault f = {0};
        vf_fault_parse_localized(vf_xml_child(m, VF_VIM_NS, "fault"), &f);
        yes = vf_fault_code(f.type) == VF_AUTH;
        vf_fault_release(&f);
    }
    return yes;
}

int vf_vm_draft_parse(struct vf_vm_draft *d, const xmlNode *content, struct vf_error **err)
{
    const xmlNode *net = NULL, *layout = NULL;
    const xmlNode *set = vf_xml_child(content, VF_VIM_NS, "propSet");
    unsigned seen[N_PROPERTIES] = {0};
    for (; set; set = vf_xml_next(set, VF_VIM_NS, "propSet")) {
        char *vf_autofree path = vf_xml_child_text(set, VF_VIM_NS, "name");
        const xmlNode *val = vf_xml_child(set, VF_VIM_NS, "val");
        const struct property *p = path && val ? find_property(path) : NULL;
        if (!p || seen[p - properties]++) {
            continue;
        }
        if (strcmp(p->path, "guest.net") == 0) {
            net = val;
        } else if (strcmp(p->path, "layoutEx") == 0) {
            layout = val;
        }
        int rc = set_property(d, p, val, err);
        if (rc) {
            return vf_error_wrap(err, rc, "vm \"%s\"", d->vm.name ? d->vm.name : d->vm.moref);
        }
    }
    vf_vm_draft_parse_guest_net(d, net);
    parse_layout(&d->vm, layout);
    d->unreadable |= is_unreadable(content);
    d->vm.family = vf_vm_guest_family(d->vm.guest_id, d->vm.guest_name);
    return 0;
}
