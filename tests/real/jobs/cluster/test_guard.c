/* The guard and the rollback of claims on a real API server, with the rig's storage driver. Each
 * test is one step; tests/e2e/cluster/test_volume_snapshots.py puts them together and looks at the
 * bytes.
 *
 *   VMFERRY_TEST_CLAIMS   "a,b": claims of the migration "web"
 *   VMFERRY_TEST_CLASS    their storage class
 *   VMFERRY_TEST_ROUND    that the checkpoint is at
 *   VMFERRY_TEST_WANT     the name of the code to end with; default "ok"
 *   VMFERRY_TEST_TIMEOUT  seconds for the snapshots; default as the guard has it
 *   VMFERRY_TEST_SNAPSHOT_CLASS  as the storage's profile would tell it
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "importer/base/mem.h"
#include "jobs/cluster/guard.h"
#include "jobs/cluster/rollback.h"
#include "tests/support/event_log.h"
#include "tests/support/kube_real.h"

#define MAX_CLAIMS 8

static struct vf_test_real real;
static struct vf_test_events events;
static const struct vf_owner owner = {.import = "web", .source_vm = "Web", .source_uuid = "502a-5"};

static void expect(int rc)
{
    const char *want = getenv("VMFERRY_TEST_WANT");
    char *vf_autofree text = vf_test_events_text(&events);
    char *vf_autofree told = vf_error_format(real.err);
    const char *hint = vf_error_get_hint(real.err);
    printf("%s%s: %s (%s)\n", text, vf_code_name(rc), told, hint ? hint : "no hint");
    assert_string_equal(vf_code_name(rc), want ? want : "ok");
    vf_error_clear(&real.err);
}

static size_t split_claims(char *text, const char **claims)
{
    size_t n = 0;
    char *save = NULL;
    for (char *part = strtok_r(text, ",", &save); part && n < MAX_CLAIMS;
         part = strtok_r(NULL, ",", &save)) {
        claims[n++] = part;
    }
    return n;
}

/* All disks are as in the round's snapshot. */
static void build_checkpoint(struct vf_checkpoint *c, const char *const *claims, size_t n)
{
    const char *round = getenv("VMFERRY_TEST_ROUND");
    *c = (struct vf_checkpoint){.instance_uuid = vf_xstrdup("502a-5"),
                                .updated = vf_xstrdup("2026-11-21T20:00:00Z")};
    for (size_t i = 0; i < n; i++) {
        const struct vf_vm_disk disk = {.key = (int32_t)(2000 + i), .capacity_bytes = 1 << 20};
        struct vf_checkpoint_disk *d = vf_checkpoint_add_disk(c, &disk, claims[i]);
        vf_checkpoint_disk_begin_full(d, "snapshot-1", NULL);
        vf_checkpoint_disk_complete(d);
        d->round = round ? (uint32_t)atoi(round) : 0;
    }
}

static struct vf_guard *begin(struct vf_kube_storage **ret_storage)
{
    const char *timeout = getenv("VMFERRY_TEST_TIMEOUT");
    const struct vf_kube_storage_wish wish = {.class_name = vf_test_setting("VMFERRY_TEST_CLASS")};
    vf_test_real_expect(&real,
                        vf_kube_storage_fetch(real.client, &wish, NULL, ret_storage, &real.err), 0);
    if (getenv("VMFERRY_TEST_SNAPSHOT_CLASS")) {
        vf_replace_string(&(*ret_storage)->snapshot_class, getenv("VMFERRY_TEST_SNAPSHOT_CLASS"));
    }
    const struct vf_guard_env env = {.client = real.client,
                                     .ns = real.ns,
                                     .owner = &owner,
                                     .reporter = &events.reporter,
                                     .vm = "Web",
                                     .timeout_ms = timeout ? atoi(timeout) * INT64_C(1000) : 0};
    return vf_guard_new(&env);
}

static void take(unsigned times)
{
    const char *claims[MAX_CLAIMS];
    char *vf_autofree text = vf_xstrdup(vf_test_setting("VMFERRY_TEST_CLAIMS"));
    size_t n = split_claims(text, claims);
    struct vf_kube_storage *storage = NULL;
    struct vf_checkpoint c;
    struct vf_guard *g = begin(&storage);
    int rc = 0;
    build_checkpoint(&c, claims, n);
    struct vf_guard_claim guarded[MAX_CLAIMS];
    for (size_t i = 0; i < n; i++) {
        guarded[i] = (struct vf_guard_claim){.name = claims[i], .storage = storage};
    }
    for (unsigned i = 0; i < times && rc == 0; i++) {
        rc = vf_guard_take(g, guarded, n, &c, &real.err);
    }
    vf_checkpoint_release(&c);
    vf_guard_free(g);
    vf_kube_storage_free(storage);
    expect(rc);
}

static void step_take(void **state)
{
    (void)state;
    take(1);
}

static void step_take_twice(void **state)
{
    (void)state;
    take(2);
}

static void step_check(void **state)
{
    struct vf_kube_storage *storage = NULL;
    (void)state;
    struct vf_guard *g = begin(&storage);
    int rc = vf_guard_check(g, &real.err);
    vf_guard_free(g);
    vf_kube_storage_free(storage);
    expect(rc);
}

static void step_remove(void **state)
{
    struct vf_kube_storage *storage = NULL;
    (void)state;
    struct vf_guard *g = begin(&storage);
    int rc = vf_guard_remove(g, &real.err);
    vf_guard_free(g);
    vf_kube_storage_free(storage);
    expect(rc);
}

static void roll_back(bool dry_run)
{
    const struct vf_rollback_options options = {
        .where = {.kubeconfig = vf_test_setting("VMFERRY_TEST_KUBECONFIG"),
                  .namespace_name = real.ns},
        .name = "Web",
        .dry_run = dry_run};
    expect(vf_rollback_run(&options, &events.reporter, NULL, &real.err));
}

static void step_rollback(void **state)
{
    (void)state;
    roll_back(false);
}

static void step_rollback_dry(void **state)
{
    (void)state;
    roll_back(true);
}

static int set_up(void **state)
{
    (void)state;
    vf_test_real_start(&real);
    vf_test_events_init(&events);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    vf_test_events_release(&events);
    vf_test_real_stop(&real);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(step_take),     cmocka_unit_test(step_take_twice),
        cmocka_unit_test(step_check),    cmocka_unit_test(step_remove),
        cmocka_unit_test(step_rollback), cmocka_unit_test(step_rollback_dry),
    };
    cmocka_set_test_filter(vf_test_setting("VMFERRY_TEST_FILTER"));
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
