/* Probes against worlds that are wrong: everything that a host, a proxy or a datastore may do
 * instead of answering. That they go well against a vCenter is proved by tests/e2e. */
#include "jobs/preflight/path_facts.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "importer/base/clock.h"
#include "importer/base/mem.h"
#include "importer/base/secret.h"
#include "tests/support/event_log.h"
#include "tests/support/http_server.h"
#include "tests/support/soap_server.h"

#define PROP(name, val) "<propSet><name>" name "</name><val>" val "</val></propSet>"
#define OBJECT(type, moref, props)                                                                 \
    "<returnval><objects><obj type=\"" type "\">" moref "</obj>" props "</objects></returnval>"

#define PARENT(type, moref)                                                                        \
    "<propSet><name>parent</name><val type=\"" type "\">" moref "</val></propSet>"

struct fixture {
    struct vf_test_soap *soap;
    struct vf_vsphere *vs;
    struct vf_test_server *esx; /* NULL: none */
    struct vf_cancel *cancel;
    int status;                /* of the ESXi host's answer */
    _Atomic(const char *) url; /* of the export's disk */
    const char *thumbprint;    /* that vCenter tells of the host */
    const char *refusal;       /* of ExportVm */
    bool stalls;               /* the host, in the middle of the disk */
    bool never_ready;          /* the lease */
    bool cut_short;            /* the creation of a snapshot; then nothing of it can be seen */
    atomic_bool cut;           /* it was */
    struct vf_reporter *reporter;
    char *lease; /* as it is shown */
    struct vf_vm vm;
    struct vf_vm_disk disk;
    struct vf_host host;
    struct vf_source_facts source;
    struct vf_import_options import;
    struct vf_check_options check;
    struct vf_path_facts facts;
};

static const char *answer(const struct vf_test_soap_call *c, void *opaque)
{
    struct fixture *f = opaque;
    if (strcmp(c->method, "ExportVm") == 0) {
        return f->refusal ? f->refusal : "<returnval type=\"HttpNfcLease\">lease-1</returnval>";
    }
    if (strcmp(c->method, "CreatePropertyCollector") == 0) {
        return "<returnval type=\"PropertyCollector\">pc-2</returnval>";
    }
    if (strcmp(c->method, "WaitForUpdatesEx") == 0) {
        return f->never_ready
                   ? ""
                   : "<returnval><version>1</version><filterSet><objectSet><kind>enter</kind>"
                     "<changeSet><name>state</name><op>assign</op><val>ready</val></changeSet>"
                     "</objectSet></filterSet></returnval>";
    }
    if (f->cut_short && strcmp(c->method, "CreateSnapshot_Task") == 0) {
        f->cut = true;
        vf_cancel_trigger(f->cancel);
        vf_cancel_wait(NULL, 300, NULL); /* so that the call ends before its answer */
        return VF_TEST_SOAP_FAULT "NoPermission";
    }
    if (strcmp(c->method, "CreateSnapshot_Task") == 0) {
        return VF_TEST_SOAP_FAULT "NoPermission";
    }
    if (f->cut && strcmp(c->method, "RetrievePropertiesEx") == 0) {
        return VF_TEST_SOAP_FAULT "NoPermission";
    }
    if (strcmp(c->method, "RetrievePropertiesEx") == 0 && strstr(c->body, ">lease-1<")) {
        free(f->lease);
        f->lease = vf_xasprintf(
            OBJECT("HttpNfcLease", "lease-1",
                   PROP("state", "ready")
                       PROP("info", "<deviceUrl><key>/vm-1/VirtualLsiLogicController0:0</key>"
                                    "<url>%s</url><sslThumbprint>%s</sslThumbprint>"
                                    "<disk>true</disk></deviceUrl>"
                                    "<leaseTimeout>300</leaseTimeout>")),
            f->url, f->thumbprint ? f->thumbprint : "");
        return f->lease;
    }
    if (strcmp(c->method, "RetrievePropertiesEx") == 0) {
        return strstr(c->body, ">dc-2<")
                   ? OBJECT("Datacenter", "dc-2", PROP("name", "DC0") PARENT("Folder", "group-d1"))
                   : OBJECT("VirtualMachine", "vm-1",
                            PROP("name", "web") PARENT("Datacenter", "dc-2"));
    }
    return NULL;
}

