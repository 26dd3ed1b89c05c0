#include "importer/vsphere/places.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "importer/base/mem.h"
#include "importer/base/xml.h"

static void add(struct vf_places *p, const char *moref, const char *props)
{
    char xml[1024];
    xmlDoc *doc = NULL;
    snprintf(xml, sizeof xml, "<objects xmlns=\"urn:vim25\">%s</objects>", props);
    assert_int_equal(vf_xml_parse(xml, strlen(xml), "test", &doc, NULL), 0);
    const struct vf_ref ref = {(char *)(uintptr_t) "x", (char *)(uintptr_t)moref};
    vf_places_add(p, &ref, xmlDocGetRootElement(doc));
    xmlFreeDoc(doc);
}

#define P(name, val) "<propSet><name>" name "</name><val>" val "</val></propSet>"

static void fill(struct vf_places *p)
{
    vf_places_init(p, "group-d1");
    add(p, "group-v9", P("name", "web%2fdb 5%25") P("parent", "group-v3"));
    add(p, "group-v3", P("name", "vm") P("parent", "datacenter-2"));
    add(p, "datacenter-2", P("name", "DC0") P("parent", "group-d1"));
    add(p, "group-d1", P("name", "Datacenters"));
    add(p, "host-1",
        P("name", "esx1.example") P("parent", "domain-c8") P("summary.hardware.cpuMhz", "2294"));
    add(p, "host-2",
        P("name", "esx2.example") P("parent", "domain-s9")
            P("summary.hardware.cpuMhz", "99999999999"));
    add(p, "domain-c8", P("name", "Gold 50%25"));
    add(p, "resgroup-v5",
        P("name", "shop") P("parent", "resgroup-8") P("parentFolder", "group-v3"));
    add(p, "network-7", P("name", "VM Network"));
    add(p, "dvportgroup-9", P("name", "prod%2f10") P("key", "dvportgroup-old"));
    add(p, "network-o1", P("name", "nsx") P("summary", "<opaqueNetworkId>ls-1</opaqueNetworkId>"));
    add(p, "loop-1", P("name", "a") P("parent", "loop-2"));
    add(p, "loop-2", P("name", "b") P("parent", "loop-1"));
}

static char *folder(struct vf_places *p, const char *parent, const char *vapp)
{
    struct vf_vm_draft d;
    vf_vm_draft_init(&d);
    d.parent = vf_xstrdup(parent);
    d.parent_vapp = vf_xstrdup(vapp);
    vf_places_resolve(p, &d);
    char *path = vf_take(d.vm.folder);
    vf_vm_draft_release(&d);
    return path;
}

static void test_places__path_from_the_parents(void **state)
{
    (void)state;
    struct vf_places p;
    fill(&p);
    char *path = folder(&p, "group-v9", NULL);
    assert_string_equal(path, "/DC0/vm/web%2fdb 5%"); /* the root is in no path */
    free(path);
    path = folder(&p, NULL, "resgroup-v5");
    assert_string_equal(path, "/DC0/vm/shop");
    free(path);
    assert_null(folder(&p, "group-hidden", NULL));
    assert_null(folder(&p, NULL, NULL));
    vf_places_release(&p);
}

static void test_places__a_cycle_ends(void **state)
{
    (void)state;
    struct vf_places p;
    fill(&p);
    char *path = folder(&p, "loop-1", NULL);
    assert_non_null(path);
    assert_true(strlen(path) < 1000);
    free(path);
    vf_places_release(&p);
}

static char *network(struct vf_places *p, const char *net, const char *opaque, const char *device)
{
    struct vf_vm_draft d;
    vf_vm_draft_init(&d);
    d.vm.nics = vf_xcalloc(1, sizeof d.vm.nics[0]);
    d.vm.n_nics = 1;
    d.backings = vf_xcalloc(1, sizeof d.backings[0]);
    d.backings[0] =
        (struct vf_nic_backing){vf_xstrdup(net), vf_xstrdup(opaque), vf_xstrdup(device)};
    d.host = vf_xstrdup("host-1");
    vf_places_resolve(p, &d);
    assert_string_equal(d.vm.host, "esx1.example");
    char *name = vf_take(d.vm.nics[0].network);
    vf_vm_draft_release(&d);
    return name;
}

static void test_places__networks_of_all_kinds(void **state)
{
    (void)state;
    static const struct {
        const char *network, *opaque, *device, *name;
    } cases[] = {
        {"network-7", NULL, "old name", "VM Network"},
        {"dvportgroup-9", NULL, NULL, "prod/10"},
        {"dvportgroup-old", NULL, NULL, "prod/10"},
        {NULL, "ls-1", NULL, "nsx"},
        {"network-hidden", NULL, "VM Network 2", "VM Network 2"},
        {"dvportgroup-hidden", NULL, NULL, "dvportgroup-hidden"},
    };
    struct vf_places p;
    fill(&p);
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        char *name = network(&p, cases[i].network, cases[i].opaque, cases[i].device);
        assert_string_equal(name, cases[i].name);
        free(name);
    }
    assert_null(network(&p, NULL, NULL, NULL));
    vf_places_release(&p);
}

static bool is_same(const char *a, const char *b)
{
    return a && b ? strcmp(a, b) == 0 : a == b;
}

static void test_places__host_with_its_cluster(void **state)
{
    (void)state;
    static const struct {
        const char *moref, *host, *cluster;
        uint32_t mhz;
    } cases[] = {
        {"host-1", "esx1.example", "Gold 50%", 2294},
        {"host-2", "esx2.example", NULL, 0}, /* stands alone; no clock is that fast */
        {"host-hidden", NULL, NULL, 0},
    };
    struct vf_places p;
    fill(&p);
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct vf_vm_draft d;
        vf_vm_draft_init(&d);
        d.host = vf_xstrdup(cases[i].moref);
        vf_places_resolve(&p, &d);
        assert_string_equal(d.vm.host_moref, cases[i].moref);
        assert_true(is_same(d.vm.host, cases[i].host));
        assert_true(is_same(d.vm.cluster, cases[i].cluster));
        assert_int_equal(d.vm.host_cpu_mhz, cases[i].mhz);
        vf_vm_draft_release(&d);
    }
    vf_places_release(&p);
}

static void test_places__brief_sets_have_nothing_of_hosts_but_names(void **state)
{
    (void)state;
    struct vf_buf brief, full;
    vf_buf_init(&brief, SIZE_MAX);
    vf_buf_init(&full, SIZE_MAX);
    vf_places_put_sets(&brief, false);
    vf_places_put_sets(&full, true);
    assert_null(strstr(brief.data, "cpuMhz"));
    assert_null(strstr(brief.data, "ClusterComputeResource"));
    assert_non_null(strstr(full.data, "summary.hardware.cpuMhz"));
    assert_non_null(strstr(full.data, "ClusterComputeResource"));
    vf_buf_release(&brief);
    vf_buf_release(&full);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_places__path_from_the_parents),
        cmocka_unit_test(test_places__a_cycle_ends),
        cmocka_unit_test(test_places__host_with_its_cluster),
        cmocka_unit_test(test_places__brief_sets_have_nothing_of_hosts_but_names),
        cmocka_unit_test(test_places__networks_of_all_kinds),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
