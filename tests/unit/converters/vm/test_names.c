#include "converters/vm/names.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include <cmocka.h>

#include "importer/base/mem.h"

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
        {"Web Server 01", "web-server-01-nkklztxmsk"},
        {"db_01", "db-01-8z2gxhv6sz"},
        {"db.01", "db-01-hznrwbk6sf"},
        {"a--b", "a-b-kmql4cp27m"},
        {"-a-", "a-7cjmd78vb8"},
        {"M\xc3\xbcnchen Stra\xc3\x9f"
         "e",
         "munchen-strasse-hv9pbf27rz"},
        {"Mu\xcc\x88nchen", "munchen-8vfm8ph7kp"}, /* the same in NFD */
        {"\xc5\x81\xc3\xb3"
         "d\xc5\xba",
         "lodz-gl6698g5ln"},
        {"\xe6\x9d\xb1\xe4\xba\xac", "vm-qrns9jk8sz"},
        {"", "vm-k4m9fztmz7"},
        {"---", "vm-dhjkw52s8w"},
        {"a\xff", "a-9sfrcw7dv9"},
        {"../../etc/passwd", "etc-passwd-zzkhp7lrs5"},
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
        assert_int_equal(strlen(label), strlen(rows[i].base) + VF_NAME_HASH_LEN);
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
    assert_string_equal(names[0], "web01-sqhc9nccvx");
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

static void test_name_to_label__looks_of_a_changed_name_are_kept_for_those(void **state)
{
    (void)state;
    char *changed = vf_name_to_label("db_01", 63);
    char *pretender = vf_name_to_label(changed, 63);
    assert_string_not_equal(changed, pretender);
    assert_true(vf_name_is_label(pretender));
    free(changed);
    free(pretender);
    char *word = vf_name_to_label("mail-production", 63);
    assert_string_equal(word, "mail-production");
    free(word);
}

static void test_name_to_label_value__table(void **state)
{
    (void)state;
    static const struct {
        const char *in, *base; /* with a dash at its end: the hash follows */
    } rows[] = {
        {"Prod", "Prod"},
        {"v1.2_x", "v1.2_x"},
        {"", ""},
        {"0", "0"},
        {"012345678901234567890123456789012345678901234567890123456789.23",
         "012345678901234567890123456789012345678901234567890123456789.23"},
        {"a b/c", "a-b-c-"},
        {"_a_", "a-"},
        {"a.", "a-"},
        {"\xe6\x9d\xb1", ""},
        {"012345678901234567890123456789012345678901234567890123456789.234",
         "0123456789012345678901234567890123456789012345678901-"},
        {"012345678901234567890123456789012345678901234567890._-a b",
         "012345678901234567890123456789012345678901234567890-"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        char *v = vf_name_to_label_value(rows[i].in);
        size_t n = strlen(rows[i].base);
        bool hashed = strcmp(rows[i].in, rows[i].base) != 0;
        assert_true(vf_name_is_label_value(v));
        assert_int_equal(strlen(v), n + (hashed ? VF_NAME_HASH_LEN : 0));
        assert_memory_equal(v, rows[i].base, n);
        free(v);
    }
}

static void test_name_is_label_value__table(void **state)
{
    (void)state;
    static const char *const good[] = {"", "a", "A.b_c-d", "0"};
    static const char *const bad[] = {
        "-a",
        "a-",
        ".",
        "a b",
        "a/b",
        "\xc3\xa4",
        "0123456789012345678901234567890123456789012345678901234567890123"};
    for (size_t i = 0; i < sizeof good / sizeof *good; i++) {
        assert_true(vf_name_is_label_value(good[i]));
    }
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        assert_false(vf_name_is_label_value(bad[i]));
    }
}

/* 100,000 names of the kinds that people and tools give, no two of them the same. */
enum { N_NAMES = 100000 };

static uint32_t random_state;

static uint32_t next_random(uint32_t below) /* xorshift32: the same sequence everywhere */
{
    random_state ^= random_state << 13;
    random_state ^= random_state >> 17;
    random_state ^= random_state << 5;
    return random_state % below;
}

