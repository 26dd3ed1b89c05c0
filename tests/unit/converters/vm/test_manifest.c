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
    size_t nested = 0;
    for (size_t j = 0; j < m.concerns.n_items; j++) {
        nested += strcmp(m.concerns.items[j].id, "vm.nested") == 0;
    }
    assert_int_equal(nested, 1);
    static const char *const wanted[] = {
        "virtio-win", "BitLocker",   "EFI variables", "nested=1",
        "raw device", "2 snapshots", "time zone",     "\"vlan-120\": it needs"};
    for (size_t i = 0; i < sizeof wanted / sizeof *wanted; i++) {
        bool found = false;
        for (size_t j = 0; j < m.concerns.n_items; j++) {
            found |= strstr(m.concerns.items[j].text, wanted[i]) != NULL;
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
    const struct vf_manifest_disk two[2] = {{0}}, mode = {.volume_mode = "block"};
    const struct vf_manifest_disk access = {.access_mode = "RWX"}, class = {.storage_class = "F"};
    const struct vf_manifest_options rows[] = {
        {.name = "Not A Label"},
        {.namespace_name = "a.b"},
        {.namespace_name = ""},
        {.storage_class = "Fast Disks"},
        {.disks = &newline, .n_disks = 1},
        {.disks = &claim, .n_disks = 1},
        {.disks = two, .n_disks = 2},
        {.disks = &mode, .n_disks = 1},
        {.disks = &access, .n_disks = 1},
        {.disks = &class, .n_disks = 1},
        {.disk_bus = "ide"},
        {.nic_model = "vmxnet3"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct vf_manifests m = {0};
        assert_int_equal(vf_manifests_build(&vm, &rows[i], &m, NULL), VF_INVALID);
        assert_int_equal(m.n_documents, 0);
    }
}

/* What section of the facts of KubeVirt asks of any VM: here with all that may go wrong at once. */
static struct vf_vm_disk many_disks[60];
static struct vf_vm_nic many_nics[3];

static struct vf_vm hard_vm(void)
{
    static char name[400], serial[400];
    for (size_t i = 0; i < 200; i++) {
        memcpy(name + 2 * i, "\xc3\x9c", 2); /* U with dots */
        serial[i] = 'f';
    }
    name[399] = '\0';
    name[398] = 'A';
    for (size_t i = 0; i < 60; i++) {
        many_disks[i] = (struct vf_vm_disk){
            .capacity_bytes = GIB + i * 512, .uuid = i % 2 ? serial : NULL, .bus = VF_BUS_SATA};
    }
    many_nics[0] = (struct vf_vm_nic){.mac = TEXT("00:50:56:9A:11:02"), .network = TEXT("a=b")};
    many_nics[1] = (struct vf_vm_nic){
        .mac = TEXT("01:00:5e:00:00:01"), .network = TEXT("VM Network"), .start_connected = true};
    many_nics[2] = (struct vf_vm_nic){.mac = TEXT("00:50:56:9a:11:04"), .network = TEXT("dmz")};
    return (struct vf_vm){.name = name,
                          .guest_hostname = name,
                          .family = VF_GUEST_WINDOWS,
                          .firmware = VF_FIRMWARE_EFI,
                          .secure_boot = true,
                          .has_vtpm = true,
                          .power = VF_POWER_ON,
                          .cpus = 4,
                          .memory_bytes = 4 * GIB,
                          .disks = many_disks,
                          .n_disks = 60,
                          .nics = many_nics,
                          .n_nics = 3};
}

static struct vf_network_map hard_map(void)
{
    struct vf_network_map map = {0};
    assert_int_equal(vf_network_map_add(&map, "a=b=lab/vlan-120", NULL), 0);
    assert_int_equal(vf_network_map_add(&map, "VM Network=pod", NULL), 0);
    assert_int_equal(vf_network_map_add(&map, "dmz=ignore", NULL), 0);
    return map;
}

static void expect_at(const struct vf_manifests *m, const char *path, const char *want)
{
    const cJSON *item = at(m->documents[m->n_documents - 1], path);
    char *got = item ? vf_json_print(item, false) : vf_xstrdup("absent");
    if (strcmp(got, want) != 0) {
        fail_msg("%s is %s, wanted %s", path, got, want);
    }
    free(got);
}

static bool has_concern(const struct vf_manifests *m, const char *part)
{
    for (size_t i = 0; i < m->concerns.n_items; i++) {
        if (strstr(m->concerns.items[i].text, part)) {
            return true;
        }
    }
    return false;
}

static void test_manifest__adoption_says_of_claims_what_they_are(void **state)
{
    (void)state;
    struct vf_vm vm = linux_vm();
    vm.n_disks = 2;
    struct vf_vm_disk pair[2] = {linux_disk, {.capacity_bytes = GIB, .shared = true}};
    vm.disks = pair;
    const struct vf_manifest_disk disks[] = {{.claim = "db.root",
                                              .storage_class = "fast",
                                              .volume_mode = "Filesystem",
                                              .access_mode = "ReadWriteOnce",
                                              .request_bytes = 11382292480},
                                             {.size_bytes = 2 * GIB, .storage_class = ""}};
    struct vf_manifest_options o = {
        .handover = VF_HANDOVER_ADOPT, .storage_class = "other", .disks = disks, .n_disks = 2};
    struct vf_manifests m;
    assert_int_equal(vf_manifests_build(&vm, &o, &m, NULL), 0);
    assert_int_equal(m.n_documents, 1);
    expect_at(&m, "kind", "\"VirtualMachine\"");
    expect_at(&m, "spec.dataVolumeTemplates.0.metadata.name", "\"db.root\"");
    expect_at(&m, "spec.dataVolumeTemplates.0.metadata.annotations",
              "{\"cdi.kubevirt.io/allowClaimAdoption\":\"true\"}");
    expect_at(&m, "spec.dataVolumeTemplates.0.spec",
              "{\"source\":{\"blank\":{}},\"storage\":{\"storageClassName\":\"fast\","
              "\"volumeMode\":\"Filesystem\",\"accessModes\":[\"ReadWriteOnce\"],"
              "\"resources\":{\"requests\":{\"storage\":\"10855Mi\"}}}}");
    expect_at(&m, "spec.dataVolumeTemplates.1.spec.storage",
              "{\"storageClassName\":\"\",\"volumeMode\":\"Block\","
              "\"accessModes\":[\"ReadWriteMany\"],"
              "\"resources\":{\"requests\":{\"storage\":\"2Gi\"}}}");
    expect_at(&m, SPEC "volumes",
              "[{\"name\":\"disk-0\",\"dataVolume\":{\"name\":\"db.root\"}},"
              "{\"name\":\"disk-1\",\"dataVolume\":{\"name\":\"legacy-db-disk-1\"}}]");
    assert_null(strstr(m.comment, "image-upload"));
    assert_non_null(strstr(m.comment, "virtctl start"));
    vf_manifests_release(&m);
}

static void test_manifest__vm_alone_names_its_claims(void **state)
{
    (void)state;
    struct vf_vm vm = linux_vm();
    struct vf_manifest_options o = {.handover = VF_HANDOVER_CLAIM, .vm_only = true};
    struct vf_manifests m;
    assert_int_equal(vf_manifests_build(&vm, &o, &m, NULL), 0);
    assert_int_equal(m.n_documents, 1);
    expect_at(&m, "spec.dataVolumeTemplates", "absent");
    expect_at(&m, SPEC "volumes.0.persistentVolumeClaim", "{\"claimName\":\"legacy-db-disk-0\"}");
    vf_manifests_release(&m);
}

static void test_manifest__run_strategy_is_as_told(void **state)
{
    (void)state;
    static const struct {
        enum vf_run run;
        enum vf_power power;
        const char *want;
    } rows[] = {{VF_RUN_HALTED, VF_POWER_ON, "\"Halted\""},
                {VF_RUN_AS_SOURCE, VF_POWER_ON, "\"RerunOnFailure\""},
                {VF_RUN_AS_SOURCE, VF_POWER_OFF, "\"Halted\""},
                {VF_RUN_AS_SOURCE, VF_POWER_SUSPENDED, "\"Halted\""},
                {VF_RUN_ALWAYS, VF_POWER_OFF, "\"Always\""}};
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct vf_vm vm = linux_vm();
        vm.power = rows[i].power;
        struct vf_manifest_options o = {.run = rows[i].run};
        struct vf_manifests m;
        assert_int_equal(vf_manifests_build(&vm, &o, &m, NULL), 0);
        expect_at(&m, "spec.runStrategy", rows[i].want);
        assert_int_equal(strstr(m.comment, "virtctl start") != NULL,
                         strcmp(rows[i].want, "\"Halted\"") == 0);
        vf_manifests_release(&m);
    }
}

static void test_manifest__hard_vm_keeps_within_the_rules(void **state)
{
    (void)state;
    struct vf_vm vm = hard_vm();
    struct vf_network_map map = hard_map();
    struct vf_manifest_options o = {.handover = VF_HANDOVER_ADOPT,
                                    .disk_bus = "sata",
                                    .nic_model = "e1000e",
                                    .networks = &map,
                                    .run = VF_RUN_AS_SOURCE};
    struct vf_manifests m;
    assert_int_equal(vf_manifests_build(&vm, &o, &m, NULL), 0);
    const cJSON *name = at(m.documents[0], "metadata.name");
    assert_true(strlen(name->valuestring) <= 54);
    expect_at(&m, SPEC "hostname", "absent");
    expect_at(&m, DOMAIN "features.smm", "{\"enabled\":true}");
    expect_at(&m, DOMAIN "devices.blockMultiQueue", "absent");
    expect_at(&m, DOMAIN "devices.networkInterfaceMultiqueue", "absent");
    expect_at(&m, DOMAIN "devices.disks.0",
              "{\"name\":\"disk-0\",\"bootOrder\":1,\"disk\":{\"bus\":\"sata\"}}");
    expect_at(&m, DOMAIN "devices.disks.1", "{\"name\":\"disk-1\",\"disk\":{\"bus\":\"sata\"}}");
    expect_at(&m, DOMAIN "devices.interfaces",
              "[{\"name\":\"net-0\",\"model\":\"e1000e\",\"macAddress\":\"00:50:56:9A:11:02\","
              "\"bridge\":{},\"state\":\"down\"},"
              "{\"name\":\"net-1\",\"model\":\"e1000e\",\"masquerade\":{}}]");
    expect_at(&m, SPEC "networks",
              "[{\"name\":\"net-0\",\"multus\":{\"networkName\":\"lab/vlan-120\"}},"
              "{\"name\":\"net-1\",\"pod\":{}}]");
    assert_int_equal(cJSON_GetArraySize(at(m.documents[0], DOMAIN "devices.disks")), 60);
    assert_int_equal(cJSON_GetArraySize(at(m.documents[0], "spec.dataVolumeTemplates")), 60);
    assert_int_equal(cJSON_GetArraySize(at(m.documents[0], SPEC "volumes")), 60);
    assert_true(has_concern(&m, "net-1 gets a new MAC address"));
    assert_true(has_concern(&m, "net-2, on network \"dmz\", is left out"));
    assert_false(has_concern(&m, "virtio-win"));
    assert_false(has_concern(&m, "NetworkAttachmentDefinition"));
    char *text = NULL;
    assert_int_equal(vf_manifests_render(&m, &text, NULL), 0);
    vf_manifests_release(&m);
    vf_network_map_release(&map);
    bool checked = check_schema(text);
    free(text);
    if (!checked) {
        skip();
    }
}

static void test_manifest__nics_left_out_leave_none(void **state)
{
    (void)state;
    struct vf_vm vm = linux_vm();
    struct vf_network_map map = {0};
    linux_nic.network = TEXT("lan");
    assert_int_equal(vf_network_map_add(&map, "lan=ignore", NULL), 0);
    assert_int_equal(vf_network_map_add(&map, "LAN=pod", NULL), 0);
    struct vf_manifest_options o = {.networks = &map};
    struct vf_manifests m;
    assert_int_equal(vf_manifests_build(&vm, &o, &m, NULL), 0);
    linux_nic.network = NULL;
    expect_at(&m, DOMAIN "devices.autoattachPodInterface", "false");
    expect_at(&m, DOMAIN "devices.interfaces", "absent");
    expect_at(&m, DOMAIN "devices.networkInterfaceMultiqueue", "absent");
    expect_at(&m, SPEC "networks", "absent");
    assert_true(has_concern(&m, "no NIC of the VM is on network \"LAN\""));
    vf_manifests_release(&m);
    vf_network_map_release(&map);
}

static void test_manifest__more_disks_than_kubevirt_takes_are_invalid(void **state)
{
    (void)state;
    static struct vf_vm_disk disks[257];
    for (size_t i = 0; i < 257; i++) {
        disks[i] = (struct vf_vm_disk){.capacity_bytes = GIB, .position = (uint32_t)i};
    }
    struct vf_vm vm = linux_vm();
    vm.disks = disks;
    struct vf_manifest_options o = {.handover = VF_HANDOVER_ADOPT};
    for (vm.n_disks = 256; vm.n_disks <= 257; vm.n_disks++) {
        struct vf_manifests m = {0};
        struct vf_error *err = NULL;
        int rc = vf_manifests_build(&vm, &o, &m, &err);
        assert_int_equal(rc, vm.n_disks == 256 ? 0 : VF_INVALID);
        if (rc) {
            assert_non_null(strstr(vf_error_message(err), "257 disks"));
            assert_non_null(strstr(vf_error_get_hint(err), "--disk"));
            assert_int_equal(m.n_documents, 0);
        }
        vf_error_free(err);
        vf_manifests_release(&m);
    }
}

static void test_manifest__vm_with_nothing_but_a_cdrom(void **state)
{
    (void)state;
    struct vf_vm_cdrom drive = {
        .label = TEXT("CD/DVD drive 1"), .kind = VF_CDROM_ISO, .file = TEXT("[ds1] iso/live.iso")};
    struct vf_iso_rule iso = {.file = TEXT("*live.iso"), .claim = TEXT("live-iso")};
    struct vf_mapping mapping = {.cdroms = VF_CDROMS_KEEP, .isos = &iso, .n_isos = 1};
    struct vf_vm vm = linux_vm();
    vm.n_disks = 0;
    vm.cdroms = &drive;
    vm.n_cdroms = 1;
    struct vf_manifest_options o = {.mapping = &mapping};
    struct vf_manifests m;
    assert_int_equal(vf_manifests_build(&vm, &o, &m, NULL), 0);
    assert_int_equal(m.n_documents, 1);
    assert_int_equal(cJSON_GetArraySize(at(m.documents[0], DOMAIN "devices.disks")), 1);
    expect_at(&m, DOMAIN "devices.disks.0.cdrom.bus", "\"sata\"");
    expect_at(&m, SPEC "volumes.0.persistentVolumeClaim.claimName", "\"live-iso\"");
    assert_null(strstr(m.comment, "image-upload"));
    vf_manifests_release(&m);
}

#define OS_TABLE                                                                                   \
    "apiVersion: vmferry.io/v1alpha1\nkind: OSTable\nrows:\n"                                      \
    "- {name: ubuntu, match: [\"ubuntu*\"], family: linux, templateFile: linux.yaml}\n"            \
    "- {name: any, match: [\"*\"]}\n"

static void test_manifest__template_is_the_mappings_else_the_rows(void **state)
{
    (void)state;
    static const char one[] = "{apiVersion: kubevirt.io/v1, kind: VirtualMachine, spec: {template: "
                              "{spec: {schedulerName: one}}}}";
    static const char two[] = "{apiVersion: kubevirt.io/v1, kind: VirtualMachine, spec: "
                              "{instancetype: {name: x}, template: {spec: {schedulerName: two}}}}";
    struct vf_map_pair files[] = {{TEXT("windows.yaml"), TEXT("nonsense")},
                                  {TEXT("linux.yaml"), TEXT(one)}};
    struct vf_mapping mapping = {
        .os_table = TEXT(OS_TABLE), .os_templates = files, .n_os_templates = 2};
    struct vf_vm vm = linux_vm();
    struct vf_manifest_options o = {.mapping = &mapping};
    struct vf_manifests m;
    assert_int_equal(vf_manifests_build(&vm, &o, &m, NULL), 0);
    expect_at(&m, SPEC "schedulerName", "\"one\"");
    assert_false(has_concern(&m, "instance type"));
    vf_manifests_release(&m);

    mapping.template_text = TEXT(two);
    mapping.template_name = TEXT("two.yaml");
    assert_int_equal(vf_manifests_build(&vm, &o, &m, NULL), 0);
    expect_at(&m, SPEC "schedulerName", "\"two\"");
    expect_at(&m, "spec.instancetype", "absent");
    assert_true(has_concern(&m, "instance type of template \"two.yaml\""));
    const cJSON *name = at(m.documents[m.n_documents - 1], SPEC "schedulerName");
    assert_string_equal(vf_origin_get(m.origins, name)->text, "template \"two.yaml\"");
    vf_manifests_release(&m);

    struct vf_error *err = NULL;
    mapping.template_text = NULL;
    mapping.n_os_templates = 1;
    assert_int_equal(vf_manifests_build(&vm, &o, &m, &err), VF_INVALID);
    assert_non_null(strstr(vf_error_message(err), "\"linux.yaml\" of row \"ubuntu\""));
    vf_error_clear(&err);
    mapping.template_text = TEXT("kind: Pod");
    assert_int_equal(vf_manifests_build(&vm, &o, &m, &err), VF_INVALID);
    assert_non_null(strstr(vf_error_message(err), "two.yaml"));
    vf_error_free(err);
}

static void test_manifest__pages_of_a_template_fit_the_memory(void **state)
{
    (void)state;
    struct vf_mapping mapping = {
        .template_text = TEXT("{apiVersion: kubevirt.io/v1, kind: VirtualMachine, spec: {template: "
                              "{spec: {domain: {memory: {hugepages: {pageSize: 1Gi}}}}}}}")};
    struct vf_vm vm = linux_vm();
    struct vf_manifest_options o = {.mapping = &mapping};
    struct vf_manifests m;
    struct vf_error *err = NULL;
    vm.memory_bytes = UINT64_C(1028) << 20;
    assert_int_equal(vf_manifests_build(&vm, &o, &m, &err), VF_INVALID);
    assert_non_null(strstr(vf_error_message(err), "1028Mi is no multiple of hugepages of 1Gi"));
    vf_error_free(err);
    vm.memory_bytes = 2 * GIB;
    assert_int_equal(vf_manifests_build(&vm, &o, &m, NULL), 0);
    expect_at(&m, SPEC "domain.memory.hugepages.pageSize", "\"1Gi\"");
    vf_manifests_release(&m);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_manifest__golden_files),
        cmocka_unit_test(test_manifest__documents_pass_the_crd_schemas),
        cmocka_unit_test(test_manifest__mapping_table),
        cmocka_unit_test(test_manifest__concerns_name_what_is_lost),
        cmocka_unit_test(test_manifest__bad_names_are_invalid),
        cmocka_unit_test(test_manifest__adoption_says_of_claims_what_they_are),
        cmocka_unit_test(test_manifest__vm_alone_names_its_claims),
        cmocka_unit_test(test_manifest__run_strategy_is_as_told),
        cmocka_unit_test(test_manifest__hard_vm_keeps_within_the_rules),
        cmocka_unit_test(test_manifest__nics_left_out_leave_none),
        cmocka_unit_test(test_manifest__more_disks_than_kubevirt_takes_are_invalid),
        cmocka_unit_test(test_manifest__vm_with_nothing_but_a_cdrom),
        cmocka_unit_test(test_manifest__template_is_the_mappings_else_the_rows),
        cmocka_unit_test(test_manifest__pages_of_a_template_fit_the_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
