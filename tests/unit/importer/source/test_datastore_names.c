#include "importer/source/datastore.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "importer/base/mem.h"

static void check_file(const char *file, const char *datastore, const char *flat)
{
    char *vf_autofree got_datastore = NULL;
    char *vf_autofree got_flat = NULL;
    assert_int_equal(vf_datastore_parse_file(file, &got_datastore, &got_flat, NULL), 0);
    assert_string_equal(got_datastore, datastore);
    assert_string_equal(got_flat, flat);
}

static void test_parse_file__gives_datastore_and_flat_file(void **state)
{
    (void)state;
    check_file("[ds1] web/web.vmdk", "ds1", "web/web-flat.vmdk");
    check_file("[nfs tier 2] a b/c d_1.vmdk", "nfs tier 2", "a b/c d_1-flat.vmdk");
    check_file("[ds] top.vmdk", "ds", "top-flat.vmdk");
    check_file("[ds] a/b-flat.vmdk", "ds", "a/b-flat.vmdk");
    check_file("[ds] a/b-000001.vmdk", "ds", "a/b-000001-flat.vmdk");
    check_file("[ds] ..a/b../.c.vmdk", "ds", "..a/b../.c-flat.vmdk");
    check_file("[a]b] c.vmdk", "a]b", "c-flat.vmdk");
}

static void test_parse_file__of_no_datastore_is_invalid(void **state)
{
    (void)state;
    static const char *const bad[] = {"",
                                      "web/web.vmdk",
                                      "[ds]web.vmdk",
                                      "[] /vmfs/volumes/x/a.vmdk",
                                      "[ds] ",
                                      "[ds] .vmdk",
                                      "[ds] a/b.iso",
                                      "[ds] /a.vmdk",
                                      "[ds] ../sdk/a.vmdk",
                                      "[ds] a/../../sdk.vmdk",
                                      "[ds] a/./b.vmdk",
                                      "[ds] a//b.vmdk",
                                      "[ds] a/b.vmdk/",
                                      "[ds"};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        char *datastore = NULL, *flat = NULL;
        struct vf_error *err = NULL;
        assert_int_equal(vf_datastore_parse_file(bad[i], &datastore, &flat, &err), VF_INVALID);
        assert_null(datastore);
        assert_null(flat);
        assert_non_null(strstr(vf_error_message(err), bad[i]));
        vf_error_free(err);
    }
}

static void check_url(enum vf_datastore_coding coding, const char *dc, const char *datastore,
                      const char *path, const char *want)
{
    char *vf_autofree url =
        vf_datastore_encode_url(NULL, "vc.example:8443", dc, datastore, path, coding);
    assert_string_equal(url, want);
}

static void test_encode_url__encodes_path_once_and_query_twice(void **state)
{
    (void)state;
    check_url(VF_DATASTORE_TWICE, "DC0", "ds1", "web/web-flat.vmdk",
              "https://vc.example:8443/folder/web/web-flat.vmdk?dcPath=DC0&dsName=ds1");
    check_url(VF_DATASTORE_TWICE, "eu/DC 0", "nfs&2", "a b/c?d#-flat.vmdk",
              "https://vc.example:8443/folder/a%20b/c%3Fd%23-flat.vmdk"
              "?dcPath=eu%252FDC%25200&dsName=nfs%25262");
    check_url(VF_DATASTORE_ONCE, "eu/DC 0", "nfs&2", "a%2fb/c.vmdk",
              "https://vc.example:8443/folder/a%252fb/c.vmdk?dcPath=eu%2FDC%200&dsName=nfs%262");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_parse_file__gives_datastore_and_flat_file),
        cmocka_unit_test(test_parse_file__of_no_datastore_is_invalid),
        cmocka_unit_test(test_encode_url__encodes_path_once_and_query_twice),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
