#include "converters/vm/network_map.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "tests/support/disk_check.h"

#define TEXT(s) ((char *)(uintptr_t)(s)) /* the model owns its strings; nobody frees these */

static void test_network_map_add__takes_apart_at_the_last_equals(void **state)
{
    (void)state;
    static const struct {
        const char *text, *source;
        enum vf_network_kind kind;
        const char *attachment;
    } rows[] = {
        {"VM Network=pod", "VM Network", VF_NETWORK_POD, NULL},
        {"a=b=ignore", "a=b", VF_NETWORK_IGNORE, NULL},
        {"vlan 120=vlan-120", "vlan 120", VF_NETWORK_ATTACHMENT, "vlan-120"},
        {"=pod=lab/pod", "=pod", VF_NETWORK_ATTACHMENT, "lab/pod"},
        {"00:50:56:9a:11:02=lab/a.b", "00:50:56:9a:11:02", VF_NETWORK_ATTACHMENT, "lab/a.b"},
        {"fast=sriov:vf0", "fast", VF_NETWORK_SRIOV, "vf0"},
        {"fa*=sriov:lab/vf0", "fa*", VF_NETWORK_SRIOV, "lab/vf0"},
        {"udn=pod:l2bridge", "udn", VF_NETWORK_POD, NULL},
        {"*=ignore", "*", VF_NETWORK_IGNORE, NULL},
    };
    struct vf_network_map map = {0};
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        assert_int_equal(vf_network_map_add(&map, rows[i].text, NULL), 0);
        assert_int_equal(map.n_rules, i + 1);
        assert_string_equal(map.rules[i].source, rows[i].source);
        assert_int_equal(map.rules[i].kind, rows[i].kind);
        assert_int_equal(map.rules[i].attachment != NULL, rows[i].attachment != NULL);
        if (rows[i].attachment) {
            assert_string_equal(map.rules[i].attachment, rows[i].attachment);
        }
        char *target = vf_network_rule_target(&map.rules[i]);
        assert_string_equal(target, strrchr(rows[i].text, '=') + 1);
        free(target);
    }
    assert_string_equal(map.rules[7].binding, "l2bridge");
    assert_null(map.rules[0].binding);
    struct vf_error *err = NULL;
    check_error(vf_network_map_add(&map, "VM Network=ignore", &err), &err, VF_INVALID,
                "\"VM Network\" is mapped twice");
    vf_network_map_release(&map);
}

static void test_network_map_add__refuses_what_no_object_is_named(void **state)
{
    (void)state;
    static const char *const bad[] = {"",        "a",       "=pod",     "a=",           "a=Pod",
                                      "a=b/c/d", "a=/nad",  "a=ns/",    "a=b_c",        "a=n.s/nad",
                                      "a= pod",  "a=-b",    "a=lab/.b", "a=b\nc",       "a=NS/nad",
                                      "a=pod:",  "a=pod:X", "a=sriov:", "a=sriov:a/b/c"};
    struct vf_network_map map = {0};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        struct vf_error *err = NULL;
        int rc = vf_network_map_add(&map, bad[i], &err);
        assert_non_null(vf_error_get_hint(err));
        check_error(rc, &err, VF_INVALID, "\"");
    }
    struct vf_error *err = NULL;
    check_error(vf_network_map_add(&map, "a\x01=pod", &err), &err, VF_INVALID,
                "has control characters");
    assert_int_equal(map.n_rules, 0);
    vf_network_map_release(&map);
}

static struct vf_vm_nic nics[] = {
    {.network = TEXT("lan"), .mac = TEXT("00:50:56:9a:11:01")},
    {.network = TEXT("dmz"), .mac = TEXT("00:50:56:9a:11:02")},
    {.network = TEXT("lan"), .mac = TEXT("00:50:56:9a:11:03")},
    {.network = NULL},
};

/* "pod", "-" (left out), or the attachment, with "?" where it was guessed. */
static void expect_choices(const char *const *rules, const char *const want[4])
{
    struct vf_vm vm = {.nics = nics, .n_nics = 4};
    struct vf_network_map map = {0};
    struct vf_network_choice *choices = NULL;
    for (; *rules; rules++) {
        assert_int_equal(vf_network_map_add(&map, *rules, NULL), 0);
    }
    assert_int_equal(vf_network_map_resolve(&map, &vm, &choices, NULL), 0);
    for (size_t i = 0; i < 4; i++) {
        const struct vf_network_choice *c = &choices[i];
        const char *got = c->kind == VF_NETWORK_POD      ? "pod"
                          : c->kind == VF_NETWORK_IGNORE ? "-"
                                                         : c->attachment;
        bool guessed = *want[i] == '?';
        assert_string_equal(got, want[i] + guessed);
        assert_int_equal(c->guessed, guessed);
    }
    vf_network_choices_free(choices, 4);
    vf_network_map_release(&map);
}

static void test_network_map_resolve__table(void **state)
{
    (void)state;
    expect_choices((const char *const[]){NULL},
                   (const char *const[]){"?pod", "?dmz", "?lan", "?net-3"});
    expect_choices((const char *const[]){"lan=lab/lan", NULL},
                   (const char *const[]){"lab/lan", "?dmz", "lab/lan", "?net-3"});
    expect_choices((const char *const[]){"dmz=pod", NULL},
                   (const char *const[]){"?lan", "pod", "?lan", "?net-3"});
    expect_choices((const char *const[]){"dmz=ignore", "lan=ignore", NULL},
                   (const char *const[]){"-", "-", "-", "?net-3"});
    /* One of two on the same network, whatever the order of the rules. */
    expect_choices((const char *const[]){"lan=pod", "00:50:56:9A:11:03=ignore", NULL},
                   (const char *const[]){"pod", "?dmz", "-", "?net-3"});
    /* A name goes before a pattern; the first of two patterns counts. */
    expect_choices(
        (const char *const[]){"*=ignore", "l*=pod-net", "lan=pod", "00:50:56:9a:11:03=x", NULL},
        (const char *const[]){"pod", "-", "x", "-"});
    expect_choices((const char *const[]){"?mz=lab/dmz", "*=all", NULL},
                   (const char *const[]){"all", "lab/dmz", "all", "all"});
    expect_choices((const char *const[]){"LAN=ignore", NULL},
                   (const char *const[]){"?pod", "?dmz", "?lan", "?net-3"});
}

static void test_network_map_resolve__pod_network_takes_one(void **state)
{
    (void)state;
    struct vf_vm vm = {.nics = nics, .n_nics = 4};
    struct vf_network_map map = {0};
    struct vf_network_choice *choices = NULL;
    struct vf_error *err = NULL;
    assert_int_equal(vf_network_map_add(&map, "lan=pod", NULL), 0);
    int rc = vf_network_map_resolve(&map, &vm, &choices, &err);
    assert_non_null(strstr(vf_error_get_hint(err), "MAC address"));
    check_error(rc, &err, VF_INVALID, "2 NICs of the VM would be on the pod network");
    assert_null(choices);
    vf_network_map_release(&map);
    assert_int_equal(vf_network_map_resolve(NULL, &(struct vf_vm){0}, &choices, NULL), 0);
    vf_network_choices_free(choices, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_network_map_add__takes_apart_at_the_last_equals),
        cmocka_unit_test(test_network_map_add__refuses_what_no_object_is_named),
        cmocka_unit_test(test_network_map_resolve__table),
        cmocka_unit_test(test_network_map_resolve__pod_network_takes_one),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
