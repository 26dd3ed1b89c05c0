#include "converters/vm/mapping.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "converters/vm/mapping_fields.h"
#include "importer/base/json.h"
#include "importer/base/mem.h"
#include "tests/support/disk_check.h"

#define HEAD "apiVersion: vmferry.io/v1alpha1\nkind: Mapping\nspec:\n"

/* Everything there is, in the order of the table. */
static const char whole[] = HEAD "  cpuModel: Skylake-Server-IBRS\n"
                                 "  nested: false\n"
                                 "  dedicatedCpus: true\n"
                                 "  numa: true\n"
                                 "  hugepages: 1Gi\n"
                                 "  resources: source\n"
                                 "  hotPlug: true\n"
                                 "  os: rhel9\n"
                                 "  osTable: |\n"
                                 "    rows: []\n"
                                 "  osTableFile: os.yaml\n"
                                 "  template: |\n"
                                 "    kind: VirtualMachine\n"
                                 "  templateName: base.yaml\n"
                                 "  templateFile: base.yaml\n"
                                 "  osTemplates:\n"
                                 "    windows.yaml: |\n"
                                 "      kind: VirtualMachine\n"
                                 "  preference: VirtualMachinePreference/rhel.9\n"
                                 "  instancetype: auto\n"
                                 "  timezone: Europe/Zurich\n"
                                 "  tpm: true\n"
                                 "  persistentEfi: false\n"
                                 "  secureBoot: false\n"
                                 "  diskBus: sata\n"
                                 "  storageClass: slow\n"
                                 "  volumeMode: Filesystem\n"
                                 "  accessMode: ReadWriteOnce\n"
                                 "  storage:\n"
                                 "    - datastore: ssd-*\n"
                                 "      storageClass: fast\n"
                                 "      volumeMode: Block\n"
                                 "      accessMode: ReadWriteMany\n"
                                 "  disks:\n"
                                 "    - disk: '0'\n"
                                 "      bus: scsi\n"
                                 "      storageClass: fast\n"
                                 "      volumeMode: Block\n"
                                 "      accessMode: ReadWriteOncePod\n"
                                 "      claim: shared-data\n"
                                 "      serial: A.b_c-1\n"
                                 "      boot: 2\n"
                                 "      rdm: lun\n"
                                 "      ioThread: true\n"
                                 "      skip: true\n"
                                 "  rdm: ignore\n"
                                 "  cdroms: keep\n"
                                 "  isos:\n"
                                 "    - file: '[datastore1] iso/*.iso'\n"
                                 "      claim: isos\n"
                                 "  nicModel: e1000e\n"
                                 "  networks:\n"
                                 "    - source: VM Network\n"
                                 "      to: pod\n"
                                 "    - source: vlan 120\n"
                                 "      to: lab/vlan-120\n"
                                 "    - source: pxe\n"
                                 "      to: pod:l2bridge\n"
                                 "    - source: fast*\n"
                                 "      to: sriov:fast\n"
                                 "    - source: backup\n"
                                 "      to: ignore\n"
                                 "  addresses: cloud-init\n"
                                 "  labels:\n"
                                 "    example.com/team: web\n"
                                 "  annotations:\n"
                                 "    note: Anything goes, even two lines\n"
                                 "  noTags: true\n";

static int load(struct vf_mapping *m, const char *spec, struct vf_error **err)
{
    char *vf_autofree text = vf_xasprintf("%s%s", HEAD, spec);
    return vf_mapping_load(m, text, "mapping \"m.yaml\"", err);
}

static void check_spec(const char *spec, const char *message, const char *hint)
{
    struct vf_mapping m = {0};
    struct vf_error *err = NULL;
    int rc = load(&m, spec, &err);
    if (hint) {
        assert_non_null(vf_error_get_hint(err));
        assert_non_null(strstr(vf_error_get_hint(err), hint));
    }
    check_error(rc, &err, VF_INVALID, message);
    vf_mapping_release(&m);
}

static void test_mapping__what_is_printed_is_read_back(void **state)
{
    (void)state;
    struct vf_mapping m = {0}, again = {0};
    char *text = NULL, *second = NULL;
    assert_int_equal(vf_mapping_load(&m, whole, "mapping", NULL), 0);
    assert_int_equal(vf_mapping_print(&m, &text, NULL), 0);
    assert_int_equal(vf_mapping_load(&again, text, "mapping", NULL), 0);
    assert_int_equal(vf_mapping_print(&again, &second, NULL), 0);
    assert_string_equal(text, second);
    free(second);
    free(text);
    vf_mapping_release(&again);
    vf_mapping_release(&m);
}

