#include "converters/vm/kubevirt_metadata.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "tests/support/manifest_check.h"

static const char *value_of(const struct manifest_check *c, const char *of, const char *key)
{
    const cJSON *machine = c->made.documents[c->made.n_documents - 1];
    const cJSON *all = cJSON_GetObjectItem(cJSON_GetObjectItem(machine, "metadata"), of);
    const cJSON *value = cJSON_GetObjectItemCaseSensitive(all, key);
    return value ? value->valuestring : "absent";
}

static void expect_label(const struct manifest_check *c, const char *key, const char *want)
{
    assert_string_equal(value_of(c, "labels", key), want);
}

static void expect_annotation(const struct manifest_check *c, const char *key, const char *want)
{
    assert_string_equal(value_of(c, "annotations", key), want);
}

/* A value whose characters were changed has ten more, the hash, behind its base. */
static void expect_hashed(const char *got, const char *base)
{
    assert_int_equal(strlen(got), strlen(base) + 10);
    assert_memory_equal(got, base, strlen(base));
}

static void test_kubevirt_metadata__tags_are_labels(void **state)
{
    (void)state;
    char *tags[] = {TEXT("env/Production"), TEXT("env/second"), TEXT("owner/Team A"),
                    TEXT("alone"),          TEXT("/"),          TEXT("empty/"),
                    TEXT("tier/a/b")};
    struct manifest_check c = manifest_check_linux();
    c.vm.tags = tags;
    c.vm.n_tags = sizeof tags / sizeof *tags;
    manifest_check_build(&c);
    expect_label(&c, "tag.vmferry.io/env", "Production");
    expect_label(&c, "tag.vmferry.io/tag", "alone");
    expect_hashed(value_of(&c, "labels", "tag.vmferry.io/owner"), "Team-A-");
    expect_hashed(value_of(&c, "labels", "tag.vmferry.io/tier"), "a-b-");
    expect_label(&c, "tag.vmferry.io/empty", "absent");
    expect_annotation(&c, "vmferry.io/tags",
                      "env/Production, env/second, owner/Team A, alone, /, empty/, tier/a/b");
    c.mapping.no_tags = true;
    manifest_check_build(&c);
    expect_label(&c, "tag.vmferry.io/env", "absent");
    expect_annotation(&c, "vmferry.io/tags",
                      "env/Production, env/second, owner/Team A, alone, /, empty/, tier/a/b");
    manifest_check_release(&c);
}

static void test_kubevirt_metadata__attributes_are_labels_or_annotations(void **state)
{
    (void)state;
    struct vf_vm_attribute attributes[] = {
        {TEXT("cost-center"), TEXT("4711")}, {TEXT("backup"), TEXT("Veeam, 2024-02-29 (ok)")},
        {TEXT("Backup Job"), TEXT("daily")}, {TEXT("unset"), TEXT("")},
        {TEXT(""), TEXT("nameless")},        {NULL, NULL},
    };
    struct manifest_check c = manifest_check_linux();
    c.vm.attributes = attributes;
    c.vm.n_attributes = sizeof attributes / sizeof *attributes;
    manifest_check_build(&c);
    expect_label(&c, "attribute.vmferry.io/cost-center", "4711");
    expect_annotation(&c, "attribute.vmferry.io/cost-center", "absent");
    expect_annotation(&c, "attribute.vmferry.io/backup", "Veeam, 2024-02-29 (ok)");
    expect_label(&c, "attribute.vmferry.io/backup", "absent");
    expect_label(&c, "attribute.vmferry.io/unset", "absent");
    const cJSON *metadata = cJSON_GetObjectItem(c.made.documents[0], "metadata");
    const cJSON *last = cJSON_GetObjectItem(metadata, "labels")->child->prev;
    expect_hashed(last->string, "attribute.vmferry.io/Backup-Job-");
    assert_string_equal(last->valuestring, "daily");
    assert_string_equal(vf_origin_get(c.made.origins, last)->text,
                        "custom attribute \"Backup Job\"");
    c.mapping.no_tags = true;
    manifest_check_build(&c);
    expect_label(&c, "attribute.vmferry.io/cost-center", "absent");
    expect_annotation(&c, "attribute.vmferry.io/cost-center", "4711");
    manifest_check_release(&c);
}

