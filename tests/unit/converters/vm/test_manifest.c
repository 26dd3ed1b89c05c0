#include "converters/vm/manifest.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "importer/base/json.h"
#include "importer/base/mem.h"

#define TEXT(s) ((char *)(uintptr_t)(s)) /* the model owns its strings; nobody frees these */
#define GIB     (UINT64_C(1) << 30)

static char *path_of(const char *below_tests)
{
    char *path = vf_xstrdup(__FILE__);
    *strstr(path, "/unit/converters/") = '\0';
    char *joined = vf_xasprintf("%s/%s", path, below_tests);
    free(path);
    return joined;
}

static char *read_file(const char *path)
{
    FILE *f = fopen(path, "r");
    if (!f) {
        return vf_xstrdup("");
    }
    char *text = vf_xcalloc(1 << 20, 1);
    assert_true(fread(text, 1, (1 << 20) - 1, f) < (1 << 20) - 1);
    fclose(f);
    return text;
}

static void write_file(const char *path, const char *text)
{
    FILE *f = fopen(path, "w");
    assert_non_null(f);
    assert_int_equal(fwrite(text, 1, strlen(text), f), strlen(text));
    fclose(f);
}

static char *render(const struct vf_vm *vm, const struct vf_manifest_options *o)
{
    struct vf_manifests m;
    struct vf_error *err = NULL;
    if (vf_manifests_build(vm, o, &m, &err)) {
        fail_msg("%s", vf_error_message(err));
    }
    char *text = NULL;
    assert_int_equal(vf_manifests_render(&m, &text, NULL), 0);
    vf_manifests_release(&m);
    return text;
}

/* VF_UPDATE_GOLDEN=1 in the environment writes the file anew; look at the difference then. */
static void expect_golden(const char *name, const char *text)
{
    char *below = vf_xasprintf("unit/converters/vm/golden/%s", name);
    char *path = path_of(below);
    if (getenv("VF_UPDATE_GOLDEN")) {
        write_file(path, text);
    }
    char *want = read_file(path);
    assert_string_equal(text, want);
    free(want);
    free(path);
    free(below);
}

/* Whether the schemas were there; fails the test when the manifests break them. */
static bool check_schema(const char *text)
{
    char path[] = "/tmp/vf-test-manifest-XXXXXX";
    close(mkstemp(path));
    write_file(path, text);
    char *script = path_of("lint/check_manifests.py");
    char *crds = path_of("../../shared/crds");
    char *command =
        vf_xasprintf("python3 '%s' %s '%s/kubevirt.yaml' '%s/cdi.yaml'", script, path, crds, crds);
    int status = system(command); /* NOLINT(cert-env33-c): a test, fixed text */
    unlink(path);
    free(command);
    free(crds);
    free(script);
    assert_true(WIFEXITED(status));
    int code = WEXITSTATUS(status);
    if (code == 77 || code == 127) {
        return false;
    }
    assert_int_equal(code, 0);
    return true;
}

static struct vf_vm_disk windows_disks[] = {
    {.label = TEXT("Hard disk 1"),
     .file = TEXT("[ds1] Win App 01/Win App 01.vmdk"),
     .datastore = TEXT("ds1"),
     .uuid = TEXT("6000C29a-5e1f-0b7c-9d2e-1b2c3d4e5f60"),
     .capacity_bytes = 60 * GIB,
     .bus = VF_BUS_SCSI},
    {.label = TEXT("Hard disk 2"),
     .file = TEXT("[ds1] Win App 01/Win App 01_1.vmdk"),
     .uuid = TEXT("6000C291-5c0a-a87b-e413-1b2c3d4e5f60"),
     .capacity_bytes = 200 * GIB,
     .bus = VF_BUS_SCSI},
};

static struct vf_vm_nic windows_nics[] = {
    {.mac = TEXT("00:50:56:9a:11:02"),
     .model = TEXT("vmxnet3"),
     .network = TEXT("VM Network"),
     .start_connected = true},
    {.mac = TEXT("00:50:56:9a:11:03"), .model = TEXT("vmxnet3"), .network = TEXT("vlan-120")},
};

static char *windows_tags[] = {TEXT("env/Production"), TEXT("env/second"), TEXT("owner/Team A")};

