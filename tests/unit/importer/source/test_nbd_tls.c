/* TLS against nbdkit on a TCP port of this machine. */
#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "importer/base/mem.h"
#include "importer/source/nbd.h"
#include "tests/support/certificate.h"
#include "tests/support/check.h"
#include "tests/support/disk_check.h"

#define CONTENT "what travels in the dark"

struct tls_server {
    char *dir;
    char port[8];
    pid_t pid;
};

static void write_pem(const char *dir, const char *name, char *pem)
{
    scratch_write_text(dir, name, "%s", pem);
    free(pem);
}

/* A folder each for the server and for clients, in the names that gnutls programs agree on. */
static void make_certificates(const char *dir, const char *server_names)
{
    struct vf_test_certificate ca, server, client;
    vf_test_certificate_init(
        &ca, &(struct vf_test_certificate_options){.common_name = "ca", .is_ca = true, .days = 2});
    vf_test_certificate_init(
        &server, &(struct vf_test_certificate_options){
                     .common_name = "server", .alt_names = server_names, .days = 2, .issuer = &ca});
    vf_test_certificate_init(&client, &(struct vf_test_certificate_options){
                                          .common_name = "client", .days = 2, .issuer = &ca});
    write_pem(dir, "ca-cert.pem", vf_test_certificate_pem(&ca));
    write_pem(dir, "server-cert.pem", vf_test_certificate_pem(&server));
    write_pem(dir, "server-key.pem", vf_test_certificate_key_pem(&server));
    write_pem(dir, "client-cert.pem", vf_test_certificate_pem(&client));
    write_pem(dir, "client-key.pem", vf_test_certificate_key_pem(&client));
    vf_test_certificate_release(&client);
    vf_test_certificate_release(&server);
    vf_test_certificate_release(&ca);
}

static int listen_somewhere(char port[8])
{
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof at;
    vf_test_check(fd >= 0 && bind(fd, (struct sockaddr *)&at, sizeof at) == 0);
    vf_test_check(listen(fd, 16) == 0);
    vf_test_check(getsockname(fd, (struct sockaddr *)&at, &len) == 0);
    snprintf(port, 8, "%u", ntohs(at.sin_port));
    return fd;
}

/* nbdkit takes over a socket that listens already, as from systemd: no race for the port, and
 * clients may come before it is ready. */
static void start_server(struct tls_server *s, const char *how, const char *more)
{
    int fd = listen_somewhere(s->port);
    s->pid = fork();
    vf_test_check(s->pid >= 0);
    if (s->pid == 0) {
        char self[16];
        snprintf(self, sizeof self, "%d", (int)getpid());
        setenv("LISTEN_PID", self, 1);
        setenv("LISTEN_FDS", "1", 1);
        if (fd != 3) {
            dup2(fd, 3);
        }
        execlp("nbdkit", "nbdkit", "--exit-with-parent", "--readonly", "--tls=require", how, more,
               "data", "data=\"" CONTENT "\"", (char *)NULL);
        _exit(127);
    }
    close(fd);
}

static void start_with_certificates(struct tls_server *s, const char *server_names, bool mutual)
{
    s->dir = scratch_new();
    make_certificates(s->dir, server_names);
    char *vf_autofree how = vf_xasprintf("--tls-certificates=%s", s->dir);
    start_server(s, how, mutual ? "--tls-verify-peer" : "--foreground");
}

static void stop_server(struct tls_server *s)
{
    kill(s->pid, SIGKILL);
    waitpid(s->pid, NULL, 0);
    scratch_release(s->dir);
}

static struct vf_nbd_options options_of(const struct tls_server *s)
{
    return (struct vf_nbd_options){
        .host = "127.0.0.1", .port = s->port, .tls = VF_NBD_TLS_CERTIFICATES, .tls_dir = s->dir};
}

static void check_reads(const struct vf_nbd_options *o)
{
    struct vf_disk *disk = NULL;
    struct vf_error *err = NULL;
    int rc = vf_nbd_disk_open(o, &disk, &err);
    if (rc) {
        fail_msg("%s", vf_error_message(err));
    }
    char text[sizeof CONTENT] = "";
    assert_int_equal(disk->size_bytes, strlen(CONTENT));
    assert_int_equal(disk->ops->pread(disk, text, strlen(CONTENT), 0, NULL), 0);
    assert_string_equal(text, CONTENT);
    vf_disk_free(disk);
}

