#include "jobs/verify.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "converters/disk/qcow2.h"
#include "importer/target/dir.h"
#include "tests/support/check.h"
#include "tests/support/disk_check.h"
#include "tests/support/leaf_digest.h"
#include "tests/support/vmdk_writer.h"

#define MIB 1048576u

struct listener {
    struct vf_reporter base;
    unsigned n_starts, n_ends, n_errors, n_infos, n_warnings;
    uint64_t done_bytes;
};

static void listen(struct vf_reporter *r, const struct vf_event *e)
{
    struct listener *l = (struct listener *)r;
    l->n_starts += e->type == VF_EVENT_DISK_START;
    l->n_infos += e->type == VF_EVENT_INFO;
    l->n_warnings += e->type == VF_EVENT_WARNING;
    if (e->type == VF_EVENT_DISK_END) {
        l->n_ends++;
        l->n_errors += e->error != NULL;
        l->done_bytes += e->progress->done_bytes;
    }
}

static const struct vf_reporter_ops listener_ops = {.event = listen};

/* A folder with a raw image of `size` bytes and a qcow2 of the same content, and their record. */
static char *make_import(uint64_t size)
{
    char *dir = scratch_new(), digest[LEAF_DIGEST_SIZE];
    uint8_t *content = calloc(1, (size_t)size);
    uint64_t rng = 4;
    for (uint64_t i = 0; i < size; i++) {
        content[i] = i / MIB % 3 == 1 ? 0 : (uint8_t)vmdk_random(&rng);
    }
    leaf_digest(content, size, digest);
    scratch_write(dir, "a-disk-0.img", content, (size_t)size);
    struct vf_sink *sink = NULL;
    vf_test_check(vf_qcow2_sink_create(scratch_path(dir, "a-disk-1.qcow2"), size, &sink, NULL) ==
                  0);
    vf_test_check(vf_sink_write(sink, content, (size_t)size, 0, NULL) == 0);
    vf_test_check(vf_sink_finish(sink, NULL) == 0);
    vf_sink_free(sink);
    scratch_write_text(dir, VF_RECORD_NAME,
                       "{\"recordVersion\":1,\"vm\":\"a\",\"name\":\"a\",\"disks\":["
                       "{\"file\":\"a-disk-0.img\",\"format\":\"raw\",\"sizeBytes\":%llu,"
                       "\"digest\":\"%s\"},"
                       "{\"file\":\"a-disk-1.qcow2\",\"format\":\"qcow2\",\"sizeBytes\":%llu,"
                       "\"digest\":\"%s\"}]}",
                       (unsigned long long)size, digest, (unsigned long long)size, digest);
    free(content);
    return dir;
}

static void damage(const char *dir, const char *name, uint64_t at)
{
    size_t len;
    uint8_t *bytes = scratch_read(dir, name, &len);
    bytes[at] ^= 1;
    scratch_write(dir, name, bytes, len);
    free(bytes);
}

static void test_verify__good_import_is_good(void **state)
{
    (void)state;
    char *dir = make_import(5 * MIB + 1536);
    for (unsigned threads = 0; threads < 4; threads++) {
        struct listener l = {.base = {&listener_ops}};
        assert_int_equal(vf_verify_run(dir, threads, &l.base, NULL, NULL), 0);
        assert_int_equal(l.n_starts, 2);
        assert_int_equal(l.n_ends, 2);
        assert_int_equal(l.n_errors, 0);
        assert_int_equal(l.n_infos, 2);
        assert_int_equal(l.done_bytes, 2 * (5 * MIB + 1536));
    }
    scratch_release(dir);
}

static void test_verify__one_bit_is_found_and_all_disks_are_told(void **state)
{
    (void)state;
    char *dir = make_import(3 * MIB);
    struct vf_error *err = NULL;
    const uint64_t places[] = {0, MIB + 7, 3 * MIB - 1}; /* one where all is zero */
    for (unsigned i = 0; i < 3; i++) {
        struct listener l = {.base = {&listener_ops}};
        damage(dir, "a-disk-0.img", places[i]);
        int rc = vf_verify_run(dir, 2, &l.base, NULL, &err);
        assert_non_null(vf_error_get_hint(err));
        check_error(rc, &err, VF_INVALID, "1 of 2 disks failed");
        assert_int_equal(l.n_ends, 2);
        assert_int_equal(l.n_errors, 1);
        damage(dir, "a-disk-0.img", places[i]);
    }
    damage(dir, "a-disk-0.img", 5);
    unlink(scratch_path(dir, "a-disk-1.qcow2"));
    struct listener l = {.base = {&listener_ops}};
    check_error(vf_verify_run(dir, 2, &l.base, NULL, &err), &err, VF_INVALID,
                "2 of 2 disks failed");
    assert_int_equal(l.n_warnings, 1);
    scratch_release(dir);
}

static void test_verify__another_size_is_told_as_such(void **state)
{
    (void)state;
    char *dir = make_import(2 * MIB);
    struct vf_error *err = NULL;
    vf_test_check(truncate(scratch_path(dir, "a-disk-0.img"), 2 * MIB + 512) == 0);
    check_error(vf_verify_run(dir, 1, NULL, NULL, &err), &err, VF_INVALID,
                "is of 2097664 bytes, and the record says 2097152");
    scratch_release(dir);
}

static void test_verify__no_record_is_missing(void **state)
{
    (void)state;
    char *dir = scratch_new();
    struct vf_error *err = NULL;
    check_error(vf_verify_run(dir, 1, NULL, NULL, &err), &err, VF_MISSING, "vmferry.json");
    scratch_release(dir);
}

static void test_verify__cancellation_is_no_verdict(void **state)
{
    (void)state;
    char *dir = make_import(2 * MIB);
    struct vf_cancel *cancel = vf_cancel_new(NULL);
    struct vf_error *err = NULL;
    vf_cancel_trigger(cancel);
    check_error(vf_verify_run(dir, 1, NULL, cancel, &err), &err, VF_CANCELLED, "cancelled");
    vf_cancel_free(cancel);
    scratch_release(dir);
}

/* Of a migration with --no-digest. */
static void test_verify__without_a_digest_nothing_is_compared(void **state)
{
    (void)state;
    char *dir = make_import(MIB);
    struct vf_error *err = NULL;
    scratch_write_text(dir, VF_RECORD_NAME,
                       "{\"recordVersion\":1,\"vm\":\"a\",\"name\":\"a\",\"disks\":["
                       "{\"file\":\"a-disk-0.img\",\"format\":\"raw\",\"sizeBytes\":%u}]}",
                       MIB);
    check_error(vf_verify_run(dir, 1, NULL, NULL, &err), &err, VF_MISSING, "without a digest");
    scratch_release(dir);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_verify__good_import_is_good),
        cmocka_unit_test(test_verify__one_bit_is_found_and_all_disks_are_told),
        cmocka_unit_test(test_verify__another_size_is_told_as_such),
        cmocka_unit_test(test_verify__no_record_is_missing),
        cmocka_unit_test(test_verify__cancellation_is_no_verdict),
        cmocka_unit_test(test_verify__without_a_digest_nothing_is_compared),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
