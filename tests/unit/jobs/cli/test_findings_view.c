#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <locale.h>
#include <stdlib.h>
#include <string.h>

#include "importer/base/json.h"
#include "importer/base/mem.h"
#include "jobs/cli/findings_view.h"

#define GIB (UINT64_C(1) << 30)

static const struct vf_rule rdm = {
    .id = "disk.rdm", .severity = VF_CRITICAL, .area = VF_AREA_VM, .action = "give --rdm"};
static const struct vf_rule tools = {
    .id = "vm.tools", .severity = VF_WARNING, .area = VF_AREA_VM, .action = "install VMware Tools"};
static const struct vf_rule named = {.id = "vm.name", .area = VF_AREA_MAPPING, .action = ""};
static const struct vf_rule clock_skew = {
    .id = "source.clock", .severity = VF_WARNING, .area = VF_AREA_SOURCE, .once = true};

static char web[] = "web\033[2J01", db[] = "db, old", app[] = "app", ref[] = "vm-42",
            folder[] = "/DC0/vm/prod", object[] = "disk 1 (\"Hard disk 2\")",
            is_raw[] = "it is a raw device mapping", no_tools[] = "no tools run",
            will_be[] = "it will be called \"web01\"", ahead[] = "its clock is 7 min ahead",
            ntp[] = "set NTP on the host", web01[] = "web01", db_old[] = "db-old", app_[] = "app";

/* Three VMs, two of one name: one with everything, one with an information, one with nothing. */
struct world {
    struct vf_vm vms[3];
    char *names[3];
    struct vf_estimate estimates[3];
    struct vf_finding findings[5];
    struct vf_preflight p;
};

static struct vf_preflight *world_init(struct world *w)
{
    *w = (struct world){
        .vms = {{.name = web, .moref = ref, .folder = folder}, {.name = app}, {.name = app}},
        .names = {web01, db_old, app_},
        .estimates = {{.bytes = 10 * GIB, .bytes_per_s = 1e8, .measured = true, .copy_s = 107.4},
                      {.bytes = 5 * GIB, .bytes_per_s = 1e8, .copy_s = 53.7, .downtime_s = 53.7},
                      {0}},
        .findings = {{&rdm, VF_CRITICAL, web, 0, object, is_raw, NULL},
                     {&tools, VF_WARNING, web, 0, NULL, no_tools, NULL},
                     {&named, VF_INFORMATION, web, 0, NULL, will_be, NULL},
                     {&named, VF_INFORMATION, app, 2, NULL, will_be, NULL},
                     {&clock_skew, VF_WARNING, NULL, 0, NULL, ahead, ntp}},
    };
    w->vms[1].name = db;
    w->p = (struct vf_preflight){.vms = w->vms,
                                 .n_vms = 3,
                                 .estimates = w->estimates,
                                 .facts = {.names = w->names},
                                 .findings = {.items = w->findings, .n_items = 5},
                                 .counts = {2, 2, 1}};
    return &w->p;
}

static void check_print(const struct vf_preflight *p, enum vf_severity least, const char *want)
{
    char *vf_autofree text = vf_findings_print(p, least);
    assert_string_equal(text, want);
}

#define SUM                                                                                        \
    "3 VMs: 2 clean, 0 with warnings, 1 critical; 1 finding concerns them all; 15.0 GiB to copy, " \
    "about 2:42 one after the other at the usual rate, which was not measured\n"

static void test_findings_print__gravest_first_with_actions(void **state)
{
    (void)state;
    struct world w;
    check_print(world_init(&w), VF_INFORMATION,
                "all VMs\n"
                "  warning      its clock is 7 min ahead [source.clock]\n"
                "               do: set NTP on the host\n"
                "\n"
                "web?[2J01 (/DC0/vm/prod), to be \"web01\"\n"
                "  critical     disk 1 (\"Hard disk 2\"): it is a raw device mapping [disk.rdm]\n"
                "               do: give --rdm\n"
                "  warning      no tools run [vm.tools]\n"
                "               do: install VMware Tools\n"
                "  information  it will be called \"web01\" [vm.name]\n"
                "\n"
                "app, to be \"app\"\n"
                "  information  it will be called \"web01\" [vm.name]\n"
                "\n"
                "clean: \"db, old\"\n"
                "\n" SUM);
}

static void test_findings_print__milder_ones_are_counted(void **state)
{
    (void)state;
    struct world w;
    struct vf_preflight *p = world_init(&w);
    check_print(p, VF_CRITICAL,
                "web?[2J01 (/DC0/vm/prod), to be \"web01\"\n"
                "  critical     disk 1 (\"Hard disk 2\"): it is a raw device mapping [disk.rdm]\n"
                "               do: give --rdm\n"
                "\n"
                "nothing critical: \"db, old\", \"app\"\n"
                "\n" SUM "4 milder findings are not shown: \"--least information\" does\n");
    p->findings.items += 4; /* the one of all VMs alone */
    p->findings.n_items = 1;
    p->n_vms = 1;
    p->counts[VF_INFORMATION] = 1;
    p->counts[VF_WARNING] = 0;
    p->counts[VF_CRITICAL] = 0;
    check_print(p, VF_CRITICAL,
                "nothing critical: \"web?[2J01\"\n"
                "\n"
                "1 VM: 1 clean, 0 with warnings, 0 critical; 1 finding concerns them all; "
                "10.0 GiB to copy, about 1:48\n"
                "1 milder finding is not shown: \"--least information\" does\n");
}