static void test_kubevirt_metadata__what_a_person_tells_goes_before(void **state)
{
    (void)state;
    struct vf_map_pair labels[] = {{TEXT("team"), TEXT("a")}, {TEXT("empty"), TEXT("")}};
    struct vf_map_pair annotations[] = {{TEXT("example.com/note"), TEXT("moved: 2024")},
                                        {TEXT("example.com/flag"), TEXT("")}};
    struct vf_vm_disk disk = {.capacity_bytes = GIB};
    struct manifest_check c = manifest_check_linux();
    c.vm.disks = &disk;
    c.vm.n_disks = 1;
    c.mapping.labels = labels;
    c.mapping.n_labels = 2;
    c.mapping.annotations = annotations;
    c.mapping.n_annotations = 2;
    manifest_check_build(&c);
    expect_annotation(&c, "example.com/flag", "");
    expect_label(&c, "team", "a");
    expect_label(&c, "empty", "");
    expect_label(&c, "app.kubernetes.io/managed-by", "vmferry");
    expect_annotation(&c, "example.com/note", "moved: 2024");
    manifest_check_expect(&c, "spec.template.metadata.labels.team", "\"a\"");
    manifest_check_origin(&c, "metadata.labels.team", VF_ORIGIN_OPTION, "--label");
    const cJSON *volume = cJSON_GetObjectItem(c.made.documents[0], "metadata");
    assert_non_null(cJSON_GetObjectItem(cJSON_GetObjectItem(volume, "labels"), "team"));
    manifest_check_release(&c);
}

static void test_kubevirt_metadata__addresses_that_only_the_guest_knows(void **state)
{
    (void)state;
    struct vf_vm_address first[] = {
        {.ip = TEXT("10.0.0.5"), .prefix_len = 24, .origin = VF_ADDRESS_STATIC},
        {.ip = TEXT("10.0.0.6"), .prefix_len = 24, .origin = VF_ADDRESS_DHCP},
        {.ip = TEXT("fe80::1"), .prefix_len = 64, .origin = VF_ADDRESS_AUTO},
        {.ip = TEXT("2001:db8::5"), .origin = VF_ADDRESS_UNKNOWN},
        {.ip = NULL, .origin = VF_ADDRESS_STATIC}};
    struct vf_vm_address second[] = {{.ip = TEXT("10.1.0.5"), .origin = VF_ADDRESS_DHCP}};
    struct vf_vm_nic nics[] = {{.mac = TEXT("00:50:56:9a:11:02"),
                                .network = TEXT("VM Network"),
                                .addresses = first,
                                .n_addresses = sizeof first / sizeof *first,
                                .gateway4 = TEXT("10.0.0.1"),
                                .gateway6 = TEXT("2001:db8::1")},
                               {.mac = TEXT("00:50:56:9a:11:03"),
                                .network = TEXT("dmz"),
                                .addresses = second,
                                .n_addresses = 1,
                                .gateway4 = TEXT("10.1.0.1")}};
    char *servers[] = {TEXT("10.0.0.2"), TEXT("10.0.0.3")}, *search[] = {TEXT("corp.example")};
    struct manifest_check c = manifest_check_linux();
    c.vm.nics = nics;
    c.vm.n_nics = 2;
    c.vm.dns_servers = servers;
    c.vm.n_dns_servers = 2;
    c.vm.dns_search = search;
    c.vm.n_dns_search = 1;
    manifest_check_build(&c);
    expect_annotation(&c, "vmferry.io/network-0", "VM Network");
    expect_annotation(&c, "vmferry.io/network-0-addresses", "10.0.0.5/24, 2001:db8::5");
    expect_annotation(&c, "vmferry.io/network-0-gateways", "10.0.0.1, 2001:db8::1");
    expect_annotation(&c, "vmferry.io/network-1", "dmz");
    expect_annotation(&c, "vmferry.io/network-1-addresses", "absent");
    expect_annotation(&c, "vmferry.io/network-1-gateways", "absent");
    expect_annotation(&c, "vmferry.io/dns-servers", "10.0.0.2, 10.0.0.3");
    expect_annotation(&c, "vmferry.io/dns-search", "corp.example");
    c.vm.n_nics = 0;
    manifest_check_build(&c);
    expect_annotation(&c, "vmferry.io/dns-servers", "absent");
    manifest_check_release(&c);
}