static void serve_disk(struct vf_test_exchange *x, void *opaque)
{
    const struct fixture *f = opaque;
    if (f->stalls) {
        vf_test_printf(x, "HTTP/1.1 200 OK\r\nContent-Length: 9999999\r\n\r\nKDMV and so on");
        vf_test_hang(x);
        return;
    }
    vf_test_answer(x, f->status, "", f->status == 200 ? "KDMV and so on" : "no");
}

static int set_up(void **state)
{
    struct fixture *f = vf_xcalloc(1, sizeof *f);
    f->status = 200;
    f->cancel = vf_cancel_new(NULL);
    f->soap = vf_test_soap_start(answer, f);
    f->vs = vf_test_soap_login(f->soap, f->cancel);
    f->disk = (struct vf_vm_disk){.datastore = vf_xstrdup("fast"),
                                  .file = vf_xstrdup("[fast] web/web.vmdk"),
                                  .capacity_bytes = 4096};
    f->vm = (struct vf_vm){.name = vf_xstrdup("web"),
                           .moref = vf_xstrdup("vm-1"),
                           .host_moref = vf_xstrdup("host-1"),
                           .power = VF_POWER_OFF,
                           .disks = &f->disk,
                           .n_disks = 1};
    f->host = (struct vf_host){
        .moref = vf_xstrdup("host-1"), .name = vf_xstrdup("esx.invalid"), .connected = true};
    f->source = (struct vf_source_facts){.known = true, .hosts = &f->host, .n_hosts = 1};
    f->check = (struct vf_check_options){.import = &f->import, .probe = VF_PROBE_LIGHT};
    *state = f;
    return 0;
}

static int tear_down(void **state)
{
    struct fixture *f = *state;
    vf_path_facts_release(&f->facts);
    vf_vsphere_free(f->vs);
    vf_test_soap_stop(f->soap);
    if (f->esx) {
        vf_test_server_stop(f->esx);
    }
    vf_cancel_free(f->cancel);
    char *owned[] = {f->lease,      f->disk.datastore, f->disk.file,
                     f->vm.name,    f->vm.moref,       f->vm.host_moref,
                     f->host.moref, f->host.name,      f->host.thumbprint};
    for (size_t i = 0; i < sizeof owned / sizeof owned[0]; i++) {
        free(owned[i]);
    }
    free(f);
    return 0;
}

static int probe(struct fixture *f)
{
    vf_path_facts_release(&f->facts);
    return vf_path_facts_fetch(f->vs, &f->check, &f->source, &f->vm, 1, f->reporter, f->cancel,
                               &f->facts, NULL);
}

/* The one result that there is. */
static const struct vf_probe_result *only(struct fixture *f, enum vf_transport_kind transport,
                                          enum vf_probe_failure failure, const char *says)
{
    assert_int_equal(probe(f), 0);
    assert_int_equal(f->facts.n_results, 1);
    const struct vf_probe_result *r = &f->facts.results[0];
    assert_int_equal(r->transport, transport);
    if (r->failure != failure) {
        fail_msg("failure %d: %s", (int)r->failure, r->reason ? r->reason : "none");
    }
    if (says && !strstr(r->reason, says)) {
        fail_msg("no \"%s\" in \"%s\"", says, r->reason);
    }
    return r;
}

/* Nothing is left: each lease was ended, each session logged out. */
static void expect_nothing_left(struct fixture *f)
{
    assert_int_equal(vf_test_soap_count(f->soap, "ExportVm"),
                     vf_test_soap_count(f->soap, "HttpNfcLeaseAbort"));
    assert_int_equal(vf_test_soap_count(f->soap, "Login"), 2);
    assert_int_equal(vf_test_soap_count(f->soap, "Logout"), 1);
}

static void start_esx(struct fixture *f, enum vf_test_server_kind kind, char url[64])
{
    f->esx = vf_test_server_start(kind, serve_disk, f);
    snprintf(url, 64, "https://127.0.0.1:%u/nfc/ticket/disk.vmdk", vf_test_server_port(f->esx));
    f->url = url;
}

/* --- exports ----------------------------------------------------------------------------- */

