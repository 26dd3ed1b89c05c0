/* Against a vCenter whose datastore browser answers as a test wants it to. The rest is proved by
 * tests/e2e/test_transports.py. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include <cmocka.h>

#include "importer/base/mem.h"
#include "jobs/migration/transport.h"
#include "tests/support/disk_check.h"
#include "tests/support/http_server.h"
#include "tests/support/soap_server.h"

#define SIZE_BYTES 4096u

/* What the browser says; set by the test, read by the server's threads. */
static struct {
    atomic_int status;               /* 206: the sectors of a disk of zeros */
    _Atomic(const char *) good_file; /* this one alone is as it should be; NULL: all are alike */
    atomic_bool ignores_ranges;
    atomic_uint n_requests;
} browser;

static void browse(struct vf_test_exchange *x, void *opaque)
{
    (void)opaque;
    browser.n_requests++;
    const char *good_file = browser.good_file;
    bool good = good_file && strstr(x->target, good_file);
    if (browser.status != 206 && !good) {
        vf_test_answer(x, browser.status, "", "no");
        return;
    }
    static const char zeros[SIZE_BYTES];
    char *vf_autofree range = vf_test_header(x, "Range");
    unsigned long first = 0, last = SIZE_BYTES - 1;
    if (strcmp(x->method, "HEAD") == 0) {
        vf_test_printf(x, "HTTP/1.1 200 OK\r\nContent-Length: %u\r\n\r\n", SIZE_BYTES);
    } else if (range && !browser.ignores_ranges &&
               sscanf(range, "bytes=%lu-%lu", &first, &last) == 2) {
        vf_test_printf(x,
                       "HTTP/1.1 206 Partial Content\r\nContent-Length: %lu\r\n"
                       "Content-Range: bytes %lu-%lu/%u\r\n\r\n",
                       last - first + 1, first, last, SIZE_BYTES);
        vf_test_send(x, zeros, last - first + 1);
    } else {
        vf_test_printf(x, "HTTP/1.1 200 OK\r\nContent-Length: %u\r\n\r\n", SIZE_BYTES);
        vf_test_send(x, zeros, SIZE_BYTES);
    }
}

/* The VM as it is; the disk of key 2000 alone. */
static struct {
    atomic_bool off;
    _Atomic(const char *) file;
} live;

#define STRING(name, text)                                                                         \
    "<propSet><name>" name "</name><val xsi:type=\"xsd:string\">" text "</val></propSet>"
#define PARENT(type, moref)                                                                        \
    "<propSet><name>parent</name><val type=\"" type "\" "                                          \
    "xsi:type=\"ManagedObjectReference\">" moref "</val></propSet>"
#define OBJECT(type, moref, sets)                                                                  \
    "<returnval><objects><obj type=\"" type "\">" moref "</obj>" sets "</objects></returnval>"

static const char *answer(const struct vf_test_soap_call *c, void *opaque)
{
    static char vm[2000];
    (void)opaque;
    if (strcmp(c->method, "RetrievePropertiesEx") != 0) {
        return NULL;
    }
    if (strstr(c->body, ">group-v3<")) {
        return OBJECT("Folder", "group-v3", STRING("name", "vm") PARENT("Datacenter", "dc-2"));
    }
    if (strstr(c->body, ">dc-2<")) {
        return OBJECT("Datacenter", "dc-2", STRING("name", "DC0") PARENT("Folder", "group-d1"));
    }
    snprintf(vm, sizeof vm,
             OBJECT("VirtualMachine", "vm-1",
                    STRING("name", "web") PARENT("Folder", "group-v3")
                        STRING("runtime.powerState",
                               "%s") "<propSet><name>config.hardware.device</name>"
                                     "<val xsi:type=\"ArrayOfVirtualDevice\">"
                                     "<VirtualDevice xsi:type=\"VirtualDisk\"><key>2000</key>"
                                     "<backing xsi:type=\"VirtualDiskFlatVer2BackingInfo\">"
                                     "<fileName>%s</fileName></backing><capacityInBytes>4096"
                                     "</capacityInBytes></VirtualDevice></val></propSet>"),
             live.off ? "poweredOff" : "poweredOn", live.file);
    return vm;
}

struct fixture {
    struct vf_test_soap *server;
    struct vf_vsphere *vs;
    struct vf_cancel *cancel;
    struct vf_vm vm;
    struct vf_transport_env env;
    struct vf_transport_options options;
    struct vf_transport *transport;
    char *reason;
    struct vf_error *err;
};

