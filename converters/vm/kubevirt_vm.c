/* kubevirt.io/v1 VirtualMachine: fields and their rules as of KubeVirt v1.9; keys in the order in
 * which a person reads them. */
#include "converters/vm/kubevirt_vm.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "converters/vm/firmware.h"
#include "converters/vm/kubevirt_devices.h"
#include "converters/vm/kubevirt_networks.h"
#include "converters/vm/kubevirt_volumes.h"
#include "converters/vm/names.h"
#include "importer/base/buf.h"
#include "importer/base/json.h"
#include "importer/base/mem.h"

#define GIB UINT64_C(1073741824)
#define MIB UINT64_C(1048576)

#define DEFAULT_MEMORY_BYTES (2 * GIB)
/* All annotations of an object share 256 KiB. */
#define MAX_ANNOTATION_BYTES  16384
#define GRACE_SECONDS         180
#define GRACE_SECONDS_WINDOWS 1800 /* updates are installed on the way down */

char *vf_kubevirt_quantity(uint64_t bytes)
{
    if (bytes && bytes % GIB == 0) {
        return vf_xasprintf("%lluGi", (unsigned long long)(bytes / GIB));
    }
    if (bytes && bytes % MIB == 0) {
        return vf_xasprintf("%lluMi", (unsigned long long)(bytes / MIB));
    }
    return vf_xasprintf("%llu", (unsigned long long)bytes);
}

cJSON *vf_kubevirt_metadata(cJSON *document, const struct vf_manifest_plan *plan, const char *name)
{
    cJSON *metadata = vf_json_add_object(document, "metadata");
    vf_json_add_string(metadata, "name", name);
    vf_json_add_string(metadata, "namespace", plan->options->namespace_name);
    cJSON *labels = vf_json_add_object(metadata, "labels");
    vf_json_add_string(labels, "app.kubernetes.io/name", plan->name);
    vf_json_add_string(labels, "app.kubernetes.io/managed-by", "vmferry");
    return metadata;
}

void vf_kubevirt_annotate(cJSON *annotations, const char *key, const char *value)
{
    if (value && *value) {
        char *vf_autofree text = vf_name_to_annotation(value, MAX_ANNOTATION_BYTES);
        vf_json_add_string(annotations, key, text);
    }
}

/* "category/name" becomes the label tag.vmferry.io/CATEGORY: NAME; a category's first tag has it.
 */
static void add_tag_labels(const struct vf_vm *vm, cJSON *labels)
{
    for (size_t i = 0; i < vm->n_tags; i++) {
        const char *slash = strchr(vm->tags[i], '/');
        char *vf_autofree category =
            slash ? vf_xstrndup(vm->tags[i], (size_t)(slash - vm->tags[i])) : vf_xstrdup("tag");
        char *vf_autofree key_name = vf_name_to_label_value(category);
        char *vf_autofree key = vf_xasprintf("tag.vmferry.io/%s", key_name);
        char *vf_autofree value = vf_name_to_label_value(slash ? slash + 1 : vm->tags[i]);
        if (*key_name && *value && !cJSON_GetObjectItemCaseSensitive(labels, key)) {
            vf_json_add_string(labels, key, value);
        }
    }
}

static void add_annotations(const struct vf_manifest_plan *plan, cJSON *metadata)
{
    const struct vf_vm *vm = plan->vm;
    struct vf_buf tags;
    vf_buf_init(&tags, 2 * (size_t)MAX_ANNOTATION_BYTES);
    for (size_t i = 0; i < vm->n_tags; i++) {
        vf_buf_printf(&tags, "%s%s", i ? ", " : "", vm->tags[i]);
    }
    cJSON *a = vf_json_add_object(metadata, "annotations");
    vf_kubevirt_annotate(a, VF_ANNOTATION("original-name"), vm->name);
    vf_kubevirt_annotate(a, VF_ANNOTATION("source"), plan->options->source);
    vf_kubevirt_annotate(a, VF_ANNOTATION("source-moref"), vm->moref);
    vf_kubevirt_annotate(a, VF_ANNOTATION("instance-uuid"), vm->instance_uuid);
    vf_kubevirt_annotate(a, VF_ANNOTATION("bios-uuid"), vm->bios_uuid);
    vf_kubevirt_annotate(a, VF_ANNOTATION("folder"), vm->folder);
    vf_kubevirt_annotate(a, VF_ANNOTATION("host"), vm->host);
    vf_kubevirt_annotate(a, VF_ANNOTATION("hardware"), vm->hardware);
    vf_kubevirt_annotate(a, VF_ANNOTATION("guest-id"), vm->guest_id);
    vf_kubevirt_annotate(a, VF_ANNOTATION("guest"), vm->guest_name);
    vf_kubevirt_annotate(a, VF_ANNOTATION("tags"), tags.data);
    for (size_t i = 0; i < vm->n_nics; i++) {
        char *vf_autofree key = vf_xasprintf(VF_ANNOTATION("network-%zu"), i);
        vf_kubevirt_annotate(a, key, vm->nics[i].network);
    }
    vf_kubevirt_annotate(a, VF_ANNOTATION("notes"), vm->annotation);
    if (!a->child) {
        cJSON_DeleteItemFromObject(metadata, "annotations");
    }
    vf_buf_release(&tags);
}