static struct vf_vm windows_vm(void)
{
    return (struct vf_vm){
        .name = TEXT("Win App 01"),
        .moref = TEXT("vm-42"),
        .folder = TEXT("/DC0/vm/prod"),
        .instance_uuid = TEXT("503a2f61-4c9e-0d57-8a11-2b7c90d4e6f3"),
        .bios_uuid = TEXT("423a9b1c-7d11-4f6e-9a53-0f2b6c1d8e77"),
        .guest_id = TEXT("windows2019srv_64Guest"),
        .guest_name = TEXT("Microsoft Windows Server 2019 (64-bit)"),
        .guest_hostname = TEXT("WINAPP01.corp.example"),
        .hardware = TEXT("vmx-19"),
        .annotation = TEXT("Owner: team A\n\ton call: 12:30\n# not a comment"),
        .tags = windows_tags,
        .n_tags = 3,
        .family = VF_GUEST_WINDOWS,
        .firmware = VF_FIRMWARE_EFI,
        .secure_boot = true,
        .has_vtpm = true,
        .cpu_hot_add = VF_NO,
        .memory_hot_add = VF_NO,
        .cpus = 8,
        .cores_per_socket = 4,
        .memory_bytes = 16 * GIB,
        .disks = windows_disks,
        .n_disks = 2,
        .nics = windows_nics,
        .n_nics = 2,
    };
}

static char *render_windows(void)
{
    struct vf_vm vm = windows_vm();
    const struct vf_manifest_disk disks[] = {
        {.image = "win-app-01-disk-0.img",
         .format = "raw",
         .size_bytes = 60 * GIB,
         .digest = "sha256:00ff"},
        {.image = "it's disk 1.qcow2", .format = "qcow2", .size_bytes = 200 * GIB + 512},
    };
    struct vf_manifest_options o = {.namespace_name = "migrated",
                                    .storage_class = "fast",
                                    .source = "https://vcenter.example.com/sdk",
                                    .disks = disks,
                                    .n_disks = 2};
    return render(&vm, &o);
}

static struct vf_vm_disk linux_disk = {.label = TEXT("Hard Disk 1"),
                                       .file = TEXT("legacy-disk1.vmdk"),
                                       .capacity_bytes = 10 * GIB + 512,
                                       .bus = VF_BUS_IDE};
static struct vf_vm_nic linux_nic = {.start_connected = true};

static struct vf_vm linux_vm(void)
{
    return (struct vf_vm){.name = TEXT("legacy-db"),
                          .guest_id = TEXT("ubuntu64Guest"),
                          .family = VF_GUEST_LINUX,
                          .firmware = VF_FIRMWARE_BIOS,
                          .cpus = 3,
                          .cores_per_socket = 2,
                          .memory_bytes = 512u << 20,
                          .memory_hot_add = VF_NO,
                          .disks = &linux_disk,
                          .n_disks = 1,
                          .nics = &linux_nic,
                          .n_nics = 1};
}

static char *render_linux(void)
{
    struct vf_vm vm = linux_vm();
    const struct vf_manifest_disk disk = {.image = "legacy-db-disk-0.img", .format = "raw"};
    struct vf_manifest_options o = {.disks = &disk, .n_disks = 1, .handover = VF_HANDOVER_CLAIM};
    return render(&vm, &o);
}

static void test_manifest__golden_files(void **state)
{
    (void)state;
    char *text = render_windows();
    expect_golden("windows.yaml", text);
    free(text);
    text = render_linux();
    expect_golden("linux.yaml", text);
    free(text);
}

