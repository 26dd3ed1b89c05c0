/* What is found out before a disk is used. */
#include "importer/source/datastore.h"

#include <limits.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "tests/support/datastore_server.h"
#include "tests/support/disk_check.h"

#define TARGET "/folder/vm%20a/vm-flat.vmdk?dcPath=DC0&dsName=ds1"

static void check_unfit(struct datastore_fixture *f, int rc, enum vf_code code, const char *reason)
{
    assert_int_equal(rc, code);
    assert_null(f->disk);
    assert_non_null(vf_error_reason(f->err));
    assert_string_equal(vf_error_reason(f->err), reason);
    assert_non_null(vf_error_get_hint(f->err));
    char *text = vf_error_format(f->err);
    assert_non_null(strstr(text, "[ds1] vm a/vm-flat.vmdk"));
    free(text);
}

static void test_open__gives_a_disk_of_the_file_s_size(void **state)
{
    struct datastore_fixture *f = *state;
    f->want_target = TARGET;
    assert_int_equal(datastore_open_plainly(f), 0);
    assert_int_equal(f->disk->size_bytes, f->size);
    check_disk(f->disk, f->content, f->size, 1);
    struct extent_sums sums = sum_extents(f->disk);
    assert_int_equal(sums.data, f->size);
    assert_int_equal(sums.zero + sums.hole, 0);
    assert_int_equal(vf_test_server_connections(f->server), 1); /* one reader, one connection */
}

static void test_open__takes_the_size_it_was_told(void **state)
{
    struct datastore_fixture *f = *state;
    struct vf_retry_policy retry;
    struct vf_datastore_options o = datastore_options(f, &retry);
    o.size_bytes = f->size;
    assert_int_equal(datastore_open(f, &o), 0);
    o.size_bytes = f->size + 512;
    check_unfit(f, datastore_open(f, &o), VF_CONFLICT, VF_DATASTORE_SIZE);
}

static void test_open__of_a_disk_below_a_sector_works(void **state)
{
    struct datastore_fixture *f = *state;
    static const size_t sizes[] = {1, 2, 511, 512, 513};
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
        f->size = sizes[i];
        assert_int_equal(datastore_open_plainly(f), 0);
        check_disk(f->disk, f->content, f->size, i);
    }
}

static void test_open__of_no_disk_s_name_is_invalid(void **state)
{
    struct datastore_fixture *f = *state;
    struct vf_retry_policy retry;
    struct vf_datastore_options o = datastore_options(f, &retry);
    o.file = "[ds1] ../sdk.vmdk";
    assert_int_equal(datastore_open(f, &o), VF_INVALID);
    assert_int_equal(vf_test_server_requests(f->server), 0);
}

static void test_open__locked_file_is_told_and_not_asked_for_again(void **state)
{
    struct datastore_fixture *f = *state;
    f->status = 500;
    datastore_order(f, STATUS, 0, UINT_MAX);
    check_unfit(f, datastore_open_plainly(f), VF_CONFLICT, VF_DATASTORE_LOCKED);
    assert_non_null(strstr(vf_error_message(f->err), "The file is locked"));
    assert_int_equal(vf_error_http_status(f->err), 500);
    assert_int_equal(vf_test_server_requests(f->server), 1);
}

static void test_open__file_locked_but_for_its_beginning_is_told(void **state)
{
    struct datastore_fixture *f = *state;
    f->status = 500;
    datastore_order(f, STATUS, 1, UINT_MAX);
    check_unfit(f, datastore_open_plainly(f), VF_CONFLICT, VF_DATASTORE_LOCKED);
}

static void test_open__forbidden_file_is_told(void **state)
{
    struct datastore_fixture *f = *state;
    f->status = 403;
    datastore_order(f, STATUS, 0, UINT_MAX);
    check_unfit(f, datastore_open_plainly(f), VF_AUTH, VF_DATASTORE_FORBIDDEN);
}

static void test_open__plain_name_is_asked_for_once(void **state)
{
    struct datastore_fixture *f = *state;
    f->want_target = "/elsewhere";
    check_unfit(f, datastore_open_plainly(f), VF_MISSING, VF_DATASTORE_MISSING);
    assert_int_equal(vf_test_server_requests(f->server), 1);
}