static int set_up(void **state)
{
    struct fixture *f = vf_xcalloc(1, sizeof *f);
    browser.status = 206;
    browser.good_file = NULL;
    browser.ignores_ranges = false;
    browser.n_requests = 0;
    live.off = false;
    live.file = "[ds] web/a-000001.vmdk";
    f->server = vf_test_soap_start(answer, NULL);
    vf_test_soap_set_rest(f->server, browse);
    f->cancel = vf_cancel_new(NULL);
    f->vs = vf_test_soap_login(f->server, f->cancel);
    vf_vm_init(&f->vm);
    f->vm.name = vf_xstrdup("web");
    f->vm.moref = vf_xstrdup("vm-1");
    f->vm.power = VF_POWER_ON;
    f->vm.disks = vf_xcalloc(2, sizeof *f->vm.disks);
    for (; f->vm.n_disks < 2; f->vm.n_disks++) {
        struct vf_vm_disk *d = &f->vm.disks[f->vm.n_disks];
        d->key = 2000 + (int32_t)f->vm.n_disks;
        d->label = vf_xasprintf("Hard disk %zu", f->vm.n_disks + 1);
        d->file = vf_xasprintf("[ds] web/%c.vmdk", (char)('a' + f->vm.n_disks));
        d->capacity_bytes = SIZE_BYTES;
    }
    f->env = (struct vf_transport_env){.vs = f->vs, .vm = "web", .cancel = f->cancel};
    *state = f;
    return 0;
}

static int tear_down(void **state)
{
    struct fixture *f = *state;
    vf_transport_free(f->transport);
    free(f->reason);
    vf_error_free(f->err);
    vf_vm_release(&f->vm);
    vf_vsphere_free(f->vs);
    vf_test_soap_stop(f->server);
    vf_cancel_free(f->cancel);
    free(f);
    return 0;
}

static int choose(struct fixture *f, enum vf_transport_kind kind)
{
    vf_transport_free(vf_take(f->transport));
    free(vf_take(f->reason));
    vf_error_clear(&f->err);
    f->options.kind = kind;
    return vf_transport_choose(&f->options, &f->env, "snapshot-2", &f->vm, &f->transport,
                               &f->reason, &f->err);
}

static void expect_choice(struct fixture *f, enum vf_transport_kind asked,
                          enum vf_transport_kind kind, const char *part)
{
    if (choose(f, asked)) {
        fail_msg("%s", vf_error_message(f->err));
    }
    assert_int_equal(f->transport->kind, kind);
    if (!strstr(f->reason, part)) {
        fail_msg("\"%s\" does not say \"%s\"", f->reason, part);
    }
    assert_null(strchr(f->reason, '\n'));
}

static void expect_refusal(struct fixture *f, enum vf_transport_kind kind, enum vf_code code,
                           const char *part)
{
    int rc = choose(f, kind);
    assert_null(f->transport);
    assert_null(f->reason);
    assert_non_null(vf_error_get_hint(f->err));
    check_error(rc, &f->err, code, part);
}

static void test_choose__https_after_a_read_of_every_disk(void **state)
{
    struct fixture *f = *state;
    expect_choice(f, VF_TRANSPORT_AUTO, VF_TRANSPORT_HTTPS,
                  "the datastore lets the frozen disks of the running VM be read");
    assert_int_equal(atomic_load(&browser.n_requests), 6); /* of each disk both ends and its size */
    expect_choice(f, VF_TRANSPORT_HTTPS, VF_TRANSPORT_HTTPS, "asked for; the datastore lets");
    f->vm.power = VF_POWER_OFF;
    expect_choice(f, VF_TRANSPORT_AUTO, VF_TRANSPORT_HTTPS, "lets the VM's disks be read");
}

static void test_choose__nfc_with_the_reason_why_not_https(void **state)
{
    struct fixture *f = *state;
    static const struct {
        int status;
        const char *part;
    } cases[] = {
        {403, "the datastore does not let a running VM's disk be read (403)"},
        {500, "the datastore does not let a running VM's disk be read: it is locked (500)"},
        {404, "the datastore browser does not show the file of a running VM's disk (404)"},
        {401, "https cannot be had: "},
        {501, "https cannot be had: "},
        {302, "https cannot be had: "},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        browser.status = cases[i].status;
        expect_choice(f, VF_TRANSPORT_AUTO, VF_TRANSPORT_NFC, cases[i].part);
        /* One disk that is refused is enough. */
        browser.good_file = "a-flat.vmdk";
        expect_choice(f, VF_TRANSPORT_AUTO, VF_TRANSPORT_NFC, cases[i].part);
        browser.good_file = NULL;
    }
    browser.status = 206;
    browser.ignores_ranges = true;
    expect_choice(f, VF_TRANSPORT_AUTO, VF_TRANSPORT_NFC, "does not serve parts of");
}

static void test_choose__https_that_cannot_be_had_is_an_error(void **state)
{
    struct fixture *f = *state;
    browser.status = 403;
    expect_refusal(f, VF_TRANSPORT_HTTPS, VF_AUTH, "transport https: disk 0 (Hard disk 1): ");
    browser.good_file = "a-flat.vmdk";
    expect_refusal(f, VF_TRANSPORT_HTTPS, VF_AUTH, "transport https: disk 1 (Hard disk 2): ");
}

