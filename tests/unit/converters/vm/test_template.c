#include "converters/vm/template.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "importer/base/json.h"
#include "importer/base/mem.h"
#include "importer/base/yaml_read.h"

#define HEADER "apiVersion: kubevirt.io/v1\nkind: VirtualMachine\n"

static cJSON *json(const char *text)
{
    cJSON *tree = NULL;
    struct vf_error *err = NULL;
    if (vf_json_parse(text, strlen(text), "a test's JSON", &tree, &err)) {
        fail_msg("%s", vf_error_message(err));
    }
    return tree;
}

/* What is left of a document that is fine. */
static void expect_parsed(const char *yaml, const char *want)
{
    cJSON *t = NULL;
    struct vf_error *err = NULL;
    if (vf_template_parse(yaml, "template \"t\"", &t, &err)) {
        fail_msg("%s", vf_error_message(err));
    }
    char *vf_autofree got = vf_json_print(t, false);
    assert_string_equal(got, want);
    cJSON_Delete(t);
}

#define PARSED(rest) "{\"apiVersion\":\"kubevirt.io/v1\",\"kind\":\"VirtualMachine\"," rest "}"

static void test_template_parse__what_is_of_another_vm_is_dropped(void **state)
{
    (void)state;
    expect_parsed(HEADER "spec: {}", PARSED("\"spec\":{}"));
    expect_parsed(HEADER "metadata: {name: x, namespace: y, uid: z, resourceVersion: \"1\"}\n"
                         "status: {ready: true}\n"
                         "spec: {runStrategy: Always, running: null, template: {metadata: "
                         "{creationTimestamp: null}, spec: {architecture: arm64}}}",
                  PARSED("\"metadata\":{},\"spec\":{\"template\":{\"metadata\":{},\"spec\":{}}}"));
    expect_parsed(HEADER
                  "metadata:\n  labels: {team: a, vmferry.io/import: x, tag.vmferry.io/env: y,\n"
                  "    app.kubernetes.io/managed-by: helm, app.kubernetes.io/part-of: shop}\n"
                  "  annotations: {kubectl.kubernetes.io/last-applied-configuration: \"{}\",\n"
                  "    example.com/a: b}\n"
                  "spec: {}",
                  PARSED("\"metadata\":{\"labels\":{\"team\":\"a\",\"app.kubernetes.io/"
                         "part-of\":\"shop\"},\"annotations\":{\"example.com/a\":\"b\"}},"
                         "\"spec\":{}"));
    expect_parsed(HEADER "spec: {template: {spec: {domain: {chassis: {serial: a, sku: b},\n"
                         "  firmware: {uuid: a, serial: b, bootloader: {bios: {}}},\n"
                         "  devices: {interfaces: [{name: a, macAddress: b, model: virtio}]}}}}}",
                  PARSED("\"spec\":{\"template\":{\"spec\":{\"domain\":{\"chassis\":{\"sku\":\"b\"}"
                         ",\"firmware\":{\"bootloader\":{\"bios\":{}}},\"devices\":{"
                         "\"interfaces\":[{\"name\":\"a\",\"model\":\"virtio\"}]}}}}}"));
    expect_parsed(HEADER
                  "spec: {template: {spec: {volumes: [{name: a, persistentVolumeClaim: {}}],\n"
                  "  domain: {devices: {filesystems: [{name: a}]}}}}}",
                  PARSED("\"spec\":{\"template\":{\"spec\":{\"volumes\":[{\"name\":\"a\","
                         "\"persistentVolumeClaim\":{}}],\"domain\":{\"devices\":{"
                         "\"filesystems\":[{\"name\":\"a\"}]}}}}}"));
    expect_parsed(HEADER "spec: {preference: null, template: {spec: {nodeSelector: null, "
                         "tolerations: [{key: a, value: null}]}}}",
                  PARSED("\"spec\":{\"template\":{\"spec\":{\"tolerations\":[{\"key\":\"a\"}]}}}"));
}

