#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "converters/vm/mapping_fields.h"
#include "importer/base/json.h"
#include "importer/base/mem.h"
#include "jobs/cli/mapping_args.h"
#include "jobs/cli/options.h"

struct test_args {
    struct vf_common_args common;
    struct vf_mapping_args mapping;
};

static const struct vf_option_group groups[] = {VF_MAPPING_GROUP(struct test_args, mapping)};
static const struct vf_command command = {.name = "map",
                                          .operands = "",
                                          .groups = groups,
                                          .n_groups = 1,
                                          .args_size = sizeof(struct test_args)};

#define MAX_ARGS 24
static char folder[] = "/tmp/vmferry-mapping-XXXXXX";

static void write_file(const char *name, const char *text)
{
    char *vf_autofree path = vf_xasprintf("%s/%s", folder, name);
    FILE *f = fopen(path, "we");
    assert_non_null(f);
    assert_true(fputs(text, f) >= 0);
    assert_int_equal(fclose(f), 0);
}

/* Words are apart by "|"; "@/" is the test's folder. The mapping as JSON, or NULL, with the misuse
 * in *ret_error. */
static char *map(const char *line, char **ret_error)
{
    struct test_args args = {0};
    struct vf_import_options options = {0};
    struct vf_mapping mapping = {0};
    struct vf_error *err = NULL;
    struct vf_cli cli = {.out = stdout, .err = stderr};
    char *argv[MAX_ARGS] = {NULL};
    int argc = 0;
    char *vf_autofree words = vf_xstrdup(line);
    char *rest = words;
    for (char *word; (word = strsep(&rest, "|"));) {
        const char *at = strstr(word, "@/");
        argv[argc++] = at ? vf_xasprintf("%.*s%s%s", (int)(at - word), word, folder, at + 1)
                          : vf_xstrdup(word);
    }
    int rc = vf_options_parse(&command, argc, argv, &args, &err);
    cli.misuse = rc != 0;
    rc = rc ? rc : vf_mapping_apply(&cli, &args.mapping, &mapping, &options, &err);
    char *text = NULL;
    if (rc == 0) {
        assert_ptr_equal(options.mapping, &mapping);
        cJSON *tree = vf_mapping_encode(&mapping);
        text = vf_json_print(tree, false);
        cJSON_Delete(tree);
    } else {
        assert_true(cli.misuse);
        *ret_error = vf_error_format(err);
    }
    vf_error_free(err);
    vf_mapping_release(&mapping);
    vf_options_release(&command, &args);
    for (int i = 0; i < argc; i++) {
        free(argv[i]);
    }
    return text;
}

static void check_map(const char *line, const char *want)
{
    char *error = NULL;
    char *vf_autofree text = map(line, &error);
    if (!text) {
        print_error("%s: %s\n", line, error);
    }
    assert_non_null(text);
    assert_string_equal(text, want);
}

static void check_misuse(const char *line, const char *want)
{
    char *vf_autofree error = NULL;
    char *vf_autofree text = map(line, &error);
    assert_null(text);
    bool told = error && strstr(error, want);
    if (!told) {
        print_error("%s: %s\n", line, error ? error : "no error");
    }
    assert_true(told);
}

/* Every option that is no list and no file is the field of its name. */
static void test_mapping_options__are_fields(void **state)
{
    (void)state;
    size_t n = 0;
    for (size_t i = 0; i < VF_N_MAPPING_OPTIONS; i++) {
        const struct vf_option *o = &vf_mapping_options[i];
        if (o->kind == VF_OPTION_LIST || o->complete == VF_COMPLETE_FILE) {
            continue;
        }
        char *vf_autofree name =
            vf_xasprintf("%s%s", o->name, strcmp(o->name, "cdrom") == 0 ? "s" : "");
        char *to = name;
        for (const char *c = name; *c; c++) {
            *to++ = (char)(*c == '-' ? toupper((unsigned char)*++c) : *c);
        }
        *to = '\0';
        const struct vf_mapping_field *f = vf_mapping_field_find(&vf_mapping_fields, name);
        assert_non_null(f);
        for (size_t k = 0; f->choices && (f->choices[k] || o->choices[k]); k++) {
            assert_string_equal(f->choices[k], o->choices[k]);
        }
        n++;
    }
    assert_int_equal(n, 23);
}

