/* Disks whose server fails, stalls, goes away, or is none. */
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <cmocka.h>

#include "importer/base/mem.h"
#include "importer/source/nbd.h"
#include "tests/support/check.h"
#include "tests/support/disk_check.h"
#include "tests/support/nbd_check.h"

static uint64_t losses_of(struct vf_test_nbd *t)
{
    struct vf_nbd_facts facts;
    vf_nbd_disk_get_facts(t->disk, &facts);
    return facts.losses;
}

/* One pread of the whole disk, on a thread of its own. */
struct whole {
    pthread_t thread;
    struct vf_test_nbd *t;
    uint8_t *buf;
    int rc;
    struct vf_error *err;
};

static void *read_whole(void *opaque)
{
    struct whole *w = opaque;
    w->rc = w->t->disk->ops->pread(w->t->disk, w->buf, w->t->size_bytes, 0, &w->err);
    return NULL;
}

static void begin_whole(struct whole *w, struct vf_test_nbd *t)
{
    *w = (struct whole){.t = t, .buf = vf_xcalloc(t->size_bytes, 1)};
    vf_test_check(pthread_create(&w->thread, NULL, read_whole, w) == 0);
}

static void end_whole(struct whole *w)
{
    pthread_join(w->thread, NULL);
}

static int read_now(struct vf_test_nbd *t, struct vf_error **err)
{
    uint8_t buf[4096];
    return t->disk->ops->pread(t->disk, buf, sizeof buf, 65536, err);
}

static void test_nbd__answers_of_eio_are_asked_again(void **state)
{
    (void)state;
    struct vf_test_nbd t = {.filters = {"error"},
                            .parameters = {"error-pread=EIO", "error-pread-rate=15%"},
                            .options = {.request_bytes = 32768, .retry = {.max_tries = 12}}};
    t.options.retry.first_wait_ms = 1;
    t.options.retry.max_wait_ms = 5;
    vf_test_nbd_open(&t);
    struct whole w;
    begin_whole(&w, &t);
    end_whole(&w);
    assert_int_equal(w.rc, 0);
    assert_memory_equal(w.buf, t.content, t.size_bytes);
    free(w.buf);
    vf_test_nbd_release(&t);
}

static void test_nbd__lasting_eio_is_retry_and_told_in_the_servers_words(void **state)
{
    (void)state;
    struct vf_test_nbd t = {.filters = {"error"}, .options = {.retry = {.max_tries = 3}}};
    t.parameters[0] = "error-pread=EIO";
    t.parameters[1] = "error-pread-rate=100%";
    vf_test_nbd_start(&t);
    t.options.retry.max_wait_ms = 20;
    assert_int_equal(vf_nbdkit_open_disk(t.server, &t.options, &t.disk, NULL), 0);
    struct vf_error *err = NULL;
    int rc = read_now(&t, &err);
    assert_int_equal(rc, VF_RETRY);
    char *vf_autofree text = vf_error_format(err);
    assert_non_null(strstr(text, "nbdkit said last \"nbdkit: file"));
    assert_non_null(strstr(text, "injecting EIO error into pread"));
    check_error(rc, &err, VF_RETRY, "the server answered: Input/output error (try 3)");
    assert_int_equal(losses_of(&t), 1); /* the third try is on a new connection */
    /* It may be used again. */
    rc = read_now(&t, &err);
    check_error(rc, &err, VF_RETRY, "(try 3)");
    vf_test_nbd_release(&t);
}

static void test_nbd__refusal_is_auth_at_once(void **state)
{
    (void)state;
    struct vf_test_nbd t = {.filters = {"error"},
                            .parameters = {"error-pread=EPERM", "error-pread-rate=100%"}};
    vf_test_nbd_open(&t);
    struct vf_error *err = NULL;
    int rc = read_now(&t, &err);
    check_error(rc, &err, VF_AUTH, "Operation not permitted (try 1)");
    vf_test_nbd_release(&t);
}

