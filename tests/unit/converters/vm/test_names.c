#include "converters/vm/names.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define TEXT(s) ((char *)(uintptr_t)(s)) /* the model owns its strings; nobody frees these */

static void test_name_to_label__table(void **state)
{
    (void)state;
    static const struct {
        const char *original, *label;
    } rows[] = {
        {"web01", "web01"},
        {"WEB01", "web01"},
        {"web-01", "web-01"},
        {"0web", "0web"},
        {"Web Server 01", "web-server-01-2fd50c"},
        {"db_01", "db-01-0c1f6f"},
        {"db.01", "db-01-f39907"},
        {"a--b", "a-b-90827a"},
        {"-a-", "a-a75a46"},
        {"M\xc3\xbcnchen Stra\xc3\x9f"
         "e",
         "munchen-strasse-b7b512"},
        {"Mu\xcc\x88nchen", "munchen-41c9b9"}, /* the same in NFD */
        {"\xc5\x81\xc3\xb3"
         "d\xc5\xba",
         "lodz-bc8847"},
        {"\xe6\x9d\xb1\xe4\xba\xac", "vm-130016"},
        {"", "vm-e3b0c4"},
        {"---", "vm-cb3f91"},
        {"a\xff", "a-8dd06b"},
        {"../../etc/passwd", "etc-passwd-3754d6"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        char *label = vf_name_to_label(rows[i].original, 63);
        if (strcmp(label, rows[i].label) != 0) {
            print_error("\"%s\" became \"%s\", not \"%s\"\n", rows[i].original, label,
                        rows[i].label);
        }
        assert_true(vf_name_is_label(label));
        assert_string_equal(label, rows[i].label);
        free(label);
    }
}

static void test_name_to_label__latin_letters_keep_their_base(void **state)
{
    (void)state;
    static const struct {
        const char *original, *base;
    } rows[] = {
        {"\xc3\x80\xc3\x87\xc3\x89\xc3\x8e\xc3\x90\xc3\x91\xc3\x96\xc3\x98\xc3\x9c\xc3\x9d",
         "aceidnoouy-"},
        {"\xc3\xa5\xc3\xa7\xc3\xaa\xc3\xaf\xc3\xb0\xc3\xb1\xc3\xb5\xc3\xb8\xc3\xbb\xc3\xbf",
         "aceidnoouy-"},
        {"\xc3\x86\xc3\xa6\xc5\x93\xc3\xbe", "aeaeoeth-"},
        {"\xc4\x80\xc4\x8d\xc4\x91\xc4\x9b\xc4\x9f\xc4\xa7\xc4\xb1\xc4\xb5\xc4\xb7\xc5\x82"
         "\xc5\x88\xc5\x91\xc5\x99\xc5\xa1\xc5\xa5\xc5\xb1\xc5\xb5\xc5\xb7\xc5\xbe\xc5\xbf",
         "acdeghijklnorstuwyzs-"},
        {"a\xc3\x97"
         "b",
         "a-b-"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        char *label = vf_name_to_label(rows[i].original, 63);
        assert_int_equal(strlen(label), strlen(rows[i].base) + 6);
        assert_memory_equal(label, rows[i].base, strlen(rows[i].base));
        free(label);
    }
}

static void test_name_to_label__cut_names_stay_apart(void **state)
{
    (void)state;
    char a[200], b[200];
    memset(a, 'x', sizeof a);
    a[80] = '\0';
    memcpy(b, a, sizeof b);
    b[79] = 'y';
    for (size_t max = 16; max <= 63; max++) {
        char *la = vf_name_to_label(a, max);
        char *lb = vf_name_to_label(b, max);
        assert_int_equal(strlen(la), max);
        assert_true(vf_name_is_label(la));
        assert_string_not_equal(la, lb);
        free(la);
        free(lb);
    }
    a[63] = '\0'; /* just fits */
    char *label = vf_name_to_label(a, 63);
    assert_string_equal(label, a);
    free(label);
}

static void test_name_of_disk__fits_a_label(void **state)
{
    (void)state;
    char name[300];
    memset(name, 'n', sizeof name);
    name[299] = '\0';
    struct vf_vm vm = {.name = name};
    char *vm_name = vf_name_of_vm(&vm);
    char *disk = vf_name_of_disk(vm_name, 255);
    assert_true(vf_name_is_label(disk));
    assert_non_null(strstr(disk, "-disk-255"));
    free(disk);
    free(vm_name);
    vm.name = NULL;
    vm_name = vf_name_of_vm(&vm);
    assert_string_equal(vm_name, "vm");
    free(vm_name);
}

static void test_name_of_vm_distinct__tells_equal_names_apart(void **state)
{
    (void)state;
    static const struct vf_vm vms[] = {
        {.name = TEXT("web01"), .instance_uuid = TEXT("503a2f61-4c9e-0d57-8a11-2b7c90d4e6f3")},
        {.name = TEXT("WEB01"), .instance_uuid = TEXT("503a2f61-4c9e-0d57-8a11-2b7c90d4e6f3")},
        {.name = TEXT("web01"), .instance_uuid = TEXT("503a2f61-4c9e-0d57-8a11-2b7c90d4e6f4")},
        {.name = TEXT("web01"), .moref = TEXT("vm-42")},
        {.name = TEXT("web01"), .moref = TEXT("vm-43")},
        {.name = TEXT("web01")},
        {.name = TEXT("web01503a"), .moref = TEXT("")},
        {.name = TEXT("web01"), .moref = TEXT("503a")},
        {.name = TEXT("\xe6\x9d\xb1")},
        {.name = NULL},
    };
    enum { N = sizeof vms / sizeof *vms };
    char *names[N];
    for (size_t i = 0; i < N; i++) {
        names[i] = vf_name_of_vm_distinct(&vms[i]);
        assert_true(vf_name_is_label(names[i]));
        for (size_t j = 0; j < i; j++) {
            assert_string_not_equal(names[i], names[j]);
        }
    }
    assert_string_equal(names[0], "web01-7ccad2");
    assert_memory_equal(names[8], "vm-", 3);
    for (size_t i = 0; i < N; i++) {
        free(names[i]);
    }
    char longest[] = "XXXXXXXXXXXXXXXXXXXXXXXXXXXXXXXXXXXXXXXXXXXXXXXXXXXXXXXXXXXXXXXXXXXXXXXXXXX";
    char *name = vf_name_of_vm_distinct(&(struct vf_vm){.name = longest});
    assert_int_equal(strlen(name), VF_NAME_VM_MAX);
    free(name);
}

static void test_name_is_subdomain__table(void **state)
{
    (void)state;
    static const char *const good[] = {"a", "a.b", "a-b.c-d", "0.1"};
    static const char *const bad[] = {"",     ".",    "-a", "a-",  "a.",  ".a",      "a..b",
                                      "a.-b", "a-.b", "A",  "a_b", "a/b", "\xc3\xa4"};
    char longest[255];
    memset(longest, 'a', sizeof longest);
    longest[254] = '\0';
    assert_false(vf_name_is_subdomain(longest));
    longest[253] = '\0';
    assert_true(vf_name_is_subdomain(longest));
    for (size_t i = 0; i < sizeof good / sizeof *good; i++) {
        assert_true(vf_name_is_subdomain(good[i]));
    }
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        assert_false(vf_name_is_subdomain(bad[i]));
    }
}

static void test_name_to_label_value__table(void **state)
{
    (void)state;
    static const struct {
        const char *in, *out;
    } rows[] = {
        {"Prod", "Prod"},
        {"a b/c", "a-b-c"},
        {"_a_", "a"},
        {"v1.2_x", "v1.2_x"},
        {"", ""},
        {"\xe6\x9d\xb1", ""},
        {"0123456789012345678901234567890123456789012345678901234567890.23456789",
         "0123456789012345678901234567890123456789012345678901234567890.2"},
        {"01234567890123456789012345678901234567890123456789012345678901.3",
         "01234567890123456789012345678901234567890123456789012345678901"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        char *v = vf_name_to_label_value(rows[i].in);
        assert_string_equal(v, rows[i].out);
        free(v);
    }
}

static void test_name_to_annotation__cut_at_a_character(void **state)
{
    (void)state;
    char *v = vf_name_to_annotation("abc\xc3\xa4"
                                    "def",
                                    9);
    assert_string_equal(v, "abc\xc3\xa4"
                           "def");
    free(v);
    v = vf_name_to_annotation("abc\xc3\xa4"
                              "def",
                              7);
    assert_string_equal(v, "abc\xe2\x80\xa6");
    free(v);
    v = vf_name_to_annotation("a\xff", 100);
    assert_string_equal(v, "a\xef\xbf\xbd");
    free(v);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_name_to_label__table),
        cmocka_unit_test(test_name_to_label__latin_letters_keep_their_base),
        cmocka_unit_test(test_name_to_label__cut_names_stay_apart),
        cmocka_unit_test(test_name_of_disk__fits_a_label),
        cmocka_unit_test(test_name_of_vm_distinct__tells_equal_names_apart),
        cmocka_unit_test(test_name_is_subdomain__table),
        cmocka_unit_test(test_name_to_label_value__table),
        cmocka_unit_test(test_name_to_annotation__cut_at_a_character),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