static char *make_name(unsigned i)
{
    static const char *const letters[] = {"\xc3\xa4",     "\xc3\x89",         "\xc5\x82",
                                          "\xe6\x9d\xb1", "\xf0\x9f\x98\x80", "u\xcc\x88",
                                          "\xd0\x96"};
    static const char *const symbols[] = {" ", "_", ".", "(", ")", "#", "/", "-", "\xe2\x80\x93"};
    struct {
        char text[512];
        size_t len;
    } b = {.len = 0};
    unsigned digits = i / 10;
    size_t n = i % 10 == 5 ? 60 + next_random(60) : 1 + next_random(8);
    for (size_t k = 0; k < n && b.len < 480; k++) {
        char ascii[2] = {(char)('a' + next_random(26)), 0};
        const char *part = ascii;
        if (i % 10 == 1 || i % 10 == 2) {
            part = letters[next_random(sizeof letters / sizeof *letters)];
        } else if (i % 10 == 3 || (i % 10 == 4 && k % 3 == 1)) {
            part = symbols[next_random(sizeof symbols / sizeof *symbols)];
        }
        memcpy(b.text + b.len, part, strlen(part));
        b.len += strlen(part);
    }
    /* Distinct by its number, in a place where cutting takes it away, or written in symbols. */
    if (i % 10 == 3) {
        b.text[b.len++] = '@';
        for (unsigned d = digits + 1; d; d /= 2) {
            b.text[b.len++] = d % 2 ? '_' : '~';
        }
        b.text[b.len++] = '!';
    } else {
        b.len += (size_t)snprintf(b.text + b.len, 24, "%s%u%c", i % 10 == 6 ? "-" : "", digits,
                                  (int)('a' + i % 10));
    }
    if (i % 10 == 7) { /* the number alone, so that many are prefixes of others */
        b.len = (size_t)snprintf(b.text, sizeof b.text, "vm%u", digits);
    } else if (i % 10 == 8) { /* the same as before but for the case of a letter */
        b.len = (size_t)snprintf(b.text, sizeof b.text, "VM%u", digits);
    } else if (i % 10 == 9) { /* the same as before but for a sign that has no place */
        b.len = (size_t)snprintf(b.text, sizeof b.text, "vm_%u", digits);
    }
    return vf_xstrndup(b.text, b.len);
}

static char **make_names(void)
{
    random_state = 20240229;
    char **names = vf_xcalloc(N_NAMES, sizeof *names);
    for (unsigned i = 0; i < N_NAMES; i++) {
        names[i] = make_name(i);
    }
    return names;
}

struct made {
    const char *original;
    char *made;
};

static int compare_made(const void *a, const void *b)
{
    const struct made *x = a, *y = b;
    int c = strcmp(x->made, y->made);
    return c ? c : strcmp(x->original, y->original);
}

/* All results valid, the same when asked again, none for two names (but where case may differ). */
static void expect_apart(char *(*make)(const char *), bool (*valid)(const char *), bool case_folds)
{
    char **names = make_names();
    struct made *all = vf_xcalloc(N_NAMES, sizeof *all);
    for (size_t i = 0; i < N_NAMES; i++) {
        all[i] = (struct made){names[i], make(names[i])};
        if (!valid(all[i].made)) {
            fail_msg("\"%s\" became \"%s\"", names[i], all[i].made);
        }
        if (i % 16 == 0) {
            char *again = make(names[i]);
            assert_string_equal(again, all[i].made);
            free(again);
        }
    }
    qsort(all, N_NAMES, sizeof *all, compare_made);
    for (size_t i = 1; i < N_NAMES; i++) {
        if (strcmp(all[i].made, all[i - 1].made) == 0 &&
            !(case_folds && strcasecmp(all[i].original, all[i - 1].original) == 0)) {
            fail_msg("\"%s\" and \"%s\" are both \"%s\"", all[i].original, all[i - 1].original,
                     all[i].made);
        }
    }
    for (size_t i = 0; i < N_NAMES; i++) {
        free(all[i].made);
    }
    free(all);
    vf_names_free(names, N_NAMES);
}

static char *to_label(const char *s)
{
    return vf_name_to_label(s, VF_NAME_VM_MAX);
}

static void test_name_to_label__a_hundred_thousand_stay_apart(void **state)
{
    (void)state;
    expect_apart(to_label, vf_name_is_label, true);
}

static bool is_label_key(const char *s)
{
    return *s && vf_name_is_label_value(s);
}

static void test_name_to_label_value__a_hundred_thousand_stay_apart(void **state)
{
    (void)state;
    expect_apart(vf_name_to_label_value, is_label_key, false);
}