/* None is forgotten by the text above, so that the test before proves all of them. */
static void test_mapping__every_field_is_encoded(void **state)
{
    (void)state;
    struct vf_mapping m = {0};
    assert_int_equal(vf_mapping_load(&m, whole, "mapping", NULL), 0);
    cJSON *tree = vf_mapping_encode(&m);
    for (size_t i = 0; i < vf_mapping_fields.n_fields; i++) {
        const struct vf_mapping_field *f = &vf_mapping_fields.fields[i];
        const cJSON *node = cJSON_GetObjectItemCaseSensitive(tree, f->name);
        assert_non_null(node);
        for (size_t j = 0; f->entries && j < f->entries->n_fields; j++) {
            assert_non_null(
                cJSON_GetObjectItemCaseSensitive(node->child, f->entries->fields[j].name));
        }
    }
    cJSON_Delete(tree);
    vf_mapping_release(&m);
}

static void test_mapping__fields_land_where_they_belong(void **state)
{
    (void)state;
    struct vf_mapping m = {0};
    assert_int_equal(vf_mapping_load(&m, whole, "mapping", NULL), 0);
    assert_string_equal(m.cpu_model, "Skylake-Server-IBRS");
    assert_int_equal(m.nested, VF_NO);
    assert_true(m.dedicated_cpus && m.numa && m.no_tags);
    assert_string_equal(m.hugepages, "1Gi");
    assert_int_equal(m.resources, VF_RESOURCES_SOURCE);
    assert_int_equal(m.hot_plug, VF_YES);
    assert_string_equal(m.os, "rhel9");
    assert_string_equal(m.os_table, "rows: []\n");
    assert_string_equal(m.template_text, "kind: VirtualMachine\n");
    assert_string_equal(m.template_name, "base.yaml");
    assert_string_equal(m.template_file, "base.yaml");
    assert_string_equal(m.os_table_file, "os.yaml");
    assert_int_equal(m.n_os_templates, 1);
    assert_string_equal(m.os_templates[0].key, "windows.yaml");
    assert_string_equal(m.preference, "VirtualMachinePreference/rhel.9");
    assert_string_equal(m.instancetype, "auto");
    assert_string_equal(m.timezone, "Europe/Zurich");
    assert_int_equal(m.tpm, VF_YES);
    assert_int_equal(m.persistent_efi, VF_NO);
    assert_int_equal(m.secure_boot, VF_NO);
    assert_string_equal(m.disk_bus, "sata");
    assert_string_equal(m.storage_class, "slow");
    assert_string_equal(m.volume_mode, "Filesystem");
    assert_string_equal(m.access_mode, "ReadWriteOnce");
    assert_int_equal(m.n_storage, 1);
    assert_string_equal(m.storage[0].datastore, "ssd-*");
    assert_string_equal(m.storage[0].storage_class, "fast");
    assert_string_equal(m.storage[0].volume_mode, "Block");
    assert_string_equal(m.storage[0].access_mode, "ReadWriteMany");
    assert_int_equal(m.n_disks, 1);
    assert_string_equal(m.disks[0].disk, "0");
    assert_string_equal(m.disks[0].bus, "scsi");
    assert_string_equal(m.disks[0].claim, "shared-data");
    assert_string_equal(m.disks[0].serial, "A.b_c-1");
    assert_int_equal(m.disks[0].boot, 2);
    assert_int_equal(m.disks[0].rdm, VF_RDM_LUN);
    assert_int_equal(m.disks[0].io_thread, VF_YES);
    assert_true(m.disks[0].skip);
    assert_int_equal(m.rdm, VF_RDM_IGNORE);
    assert_int_equal(m.cdroms, VF_CDROMS_KEEP);
    assert_string_equal(m.isos[0].claim, "isos");
    assert_string_equal(m.nic_model, "e1000e");
    assert_int_equal(m.networks.n_rules, 5);
    assert_int_equal(m.networks.rules[0].kind, VF_NETWORK_POD);
    assert_string_equal(m.networks.rules[1].attachment, "lab/vlan-120");
    assert_string_equal(m.networks.rules[2].binding, "l2bridge");
    assert_int_equal(m.networks.rules[3].kind, VF_NETWORK_SRIOV);
    assert_int_equal(m.networks.rules[4].kind, VF_NETWORK_IGNORE);
    assert_int_equal(m.addresses, VF_ADDRESSES_CLOUD_INIT);
    assert_string_equal(m.labels[0].key, "example.com/team");
    assert_string_equal(m.annotations[0].value, "Anything goes, even two lines");
    vf_mapping_release(&m);
}

