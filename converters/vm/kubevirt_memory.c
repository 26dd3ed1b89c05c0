#include "converters/vm/kubevirt_machine.h"

#include <stdlib.h>
#include <string.h>

#include "importer/base/json.h"
#include "importer/base/mem.h"

#define KIB UINT64_C(1024)
#define MIB (1024 * KIB)
#define GIB (1024 * MIB)

#define DEFAULT_MEMORY_BYTES (2 * GIB)
#define HOT_PLUG_MIN_BYTES   GIB
#define HOT_PLUG_STEP_BYTES  (2 * MIB)

/* "2Mi"; 0: no such size. */
static uint64_t page_bytes(const char *text)
{
    char *unit = NULL;
    uint64_t n = text ? strtoull(text, &unit, 10) : 0;
    if (n == 0 || n > GIB) {
        return 0;
    }
    return n * (strcmp(unit, "Gi") == 0 ? GIB : strcmp(unit, "Mi") == 0 ? MIB : KIB);
}

static uint64_t guest_bytes(const struct vf_vm *vm)
{
    return vm->memory_bytes ? vm->memory_bytes : DEFAULT_MEMORY_BYTES;
}

int vf_kubevirt_check_machine(const struct vf_manifest_plan *plan, struct vf_error **err)
{
    const struct vf_mapping *m = plan->mapping;
    uint64_t page = page_bytes(m->hugepages);
    if (!page || plan->instancetype.name || guest_bytes(plan->vm) % page == 0) {
        return 0;
    }
    char *vf_autofree size = vf_kubevirt_quantity(guest_bytes(plan->vm));
    int rc = vf_error_set(err, VF_INVALID, "a memory of %s is no multiple of hugepages of %s", size,
                          m->hugepages);
    vf_error_hint(err, "use smaller pages (--hugepages), or change the VM's memory");
    return rc;
}

/* 0: of another form, which is KubeVirt's to judge. */
static uint64_t bytes_of(const char *text)
{
    static const struct {
        const char *suffix;
        uint64_t bytes;
    } units[] = {{"", 1},     {"k", 1000}, {"M", 1000000}, {"G", 1000000000},
                 {"Ki", KIB}, {"Mi", MIB}, {"Gi", GIB},    {"Ti", 1024 * GIB}};
    char *suffix = NULL;
    uint64_t n = text && *text >= '0' && *text <= '9' ? strtoull(text, &suffix, 10) : 0;
    for (size_t i = 0; n && i < sizeof units / sizeof *units; i++) {
        uint64_t bytes;
        if (strcmp(suffix, units[i].suffix) == 0 &&
            !__builtin_mul_overflow(n, units[i].bytes, &bytes)) {
            return bytes;
        }
    }
    return 0;
}

int vf_kubevirt_check_pages(const cJSON *machine, struct vf_error **err)
{
    const cJSON *template = vf_json_object(vf_json_object(machine, "spec"), "template");
    const cJSON *domain = vf_json_object(vf_json_object(template, "spec"), "domain");
    const cJSON *memory = vf_json_object(domain, "memory");
    const char *guest = vf_json_string(memory, "guest");
    const char *size = vf_json_string(vf_json_object(memory, "hugepages"), "pageSize");
    uint64_t page = bytes_of(size);
    if (!page || bytes_of(guest) % page == 0) {
        return 0;
    }
    int rc = vf_error_set(err, VF_INVALID, "a memory of %s is no multiple of hugepages of %s",
                          guest, size);
    vf_error_hint(err, "use smaller pages in the template, or change the VM's memory");
    return rc;
}

static bool may_have_maximum(const struct vf_manifest_plan *plan, uint64_t bytes)
{
    uint64_t page = page_bytes(plan->mapping->hugepages);
    uint64_t step = page > HOT_PLUG_STEP_BYTES ? page : HOT_PLUG_STEP_BYTES;
    return !plan->mapping->numa && bytes >= HOT_PLUG_MIN_BYTES && bytes % step == 0;
}

static void add_guest(const struct vf_manifest_plan *plan, cJSON *memory)
{
    const struct vf_vm *vm = plan->vm;
    enum vf_tristate told = plan->mapping->hot_plug;
    uint64_t bytes = guest_bytes(vm);
    char *vf_autofree guest = vf_kubevirt_quantity(bytes);
    vf_json_add_string(memory, "guest", guest);
    if (vm->memory_bytes) {
        vf_origin_note_member(plan->origins, memory, "guest", VF_ORIGIN_SOURCE, "memoryMB %llu",
                              (unsigned long long)(bytes / MIB));
    } else {
        vf_origin_note_member(plan->origins, memory, "guest", VF_ORIGIN_DEFAULT,
                              "the source tells no size");
    }
    if ((told == VF_NO || (told == VF_UNSET && vm->memory_hot_add == VF_NO)) &&
        may_have_maximum(plan, bytes)) {
        vf_json_add_string(memory, "maxGuest", guest);
        vf_origin_note_member(plan->origins, memory, "maxGuest",
                              told == VF_NO ? VF_ORIGIN_OPTION : VF_ORIGIN_SOURCE,
                              told == VF_NO ? "--hot-plug no" : "memoryHotAddEnabled false");
    }
}

void vf_kubevirt_memory(const struct vf_manifest_plan *plan, cJSON *domain)
{
    const char *hugepages = plan->mapping->hugepages;
    if (plan->instancetype.name && !hugepages) {
        return;
    }
    cJSON *memory = vf_json_add_object(domain, "memory");
    if (!plan->instancetype.name) {
        add_guest(plan, memory);
    }
    if (hugepages) {
        vf_json_add_string(vf_json_add_object(memory, "hugepages"), "pageSize", hugepages);
        vf_origin_note_member(plan->origins, memory, "hugepages", VF_ORIGIN_OPTION, "--hugepages");
    }
}
