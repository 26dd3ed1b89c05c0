#include "importer/kube/kubevirt_facts.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "tests/support/kube_script.h"

#define KUBEVIRTS "/apis/kubevirt.io/v1/kubevirts"

/* --- gates ------------------------------------------------------------------------------- */

static char *named[] = {(char[]){"ExpandDisks"}, (char[]){"Sidecar"},
                        (char[]){"DeclarativeHotplugVolumes"}};
static char *disabled[] = {(char[]){"DeclarativeHotplugVolumes"}, (char[]){"VMPersistentState"},
                           (char[]){"VideoConfig"}};

static void test_kubevirt_gates__graduate_by_version(void **state)
{
    static const struct {
        const char *gate;
        unsigned major, minor;
        bool is_named, is_disabled, open;
    } cases[] = {
        {"VMPersistentState", 1, 5, false, false, false},
        {"VMPersistentState", 1, 6, false, false, true},
        {"VMPersistentState", 1, 6, false, true, true}, /* what is GA cannot be closed */
        {"VMPersistentState", 2, 0, false, false, true},
        {"ExpandDisks", 1, 8, false, false, false},
        {"ExpandDisks", 1, 8, true, false, true},
        {"ExpandDisks", 1, 9, false, false, true},
        {"DeclarativeHotplugVolumes", 1, 8, false, false, false},
        {"DeclarativeHotplugVolumes", 1, 9, false, false, true},
        {"DeclarativeHotplugVolumes", 1, 9, false, true, false},
        {"DeclarativeHotplugVolumes", 1, 9, true, true, true}, /* named goes before disabled */
        {"Snapshot", 1, 8, false, false, false},               /* Beta, which opens from v1.9 on */
        {"Snapshot", 1, 9, false, false, true},
        {"VideoConfig", 1, 7, false, false, false},
        {"VideoConfig", 1, 9, false, true, true},
        {"HotplugVolumes", 1, 9, false, false, false},
        {"LiveMigration", 1, 0, false, false, true},
        {"Sidecar", 1, 9, true, false, true},
        {"Sidecar", 1, 9, false, false, false},
        {"Unheard", 1, 9, true, false, false},
        {"VMPersistentState", 0, 0, false, false, true}, /* a version that is not told */
        {"VMPersistentState", 0, 0, false, true, false},
        {"DeclarativeHotplugVolumes", 0, 0, false, false, true},
        {"DeclarativeHotplugVolumes", 0, 0, false, true, false},
        {"DeclarativeHotplugVolumes", 0, 0, true, true, true},
        {"HotplugVolumes", 0, 0, false, false, false},
        {"Sidecar", 0, 0, false, false, false},
        {"ExpandDisks", 0, 0, true, false, true},
    };
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        const struct vf_kubevirt_facts f = {
            .major = cases[i].major,
            .minor = cases[i].minor,
            .gates = named,
            .n_gates = cases[i].is_named ? sizeof named / sizeof *named : 0,
            .disabled_gates = disabled,
            .n_disabled_gates = cases[i].is_disabled ? sizeof disabled / sizeof *disabled : 0,
        };
        if (vf_kubevirt_has_gate(&f, cases[i].gate) != cases[i].open) {
            fail_msg("case %zu: %s of v%u.%u", i, cases[i].gate, cases[i].major, cases[i].minor);
        }
    }
}

static void test_kubevirt_gates__since_when_they_need_no_naming(void **state)
{
    (void)state;
    assert_string_equal(vf_kubevirt_gate_since("VMPersistentState"), "v1.6");
    assert_string_equal(vf_kubevirt_gate_since("Snapshot"), "v1.9");
    assert_string_equal(vf_kubevirt_gate_since("VideoConfig"), "v1.9");
    assert_string_equal(vf_kubevirt_gate_since("LiveMigration"), "v1.0");
    assert_string_equal(vf_kubevirt_gate_since("VMLiveUpdateFeatures"), "v1.5");
    assert_null(vf_kubevirt_gate_since("HotplugVolumes"));
    assert_null(vf_kubevirt_gate_since("Unheard"));
}

/* --- the object -------------------------------------------------------------------------- */

static int fetch(int status, const char *body, struct vf_test_script *s,
                 struct vf_kubevirt_facts *ret)
{
    static struct vf_test_route routes[2];
    routes[0] = (struct vf_test_route){.path = KUBEVIRTS, .status = status, .body = body};
    vf_test_script_start(s, routes);
    return vf_kubevirt_fetch_facts(s->kube.client, NULL, ret, &s->kube.err);
}

