#include "jobs/cluster/warm_claims.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "importer/base/json.h"
#include "importer/base/mem.h"
#include "tests/support/kube_script.h"

#define NONE VF_WARM_NO_CLAIM

static struct vf_vm vm_of(struct vf_vm_disk *disks, size_t n, const int32_t *keys)
{
    for (size_t i = 0; i < n; i++) {
        disks[i] = (struct vf_vm_disk){.key = keys[i]};
    }
    return (struct vf_vm){.disks = disks, .n_disks = n};
}

/* Claims by number, with the key that their checkpoint names; 0: none. */
struct row {
    const char *what;
    struct {
        unsigned number;
        int32_t key;
    } claims[4];
    size_t n_claims;
    int32_t keys[4]; /* of the VM's disks */
    size_t n_disks;
    size_t expected[4]; /* index of the claim */
};

static void test_warm_claims__stay_with_their_disks(void **state)
{
    (void)state;
    static const struct row rows[] = {
        {"new", {{0, 0}, {1, 0}}, 2, {2000, 2001}, 2, {0, 1}},
        {"known", {{0, 2000}, {1, 2001}}, 2, {2000, 2001}, 2, {0, 1}},
        {"the first was removed", {{0, 2000}, {1, 2001}}, 2, {2001}, 1, {1}},
        {"counted otherwise", {{0, 2000}, {1, 2001}}, 2, {2001, 2000}, 2, {1, 0}},
        {"one was added", {{0, 2000}, {1, 2001}}, 2, {2000, 2002, 2001}, 3, {0, NONE, 1}},
        {"added, and its claim made",
         {{0, 2000}, {1, 2001}, {2, 0}},
         3,
         {2000, 2002, 2001},
         3,
         {0, 2, 1}},
        {"another's claim is not free", {{0, 2000}, {1, 2001}}, 2, {2000, 2003}, 2, {0, NONE}},
        {"half of them has a checkpoint", {{0, 0}, {1, 2001}}, 2, {2000, 2001}, 2, {0, 1}},
        {"a free one keeps its own number",
         {{0, 0}, {1, 0}, {2, 2000}},
         3,
         {2000, 2001, 2002},
         3,
         {2, 1, 0}},
        {"none", {{0, 0}}, 0, {2000}, 1, {NONE}},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        const struct row *r = &rows[i];
        struct vf_warm_claim claims[4] = {0};
        struct vf_vm_disk disks[4];
        size_t got[4];
        for (size_t j = 0; j < r->n_claims; j++) {
            claims[j] = (struct vf_warm_claim){.number = r->claims[j].number,
                                               .has_key = r->claims[j].key != 0,
                                               .key = r->claims[j].key};
        }
        const struct vf_warm_claims c = {.claims = claims, .n = r->n_claims};
        const struct vf_vm vm = vm_of(disks, r->n_disks, r->keys);
        vf_warm_claims_match(&c, &vm, got);
        for (size_t j = 0; j < r->n_disks; j++) {
            if (got[j] != r->expected[j]) {
                fail_msg("%s: disk %zu", r->what, j);
            }
        }
    }
}

static void test_warm_claims__deleted_one_is_its_disks_still(void **state)
{
    (void)state;
    static const int32_t keys[] = {2000, 2001};
    struct vf_warm_claim claims[] = {{.number = 0, .has_key = true, .key = 2000, .deleted = true},
                                     {.number = 1, .deleted = true}};
    struct vf_vm_disk disks[2];
    const struct vf_warm_claims c = {.claims = claims, .n = 2};
    const struct vf_vm vm = vm_of(disks, 2, keys);
    size_t got[2];
    vf_warm_claims_match(&c, &vm, got);
    assert_int_equal(got[0], 0);    /* told as such by who asks for it */
    assert_int_equal(got[1], NONE); /* nobody's, and soon gone */
}

