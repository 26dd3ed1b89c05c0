#include "importer/source/file.h"

#include <fcntl.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

static int new_file(char path[32], const char *text)
{
    strcpy(path, "/tmp/vf-test-file-XXXXXX");
    int fd = mkstemp(path);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, text, strlen(text)), (ssize_t)strlen(text));
    return fd;
}

static void test_file_stream__regular_tells_its_size(void **state)
{
    (void)state;
    char path[32];
    close(new_file(path, "0123456789"));
    struct vf_stream *s = NULL;
    assert_int_equal(vf_file_stream_open(path, NULL, &s, NULL), 0);
    assert_int_equal(s->size_bytes, 10);
    char buf[20];
    size_t n = 0;
    assert_int_equal(s->ops->read(s, buf, 4, &n, NULL), 0);
    assert_int_equal(n, 4);
    assert_int_equal(vf_stream_read_full(s, buf + 4, 16, &n, NULL), 0);
    assert_int_equal(n, 6);
    assert_memory_equal(buf, "0123456789", 10);
    vf_stream_free(s);
    unlink(path);
}

static void test_file_stream__descriptor_starts_where_it_stands(void **state)
{
    (void)state;
    char path[32];
    int fd = new_file(path, "0123456789");
    lseek(fd, 7, SEEK_SET);
    struct vf_stream *s = NULL;
    assert_int_equal(vf_file_stream_from_fd(fd, "x", NULL, &s, NULL), 0);
    assert_int_equal(s->size_bytes, 3);
    vf_stream_free(s);
    assert_int_equal(fcntl(fd, F_GETFD), -1); /* was taken */
    unlink(path);
}

static void test_file_stream__shrunk_is_invalid(void **state)
{
    (void)state;
    char path[32];
    close(new_file(path, "0123456789"));
    struct vf_stream *s = NULL;
    assert_int_equal(vf_file_stream_open(path, NULL, &s, NULL), 0);
    assert_int_equal(truncate(path, 4), 0);
    char buf[20];
    size_t n = 0;
    assert_int_equal(vf_stream_read_full(s, buf, 20, &n, NULL), VF_INVALID);
    vf_stream_free(s);
    unlink(path);
}

static void test_file_stream__bad_paths(void **state)
{
    (void)state;
    struct vf_stream *s = NULL;
    assert_int_equal(vf_file_stream_open("/nowhere/at/all", NULL, &s, NULL), VF_MISSING);
    assert_int_equal(vf_file_stream_open("/tmp", NULL, &s, NULL), VF_CONFLICT);
    assert_null(s);
}

static void *trigger_soon(void *opaque)
{
    usleep(50000);
    vf_cancel_trigger(opaque);
    return NULL;
}

static void test_file_stream__waiting_for_a_pipe_is_cancelled(void **state)
{
    (void)state;
    int fds[2];
    assert_int_equal(pipe(fds), 0);
    struct vf_cancel *cancel = vf_cancel_new(NULL);
    struct vf_stream *s = NULL;
    assert_int_equal(vf_file_stream_from_fd(fds[0], "pipe", cancel, &s, NULL), 0);
    assert_int_equal(s->size_bytes, -1);
    assert_int_equal(write(fds[1], "ab", 2), 2);
    char buf[4];
    size_t n = 0;
    assert_int_equal(s->ops->read(s, buf, sizeof buf, &n, NULL), 0);
    assert_int_equal(n, 2);
    pthread_t thread;
    assert_int_equal(pthread_create(&thread, NULL, trigger_soon, cancel), 0);
    assert_int_equal(s->ops->read(s, buf, sizeof buf, &n, NULL), VF_CANCELLED);
    pthread_join(thread, NULL);
    vf_stream_free(s);
    close(fds[1]);
    vf_cancel_free(cancel);
}

static void test_file_stream__pipe_ends_when_the_writer_goes(void **state)
{
    (void)state;
    int fds[2];
    assert_int_equal(pipe(fds), 0);
    struct vf_stream *s = NULL;
    assert_int_equal(vf_file_stream_from_fd(fds[0], "pipe", NULL, &s, NULL), 0);
    close(fds[1]);
    char buf[4];
    size_t n = 9;
    assert_int_equal(s->ops->read(s, buf, sizeof buf, &n, NULL), 0);
    assert_int_equal(n, 0);
    vf_stream_free(s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_file_stream__regular_tells_its_size),
        cmocka_unit_test(test_file_stream__descriptor_starts_where_it_stands),
        cmocka_unit_test(test_file_stream__shrunk_is_invalid),
        cmocka_unit_test(test_file_stream__bad_paths),
        cmocka_unit_test(test_file_stream__waiting_for_a_pipe_is_cancelled),
        cmocka_unit_test(test_file_stream__pipe_ends_when_the_writer_goes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
