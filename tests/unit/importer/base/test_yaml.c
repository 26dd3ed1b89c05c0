#include "importer/base/yaml.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "importer/base/json.h"
#include "importer/base/mem.h"

static char *print_one(const cJSON *tree)
{
    char *text = NULL;
    struct vf_error *err = NULL;
    if (vf_yaml_print(&tree, 1, &text, &err)) {
        fail_msg("%s", vf_error_message(err));
    }
    return text;
}

static void test_yaml_print__structure(void **state)
{
    (void)state;
    cJSON *t = vf_json_new_object();
    vf_json_add_string(t, "kind", "DataVolume");
    cJSON *meta = vf_json_add_object(t, "metadata");
    vf_json_add_string(meta, "name", "web01-disk-0");
    vf_json_add_u64(meta, "generation", UINT64_MAX);
    vf_json_add_bool(meta, "flag", false);
    cJSON *list = vf_json_add_array(t, "disks");
    cJSON *disk = vf_json_append_object(list);
    vf_json_add_string(disk, "name", "disk-0");
    vf_json_add_object(disk, "disk");
    vf_json_append_string(list, "12:30");
    vf_json_add_array(t, "none");
    cJSON_AddNullToObject(t, "nothing");
    vf_json_add_string(t, "notes", "first line\n  second: line\n\n# third");
    char *text = print_one(t);
    assert_string_equal(text, "kind: DataVolume\n"
                              "metadata:\n"
                              "  name: web01-disk-0\n"
                              "  generation: 18446744073709551615\n"
                              "  flag: false\n"
                              "disks:\n"
                              "- name: disk-0\n"
                              "  disk: {}\n"
                              "- \"12:30\"\n"
                              "none: []\n"
                              "nothing: null\n"
                              "notes: |-\n"
                              "  first line\n"
                              "    second: line\n"
                              "\n"
                              "  # third\n");
    free(text);
    cJSON_Delete(t);
}

static void test_yaml_print__documents_are_separated(void **state)
{
    (void)state;
    cJSON *a = vf_json_new_object();
    vf_json_add_u64(a, "a", 1);
    const cJSON *docs[] = {a, a};
    char *text = NULL;
    assert_int_equal(vf_yaml_print(docs, 2, &text, NULL), 0);
    assert_string_equal(text, "a: 1\n---\na: 1\n");
    free(text);
    cJSON_Delete(a);
}

static void test_yaml_print__plain_where_a_person_expects_it(void **state)
{
    (void)state;
    static const char *const plain[] = {"web01",
                                        "Ubuntu Linux (64-bit)",
                                        "1c9b3a42-117d-6e4f-9a53-0f2b6c1d8e77",
                                        "VMware-42 3a 9b 1c 7d 11 4f 6e-9a 53 0f 2b 6c 1d 8e 77",
                                        "sha256:00ff",
                                        "60Gi",
                                        "vmx-19",
                                        "cdi.kubevirt.io/v1beta1",
                                        "/DC0/vm/prod",
                                        "6000c29a5e1f0b7c9d2e",
                                        "Europe/Zurich",
                                        "No way",
                                        "M\xc3\xbcnchen"};
    for (size_t i = 0; i < sizeof plain / sizeof *plain; i++) {
        cJSON *t = vf_json_new_object();
        vf_json_add_string(t, "k", plain[i]);
        char *text = print_one(t);
        char *want = vf_xasprintf("k: %s\n", plain[i]);
        assert_string_equal(text, want);
        free(want);
        free(text);
        cJSON_Delete(t);
    }
}

