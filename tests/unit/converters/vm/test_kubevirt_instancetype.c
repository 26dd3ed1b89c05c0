#include "converters/vm/kubevirt_instancetype.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "tests/support/manifest_check.h"

#define CLUSTER_TYPE       "VirtualMachineClusterInstancetype"
#define CLUSTER_PREFERENCE "VirtualMachineClusterPreference"

static void test_kubevirt_instancetype__table(void **state)
{
    (void)state;
    static const struct {
        const char *told;
        uint32_t cpus;
        uint64_t memory_bytes;
        const char *want, *none; /* none: part of the concern */
    } rows[] = {
        {NULL, 2, 4 * GIB, NULL, NULL},
        {"u1.medium", 2, 4 * GIB, "{\"kind\":\"" CLUSTER_TYPE "\",\"name\":\"u1.medium\"}", NULL},
        {CLUSTER_TYPE "/u1.medium", 2, 4 * GIB,
         "{\"kind\":\"" CLUSTER_TYPE "\",\"name\":\"u1.medium\"}", NULL},
        {"VirtualMachineInstancetype/ours", 2, 4 * GIB,
         "{\"kind\":\"VirtualMachineInstancetype\",\"name\":\"ours\"}", NULL},
        {"auto", 2, 4 * GIB, "{\"kind\":\"" CLUSTER_TYPE "\",\"name\":\"u1.2xmedium\"}", NULL},
        {"auto", 3, 10 * GIB, "{\"kind\":\"" CLUSTER_TYPE "\",\"name\":\"u1.xlarge\"}", NULL},
        {"auto", 4096, 4 * GIB, NULL, "large enough"},
        {"auto", 0, 4 * GIB, NULL, "large enough"},
        {"auto", 2, 0, NULL, "large enough"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct manifest_check c = manifest_check_linux();
        c.vm.cpus = rows[i].cpus;
        c.vm.memory_bytes = rows[i].memory_bytes;
        c.mapping.instancetype = TEXT(rows[i].told);
        manifest_check_build(&c);
        manifest_check_expect(&c, "spec.instancetype", rows[i].want);
        manifest_check_concern(&c, "vm.instancetype-none", rows[i].none);
        manifest_check_concern(&c, "vm.instancetype", rows[i].want ? "instance type" : NULL);
        if (rows[i].want) {
            manifest_check_origin(&c, "spec.instancetype", VF_ORIGIN_OPTION, "--instancetype");
        }
        manifest_check_release(&c);
    }
}

static void test_kubevirt_instancetype__brings_cpus_and_memory(void **state)
{
    (void)state;
    struct manifest_check c = manifest_check_linux();
    c.vm.cpu_hot_add = c.vm.memory_hot_add = VF_NO;
    c.vm.nested_hv = true;
    c.vm.host_cpu_mhz = 2000;
    c.vm.cpu_allocation.reservation = c.vm.memory_allocation.reservation = 1000;
    c.mapping =
        (struct vf_mapping){.instancetype = TEXT("u1.large"), .resources = VF_RESOURCES_SOURCE};
    manifest_check_build(&c);
    manifest_check_expect(&c, DOMAIN "cpu",
                          "{\"features\":[{\"name\":\"vmx\",\"policy\":\"optional\"},"
                          "{\"name\":\"svm\",\"policy\":\"optional\"}]}");
    manifest_check_expect(&c, DOMAIN "memory", NULL);
    manifest_check_expect(&c, DOMAIN "resources", NULL);
    manifest_check_concern(&c, "vm.instancetype", "at the source they are 2 and 4Gi");
    c.vm.nested_hv = false;
    manifest_check_build(&c);
    manifest_check_expect(&c, DOMAIN "cpu", NULL);
    manifest_check_release(&c);
}

static void test_kubevirt_preference__table(void **state)
{
    (void)state;
    static const struct {
        const char *guest_id, *told, *want, *none;
    } rows[] = {
        {"ubuntu64Guest", NULL, NULL, NULL},
        {"ubuntu64Guest", "auto", "{\"kind\":\"" CLUSTER_PREFERENCE "\",\"name\":\"ubuntu\"}",
         NULL},
        {"nobodyKnowsGuest", "auto", NULL, "nobodyKnowsGuest"},
        {NULL, "auto", NULL, "does not name"},
        {"ubuntu64Guest", "rhel.9", "{\"kind\":\"" CLUSTER_PREFERENCE "\",\"name\":\"rhel.9\"}",
         NULL},
        {"ubuntu64Guest", "VirtualMachinePreference/ours",
         "{\"kind\":\"VirtualMachinePreference\",\"name\":\"ours\"}", NULL},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct manifest_check c = manifest_check_linux();
        c.vm.guest_id = TEXT(rows[i].guest_id);
        c.mapping.preference = TEXT(rows[i].told);
        manifest_check_build(&c);
        manifest_check_expect(&c, "spec.preference", rows[i].want);
        manifest_check_concern(&c, "vm.preference-none", rows[i].none);
        manifest_check_expect(&c, DOMAIN "cpu.sockets", "2"); /* it leaves them alone */
        manifest_check_release(&c);
    }
}

static void test_kubevirt_types__what_kubevirt_does_not_have_is_invalid(void **state)
{
    (void)state;
    static const char *const bad[] = {"Instancetype/x", "VirtualMachine/x",        "/x",
                                      CLUSTER_TYPE "/", CLUSTER_PREFERENCE "/A b", "A B"};
    for (size_t i = 0; i < 2 * sizeof bad / sizeof *bad; i++) {
        struct manifest_check c = manifest_check_linux();
        *(i % 2 ? &c.mapping.preference : &c.mapping.instancetype) = TEXT(bad[i / 2]);
        c.options.mapping = &c.mapping;
        assert_int_equal(vf_manifests_build(&c.vm, &c.options, &c.made, NULL), VF_INVALID);
        manifest_check_release(&c);
    }
}

/* Labels of the document (a dataVolumeTemplate's, for the VirtualMachine) of disk `i`. */
static const char *label_of(const struct manifest_check *c, size_t i, const char *key)
{
    const cJSON *document = c->made.documents[c->made.n_documents == 1 ? 0 : i];
    const cJSON *spec = cJSON_GetObjectItem(document, "spec");
    if (c->made.n_documents == 1) {
        document = cJSON_GetArrayItem(cJSON_GetObjectItem(spec, "dataVolumeTemplates"), (int)i);
    }
    const cJSON *labels = cJSON_GetObjectItem(cJSON_GetObjectItem(document, "metadata"), "labels");
    const cJSON *value = cJSON_GetObjectItemCaseSensitive(labels, key);
    return value ? value->valuestring : "absent";
}

#define LABEL "instancetype.kubevirt.io/default-"

static void test_kubevirt_infer_labels__stand_on_the_boot_disk(void **state)
{
    (void)state;
    struct vf_vm_disk disks[] = {{.key = 2000, .capacity_bytes = GIB},
                                 {.key = 2001, .capacity_bytes = GIB, .position = 1}};
    struct vf_disk_rule second = {.disk = TEXT("1"), .boot = 1};
    for (int adopt = 0; adopt < 2; adopt++) {
        struct manifest_check c = manifest_check_linux();
        c.vm.disks = disks;
        c.vm.n_disks = 2;
        c.options.handover = adopt ? VF_HANDOVER_ADOPT : VF_HANDOVER_DATA_VOLUME;
        manifest_check_build(&c);
        assert_string_equal(label_of(&c, 0, LABEL "preference"), "ubuntu");
        assert_string_equal(label_of(&c, 0, LABEL "preference-kind"), CLUSTER_PREFERENCE);
        assert_string_equal(label_of(&c, 0, LABEL "instancetype"), "u1.2xmedium");
        assert_string_equal(label_of(&c, 0, LABEL "instancetype-kind"), CLUSTER_TYPE);
        assert_string_equal(label_of(&c, 1, LABEL "preference"), "absent");
        manifest_check_expect(&c, "spec.preference", NULL); /* the VM itself takes none */

        c.mapping.disks = &second;
        c.mapping.n_disks = 1;
        c.mapping.preference = TEXT("VirtualMachinePreference/ours");
        manifest_check_build(&c);
        assert_string_equal(label_of(&c, 0, LABEL "preference"), "absent");
        assert_string_equal(label_of(&c, 1, LABEL "preference"), "ours");
        assert_string_equal(label_of(&c, 1, LABEL "preference-kind"), "VirtualMachinePreference");

        c.vm.guest_id = TEXT("nobodyKnowsGuest");
        c.mapping.preference = NULL;
        manifest_check_build(&c);
        assert_string_equal(label_of(&c, 1, LABEL "preference"), "absent");
        assert_string_equal(label_of(&c, 1, LABEL "instancetype"), "absent");
        manifest_check_release(&c);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_kubevirt_instancetype__table),
        cmocka_unit_test(test_kubevirt_instancetype__brings_cpus_and_memory),
        cmocka_unit_test(test_kubevirt_preference__table),
        cmocka_unit_test(test_kubevirt_types__what_kubevirt_does_not_have_is_invalid),
        cmocka_unit_test(test_kubevirt_infer_labels__stand_on_the_boot_disk),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