static void test_findings_print__one_action_for_many_of_a_rule(void **state)
{
    (void)state;
    struct world w;
    struct vf_preflight *p = world_init(&w);
    p->n_vms = 1;
    p->estimates = NULL;
    p->findings.n_items = 3;
    w.findings[1] = w.findings[0];
    w.findings[2] = w.findings[0];
    w.findings[2].action = ntp;
    check_print(p, VF_CRITICAL,
                "web?[2J01 (/DC0/vm/prod), to be \"web01\"\n"
                "  critical     disk 1 (\"Hard disk 2\"): it is a raw device mapping [disk.rdm]\n"
                "  critical     disk 1 (\"Hard disk 2\"): it is a raw device mapping [disk.rdm]\n"
                "               do: give --rdm\n"
                "  critical     disk 1 (\"Hard disk 2\"): it is a raw device mapping [disk.rdm]\n"
                "               do: set NTP on the host\n"
                "\n"
                "1 VM: 0 clean, 0 with warnings, 1 critical\n"
                "4 milder findings are not shown: \"--least information\" does\n");
}

static void test_findings_print__nothing_at_all(void **state)
{
    (void)state;
    const struct vf_preflight nothing = {0};
    check_print(&nothing, VF_WARNING, "0 VMs: 0 clean, 0 with warnings, 0 critical\n");
}

static void test_findings_json__has_what_is_documented(void **state)
{
    (void)state;
    struct world w;
    cJSON *tree = vf_findings_to_json(world_init(&w));
    char *vf_autofree text = vf_json_print(tree, false);
    cJSON_Delete(tree);
    assert_string_equal(
        text,
        "{\"vms\":[{\"name\":\"web\\u001b[2J01\",\"reference\":\"vm-42\",\"folder\":\"/DC0/vm/"
        "prod\",\"target_name\":\"web01\",\"severity\":\"critical\",\"findings\":["
        "{\"id\":\"disk.rdm\",\"severity\":\"critical\",\"area\":\"VM\",\"object\":\"disk 1 "
        "(\\\"Hard disk 2\\\")\",\"message\":\"it is a raw device mapping\",\"action\":\"give "
        "--rdm\"},"
        "{\"id\":\"vm.tools\",\"severity\":\"warning\",\"area\":\"VM\",\"message\":\"no tools "
        "run\",\"action\":\"install VMware Tools\"},"
        "{\"id\":\"vm.name\",\"severity\":\"information\",\"area\":\"mapping\",\"message\":\"it "
        "will be called \\\"web01\\\"\",\"action\":\"\"}],"
        "\"estimate\":{\"bytes\":10737418240,\"bytes_per_s\":100000000,\"measured\":true,"
        "\"copy_s\":107,\"downtime_s\":0}},"
        "{\"name\":\"db, old\",\"target_name\":\"db-old\",\"severity\":\"none\",\"findings\":[],"
        "\"estimate\":{\"bytes\":5368709120,\"bytes_per_s\":100000000,\"measured\":false,"
        "\"copy_s\":54,\"downtime_s\":54}},"
        "{\"name\":\"app\",\"target_name\":\"app\",\"severity\":\"information\",\"findings\":["
        "{\"id\":\"vm.name\",\"severity\":\"information\",\"area\":\"mapping\",\"message\":\"it "
        "will be called \\\"web01\\\"\",\"action\":\"\"}],"
        "\"estimate\":{\"bytes\":0,\"bytes_per_s\":0,\"measured\":false,\"copy_s\":0,"
        "\"downtime_s\":0}}],"
        "\"findings\":[{\"id\":\"source.clock\",\"severity\":\"warning\",\"area\":\"source\","
        "\"message\":\"its clock is 7 min ahead\",\"action\":\"set NTP on the host\"}],"
        "\"summary\":{\"vms\":3,\"clean\":2,\"with_warnings\":0,\"critical\":1,\"findings\":"
        "{\"information\":2,\"warning\":2,\"critical\":1},\"bytes\":16106127360,\"copy_s\":161}}");
}

static void test_rules__each_is_shown(void **state)
{
    (void)state;
    char *vf_autofree text = vf_rules_print_table();
    cJSON *tree = vf_rules_to_json();
    const cJSON *list = vf_json_array(tree, "rules"), *rule;
    const struct vf_rule *const *at = vf_rules_all();
    assert_non_null(*at);
    cJSON_ArrayForEach(rule, list)
    {
        assert_non_null(*at);
        assert_string_equal(vf_json_string(rule, "id"), (*at)->id);
        assert_non_null(strstr(text, (*at)->id));
        at++;
    }
    assert_null(*at);
    cJSON_Delete(tree);
}

static int set_locale(void **state)
{
    (void)state;
    setlocale(LC_ALL, "C.UTF-8");
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_findings_print__gravest_first_with_actions),
        cmocka_unit_test(test_findings_print__milder_ones_are_counted),
        cmocka_unit_test(test_findings_print__one_action_for_many_of_a_rule),
        cmocka_unit_test(test_findings_print__nothing_at_all),
        cmocka_unit_test(test_findings_json__has_what_is_documented),
        cmocka_unit_test(test_rules__each_is_shown),
    };
    return cmocka_run_group_tests(tests, set_locale, NULL);
}
