#include "importer/vsphere/change_id.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define TRACKING "52 de c0 d9 b9 43 9d 10-61 d5 4c 1b e9 7b 65 63"
#define OTHER    "52 de c0 d9 b9 43 9d 10-61 d5 4c 1b e9 7b 65 64"

static struct vf_change_id parse(const char *text)
{
    struct vf_change_id id;
    assert_int_equal(vf_change_id_parse(text, &id, NULL), 0);
    return id;
}

static void test_change_id_parse__tracking_and_sequence(void **state)
{
    (void)state;
    struct vf_change_id id = parse(TRACKING "/81");
    assert_string_equal(id.tracking, TRACKING);
    assert_int_equal(id.sequence, 81);
    id = parse("a/b/18446744073709551615");
    assert_string_equal(id.tracking, "a/b");
    assert_true(id.sequence == UINT64_MAX);
}

static void test_change_id_parse__longest_tracking(void **state)
{
    (void)state;
    char text[VF_CHANGE_ID_MAX_TRACKING + 4];
    struct vf_change_id id;
    memset(text, 'x', sizeof text);
    strcpy(text + VF_CHANGE_ID_MAX_TRACKING, "/1");
    assert_int_equal(strlen(parse(text).tracking), VF_CHANGE_ID_MAX_TRACKING);
    strcpy(text + VF_CHANGE_ID_MAX_TRACKING, "x/1");
    assert_int_equal(vf_change_id_parse(text, &id, NULL), VF_INVALID);
}

static void test_change_id_parse__other_forms_are_invalid(void **state)
{
    (void)state;
    static const char *const bad[] = {
        NULL,
        "",
        VF_CHANGE_ID_ALLOCATED,
        TRACKING,
        "/81",
        TRACKING "/",
        TRACKING "/-1",
        TRACKING "/+1",
        TRACKING "/ 1",
        TRACKING "/1 ",
        TRACKING "/0x1",
        TRACKING "/18446744073709551616",
        TRACKING "/99999999999999999999999999",
        "a\nb/1",
        "a\x7f/1",
        "\xc3\xa9/1",
    };
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        struct vf_change_id id = {.sequence = 7};
        struct vf_error *err = NULL;
        assert_int_equal(vf_change_id_parse(bad[i], &id, &err), VF_INVALID);
        assert_non_null(err);
        assert_int_equal(id.sequence, 7);
        vf_error_free(err);
    }
}

static void test_change_id_compare__order_within_one_tracking(void **state)
{
    (void)state;
    struct vf_change_id nine = parse(TRACKING "/9"), ten = parse(TRACKING "/10");
    struct vf_change_id other = parse(OTHER "/10");
    assert_int_equal(vf_change_id_compare(&nine, &nine), VF_CHANGE_SAME);
    assert_int_equal(vf_change_id_compare(&nine, &ten), VF_CHANGE_LATER);
    assert_int_equal(vf_change_id_compare(&ten, &nine), VF_CHANGE_EARLIER);
    assert_int_equal(vf_change_id_compare(&nine, &other), VF_CHANGE_FOREIGN);
    assert_int_equal(vf_change_id_compare(&ten, &other), VF_CHANGE_FOREIGN);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_change_id_parse__tracking_and_sequence),
        cmocka_unit_test(test_change_id_parse__longest_tracking),
        cmocka_unit_test(test_change_id_parse__other_forms_are_invalid),
        cmocka_unit_test(test_change_id_compare__order_within_one_tracking),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
