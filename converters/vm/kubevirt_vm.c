/* kubevirt.io/v1 VirtualMachine: fields and their rules as of KubeVirt v1.9; keys in the order in
 * which a person reads them. */
#include "converters/vm/kubevirt_vm.h"

#include <string.h>

#include "converters/vm/kubevirt_devices.h"
#include "converters/vm/kubevirt_instancetype.h"
#include "converters/vm/kubevirt_machine.h"
#include "converters/vm/kubevirt_metadata.h"
#include "converters/vm/kubevirt_networks.h"
#include "converters/vm/kubevirt_volumes.h"
#include "importer/base/json.h"
#include "importer/base/mem.h"

#define GIB UINT64_C(1073741824)
#define MIB UINT64_C(1048576)

#define GRACE_SECONDS         180
#define GRACE_SECONDS_WINDOWS 1800

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

enum vf_guest_family vf_kubevirt_family(const struct vf_manifest_plan *plan)
{
    return plan->os && plan->os->family != VF_GUEST_OTHER ? plan->os->family : plan->vm->family;
}

bool vf_kubevirt_wants_hyperv(const struct vf_manifest_plan *plan)
{
    bool told = plan->os && plan->os->family != VF_GUEST_OTHER;
    return told ? plan->os->hyperv : vf_kubevirt_family(plan) == VF_GUEST_WINDOWS;
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

static void add_run_strategy(const struct vf_manifest_plan *plan, cJSON *spec)
{
    vf_json_add_string(spec, "runStrategy", vf_kubevirt_run_strategy(plan));
    if (plan->options->run == VF_RUN_AS_SOURCE) {
        vf_origin_note_member(plan->origins, spec, "runStrategy", VF_ORIGIN_SOURCE, "power state");
    } else if (plan->options->run == VF_RUN_ALWAYS) {
        vf_origin_note_member(plan->origins, spec, "runStrategy", VF_ORIGIN_OPTION, "--start");
    } else {
        vf_origin_note_member(plan->origins, spec, "runStrategy", VF_ORIGIN_DEFAULT,
                              "two of one VM are not to run at once");
    }
}

static void add_policies(const struct vf_manifest_plan *plan, cJSON *spec)
{
    bool windows = vf_kubevirt_family(plan) == VF_GUEST_WINDOWS;
    vf_json_add_string(spec, "evictionStrategy", "LiveMigrateIfPossible");
    vf_origin_note_member(plan->origins, spec, "evictionStrategy", VF_ORIGIN_DEFAULT,
                          "moves when its node is drained if the disks allow, and never blocks it");
    vf_json_add_u64(spec, "terminationGracePeriodSeconds",
                    windows ? GRACE_SECONDS_WINDOWS : GRACE_SECONDS);
    vf_origin_note_member(plan->origins, spec, "terminationGracePeriodSeconds", VF_ORIGIN_DEFAULT,
                          windows ? "Windows installs updates on its way down"
                                  : "then a guest that does not shut down is killed");
}

static void add_domain(const struct vf_manifest_plan *plan, cJSON *spec,
                       struct vf_concerns *concerns)
{
    cJSON *domain = vf_json_add_object(spec, "domain");
    vf_json_add_string(vf_json_add_object(domain, "machine"), "type", "q35");
    vf_origin_note_member(plan->origins, domain, "machine", VF_ORIGIN_DEFAULT,
                          "KubeVirt's only PC");
    vf_kubevirt_firmware(plan, domain, concerns);
    vf_kubevirt_features(plan, domain);
    vf_kubevirt_clock(plan, domain);
    vf_kubevirt_cpu(plan, domain, concerns);
    vf_kubevirt_memory(plan, domain);
    vf_kubevirt_resources(plan, domain, concerns);
    vf_kubevirt_devices(plan, domain, concerns);
}

cJSON *vf_kubevirt_vm(const struct vf_manifest_plan *plan, struct vf_concerns *concerns)
{
    cJSON *document = vf_json_new_object();
    vf_json_add_string(document, "apiVersion", "kubevirt.io/v1");
    vf_json_add_string(document, "kind", "VirtualMachine");
    vf_kubevirt_describe(plan, vf_kubevirt_metadata(document, plan, plan->name), concerns);
    cJSON *outer = vf_json_add_object(document, "spec");
    add_run_strategy(plan, outer);
    vf_kubevirt_types(plan, outer);
    vf_kubevirt_adopt(plan, outer);
    cJSON *template = vf_json_add_object(outer, "template");
    vf_kubevirt_template_labels(plan, template);
    cJSON *spec = vf_json_add_object(template, "spec");
    vf_json_add_string(spec, "architecture", "amd64");
    vf_origin_note_member(plan->origins, spec, "architecture", VF_ORIGIN_SOURCE,
                          "vSphere's guests are x86");
    vf_kubevirt_hostname(plan, spec);
    add_policies(plan, spec);
    add_domain(plan, spec, concerns);
    vf_kubevirt_networks(plan, spec);
    vf_kubevirt_volumes(plan, spec);
    return document;
}