static void test_mapping__nothing_told_is_nothing(void **state)
{
    (void)state;
    static const struct vf_mapping zero;
    struct vf_mapping m;
    vf_mapping_init(&m);
    assert_int_equal(load(&m, "", NULL), 0);
    assert_int_equal(load(&m, "  disks: []\n  labels: {}\n", NULL), 0);
    assert_memory_equal(&m, &zero, sizeof m);
    cJSON *tree = vf_mapping_encode(&m);
    assert_null(tree->child);
    cJSON_Delete(tree);
    vf_mapping_release(&m);
}

static void test_mapping__errors_name_place_path_and_what_was_expected(void **state)
{
    (void)state;
    static const struct {
        const char *spec, *message;
    } rows[] = {
        {"  diskBus: ide\n", "mapping \"m.yaml\", line 4, column 3: spec.diskBus: expected "
                             "virtio, sata or scsi, but there is \"ide\""},
        {"  disks:\n    - disk: 0\n      bus: 7\n",
         "line 6, column 7: spec.disks[0].bus: expected virtio, sata or scsi, but there is 7"},
        {"  disks:\n    - bus: sata\n", "spec.disks[0]: \"disk\" is missing"},
        {"  disks:\n    - 0\n", "spec.disks[0]: expected an object with \"disk\", but there is 0"},
        {"  disks: {}\n", "spec.disks: expected a list, but there is an object"},
        {"  disks:\n    - {disk: 0, boot: 0}\n", "expected a whole number from 1 to 256"},
        {"  disks:\n    - {disk: 0, boot: 1.5}\n", "expected a whole number from 1 to 256"},
        {"  disks:\n    - {disk: 0, serial: a b}\n", "expected up to 256 letters, digits"},
        {"  disks:\n    - {disk: 0}\n    - {disk: '0'}\n",
         "spec.disks[1]: disk \"0\" stands here again"},
        {"  disks:\n    - {disk: -1}\n", "spec.disks[0].disk: expected a text, but there is -1"},
        {"  numa: 1\n", "spec.numa: expected true or false, but there is 1"},
        {"  nested: \"yes\"\n", "spec.nested: expected true or false, but there is \"yes\""},
        {"  hugepages: 2M\n", "expected a size such as 2Mi or 1Gi, but there is \"2M\""},
        {"  cpuModel: \"\"\n", "expected host-model, host-passthrough or a model"},
        {"  timezone: a b\n", "expected a time zone such as Europe/Zurich"},
        {"  storageClass: Fast\n", "expected a name of a storage class, but there is \"Fast\""},
        {"  storageClass:\n", "expected a text, but there is nothing"},
        {"  preference: a/b/c\n", "expected \"auto\", NAME or KIND/NAME"},
        {"  networks:\n    - {source: a}\n", "spec.networks[0]: \"to\" is missing"},
        {"  isos:\n    - {file: a}\n", "spec.isos[0]: \"claim\" is missing"},
        {"  networks:\n    - {source: a, to: A_B}\n", "spec.networks[0].to: expected pod, "},
        {"  networks:\n    - {source: a, to: b=c}\n", "spec.networks[0].to: expected pod, "},
        {"  labels: {a: 1}\n", "spec.labels.a: expected a text, but there is 1"},
        {"  labels: {a: \"b c\"}\n", "spec.labels.a: expected a label that is none of vmferry's"},
        {"  labels: {a_: b}\n", "spec.labels.a_: expected a label"},
        {"  labels: {vmferry.io/import: b}\n", "expected a label that is none of vmferry's own"},
        {"  labels: {app.kubernetes.io/name: b}\n", "expected a label that is none of vmferry's"},
        {"  annotations: {x.vmferry.io/y: b}\n", "expected an annotation that is none"},
        {"  os: \"a\\tb\"\n", "spec.os: the text has control characters"},
        {"  - a\n", "spec: expected an object, but there is a list"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        check_spec(rows[i].spec, rows[i].message, NULL);
    }
}

static void test_mapping__unknown_fields_are_told_with_what_was_meant(void **state)
{
    (void)state;
    check_spec("  diskbus: sata\n", "spec.diskbus: there is no such field",
               "did you mean \"diskBus\"?");
    check_spec("  disks:\n    - {disk: 0, storage: fast}\n",
               "spec.disks[0].storage: there is no such field", "did you mean \"storageClass\"?");
    check_spec("  xyzzy: 1\n", "spec.xyzzy: there is no such field",
               "fields that there are: cpuModel, nested");
}

static void test_mapping_load__other_documents_are_refused(void **state)
{
    (void)state;
    static const struct {
        const char *text, *message, *hint;
    } rows[] = {
        {"", "this is no mapping", "apiVersion: vmferry.io/v1alpha1"},
        {"[]", "this is no mapping", "kind: Mapping"},
        {"apiVersion: v1\nkind: Mapping\n", "this is no mapping", ""},
        {"apiVersion: vmferry.io/v1alpha1\nkind: Plan\n", "this is no mapping", ""},
        {"apiVersion: vmferry.io/v1alpha1\nkind: Mapping\ndiskBus: sata\n",
         "line 3, column 1: diskBus: there is no such field", "goes below \"spec\""},
        {"apiVersion: vmferry.io/v1alpha1\nkind: Mapping\nx: 1\n", "x: there is no such field",
         "apiVersion, kind, metadata, spec"},
        {"a: [", "line 2, column 1", ""},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct vf_mapping m = {0};
        struct vf_error *err = NULL;
        int rc = vf_mapping_load(&m, rows[i].text, "mapping", &err);
        if (*rows[i].hint) {
            assert_non_null(strstr(vf_error_get_hint(err), rows[i].hint));
        }
        check_error(rc, &err, VF_INVALID, rows[i].message);
        vf_mapping_release(&m);
    }
}

static void test_mapping_load__long_texts_and_lists_are_refused(void **state)
{
    (void)state;
    char *vf_autofree text = vf_xcalloc(1, 5000);
    memset(text, 'a', 4999);
    char *vf_autofree spec = vf_xasprintf("  templateName: %s\n", text);
    check_spec(spec, "the text has 4999 bytes, at most 4096 are taken", NULL);

    struct vf_mapping m = {0};
    for (unsigned i = 0; i < 1024; i++) {
        char *vf_autofree rule = vf_xasprintf("%u:skip", i);
        assert_int_equal(vf_mapping_add_disk(&m, rule, NULL), 0);
    }
    assert_int_equal(vf_mapping_add_disk(&m, "7:bus=sata", NULL), 0); /* one that is there */
    struct vf_error *err = NULL;
    check_error(vf_mapping_add_disk(&m, "1024:skip", &err), &err, VF_INVALID,
                "there are more than 1024 of them");
    check_error(load(&m, "  disks:\n    - {disk: x}\n", &err), &err, VF_INVALID,
                "the list has more than 1024 entries");

    struct vf_mapping over = {0};
    assert_int_equal(vf_mapping_add_disk(&over, "7:boot=1", NULL), 0);
    assert_int_equal(vf_mapping_lay(&m, &over, NULL), 0);
    assert_int_equal(m.n_disks, 1024);
    assert_int_equal(m.disks[0].boot, 1);
    assert_int_equal(vf_mapping_add_disk(&over, "new:boot=2", NULL), 0);
    check_error(vf_mapping_lay(&m, &over, &err), &err, VF_INVALID,
                "the list has more than 1024 entries");
    vf_mapping_release(&over);
    vf_mapping_release(&m);
}

static void test_mapping_lay__what_is_over_goes_first(void **state)
{
    (void)state;
    struct vf_mapping m = {0}, over = {0};
    assert_int_equal(load(&m,
                          "  diskBus: sata\n  nicModel: e1000\n"
                          "  storage:\n"
                          "    - {datastore: '*', storageClass: slow}\n"
                          "    - {datastore: ssd, storageClass: fast, volumeMode: Block}\n"
                          "  networks:\n    - {source: a, to: pod}\n    - {source: b, to: lab/b}\n"
                          "  labels: {a: one, b: two}\n",
                          NULL),
                     0);
    assert_int_equal(load(&over,
                          "  diskBus: scsi\n"
                          "  storage:\n    - {datastore: nfs}\n"
                          "    - {datastore: ssd, storageClass: faster}\n"
                          "  networks:\n    - {source: b, to: ignore}\n"
                          "  labels: {b: three, c: four}\n",
                          NULL),
                     0);
    assert_int_equal(vf_mapping_lay(&m, &over, NULL), 0);
    assert_string_equal(m.disk_bus, "scsi");
    assert_string_equal(m.nic_model, "e1000");
    assert_int_equal(m.n_storage, 3);
    assert_string_equal(m.storage[0].datastore, "nfs");
    assert_string_equal(m.storage[1].datastore, "ssd");
    assert_string_equal(m.storage[1].storage_class, "faster");
    assert_string_equal(m.storage[1].volume_mode, "Block");
    assert_string_equal(m.storage[2].datastore, "*");
    assert_int_equal(m.networks.n_rules, 2);
    assert_string_equal(m.networks.rules[0].source, "b");
    assert_int_equal(m.networks.rules[0].kind, VF_NETWORK_IGNORE);
    assert_null(m.networks.rules[0].attachment);
    assert_int_equal(m.n_labels, 3);
    assert_string_equal(m.labels[1].value, "three");
    vf_mapping_release(&over);
    vf_mapping_release(&m);
}

static void test_mapping_lay__no_goes_before_yes(void **state)
{
    (void)state;
    struct vf_mapping m = {0}, over = {0};
    struct vf_vm_disk disk = {.rdm = true};
    assert_int_equal(vf_mapping_rdm_of(&m, &disk), VF_RDM_ASK);
    assert_int_equal(
        load(&m, "  rdm: copy\n  disks:\n    - {disk: 0, skip: true, rdm: ignore}\n", NULL), 0);
    assert_int_equal(vf_mapping_rdm_of(&m, &disk), VF_RDM_IGNORE);
    assert_int_equal(vf_mapping_add_disk(&over, "0:skip=no,rdm=ask", NULL), 0);
    assert_int_equal(vf_mapping_lay(&m, &over, NULL), 0);
    assert_int_equal(m.disks[0].skip, VF_NO);
    assert_int_equal(vf_mapping_rdm_of(&m, &disk), VF_RDM_ASK);
    vf_mapping_release(&over);
    vf_mapping_release(&m);
}

static void test_mapping_add_disk__reads_what_the_command_line_tells(void **state)
{
    (void)state;
    struct vf_mapping m = {0};
    assert_int_equal(vf_mapping_add_disk(&m, "0:bus=sata,class=fast,volume-mode=Block", NULL), 0);
    assert_int_equal(vf_mapping_add_disk(&m, "Hard disk 2:skip", NULL), 0);
    assert_int_equal(vf_mapping_add_disk(&m, "[ds 1] a:b/a.vmdk:claim=x,boot=3,io-thread=no", NULL),
                     0);
    assert_int_equal(
        vf_mapping_add_disk(&m, "0:access-mode=ReadWriteMany,serial=12,io-thread", NULL), 0);
    assert_int_equal(m.n_disks, 3);
    assert_string_equal(m.disks[0].bus, "sata");
    assert_string_equal(m.disks[0].storage_class, "fast");
    assert_string_equal(m.disks[0].volume_mode, "Block");
    assert_string_equal(m.disks[0].access_mode, "ReadWriteMany");
    assert_string_equal(m.disks[0].serial, "12");
    assert_int_equal(m.disks[0].io_thread, VF_YES);
    assert_string_equal(m.disks[1].disk, "Hard disk 2");
    assert_int_equal(m.disks[1].skip, VF_YES);
    assert_string_equal(m.disks[2].disk, "[ds 1] a:b/a.vmdk");
    assert_string_equal(m.disks[2].claim, "x");
    assert_int_equal(m.disks[2].boot, 3);
    assert_int_equal(m.disks[2].io_thread, VF_NO);
    vf_mapping_release(&m);
}

static void test_mapping_add_disk__refuses_the_rest(void **state)
{
    (void)state;
    static const struct {
        const char *text, *message;
    } rows[] = {
        {"", "is no such rule"},
        {"0", "is no such rule"},
        {"0:", "is no such rule"},
        {":skip", "is no such rule"},
        {"0:bus", "bus: expected virtio, sata or scsi, but there is \"\""},
        {"0:bus=ide", "bus: expected virtio, sata or scsi, but there is \"ide\""},
        {"0:skip,,", "\"\" cannot be told here"},
        {"0:disk=1", "\"disk\" cannot be told here"},
        {"0:skip,skip", "\"skip\" cannot be told twice"},
        {"0:skip=perhaps", "skip: expected true or false"},
        {"0:boot=0", "boot: expected a whole number"},
        {"0:boot=9999999999", "boot: expected a whole number"},
        {"0:colour=red", "colour: there is no such field"},
    };
    struct vf_mapping m = {0};
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct vf_error *err = NULL;
        int rc = vf_mapping_add_disk(&m, rows[i].text, &err);
        assert_non_null(vf_error_get_hint(err));
        check_error(rc, &err, VF_INVALID, rows[i].message);
    }
    vf_mapping_release(&m);
}

