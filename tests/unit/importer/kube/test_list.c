#include "importer/kube/client.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "importer/base/json.h"
#include "importer/base/mem.h"
#include "tests/support/check.h"
#include "tests/support/kube_rig.h"

static const struct vf_kube_ref all = {.resource = &vf_test_datavolumes};

static void answer_page(struct vf_test_exchange *x, const char *next, const char *items)
{
    char *vf_autofree body = vf_xasprintf(
        "{\"kind\":\"DataVolumeList\",\"metadata\":{\"resourceVersion\":\"7\",\"continue\":\"%s\"},"
        "\"items\":%s}",
        next, items);
    vf_test_answer(x, 200, NULL, body);
}

static void expire(struct vf_test_exchange *x)
{
    vf_test_kube_status(x, 410, "Expired", "The provided continue parameter is too old", NULL,
                        NULL);
}

static void three_pages(struct vf_test_kube *k, struct vf_test_exchange *x, unsigned n)
{
    const char *how = k->text;
    vf_test_check(vf_test_target_has(x, "/datavolumes?limit=500"));
    if (!vf_test_target_has(x, "continue=")) {
        answer_page(x, "a b&c", "[{\"n\":1},{\"n\":2}]");
    } else if (vf_test_target_has(x, "&continue=a%20b%26c")) {
        if (how && (n == 2 || strcmp(how, "always") == 0)) {
            expire(x);
        } else {
            answer_page(x, "last", "null");
        }
    } else {
        vf_test_check(vf_test_target_has(x, "&continue=last"));
        answer_page(x, "", "[{\"n\":3}]");
    }
}

static int list(struct vf_test_kube *k, cJSON **items, char **version)
{
    *items = NULL;
    *version = NULL;
    return vf_kube_list(k->client, &all, NULL, NULL, items, version, &k->err);
}

static void test_kube_list__pages_make_one_list(void **state)
{
    (void)state;
    struct vf_test_kube k;
    cJSON *items;
    char *version;
    vf_test_kube_start(&k, three_pages);
    assert_int_equal(list(&k, &items, &version), 0);
    char *vf_autofree text = vf_json_print(items, false);
    assert_string_equal(text, "[{\"n\":1},{\"n\":2},{\"n\":3}]");
    assert_string_equal(version, "7");
    assert_int_equal(k.n, 3);
    cJSON_Delete(items);
    free(version);
    vf_test_kube_stop(&k);
}

static void test_kube_list__expired_pages_begin_anew(void **state)
{
    (void)state;
    struct vf_test_kube k;
    cJSON *items;
    char *version;
    vf_test_kube_start(&k, three_pages);
    k.text = "once";
    assert_int_equal(list(&k, &items, &version), 0);
    assert_int_equal(cJSON_GetArraySize(items), 3);
    assert_int_equal(k.n, 5);
    cJSON_Delete(items);
    free(version);
    k.text = "always";
    assert_int_equal(list(&k, &items, &version), VF_MISSING);
    assert_string_equal(vf_error_reason(k.err), VF_KUBE_REASON_EXPIRED);
    assert_null(items);
    vf_test_kube_stop(&k);
}

static void select_some(struct vf_test_kube *k, struct vf_test_exchange *x, unsigned n)
{
    (void)n;
    (void)k;
    vf_test_check(strcmp(x->target, "/apis/cdi.kubevirt.io/v1beta1/datavolumes?limit=500"
                                    "&labelSelector=a%3Db&fieldSelector=status.phase%3DX%2C"
                                    "metadata.name%3Dd1") == 0);
    answer_page(x, "", "[]");
}

static void test_kube_list__selectors_are_encoded(void **state)
{
    (void)state;
    struct vf_test_kube k;
    cJSON *items;
    const struct vf_kube_ref ref = {
        .resource = &vf_test_datavolumes, .name = "d1", .all_namespaces = true};
    const struct vf_kube_select select = {.labels = "a=b", .fields = "status.phase=X"};
    vf_test_kube_start(&k, select_some);
    assert_int_equal(vf_kube_list(k.client, &ref, &select, NULL, &items, NULL, &k.err), 0);
    cJSON_Delete(items);
    vf_test_kube_stop(&k);
}

static void answer_nonsense(struct vf_test_kube *k, struct vf_test_exchange *x, unsigned n)
{
    (void)n;
    const char *how = k->text;
    if (strcmp(how, "endless") == 0) {
        answer_page(x, "more", "[]");
    } else if (strcmp(how, "huge") == 0) {
        char *padding = vf_xcalloc(1, (9u << 20) + 1);
        memset(padding, 'x', 9u << 20);
        char *vf_autofree items = vf_xasprintf("[\"%s\"]", padding);
        free(padding);
        answer_page(x, "more", items);
    } else {
        vf_test_answer(x, 200, NULL, how);
    }
}