static void test_probe_nfc__of_a_host_that_answers_is_good(void **state)
{
    struct fixture *f = *state;
    char url[64];
    start_esx(f, VF_TEST_TLS, url);
    f->thumbprint = vf_test_server_sha1(f->esx);
    const struct vf_probe_result *r = only(f, VF_TRANSPORT_NFC, VF_PROBE_GOOD, NULL);
    assert_string_equal(r->vm, "web");
    assert_string_equal(r->host_moref, "host-1");
    assert_memory_equal(r->object, "127.0.0.1:", 10);
    assert_null(strstr(r->object, "ticket"));
    assert_false(r->guessed);
    expect_nothing_left(f);
}

static void test_probe_nfc__of_another_certificate_is_told_as_such(void **state)
{
    struct fixture *f = *state;
    char url[64];
    start_esx(f, VF_TEST_TLS, url);
    f->thumbprint = "00:11:22:33:44:55:66:77:88:99:AA:BB:CC:DD:EE:FF:00:11:22:33";
    const struct vf_probe_result *r = only(f, VF_TRANSPORT_NFC, VF_PROBE_CERTIFICATE, "thumbprint");
    assert_null(r->hint); /* of --thumbprint, which is vCenter's */
    expect_nothing_left(f);
}

static void test_probe_nfc__that_the_host_refuses_is_refused(void **state)
{
    struct fixture *f = *state;
    char url[64];
    start_esx(f, VF_TEST_TLS, url);
    f->thumbprint = vf_test_server_sha1(f->esx);
    f->status = 403;
    const struct vf_probe_result *r = only(f, VF_TRANSPORT_NFC, VF_PROBE_REFUSED, "403");
    assert_null(strstr(r->reason, "ticket"));
    expect_nothing_left(f);
}

static void test_probe_nfc__that_is_empty_is_refused(void **state)
{
    struct fixture *f = *state;
    char url[64];
    start_esx(f, VF_TEST_TLS, url);
    f->thumbprint = vf_test_server_sha1(f->esx);
    f->status = 204;
    only(f, VF_TRANSPORT_NFC, VF_PROBE_REFUSED, NULL);
    expect_nothing_left(f);
}

static void test_probe_nfc__of_a_closed_port_is_told_as_such(void **state)
{
    struct fixture *f = *state;
    char url[64];
    start_esx(f, VF_TEST_TLS, url);
    vf_test_server_stop(f->esx);
    f->esx = NULL;
    only(f, VF_TRANSPORT_NFC, VF_PROBE_PORT, "cannot connect");
    expect_nothing_left(f);
}

static void test_probe_nfc__of_an_unknown_name_is_told_as_such(void **state)
{
    struct fixture *f = *state;
    f->url = "https://no-such-host.invalid/nfc/ticket/disk.vmdk";
    const struct vf_probe_result *r = only(f, VF_TRANSPORT_NFC, VF_PROBE_NAME, "not known");
    assert_string_equal(r->object, "no-such-host.invalid:443");
    assert_null(r->hint);
    expect_nothing_left(f);
}

static void test_probe_nfc__of_a_host_without_tls_is_a_port(void **state)
{
    struct fixture *f = *state;
    char url[64];
    start_esx(f, VF_TEST_GIBBERISH, url);
    only(f, VF_TRANSPORT_NFC, VF_PROBE_PORT, "TLS");
    expect_nothing_left(f);
}

static void test_probe_nfc__that_vsphere_refuses_says_why(void **state)
{
    struct fixture *f = *state;
    f->refusal = VF_TEST_SOAP_FAULT "NoPermission";
    f->host.connected = false; /* else its name is tried, too */
    only(f, VF_TRANSPORT_NFC, VF_PROBE_REFUSED, "NoPermission");
    assert_int_equal(vf_test_soap_count(f->soap, "HttpNfcLeaseAbort"), 0);
}

static void test_probe_nfc__of_a_busy_vm_is_not_tried(void **state)
{
    struct fixture *f = *state;
    f->refusal = VF_TEST_SOAP_FAULT "TaskInProgress";
    f->host.connected = false;
    only(f, VF_TRANSPORT_NFC, VF_PROBE_NOT_TRIED, "busy");
}

/* --- time -------------------------------------------------------------------------------- */

