#include "importer/vsphere/vm_draft.h"

#include <stdlib.h>
#include <string.h>

#include "importer/base/mem.h"
#include "importer/base/xml.h"
#include "importer/vsphere/soap.h"
#include "importer/vsphere/version.h"
#include "importer/vsphere/vim_names.h"
#include "importer/vsphere/vm_draft_private.h"

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

static void release_lists(struct vf_vm_draft *d)
{
    for (size_t i = 0; i < d->n_custom; i++) {
        free(d->custom[i].value);
    }
    free(d->custom);
    free(d->guest_net_keys);
    d->custom = NULL;
    d->guest_net_keys = NULL;
    d->n_custom = d->n_guest_net = 0;
}

struct vf_vm vf_vm_draft_take(struct vf_vm_draft *d)
{
    release_backings(d); /* as long as the number of NICs is known */
    struct vf_vm vm = d->vm;
    vf_vm_init(&d->vm);
    vf_vm_draft_release(d);
    return vm;
}

void vf_vm_draft_release(struct vf_vm_draft *d)
{
    release_backings(d);
    release_lists(d);
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

enum property_kind {
    P_NAME,
    P_STRING,
    P_BOOL,
    P_TRISTATE,
    P_U32,
    P_PRESENT, /* an object that is there only when it applies */
    P_MEMORY_MB,
    P_SNAPSHOT,
    P_DEVICES,
    P_PART,
};

#define AT(field) offsetof(struct vf_vm_draft, field)

/* One row for each property asked for, in the order in which they are read: what names devices
 * comes after them. `since` is the API version that knows it; a server older than that would refuse
 * the whole query. Source: vSphere API reference, VirtualMachine. */
static const struct property {
    const char *path;
    enum property_kind kind;
    size_t offset;
    unsigned detail;
    const char *since;
    void (*part)(struct vf_vm_draft *d, const xmlNode *val);
} properties[] = {
    {"name", P_NAME, AT(vm.name), VF_VM_BRIEF, "4.0", NULL},
    {"parent", P_STRING, AT(parent), VF_VM_BRIEF, "4.0", NULL},
    {"parentVApp", P_STRING, AT(parent_vapp), VF_VM_BRIEF, "4.0", NULL},
    {"runtime.powerState", P_PART, 0, VF_VM_BRIEF, "4.0", vf_vm_draft_parse_power},
    {"config.template", P_BOOL, AT(vm.template), VF_VM_BRIEF, "4.0", NULL},
    {"config.instanceUuid", P_STRING, AT(vm.instance_uuid), VF_VM_BRIEF, "4.0", NULL},
    {"runtime.host", P_STRING, AT(host), VF_VM_FULL, "4.0", NULL},
    {"runtime.consolidationNeeded", P_BOOL, AT(vm.consolidation_needed), VF_VM_FULL, "5.0", NULL},
    {"runtime.connectionState", P_PART, 0, VF_VM_FULL, "4.0", vf_vm_draft_parse_connection},
    {"runtime.question", P_PART, 0, VF_VM_FULL, "4.0", vf_vm_draft_parse_question},
    {"runtime.faultToleranceState", P_PART, 0, VF_VM_FULL, "4.0",
     vf_vm_draft_parse_fault_tolerance},
    {"runtime.minRequiredEVCModeKey", P_STRING, AT(vm.evc_mode), VF_VM_FULL, "4.1", NULL},
    {"config.uuid", P_STRING, AT(vm.bios_uuid), VF_VM_FULL, "4.0", NULL},
    {"config.guestId", P_STRING, AT(vm.guest_id), VF_VM_FULL, "4.0", NULL},
    {"config.guestFullName", P_STRING, AT(vm.guest_name), VF_VM_FULL, "4.0", NULL},
    {"config.version", P_STRING, AT(vm.hardware), VF_VM_FULL, "4.0", NULL},
    {"config.annotation", P_STRING, AT(vm.annotation), VF_VM_FULL, "4.0", NULL},
    {"config.firmware", P_PART, 0, VF_VM_FULL, "5.0", vf_vm_draft_parse_firmware},
    {"config.bootOptions.efiSecureBootEnabled", P_BOOL, AT(vm.secure_boot), VF_VM_FULL, "6.5",
     NULL},
    {"config.bootOptions.bootOrder", P_PART, 0, VF_VM_FULL, "5.0", vf_vm_draft_parse_boot_order},
    {"config.changeTrackingEnabled", P_BOOL, AT(vm.cbt_enabled), VF_VM_FULL, "4.0", NULL},
    {"config.nestedHVEnabled", P_BOOL, AT(vm.nested_hv), VF_VM_FULL, "5.1", NULL},
    {"config.keyId", P_PRESENT, AT(vm.encrypted), VF_VM_FULL, "6.5", NULL},
    {"config.cpuHotAddEnabled", P_TRISTATE, AT(vm.cpu_hot_add), VF_VM_FULL, "4.0", NULL},
    {"config.cpuHotRemoveEnabled", P_BOOL, AT(vm.cpu_hot_remove), VF_VM_FULL, "4.0", NULL},
    {"config.memoryHotAddEnabled", P_TRISTATE, AT(vm.memory_hot_add), VF_VM_FULL, "4.0", NULL},
    {"config.memoryReservationLockedToMax", P_BOOL, AT(vm.memory_locked), VF_VM_FULL, "5.0", NULL},
    {"config.cpuAllocation", P_PART, 0, VF_VM_FULL, "4.0", vf_vm_draft_parse_cpu_allocation},
    {"config.memoryAllocation", P_PART, 0, VF_VM_FULL, "4.0", vf_vm_draft_parse_memory_allocation},
    {"config.cpuAffinity", P_PART, 0, VF_VM_FULL, "4.0", vf_vm_draft_parse_cpu_affinity},
    {VF_VM_NUMA_PATH, P_PART, 0, VF_VM_FULL, "4.1", vf_vm_draft_parse_numa_affinity},
    {"config.latencySensitivity", P_PART, 0, VF_VM_FULL, "5.1", vf_vm_draft_parse_latency},
    {"config.hardware.numCPU", P_U32, AT(vm.cpus), VF_VM_FULL, "4.0", NULL},
    {"config.hardware.numCoresPerSocket", P_U32, AT(vm.cores_per_socket), VF_VM_FULL, "5.0", NULL},
    {"config.hardware.memoryMB", P_MEMORY_MB, 0, VF_VM_FULL, "4.0", NULL},
    {"config.hardware.device", P_DEVICES, 0, VF_VM_FULL, "4.0", NULL},
    {"capability.changeTrackingSupported", P_BOOL, AT(vm.cbt_supported), VF_VM_FULL, "4.0", NULL},
    {"guest.hostName", P_STRING, AT(vm.guest_hostname), VF_VM_FULL, "4.0", NULL},
    {"guest.toolsRunningStatus", P_PART, 0, VF_VM_FULL, "4.0", vf_vm_draft_parse_tools_running},
    {"guest.toolsVersionStatus2", P_PART, 0, VF_VM_FULL, "5.0", vf_vm_draft_parse_tools_version},
    {"guest.disk", P_PART, 0, VF_VM_FULL, "4.0", vf_vm_draft_parse_guest_disks},
    {"guest.net", P_PART, 0, VF_VM_FULL, "4.0", vf_vm_draft_parse_guest_net},
    {"guest.ipStack", P_PART, 0, VF_VM_FULL, "4.1", vf_vm_draft_parse_ip_stack},
    {"snapshot", P_SNAPSHOT, 0, VF_VM_FULL, "4.0", NULL},
    {"summary.storage", P_PART, 0, VF_VM_FULL, "4.0", vf_vm_draft_parse_storage},
    {"layoutEx", P_PART, 0, VF_VM_WITH_USAGE, "4.0", vf_vm_draft_parse_layout},
    {"customValue", P_PART, 0, VF_VM_WITH_ATTRIBUTES, "4.0", vf_vm_draft_parse_custom_values},
};

#define N_PROPERTIES (sizeof properties / sizeof properties[0])

const char **vf_vm_draft_paths(unsigned detail, const char *api_version)
{
    const char **paths = vf_xcalloc(N_PROPERTIES + 1, sizeof paths[0]);
    size_t n = 0;
    for (size_t i = 0; i < N_PROPERTIES; i++) {
        if ((properties[i].detail & ~detail) == 0 &&
            vf_vim_compare_versions(api_version, properties[i].since) >= 0) {
            paths[n++] = properties[i].path;
        }
    }
    return paths;
}

/* Leave out of `paths` what `drop` holds for. */
static void filter_paths(const char **paths, bool (*drop)(const char *path))
{
    size_t n = 0;
    for (size_t i = 0; paths[i]; i++) {
        if (!drop(paths[i])) {
            paths[n++] = paths[i];
        }
    }
    paths[n] = NULL;
}

static bool is_keyed(const char *path)
{
    return strchr(path, '[') != NULL;
}

static bool is_no_config(const char *path)
{
    return strncmp(path, "config.", 7) != 0 || is_keyed(path);
}

const char **vf_vm_draft_config_paths(const char *api_version)
{
    const char **paths = vf_vm_draft_paths(VF_VM_FULL, api_version);
    filter_paths(paths, is_no_config);
    return paths;
}

bool vf_vm_draft_drop_keyed_paths(const char **paths)
{
    size_t before = 0, after = 0;
    while (paths[before]) {
        before++;
    }
    filter_paths(paths, is_keyed);
    while (paths[after]) {
        after++;
    }
    return after < before;
}

static int set_property(struct vf_vm_draft *d, const struct property *p, const xmlNode *val,
                        struct vf_error **err)
{
    void *to = (char *)d + p->offset;
    int rc = 0;
    uint32_t mb = 0;
    switch (p->kind) {
    case P_NAME:
        set_string(to, val);
        vf_soap_unescape_name(*(char **)to);
        break;
    case P_STRING:
        set_string(to, val);
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
    case P_PRESENT:
        *(bool *)to = true;
        break;
    case P_MEMORY_MB:
        rc = get_u32(val, p->path, &mb, err);
        d->vm.memory_bytes = (uint64_t)mb << 20;
        break;
    case P_SNAPSHOT:
        rc = vf_vm_draft_parse_snapshots(d, val, err);
        break;
    case P_DEVICES:
        rc = vf_vm_draft_parse_devices(d, val, err);
        break;
    case P_PART:
        p->part(d, val);
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
    const xmlNode *vals[N_PROPERTIES] = {0};
    const xmlNode *set = vf_xml_child(content, VF_VIM_NS, "propSet");
    for (; set; set = vf_xml_next(set, VF_VIM_NS, "propSet")) {
        char *vf_autofree path = vf_xml_child_text(set, VF_VIM_NS, "name");
        const struct property *p = path ? find_property(path) : NULL;
        if (p && !vals[p - properties]) {
            vals[p - properties] = vf_xml_child(set, VF_VIM_NS, "val");
        }
    }
    for (size_t i = 0; i < N_PROPERTIES; i++) {
        int rc = vals[i] ? set_property(d, &properties[i], vals[i], err) : 0;
        if (rc) {
            return vf_error_wrap(err, rc, "vm \"%s\"", d->vm.name ? d->vm.name : d->vm.moref);
        }
    }
    d->unreadable |= is_unreadable(content);
    d->vm.family = vf_vm_guest_family(d->vm.guest_id, d->vm.guest_name);
    return 0;
}