static void test_names_assign__a_hundred_thousand_are_distinct_in_any_order(void **state)
{
    (void)state;
    char **originals = make_names();
    struct vf_vm *vms = vf_xcalloc(N_NAMES, sizeof *vms);
    const struct vf_vm **set = vf_xcalloc(N_NAMES, sizeof(void *));
    const struct vf_vm **reversed = vf_xcalloc(N_NAMES, sizeof(void *));
    for (size_t i = 0; i < N_NAMES; i++) {
        vms[i] = (struct vf_vm){.name = originals[i]};
        set[i] = reversed[N_NAMES - 1 - i] = &vms[i];
    }
    char **names, **other;
    vf_names_assign(set, N_NAMES, NULL, 0, &names);
    vf_names_assign(reversed, N_NAMES, NULL, 0, &other);
    struct made *all = vf_xcalloc(N_NAMES, sizeof *all);
    for (size_t i = 0; i < N_NAMES; i++) {
        assert_true(vf_name_is_label(names[i]));
        assert_true(strlen(names[i]) <= VF_NAME_VM_MAX);
        assert_string_equal(names[i], other[N_NAMES - 1 - i]);
        all[i] = (struct made){originals[i], names[i]};
    }
    qsort(all, N_NAMES, sizeof *all, compare_made);
    for (size_t i = 1; i < N_NAMES; i++) {
        assert_string_not_equal(all[i].made, all[i - 1].made);
    }
    free(all);
    vf_names_free(names, N_NAMES);
    vf_names_free(other, N_NAMES);
    vf_names_free(originals, N_NAMES);
    free(set);
    free(reversed);
    free(vms);
}

static void test_names_assign__only_those_that_collide_change(void **state)
{
    (void)state;
    static const struct vf_vm a = {.name = TEXT("web01"), .moref = TEXT("vm-1")},
                              b = {.name = TEXT("WEB01"), .moref = TEXT("vm-2")},
                              c = {.name = TEXT("db"), .moref = TEXT("vm-3")},
                              d = {.name = TEXT("mail"), .moref = TEXT("vm-4")},
                              twin = {.name = TEXT("web01"), .moref = TEXT("vm-1")};
    const struct vf_vm *const one[] = {&a, &c}, *const two[] = {&c, &b, &a, &d};
    const struct vf_vm *const twins[] = {&a, &twin, &twin};
    const char *const taken[] = {"mail", "mail"};
    char **names;
    vf_names_assign(one, 2, NULL, 0, &names);
    assert_string_equal(names[0], "web01");
    assert_string_equal(names[1], "db");
    vf_names_free(names, 2);

    char *distinct_a = vf_name_of_vm_distinct(&a), *distinct_b = vf_name_of_vm_distinct(&b),
         *distinct_d = vf_name_of_vm_distinct(&d);
    vf_names_assign(two, 4, taken, 2, &names);
    assert_string_equal(names[0], "db");
    assert_string_equal(names[1], distinct_b);
    assert_string_equal(names[2], distinct_a);
    assert_string_equal(names[3], distinct_d);
    vf_names_free(names, 4);

    /* Taken even so, and VMs that nothing tells apart. */
    const char *const also_taken[] = {distinct_a};
    vf_names_assign(twins, 3, also_taken, 1, &names);
    for (size_t i = 0; i < 3; i++) {
        assert_true(vf_name_is_label(names[i]));
        assert_string_not_equal(names[i], distinct_a);
        assert_string_not_equal(names[i], names[(i + 1) % 3]);
    }
    vf_names_free(names, 3);
    free(distinct_a);
    free(distinct_b);
    free(distinct_d);
    vf_names_assign(NULL, 0, NULL, 0, &names);
    vf_names_free(names, 0);
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
        cmocka_unit_test(test_name_to_label__looks_of_a_changed_name_are_kept_for_those),
        cmocka_unit_test(test_name_to_label_value__table),
        cmocka_unit_test(test_name_is_label_value__table),
        cmocka_unit_test(test_name_to_label__a_hundred_thousand_stay_apart),
        cmocka_unit_test(test_name_to_label_value__a_hundred_thousand_stay_apart),
        cmocka_unit_test(test_names_assign__a_hundred_thousand_are_distinct_in_any_order),
        cmocka_unit_test(test_names_assign__only_those_that_collide_change),
        cmocka_unit_test(test_name_to_annotation__cut_at_a_character),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
