/* With the stand-in of tests/peers/nbdkit, which checks what it is given; and against the real
 * nbdkit without the plugin. */
#include "importer/source/vddk.h"

#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include <cmocka.h>

#include "importer/base/mem.h"
#include "importer/source/nbd.h"
#include "tests/support/check.h"
#include "tests/support/disk_check.h"

#define PASSWORD   "Corr3ct=horse, \"battery\""
#define FILE_NAME  "[datastore 1] web 01/web 01-000002.vmdk"
#define THUMBPRINT "00:11:22:33:44:55:66:77:88:99:AA:BB:CC:DD:EE:FF:01:23:45:67"
#define SIZE_BYTES (1u << 20)

struct rig {
    char *dir;
    uint8_t *content;
    struct vf_secret *password;
    struct vf_vddk_options options;
};

static int setup(void **state)
{
    struct rig *r = vf_xcalloc(1, sizeof *r);
    r->dir = scratch_new();
    r->content = vf_xcalloc(1, SIZE_BYTES);
    for (size_t i = 0; i < SIZE_BYTES; i++) {
        r->content[i] = (uint8_t)(i * 2654435761u >> 13);
    }
    vf_test_check(mkdir(scratch_path(r->dir, "lib64"), 0700) == 0);
    scratch_write_text(r->dir, "lib64/libvixDiskLib.so.8", "ELF");
    scratch_write(r->dir, "content", r->content, SIZE_BYTES);
    scratch_write_text(r->dir, "expected",
                       "server=vcenter.example.com\nport=\nuser=administrator@vsphere.local\n"
                       "password=" PASSWORD "\nthumbprint=" THUMBPRINT "\nvm=moref=vm-16\n"
                       "snapshot=snapshot-17\ntransports=nbdssl:nbd\ncompression=\n"
                       "file=" FILE_NAME "\n");
    r->password = vf_secret_new(PASSWORD, strlen(PASSWORD));
    r->options = (struct vf_vddk_options){.plugin = VF_TEST_VDDK_PLUGIN,
                                          .libdir = r->dir,
                                          .server = "vcenter.example.com",
                                          .user = "administrator@vsphere.local",
                                          .password = r->password,
                                          .thumbprint = "00112233445566778899aabbccddeeff01234567",
                                          .vm = "vm-16",
                                          .snapshot = "snapshot-17",
                                          .file = FILE_NAME,
                                          .transports = "nbdssl:nbd"};
    *state = r;
    return 0;
}

static int teardown(void **state)
{
    struct rig *r = *state;
    vf_secret_free(r->password);
    free(r->content);
    scratch_release(r->dir);
    free(r);
    return 0;
}

static void test_vddk_probe__gives_the_version(void **state)
{
    struct rig *r = *state;
    char *version = NULL;
    struct vf_error *err = NULL;
    int rc = vf_vddk_probe(&r->options, &version, &err);
    if (rc) {
        fail_msg("%s", vf_error_message(err));
    }
    assert_string_equal(version, "8");
    free(version);
}

static void check_probe(const struct vf_vddk_options *o, enum vf_code code, const char *part)
{
    char *version = NULL;
    struct vf_error *err = NULL;
    int rc = vf_vddk_probe(o, &version, &err);
    assert_non_null(vf_error_get_hint(err));
    check_error(rc, &err, code, part);
    assert_null(version);
}

static void test_vddk_probe__says_what_is_missing(void **state)
{
    struct rig *r = *state;
    struct vf_vddk_options o = r->options;
    o.program = "/nonexistent/nbdkit";
    check_probe(&o, VF_MISSING, "\"/nonexistent/nbdkit\" is not there");
    o = r->options;
    o.plugin = "no-such-plugin";
    check_probe(&o, VF_MISSING, "nbdkit has no plugin \"no-such-plugin\"");
    static const char *const libdirs[] = {NULL, "/nonexistent", "relative", "/tmp"};
    for (size_t i = 0; i < sizeof libdirs / sizeof libdirs[0]; i++) {
        o = r->options;
        o.libdir = libdirs[i];
        check_probe(&o, VF_MISSING, "no VMware library");
    }
}

static void test_vddk_probe__library_that_does_not_load_is_unsupported(void **state)
{
    struct rig *r = *state;
    scratch_write_text(r->dir, "lib64/libvixDiskLib.so.8", "%s", "");
    check_probe(&r->options, VF_UNSUPPORTED, "could not open shared object file");
}