/* The guest's own host name up to its first dot, if it is one. */
static void add_hostname(const struct vf_vm *vm, cJSON *spec)
{
    const char *name = vm->guest_hostname ? vm->guest_hostname : "";
    char *vf_autofree label = vf_xstrndup(name, strcspn(name, "."));
    for (char *c = label; *c; c++) {
        *c = (char)(*c >= 'A' && *c <= 'Z' ? *c - 'A' + 'a' : *c);
    }
    if (vf_name_is_label(label)) {
        vf_json_add_string(spec, "hostname", label);
    }
}

static void add_firmware(const struct vf_vm *vm, cJSON *domain, struct vf_concerns *concerns)
{
    cJSON *firmware = vf_json_add_object(domain, "firmware");
    char *vf_autofree uuid = vf_firmware_uuid(vm->bios_uuid, vm->hardware);
    char *vf_autofree serial = vf_firmware_serial(vm->bios_uuid);
    vf_json_add_string(firmware, "uuid", uuid);
    vf_json_add_string(firmware, "serial", serial);
    if (!uuid) {
        vf_concerns_add(concerns, "vm.identity-new",
                        "the source tells no BIOS UUID: the guest will see a new one, and "
                        "licences bound to it may ask again");
    }
    cJSON *bootloader = vf_json_add_object(firmware, "bootloader");
    if (vm->firmware == VF_FIRMWARE_EFI) {
        /* An empty efi would mean secure boot. Its variables persist beside those of the TPM. */
        cJSON *efi = vf_json_add_object(bootloader, "efi");
        vf_json_add_bool(efi, "secureBoot", vm->secure_boot);
        if (vm->has_vtpm) {
            vf_json_add_bool(efi, "persistent", true);
        }
    } else {
        vf_json_add_object(bootloader, "bios");
    }
}

static void add_hyperv(cJSON *features)
{
    static const char *const before[] = {"relaxed", "vapic"};
    static const char *const after[] = {"frequencies", "reset", "runtime", "tlbflush", "ipi"};
    cJSON *hyperv = vf_json_add_object(features, "hyperv");
    for (size_t i = 0; i < sizeof before / sizeof *before; i++) {
        vf_json_add_object(hyperv, before[i]);
    }
    vf_json_add_u64(vf_json_add_object(hyperv, "spinlocks"), "spinlocks", 8191);
    vf_json_add_object(hyperv, "vpindex");
    vf_json_add_object(hyperv, "synic");
    vf_json_add_object(vf_json_add_object(hyperv, "synictimer"), "direct");
    for (size_t i = 0; i < sizeof after / sizeof *after; i++) {
        vf_json_add_object(hyperv, after[i]);
    }
}

static void add_features(const struct vf_vm *vm, cJSON *domain)
{
    bool windows = vm->family == VF_GUEST_WINDOWS;
    bool secure = vm->firmware == VF_FIRMWARE_EFI && vm->secure_boot;
    if (!windows && !secure) {
        return;
    }
    cJSON *features = vf_json_add_object(domain, "features");
    vf_json_add_object(features, "acpi");
    if (windows) {
        vf_json_add_object(features, "apic");
    }
    if (secure) { /* admission demands it */
        vf_json_add_bool(vf_json_add_object(features, "smm"), "enabled", true);
    }
    if (windows) {
        add_hyperv(features);
    }
}

static void add_clock(const struct vf_manifest_plan *plan, cJSON *domain,
                      struct vf_concerns *concerns)
{
    cJSON *clock = vf_json_add_object(domain, "clock");
    bool windows = plan->vm->family == VF_GUEST_WINDOWS;
    if (windows && plan->options->timezone) {
        vf_json_add_string(clock, "timezone", plan->options->timezone);
    } else {
        vf_json_add_object(clock, "utc");
    }
    if (!windows) {
        return;
    }
    if (!plan->options->timezone) {
        vf_concerns_add(concerns, "guest.timezone",
                        "Windows keeps local time in its clock: put its time zone into "
                        "clock.timezone, in place of utc");
    }
    cJSON *timer = vf_json_add_object(clock, "timer");
    vf_json_add_bool(vf_json_add_object(timer, "hpet"), "present", false);
    vf_json_add_string(vf_json_add_object(timer, "pit"), "tickPolicy", "delay");
    vf_json_add_string(vf_json_add_object(timer, "rtc"), "tickPolicy", "catchup");
    vf_json_add_bool(vf_json_add_object(timer, "hyperv"), "present", true);
}

