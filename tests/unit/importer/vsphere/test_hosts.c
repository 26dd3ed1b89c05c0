#include "importer/vsphere/hosts.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

#include "importer/base/mem.h"
#include "tests/support/disk_check.h"
#include "tests/support/soap_server.h"

#define PROP(name, val) "<propSet><name>" name "</name><val>" val "</val></propSet>"
#define OBJECT(type, moref, props)                                                                 \
    "<objects><obj type=\"" type "\">" moref "</obj>" props "</objects>"
#define HOST_1 PROP("name", "esx%2fb") PROP("parent", "domain-c7")
#define HOST_2 PROP("name", "esx-a") PROP("parent", "domain-s8")

static const char page_1[] = "<returnval><token>1</token>" OBJECT(
    "HostSystem", "host-9",
    HOST_1 PROP("runtime.connectionState", "notResponding")
        PROP("runtime.inMaintenanceMode", "true") PROP("summary.hardware", "<cpuMhz>2294</cpuMhz>")
            PROP("summary.config.product.version", "8.0.2")
                PROP("summary.config.sslThumbprint", "AA:BB")
                    PROP("config.dateTimeInfo.timeZone", "<key>Europe/Zurich</key>"))
    OBJECT("HostSystem", "host-10", HOST_2) "</returnval>";
static const char page_2[] = "<returnval>" OBJECT(
    "ClusterComputeResource", "domain-c7",
    PROP("name", "C0")
        PROP("configurationEx", "<dasConfig><enabled>true</enabled></dasConfig>"
                                "<drsConfig><enabled>true</enabled></drsConfig>"
                                "<dpmConfigInfo><enabled>false</enabled></dpmConfigInfo>")
            PROP("summary", "<currentEVCModeKey>intel-skylake</currentEVCModeKey>")) "</returnval>";

struct fixture {
    struct vf_test_soap *server;
    struct vf_vsphere *vs;
    const char *time;
};

static const char *answer(const struct vf_test_soap_call *c, void *opaque)
{
    struct fixture *f = opaque;
    if (strcmp(c->method, "CreateContainerView") == 0) {
        return "<returnval type=\"ContainerView\">view-1</returnval>";
    }
    if (strcmp(c->method, "CurrentTime") == 0 && f->time) {
        return f->time;
    }
    return strcmp(c->method, "RetrievePropertiesEx") == 0           ? page_1
           : strcmp(c->method, "ContinueRetrievePropertiesEx") == 0 ? page_2
                                                                    : NULL;
}

static int set_up(void **state)
{
    struct fixture *f = vf_xcalloc(1, sizeof *f);
    f->server = vf_test_soap_start(answer, f);
    f->vs = vf_test_soap_login(f->server, NULL);
    *state = f;
    return 0;
}

static int tear_down(void **state)
{
    struct fixture *f = *state;
    vf_vsphere_free(f->vs);
    vf_test_soap_stop(f->server);
    free(f);
    return 0;
}

static void test_hosts__of_two_pages_have_their_clusters_facts(void **state)
{
    struct fixture *f = *state;
    struct vf_host *hosts = NULL;
    size_t n = 0;
    assert_int_equal(vf_vsphere_fetch_hosts(f->vs, &hosts, &n, NULL), 0);
    assert_int_equal(n, 2);
    const struct vf_host *h = vf_host_find(hosts, n, "host-9");
    assert_ptr_equal(h, &hosts[1]); /* sorted by name */
    assert_string_equal(h->name, "esx/b");
    assert_string_equal(h->cluster, "C0");
    assert_string_equal(h->version, "8.0.2");
    assert_string_equal(h->timezone, "Europe/Zurich");
    assert_string_equal(h->thumbprint, "AA:BB");
    assert_string_equal(h->evc_mode, "intel-skylake");
    assert_int_equal(h->cpu_mhz, 2294);
    assert_false(h->connected);
    assert_true(h->maintenance && h->drs && h->ha && !h->dpm);
    vf_hosts_free(hosts, n);
}

static void test_hosts__that_may_not_be_read_are_taken_to_be_well(void **state)
{
    struct fixture *f = *state;
    struct vf_host *hosts = NULL;
    size_t n = 0;
    assert_int_equal(vf_vsphere_fetch_hosts(f->vs, &hosts, &n, NULL), 0);
    const struct vf_host *h = vf_host_find(hosts, n, "host-10");
    assert_true(h->connected && !h->maintenance && !h->drs);
    assert_null(h->cluster);
    assert_null(h->version);
    assert_null(vf_host_find(hosts, n, "host-11"));
    assert_null(vf_host_find(hosts, n, NULL));
    vf_hosts_free(hosts, n);
}

/* The server is so far ahead, and tells it in a zone so many hours east of Greenwich. */
static void expect_skew(struct fixture *f, int64_t ahead_s, int east_h, const char *end)
{
    int64_t ms = 0;
    char text[40];
    time_t t = time(NULL) + (time_t)ahead_s + (time_t)east_h * 3600;
    struct tm tm;
    gmtime_r(&t, &tm);
    strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%S", &tm);
    char *vf_autofree whole = vf_xasprintf("<returnval>%s%s</returnval>", text, end);
    f->time = whole;
    assert_int_equal(vf_vsphere_fetch_clock_skew(f->vs, &ms, NULL), 0);
    /* The text has no more than seconds, and this machine may be slow. */
    assert_in_range(ms - ahead_s * 1000 + 30000, 0, 60000);
    f->time = NULL;
}

static void test_clock__of_the_server_is_compared_in_any_zone(void **state)
{
    struct fixture *f = *state;
    expect_skew(f, 0, 0, "Z");
    expect_skew(f, 3600, 0, ".123456Z");
    expect_skew(f, -600, 2, ".5+02:00");
    expect_skew(f, 600, -5, "-05:00");
    expect_skew(f, 0, 0, "");
}

static void test_clock__that_is_none_is_invalid(void **state)
{
    static const char *const bad[] = {"<returnval>soon</returnval>", "",
                                      "<returnval>2026-11-21T14:18:25+2</returnval>",
                                      "<returnval>2026-11-21T14:18:25Zzz</returnval>",
                                      "<returnval>2026-11-21T14:18:25+02:00x</returnval>"};
    struct fixture *f = *state;
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        struct vf_error *err = NULL;
        int64_t ms = 0;
        f->time = bad[i];
        int rc = vf_vsphere_fetch_clock_skew(f->vs, &ms, &err);
        check_error(rc, &err, VF_INVALID, "no time");
    }
}

static void test_licence__of_vcenter_is_not_asked_for(void **state)
{
    struct fixture *f = *state;
    bool is_free = true;
    unsigned before = vf_test_soap_count(f->server, "RetrievePropertiesEx");
    assert_int_equal(vf_vsphere_fetch_free_licence(f->vs, &is_free, NULL), 0);
    assert_false(is_free);
    assert_int_equal(vf_test_soap_count(f->server, "RetrievePropertiesEx"), before);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_hosts__of_two_pages_have_their_clusters_facts, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(test_hosts__that_may_not_be_read_are_taken_to_be_well,
                                        set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_clock__of_the_server_is_compared_in_any_zone, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(test_clock__that_is_none_is_invalid, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_licence__of_vcenter_is_not_asked_for, set_up,
                                        tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
