#include "importer/kube/known.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "importer/base/mem.h"

static void test_kube_known__is_sorted_and_found(void **state)
{
    (void)state;
    struct vf_kube_known k = {0};
    for (unsigned i = 0; i < 500; i++) {
        char *vf_autofree name = vf_xasprintf("n%u", i * 7919 % 500);
        vf_kube_known_add(&k, i % 2 ? "a" : "", name, "u");
    }
    assert_int_equal(k.n, 500);
    for (size_t i = 1; i < k.n; i++) {
        int order = strcmp(k.objects[i - 1].ns, k.objects[i].ns);
        assert_true(order < 0 ||
                    (order == 0 && strcmp(k.objects[i - 1].name, k.objects[i].name) < 0));
    }
    vf_kube_known_add(&k, "a", "zz", "1");
    vf_kube_known_add(&k, "a", "zz", "2");
    assert_int_equal(k.n, 501);
    assert_string_equal(vf_kube_known_find(&k, "a", "zz")->uid, "2");
    assert_null(vf_kube_known_find(&k, "b", "zz"));
    vf_kube_known_remove(&k, "a", "zz");
    vf_kube_known_remove(&k, "a", "zz");
    assert_null(vf_kube_known_find(&k, "a", "zz"));
    assert_int_equal(k.n, 500);
    vf_kube_known_release(&k);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_kube_known__is_sorted_and_found),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
