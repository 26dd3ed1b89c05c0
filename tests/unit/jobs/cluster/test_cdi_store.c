/* The checkpoint in its ConfigMap, when answers are lost and others write. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "importer/base/json.h"
#include "importer/base/mem.h"
#include "jobs/cluster/cdi_private.h"
#include "tests/support/event_log.h"
#include "tests/support/kube_script.h"

#define MAPS    "/api/v1/namespaces/prod/configmaps"
#define MAP     MAPS "/vmferry.web.checkpoint"
#define VOLUMES "/apis/cdi.kubevirt.io/v1beta1/namespaces/prod/datavolumes"
#define OURS                                                                                       \
    "\"labels\":{\"app.kubernetes.io/managed-by\":\"vmferry\",\"vmferry.io/import\":\"web\"},"     \
    "\"annotations\":{\"vmferry.io/source-uuid\":\"5\""

struct rig {
    struct vf_test_script script;
    struct vf_test_events events;
    struct vf_import im;
    struct vf_cdi_target target;
    struct vf_checkpoint checkpoint;
};

static void begin(struct rig *r, const struct vf_test_route *routes)
{
    static const struct vf_vm_disk disk = {.key = 2000, .capacity_bytes = 1 << 20};
    *r = (struct rig){0};
    vf_test_script_start(&r->script, routes);
    vf_test_events_init(&r->events);
    r->im.reporter = &r->events.reporter;
    r->target.base.im = &r->im;
    r->target.l.client = r->script.kube.client;
    r->target.l.ns = "prod";
    r->target.l.owner = (struct vf_owner){.import = "web", .source_uuid = "5", .warm = true};
    r->target.base.store = vf_cdi_store_new(&r->target);
    r->checkpoint.instance_uuid = vf_xstrdup("5");
    struct vf_checkpoint_disk *d = vf_checkpoint_add_disk(&r->checkpoint, &disk, "web-disk-0");
    vf_checkpoint_disk_begin_full(d, "snapshot-1", "52/1");
    vf_checkpoint_disk_complete(d);
}

static void end(struct rig *r)
{
    vf_checkpoint_release(&r->checkpoint);
    vf_checkpoint_store_free(r->target.base.store);
    vf_test_events_release(&r->events);
    vf_test_script_stop(&r->script);
}

/* As a JSON string's content, for answers. */
static char *encode(const struct rig *r)
{
    char *vf_autofree text = NULL;
    cJSON *quoted;
    assert_int_equal(vf_checkpoint_encode(&r->checkpoint, 65536, &text, NULL), 0);
    quoted = cJSON_CreateString(text);
    char *printed = vf_json_print(quoted, false);
    cJSON_Delete(quoted);
    return printed;
}

static char *map_with(const char *version, const char *quoted)
{
    return vf_xasprintf("{\"metadata\":{\"name\":\"vmferry.web.checkpoint\",\"uid\":\"map-1\","
                        "\"resourceVersion\":\"%s\"," OURS "}},\"data\":{\"checkpoint\":%s}}",
                        version, quoted);
}

static int save(struct rig *r)
{
    return r->target.base.store->ops->save(r->target.base.store, &r->checkpoint,
                                           &r->script.kube.err);
}

static void test_cdi_store__makes_the_map_then_changes_it(void **state)
{
    struct vf_test_route routes[] = {
        {.method = "POST", .path = MAPS, .status = 201}, {.method = "PATCH", .path = MAP}, {0}};
    struct rig r;
    (void)state;
    begin(&r, routes);
    char *vf_autofree quoted = encode(&r);
    char *vf_autofree first = map_with("7", quoted), *vf_autofree second = map_with("8", quoted);
    routes[0].body = first;
    routes[1].body = second;
    assert_null(vf_cdi_store_uid(r.target.base.store));
    assert_int_equal(save(&r), 0);
    assert_string_equal(vf_cdi_store_uid(r.target.base.store), "map-1");
    assert_int_equal(save(&r), 0);
    vf_test_script_expect(&r.script, "\"uid\":\"map-1\",\"resourceVersion\":\"7\"");
    end(&r);
}

static void test_cdi_store__answer_that_was_lost_is_looked_for(void **state)
{
    struct vf_test_route routes[] = {
        {.method = "POST", .path = MAPS, .status = -1}, {.path = MAP}, {0}};
    struct rig r;
    (void)state;
    begin(&r, routes);
    char *vf_autofree quoted = encode(&r);
    char *vf_autofree map = map_with("7", quoted);
    routes[1].body = map;
    assert_int_equal(save(&r), 0);
    assert_string_equal(vf_cdi_store_uid(r.target.base.store), "map-1");
    end(&r);
}