static void test_manifest__documents_pass_the_crd_schemas(void **state)
{
    (void)state;
    struct vf_vm_disk disks[] = {
        {.capacity_bytes = GIB, .shared = true, .rdm = true},
        {.capacity_bytes = 1, .uuid = TEXT("60002951505087841312345678901234")},
    };
    struct vf_vm_nic nics[] = {{.mac = TEXT("02:00:00:00:00:00")},
                               {.mac = TEXT("junk"), .network = TEXT("\xe6\x9d\xb1")},
                               {.network = NULL, .start_connected = true}};
    char *tags[] = {TEXT("no category"), TEXT("/"), TEXT("a b/c d"), TEXT("\xe6\x9d\xb1/x")};
    struct vf_vm shapes[] = {
        {.name = NULL},
        {.name = TEXT("no"), .guest_hostname = TEXT("-bad-.x"), .annotation = TEXT("null")},
        {.name = TEXT("12:30\n---\nkind: Pod"),
         .annotation = TEXT("a: b\n---\n- x\n\x01\xff\r\n"),
         .disks = disks,
         .n_disks = 2,
         .nics = nics,
         .n_nics = 3,
         .tags = tags,
         .n_tags = 4,
         .cpus = 4,
         .firmware = VF_FIRMWARE_EFI,
         .guest_id = TEXT("rhel6_64Guest"),
         .family = VF_GUEST_LINUX},
        {.name = TEXT("1e3"),
         .cpus = 300,
         .memory_bytes = 4097,
         .nested_hv = true,
         .family = VF_GUEST_WINDOWS},
    };
    char *golden[] = {render_windows(), render_linux()};
    bool checked = true;
    for (size_t i = 0; i < sizeof golden / sizeof *golden; i++) {
        checked &= check_schema(golden[i]);
        free(golden[i]);
    }
    for (size_t i = 0; i < sizeof shapes / sizeof *shapes; i++) {
        struct vf_manifest_options o = {.source = "x\ny: z"};
        char *text = render(&shapes[i], &o);
        checked &= check_schema(text);
        free(text);
    }
    if (!checked) {
        print_message("skipped: needs python3-yaml, python3-jsonschema and the CRDs\n");
        skip();
    }
}

static const cJSON *at(const cJSON *from, const char *path)
{
    char *copy = vf_xstrdup(path);
    char *rest = NULL;
    for (char *part = strtok_r(copy, ".", &rest); part; part = strtok_r(NULL, ".", &rest)) {
        from = *part >= '0' && *part <= '9' ? cJSON_GetArrayItem(from, *part - '0')
                                            : cJSON_GetObjectItemCaseSensitive(from, part);
    }
    free(copy);
    return from;
}

#define SPEC   "spec.template.spec."
#define DOMAIN SPEC "domain."

/* The JSON text at a path of the VirtualMachine; NULL when there is none. */
static void expect_field(const struct vf_vm *vm, const char *path, const char *want)
{
    struct vf_manifest_options o = {0};
    struct vf_manifests m;
    assert_int_equal(vf_manifests_build(vm, &o, &m, NULL), 0);
    const cJSON *item = at(m.documents[m.n_documents - 1], path);
    char *got = item ? vf_json_print(item, false) : NULL;
    if ((got == NULL) != (want == NULL) || (got && strcmp(got, want) != 0)) {
        fail_msg("%s is %s, wanted %s", path, got ? got : "absent", want ? want : "absent");
    }
    free(got);
    vf_manifests_release(&m);
}

static void test_manifest__mapping_table(void **state)
{
    (void)state;
    struct vf_vm vm = linux_vm();
    expect_field(&vm, DOMAIN "cpu", "{\"sockets\":3,\"cores\":1,\"threads\":1}");
    vm.cpus = 6;
    vm.cpu_hot_add = VF_NO;
    expect_field(&vm, DOMAIN "cpu", "{\"sockets\":3,\"cores\":2,\"threads\":1,\"maxSockets\":3}");
    expect_field(&vm, DOMAIN "devices.networkInterfaceMultiqueue", "true");
    vm.cpus = 1;
    expect_field(&vm, DOMAIN "devices.networkInterfaceMultiqueue", NULL);
    expect_field(&vm, DOMAIN "memory", "{\"guest\":\"512Mi\"}"); /* too small for maxGuest */
    vm.memory_bytes = 3 * GIB;
    expect_field(&vm, DOMAIN "memory", "{\"guest\":\"3Gi\",\"maxGuest\":\"3Gi\"}");
    vm.memory_bytes = GIB + (1 << 20);
    expect_field(&vm, DOMAIN "memory", "{\"guest\":\"1025Mi\"}");
    vm.memory_hot_add = VF_YES;
    vm.memory_bytes = 3 * GIB;
    expect_field(&vm, DOMAIN "memory", "{\"guest\":\"3Gi\"}");

    expect_field(&vm, DOMAIN "firmware", "{\"bootloader\":{\"bios\":{}}}");
    vm.firmware = VF_FIRMWARE_EFI;
    expect_field(&vm, DOMAIN "firmware.bootloader", "{\"efi\":{\"secureBoot\":false}}");
    expect_field(&vm, DOMAIN "features", NULL);
    vm.secure_boot = true;
    expect_field(&vm, DOMAIN "features", "{\"acpi\":{},\"smm\":{\"enabled\":true}}");
    expect_field(&vm, DOMAIN "devices.tpm", NULL);
    vm.has_vtpm = true;
    expect_field(&vm, DOMAIN "devices.tpm", "{\"persistent\":true}");
    expect_field(&vm, DOMAIN "devices.rng", "{}");
    expect_field(&vm, DOMAIN "devices.useVirtioTransitional", NULL);
    vm.guest_id = TEXT("centos6_64Guest");
    expect_field(&vm, DOMAIN "devices.useVirtioTransitional", "true");

    expect_field(&vm, SPEC "hostname", NULL);
    vm.guest_hostname = TEXT("DB01.example.org");
    expect_field(&vm, SPEC "hostname", "\"db01\"");
    vm.guest_hostname = TEXT("db_01");
    expect_field(&vm, SPEC "hostname", NULL);

    vm.n_nics = 0;
    expect_field(&vm, DOMAIN "devices.autoattachPodInterface", "false");
    expect_field(&vm, SPEC "networks", NULL);
    vm.n_disks = 0;
    expect_field(&vm, SPEC "volumes", NULL);
    expect_field(&vm, "spec.runStrategy", "\"Halted\"");
    expect_field(&vm, SPEC "evictionStrategy", "\"LiveMigrateIfPossible\"");
}

