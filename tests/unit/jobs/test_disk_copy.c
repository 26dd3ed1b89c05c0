#include "jobs/disk_copy.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include <cmocka.h>

#include "converters/disk/image.h"
#include "jobs/disk_digest.h"
#include "jobs/image_target.h"
#include "tests/support/disk_check.h"
#include "tests/support/leaf_digest.h"
#include "tests/support/memory_stream.h"
#include "tests/support/vmdk_writer.h"

struct listener {
    struct vf_reporter base;
    unsigned n_starts, n_ends, n_errors;
};

static void listen(struct vf_reporter *r, const struct vf_event *e)
{
    struct listener *l = (struct listener *)r;
    l->n_starts += e->type == VF_EVENT_DISK_START;
    l->n_ends += e->type == VF_EVENT_DISK_END;
    l->n_errors += e->type == VF_EVENT_DISK_END && e->error;
}

static const struct vf_reporter_ops listener_ops = {.event = listen};

struct fixture {
    char *dir;
    struct vmdk_image image;
    struct vmdk_file file;
    struct listener listener;
    struct vf_copy_env env;
    struct vf_cancel *cancel;
    struct vf_image_target target;
    struct vf_disk_copy copy;
};

static void begin(struct fixture *f, enum vf_format format, bool overwrite)
{
    if (!f->dir) {
        f->dir = scratch_new();
    }
    f->listener = (struct listener){.base = {&listener_ops}};
    f->env = (struct vf_copy_env){.pool = vf_pool_new(3), .reporter = &f->listener.base};
    f->cancel = vf_cancel_new(NULL);
    f->copy = (struct vf_disk_copy){.want_digest = true, .target = &f->target.target};
    f->copy.name = strdup("Hard disk 1");
    vmdk_image_init(&f->image, 5 * 2048 + 600, 128, 8);
    vmdk_write_stream_esxi(&f->image, NULL, &f->file);
    assert_int_equal(
        vf_image_target_init(&f->target, scratch_path(f->dir, "disk"), format, overwrite, NULL), 0);
}

static void end(struct fixture *f)
{
    vf_disk_copy_release(&f->copy);
    vf_image_target_release(&f->target);
    vf_cancel_free(f->cancel);
    vf_pool_free(f->env.pool);
    vmdk_file_release(&f->file);
    vmdk_image_release(&f->image);
    scratch_release(f->dir);
}

static bool exists(const struct fixture *f, const char *name)
{
    struct stat st;
    return lstat(scratch_path(f->dir, name), &st) == 0;
}

static int copy_bytes(struct fixture *f, size_t len, struct vf_error **err)
{
    struct vf_stream *in = memory_stream_new(f->file.bytes, len, 10000, false);
    int rc = vf_disk_copy_stream(&f->copy, &f->env, in, f->cancel, err);
    vf_stream_free(in);
    return rc;
}

static void expect_image(struct fixture *f, const char *format)
{
    struct vf_disk *disk = NULL;
    char expected[LEAF_DIGEST_SIZE], *text = NULL;
    assert_int_equal(vf_image_open(scratch_path(f->dir, "disk"), format, &disk, NULL, NULL), 0);
    assert_int_equal(disk->size_bytes, f->image.capacity_sectors * 512);
    leaf_digest(f->image.content, disk->size_bytes, expected);
    assert_string_equal(f->copy.digest, expected);
    assert_int_equal(vf_disk_compute_digest(disk, f->env.pool, NULL, NULL, &text, NULL), 0);
    assert_string_equal(text, expected);
    free(text);
    vf_disk_free(disk);
}

static void test_disk_copy__stream_becomes_an_image(void **state)
{
    (void)state;
    for (unsigned i = 0; i < 2; i++) {
        struct fixture f = {.dir = NULL};
        begin(&f, i ? VF_FORMAT_QCOW2 : VF_FORMAT_RAW, false);
        assert_int_equal(copy_bytes(&f, f.file.len, NULL), 0);
        assert_true(exists(&f, "disk.partial"));
        assert_false(exists(&f, "disk"));
        assert_int_equal(f.copy.progress.source_bytes, f.file.len);
        assert_int_equal(f.copy.progress.done_bytes, f.copy.size_bytes);
        assert_int_equal(vf_image_target_commit(&f.target, NULL), 0);
        assert_false(exists(&f, "disk.partial"));
        expect_image(&f, i ? "qcow2" : "raw");
        vf_disk_copy_report_end(&f.copy, &f.env, NULL);
        vf_disk_copy_report_end(&f.copy, &f.env, NULL);
        assert_int_equal(f.listener.n_starts, 1);
        assert_int_equal(f.listener.n_ends, 1);
        end(&f);
    }
}