static void test_nbd__server_killed_in_the_middle_is_found_again(void **state)
{
    (void)state;
    struct vf_test_nbd t = {
        .filters = {"delay"},
        .parameters = {"rdelay=20ms"},
        .restarts = 4,
        .options = {
            .connections = 2, .in_flight = 2, .request_bytes = 32768, .retry = {.max_tries = 50}}};
    vf_test_nbd_open(&t);
    struct whole w;
    begin_whole(&w, &t); /* 65 pieces of 20 ms, 4 at once */
    for (unsigned i = 0; i < 2; i++) {
        usleep(60000);
        vf_test_nbd_kill(&t);
        while (vf_nbdkit_get_pid(t.server) == 0) {
            usleep(10000);
        }
    }
    end_whole(&w);
    vf_error_free(w.err);
    assert_int_equal(w.rc, 0);
    assert_memory_equal(w.buf, t.content, t.size_bytes);
    assert_true(losses_of(&t) >= 1);
    free(w.buf);
    vf_test_nbd_release(&t);
}

static void test_nbd__server_that_went_away_for_good_is_retry(void **state)
{
    (void)state;
    struct vf_test_nbd t = {
        .filters = {"delay"},
        .parameters = {"rdelay=50ms"},
        .options = {
            .connections = 2, .in_flight = 4, .request_bytes = 32768, .retry = {.max_tries = 3}}};
    vf_test_nbd_open(&t);
    struct whole w;
    begin_whole(&w, &t);
    usleep(60000);
    vf_test_nbd_kill(&t);
    end_whole(&w);
    check_error(w.rc, &w.err, VF_RETRY, "was ended by signal 9");
    free(w.buf);
    struct vf_error *err = NULL;
    int rc = read_now(&t, &err);
    check_error(rc, &err, VF_RETRY, "after 3 tries: cannot connect to NBD server");
    vf_test_nbd_release(&t);
}

static void test_nbd__loss_while_idle_is_no_error(void **state)
{
    (void)state;
    struct vf_test_nbd t = {.restarts = 1, .options = {.retry = {.max_tries = 50}}};
    vf_test_nbd_open(&t);
    assert_int_equal(read_now(&t, NULL), 0);
    vf_test_nbd_kill(&t);
    assert_int_equal(read_now(&t, NULL), 0);
    check_disk(t.disk, t.content, t.size_bytes, 8);
    vf_test_nbd_release(&t);
}

static void test_nbd__server_that_comes_back_with_another_size_is_conflict(void **state)
{
    (void)state;
    struct vf_test_nbd t = {.restarts = 1, .options = {.retry = {.max_tries = 50}}};
    vf_test_nbd_open(&t);
    assert_int_equal(truncate(scratch_path(t.dir, "content"), (off_t)t.size_bytes + 4096), 0);
    vf_test_nbd_kill(&t);
    struct vf_error *err = NULL;
    int rc = read_now(&t, &err);
    check_error(rc, &err, VF_CONFLICT, "came back with another disk");
    vf_test_nbd_release(&t);
}

static void test_nbd__stall_is_retry(void **state)
{
    (void)state;
    struct vf_test_nbd t = {.filters = {"delay"},
                            .parameters = {"rdelay=3600"},
                            .options = {.stall_timeout_ms = 200, .retry = {.max_tries = 2}}};
    vf_test_nbd_open(&t);
    struct vf_error *err = NULL;
    int rc = read_now(&t, &err);
    check_error(rc, &err, VF_RETRY, "no answer came in time (try 2)");
    assert_int_equal(losses_of(&t), 2);
    vf_test_nbd_release(&t);
}

static void test_nbd__slow_server_is_no_stall(void **state)
{
    (void)state;
    /* 4 MiB at 1.5 MiB/s, all of it in flight at once: the last answer comes long after the
     * stall's timeout, but others come before. */
    struct vf_test_nbd t = {
        .filters = {"rate"},
        .parameters = {"rate=12M", "burstiness=0.1"},
        .options = {.in_flight = 128, .stall_timeout_ms = 1000, .request_bytes = 65536}};
    vf_test_nbd_open(&t);
    struct whole w;
    begin_whole(&w, &t);
    end_whole(&w);
    assert_int_equal(w.rc, 0);
    assert_memory_equal(w.buf, t.content, t.size_bytes);
    assert_int_equal(losses_of(&t), 0);
    free(w.buf);
    vf_test_nbd_release(&t);
}