static void test_mapping_add_storage__reads_class_and_modes(void **state)
{
    (void)state;
    struct vf_mapping m = {0};
    assert_int_equal(vf_mapping_add_storage(&m, "ssd=fast", NULL), 0);
    assert_int_equal(vf_mapping_add_storage(&m, "a=b=nfs,ReadWriteMany,Filesystem", NULL), 0);
    assert_int_equal(vf_mapping_add_storage(&m, "*=,Block", NULL), 0);
    assert_int_equal(m.n_storage, 3);
    assert_string_equal(m.storage[0].storage_class, "fast");
    assert_null(m.storage[0].volume_mode);
    assert_string_equal(m.storage[1].datastore, "a=b");
    assert_string_equal(m.storage[1].volume_mode, "Filesystem");
    assert_string_equal(m.storage[1].access_mode, "ReadWriteMany");
    assert_null(m.storage[2].storage_class);
    assert_string_equal(m.storage[2].volume_mode, "Block");

    static const char *const bad[] = {"",
                                      "ssd",
                                      "=fast",
                                      "ssd=Fast",
                                      "ssd=fast,block",
                                      "ssd=a,Block,Block",
                                      "ssd=a,ReadOnlyMany",
                                      "ssd=a,"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        struct vf_error *err = NULL;
        int rc = vf_mapping_add_storage(&m, bad[i], &err);
        assert_non_null(vf_error_get_hint(err));
        check_error(rc, &err, VF_INVALID, "\"");
    }
    vf_mapping_release(&m);
}

