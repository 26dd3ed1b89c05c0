/* Every verb against a real API server, whose words the client depends on. */
#include "importer/kube/client.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "importer/base/json.h"
#include "importer/base/mem.h"
#include "importer/kube/metadata.h"
#include "importer/kube/resources.h"
#include "importer/kube/watch.h"
#include "tests/support/kube_real.h"
#include "tests/support/kube_rig.h"

static struct vf_test_real real;

static struct vf_kube_ref map_ref(const char *name)
{
    return (struct vf_kube_ref){.resource = &vf_kube_config_maps, .ns = real.ns, .name = name};
}

static cJSON *make_map(const char *name, const char *value)
{
    return vf_test_tree(
        "{\"apiVersion\":\"v1\",\"kind\":\"ConfigMap\",\"metadata\":{\"name\":\"%s\","
        "\"labels\":{\"of\":\"test\"}},\"data\":{\"k\":\"%s\"}}",
        name, value);
}

static int create_map(const char *name, const char *value, const struct vf_kube_options *options,
                      cJSON **ret)
{
    const struct vf_kube_ref ref = map_ref(name);
    cJSON *map = make_map(name, value);
    int rc = vf_kube_create(real.client, &ref, map, options, ret, &real.err);
    cJSON_Delete(map);
    return rc;
}

static char *fetch_value(const char *name)
{
    const struct vf_kube_ref ref = map_ref(name);
    cJSON *map = NULL;
    vf_test_real_expect(&real, vf_kube_get(real.client, &ref, NULL, &map, &real.err), 0);
    char *value = vf_xstrdup(vf_json_string(vf_json_object(map, "data"), "k"));
    cJSON_Delete(map);
    return value;
}

static void test_create_get_delete(void **state)
{
    const struct vf_kube_ref ref = map_ref("one");
    cJSON *made = NULL;
    (void)state;
    vf_test_real_expect(&real, create_map("one", "1", NULL, &made), 0);
    assert_non_null(vf_kube_uid(made));
    char *vf_autofree value = fetch_value("one");
    assert_string_equal(value, "1");
    int rc = create_map("one", "2", NULL, NULL);
    assert_string_equal(vf_error_reason(real.err), VF_KUBE_REASON_ALREADY_EXISTS);
    vf_test_real_expect(&real, rc, VF_CONFLICT);

    const struct vf_kube_options other = {.uid = "00000000-0000-0000-0000-000000000000"};
    rc = vf_kube_delete(real.client, &ref, &other, &real.err);
    vf_test_real_expect(&real, rc, VF_CONFLICT);
    const struct vf_kube_options own = {.uid = vf_kube_uid(made), .propagation = "Background"};
    const struct vf_kube_options dry = {.uid = own.uid, .dry_run = true};
    vf_test_real_expect(&real, vf_kube_delete(real.client, &ref, &dry, &real.err), 0);
    vf_test_real_expect(&real, vf_kube_delete(real.client, &ref, &own, &real.err), 0);
    rc = vf_kube_get(real.client, &ref, NULL, NULL, &real.err);
    assert_string_equal(vf_error_reason(real.err), VF_KUBE_REASON_NOT_FOUND);
    vf_test_real_expect(&real, rc, VF_MISSING);
    vf_test_real_expect(&real, vf_kube_delete(real.client, &ref, NULL, &real.err), VF_MISSING);
    cJSON_Delete(made);
}

static void test_strict_validation_names_the_field(void **state)
{
    const struct vf_kube_ref ref = map_ref("strict");
    cJSON *map = make_map("strict", "1");
    (void)state;
    vf_json_add_string(map, "dta", "typo");
    int rc = vf_kube_create(real.client, &ref, map, NULL, NULL, &real.err);
    vf_test_expect_error(real.err, "unknown field \"dta\"");
    vf_test_real_expect(&real, rc, VF_INVALID);
    rc = vf_kube_apply(real.client, &ref, map, NULL, NULL, &real.err);
    vf_test_expect_error(real.err, "dta");
    vf_test_real_expect(&real, rc, VF_INVALID);
    cJSON_Delete(map);
    rc = create_map("Not_A_Name", "1", NULL, NULL);
    vf_test_expect_error(real.err, "metadata.name");
    vf_test_real_expect(&real, rc, VF_INVALID);
}

