/* Features that firmware and guest ask for; the Hyper-V ones as KubeVirt's own preferences for
 * Windows have them. */
#include "converters/vm/kubevirt_machine.h"

#include "importer/base/json.h"

static void add_hyperv(const struct vf_manifest_plan *plan, cJSON *features)
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
    vf_origin_note(plan->origins, hyperv, VF_ORIGIN_OS, "%s%s%s",
                   plan->os ? "row \"" : "a guest of the family Windows",
                   plan->os ? plan->os->name : "", plan->os ? "\"" : "");
}

void vf_kubevirt_features(const struct vf_manifest_plan *plan, cJSON *domain)
{
    bool hyperv = vf_kubevirt_wants_hyperv(plan);
    bool secure = vf_kubevirt_boots_securely(plan);
    if (!hyperv && !secure) {
        return;
    }
    cJSON *features = vf_json_add_object(domain, "features");
    vf_json_add_object(features, "acpi");
    if (hyperv) {
        vf_json_add_object(features, "apic");
    }
    vf_origin_note(plan->origins, features, VF_ORIGIN_DEFAULT, "every PC has them");
    if (secure) {
        vf_json_add_bool(vf_json_add_object(features, "smm"), "enabled", true);
        vf_origin_note_member(plan->origins, features, "smm",
                              plan->mapping->secure_boot == VF_UNSET ? VF_ORIGIN_SOURCE
                                                                     : VF_ORIGIN_OPTION,
                              "KubeVirt takes secure boot with it alone");
    }
    if (hyperv) {
        add_hyperv(plan, features);
    }
}