static void test_probes__end_with_their_time_though_nothing_answers(void **state)
{
    struct fixture *f = *state;
    char url[64];
    start_esx(f, VF_TEST_SILENT, url);
    f->check.probe_timeout_ms = 500;
    int64_t start_ms = vf_clock_ms();
    only(f, VF_TRANSPORT_NFC, VF_PROBE_NOT_TRIED, "did not come to an end");
    assert_true(vf_clock_ms() - start_ms >= 500);
    assert_true(vf_clock_ms() - start_ms < 20000);
    expect_nothing_left(f);
}

static void test_probes__end_with_their_time_though_a_lease_is_never_ready(void **state)
{
    struct fixture *f = *state;
    f->never_ready = true;
    f->host.connected = false;
    f->check.probe_timeout_ms = 500;
    int64_t start_ms = vf_clock_ms();
    only(f, VF_TRANSPORT_NFC, VF_PROBE_NOT_TRIED, "did not come to an end");
    assert_true(vf_clock_ms() - start_ms < 20000);
    expect_nothing_left(f);
}

static void test_probe_nfc__of_which_some_came_is_good_without_a_rate(void **state)
{
    struct fixture *f = *state;
    char url[64];
    start_esx(f, VF_TEST_TLS, url);
    f->thumbprint = vf_test_server_sha1(f->esx);
    f->stalls = true;
    f->check.probe_timeout_ms = 1500;
    const struct vf_probe_result *r = only(f, VF_TRANSPORT_NFC, VF_PROBE_GOOD, NULL);
    assert_true(r->bytes_per_s == 0);
    expect_nothing_left(f);
}

static void test_probes__that_are_cancelled_are_cancelled(void **state)
{
    struct fixture *f = *state;
    vf_cancel_trigger(f->cancel);
    assert_int_equal(probe(f), VF_CANCELLED);
    assert_int_equal(f->facts.n_results, 0);
}

static void test_probes__none_ask_nothing(void **state)
{
    struct fixture *f = *state;
    f->check.probe = VF_PROBE_NONE;
    assert_int_equal(probe(f), 0);
    assert_int_equal(f->facts.n_results, 0);
    assert_int_equal(vf_test_soap_count(f->soap, "Login"), 1);
}

/* --- hosts by their names ---------------------------------------------------------------- */

static void test_probe_host__of_a_running_vm_is_by_its_name(void **state)
{
    struct fixture *f = *state;
    f->vm.power = VF_POWER_ON;
    const struct vf_probe_result *r = only(f, VF_TRANSPORT_AUTO, VF_PROBE_NAME, "not known");
    assert_true(r->guessed);
    assert_string_equal(r->object, "esx.invalid:443");
    assert_int_equal(vf_test_soap_count(f->soap, "ExportVm"), 0);
    assert_int_equal(vf_test_soap_count(f->soap, "Login"), 1); /* no session for that */
}

static void test_probe_host__of_a_name_that_is_none_is_not_tried(void **state)
{
    static const char *const bad[] = {"esx1/../x", "esx1?a", "u@esx1", "", "esx 1", "esx1#"};
    struct fixture *f = *state;
    f->vm.power = VF_POWER_ON;
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        vf_replace_string(&f->host.name, bad[i]);
        only(f, VF_TRANSPORT_AUTO, VF_PROBE_NOT_TRIED, "none of a host");
    }
}

static void test_probe_host__that_vcenter_lost_is_not_tried(void **state)
{
    struct fixture *f = *state;
    f->vm.power = VF_POWER_ON;
    f->host.connected = false;
    assert_int_equal(probe(f), 0);
    assert_int_equal(f->facts.n_results, 0);
}

/* A proxy that knows "esx.invalid", which nobody here does. */
struct tunnel {
    unsigned esx_port; /* 0: it refuses the host */
    atomic_uint n_esx;
};

static void pass_on(struct vf_test_exchange *x, void *opaque)
{
    struct tunnel *t = opaque;
    const char *colon = strrchr(x->target, ':');
    bool is_esx = strncmp(x->target, "esx.invalid:443", 15) == 0;
    unsigned port = is_esx ? t->esx_port : (unsigned)strtoul(colon + 1, NULL, 10);
    t->n_esx += is_esx;
    if (port) {
        vf_test_printf(x, "HTTP/1.1 200 Connected\r\n\r\n");
        vf_test_tunnel(x, port);
    } else {
        vf_test_answer(x, 502, "", "");
    }
}