static void test_dry_run_keeps_nothing(void **state)
{
    static const struct vf_kube_options dry = {.dry_run = true};
    const struct vf_kube_ref ref = map_ref("dry");
    cJSON *made = NULL;
    (void)state;
    vf_test_real_expect(&real, create_map("dry", "1", &dry, &made), 0);
    assert_non_null(vf_kube_uid(made));
    cJSON_Delete(made);
    cJSON *map = make_map("dry", "1");
    vf_test_real_expect(&real, vf_kube_apply(real.client, &ref, map, &dry, NULL, &real.err), 0);
    cJSON_Delete(map);
    vf_test_real_expect(&real, vf_kube_get(real.client, &ref, NULL, NULL, &real.err), VF_MISSING);
}

static void test_apply_tells_whose_field_it_is(void **state)
{
    const struct vf_kube_ref ref = map_ref("applied");
    cJSON *map = make_map("applied", "1");
    cJSON *other = make_map("applied", "3");
    cJSON *first = NULL, *second = NULL;
    (void)state;
    vf_test_real_expect(&real, vf_kube_apply(real.client, &ref, map, NULL, &first, &real.err), 0);
    vf_test_real_expect(&real, vf_kube_apply(real.client, &ref, map, NULL, &second, &real.err), 0);
    assert_string_equal(vf_kube_uid(first), vf_kube_uid(second));
    /* An update is another manager's work, even under the same name. */
    cJSON *patch = vf_test_tree("{\"data\":{\"k\":\"2\"}}");
    vf_test_real_expect(&real, vf_kube_merge_patch(real.client, &ref, patch, NULL, NULL, &real.err),
                        0);
    int rc = vf_kube_apply(real.client, &ref, other, NULL, NULL, &real.err);
    vf_test_expect_error(real.err, ".data.k");
    assert_string_equal(vf_error_reason(real.err), VF_KUBE_REASON_CONFLICT);
    vf_test_real_expect(&real, rc, VF_CONFLICT);
    static const struct vf_kube_options force = {.force = true};
    vf_test_real_expect(&real, vf_kube_apply(real.client, &ref, other, &force, NULL, &real.err), 0);
    char *vf_autofree value = fetch_value("applied");
    assert_string_equal(value, "3");
    cJSON_Delete(patch);
    cJSON_Delete(first);
    cJSON_Delete(second);
    cJSON_Delete(map);
    cJSON_Delete(other);
}

static void test_update_of_an_old_version_is_conflict(void **state)
{
    const struct vf_kube_ref ref = map_ref("updated");
    cJSON *made = NULL;
    (void)state;
    vf_test_real_expect(&real, create_map("updated", "1", NULL, &made), 0);
    vf_test_real_expect(&real, vf_kube_update(real.client, &ref, made, NULL, NULL, &real.err), 0);
    cJSON *patch = vf_test_tree("{\"data\":{\"k\":\"2\",\"gone\":null}}");
    vf_test_real_expect(&real, vf_kube_merge_patch(real.client, &ref, patch, NULL, NULL, &real.err),
                        0);
    cJSON_Delete(patch);
    int rc = vf_kube_update(real.client, &ref, made, NULL, NULL, &real.err);
    assert_string_equal(vf_error_reason(real.err), VF_KUBE_REASON_CONFLICT);
    vf_test_real_expect(&real, rc, VF_CONFLICT);
    /* A uid in a patch is a condition: what marks an object as complete rests on it. */
    patch = vf_test_tree("{\"metadata\":{\"uid\":\"00000000-0000-0000-0000-000000000000\"}}");
    rc = vf_kube_merge_patch(real.client, &ref, patch, NULL, NULL, &real.err);
    vf_test_expect_error(real.err, "metadata.uid");
    vf_test_real_expect(&real, rc, VF_INVALID);
    cJSON_Delete(patch);
    cJSON_Delete(made);
}

/* More than a page. */
#define MANY 620