static const char *const tricky[] = {
    "",
    " ",
    "no",
    "No",
    "on",
    "OFF",
    "y",
    "N",
    "true",
    "False",
    "null",
    "Null",
    "~",
    "<<",
    "=",
    "0",
    "1",
    "-1",
    "+1",
    "007",
    "0o17",
    "0x10",
    "0b101",
    "1_000",
    "1e3",
    "1E+3",
    "12e03",
    ".5",
    "5.",
    "-.5",
    ".inf",
    "-.INF",
    ".NaN",
    "1.2.3",
    "10.0.0.1",
    "12:30",
    "12:30:45",
    "190:20:30.15",
    "00:50:56:9a:11:02",
    "00:50:56:11:11:02",
    "2026-11-21",
    "2026-11-21T14:18:25Z",
    "2001-1-1 1:1:1",
    "60002951505087841312",
    "6000295e15",
    "-",
    "--",
    "---",
    "...",
    "--- x",
    "- x",
    "? x",
    ": x",
    ":",
    "x:",
    "x: y",
    "x #y",
    "#x",
    "x#y",
    "*a",
    "&a",
    "!a",
    "%a",
    "@a",
    "`a",
    "|",
    ">",
    "{a}",
    "[a]",
    "a, b",
    "'a'",
    "\"a\"",
    "it's",
    "back\\slash",
    "[datastore1] web01/web01.vmdk",
    " leading",
    "trailing ",
    "tab\there",
    "\ttab first",
    "bell\x07",
    "esc\x1b[31m",
    "del\x7f",
    "nel\xc2\x85x",
    "ls\xe2\x80\xa8x",
    "bom\xef\xbb\xbfx",
    "\xef\xbb\xbf"
    "bom first",
    "emoji \xf0\x9f\x98\x80",
    "caf\xc3\xa9",
    "one\ntwo",
    "one\ntwo\n",
    "one\ntwo\n\n",
    "\none",
    "\n",
    "\n\n",
    " one\ntwo",
    "one\n two",
    "one \ntwo",
    "one\n\ntwo",
    "one\n\n\ntwo",
    "one\n \ntwo",
    "one\r\ntwo\r\n",
    "one\n---\ntwo",
    "one\n...\ntwo",
    "one\n# two\n- three: four\n",
    "one\n\ttwo",
    "one\n\xf0\x9f\x98\x80 two",
    "a very long line that a folding emitter would break somewhere beyond column eighty: "
    "and go on behind that place # with things that are syntax",
};

static cJSON *tricky_tree(void)
{
    cJSON *t = vf_json_new_object();
    size_t n = sizeof tricky / sizeof *tricky;
    for (size_t i = 0; i < n; i++) {
        char *key = vf_xasprintf("k%zu", i);
        vf_json_add_string(t, key, tricky[i]);
        free(key);
    }
    cJSON *keys = vf_json_add_object(t, "keys");
    cJSON *nested = vf_json_add_array(vf_json_append_object(vf_json_add_array(t, "list")), "list");
    for (size_t i = 0; i < n; i++) {
        vf_json_add_u64(keys, tricky[i], i);
        vf_json_append_string(nested, tricky[i]);
    }
    return t;
}

static char *write_temporary(const char *text)
{
    char *path = vf_xstrdup("/tmp/vf-test-yaml-XXXXXX");
    int fd = mkstemp(path);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, text, strlen(text)), (ssize_t)strlen(text));
    close(fd);
    return path;
}

static void test_yaml_print__reads_back_in_yaml_1_1_and_1_2(void **state)
{
    (void)state;
    cJSON *t = tricky_tree();
    char *json = vf_json_print(t, false);
    char *yaml = print_one(t);
    char *json_path = write_temporary(json);
    char *yaml_path = write_temporary(yaml);
    char *root = vf_xstrdup(__FILE__);
    *strstr(root, "/unit/importer/") = '\0';
    char *command =
        vf_xasprintf("python3 '%s/lint/yaml_roundtrip.py' %s %s", root, json_path, yaml_path);
    int status = system(command); /* NOLINT(cert-env33-c): a test, fixed text */
    unlink(json_path);
    unlink(yaml_path);
    free(command);
    free(root);
    free(json_path);
    free(yaml_path);
    free(json);
    free(yaml);
    cJSON_Delete(t);
    assert_true(WIFEXITED(status));
    if (WEXITSTATUS(status) == 77 || WEXITSTATUS(status) == 127) {
        print_message("skipped: needs python3 and python3-yaml\n");
        skip();
    }
    assert_int_equal(WEXITSTATUS(status), 0);
}

static void test_yaml_print__not_utf8_is_invalid(void **state)
{
    (void)state;
    cJSON *t = cJSON_CreateObject();
    cJSON_AddStringToObject(t, "k", "\xff");
    const cJSON *doc = t;
    char *text = NULL;
    assert_int_equal(vf_yaml_print(&doc, 1, &text, NULL), VF_INVALID);
    assert_null(text);
    cJSON_Delete(t);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_yaml_print__structure),
        cmocka_unit_test(test_yaml_print__documents_are_separated),
        cmocka_unit_test(test_yaml_print__plain_where_a_person_expects_it),
        cmocka_unit_test(test_yaml_print__reads_back_in_yaml_1_1_and_1_2),
        cmocka_unit_test(test_yaml_print__not_utf8_is_invalid),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
