#include "importer/base/log.h"

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

static FILE *log_file;
static int saved_fd;

static void divert_stderr(void)
{
    fflush(stderr);
    log_file = tmpfile();
    saved_fd = dup(STDERR_FILENO);
    assert_true(log_file && saved_fd >= 0);
    assert_true(dup2(fileno(log_file), STDERR_FILENO) >= 0);
}

static char *restore_stderr(void)
{
    fflush(stderr);
    dup2(saved_fd, STDERR_FILENO);
    close(saved_fd);
    char *text = calloc(1, 1 << 20);
    rewind(log_file);
    text[fread(text, 1, (1 << 20) - 1, log_file)] = '\0';
    fclose(log_file);
    return text;
}

static void test_debug__silent_unless_on(void **state)
{
    (void)state;
    divert_stderr();
    vf_debug("hidden %d", 1);
    vf_log_set_debug(true);
    bool on = vf_log_is_debug();
    vf_debug("shown %d", 2);
    vf_log_set_debug(false);
    vf_debug("hidden %d", 3);
    char *text = restore_stderr();
    assert_true(on);
    assert_string_equal(text, "vmferry: debug: shown 2\n");
    free(text);
}

static void *log_many(void *opaque)
{
    for (int i = 0; i < 200; i++) {
        vf_debug("%s", (const char *)opaque);
    }
    return NULL;
}

static void test_debug__lines_of_threads_stay_whole(void **state)
{
    (void)state;
    char a[] = "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa", b[] = "bbbbbbbbbbbbbbbbbbbbbbbbbbbb";
    pthread_t threads[2];
    divert_stderr();
    vf_log_set_debug(true);
    assert_int_equal(pthread_create(&threads[0], NULL, log_many, a), 0);
    assert_int_equal(pthread_create(&threads[1], NULL, log_many, b), 0);
    pthread_join(threads[0], NULL);
    pthread_join(threads[1], NULL);
    vf_log_set_debug(false);
    char *text = restore_stderr();
    unsigned n = 0;
    for (char *line = strtok(text, "\n"); line; line = strtok(NULL, "\n"), n++) {
        assert_int_equal(strncmp(line, "vmferry: debug: ", 16), 0);
        assert_true(strcmp(line + 16, a) == 0 || strcmp(line + 16, b) == 0);
    }
    assert_int_equal(n, 400);
    free(text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_debug__silent_unless_on),
        cmocka_unit_test(test_debug__lines_of_threads_stay_whole),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