static void test_mapping_args__single_values(void **state)
{
    (void)state;
    check_map("--no-tags", "{\"noTags\":true}");
    check_map("--cpu-model|host-passthrough|--nested|no|--hot-plug=yes|--tpm|no"
              "|--secure-boot|no",
              "{\"cpuModel\":\"host-passthrough\",\"nested\":false,\"hotPlug\":true,\"tpm\":false,"
              "\"secureBoot\":false}");
    check_map("--dedicated-cpus|--numa|--hugepages|2Mi",
              "{\"dedicatedCpus\":true,\"numa\":true,\"hugepages\":\"2Mi\"}");
    check_map("--disk-bus|virtio|--rdm|copy|--cdrom|empty|--addresses|cloud-init",
              "{\"diskBus\":\"virtio\",\"rdm\":\"copy\",\"cdroms\":\"empty\",\"addresses\":\"cloud-"
              "init\"}");
}

static void test_mapping_args__lists(void **state)
{
    (void)state;
    check_map("--storage|ssd-*=fast,Block|--storage|*=slow|--disk|1:skip|--disk|Hard disk 1:boot=2",
              "{\"storage\":[{\"datastore\":\"ssd-*\",\"storageClass\":\"fast\",\"volumeMode\":"
              "\"Block\"},{\"datastore\":\"*\",\"storageClass\":\"slow\"}],"
              "\"disks\":[{\"disk\":\"1\",\"skip\":true},{\"disk\":\"Hard disk 1\",\"boot\":2}]}");
    check_map("--iso|[ds] a=b.iso=claim-1|--iso|*=claim-2|--network|A=B=pod|--network|C=ignore",
              "{\"isos\":[{\"file\":\"[ds] a=b.iso\",\"claim\":\"claim-1\"},{\"file\":\"*\","
              "\"claim\":\"claim-2\"}],\"networks\":[{\"source\":\"A=B\",\"to\":\"pod\"},"
              "{\"source\":\"C\",\"to\":\"ignore\"}]}");
    check_map("--label|a.example/x=1|--label|y=|--annotation|b=c=d|--label|y=2",
              "{\"labels\":{\"a.example/x\":\"1\",\"y\":\"2\"},\"annotations\":{\"b\":\"c=d\"}}");
}

#define HEAD "apiVersion: vmferry.io/v1alpha1\nkind: Mapping\nspec:\n"

static void test_mapping_args__lie_over_the_file(void **state)
{
    (void)state;
    write_file("m.yaml", HEAD "  rdm: copy\n"
                              "  diskBus: scsi\n"
                              "  storage: [{datastore: '*', storageClass: slow}]\n"
                              "  networks: [{source: A, to: pod}, {source: B, to: nad}]\n"
                              "  labels: {x: '1', y: '2'}\n");
    check_map("--mapping|@/m.yaml|--rdm|ask|--storage|ds=fast|--network|B=ignore|--label|y=3",
              "{\"diskBus\":\"scsi\",\"storage\":[{\"datastore\":\"ds\",\"storageClass\":\"fast\"},"
              "{\"datastore\":\"*\",\"storageClass\":\"slow\"}],\"rdm\":\"ask\",\"networks\":[{"
              "\"source\":\"B\","
              "\"to\":\"ignore\"},{\"source\":\"A\",\"to\":\"pod\"}],\"labels\":{\"x\":\"1\",\"y\":"
              "\"3\"}}");
}

#define TEMPLATE    "apiVersion: kubevirt.io/v1\nkind: VirtualMachine\nspec: {}\n"
#define TABLE(rows) "apiVersion: vmferry.io/v1alpha1\nkind: OSTable\nrows:\n" rows

static void test_mapping_args__files_are_seen_from_the_mapping(void **state)
{
    (void)state;
    char *vf_autofree dir = vf_xasprintf("%s/sub", folder);
    assert_int_equal(mkdir(dir, 0700), 0);
    write_file("sub/m.yaml", HEAD "  templateFile: t.yaml\n");
    write_file("sub/t.yaml", TEMPLATE);
    write_file("other.yaml", TEMPLATE "metadata: {}\n");
    char *vf_autofree want = vf_xasprintf(
        "{\"template\":\"apiVersion: kubevirt.io/v1\\nkind: VirtualMachine\\nspec: {}\\n\","
        "\"templateName\":\"%s/sub/t.yaml\"}",
        folder);
    check_map("--mapping|@/sub/m.yaml", want);
    char *vf_autofree other = vf_xasprintf(
        "{\"template\":\"apiVersion: kubevirt.io/v1\\nkind: VirtualMachine\\nspec: {}\\n"
        "metadata: {}\\n\",\"templateName\":\"%s/other.yaml\"}",
        folder);
    check_map("--mapping|@/sub/m.yaml|--template|@/other.yaml", other);
}