static void test_vddk_probe__cancelled(void **state)
{
    struct rig *r = *state;
    struct vf_cancel *cancel = vf_cancel_new(NULL);
    vf_cancel_trigger(cancel);
    struct vf_vddk_options o = r->options;
    o.cancel = cancel;
    struct vf_error *err = NULL;
    int rc = vf_vddk_probe(&o, NULL, &err);
    check_error(rc, &err, VF_CANCELLED, "cancelled");
    vf_cancel_free(cancel);
}

static void test_vddk__serves_the_disk(void **state)
{
    struct rig *r = *state;
    struct vf_nbdkit *server = NULL;
    struct vf_disk *disk = NULL;
    struct vf_error *err = NULL;
    struct vf_nbd_options nbd = {.retry = {.max_tries = 50, .first_wait_ms = 20}};
    int rc = vf_vddk_start(&r->options, &server, &err);
    rc = rc ? rc : vf_nbdkit_open_disk(server, &nbd, &disk, &err);
    if (rc) {
        fail_msg("%s", vf_error_format(err));
    }
    struct vf_nbd_facts facts;
    vf_nbd_disk_get_facts(disk, &facts);
    assert_int_equal(facts.min_bytes, 512);
    check_disk(disk, r->content, SIZE_BYTES, 1);
    /* A library that takes its process along is started again. */
    assert_int_equal(kill(vf_nbdkit_get_pid(server), SIGKILL), 0);
    check_disk(disk, r->content, SIZE_BYTES, 2);
    vf_disk_free(disk);
    vf_nbdkit_free(server);
}

static void test_vddk__wrong_password_is_told_at_the_open_and_tried_once(void **state)
{
    struct rig *r = *state;
    struct vf_secret *wrong = vf_secret_new("guess", 5);
    struct vf_vddk_options o = r->options;
    o.password = wrong;
    struct vf_nbdkit *server = NULL;
    struct vf_disk *disk = NULL;
    struct vf_error *err = NULL;
    assert_int_equal(vf_vddk_start(&o, &server, NULL), 0);
    int rc = vf_nbdkit_open_disk(server, NULL, &disk, &err);
    assert_null(strstr(vf_error_message(err), "after")); /* accounts are locked by more */
    check_error(rc, &err, VF_MISSING, "VixDiskLib_ConnectEx: password is wrong");
    vf_nbdkit_free(server);
    vf_secret_free(wrong);
}

static void test_vddk_start__values_that_are_none_are_invalid(void **state)
{
    struct rig *r = *state;
    const struct {
        struct vf_vddk_options o;
        const char *part;
    } bad[] = {
        {{.libdir = "/a", .server = "s", .user = "u", .thumbprint = "t", .vm = "v", .file = "f"},
         "needs a password"},
        {{.libdir = "/a", .server = "", .user = "u"}, "needs a server"},
        {{.libdir = "/a",
          .server = "s",
          .user = "u",
          .password = r->password,
          .thumbprint = THUMBPRINT,
          .vm = "vm-1 x=y",
          .file = "f"},
         "\"vm-1 x=y\" is no managed object reference"},
        {{.libdir = "/a",
          .server = "s",
          .user = "u",
          .password = r->password,
          .thumbprint = THUMBPRINT,
          .vm = "vm-1",
          .snapshot = "",
          .file = "f"},
         "\"\" is no managed object reference"},
        {{.libdir = "/a",
          .server = "s",
          .user = "u",
          .password = r->password,
          .thumbprint = THUMBPRINT ":89",
          .vm = "vm-1",
          .file = "f"},
         "is no SHA-1 thumbprint"},
        {{.libdir = "/a",
          .server = "s",
          .user = "u",
          .password = r->password,
          .thumbprint = "00:1g",
          .vm = "vm-1",
          .file = "f"},
         "is no SHA-1 thumbprint"},
    };
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        struct vf_nbdkit *server = NULL;
        struct vf_error *err = NULL;
        int rc = vf_vddk_start(&bad[i].o, &server, &err);
        check_error(rc, &err, VF_INVALID, bad[i].part);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_vddk_probe__gives_the_version, setup, teardown),
        cmocka_unit_test_setup_teardown(test_vddk_probe__says_what_is_missing, setup, teardown),
        cmocka_unit_test_setup_teardown(test_vddk_probe__library_that_does_not_load_is_unsupported,
                                        setup, teardown),
        cmocka_unit_test_setup_teardown(test_vddk_probe__cancelled, setup, teardown),
        cmocka_unit_test_setup_teardown(test_vddk__serves_the_disk, setup, teardown),
        cmocka_unit_test_setup_teardown(
            test_vddk__wrong_password_is_told_at_the_open_and_tried_once, setup, teardown),
        cmocka_unit_test_setup_teardown(test_vddk_start__values_that_are_none_are_invalid, setup,
                                        teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