static void test_cdi_store__write_of_another_is_a_conflict(void **state)
{
    struct vf_test_route routes[] = {{.method = "POST", .path = MAPS, .status = 201},
                                     {.method = "PATCH", .path = MAP, .status = 409, .body = "{}"},
                                     {.path = MAP},
                                     {0}};
    struct rig r;
    (void)state;
    begin(&r, routes);
    char *vf_autofree quoted = encode(&r);
    char *vf_autofree mine = map_with("7", quoted), *vf_autofree other = map_with("9", "\"other\"");
    routes[0].body = mine;
    routes[2].body = other;
    assert_int_equal(save(&r), 0);
    r.checkpoint.was_on = true;
    assert_int_equal(save(&r), VF_CONFLICT);
    vf_test_expect_error(r.script.kube.err, "another vmferry works on this migration");
    end(&r);
}

/* Whoever labels it, or changes what is none of the checkpoint, makes the version another one. */
static void test_cdi_store__change_of_something_else_is_none(void **state)
{
    struct vf_test_route routes[] = {
        {.method = "POST", .path = MAPS, .status = 201},
        {.method = "PATCH", .path = MAP, .status = 409, .body = "{}", .times = 1},
        {.method = "PATCH", .path = MAP},
        {.path = MAP},
        {0}};
    struct rig r;
    (void)state;
    begin(&r, routes);
    char *vf_autofree quoted = encode(&r);
    char *vf_autofree before = map_with("7", quoted), *vf_autofree touched = map_with("9", quoted);
    r.checkpoint.was_on = true;
    char *vf_autofree later = encode(&r);
    char *vf_autofree after = map_with("10", later);
    r.checkpoint.was_on = false;
    routes[0].body = before;
    routes[2].body = after;
    routes[3].body = touched;
    assert_int_equal(save(&r), 0);
    r.checkpoint.was_on = true;
    assert_int_equal(save(&r), 0);
    vf_test_script_expect(&r.script, "\"resourceVersion\":\"9\"");
    end(&r);
}

static void test_cdi_store__map_of_another_vm_is_left_alone(void **state)
{
    static const struct vf_test_route routes[] = {
        {.path = MAP,
         .body = "{\"metadata\":{\"name\":\"vmferry.web.checkpoint\",\"uid\":\"x\"},\"data\":{}}"},
        {0}};
    struct vf_checkpoint c = {0};
    struct rig r;
    (void)state;
    begin(&r, routes);
    assert_int_equal(vf_checkpoint_load(r.target.base.store, &c, &r.script.kube.err), VF_CONFLICT);
    vf_test_expect_error(r.script.kube.err, "not of this migration");
    vf_error_clear(&r.script.kube.err);
    assert_int_equal(vf_checkpoint_clear(r.target.base.store, &r.script.kube.err), VF_CONFLICT);
    end(&r);
}

/* What the checkpoint says is of use only with the very DataVolume that was made for it. */
static void load_with(const char *volume, size_t n_disks)
{
    struct vf_test_route routes[] = {{.path = MAP}, {.path = VOLUMES, .body = volume}, {0}};
    struct vf_checkpoint c = {0};
    struct rig r;
    begin(&r, routes);
    char *vf_autofree quoted = encode(&r);
    char *vf_autofree map = map_with("7", quoted);
    routes[0].body = map;
    assert_int_equal(vf_checkpoint_load(r.target.base.store, &c, &r.script.kube.err), 0);
    assert_int_equal(c.n_disks, n_disks);
    assert_int_equal(vf_test_events_has(&r.events, "its disk is copied in full"), n_disks == 0);
    vf_checkpoint_release(&c);
    end(&r);
}

#define VOLUME(set, more)                                                                          \
    VF_TEST_LIST("{\"metadata\":{\"name\":\"web-disk-0\",\"uid\":\"v1\"," more OURS                \
                 ",\"vmferry.io/checkpoint-set\":\"" set "\"}}}")

static void test_cdi_store__is_read_with_what_it_describes(void **state)
{
    (void)state;
    load_with(VOLUME("map-1", ""), 1);
    load_with(VOLUME("map-0", ""), 0);
    load_with(VOLUME("map-1", "\"deletionTimestamp\":\"2026-11-21T20:00:00Z\","), 0);
    load_with(VF_TEST_LIST(""), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_cdi_store__makes_the_map_then_changes_it),
        cmocka_unit_test(test_cdi_store__answer_that_was_lost_is_looked_for),
        cmocka_unit_test(test_cdi_store__write_of_another_is_a_conflict),
        cmocka_unit_test(test_cdi_store__change_of_something_else_is_none),
        cmocka_unit_test(test_cdi_store__map_of_another_vm_is_left_alone),
        cmocka_unit_test(test_cdi_store__is_read_with_what_it_describes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