static void test_mapping_check__finds_what_does_not_go_together(void **state)
{
    (void)state;
    static const struct {
        const char *spec, *message; /* NULL: fine */
    } rows[] = {
        {"  numa: true\n", "NUMA nodes cannot be shown"},
        {"  numa: true\n  dedicatedCpus: true\n  hugepages: 2Mi\n", NULL},
        {"  templateFile: a\n", "file \"a\" cannot be read from here"},
        {"  osTableFile: b\n", "file \"b\" cannot be read from here"},
        {"  disks:\n    - {disk: 0, skip: true, claim: a}\n", "to be left out, and to have"},
        {"  disks:\n    - {disk: 0, skip: true, boot: 1}\n", "to be left out, and to be booted"},
        {"  disks:\n    - {disk: 0, rdm: lun}\n", "is to be a LUN, but no claim is told"},
        {"  disks:\n    - {disk: 0, rdm: lun, claim: a}\n", NULL},
        {"  disks:\n    - {disk: 0, claim: a}\n    - {disk: 1, claim: a}\n",
         "\"0\" and \"1\" are to have the same claim \"a\""},
        {"  disks:\n    - {disk: 0, boot: 1}\n    - {disk: 1, boot: 1}\n",
         "\"0\" and \"1\" have the same place in the boot order"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct vf_mapping m = {0};
        struct vf_error *err = NULL;
        assert_int_equal(load(&m, rows[i].spec, NULL), 0);
        int rc = vf_mapping_check(&m, &err);
        if (rows[i].message) {
            check_error(rc, &err, VF_INVALID, rows[i].message);
        } else {
            assert_int_equal(rc, 0);
        }
        vf_mapping_release(&m);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_mapping__what_is_printed_is_read_back),
        cmocka_unit_test(test_mapping__every_field_is_encoded),
        cmocka_unit_test(test_mapping__fields_land_where_they_belong),
        cmocka_unit_test(test_mapping__nothing_told_is_nothing),
        cmocka_unit_test(test_mapping__errors_name_place_path_and_what_was_expected),
        cmocka_unit_test(test_mapping__unknown_fields_are_told_with_what_was_meant),
        cmocka_unit_test(test_mapping_load__other_documents_are_refused),
        cmocka_unit_test(test_mapping_load__long_texts_and_lists_are_refused),
        cmocka_unit_test(test_mapping_lay__what_is_over_goes_first),
        cmocka_unit_test(test_mapping_lay__no_goes_before_yes),
        cmocka_unit_test(test_mapping_add_disk__reads_what_the_command_line_tells),
        cmocka_unit_test(test_mapping_add_disk__refuses_the_rest),
        cmocka_unit_test(test_mapping_add_storage__reads_class_and_modes),
        cmocka_unit_test(test_mapping_check__finds_what_does_not_go_together),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