static void test_mapping_args__templates_stand_beside_the_table(void **state)
{
    (void)state;
    write_file("sub/os.yaml", TABLE("- {name: a, match: [a], templateFile: t.yaml}\n"
                                    "- {name: b, match: [b], templateFile: t.yaml}\n"
                                    "- {name: any, match: ['*']}\n"));
    char *error = NULL;
    char *vf_autofree text = map("--os-table|@/sub/os.yaml", &error);
    assert_non_null(text);
    assert_non_null(strstr(text, "\"osTemplates\":{\"t.yaml\":\"apiVersion: kubevirt.io/v1\\n"
                                 "kind: VirtualMachine\\nspec: {}\\n\"}"));
    write_file("sub/os.yaml", TABLE("- {name: a, match: [a], templateFile: none.yaml}\n"
                                    "- {name: any, match: ['*']}\n"));
    check_misuse("--os-table|@/sub/os.yaml", "/sub/none.yaml\": No such file");
    check_misuse("--os-table|@/sub/os.yaml", "row \"a\" of ");
    write_file("sub/os.yaml", TABLE("- {name: a, match: [a]}\n"));
    check_misuse("--os-table|@/sub/os.yaml", "/sub/os.yaml\", line 4");
}

static void test_mapping_args__misuse_names_the_option(void **state)
{
    (void)state;
    check_misuse("--cpu-model|a/b", "option \"--cpu-model\": ");
    check_misuse("--template|a\x01", "control characters");
    check_misuse("--disk|0:bus=ide", "option \"--disk\": ");
    check_misuse("--storage|fast", "option \"--storage\": ");
    check_misuse("--iso|x.iso", "option \"--iso\": it wants FILE=CLAIM");
    check_misuse("--iso|x.iso=No Claim", "option \"--iso\": ");
    check_misuse("--label|=x", "option \"--label\": it wants KEY=VALUE");
    check_misuse("--label|x=-", "option \"--label\": ");
    check_misuse("--annotation|vmferry.io/source=x", "option \"--annotation\": ");
    check_misuse("--network|pod", "option \"--network\": ");
    check_misuse("--network|A=pod|--network|A=ignore", "option \"--network\": ");
    check_misuse("--nic-model|vmxnet3", "option \"--nic-model\" wants one of virtio, ");
    check_misuse("--numa", "dedicated");
}

static void test_mapping_args__misuse_names_file_line_and_column(void **state)
{
    (void)state;
    check_misuse("--mapping|@/none.yaml", "/none.yaml\": No such file");
    check_misuse("--template|@/none.yaml", "/none.yaml\": No such file");
    write_file("bad.yaml", HEAD "  rdm: [\n");
    check_misuse("--mapping|@/bad.yaml", "/bad.yaml\", line 5");
    write_file("bad.yaml", "apiVersion: kubevirt.io/v1\nkind: VirtualMachine\nspec: 1\n");
    check_misuse("--template|@/bad.yaml", "/bad.yaml\", line 3, column 1: ");
    write_file("unknown.yaml", HEAD "  diskbus: sata\n");
    check_misuse("--mapping|@/unknown.yaml", "/unknown.yaml\", line 4, column 3: ");
    write_file("binary.yaml", "a");
    char *vf_autofree path = vf_xasprintf("%s/binary.yaml", folder);
    assert_int_equal(truncate(path, 10), 0);
    check_misuse("--mapping|@/binary.yaml", "is not a text");
    assert_int_equal(truncate(path, 2 << 20), 0);
    check_misuse("--mapping|@/binary.yaml", "is larger than");
}

static int make_folder(void **state)
{
    (void)state;
    return mkdtemp(folder) ? 0 : -1;
}

static int remove_folder(void **state)
{
    (void)state;
    static const char *const names[] = {"m.yaml",      "bad.yaml",    "unknown.yaml",
                                        "binary.yaml", "other.yaml",  "sub/m.yaml",
                                        "sub/t.yaml",  "sub/os.yaml", "sub"};
    for (size_t i = 0; i < VF_COUNT(names); i++) {
        char *vf_autofree path = vf_xasprintf("%s/%s", folder, names[i]);
        remove(path);
    }
    return rmdir(folder);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_mapping_options__are_fields),
        cmocka_unit_test(test_mapping_args__single_values),
        cmocka_unit_test(test_mapping_args__lists),
        cmocka_unit_test(test_mapping_args__lie_over_the_file),
        cmocka_unit_test(test_mapping_args__files_are_seen_from_the_mapping),
        cmocka_unit_test(test_mapping_args__templates_stand_beside_the_table),
        cmocka_unit_test(test_mapping_args__misuse_names_the_option),
        cmocka_unit_test(test_mapping_args__misuse_names_file_line_and_column),
    };
    return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