/* The hour of delay is the proof: the wait ended because of the cancellation. */
static void test_nbd__cancellation_ends_reads(void **state)
{
    (void)state;
    struct vf_cancel *cancel = vf_cancel_new(NULL);
    struct vf_test_nbd t = {.filters = {"delay"},
                            .parameters = {"rdelay=3600"},
                            .options = {.connections = 3, .request_bytes = 65536},
                            .cancel = cancel};
    vf_test_nbd_open(&t);
    struct whole w[2];
    begin_whole(&w[0], &t);
    begin_whole(&w[1], &t);
    usleep(50000);
    vf_cancel_trigger(cancel);
    for (unsigned i = 0; i < 2; i++) {
        end_whole(&w[i]);
        check_error(w[i].rc, &w[i].err, VF_CANCELLED, "cancelled");
        free(w[i].buf);
    }
    struct vf_error *err = NULL;
    int rc = read_now(&t, &err);
    check_error(rc, &err, VF_CANCELLED, "cancelled");
    vf_test_nbd_release(&t);
    vf_cancel_free(cancel);
}

/* A socket that says what it is told to each client, then is silent, or closes. */
struct odd_server {
    pthread_t thread;
    char *dir;
    const char *path;
    int fd;
    const char *greeting;
    struct vf_cancel *cancel_at_client; /* triggered */
};

static void *serve_oddly(void *opaque)
{
    struct odd_server *s = opaque;
    int kept[16];
    unsigned n = 0;
    while (n < 16 && (kept[n] = accept(s->fd, NULL, NULL)) >= 0) {
        if (s->greeting) {
            vf_test_check(write(kept[n], s->greeting, strlen(s->greeting)) > 0);
            close(kept[n]);
        } else {
            n++;
        }
        if (s->cancel_at_client) {
            vf_cancel_trigger(s->cancel_at_client);
        }
    }
    while (n) {
        close(kept[--n]);
    }
    return NULL;
}

static void start_odd(struct odd_server *s)
{
    s->dir = scratch_new();
    s->path = scratch_path(s->dir, "odd");
    struct sockaddr_un at = {.sun_family = AF_UNIX};
    vf_test_check(strlen(s->path) < sizeof at.sun_path);
    memcpy(at.sun_path, s->path, strlen(s->path));
    s->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    vf_test_check(s->fd >= 0 && bind(s->fd, (struct sockaddr *)&at, sizeof at) == 0);
    vf_test_check(listen(s->fd, 8) == 0);
    vf_test_check(pthread_create(&s->thread, NULL, serve_oddly, s) == 0);
}

static void stop_odd(struct odd_server *s)
{
    shutdown(s->fd, SHUT_RDWR);
    pthread_join(s->thread, NULL);
    close(s->fd);
    scratch_release(s->dir);
}

static void test_nbd_disk_open__other_protocol_is_invalid(void **state)
{
    (void)state;
    struct odd_server s = {.greeting =
                               "220 mail.example.com ESMTP \033[31m ready for much more\r\n"};
    start_odd(&s);
    struct vf_nbd_options o = {.unix_socket = s.path};
    struct vf_disk *disk = NULL;
    struct vf_error *err = NULL;
    int rc = vf_nbd_disk_open(&o, &disk, &err);
    check_error(rc, &err, VF_INVALID, "no NBD can be spoken with");
    stop_odd(&s);
}

static void test_nbd_disk_open__silence_is_retry(void **state)
{
    (void)state;
    struct odd_server s = {0};
    start_odd(&s);
    struct vf_nbd_options o = {.unix_socket = s.path,
                               .connect_timeout_ms = 100,
                               .retry = {.max_tries = 2, .first_wait_ms = 10}};
    struct vf_disk *disk = NULL;
    struct vf_error *err = NULL;
    int rc = vf_nbd_disk_open(&o, &disk, &err);
    check_error(rc, &err, VF_RETRY, "after 2 tries: NBD server");
    stop_odd(&s);
}

