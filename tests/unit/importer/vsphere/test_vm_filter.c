#include "importer/vsphere/vm_filter.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define LIST(...) ((const char *const[]){__VA_ARGS__, NULL})

static void test_wants_name__names_and_globs_are_one_kind(void **state)
{
    (void)state;
    const struct vf_vm_query q = {.names = LIST("db01", "a*"), .globs = LIST("web-[0-9]*")};
    assert_true(vf_vm_query_wants_name(&q, "db01"));
    assert_true(vf_vm_query_wants_name(&q, "a*")); /* a name is no pattern */
    assert_false(vf_vm_query_wants_name(&q, "abc"));
    assert_true(vf_vm_query_wants_name(&q, "web-1/x"));
    assert_false(vf_vm_query_wants_name(&q, "web-x"));
    assert_false(vf_vm_query_wants_name(&q, NULL));
    const struct vf_vm_query any = {.names = (const char *const[]){NULL}};
    assert_true(vf_vm_query_wants_name(&any, NULL));
    assert_true(vf_vm_query_wants_name(NULL, "x"));
}

static void test_wants_place__folder_and_those_below(void **state)
{
    (void)state;
    static const struct {
        const char *folder, *wanted;
        bool yes;
    } cases[] = {
        {"/DC0/vm/prod", "/DC0/vm/prod", true},
        {"/DC0/vm/prod/db", "/DC0/vm/prod", true},
        {"/DC0/vm/prod", "/DC0/vm/prod/", true},
        {"/DC0/vm/prod", "DC0/vm/prod", true},
        {"/DC0/vm/prod2", "/DC0/vm/prod", false},
        {"/DC0/vm", "/DC0/vm/prod", false},
        {"/DC0/vm", "/", true},
        {NULL, "/DC0", false},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        const struct vf_vm_query q = {.folders = LIST("/nowhere", cases[i].wanted)};
        const struct vf_vm vm = {.folder = (char *)(uintptr_t)cases[i].folder};
        assert_int_equal(vf_vm_query_wants_place(&q, &vm), cases[i].yes);
    }
}

static void test_wants_place__every_kind_must_fit(void **state)
{
    (void)state;
    const struct vf_vm_query q = {.folders = LIST("/DC0"), .powers = LIST("off", "suspended")};
    struct vf_vm vm = {.folder = (char *)(uintptr_t) "/DC0/vm", .power = VF_POWER_OFF};
    assert_true(vf_vm_query_wants_place(&q, &vm));
    vm.power = VF_POWER_ON;
    assert_false(vf_vm_query_wants_place(&q, &vm));
    vm.power = VF_POWER_UNKNOWN;
    assert_false(vf_vm_query_wants_place(&q, &vm));
    vm.power = VF_POWER_SUSPENDED;
    vm.folder = NULL;
    assert_false(vf_vm_query_wants_place(&q, &vm));
}

static void test_wants_tags__with_or_without_category(void **state)
{
    (void)state;
    char *tags[] = {(char *)(uintptr_t) "env/prod", (char *)(uintptr_t) "a/b/c"};
    const struct vf_vm vm = {.tags = tags, .n_tags = 2};
    static const struct {
        const char *tag;
        bool yes;
    } cases[] = {{"env/prod", true}, {"prod", true}, {"env", false},
                 {"b/c", true},      {"c", false},   {"test/prod", false}};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        const struct vf_vm_query q = {.tags = LIST(cases[i].tag)};
        assert_int_equal(vf_vm_query_wants_tags(&q, &vm), cases[i].yes);
    }
    const struct vf_vm bare = {0};
    assert_false(vf_vm_query_wants_tags(&(struct vf_vm_query){.tags = LIST("x")}, &bare));
    assert_true(vf_vm_query_wants_tags(&(struct vf_vm_query){0}, &bare));
}

static void test_query_check__unknown_power_is_invalid(void **state)
{
    (void)state;
    struct vf_error *err = NULL;
    assert_int_equal(vf_vm_query_check(&(struct vf_vm_query){.powers = LIST("on", "up")}, &err),
                     VF_INVALID);
    assert_non_null(strstr(vf_error_message(err), "\"up\""));
    vf_error_free(err);
    assert_int_equal(vf_vm_query_check(&(struct vf_vm_query){.powers = LIST("suspended")}, NULL),
                     0);
    assert_int_equal(vf_vm_query_check(NULL, NULL), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_wants_name__names_and_globs_are_one_kind),
        cmocka_unit_test(test_wants_place__folder_and_those_below),
        cmocka_unit_test(test_wants_place__every_kind_must_fit),
        cmocka_unit_test(test_wants_tags__with_or_without_category),
        cmocka_unit_test(test_query_check__unknown_power_is_invalid),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