static void add_cpu(const struct vf_vm *vm, cJSON *domain)
{
    if (vm->cpus == 0) {
        return;
    }
    uint32_t cores = vm->cores_per_socket;
    if (cores == 0 || vm->cpus % cores != 0) {
        cores = 1;
    }
    cJSON *cpu = vf_json_add_object(domain, "cpu");
    vf_json_add_u64(cpu, "sockets", vm->cpus / cores);
    vf_json_add_u64(cpu, "cores", cores);
    vf_json_add_u64(cpu, "threads", 1);
    if (vm->cpu_hot_add == VF_NO) { /* else the cluster's ratio holds */
        vf_json_add_u64(cpu, "maxSockets", vm->cpus / cores);
    }
}

static void add_memory(const struct vf_vm *vm, cJSON *domain)
{
    uint64_t bytes = vm->memory_bytes ? vm->memory_bytes : DEFAULT_MEMORY_BYTES;
    char *vf_autofree guest = vf_kubevirt_quantity(bytes);
    cJSON *memory = vf_json_add_object(domain, "memory");
    vf_json_add_string(memory, "guest", guest);
    /* Admission takes maxGuest from 1 GiB on, in steps of 2 MiB; below there is no hot-plug. */
    if (vm->memory_hot_add == VF_NO && bytes >= GIB && bytes % (2 * MIB) == 0) {
        vf_json_add_string(memory, "maxGuest", guest);
    }
}

/* As on the source, a guest that shuts itself down stays down, and one that fails is restarted. */
const char *vf_kubevirt_run_strategy(const struct vf_manifest_plan *plan)
{
    switch (plan->options->run) {
    case VF_RUN_AS_SOURCE:
        return plan->vm->power == VF_POWER_ON ? "RerunOnFailure" : "Halted";
    case VF_RUN_ALWAYS:
        return "Always";
    case VF_RUN_HALTED:
    default:
        return "Halted";
    }
}

cJSON *vf_kubevirt_vm(const struct vf_manifest_plan *plan, struct vf_concerns *concerns)
{
    const struct vf_vm *vm = plan->vm;
    bool windows = vm->family == VF_GUEST_WINDOWS;
    cJSON *document = vf_json_new_object();
    vf_json_add_string(document, "apiVersion", "kubevirt.io/v1");
    vf_json_add_string(document, "kind", "VirtualMachine");
    cJSON *metadata = vf_kubevirt_metadata(document, plan, plan->name);
    add_tag_labels(vm, cJSON_GetObjectItemCaseSensitive(metadata, "labels"));
    add_annotations(plan, metadata);
    cJSON *outer = vf_json_add_object(document, "spec");
    vf_json_add_string(outer, "runStrategy", vf_kubevirt_run_strategy(plan));
    vf_kubevirt_adopt(plan, outer);
    cJSON *template = vf_json_add_object(outer, "template");
    cJSON *labels = vf_json_add_object(vf_json_add_object(template, "metadata"), "labels");
    vf_json_add_string(labels, "app.kubernetes.io/name", plan->name);
    cJSON *spec = vf_json_add_object(template, "spec");
    vf_json_add_string(spec, "architecture", "amd64");
    add_hostname(vm, spec);
    /* Moves on a drain if the disks allow, and never blocks it. */
    vf_json_add_string(spec, "evictionStrategy", "LiveMigrateIfPossible");
    vf_json_add_u64(spec, "terminationGracePeriodSeconds",
                    windows ? GRACE_SECONDS_WINDOWS : GRACE_SECONDS);
    cJSON *domain = vf_json_add_object(spec, "domain");
    vf_json_add_string(vf_json_add_object(domain, "machine"), "type", "q35");
    add_firmware(vm, domain, concerns);
    add_features(vm, domain);
    add_clock(plan, domain, concerns);
    add_cpu(vm, domain);
    add_memory(vm, domain);
    vf_kubevirt_devices(plan, domain, concerns);
    vf_kubevirt_networks(plan, spec);
    vf_kubevirt_volumes(plan, spec);
    return document;
}