static void test_nbd_disk_open__cancellation_ends_the_handshake(void **state)
{
    (void)state;
    struct vf_cancel *cancel = vf_cancel_new(NULL);
    struct odd_server s = {.cancel_at_client = cancel};
    start_odd(&s);
    struct vf_nbd_options o = {
        .unix_socket = s.path, .connect_timeout_ms = 3600000, .cancel = cancel};
    struct vf_disk *disk = NULL;
    struct vf_error *err = NULL;
    int rc = vf_nbd_disk_open(&o, &disk, &err);
    check_error(rc, &err, VF_CANCELLED, "cancelled");
    stop_odd(&s);
    vf_cancel_free(cancel);
}

static void test_nbd_disk_open__nobody_there(void **state)
{
    (void)state;
    struct vf_disk *disk = NULL;
    struct vf_error *err = NULL;
    struct vf_nbd_options o = {.unix_socket = "/nonexistent/socket"};
    int rc = vf_nbd_disk_open(&o, &disk, &err);
    check_error(rc, &err, VF_MISSING, "No such file or directory");
    o = (struct vf_nbd_options){.host = "no-such-host.invalid",
                                .retry = {.max_tries = 2, .first_wait_ms = 10}};
    rc = vf_nbd_disk_open(&o, &disk, &err);
    assert_true(rc == VF_MISSING || rc == VF_RETRY); /* RETRY: no name server answers here */
    check_error(rc, &err, (enum vf_code)rc, "\"no-such-host.invalid\" port 10809");
    o = (struct vf_nbd_options){
        .host = "127.0.0.1", .port = "1", .retry = {.max_tries = 2, .first_wait_ms = 10}};
    rc = vf_nbd_disk_open(&o, &disk, &err);
    check_error(rc, &err, VF_RETRY, "after 2 tries");
}

static void test_nbd_disk_open__unknown_export_is_missing(void **state)
{
    (void)state;
    struct vf_test_nbd t = {.filters = {"exportname"},
                            .parameters = {"exportname=disk1", "exportname-strict=true"},
                            .options = {.export_name = "disk2"}};
    vf_test_nbd_start(&t);
    struct vf_error *err = NULL;
    int rc = vf_nbdkit_open_disk(t.server, &t.options, &t.disk, &err);
    check_error(rc, &err, VF_MISSING, "export \"disk2\"");
    t.options.export_name = "disk1";
    assert_int_equal(vf_nbdkit_open_disk(t.server, &t.options, &t.disk, NULL), 0);
    vf_test_nbd_release(&t);
}

int main(void)
{
    signal(SIGPIPE, SIG_IGN);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_nbd__answers_of_eio_are_asked_again),
        cmocka_unit_test(test_nbd__lasting_eio_is_retry_and_told_in_the_servers_words),
        cmocka_unit_test(test_nbd__refusal_is_auth_at_once),
        cmocka_unit_test(test_nbd__server_killed_in_the_middle_is_found_again),
        cmocka_unit_test(test_nbd__server_that_went_away_for_good_is_retry),
        cmocka_unit_test(test_nbd__loss_while_idle_is_no_error),
        cmocka_unit_test(test_nbd__server_that_comes_back_with_another_size_is_conflict),
        cmocka_unit_test(test_nbd__stall_is_retry),
        cmocka_unit_test(test_nbd__slow_server_is_no_stall),
        cmocka_unit_test(test_nbd__cancellation_ends_reads),
        cmocka_unit_test(test_nbd_disk_open__other_protocol_is_invalid),
        cmocka_unit_test(test_nbd_disk_open__silence_is_retry),
        cmocka_unit_test(test_nbd_disk_open__cancellation_ends_the_handshake),
        cmocka_unit_test(test_nbd_disk_open__nobody_there),
        cmocka_unit_test(test_nbd_disk_open__unknown_export_is_missing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