static void test_kubevirt_facts__all_is_read(void **state)
{
    struct vf_test_script s;
    struct vf_kubevirt_facts f;
    (void)state;
    assert_int_equal(
        fetch(200,
              VF_TEST_LIST(
                  "{\"spec\":{\"configuration\":{\"developerConfiguration\":{\"featureGates\":["
                  "\"Snapshot\",7,\"PersistentReservation\"],\"disabledFeatureGates\":[\"X\"],"
                  "\"cpuAllocationRatio\":4,\"memoryOvercommit\":150},\"vmRolloutStrategy\":"
                  "\"Stage\","
                  "\"liveUpdateConfiguration\":{\"maxHotplugRatio\":2},\"network\":{"
                  "\"permitBridgeInterfaceOnPodNetwork\":false},\"vmStateStorageClass\":\"nfs\","
                  "\"evictionStrategy\":\"LiveMigrate\",\"seccompConfiguration\":{"
                  "\"virtualMachineInstanceProfile\":{\"customProfile\":{"
                  "\"runtimeDefaultProfile\":true}}}}},\"status\":{\"phase\":\"Deployed\","
                  "\"observedKubeVirtVersion\":\"v1.9.0-beta.0\"}}"),
              &s, &f),
        0);
    assert_true(f.known && !f.absent);
    assert_string_equal(f.version, "v1.9.0-beta.0");
    assert_int_equal(f.major, 1);
    assert_int_equal(f.minor, 9);
    assert_string_equal(f.phase, "Deployed");
    assert_int_equal(f.n_gates, 2);
    assert_string_equal(f.gates[1], "PersistentReservation");
    assert_int_equal(f.n_disabled_gates, 1);
    assert_false(f.live_update);
    assert_int_equal(f.max_hotplug_ratio, 2);
    assert_int_equal(f.cpu_allocation_ratio, 4);
    assert_int_equal(f.memory_overcommit, 150);
    assert_false(f.permit_bridge_on_pod_network);
    assert_true(f.persistent_reservation);
    assert_true(f.seccomp_profile);
    assert_string_equal(f.vm_state_storage_class, "nfs");
    assert_string_equal(f.default_eviction_strategy, "LiveMigrate");
    vf_kubevirt_facts_release(&f);
    vf_test_script_stop(&s);
}

static void test_kubevirt_facts__defaults_are_the_versions(void **state)
{
    static const struct {
        const char *version;
        unsigned minor;
        bool live_update;
    } cases[] = {
        {"v1.5.2", 5, false}, {"v1.6.0", 6, true}, {"1.8.2", 8, true}, {"devel", 0, true},
        {"v1.x", 0, true},    {"v1", 0, true},     {"", 0, true},
    };
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct vf_test_script s;
        struct vf_kubevirt_facts f;
        char body[400];
        snprintf(body, sizeof body,
                 VF_TEST_LIST("{\"spec\":{\"configuration\":{\"developerConfiguration\":{"
                              "\"cpuAllocationRatio\":-3}}},\"status\":{"
                              "\"observedKubeVirtVersion\":\"%s\"}}"),
                 cases[i].version);
        assert_int_equal(fetch(200, body, &s, &f), 0);
        assert_true(f.known);
        assert_int_equal(f.minor, cases[i].minor);
        assert_int_equal(f.live_update, cases[i].live_update);
        assert_int_equal(f.max_hotplug_ratio, 4);
        assert_int_equal(f.cpu_allocation_ratio, 10);
        assert_true(f.permit_bridge_on_pod_network);
        assert_false(f.persistent_reservation);
        assert_null(f.default_eviction_strategy);
        vf_kubevirt_facts_release(&f);
        vf_test_script_stop(&s);
    }
}

static void test_kubevirt_facts__what_may_not_be_read_is_not_known(void **state)
{
    struct vf_test_script s;
    struct vf_kubevirt_facts f;
    (void)state;
    assert_int_equal(fetch(403, "{}", &s, &f), 0);
    assert_false(f.known || f.absent);
    assert_null(f.version);
    assert_int_equal(f.cpu_allocation_ratio, 10);
    vf_kubevirt_facts_release(&f);
    vf_test_script_stop(&s);
}

static void test_kubevirt_facts__none_is_missing(void **state)
{
    struct vf_test_script s;
    struct vf_kubevirt_facts f;
    (void)state;
    assert_int_equal(fetch(200, VF_TEST_LIST(""), &s, &f), VF_MISSING);
    vf_test_expect_error(s.kube.err, "no KubeVirt object");
    vf_test_script_stop(&s);
    assert_int_equal(fetch(404, "404 page not found", &s, &f), VF_MISSING);
    vf_test_expect_error(s.kube.err, "the cluster has no KubeVirt");
    vf_test_script_stop(&s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_kubevirt_gates__graduate_by_version),
        cmocka_unit_test(test_kubevirt_gates__since_when_they_need_no_naming),
        cmocka_unit_test(test_kubevirt_facts__all_is_read),
        cmocka_unit_test(test_kubevirt_facts__defaults_are_the_versions),
        cmocka_unit_test(test_kubevirt_facts__what_may_not_be_read_is_not_known),
        cmocka_unit_test(test_kubevirt_facts__none_is_missing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