static void test_open__special_name_is_asked_for_in_both_codings(void **state)
{
    struct datastore_fixture *f = *state;
    struct vf_retry_policy retry;
    struct vf_datastore_options o = datastore_options(f, &retry);
    o.dc_path = "eu/DC0";
    f->want_target = "/elsewhere";
    check_unfit(f, datastore_open(f, &o), VF_MISSING, VF_DATASTORE_MISSING);
    assert_int_equal(vf_test_server_requests(f->server), 2);
    assert_non_null(strstr(f->targets[0], "dcPath=eu%252FDC0&"));
    assert_non_null(strstr(f->targets[1], "dcPath=eu%2FDC0&"));
    f->want_target = "/folder/vm%20a/vm-flat.vmdk?dcPath=eu%252FDC0&dsName=ds1";
    assert_int_equal(datastore_open(f, &o), 0);
    f->want_target = "/folder/vm%20a/vm-flat.vmdk?dcPath=eu%2FDC0&dsName=ds1";
    assert_int_equal(datastore_open(f, &o), 0);
    check_disk(f->disk, f->content, f->size, 2);
}

static void test_open__other_formats_are_not_flat(void **state)
{
    struct datastore_fixture *f = *state;
    static const char *const magic[] = {"# Disk DescriptorFile\nversion=1\n", "KDMV\1", "COWD\1",
                                        "\xbe\xba\xfe\xca"};
    for (size_t i = 0; i < sizeof magic / sizeof magic[0]; i++) {
        memcpy(f->content, magic[i], strlen(magic[i]));
        check_unfit(f, datastore_open_plainly(f), VF_UNSUPPORTED, VF_DATASTORE_NOT_FLAT);
    }
    f->size = 40; /* shorter than the sector that is asked for */
    memcpy(f->content, magic[0], strlen(magic[0]));
    check_unfit(f, datastore_open_plainly(f), VF_UNSUPPORTED, VF_DATASTORE_NOT_FLAT);
}

static void test_open__empty_file_is_told(void **state)
{
    struct datastore_fixture *f = *state;
    f->size = 0;
    check_unfit(f, datastore_open_plainly(f), VF_CONFLICT, VF_DATASTORE_SIZE);
}

static void test_open__without_ranges_is_told(void **state)
{
    struct datastore_fixture *f = *state;
    datastore_order(f, WHOLE_FILE, 0, UINT_MAX);
    check_unfit(f, datastore_open_plainly(f), VF_UNSUPPORTED, VF_DATASTORE_NO_RANGES);
}

static void test_open__takes_the_size_from_a_range_when_head_tells_none(void **state)
{
    struct datastore_fixture *f = *state;
    static const int statuses[] = {405, 501};
    f->says_no_length = true;
    assert_int_equal(datastore_open_plainly(f), 0);
    assert_int_equal(f->disk->size_bytes, f->size);
    for (size_t i = 0; i < sizeof statuses / sizeof statuses[0]; i++) {
        f->head_status = statuses[i];
        assert_int_equal(datastore_open_plainly(f), 0);
        assert_int_equal(f->disk->size_bytes, f->size);
    }
    f->head_status = 403;
    check_unfit(f, datastore_open_plainly(f), VF_AUTH, VF_DATASTORE_FORBIDDEN);
}

static void test_open__two_sizes_are_told(void **state)
{
    struct datastore_fixture *f = *state;
    static const size_t more[] = {1, 512};
    for (size_t i = 0; i < sizeof more / sizeof more[0]; i++) {
        f->head_more = more[i];
        assert_int_equal(datastore_open_plainly(f), VF_CONFLICT);
        assert_string_equal(vf_error_reason(f->err), VF_DATASTORE_SIZE);
        assert_non_null(strstr(vf_error_message(f->err), "is told as"));
    }
}