/* All goes by that proxy; vCenter tells that thumbprint of the host (NULL: none). */
static void expect_by_proxy(struct fixture *f, bool is_there, const char *thumbprint,
                            enum vf_probe_failure failure, const char *says)
{
    char url[64];
    start_esx(f, VF_TEST_TLS, url);
    struct tunnel t = {.esx_port = is_there ? vf_test_server_port(f->esx) : 0};
    struct vf_test_server *proxy = vf_test_server_start(VF_TEST_PLAIN, pass_on, &t);
    char *vf_autofree proxy_url = vf_xasprintf("http://127.0.0.1:%u", vf_test_server_port(proxy));
    struct vf_vsphere_options o = vf_test_soap_options(f->soap);
    o.http.proxy = proxy_url;
    unsetenv("no_proxy");
    unsetenv("NO_PROXY");
    vf_vsphere_free(f->vs);
    f->vs = NULL;
    assert_int_equal(vf_vsphere_login(&o, f->cancel, &f->vs, NULL), 0);
    vf_secret_free((struct vf_secret *)(uintptr_t)o.password);
    f->vm.power = VF_POWER_ON;
    f->host.thumbprint = vf_xstrdup(thumbprint);
    if (thumbprint && strcmp(thumbprint, "its own") == 0) {
        vf_replace_string(&f->host.thumbprint, vf_test_server_sha1(f->esx));
    }
    only(f, VF_TRANSPORT_AUTO, failure, says);
    assert_true(t.n_esx > 0);
    vf_vsphere_free(f->vs);
    f->vs = NULL;
    vf_test_server_stop(proxy);
}

static void test_probe_host__goes_by_the_proxy_which_knows_more_names(void **state)
{
    expect_by_proxy(*state, true, "its own", VF_PROBE_GOOD, NULL);
}

/* Of a host whose certificate vCenter does not tell, nothing is known that it could break. */
static void test_probe_host__without_a_thumbprint_need_only_answer(void **state)
{
    expect_by_proxy(*state, true, NULL, VF_PROBE_GOOD, NULL);
}

static void test_probe_host__with_another_certificate_is_told_as_such(void **state)
{
    expect_by_proxy(*state, true, "00:11:22:33:44:55:66:77:88:99:AA:BB:CC:DD:EE:FF:00:11:22:33",
                    VF_PROBE_CERTIFICATE, "thumbprint");
}

static void test_probe_host__that_the_proxy_does_not_reach_is_a_port(void **state)
{
    struct fixture *f = *state;
    expect_by_proxy(f, false, NULL, VF_PROBE_PORT, "the proxy refused");
    assert_non_null(strstr(f->facts.results[0].hint, "proxy"));
}

/* --- files of datastores ----------------------------------------------------------------- */

static void browse(struct vf_test_exchange *x, void *opaque)
{
    const struct fixture *f = opaque;
    vf_test_answer(x, f->status, "", "The file is locked");
}

static void expect_https(struct fixture *f, int status, const char *says)
{
    f->check.warm = true;
    f->check.transport.kind = VF_TRANSPORT_HTTPS;
    f->status = status;
    vf_test_soap_set_rest(f->soap, browse);
    const struct vf_probe_result *r = only(f, VF_TRANSPORT_HTTPS, VF_PROBE_REFUSED, says);
    assert_string_equal(r->datastore, "fast");
}

static void test_probe_https__that_is_locked_is_refused(void **state)
{
    expect_https(*state, 500, "does not let the VM's disk be read: it is locked (500)");
}

static void test_probe_https__that_is_forbidden_is_refused(void **state)
{
    expect_https(*state, 403, "disk be read (403)");
}

static void test_probe_https__without_a_plain_file_is_not_tried(void **state)
{
    struct fixture *f = *state;
    f->check.warm = true;
    f->check.transport.kind = VF_TRANSPORT_HTTPS;
    f->disk.delta = true;
    only(f, VF_TRANSPORT_HTTPS, VF_PROBE_NOT_TRIED, "plain file");
}

/* --- snapshots --------------------------------------------------------------------------- */

