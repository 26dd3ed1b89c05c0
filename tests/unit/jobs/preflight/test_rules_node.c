#include "jobs/preflight/rule.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "importer/base/mem.h"
#include "tests/support/check_cluster.h"

#define GIB ((uint64_t)1 << 30)

static void fine(struct check_world *w)
{
    check_cluster_init(w);
}

static void no_node(struct check_world *w)
{
    check_cluster_init(w);
    w->facts.target.nodes[0].schedulable = false;
}

static void hidden_nodes(struct check_world *w)
{
    no_node(w);
    w->facts.target.nodes_known = false;
}

static void little_memory(struct check_world *w)
{
    check_cluster_init(w);
    w->facts.target.nodes[0].memory_bytes = 4 * GIB;
}

static void little_cpu(struct check_world *w)
{
    check_cluster_init(w);
    w->facts.target.nodes[0].cpu_millis = 199;
}

static void just_enough(struct check_world *w)
{
    check_cluster_init(w);
    w->facts.target.nodes[0].memory_bytes = 5 * GIB;
    w->facts.target.nodes[0].cpu_millis = 200;
}

static void dedicated(struct check_world *w)
{
    check_cluster_init(w);
    w->mapping.dedicated_cpus = true;
}

static void dedicated_on_few(struct check_world *w)
{
    dedicated(w);
    w->facts.target.nodes[0].cpu_millis = 1999;
}

static void dedicated_on_manager(struct check_world *w)
{
    dedicated(w);
    w->facts.target.nodes[0].cpu_manager = true;
}

static void hugepages(struct check_world *w)
{
    check_cluster_init(w);
    w->mapping.hugepages = vf_xstrdup("1Gi");
    w->facts.target.nodes[0].hugepages_2m_bytes = 64 * GIB;
    w->facts.target.nodes[0].hugepages_1g_bytes = 3 * GIB;
}

static void enough_hugepages(struct check_world *w)
{
    hugepages(w);
    w->facts.target.nodes[0].hugepages_1g_bytes = 4 * GIB;
}

#define STARTED(name)                                                                              \
    static void name##_started(struct check_world *w)                                              \
    {                                                                                              \
        name(w);                                                                                   \
        w->import.cluster.start = true;                                                            \
    }

STARTED(no_node)
STARTED(little_memory)
STARTED(little_cpu)
STARTED(dedicated)
STARTED(dedicated_on_few)
STARTED(hugepages)

static const struct check_case cases[] = {
    {"node.none", VF_CRITICAL, "none of the 1 node", no_node_started, hidden_nodes},
    {"node.none", VF_WARNING, "none of the 1 node", no_node, hidden_nodes},
    {"node.too-small", VF_CRITICAL, "4.2 GiB", little_memory_started, just_enough},
    {"node.too-small", VF_WARNING, "4.2 GiB", little_memory, just_enough},
    {"node.too-small", VF_CRITICAL, "0.200 CPUs", little_cpu_started, no_node},
    {"node.too-small", VF_WARNING, "0.200 CPUs", little_cpu, no_node},
    {"node.too-small", VF_CRITICAL, "2.000 CPUs", dedicated_on_few_started, dedicated},
    {"node.too-small", VF_WARNING, "2.000 CPUs", dedicated_on_few, dedicated},
    {"node.dedicated-cpus", VF_CRITICAL, "cpumanager", dedicated_started, dedicated_on_manager},
    {"node.dedicated-cpus", VF_WARNING, "cpumanager", dedicated, dedicated_on_manager},
    {"node.hugepages", VF_CRITICAL, "hugepages of 1Gi", hugepages_started, enough_hugepages},
    {"node.hugepages", VF_WARNING, "hugepages of 1Gi", hugepages, enough_hugepages},
    {"node.hugepages", VF_CRITICAL, "4.0 GiB", hugepages_started, fine},
    {"node.hugepages", VF_WARNING, "4.0 GiB", hugepages, fine},
};

static void no_nesting(struct check_world *w)
{
    w->facts.target.nodes[0].vmx = false;
}

static void amd(struct check_world *w)
{
    no_nesting(w);
    w->facts.target.nodes[0].svm = true;
}

static void little_now(struct check_world *w)
{
    w->facts.target.nodes[0].memory_bytes = 4 * GIB;
}

#define REQUEST(text) "{\"domain\":{\"resources\":{\"requests\":{" text "}}}}"
#define FEATURE(text) "{\"domain\":{\"cpu\":{\"features\":[{" text "}]}}}"

static const struct check_manifest_case manifests[] = {
    {"node.too-small", VF_WARNING, "4.2 GiB", "{}", REQUEST("\"memory\":\"1Gi\""), little_now,
     little_now},
    {"node.too-small", VF_WARNING, "17.000 CPUs", REQUEST("\"cpu\":\"17\""),
     REQUEST("\"cpu\":\"16\""), NULL, NULL},
    {"node.nested", VF_WARNING, "VMs of its own",
     FEATURE("\"name\":\"vmx\",\"policy\":\"optional\""), NULL, no_nesting, amd},
    {"node.nested", VF_CRITICAL, "requires", FEATURE("\"name\":\"svm\",\"policy\":\"require\""),
     FEATURE("\"name\":\"avx\",\"policy\":\"require\""), no_nesting, no_nesting},
};

static void test_rules_node__manifests_are_judged(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof manifests / sizeof *manifests; i++) {
        check_cluster_run_case(&manifests[i]);
    }
}

static void test_rules_node__each_trips_where_it_is_so_and_only_there(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        check_world_run_case(&cases[i]);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_rules_node__each_trips_where_it_is_so_and_only_there),
        cmocka_unit_test(test_rules_node__manifests_are_judged),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