static void test_warm_claims__numbers_are_not_given_twice(void **state)
{
    (void)state;
    struct vf_warm_claim claims[] = {{.number = 0}, {.number = 2}};
    const struct vf_warm_claims c = {.claims = claims, .n = 2};
    static const unsigned taken[] = {1, 3};
    assert_int_equal(vf_warm_claims_free_number(&c, NULL, 0), 1);
    assert_int_equal(vf_warm_claims_free_number(&c, taken, 1), 3);
    assert_int_equal(vf_warm_claims_free_number(&c, taken, 2), 4);
}

#define CLAIMS "/api/v1/namespaces/prod/persistentvolumeclaims"
#define CLAIM(name, uuid, disk, state, more)                                                       \
    "{\"metadata\":{\"name\":\"" name "\",\"uid\":\"u\",\"labels\":{"                              \
    "\"app.kubernetes.io/managed-by\":\"vmferry\",\"vmferry.io/import\":\"web\","                  \
    "\"vmferry.io/migration\":\"warm\",\"vmferry.io/state\":\"" state "\"},\"annotations\":{"      \
    "\"vmferry.io/source-uuid\":\"" uuid "\",\"vmferry.io/disk\":\"" disk "\"}" more "}}"

#define DELETED ",\"deletionTimestamp\":\"2026-01-01T00:00:00Z\""
/* clang-format off */
#define LISTED                                                                                     \
    CLAIM("web-disk-10", "u-1", "10 Hard disk 11", "filling", "") ","                              \
    CLAIM("web-disk-2", "u-1", "2", "complete", "") ","                                            \
    CLAIM("web-disk-0", "other", "0", "filling", "") ","                                           \
    CLAIM("web-disk-3", "u-1", "4", "filling", "") ","                                             \
    CLAIM("web-disk-5", "u-1", "5x", "filling", "") ","                                            \
    CLAIM("web-disk-6", "u-1", "-6", "filling", "") ","                                            \
    CLAIM("web-disk-7", "u-1", "7 x", "filling", DELETED)
/* clang-format on */

static void test_warm_claims_fetch__takes_this_migrations_alone(void **state)
{
    (void)state;
    static const struct vf_test_route routes[] = {
        {.path = CLAIMS, .query = "vmferry.io%2Fmigration%3Dwarm", .body = VF_TEST_LIST(LISTED)},
        {0},
    };
    struct vf_test_script s;
    struct vf_warm_claims c = {0};
    vf_test_script_start(&s, routes);
    struct vf_landing_cluster l = {.client = s.kube.client,
                                   .ns = "prod",
                                   .owner = {.import = "web", .source_uuid = "u-1", .warm = true}};
    assert_int_equal(vf_warm_claims_fetch(&l, NULL, &c, &s.kube.err), 0);
    assert_int_equal(c.n, 3);
    assert_string_equal(c.claims[0].name, "web-disk-2");
    assert_true(c.claims[0].complete);
    assert_int_equal(c.claims[1].number, 7);
    assert_true(c.claims[1].deleted && !c.claims[1].complete);
    assert_string_equal(c.claims[2].name, "web-disk-10");
    vf_warm_claims_release(&c);
    /* Without a look at the source its name says whose they are. */
    l.owner.source_uuid = NULL;
    assert_int_equal(vf_warm_claims_fetch(&l, NULL, &c, &s.kube.err), 0);
    assert_int_equal(c.n, 4);
    assert_string_equal(c.claims[0].name, "web-disk-0");

    struct vf_checkpoint_disk disks[1] = {{.key = 2003}};
    char target[] = "web-disk-7";
    disks[0].target = target;
    const struct vf_checkpoint checkpoint = {.disks = disks, .n_disks = 1};
    vf_warm_claims_set_keys(&c, &checkpoint);
    assert_true(c.claims[2].has_key && c.claims[2].key == 2003);
    assert_false(c.claims[0].has_key || c.claims[1].has_key || c.claims[3].has_key);
    vf_warm_claims_release(&c);
    vf_test_script_stop(&s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_warm_claims__stay_with_their_disks),
        cmocka_unit_test(test_warm_claims__deleted_one_is_its_disks_still),
        cmocka_unit_test(test_warm_claims__numbers_are_not_given_twice),
        cmocka_unit_test(test_warm_claims_fetch__takes_this_migrations_alone),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