static void test_kubevirt_metadata__annotations_stay_below_what_kubernetes_takes(void **state)
{
    (void)state;
    enum { N = 40 };
    static char notes[40001], value[15001];
    memset(notes, 'n', sizeof notes - 1);
    memset(value, '(', sizeof value - 1);
    struct vf_vm_attribute attributes[N];
    char names[N][16];
    for (int i = 0; i < N; i++) {
        snprintf(names[i], sizeof names[i], "a%d", i);
        attributes[i] = (struct vf_vm_attribute){names[i], value};
    }
    struct manifest_check c = manifest_check_linux();
    manifest_check_build(&c);
    manifest_check_concern(&c, "vm.annotations-cut", NULL);
    c.vm.annotation = notes;
    manifest_check_build(&c);
    manifest_check_concern(&c, "vm.annotations-cut", "1 annotation is");
    assert_int_equal(strlen(value_of(&c, "annotations", "vmferry.io/notes")), 16384);
    c.vm.attributes = attributes;
    c.vm.n_attributes = N;
    manifest_check_build(&c);
    manifest_check_concern(&c, "vm.annotations-cut", "annotations are");
    size_t n = 0;
    const cJSON *metadata = cJSON_GetObjectItem(c.made.documents[0], "metadata"), *a;
    cJSON_ArrayForEach(a, cJSON_GetObjectItem(metadata, "annotations"))
    {
        n += strlen(a->string) + strlen(a->valuestring);
    }
    assert_true(n > 180000 && n <= 200000);
    manifest_check_release(&c);
}

static void test_kubevirt_metadata__hostname_table(void **state)
{
    (void)state;
    static const struct {
        const char *guest, *want;
    } rows[] = {{NULL, NULL},
                {"", NULL},
                {"web01", "\"web01\""},
                {"WEB01.corp.example", "\"web01\""},
                {"localhost.localdomain", NULL},
                {"-bad-.x", NULL},
                {"db_01", NULL},
                {".x", NULL},
                {"10.0.0.5", NULL},
                {"10", "\"10\""},
                {"10.example", "\"10\""},
                {"fe80::1", NULL},
                {"0123456789012345678901234567890123456789012345678901234567890123", NULL}};
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct manifest_check c = manifest_check_linux();
        c.vm.guest_hostname = TEXT(rows[i].guest);
        manifest_check_build(&c);
        manifest_check_expect(&c, SPEC "hostname", rows[i].want);
        manifest_check_release(&c);
    }
}

static void test_kubevirt_metadata__says_where_it_comes_from(void **state)
{
    (void)state;
    struct manifest_check c = manifest_check_linux();
    c.vm.name = TEXT("Web 01");
    c.vm.guest_hostname = TEXT("web01.corp");
    manifest_check_build(&c);
    manifest_check_origin(&c, "metadata.name", VF_ORIGIN_SOURCE, "name \"Web 01\"");
    manifest_check_origin(&c, SPEC "hostname", VF_ORIGIN_SOURCE, "guest.hostName web01.corp");
    manifest_check_origin(&c, SPEC "architecture", VF_ORIGIN_SOURCE, "x86");
    manifest_check_origin(&c, SPEC "evictionStrategy", VF_ORIGIN_DEFAULT, "drained");
    manifest_check_origin(&c, "spec.runStrategy", VF_ORIGIN_DEFAULT, "at once");
    c.options.name = "other";
    c.options.run = VF_RUN_ALWAYS;
    manifest_check_build(&c);
    manifest_check_origin(&c, "metadata.name", VF_ORIGIN_OPTION, "--name");
    manifest_check_origin(&c, "spec.runStrategy", VF_ORIGIN_OPTION, "--start");
    manifest_check_release(&c);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_kubevirt_metadata__tags_are_labels),
        cmocka_unit_test(test_kubevirt_metadata__attributes_are_labels_or_annotations),
        cmocka_unit_test(test_kubevirt_metadata__what_a_person_tells_goes_before),
        cmocka_unit_test(test_kubevirt_metadata__addresses_that_only_the_guest_knows),
        cmocka_unit_test(test_kubevirt_metadata__annotations_stay_below_what_kubernetes_takes),
        cmocka_unit_test(test_kubevirt_metadata__hostname_table),
        cmocka_unit_test(test_kubevirt_metadata__says_where_it_comes_from),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
