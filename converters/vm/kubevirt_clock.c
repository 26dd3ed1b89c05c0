#include "converters/vm/kubevirt_machine.h"

#include "importer/base/json.h"

static void add_timers(const struct vf_manifest_plan *plan, cJSON *clock)
{
    cJSON *timer = vf_json_add_object(clock, "timer");
    vf_json_add_bool(vf_json_add_object(timer, "hpet"), "present", false);
    vf_json_add_string(vf_json_add_object(timer, "pit"), "tickPolicy", "delay");
    vf_json_add_string(vf_json_add_object(timer, "rtc"), "tickPolicy", "catchup");
    vf_json_add_bool(vf_json_add_object(timer, "hyperv"), "present", true);
    vf_origin_note(plan->origins, timer, VF_ORIGIN_OS, "as Windows keeps time on Hyper-V");
}

void vf_kubevirt_clock(const struct vf_manifest_plan *plan, cJSON *domain)
{
    const char *timezone = plan->mapping->timezone;
    bool windows = vf_kubevirt_family(plan) == VF_GUEST_WINDOWS;
    cJSON *clock = vf_json_add_object(domain, "clock");
    if (windows && timezone) {
        vf_json_add_string(clock, "timezone", timezone);
        vf_origin_note_member(plan->origins, clock, "timezone", VF_ORIGIN_OPTION, "--timezone");
    } else {
        vf_json_add_object(clock, "utc");
        vf_origin_note_member(plan->origins, clock, "utc", VF_ORIGIN_DEFAULT,
                              windows ? "the guest's time zone is not known"
                                      : "guests but Windows keep UTC in their clock");
    }
    if (vf_kubevirt_wants_hyperv(plan)) {
        add_timers(plan, clock);
    }
}

void vf_kubevirt_clock_concerns(const struct vf_manifest_plan *plan, const cJSON *machine,
                                struct vf_concerns *concerns)
{
    const cJSON *spec = vf_json_object(vf_json_object(machine, "spec"), "template");
    const cJSON *domain = vf_json_object(vf_json_object(spec, "spec"), "domain");
    const cJSON *utc = vf_json_object(vf_json_object(domain, "clock"), "utc");
    if (vf_kubevirt_family(plan) == VF_GUEST_WINDOWS && utc && !utc->child) {
        vf_concerns_add(concerns, "guest.timezone",
                        "Windows keeps local time in its clock: tell its time zone (--timezone), "
                        "or put it into clock.timezone, in place of utc");
    }
}