static void expect_nonsense(const char *how, int code, const char *message)
{
    struct vf_test_kube k;
    cJSON *items;
    char *version;
    vf_test_kube_start(&k, answer_nonsense);
    k.text = how;
    assert_int_equal(list(&k, &items, &version), code);
    vf_test_expect_error(k.err, message);
    assert_null(items);
    vf_test_kube_stop(&k);
}

static void test_kube_list__nonsense_is_bounded(void **state)
{
    (void)state;
    expect_nonsense("{}", VF_INVALID, "list of datavolumes is none");
    expect_nonsense("{\"metadata\":{\"resourceVersion\":\"1\"},\"items\":{}}", VF_INVALID,
                    "is none");
    expect_nonsense("[", VF_INVALID, "is not JSON");
    expect_nonsense("endless", VF_SPACE, "has no end");
    expect_nonsense("huge", VF_SPACE, "larger than");
}

struct told {
    unsigned n, beginnings;
    int stop_at; /* with VF_CONFLICT; 0: not at all */
};

static int note(void *opaque, const cJSON *item, struct vf_error **err)
{
    struct told *t = opaque;
    uint64_t n;
    if (!item) {
        t->beginnings++;
        t->n = 0;
        return 0;
    }
    vf_test_check(vf_json_u64(item, "n", &n) && n == ++t->n);
    return (int)n == t->stop_at ? vf_error_set(err, VF_CONFLICT, "enough") : 0;
}

static void test_kube_each__tells_all_pages_in_order(void **state)
{
    struct vf_test_kube k;
    struct told t = {0};
    (void)state;
    vf_test_kube_start(&k, three_pages);
    assert_int_equal(vf_kube_each(k.client, &all, NULL, NULL, note, &t, &k.err), 0);
    assert_int_equal(t.n, 3);
    assert_int_equal(t.beginnings, 1);
    vf_test_kube_stop(&k);
}

static void test_kube_each__says_when_it_begins_anew(void **state)
{
    struct vf_test_kube k;
    struct told t = {0};
    (void)state;
    vf_test_kube_start(&k, three_pages);
    k.text = "once";
    assert_int_equal(vf_kube_each(k.client, &all, NULL, NULL, note, &t, &k.err), 0);
    assert_int_equal(t.n, 3);
    assert_int_equal(t.beginnings, 2);
    vf_test_kube_stop(&k);
}

static void test_kube_each__ends_when_it_is_told_to(void **state)
{
    struct vf_test_kube k;
    struct told t = {.stop_at = 2};
    (void)state;
    vf_test_kube_start(&k, three_pages);
    assert_int_equal(vf_kube_each(k.client, &all, NULL, NULL, note, &t, &k.err), VF_CONFLICT);
    assert_int_equal(t.n, 2);
    assert_int_equal(k.n, 1);
    vf_test_kube_stop(&k);
}

static void metadata_only(struct vf_test_kube *k, struct vf_test_exchange *x, unsigned n)
{
    char *vf_autofree accept = vf_test_header(x, "Accept");
    (void)k;
    (void)n;
    vf_test_check(accept && strstr(accept, "as=PartialObjectMetadataList;g=meta.k8s.io;v=v1"));
    answer_page(x, "", "[{\"n\":1}]");
}

static void test_kube_list__metadata_is_asked_for_by_its_type(void **state)
{
    const struct vf_kube_select select = {.metadata_only = true};
    struct vf_test_kube k;
    struct told t = {0};
    (void)state;
    vf_test_kube_start(&k, metadata_only);
    assert_int_equal(vf_kube_each(k.client, &all, &select, NULL, note, &t, &k.err), 0);
    assert_int_equal(t.n, 1);
    vf_test_kube_stop(&k);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_kube_list__pages_make_one_list),
        cmocka_unit_test(test_kube_list__expired_pages_begin_anew),
        cmocka_unit_test(test_kube_list__selectors_are_encoded),
        cmocka_unit_test(test_kube_list__nonsense_is_bounded),
        cmocka_unit_test(test_kube_each__tells_all_pages_in_order),
        cmocka_unit_test(test_kube_each__says_when_it_begins_anew),
        cmocka_unit_test(test_kube_each__ends_when_it_is_told_to),
        cmocka_unit_test(test_kube_list__metadata_is_asked_for_by_its_type),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