static void test_list_goes_over_pages(void **state)
{
    static const struct vf_kube_select labels = {.labels = "of=paging"};
    const struct vf_kube_ref all = {.resource = &vf_kube_config_maps, .ns = real.ns};
    cJSON *items = NULL;
    char *version = NULL;
    (void)state;
    for (unsigned i = 0; i < MANY; i++) {
        char name[40];
        snprintf(name, sizeof name, "page-%04u", i);
        const struct vf_kube_ref ref = map_ref(name);
        cJSON *map =
            vf_test_tree("{\"metadata\":{\"name\":\"%s\",\"labels\":{\"of\":\"paging\"}}}", name);
        vf_test_real_expect(&real, vf_kube_create(real.client, &ref, map, NULL, NULL, &real.err),
                            0);
        cJSON_Delete(map);
    }
    int rc = vf_kube_list(real.client, &all, &labels, NULL, &items, &version, &real.err);
    vf_test_real_expect(&real, rc, 0);
    assert_int_equal(cJSON_GetArraySize(items), MANY);
    assert_string_equal(vf_kube_name(cJSON_GetArrayItem(items, MANY - 1)), "page-0619");
    assert_non_null(version);
    cJSON_Delete(items);
    free(version);
    static const struct vf_kube_select one = {.labels = "of=paging",
                                              .fields = "metadata.name=page-0007"};
    items = NULL;
    rc = vf_kube_list(real.client, &all, &one, NULL, &items, NULL, &real.err);
    vf_test_real_expect(&real, rc, 0);
    assert_int_equal(cJSON_GetArraySize(items), 1);
    cJSON_Delete(items);
}

/* Of a custom resource: the API server keeps no version of these from before they were defined, so
 * that the first version of all has expired. */
static const struct vf_kube_resource networks = {.group = "k8s.cni.cncf.io",
                                                 .version = "v1",
                                                 .plural = "network-attachment-definitions",
                                                 .namespaced = true};

static struct vf_kube_ref watched_ref(void)
{
    return (struct vf_kube_ref){.resource = &networks, .ns = real.ns, .name = "watched"};
}

struct changes {
    unsigned ticks, changes, synced;
};

static int set_config(const char *value, struct vf_error **err)
{
    const struct vf_kube_ref ref = watched_ref();
    cJSON *patch = vf_test_tree("{\"spec\":{\"config\":\"%s\"}}", value);
    int rc = vf_kube_merge_patch(real.client, &ref, patch, NULL, NULL, err);
    cJSON_Delete(patch);
    return rc;
}

/* Changes what it watches, and sees that. */
static int on_event(void *opaque, enum vf_kube_event event, const cJSON *object,
                    struct vf_error **err)
{
    struct changes *c = opaque;
    const struct vf_kube_ref ref = watched_ref();
    switch (event) {
    case VF_KUBE_SYNCED:
        assert_null(object);
        c->synced++;
        return 0;
    case VF_KUBE_TICK:
        c->ticks++;
        if (c->ticks == 1) {
            return set_config("new", err);
        }
        return c->ticks == 2 ? vf_kube_delete(real.client, &ref, NULL, err) : 0;
    case VF_KUBE_CHANGED:
        assert_string_equal(vf_json_string(vf_json_object(object, "spec"), "config"),
                            c->ticks ? "new" : "old");
        c->changes++;
        return 0;
    case VF_KUBE_DELETED:
        return 1;
    }
    return 0;
}

static void test_watch_ticks_and_follows(void **state)
{
    const struct vf_kube_ref ref = watched_ref();
    const struct vf_kube_watch_options options = {.timeout_ms = 60000, .tick_s = 2};
    struct changes c = {0};
    cJSON *network = vf_test_tree(
        "{\"apiVersion\":\"k8s.cni.cncf.io/v1\",\"kind\":\"NetworkAttachmentDefinition\","
        "\"metadata\":{\"name\":\"watched\"},\"spec\":{\"config\":\"old\"}}");
    (void)state;
    int rc = vf_kube_create(real.client, &ref, network, NULL, NULL, &real.err);
    vf_test_real_expect(&real, rc, 0);
    cJSON_Delete(network);
    rc = vf_kube_watch(real.client, &ref, &options, on_event, &c, &real.err);
    vf_test_real_expect(&real, rc, 0);
    /* What is in between may let versions expire: then all is listed, and told, once more. */
    unsigned expired = getenv("VMFERRY_TEST_EXPIRED") ? 1 : 0;
    assert_int_equal(c.synced, 1 + expired);
    assert_int_equal(c.changes, 2 + expired);
    assert_int_equal(c.ticks, 2);
}

