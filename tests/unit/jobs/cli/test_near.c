#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <string.h>

#include "jobs/cli/near.h"

static char n1[] = "web01", n2[] = "web02", n3[] = "prod-web01", n4[] = "db", n5[] = "WEB01",
            n6[] = "web1";
static const struct vf_vm vms[] = {{.name = n4}, {.name = n3}, {.name = NULL},
                                   {.name = n2}, {.name = n1}, {.name = n6}};

static void test_near__first_missing(void **state)
{
    (void)state;
    assert_null(vf_near_first_missing(NULL, vms, 6));
    assert_null(vf_near_first_missing((const char *const[]){"db", "web01", NULL}, vms, 6));
    assert_string_equal(
        vf_near_first_missing((const char *const[]){"db", "WEB01", "x", NULL}, vms, 6), "WEB01");
    assert_string_equal(vf_near_first_missing((const char *const[]){"db", NULL}, vms, 0), "db");
}

static void check_hint(const char *name, size_t n, const char *hint)
{
    struct vf_error *err = NULL;
    assert_int_equal(vf_near_set_error(&err, name, vms, n), VF_MISSING);
    assert_non_null(strstr(vf_error_message(err), name));
    assert_string_equal(vf_error_get_hint(err), hint);
    vf_error_free(err);
}

static void test_near__names_up_to_three_nearest_first(void **state)
{
    (void)state;
    check_hint(n5, 6, "names like it: \"web01\", \"web02\", \"web1\"");
    check_hint("web01x", 6, "names like it: \"web01\", \"web02\", \"web1\"");
    check_hint("prod", 6, "names like it: \"prod-web01\"");
}

static void test_near__nothing_like_it_tells_how_many_there_are(void **state)
{
    (void)state;
    check_hint("xyz", 6, "\"vmferry inventory\" lists the 6 that this user can see");
    check_hint("db", 0, "\"vmferry inventory\" lists the 0 that this user can see");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_near__first_missing),
        cmocka_unit_test(test_near__names_up_to_three_nearest_first),
        cmocka_unit_test(test_near__nothing_like_it_tells_how_many_there_are),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