static void check_refused(const struct vf_nbd_options *o, enum vf_code code, const char *part)
{
    struct vf_disk *disk = NULL;
    struct vf_error *err = NULL;
    int rc = vf_nbd_disk_open(o, &disk, &err);
    check_error(rc, &err, code, part);
    assert_null(disk);
}

static void test_nbd_tls__certificate_of_a_known_issuer_is_trusted(void **state)
{
    (void)state;
    struct tls_server s;
    start_with_certificates(&s, "IP:127.0.0.1", false);
    struct vf_nbd_options o = options_of(&s);
    check_reads(&o);
    stop_server(&s);
}

static void test_nbd_tls__client_shows_its_certificate(void **state)
{
    (void)state;
    struct tls_server s;
    start_with_certificates(&s, "IP:127.0.0.1", true);
    struct vf_nbd_options o = options_of(&s);
    check_reads(&o);
    stop_server(&s);
}

static void test_nbd_tls__other_issuer_is_auth(void **state)
{
    (void)state;
    struct tls_server s;
    start_with_certificates(&s, "IP:127.0.0.1", false);
    char *other = scratch_new();
    make_certificates(other, "IP:127.0.0.1");
    struct vf_nbd_options o = options_of(&s);
    o.tls_dir = other;
    check_refused(&o, VF_AUTH, "cannot agree on TLS");
    scratch_release(other);
    stop_server(&s);
}

static void test_nbd_tls__other_name_is_auth(void **state)
{
    (void)state;
    struct tls_server s;
    start_with_certificates(&s, "DNS:elsewhere.example.com", false);
    struct vf_nbd_options o = options_of(&s);
    check_refused(&o, VF_AUTH, "cannot agree on TLS");
    stop_server(&s);
}

static void test_nbd_tls__in_the_clear_is_refused_by_a_server_that_wants_it(void **state)
{
    (void)state;
    struct tls_server s;
    start_with_certificates(&s, "IP:127.0.0.1", false);
    struct vf_nbd_options o = options_of(&s);
    o.tls = VF_NBD_TLS_OFF;
    check_refused(&o, VF_UNSUPPORTED, "requires TLS");
    stop_server(&s);
}

static void test_nbd_tls__files_that_are_not_there_are_missing(void **state)
{
    (void)state;
    struct vf_nbd_options o = {
        .host = "127.0.0.1", .tls = VF_NBD_TLS_CERTIFICATES, .tls_dir = "/nonexistent"};
    check_refused(&o, VF_MISSING, "\"/nonexistent/ca-cert.pem\"");
    o = (struct vf_nbd_options){.host = "127.0.0.1",
                                .tls = VF_NBD_TLS_PSK,
                                .tls_username = "u",
                                .tls_psk_file = "/nonexistent/keys"};
    check_refused(&o, VF_MISSING, "\"/nonexistent/keys\"");
}

static void test_nbd_tls__shared_key_that_both_know(void **state)
{
    (void)state;
    struct tls_server s = {.dir = scratch_new()};
    scratch_write_text(s.dir, "keys", "vmferry:00112233445566778899aabbccddeeff\n");
    scratch_write_text(s.dir, "wrong", "vmferry:ff112233445566778899aabbccddeeff\n");
    char *vf_autofree how = vf_xasprintf("--tls-psk=%s", scratch_path(s.dir, "keys"));
    start_server(&s, how, "--foreground");
    struct vf_nbd_options o = {.host = "127.0.0.1",
                               .port = s.port,
                               .tls = VF_NBD_TLS_PSK,
                               .tls_username = "vmferry",
                               .tls_psk_file = scratch_path(s.dir, "keys")};
    check_reads(&o);
    o.tls_psk_file = scratch_path(s.dir, "wrong");
    check_refused(&o, VF_AUTH, "cannot agree on TLS");
    stop_server(&s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_nbd_tls__certificate_of_a_known_issuer_is_trusted),
        cmocka_unit_test(test_nbd_tls__client_shows_its_certificate),
        cmocka_unit_test(test_nbd_tls__other_issuer_is_auth),
        cmocka_unit_test(test_nbd_tls__other_name_is_auth),
        cmocka_unit_test(test_nbd_tls__in_the_clear_is_refused_by_a_server_that_wants_it),
        cmocka_unit_test(test_nbd_tls__files_that_are_not_there_are_missing),
        cmocka_unit_test(test_nbd_tls__shared_key_that_both_know),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
