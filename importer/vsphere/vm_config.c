/* Facts of the whole VM. Source: vSphere API reference, VirtualMachineConfigInfo,
 * VirtualMachineRuntimeInfo. */
#include <stdlib.h>
#include <string.h>

#include "importer/base/mem.h"
#include "importer/base/xml.h"
#include "importer/vsphere/vim_names.h"
#include "importer/vsphere/vm_draft_private.h"

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

void vf_vm_draft_parse_power(struct vf_vm_draft *d, const xmlNode *val)
{
    d->vm.power = vf_power_parse(val);
}

void vf_vm_draft_parse_connection(struct vf_vm_draft *d, const xmlNode *val)
{
    static const struct {
        const char *text;
        enum vf_connection connection;
    } known[] = {
        {"connected", VF_CONNECTION_GOOD},    {"disconnected", VF_CONNECTION_DISCONNECTED},
        {"orphaned", VF_CONNECTION_ORPHANED}, {"inaccessible", VF_CONNECTION_INACCESSIBLE},
        {"invalid", VF_CONNECTION_INVALID},
    };
    char *vf_autofree s = vf_xml_text(val);
    for (size_t i = 0; s && i < sizeof known / sizeof known[0]; i++) {
        if (strcmp(s, known[i].text) == 0) {
            d->vm.connection = known[i].connection;
        }
    }
}

void vf_vm_draft_parse_question(struct vf_vm_draft *d, const xmlNode *val)
{
    vf_replace_string(&d->vm.question, NULL);
    d->vm.question = vf_xml_child_text(val, VF_VIM_NS, "text");
    if (!d->vm.question) {
        d->vm.question = vf_xstrdup("a question without text");
    }
}

void vf_vm_draft_parse_fault_tolerance(struct vf_vm_draft *d, const xmlNode *val)
{
    char *vf_autofree s = vf_xml_text(val);
    d->vm.fault_tolerant = s && *s && strcmp(s, "notConfigured") != 0;
}

void vf_vm_draft_parse_firmware(struct vf_vm_draft *d, const xmlNode *val)
{
    char *vf_autofree s = vf_xml_text(val);
    d->vm.firmware = !s                       ? VF_FIRMWARE_UNKNOWN
                     : strcmp(s, "bios") == 0 ? VF_FIRMWARE_BIOS
                     : strcmp(s, "efi") == 0  ? VF_FIRMWARE_EFI
                                              : VF_FIRMWARE_UNKNOWN;
}

/* A drive has no key here: "CD-ROM" stands for all of them. */
void vf_vm_draft_parse_boot_order(struct vf_vm_draft *d, const xmlNode *val)
{
    static const char element[] = "VirtualMachineBootOptionsBootableDevice";
    struct vf_vm *vm = &d->vm;
    const xmlNode *entry = vf_xml_child(val, VF_VIM_NS, element);
    for (; entry && vm->n_boot_keys < VF_VM_MAX_DEVICES;
         entry = vf_xml_next(entry, VF_VIM_NS, element)) {
        char *vf_autofree type = vf_xml_type(entry);
        int32_t key;
        if (type && strcmp(type, "VirtualMachineBootOptionsBootableCdromDevice") == 0) {
            vm->boot_keys_cdrom_first |= vm->n_boot_keys == 0;
        }
        if (vf_vm_child_i32(entry, "deviceKey", &key)) {
            vm->boot_keys =
                vf_xrealloc_array(vm->boot_keys, vm->n_boot_keys + 1, sizeof vm->boot_keys[0]);
            vm->boot_keys[vm->n_boot_keys++] = key;
        }
    }
}

static enum vf_shares parse_shares_level(const xmlNode *shares)
{
    char *vf_autofree s = vf_xml_child_text(shares, VF_VIM_NS, "level");
    if (!s) {
        return VF_SHARES_NORMAL;
    }
    return strcmp(s, "low") == 0      ? VF_SHARES_LOW
           : strcmp(s, "high") == 0   ? VF_SHARES_HIGH
           : strcmp(s, "custom") == 0 ? VF_SHARES_CUSTOM
                                      : VF_SHARES_NORMAL;
}

/* ResourceAllocationInfo counts CPU in MHz and memory in MB; a limit of -1 is none. */
static void parse_allocation(struct vf_vm_allocation *to, const xmlNode *val, uint64_t unit)
{
    int64_t limit;
    uint64_t reservation;
    *to = (struct vf_vm_allocation){0};
    if (vf_xml_child_u64(val, VF_VIM_NS, "reservation", &reservation) &&
        __builtin_mul_overflow(reservation, unit, &to->reservation)) {
        to->reservation = 0;
    }
    if (vf_xml_child_i64(val, VF_VIM_NS, "limit", &limit) &&
        (limit < 0 || __builtin_mul_overflow((uint64_t)limit, unit, &to->limit))) {
        to->limit = VF_NO_LIMIT;
    }
    const xmlNode *shares = vf_xml_child(val, VF_VIM_NS, "shares");
    int32_t n;
    if (vf_vm_child_i32(shares, "shares", &n) && n > 0) {
        to->shares = (uint32_t)n;
    }
    to->level = parse_shares_level(shares);
}

void vf_vm_draft_parse_cpu_allocation(struct vf_vm_draft *d, const xmlNode *val)
{
    parse_allocation(&d->vm.cpu_allocation, val, 1);
}

void vf_vm_draft_parse_memory_allocation(struct vf_vm_draft *d, const xmlNode *val)
{
    parse_allocation(&d->vm.memory_allocation, val, 1u << 20);
}

/* VirtualMachineAffinityInfo may be there and name no CPU, which is no binding. */
void vf_vm_draft_parse_cpu_affinity(struct vf_vm_draft *d, const xmlNode *val)
{
    d->vm.cpu_affinity = vf_xml_child(val, VF_VIM_NS, "affinitySet") != NULL;
}

/* An OptionValue. */
void vf_vm_draft_parse_numa_affinity(struct vf_vm_draft *d, const xmlNode *val)
{
    char *vf_autofree nodes = vf_xml_child_text(val, VF_VIM_NS, "value");
    d->vm.numa_affinity = nodes && *nodes;
}

void vf_vm_draft_parse_latency(struct vf_vm_draft *d, const xmlNode *val)
{
    vf_replace_string(&d->vm.latency, NULL);
    d->vm.latency = vf_xml_child_text(val, VF_VIM_NS, "level");
}
