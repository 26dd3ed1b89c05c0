#include "importer/base/mem.h"

#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

static void test_mem_xcalloc__zeroed_never_null(void **state)
{
    (void)state;
    unsigned char *p = vf_xcalloc(3, 7);
    for (int i = 0; i < 21; i++) {
        assert_int_equal(p[i], 0);
    }
    free(p);
    void *none = vf_xcalloc(0, 8);
    assert_non_null(none);
    free(none);
}

static void test_mem_xrealloc_array__keeps_content(void **state)
{
    (void)state;
    int *p = vf_xrealloc_array(NULL, 2, sizeof *p);
    p[0] = 1;
    p[1] = 2;
    p = vf_xrealloc_array(p, 1000, sizeof *p);
    assert_int_equal(p[0], 1);
    assert_int_equal(p[1], 2);
    free(p);
}

/* In a child, of which SIGABRT is the proof. ASan, told otherwise, ends the process its own way. */
static void expect_abort(void (*allocate)(void))
{
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        close(STDERR_FILENO);
        signal(SIGABRT, SIG_DFL);
        allocate();
        _exit(0);
    }
    int status;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_false(WIFEXITED(status) && WEXITSTATUS(status) == 0);
}

static void overflow_array(void)
{
    volatile size_t n = SIZE_MAX / 4;
    free(vf_xrealloc_array(NULL, n, 8));
}

static void overflow_calloc(void)
{
    volatile size_t n = SIZE_MAX / 4;
    free(vf_xcalloc(n, 8));
}

static void test_mem__size_overflow_aborts(void **state)
{
    (void)state;
    expect_abort(overflow_array);
    expect_abort(overflow_calloc);
}

static void test_mem_strings__copy(void **state)
{
    (void)state;
    assert_null(vf_xstrdup(NULL));
    char *vf_autofree a = vf_xstrdup("abc");
    char *vf_autofree b = vf_xstrndup("abcdef", 4);
    char *vf_autofree c = vf_xasprintf("%s/%d", "x", 5);
    assert_string_equal(a, "abc");
    assert_string_equal(b, "abcd");
    assert_string_equal(c, "x/5");
    vf_replace_string(&a, a + 1); /* a part of itself */
    assert_string_equal(a, "bc");
    vf_replace_string(&a, NULL);
    assert_null(a);
}

static char *give(void)
{
    char *vf_autofree s = vf_xstrdup("given");
    return vf_take(s);
}

static void test_mem_take__disarms_autofree(void **state)
{
    (void)state;
    char *s = give();
    assert_string_equal(s, "given"); /* ASan: not freed; LSan: freed here */
    free(s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_mem_xcalloc__zeroed_never_null),
        cmocka_unit_test(test_mem_xrealloc_array__keeps_content),
        cmocka_unit_test(test_mem__size_overflow_aborts),
        cmocka_unit_test(test_mem_strings__copy),
        cmocka_unit_test(test_mem_take__disarms_autofree),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