static int never(void *opaque, const cJSON *object, struct vf_error **err)
{
    (void)opaque;
    (void)object;
    (void)err;
    return 0;
}

static void test_wait_ends_at_its_time(void **state)
{
    const struct vf_kube_ref ref = map_ref("never");
    (void)state;
    int rc = vf_kube_wait(real.client, &ref, never, NULL, 1500, NULL, NULL, &real.err);
    assert_string_equal(vf_error_reason(real.err), VF_KUBE_REASON_TIMEOUT);
    vf_test_real_expect(&real, rc, VF_RETRY);
}

static void test_what_is_not_served_is_told(void **state)
{
    static const struct vf_kube_resource group = {
        .group = "none.example.com", .version = "v1", .plural = "things", .namespaced = true};
    static const struct vf_kube_resource version = {
        .group = "batch", .version = "v9", .plural = "jobs", .namespaced = true};
    static const struct vf_kube_resource plural = {
        .group = "batch", .version = "v1", .plural = "things", .namespaced = true};
    static const struct {
        const struct vf_kube_resource *resource;
        const char *text;
    } cases[] = {{&group, "does not know the API group"},
                 {&version, "only v1"},
                 {&plural, "not among the group's resources"}};
    (void)state;
    for (size_t i = 0; i < 3; i++) {
        const struct vf_kube_ref ref = {.resource = cases[i].resource, .ns = real.ns, .name = "x"};
        int rc = vf_kube_check_resource(real.client, cases[i].resource, "X", &real.err);
        vf_test_expect_error(real.err, cases[i].text);
        vf_test_real_expect(&real, rc, VF_UNSUPPORTED);
        rc = vf_kube_get(real.client, &ref, NULL, NULL, &real.err);
        assert_string_equal(vf_error_reason(real.err), VF_KUBE_REASON_NOT_SERVED);
        vf_test_real_expect(&real, rc, VF_UNSUPPORTED);
    }
    vf_test_real_expect(&real, vf_kube_check_resource(real.client, &vf_kube_jobs, "X", &real.err),
                        0);
    vf_test_real_expect(&real, vf_kube_check_resource(real.client, &vf_kube_pods, "X", &real.err),
                        0);
}

static void test_missing_namespace_is_told(void **state)
{
    const struct vf_kube_ref ref = {.resource = &vf_kube_config_maps, .ns = "no-such-place"};
    cJSON *map = make_map("x", "1");
    (void)state;
    int rc = vf_kube_create(real.client, &ref, map, NULL, NULL, &real.err);
    vf_test_expect_error(real.err, "kubectl create namespace no-such-place");
    vf_test_real_expect(&real, rc, VF_MISSING);
    cJSON_Delete(map);
}

static int setup(void **state)
{
    (void)state;
    vf_test_real_start(&real);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    vf_test_real_stop(&real);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_create_get_delete),
        cmocka_unit_test(test_strict_validation_names_the_field),
        cmocka_unit_test(test_dry_run_keeps_nothing),
        cmocka_unit_test(test_apply_tells_whose_field_it_is),
        cmocka_unit_test(test_update_of_an_old_version_is_conflict),
        cmocka_unit_test(test_list_goes_over_pages),
        cmocka_unit_test(test_watch_ticks_and_follows),
        cmocka_unit_test(test_wait_ends_at_its_time),
        cmocka_unit_test(test_what_is_not_served_is_told),
        cmocka_unit_test(test_missing_namespace_is_told),
    };
    cmocka_set_test_filter(getenv("VMFERRY_TEST_FILTER"));
    return cmocka_run_group_tests(tests, setup, teardown);
}