/* Nothing is asked of the browser: what it would give is not what the snapshot froze. */
static void test_choose__file_that_is_not_the_disk_is_refused(void **state)
{
    struct fixture *f = *state;
    static const struct vf_vm_disk flaws[] = {
        {.delta = true}, {.rdm = true}, {.encrypted = true}, {.independent = true}};
    static const char *const parts[] = {"since an older snapshot", "a raw device", "is encrypted",
                                        "takes no part in snapshots"};
    struct vf_vm_disk *d = &f->vm.disks[0];
    for (size_t i = 0; i < sizeof flaws / sizeof flaws[0]; i++) {
        d->delta = flaws[i].delta;
        d->rdm = flaws[i].rdm;
        d->encrypted = flaws[i].encrypted;
        d->independent = flaws[i].independent;
        expect_refusal(f, VF_TRANSPORT_HTTPS, VF_UNSUPPORTED, parts[i]);
        expect_choice(f, VF_TRANSPORT_AUTO, VF_TRANSPORT_NFC, parts[i]);
    }
    assert_int_equal(atomic_load(&browser.n_requests), 0);
    d->independent = false;
    vf_replace_string(&d->file, NULL);
    expect_refusal(f, VF_TRANSPORT_HTTPS, VF_UNSUPPORTED, "has no file");
}

/* What the snapshot froze is elsewhere then. */
static void test_choose__file_that_the_vm_itself_has_is_refused(void **state)
{
    struct fixture *f = *state;
    live.file = "[ds] web/a.vmdk";
    for (int off = 0; off < 2; off++) {
        live.off = off;
        expect_refusal(f, VF_TRANSPORT_HTTPS, VF_UNSUPPORTED,
                       "the VM writes to its file in spite of the snapshot");
    }
    assert_int_equal(atomic_load(&browser.n_requests), 0);
}

static void test_choose__independent_disk_of_a_vm_that_is_off(void **state)
{
    struct fixture *f = *state;
    f->vm.power = VF_POWER_OFF;
    live.off = true;
    live.file = "[ds] web/a.vmdk";
    f->vm.disks[0].independent = true;
    expect_choice(f, VF_TRANSPORT_HTTPS, VF_TRANSPORT_HTTPS, "lets the VM's disks be read");
}

static void test_choose__nfc_and_cdi_by_name(void **state)
{
    struct fixture *f = *state;
    expect_choice(f, VF_TRANSPORT_NFC, VF_TRANSPORT_NFC, "asked for");
    assert_int_equal(atomic_load(&browser.n_requests), 0);
    int rc = choose(f, VF_TRANSPORT_CDI);
    check_error(rc, &f->err, VF_UNSUPPORTED, "cdi");
}

static void test_choose__library_that_is_not_there_is_told_and_left(void **state)
{
    struct fixture *f = *state;
    f->options.vddk_libdir = "/nonexistent";
    f->options.nbdkit_program = "/nonexistent/nbdkit";
    expect_choice(f, VF_TRANSPORT_AUTO, VF_TRANSPORT_HTTPS, "vddk cannot be had: ");
    assert_non_null(strstr(f->reason, "; the datastore lets"));
    expect_refusal(f, VF_TRANSPORT_VDDK, VF_MISSING, "transport vddk: ");
}

static void test_choose__cancelled(void **state)
{
    struct fixture *f = *state;
    vf_cancel_trigger(f->cancel);
    int rc = choose(f, VF_TRANSPORT_AUTO);
    assert_null(f->transport);
    check_error(rc, &f->err, VF_CANCELLED, "cancelled");
}

static void test_transport_name__of_each(void **state)
{
    (void)state;
    assert_string_equal(vf_transport_name(VF_TRANSPORT_AUTO), "auto");
    assert_string_equal(vf_transport_name(VF_TRANSPORT_NFC), "nfc");
    assert_string_equal(vf_transport_name(VF_TRANSPORT_HTTPS), "https");
    assert_string_equal(vf_transport_name(VF_TRANSPORT_VDDK), "vddk");
    assert_string_equal(vf_transport_name(VF_TRANSPORT_CDI), "cdi");
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_choose__https_after_a_read_of_every_disk),
        TEST(test_choose__nfc_with_the_reason_why_not_https),
        TEST(test_choose__https_that_cannot_be_had_is_an_error),
        TEST(test_choose__file_that_is_not_the_disk_is_refused),
        TEST(test_choose__file_that_the_vm_itself_has_is_refused),
        TEST(test_choose__independent_disk_of_a_vm_that_is_off),
        TEST(test_choose__nfc_and_cdi_by_name),
        TEST(test_choose__library_that_is_not_there_is_told_and_left),
        TEST(test_choose__cancelled),
        cmocka_unit_test(test_transport_name__of_each),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