static void test_template_parse__what_is_wrong_is_told_with_its_place(void **state)
{
    (void)state;
    static const struct {
        const char *yaml, *place, *part;
    } rows[] = {
        {"", "line 1, column 1", "mapping"},
        {"- a", "line 1, column 1", "mapping"},
        {"a: [", "line", ""},
        {"apiVersion: v1\nkind: Pod\nspec: {}", "line 1, column 1", "kubevirt.io/v1"},
        {"apiVersion: kubevirt.io/v1alpha3\nkind: VirtualMachine\nspec: {}", "line 1, column 1",
         "kubevirt.io/v1"},
        {"apiVersion: kubevirt.io/v1\nkind: VirtualMachineInstance\nspec: {}", "line 2, column 1",
         "VirtualMachine"},
        {"kind: VirtualMachine\nspec: {}", "line 1, column 1", "kubevirt.io/v1"},
        {HEADER, "line 1, column 1", "no spec"},
        {HEADER "spec: []", "line 3, column 1", "spec is to be a mapping"},
        {HEADER "specs: {}", "line 3, column 1", "no field \"specs\""},
        {HEADER "spec:\n  tempalte: {}", "line 4, column 3", "no field \"tempalte\""},
        {HEADER "spec:\n  template:\n    domain: {}", "line 5, column 5", "no field \"domain\""},
        {HEADER "spec:\n  template: {spec: 1}", "line 4, column 14", "mapping"},
        {HEADER "spec:\n  dataVolumeTemplates: []", "line 4, column 3", "dataVolumeTemplates"},
        {HEADER "spec:\n  preference: {inferFromVolume: a}", "line 4, column 3", "infer"},
        {HEADER "spec:\n  preference: {name: a, inferFromVolume: a}", "line 4, column 3", "infer"},
        {HEADER "spec:\n  instancetype: u1.small", "line 4, column 3", "needs a name"},
        {HEADER "metadata: {labels: {a: 1}}\nspec: {}", "line 3, column 21", "quotes"},
        {HEADER "metadata: {labels: {a: b c}}\nspec: {}", "line 3, column 21", "\"b c\""},
        {HEADER "metadata: {labels: {a b: c}}\nspec: {}", "line 3, column 21", "\"a b\""},
        {HEADER "metadata: {annotations: [a]}\nspec: {}", "line 3, column 12", "mapping"},
        {HEADER "metadata: a\nspec: {}", "line 3, column 1", "mapping"},
        {HEADER "spec: {template: {metadata: {annotations: {a: true}}}}", "line 3, column 44",
         "quotes"},
        {HEADER "spec: {template: {spec: {domain: {devices: {disks: [{disk: {}}]}}}}}",
         "line 3, column 53", "needs a name"},
        {HEADER "spec: {template: {spec: {volumes: [{name: a}, {name: a}]}}}", "line 3, column 47",
         "two entries \"a\""},
        {HEADER "spec: {template: {spec: {networks: {}}}}", "line 3, column 26", "list"},
        {HEADER "spec: {}\n---\na: b", "line", "document"},
        {HEADER "spec:\n  template:\n    spec:\n      volumes:\n      - {name: a, emptyDisk: {}}\n"
                "      - {name: b, persistentVolumeClaim: {claimName: x}}",
         "line 8, column 9", "volume \"b\""},
        {HEADER "spec: {template: {spec: {volumes: [{name: a, dataVolume: {name: x}}]}}}",
         "line 3, column 36", "no disks of its own"},
        {HEADER "spec: {template: {spec: {volumes: [{name: a, cloudInitNoCloud: {}}]}}}",
         "line 3, column 36", "cloudInitNoCloud"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        cJSON *t = NULL;
        struct vf_error *err = NULL;
        if (vf_template_parse(rows[i].yaml, "template \"t\"", &t, &err) != VF_INVALID) {
            fail_msg("row %zu was taken", i);
        }
        const char *message = vf_error_message(err);
        if (!strstr(message, "template \"t\"") || !strstr(message, rows[i].place) ||
            !strstr(message, rows[i].part)) {
            fail_msg("row %zu: %s", i, message);
        }
        assert_null(t);
        vf_error_free(err);
    }
}

/* What of the machine is noted before the merge, besides its being a default. */
struct noted {
    const char *path;
    enum vf_origin_kind kind;
};

static const cJSON *at(const cJSON *node, const char *path)
{
    char *vf_autofree copy = vf_xstrdup(path);
    char *rest = NULL;
    for (char *part = strtok_r(copy, ".", &rest); part; part = strtok_r(NULL, ".", &rest)) {
        node = *part >= '0' && *part <= '9' ? cJSON_GetArrayItem(node, *part - '0')
                                            : cJSON_GetObjectItemCaseSensitive(node, part);
    }
    return node;
}

#define SPEC   "spec.template.spec"
#define DOMAIN SPEC ".domain"

static void merge(cJSON *machine, const char *template, const struct noted *notes, size_t n,
                  struct vf_origins *o)
{
    for (size_t i = 0; i < n && notes[i].path; i++) {
        assert_non_null(at(machine, notes[i].path));
        vf_origin_note(o, at(machine, notes[i].path), notes[i].kind, "noted");
    }
    cJSON *t = json(template);
    vf_template_merge(t, "template \"t\"", machine, o);
    cJSON_Delete(t);
}

/* In the innermost object that most rows are about. */
#define IN_DOMAIN(rest)  "{\"spec\":{\"template\":{\"spec\":{\"domain\":{" rest "}}}}}"
#define IN_DEVICES(rest) IN_DOMAIN("\"devices\":{" rest "}")
#define IN_SPEC(rest)    "{\"spec\":{\"template\":{\"spec\":{" rest "}}}}"

static void test_template_merge__table(void **state)
{
    (void)state;
    static const struct {
        const char *machine, *template, *want;
        struct noted notes[2];
    } rows[] = {
        /* What the mapping does not have is added; what is a default gives way; all else stands. */
        {"{\"a\":{\"b\":1}}", "{\"c\":{\"d\":2}}", "{\"a\":{\"b\":1},\"c\":{\"d\":2}}", {{0}}},
        {"{\"a\":{\"b\":1}}", "{\"a\":{\"c\":2}}", "{\"a\":{\"b\":1,\"c\":2}}", {{0}}},
        {"{\"a\":1}", "{\"a\":2}", "{\"a\":2}", {{0}}},
        {"{\"a\":1}", "{\"a\":2}", "{\"a\":2}", {{"a", VF_ORIGIN_DEFAULT}}},
        {"{\"a\":1}", "{\"a\":2}", "{\"a\":1}", {{"a", VF_ORIGIN_SOURCE}}},
        {"{\"a\":1}", "{\"a\":2}", "{\"a\":1}", {{"a", VF_ORIGIN_OPTION}}},
        {"{\"a\":1}", "{\"a\":2}", "{\"a\":1}", {{"a", VF_ORIGIN_OS}}},
        {"{\"a\":1}", "{\"a\":2}", "{\"a\":1}", {{"a", VF_ORIGIN_TARGET}}},
        {"{\"a\":true}", "{\"a\":\"x\"}", "{\"a\":\"x\"}", {{0}}},
        /* The nearest note above counts. */
        {"{\"a\":{\"b\":1,\"c\":1}}",
         "{\"a\":{\"b\":2,\"c\":2}}",
         "{\"a\":{\"b\":1,\"c\":2}}",
         {{"a", VF_ORIGIN_SOURCE}, {"a.c", VF_ORIGIN_DEFAULT}}},
        /* What is of another kind stands. */
        {"{\"a\":{\"b\":1}}", "{\"a\":2}", "{\"a\":{\"b\":1}}", {{0}}},
        {"{\"a\":1}", "{\"a\":{\"b\":1}}", "{\"a\":1}", {{0}}},
        {"{\"a\":[1]}", "{\"a\":{\"b\":1}}", "{\"a\":[1]}", {{0}}},
        /* Lists. */
        {"{\"tolerations\":[{\"key\":\"a\"}]}",
         "{\"tolerations\":[{\"key\":\"b\"}]}",
         "{\"tolerations\":[{\"key\":\"a\"}]}",
         {{0}}},
        {"{\"inputs\":[{\"name\":\"a\",\"bus\":\"usb\"}]}",
         "{\"inputs\":[{\"name\":\"b\"},{\"name\":\"a\",\"bus\":\"virtio\",\"type\":\"tablet\"}]}",
         "{\"inputs\":[{\"name\":\"a\",\"bus\":\"virtio\",\"type\":\"tablet\"},{\"name\":\"b\"}]}",
         {{0}}},
        {"{\"inputs\":[{\"name\":\"a\",\"bus\":\"usb\"}]}",
         "{\"inputs\":[{\"name\":\"a\",\"bus\":\"virtio\"}]}",
         "{\"inputs\":[{\"name\":\"a\",\"bus\":\"usb\"}]}",
         {{"inputs.0", VF_ORIGIN_OS}}},
        {"{\"volumes\":[{\"name\":\"a\",\"dataVolume\":{\"name\":\"x\"}}]}",
         "{\"volumes\":[{\"name\":\"a\",\"containerDisk\":{}},{\"name\":\"b\",\"emptyDisk\":{}}]}",
         "{\"volumes\":[{\"name\":\"a\",\"dataVolume\":{\"name\":\"x\"}},"
         "{\"name\":\"b\",\"emptyDisk\":{}}]}",
         {{0}}},
        {"{\"volumes\":[{\"name\":\"a\",\"dataVolume\":{\"name\":\"x\"}}]}",
         "{\"volumes\":[{\"name\":\"a\",\"dataVolume\":{\"name\":\"y\"}}]}",
         "{\"volumes\":[{\"name\":\"a\",\"dataVolume\":{\"name\":\"x\"}}]}",
         {{0}}},
        {"{\"networks\":[{\"name\":\"a\",\"pod\":{}}]}",
         "{\"networks\":[{\"name\":\"a\",\"multus\":{\"networkName\":\"x\"}}]}",
         "{\"networks\":[{\"name\":\"a\",\"pod\":{}}]}",
         {{0}}},
        /* One pod network. */
        {IN_SPEC("\"domain\":{\"devices\":{\"interfaces\":[{\"name\":\"a\"}]}},"
                 "\"networks\":[{\"name\":\"a\",\"pod\":{}}]"),
         IN_SPEC("\"domain\":{\"devices\":{\"interfaces\":[{\"name\":\"b\"},{\"name\":\"c\"}]}},"
                 "\"networks\":[{\"name\":\"b\",\"pod\":{}},{\"name\":\"c\",\"multus\":{}}]"),
         IN_SPEC("\"domain\":{\"devices\":{\"interfaces\":[{\"name\":\"a\"},{\"name\":\"c\"}]}},"
                 "\"networks\":[{\"name\":\"a\",\"pod\":{}},{\"name\":\"c\",\"multus\":{}}]"),
         {{0}}},
        /* Members that exclude each other. */
        {"{\"bootloader\":{\"bios\":{}}}",
         "{\"bootloader\":{\"efi\":{\"secureBoot\":true}}}",
         "{\"bootloader\":{\"efi\":{\"secureBoot\":true}}}",
         {{0}}},
        {"{\"bootloader\":{\"bios\":{}}}",
         "{\"bootloader\":{\"efi\":{}}}",
         "{\"bootloader\":{\"bios\":{}}}",
         {{"bootloader.bios", VF_ORIGIN_SOURCE}}},
        {"{\"bootloader\":{\"efi\":{\"secureBoot\":false}}}",
         "{\"bootloader\":{\"efi\":{\"secureBoot\":true,\"persistent\":true}}}",
         "{\"bootloader\":{\"efi\":{\"secureBoot\":false,\"persistent\":true}}}",
         {{"bootloader.efi", VF_ORIGIN_SOURCE}}},
        {"{\"clock\":{\"utc\":{},\"timer\":{}}}",
         "{\"clock\":{\"timezone\":\"Asia/Tokyo\"}}",
         "{\"clock\":{\"timer\":{},\"timezone\":\"Asia/Tokyo\"}}",
         {{0}}},
        {"{\"clock\":{\"timezone\":\"Europe/Zurich\"}}",
         "{\"clock\":{\"utc\":{}}}",
         "{\"clock\":{\"timezone\":\"Europe/Zurich\"}}",
         {{"clock.timezone", VF_ORIGIN_OPTION}}},
        {"{\"features\":{\"hyperv\":{}}}",
         "{\"features\":{\"hypervPassthrough\":{}}}",
         "{\"features\":{\"hyperv\":{}}}",
         {{0}}},
        {"{\"interfaces\":[{\"name\":\"a\",\"masquerade\":{}}]}",
         "{\"interfaces\":[{\"name\":\"a\",\"bridge\":{},\"ports\":[{\"port\":22}]}]}",
         "{\"interfaces\":[{\"name\":\"a\",\"masquerade\":{},\"ports\":[{\"port\":22}]}]}",
         {{0}}},
        {"{\"disks\":[{\"name\":\"a\",\"disk\":{\"bus\":\"virtio\"}}]}",
         "{\"disks\":[{\"name\":\"a\",\"cdrom\":{\"bus\":\"sata\"},\"cache\":\"none\"}]}",
         "{\"disks\":[{\"name\":\"a\",\"disk\":{\"bus\":\"virtio\"},\"cache\":\"none\"}]}",
         {{0}}},
        {"{\"bridge\":{}}", "{\"masquerade\":{}}", "{\"bridge\":{},\"masquerade\":{}}", {{0}}},
        /* Kind and version are nobody's to change. */
        {"{\"apiVersion\":\"kubevirt.io/v1\",\"kind\":\"VirtualMachine\"}",
         "{\"apiVersion\":\"a\",\"kind\":\"b\"}",
         "{\"apiVersion\":\"kubevirt.io/v1\",\"kind\":\"VirtualMachine\"}",
         {{0}}},
        /* Boot order. */
        {IN_DEVICES("\"disks\":[{\"name\":\"a\",\"bootOrder\":1}]"),
         IN_DEVICES("\"disks\":[{\"name\":\"b\",\"bootOrder\":1}],"
                    "\"interfaces\":[{\"name\":\"c\",\"bootOrder\":2}]"),
         IN_DEVICES("\"disks\":[{\"name\":\"a\",\"bootOrder\":1},{\"name\":\"b\"}],"
                    "\"interfaces\":[{\"name\":\"c\"}]"),
         {{0}}},
        {IN_DEVICES("\"disks\":[{\"name\":\"a\"}]"),
         IN_DEVICES("\"disks\":[{\"name\":\"b\",\"bootOrder\":1}]"),
         IN_DEVICES("\"disks\":[{\"name\":\"a\"},{\"name\":\"b\",\"bootOrder\":1}]"),
         {{0}}},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct vf_origins *o = vf_origins_new();
        cJSON *machine = json(rows[i].machine);
        merge(machine, rows[i].template, rows[i].notes, 2, o);
        char *vf_autofree got = vf_json_print(machine, false);
        if (strcmp(got, rows[i].want) != 0) {
            fail_msg("row %zu: %s, wanted %s", i, got, rows[i].want);
        }
        cJSON_Delete(machine);
        vf_origins_free(o);
    }
}

static void test_template_merge__sizes_table(void **state)
{
    (void)state;
    static const struct noted sized[] = {{DOMAIN ".cpu", VF_ORIGIN_SOURCE},
                                         {DOMAIN ".memory", VF_ORIGIN_SOURCE}};
    static const char of_source[] =
        IN_DOMAIN("\"cpu\":{\"sockets\":2},\"memory\":{\"guest\":\"4Gi\"}");
    static const struct {
        const char *machine, *template, *want;
        bool from_source;
    } rows[] = {
        /* The source's CPUs and memory: an instance type is left out, and other sizes. */
        {of_source, "{\"spec\":{\"instancetype\":{\"name\":\"u1.small\"}}}", of_source, true},
        {of_source,
         IN_DOMAIN("\"cpu\":{\"cores\":4,\"maxSockets\":1,\"model\":\"host-passthrough\"},"
                   "\"memory\":{\"guest\":\"8Gi\",\"maxGuest\":\"1Gi\","
                   "\"hugepages\":{\"pageSize\":\"2Mi\"}}"),
         IN_DOMAIN("\"cpu\":{\"sockets\":2,\"model\":\"host-passthrough\"},\"memory\":{\"guest\":"
                   "\"4Gi\",\"hugepages\":{\"pageSize\":\"2Mi\"}}"),
         true},
        {of_source, IN_DOMAIN("\"resources\":{\"requests\":{\"cpu\":\"1\"}}"),
         IN_DOMAIN("\"cpu\":{\"sockets\":2},\"memory\":{\"guest\":\"4Gi\"},"
                   "\"resources\":{\"requests\":{\"cpu\":\"1\"}}"),
         true},
        /* Told an instance type: nothing beside it. */
        {"{\"spec\":{\"instancetype\":{\"name\":\"u1.small\"},\"template\":{\"spec\":{\"domain\":{"
         "}}}}}",
         "{\"spec\":{\"instancetype\":{\"name\":\"b\",\"kind\":\"c\"},\"template\":{\"spec\":{"
         "\"domain\":{\"cpu\":{\"sockets\":1,\"model\":\"m\"},\"memory\":{\"guest\":\"1Gi\"},"
         "\"resources\":{\"requests\":{\"memory\":\"1Gi\"},\"limits\":{\"cpu\":\"1\",\"a/b\":\"1\"}"
         "}}}}}}",
         "{\"spec\":{\"instancetype\":{\"name\":\"u1.small\"},\"template\":{\"spec\":{\"domain\":{"
         "\"cpu\":{\"model\":\"m\"},\"memory\":{},\"resources\":{\"requests\":{},\"limits\":{"
         "\"a/b\":\"1\"}}}}}}}",
         false},
        /* Neither CPUs nor memory are known: the template's. */
        {IN_DOMAIN("\"memory\":{\"guest\":\"2Gi\",\"maxGuest\":\"2Gi\"}"),
         IN_DOMAIN("\"cpu\":{\"cores\":4},\"memory\":{\"guest\":\"8Gi\"}"),
         IN_DOMAIN("\"cpu\":{\"cores\":4},\"memory\":{\"guest\":\"8Gi\"}"), false},
        {IN_DOMAIN("\"memory\":{\"guest\":\"2Gi\"}"),
         "{\"spec\":{\"instancetype\":{\"name\":\"u1.small\"},\"template\":{\"spec\":{\"domain\":{"
         "\"cpu\":{\"cores\":4}}}}}}",
         "{\"spec\":{\"template\":{\"spec\":{\"domain\":{\"cpu\":{}}}},"
         "\"instancetype\":{\"name\":\"u1.small\"}}}",
         false},
        {IN_DOMAIN("\"memory\":{\"guest\":\"2Gi\"}"), IN_DOMAIN("\"cpu\":{\"cores\":4}"),
         IN_DOMAIN("\"memory\":{\"guest\":\"2Gi\"},\"cpu\":{\"cores\":4}"), false},
        /* A preference is one thing. */
        {"{\"spec\":{\"preference\":{\"name\":\"a\"}}}",
         "{\"spec\":{\"preference\":{\"name\":\"b\",\"revisionName\":\"c\"}}}",
         "{\"spec\":{\"preference\":{\"name\":\"a\"}}}", false},
        {"{\"spec\":{}}", "{\"spec\":{\"preference\":{\"name\":\"b\"}}}",
         "{\"spec\":{\"preference\":{\"name\":\"b\"}}}", false},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct vf_origins *o = vf_origins_new();
        cJSON *machine = json(rows[i].machine);
        merge(machine, rows[i].template, sized, rows[i].from_source ? 2 : 0, o);
        char *vf_autofree got = vf_json_print(machine, false);
        if (strcmp(got, rows[i].want) != 0) {
            fail_msg("row %zu: %s, wanted %s", i, got, rows[i].want);
        }
        cJSON_Delete(machine);
        vf_origins_free(o);
    }
}

static void test_template_merge__what_it_rules_out_goes(void **state)
{
    (void)state;
    static const struct noted notes[] = {{DOMAIN, VF_ORIGIN_SOURCE}};
    static const char machine_text[] =
        IN_DOMAIN("\"cpu\":{\"sockets\":2},\"memory\":{\"guest\":\"4Gi\",\"maxGuest\":\"4Gi\"},"
                  "\"resources\":{\"requests\":{\"cpu\":\"1\",\"memory\":\"1Gi\"}}");
    static const struct {
        const char *template, *max_guest, *requests;
    } rows[] = {
        {IN_DOMAIN("\"cpu\":{\"model\":\"m\"}"), "\"4Gi\"", "{\"cpu\":\"1\",\"memory\":\"1Gi\"}"},
        {IN_DOMAIN("\"cpu\":{\"numa\":{\"guestMappingPassthrough\":{}}}"), NULL,
         "{\"cpu\":\"1\",\"memory\":\"1Gi\"}"},
        {IN_DOMAIN("\"cpu\":{\"realtime\":{}}"), NULL, "{\"cpu\":\"1\",\"memory\":\"1Gi\"}"},
        {IN_DOMAIN("\"launchSecurity\":{\"sev\":{}}"), NULL, "{\"cpu\":\"1\",\"memory\":\"1Gi\"}"},
        {IN_DOMAIN("\"cpu\":{\"dedicatedCpuPlacement\":true}"), "\"4Gi\"", "{}"},
        {IN_DOMAIN("\"cpu\":{\"dedicatedCpuPlacement\":false}"), "\"4Gi\"",
         "{\"cpu\":\"1\",\"memory\":\"1Gi\"}"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct vf_origins *o = vf_origins_new();
        cJSON *machine = json(machine_text);
        merge(machine, rows[i].template, notes, 1, o);
        vf_origin_forget(o, machine);
        const cJSON *max = at(machine, DOMAIN ".memory.maxGuest");
        char *vf_autofree got = max ? vf_json_print(max, false) : NULL;
        assert_true((got == NULL) == (rows[i].max_guest == NULL));
        char *vf_autofree requests =
            vf_json_print(at(machine, DOMAIN ".resources.requests"), false);
        assert_string_equal(requests, rows[i].requests);
        cJSON_Delete(machine);
        vf_origins_free(o);
    }
}

static void test_template_merge__notes_what_it_added(void **state)
{
    (void)state;
    static const struct noted notes[] = {{"a", VF_ORIGIN_SOURCE}};
    struct vf_origins *o = vf_origins_new();
    cJSON *machine = json("{\"a\":1,\"b\":1,\"disks\":[{\"name\":\"x\"}]}");
    merge(machine,
          "{\"a\":2,\"b\":2,\"c\":{\"d\":1},\"disks\":[{\"name\":\"x\",\"io\":\"native\"},"
          "{\"name\":\"y\"}]}",
          notes, 1, o);
    static const char *const added[] = {"b", "c", "disks.0.io", "disks.1"};
    for (size_t i = 0; i < sizeof added / sizeof *added; i++) {
        const struct vf_origin *origin = vf_origin_get(o, at(machine, added[i]));
        assert_non_null(origin);
        assert_int_equal(origin->kind, VF_ORIGIN_TEMPLATE);
        assert_string_equal(origin->text, "template \"t\"");
    }
    assert_int_equal(vf_origin_get(o, at(machine, "a"))->kind, VF_ORIGIN_SOURCE);
    assert_null(vf_origin_get(o, at(machine, "disks.0.name")));
    cJSON_Delete(machine);
    vf_origins_free(o);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_template_parse__what_is_of_another_vm_is_dropped),
        cmocka_unit_test(test_template_parse__what_is_wrong_is_told_with_its_place),
        cmocka_unit_test(test_template_merge__table),
        cmocka_unit_test(test_template_merge__sizes_table),
        cmocka_unit_test(test_template_merge__what_it_rules_out_goes),
        cmocka_unit_test(test_template_merge__notes_what_it_added),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
