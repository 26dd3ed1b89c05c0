#include "jobs/cli/termination.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "importer/base/mem.h"
#include "tests/support/disk_check.h"

static int setup(void **state)
{
    *state = scratch_new();
    setenv("VMFERRY_TERMINATION_LOG", scratch_path(*state, "log"), 1);
    return 0;
}

static int teardown(void **state)
{
    unsetenv("VMFERRY_TERMINATION_LOG");
    scratch_release(*state);
    return 0;
}

static char *written(const char *dir)
{
    size_t len;
    char *data = (char *)scratch_read(dir, "log", &len);
    char *text = vf_xstrndup(data, len);
    free(data);
    return text;
}

static void test_termination__error_and_hint(void **state)
{
    struct vf_error *e = NULL;
    vf_error_set(&e, VF_SPACE, "no room");
    vf_error_hint(&e, "make some");
    vf_error_wrap(&e, 0, "disk 1");
    scratch_write_text(*state, "log", "something longer that was there before, of another pod");
    vf_termination_write(e);
    char *vf_autofree text = written(*state);
    assert_string_equal(text, "disk 1: no room\nhint: make some\n");
    vf_error_free(e);
}

static void test_termination__is_cut_between_characters(void **state)
{
    struct vf_error *e = NULL;
    char *vf_autofree big = vf_xcalloc(1, VF_TERMINATION_MAX + 10);
    memset(big, 'x', VF_TERMINATION_MAX - 1);
    strcat(big, "\xc3\xa4...");
    vf_error_set(&e, VF_SPACE, "%s", big);
    vf_termination_write(e);
    char *vf_autofree text = written(*state);
    assert_int_equal(strlen(text), VF_TERMINATION_MAX - 1);
    assert_int_equal(text[VF_TERMINATION_MAX - 2], 'x');
    vf_error_free(e);
}

static void test_termination__without_a_file_nothing_happens(void **state)
{
    (void)state;
    struct vf_error *e = NULL;
    vf_error_set(&e, VF_SPACE, "no room");
    setenv("VMFERRY_TERMINATION_LOG", "/nonexistent/log", 1);
    vf_termination_write(e);
    setenv("VMFERRY_TERMINATION_LOG", "", 1);
    vf_termination_write(e);
    unsetenv("VMFERRY_TERMINATION_LOG");
    vf_termination_write(e);
    vf_error_free(e);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_termination__error_and_hint, setup, teardown),
        cmocka_unit_test_setup_teardown(test_termination__is_cut_between_characters, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(test_termination__without_a_file_nothing_happens, setup,
                                        teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