static void test_probe_snapshot__that_is_cut_short_says_what_may_have_stayed(void **state)
{
    struct fixture *f = *state;
    struct vf_test_events events;
    vf_test_events_init(&events);
    f->reporter = &events.reporter;
    f->vm.power = VF_POWER_ON;
    f->check.probe = VF_PROBE_FULL;
    f->cut_short = true;
    assert_int_equal(probe(f), VF_CANCELLED);
    vf_test_events_expect(&events, "warning web: the probe's snapshot was cut short: a snapshot "
                                   "\"vmferry-import-");
    vf_test_events_expect(&events, "may have stayed at the VM: remove it");
    vf_test_events_release(&events);
}

/* A second VM, on the same host, which runs, where the first is off. */
static void expect_of_a_neighbour(struct fixture *f, struct vf_vm neighbour, unsigned n_snapshots,
                                  enum vf_probe_failure failure, const char *says)
{
    const struct vf_vm vms[] = {f->vm, neighbour};
    bool found = false;
    f->check.probe = VF_PROBE_FULL;
    f->refusal = VF_TEST_SOAP_FAULT "NoPermission";
    f->host.connected = false;
    assert_int_equal(
        vf_path_facts_fetch(f->vs, &f->check, &f->source, vms, 2, NULL, f->cancel, &f->facts, NULL),
        0);
    assert_int_equal(vf_test_soap_count(f->soap, "ExportVm"), 1);
    assert_int_equal(vf_test_soap_count(f->soap, "CreateSnapshot_Task"), n_snapshots);
    for (size_t i = 0; i < f->facts.n_results; i++) {
        const struct vf_probe_result *r = &f->facts.results[i];
        found |= r->running && r->failure == failure && strstr(r->reason, says);
    }
    assert_true(found);
}

static void test_probe_snapshot__is_taken_though_another_vm_is_off(void **state)
{
    struct fixture *f = *state;
    struct vf_vm neighbour = f->vm;
    neighbour.power = VF_POWER_ON;
    expect_of_a_neighbour(f, neighbour, 1, VF_PROBE_REFUSED, "NoPermission");
}

static void test_probe_snapshot__of_no_vm_that_is_fit_is_not_tried(void **state)
{
    struct fixture *f = *state;
    struct vf_vm neighbour = f->vm;
    neighbour.power = VF_POWER_ON;
    neighbour.connection = VF_CONNECTION_INACCESSIBLE;
    expect_of_a_neighbour(f, neighbour, 0, VF_PROBE_NOT_TRIED, "none has disks");
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_probe_nfc__of_a_host_that_answers_is_good),
        TEST(test_probe_nfc__of_another_certificate_is_told_as_such),
        TEST(test_probe_nfc__that_the_host_refuses_is_refused),
        TEST(test_probe_nfc__that_is_empty_is_refused),
        TEST(test_probe_nfc__of_a_closed_port_is_told_as_such),
        TEST(test_probe_nfc__of_an_unknown_name_is_told_as_such),
        TEST(test_probe_nfc__of_a_host_without_tls_is_a_port),
        TEST(test_probe_nfc__that_vsphere_refuses_says_why),
        TEST(test_probe_nfc__of_a_busy_vm_is_not_tried),
        TEST(test_probes__end_with_their_time_though_nothing_answers),
        TEST(test_probes__end_with_their_time_though_a_lease_is_never_ready),
        TEST(test_probe_nfc__of_which_some_came_is_good_without_a_rate),
        TEST(test_probes__that_are_cancelled_are_cancelled),
        TEST(test_probes__none_ask_nothing),
        TEST(test_probe_host__of_a_running_vm_is_by_its_name),
        TEST(test_probe_host__of_a_name_that_is_none_is_not_tried),
        TEST(test_probe_host__that_vcenter_lost_is_not_tried),
        TEST(test_probe_host__goes_by_the_proxy_which_knows_more_names),
        TEST(test_probe_host__without_a_thumbprint_need_only_answer),
        TEST(test_probe_host__with_another_certificate_is_told_as_such),
        TEST(test_probe_host__that_the_proxy_does_not_reach_is_a_port),
        TEST(test_probe_https__that_is_locked_is_refused),
        TEST(test_probe_https__that_is_forbidden_is_refused),
        TEST(test_probe_https__without_a_plain_file_is_not_tried),
        TEST(test_probe_snapshot__is_taken_though_another_vm_is_off),
        TEST(test_probe_snapshot__of_no_vm_that_is_fit_is_not_tried),
        TEST(test_probe_snapshot__that_is_cut_short_says_what_may_have_stayed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