static void test_open__busy_or_broken_server_is_asked_again(void **state)
{
    struct datastore_fixture *f = *state;
    static const enum mischief kinds[] = {BUSY, RESET_MIDDLE, RESET_EARLY, CUT_SHORT, HANGS};
    for (size_t i = 0; i < sizeof kinds / sizeof kinds[0]; i++) {
        struct vf_retry_policy retry;
        struct vf_datastore_options with = datastore_options(f, &retry);
        with.timeout_ms = kinds[i] == HANGS ? 1000 : 60000;
        datastore_order(f, kinds[i], 0, kinds[i] == HANGS ? 1 : 2);
        assert_int_equal(datastore_open(f, &with), 0);
    }
    datastore_order(f, BUSY, 0, UINT_MAX);
    assert_int_equal(datastore_open_plainly(f), VF_RETRY);
    assert_int_equal(vf_error_http_status(f->err), 503);
    assert_null(vf_error_reason(f->err));
}

static void test_open__renews_a_session_that_expired(void **state)
{
    struct datastore_fixture *f = *state;
    f->session = 7;
    assert_int_equal(datastore_open_plainly(f), 0);
    assert_int_equal(f->renewals, 1);
}

static void test_open__cookies_that_are_never_taken_are_an_error(void **state)
{
    struct datastore_fixture *f = *state;
    datastore_order(f, EXPIRES, 0, UINT_MAX);
    assert_int_equal(datastore_open_plainly(f), VF_AUTH);
    assert_int_equal(vf_error_http_status(f->err), 401);
    assert_null(vf_error_reason(f->err));
    assert_non_null(vf_error_get_hint(f->err));
    assert_int_equal(f->renewals, 2);
    char *text = vf_error_format(f->err);
    assert_null(strstr(text, "vmware_soap_session"));
    free(text);
}

static void test_open__failure_to_get_a_cookie_stays_what_it_is(void **state)
{
    struct datastore_fixture *f = *state;
    f->cookie_code = VF_AUTH;
    f->cookie_times = 1;
    assert_int_equal(datastore_open_plainly(f), VF_AUTH);
    assert_null(vf_error_reason(f->err)); /* its status 500 is of no file */
    assert_int_equal(vf_test_server_requests(f->server), 0);
}

static void test_open__waits_for_a_cookie_that_may_come(void **state)
{
    struct datastore_fixture *f = *state;
    f->cookie_code = VF_RETRY;
    f->cookie_times = 3;
    assert_int_equal(datastore_open_plainly(f), 0);
    f->cookie_times = 4;
    assert_int_equal(datastore_open_plainly(f), VF_RETRY);
    assert_null(vf_error_reason(f->err));
}

static void test_open__cancelled_is_cancelled(void **state)
{
    struct datastore_fixture *f = *state;
    struct vf_retry_policy retry;
    struct vf_datastore_options o = datastore_options(f, &retry);
    struct vf_cancel *cancel = vf_cancel_new(NULL);
    o.cancel = cancel;
    vf_cancel_trigger(cancel);
    assert_int_equal(datastore_open(f, &o), VF_CANCELLED);
    vf_cancel_free(cancel);
}

#define with_server(test)                                                                          \
    cmocka_unit_test_setup_teardown(test, datastore_set_up, datastore_tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        with_server(test_open__gives_a_disk_of_the_file_s_size),
        with_server(test_open__takes_the_size_it_was_told),
        with_server(test_open__of_a_disk_below_a_sector_works),
        with_server(test_open__of_no_disk_s_name_is_invalid),
        with_server(test_open__locked_file_is_told_and_not_asked_for_again),
        with_server(test_open__file_locked_but_for_its_beginning_is_told),
        with_server(test_open__forbidden_file_is_told),
        with_server(test_open__plain_name_is_asked_for_once),
        with_server(test_open__special_name_is_asked_for_in_both_codings),
        with_server(test_open__other_formats_are_not_flat),
        with_server(test_open__empty_file_is_told),
        with_server(test_open__without_ranges_is_told),
        with_server(test_open__takes_the_size_from_a_range_when_head_tells_none),
        with_server(test_open__two_sizes_are_told),
        with_server(test_open__busy_or_broken_server_is_asked_again),
        with_server(test_open__renews_a_session_that_expired),
        with_server(test_open__cookies_that_are_never_taken_are_an_error),
        with_server(test_open__failure_to_get_a_cookie_stays_what_it_is),
        with_server(test_open__waits_for_a_cookie_that_may_come),
        with_server(test_open__cancelled_is_cancelled),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