static void test_disk_copy__failure_leaves_nothing_and_may_start_over(void **state)
{
    (void)state;
    struct fixture f = {.dir = NULL};
    struct vf_error *err = NULL;
    begin(&f, VF_FORMAT_QCOW2, false);
    check_error(copy_bytes(&f, f.file.len - 700, &err), &err, VF_INVALID, "cut short");
    assert_false(exists(&f, "disk.partial"));
    assert_int_equal(copy_bytes(&f, f.file.len, NULL), 0);
    assert_int_equal(f.copy.progress.source_bytes, f.file.len);
    assert_int_equal(f.copy.progress.done_bytes, f.copy.size_bytes);
    assert_int_equal(vf_image_target_commit(&f.target, NULL), 0);
    expect_image(&f, "qcow2");
    assert_int_equal(f.listener.n_starts, 1);
    end(&f);
}

static void test_disk_copy__uncommitted_image_is_removed(void **state)
{
    (void)state;
    struct fixture f = {.dir = NULL};
    begin(&f, VF_FORMAT_RAW, false);
    assert_int_equal(copy_bytes(&f, f.file.len, NULL), 0);
    vf_image_target_release(&f.target);
    assert_false(exists(&f, "disk.partial"));
    assert_false(exists(&f, "disk"));
    end(&f);
}

static void test_disk_copy__stream_of_another_size_is_refused(void **state)
{
    (void)state;
    struct fixture f = {.dir = NULL};
    struct vf_error *err = NULL;
    begin(&f, VF_FORMAT_RAW, false);
    f.copy.expected_bytes = f.image.capacity_sectors * 512 + 512;
    check_error(copy_bytes(&f, f.file.len, &err), &err, VF_INVALID, "but the hardware says");
    assert_false(exists(&f, "disk.partial"));
    f.copy.expected_bytes -= 512;
    assert_int_equal(copy_bytes(&f, f.file.len, NULL), 0);
    end(&f);
}

static void test_disk_copy__cancelled_copy_is_no_copy(void **state)
{
    (void)state;
    struct fixture f = {.dir = NULL};
    struct vf_error *err = NULL;
    begin(&f, VF_FORMAT_RAW, false);
    vf_cancel_trigger(f.cancel);
    check_error(copy_bytes(&f, f.file.len, &err), &err, VF_CANCELLED, "cancelled");
    assert_false(exists(&f, "disk.partial"));
    end(&f);
}

static void test_disk_copy__blank_and_disk_arrive(void **state)
{
    (void)state;
    struct fixture f = {.dir = scratch_new()};
    scratch_write(f.dir, "source", "x", 1);
    begin(&f, VF_FORMAT_QCOW2, false);
    f.copy.expected_bytes = f.image.capacity_sectors * 512;
    memset(f.image.content, 0, f.copy.expected_bytes);
    assert_int_equal(vf_disk_copy_blank(&f.copy, &f.env, f.cancel, NULL), 0);
    assert_int_equal(vf_image_target_commit(&f.target, NULL), 0);
    expect_image(&f, "qcow2");
    end(&f);

    f = (struct fixture){.dir = scratch_new()};
    begin(&f, VF_FORMAT_QCOW2, false);
    size_t size = f.image.capacity_sectors * 512;
    scratch_write(f.dir, "source", f.image.content, size);
    struct vf_disk *disk = NULL;
    struct vf_error *err = NULL;
    assert_int_equal(vf_image_open(scratch_path(f.dir, "source"), "raw", &disk, NULL, NULL), 0);
    f.copy.expected_bytes = 512;
    check_error(vf_disk_copy_disk(&f.copy, &f.env, disk, f.cancel, &err), &err, VF_INVALID,
                "but the hardware says 512");
    f.copy.expected_bytes = 0;
    assert_int_equal(vf_disk_copy_disk(&f.copy, &f.env, disk, f.cancel, NULL), 0);
    vf_disk_free(disk);
    assert_int_equal(vf_image_target_commit(&f.target, NULL), 0);
    expect_image(&f, "qcow2");
    end(&f);
}

static void test_disk_copy__overwrite_keeps_the_old_until_the_end(void **state)
{
    (void)state;
    struct fixture f = {.dir = scratch_new()};
    scratch_write_text(f.dir, "disk", "old");
    begin(&f, VF_FORMAT_RAW, true);
    assert_int_equal(copy_bytes(&f, 5000, NULL), VF_INVALID);
    size_t len;
    free(scratch_read(f.dir, "disk", &len));
    assert_int_equal(len, 3);
    assert_int_equal(copy_bytes(&f, f.file.len, NULL), 0);
    assert_int_equal(vf_image_target_commit(&f.target, NULL), 0);
    expect_image(&f, "raw");
    end(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_disk_copy__stream_becomes_an_image),
        cmocka_unit_test(test_disk_copy__failure_leaves_nothing_and_may_start_over),
        cmocka_unit_test(test_disk_copy__uncommitted_image_is_removed),
        cmocka_unit_test(test_disk_copy__stream_of_another_size_is_refused),
        cmocka_unit_test(test_disk_copy__cancelled_copy_is_no_copy),
        cmocka_unit_test(test_disk_copy__blank_and_disk_arrive),
        cmocka_unit_test(test_disk_copy__overwrite_keeps_the_old_until_the_end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