static void test_manifest__concerns_name_what_is_lost(void **state)
{
    (void)state;
    struct vf_vm vm = windows_vm();
    vm.n_snapshots = 2;
    vm.nested_hv = true;
    windows_disks[1].rdm = true;
    struct vf_manifest_options o = {0};
    struct vf_manifests m;
    assert_int_equal(vf_manifests_build(&vm, &o, &m, NULL), 0);
    windows_disks[1].rdm = false;
    static const char *const wanted[] = {
        "virtio-win", "BitLocker",   "EFI variables", "nested",
        "raw device", "2 snapshots", "time zone",     "\"vlan-120\": it needs"};
    for (size_t i = 0; i < sizeof wanted / sizeof *wanted; i++) {
        bool found = false;
        for (size_t j = 0; j < m.concerns.n_items; j++) {
            found |= strstr(m.concerns.items[j], wanted[i]) != NULL;
        }
        if (!found) {
            fail_msg("no concern about \"%s\"", wanted[i]);
        }
        assert_non_null(strstr(m.comment, wanted[i]));
    }
    vf_manifests_release(&m);

    vm = linux_vm();
    vm.bios_uuid = TEXT("564d3f2a-90be-5d47-b1c8-1a2b3c4d5e6f");
    linux_nic.mac = TEXT("00:50:56:9a:11:02");
    assert_int_equal(vf_manifests_build(&vm, &o, &m, NULL), 0);
    linux_nic.mac = NULL;
    assert_int_equal(m.concerns.n_items, 0);
    assert_null(strstr(m.comment, "Look at this"));
    vf_manifests_release(&m);
}

static void test_manifest__bad_names_are_invalid(void **state)
{
    (void)state;
    struct vf_vm vm = linux_vm();
    const struct vf_manifest_disk newline = {.image = "a\nb"}, claim = {.claim = "A_b"};
    const struct vf_manifest_disk two[2] = {{0}};
    const struct vf_manifest_options rows[] = {
        {.name = "Not A Label"},
        {.namespace_name = "a.b"},
        {.namespace_name = ""},
        {.storage_class = "Fast Disks"},
        {.disks = &newline, .n_disks = 1},
        {.disks = &claim, .n_disks = 1},
        {.disks = two, .n_disks = 2},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct vf_manifests m = {0};
        assert_int_equal(vf_manifests_build(&vm, &rows[i], &m, NULL), VF_INVALID);
        assert_int_equal(m.n_documents, 0);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_manifest__golden_files),
        cmocka_unit_test(test_manifest__documents_pass_the_crd_schemas),
        cmocka_unit_test(test_manifest__mapping_table),
        cmocka_unit_test(test_manifest__concerns_name_what_is_lost),
        cmocka_unit_test(test_manifest__bad_names_are_invalid),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
