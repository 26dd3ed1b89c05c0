#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <locale.h>
#include <stdlib.h>

#include "jobs/cli/table.h"

static const struct vf_table_column columns[] = {{"NAME", false}, {"CPU", true}, {"NOTE", false}};

static void test_table__aligns_by_what_is_seen(void **state)
{
    (void)state;
    struct vf_table *t = vf_table_new(columns, 3);
    vf_table_add(t, "\xe6\x97\xa5\xe6\x9c\xac-db");
    vf_table_addf(t, "%d", 16);
    vf_table_add(t, "x");
    vf_table_add(t, "b\xc3\xbcro");
    vf_table_addf(t, "%d", 2048);
    vf_table_add(t, NULL);
    char *text = vf_table_print(t);
    assert_string_equal(text, "NAME      CPU  NOTE\n"
                              "\xe6\x97\xa5\xe6\x9c\xac-db    16  x\n"
                              "b\xc3\xbcro     2048  -\n");
    free(text);
    vf_table_free(t);
}

static void test_table__foreign_text_stays_in_its_cell(void **state)
{
    (void)state;
    struct vf_table *t = vf_table_new(columns, 3);
    vf_table_add(t, "a\nb\033[2J");
    vf_table_add(t, "");
    vf_table_add(t, "c\r");
    char *text = vf_table_print(t);
    assert_string_equal(text, "NAME     CPU  NOTE\n"
                              "a?b?[2J    -  c?\n");
    free(text);
    vf_table_free(t);
}

static void test_table__without_rows_has_titles(void **state)
{
    (void)state;
    struct vf_table *t = vf_table_new(columns, 3);
    char *text = vf_table_print(t);
    assert_string_equal(text, "NAME  CPU  NOTE\n");
    free(text);
    vf_table_free(t);
    vf_table_free(NULL);
}

int main(void)
{
    if (!setlocale(LC_CTYPE, "C.UTF-8")) {
        return 1;
    }
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_table__aligns_by_what_is_seen),
        cmocka_unit_test(test_table__foreign_text_stays_in_its_cell),
        cmocka_unit_test(test_table__without_rows_has_titles),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
