#include "jobs/migration/round.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "importer/base/mem.h"
#include "tests/support/check.h"
#include "tests/support/disk_check.h"
#include "tests/support/event_log.h"
#include "tests/support/warm_model.h"

#define SECTORS 400u
#define KIB     1024u

static struct vf_pool *pool;

struct fixture {
    struct warm_model m;
    struct vf_test_events events;
    struct vf_checkpoint checkpoint;
    struct vf_disks *disks;
    struct warm_snapshot *last;
    struct vf_round_report report;
};

static void begin_run(struct fixture *f)
{
    warm_model_load(&f->m, &f->checkpoint);
    f->disks = vf_disks_new(&(struct vf_disks_env){.target = &f->m.target,
                                                   .checkpoint = &f->checkpoint,
                                                   .pool = pool,
                                                   .reporter = &f->events.reporter,
                                                   .vm = "web01",
                                                   .changes = warm_model_changes,
                                                   .changes_opaque = &f->m,
                                                   .flush_bytes = 16 * KIB});
}

static void end_run(struct fixture *f)
{
    vf_disks_free(f->disks);
    vf_checkpoint_release(&f->checkpoint);
}

static void restart(struct fixture *f)
{
    end_run(f);
    warm_model_crash(&f->m, true);
    begin_run(f);
}

static void init(struct fixture *f)
{
    *f = (struct fixture){0};
    warm_model_init(&f->m, 7, SECTORS);
    f->m.names_by_uuid = true;
    f->m.starts_zero = true;
    vf_test_events_init(&f->events);
    begin_run(f);
}

static void release(struct fixture *f)
{
    end_run(f);
    warm_model_release(&f->m);
    vf_test_events_release(&f->events);
}

static int copy_from(struct fixture *f, struct warm_snapshot *s, struct vf_error **err)
{
    struct vf_vm frozen;
    f->last = s;
    f->m.written_bytes = f->m.read_bytes = 0;
    warm_model_freeze(s, &frozen);
    int rc =
        vf_disks_copy_round(f->disks, &f->m.transport, s->moref, &frozen, NULL, &f->report, err);
    vf_vm_release(&frozen);
    return rc;
}

/* A new snapshot, and its round. */
static int copy(struct fixture *f, struct vf_error **err)
{
    return copy_from(f, warm_model_snapshot(&f->m), err);
}

static void copy_well(struct fixture *f)
{
    assert_int_equal(copy(f, NULL), 0);
    for (size_t i = 0; i < f->last->n_disks; i++) {
        warm_model_compare(&f->m, f->last, i);
    }
}

static void test_round__first_is_full_the_next_what_changed(void **state)
{
    (void)state;
    struct fixture f;
    init(&f);
    copy_well(&f);
    assert_true(f.report.full && !f.report.nothing);
    assert_int_equal(f.report.bytes, SECTORS * 512);
    assert_int_equal(f.report.todo_bytes, SECTORS * 512);
    assert_int_equal(f.report.before_bytes, 0);
    warm_model_write(&f.m, 0, 16, 8, false);
    f.m.rng = 7; /* no area more than changed */
    copy_well(&f);
    assert_false(f.report.full);
    assert_true(f.report.bytes == 4 * KIB || f.report.bytes == 8 * KIB);
    assert_int_equal(f.m.written_bytes, f.report.bytes);
    assert_int_equal(f.m.n_prepares, 1);
    assert_false(vf_test_events_has(&f.events, "warning"));
    vf_test_events_expect(&f.events, "disk_start web01 0 Hard disk 1 0/204800");
    vf_test_events_expect(&f.events, "disk_end web01 0 Hard disk 1 204800/204800");
    release(&f);
}

static void test_round__same_snapshot_again_is_nothing(void **state)
{
    (void)state;
    struct fixture f;
    init(&f);
    copy_well(&f);
    assert_int_equal(copy_from(&f, f.last, NULL), 0);
    assert_true(f.report.nothing && !f.report.full);
    assert_int_equal(f.m.written_bytes, 0);
    release(&f);
}

/* A kill in the middle of the full copy; the snapshot is still there. */
static void test_round__goes_on_where_the_last_flush_was(void **state)
{
    (void)state;
    struct fixture f;
    init(&f);
    f.m.kill_at = 30;
    struct warm_snapshot *s = warm_model_snapshot(&f.m);
    assert_int_not_equal(copy_from(&f, s, NULL), 0);
    restart(&f);
    assert_int_equal(copy_from(&f, s, NULL), 0);
    warm_model_compare(&f.m, s, 0);
    assert_true(f.report.before_bytes > 0 && f.report.full);
    assert_int_equal(f.report.before_bytes + f.report.bytes, SECTORS * 512);
    assert_false(vf_test_events_has(&f.events, "in full"));
    release(&f);
}

static void test_round__lost_snapshot_costs_what_changed_since(void **state)
{
    (void)state;
    struct fixture f;
    init(&f);
    f.m.kill_at = 30;
    struct warm_snapshot *s = warm_model_snapshot(&f.m);
    assert_int_not_equal(copy_from(&f, s, NULL), 0);
    restart(&f);
    s->exists = false;
    warm_model_write(&f.m, 0, 0, 8, false);
    copy_well(&f);
    assert_true(f.report.before_bytes > 0);
    assert_true(f.report.bytes < SECTORS * 512);
    release(&f);
}

static void test_round__broken_one_keeps_what_was_written(void **state)
{
    (void)state;
    struct fixture f;
    struct vf_error *err = NULL;
    init(&f);
    f.m.transport_kind = WARM_IN_ORDER;
    f.m.fail_at = 12;
    check_error(copy(&f, &err), &err, VF_RETRY, "went away");
    uint64_t kept = f.report.bytes;
    assert_true(kept > 0);
    assert_int_equal(copy_from(&f, f.last, NULL), 0);
    assert_int_equal(f.report.before_bytes, kept);
    warm_model_compare(&f.m, f.last, 0);
    release(&f);
}

static void test_round__transport_that_leaves_out_is_found_out(void **state)
{
    (void)state;
    struct fixture f;
    struct vf_error *err = NULL;
    init(&f);
    f.m.leave_out = true;
    check_error(copy(&f, &err), &err, VF_INTERNAL, "left out");
    assert_int_equal(f.checkpoint.disks[0].phase, VF_CHECKPOINT_FULL);
    f.m.leave_out = false;
    assert_int_equal(copy_from(&f, f.last, NULL), 0);
    warm_model_compare(&f.m, f.last, 0);
    release(&f);
}

static void test_round__checkpoint_that_cannot_be_saved_fails_it(void **state)
{
    (void)state;
    struct fixture f;
    struct vf_error *err = NULL;
    init(&f);
    f.m.save_fails = VF_SPACE;
    check_error(copy(&f, &err), &err, VF_SPACE, "cannot be saved");
    assert_int_equal(f.m.written_bytes, 0); /* not before the first one */
    f.m.save_fails = 0;
    copy_well(&f);
    release(&f);
}

static void test_round__untracked_disk_is_full_each_time_and_told_once(void **state)
{
    (void)state;
    struct fixture f;
    init(&f);
    warm_model_reset_tracking(&f.m, 0, false);
    for (unsigned i = 0; i < 3; i++) {
        warm_model_write(&f.m, 0, 3, 5, false);
        copy_well(&f);
        assert_true(f.report.full);
        assert_int_equal(f.report.bytes, SECTORS * 512);
    }
    char *vf_autofree text = vf_test_events_text(&f.events);
    const char *told = strstr(text, "are not tracked");
    assert_non_null(told);
    assert_null(strstr(told + 1, "are not tracked"));
    assert_int_equal(f.m.n_queries, 0);
    release(&f);
}

static void test_round__reset_tracking_is_a_full_copy_said_aloud(void **state)
{
    (void)state;
    struct fixture f;
    init(&f);
    copy_well(&f);
    warm_model_reset_tracking(&f.m, 0, true);
    copy_well(&f);
    assert_true(f.report.full);
    vf_test_events_expect(&f.events, "warning web01: disk \"Hard disk 1\" is copied in full: "
                                     "change tracking was reset");
    release(&f);
}

static void test_round__refused_query_is_a_full_copy_said_aloud(void **state)
{
    (void)state;
    struct fixture f;
    init(&f);
    copy_well(&f);
    f.m.refuse_changes = true;
    copy_well(&f);
    assert_true(f.report.full);
    vf_test_events_expect(&f.events, "(Error caused by file");
    release(&f);
}

static void test_round__disks_that_come_and_go_are_told(void **state)
{
    (void)state;
    struct fixture f;
    init(&f);
    copy_well(&f);
    warm_model_add_disk(&f.m, 100);
    copy_well(&f);
    vf_test_events_expect(&f.events, "was added to the VM: it is copied in full");
    assert_int_equal(f.checkpoint.n_disks, 2);
    assert_int_equal(f.m.n_prepares, 2);
    assert_int_equal(vf_disks_count(f.disks), 2);
    warm_model_remove_disk(&f.m, 0);
    copy_well(&f);
    vf_test_events_expect(&f.events, "disk \"Hard disk 1\" is no longer in the VM");
    assert_int_equal(f.checkpoint.n_disks, 1);
    assert_int_equal(vf_disks_count(f.disks), 1);
    assert_string_equal(vf_disks_get(f.disks, 0).name, "Hard disk 2");
    release(&f);
}

static void test_round__grown_disk_is_full(void **state)
{
    (void)state;
    struct fixture f;
    init(&f);
    copy_well(&f);
    warm_model_resize(&f.m, 0, SECTORS + 64);
    warm_model_write(&f.m, 0, SECTORS + 60, 4, false);
    copy_well(&f);
    assert_int_equal(f.report.bytes, (SECTORS + 64) * 512);
    vf_test_events_expect(&f.events, "copied in full: the disk was resized");
    assert_int_equal(vf_disks_get(f.disks, 0).size_bytes, (SECTORS + 64) * 512);
    release(&f);
}

static void test_round__shrunk_disk_is_conflict(void **state)
{
    (void)state;
    struct fixture f;
    struct vf_error *err = NULL;
    init(&f);
    copy_well(&f);
    f.m.live[0].sectors = SECTORS - 8;
    struct warm_snapshot *s = warm_model_snapshot(&f.m);
    assert_int_equal(copy_from(&f, s, &err), VF_CONFLICT);
    assert_non_null(vf_error_get_hint(err));
    check_error(VF_CONFLICT, &err, VF_CONFLICT, "Hard disk 1");
    assert_int_equal(f.m.written_bytes, 0);
    release(&f);
}

static void test_round__replaced_disk_is_full(void **state)
{
    (void)state;
    struct fixture f;
    init(&f);
    copy_well(&f);
    warm_model_replace(&f.m, 0);
    copy_well(&f);
    assert_true(f.report.full);
    vf_test_events_expect(&f.events, "copied in full: the disk has UUID");
    release(&f);
}

static void test_round__disk_at_another_controller_is_followed(void **state)
{
    (void)state;
    struct fixture f;
    init(&f);
    warm_model_add_disk(&f.m, 100);
    copy_well(&f);
    warm_model_move_key(&f.m, 0);
    copy_well(&f);
    assert_false(f.report.full);
    assert_int_equal(f.checkpoint.n_disks, 2);
    assert_non_null(vf_checkpoint_find_disk(&f.checkpoint, f.m.live[0].key));
    /* And the two in each other's place. */
    int32_t key = f.m.live[0].key;
    f.m.live[0].key = f.m.live[1].key;
    f.m.live[1].key = key;
    warm_model_write(&f.m, 0, 1, 3, false);
    copy_well(&f);
    assert_false(f.report.full);
    assert_false(vf_test_events_has(&f.events, "warning"));
    release(&f);
}

static void test_round__lost_image_is_a_full_copy(void **state)
{
    (void)state;
    struct fixture f;
    init(&f);
    copy_well(&f);
    restart(&f);
    warm_model_find_file(&f.m, f.checkpoint.disks[0].target)->exists = false;
    copy_well(&f); /* though nothing changed */
    assert_true(f.report.full);
    vf_test_events_expect(&f.events, "there is no image");
    release(&f);
}

static void test_round__foreign_checkpoint_is_of_no_use(void **state)
{
    (void)state;
    struct fixture f;
    init(&f);
    copy_well(&f);
    vf_replace_string(&f.checkpoint.instance_uuid, "00000000-7f4c-4d5e-9f60-718293a4b5c6");
    vf_replace_string(&f.checkpoint.vm_name, "db7");
    f.checkpoint.was_on = true;
    copy_well(&f);
    assert_true(f.report.full && f.checkpoint.was_on);
    vf_test_events_expect(&f.events, "is a copy of vm \"db7\"");
    release(&f);
}

static void test_round__finish_gives_the_digest_of_what_is_there(void **state)
{
    (void)state;
    struct fixture f;
    init(&f);
    warm_model_resize(&f.m, 0, 2048 * 3 + 77); /* three leaves, and a part of one */
    copy_well(&f);
    assert_int_equal(vf_disks_refresh_digests(f.disks, NULL, NULL), 0);
    warm_model_write(&f.m, 0, 2048, 1, false);
    f.m.rng = 7;
    copy_well(&f);
    f.m.read_bytes = 0;
    assert_int_equal(vf_disks_finish(f.disks, true, NULL, NULL), 0);
    assert_true(f.m.read_bytes <= 2 * KIB * KIB); /* the leaf that changed, and maybe one more */
    char *vf_autofree digest = warm_model_digest(f.last, 0);
    assert_string_equal(f.m.im.copies[0].digest, digest);
    assert_int_equal(f.m.im.copies[0].size_bytes, (2048 * 3 + 77) * 512);
    assert_true(f.m.im.copies[0].complete);
    release(&f);
}

static void test_round__finish_without_digest_reads_nothing(void **state)
{
    (void)state;
    struct fixture f;
    init(&f);
    copy_well(&f);
    assert_int_equal(vf_disks_finish(f.disks, false, NULL, NULL), 0);
    assert_null(f.m.im.copies[0].digest);
    assert_int_equal(f.m.read_bytes, 0);
    release(&f);
}

static void test_round__finish_of_what_is_not_whole_is_conflict(void **state)
{
    (void)state;
    struct fixture f;
    struct vf_error *err = NULL;
    init(&f);
    check_error(vf_disks_finish(f.disks, true, NULL, &err), &err, VF_INTERNAL, "0 disks");
    f.m.fail_at = 12;
    assert_int_equal(copy(&f, NULL), VF_RETRY);
    check_error(vf_disks_finish(f.disks, true, NULL, &err), &err, VF_CONFLICT, "not copied");
    release(&f);
}

static void test_round__transport_that_copies_itself_has_no_sinks(void **state)
{
    (void)state;
    struct fixture f;
    init(&f);
    f.m.transport.copies_itself = true;
    assert_int_equal(copy(&f, NULL), 0);
    assert_int_equal(f.checkpoint.disks[0].phase, VF_CHECKPOINT_COMPLETE);
    assert_false(warm_model_find_file(&f.m, f.checkpoint.disks[0].target)->exists);
    assert_int_equal(vf_disks_finish(f.disks, true, NULL, NULL), 0);
    assert_int_equal(f.m.im.copies[0].size_bytes, SECTORS * 512);
    assert_null(f.m.im.copies[0].digest);
    release(&f);
}

static void test_round__cancelled_one_is_cancelled_and_keeps(void **state)
{
    (void)state;
    struct fixture f;
    struct vf_vm frozen;
    struct vf_cancel *cancel = vf_cancel_new(NULL);
    init(&f);
    struct warm_snapshot *s = warm_model_snapshot(&f.m);
    warm_model_freeze(s, &frozen);
    f.m.transport_kind = WARM_AREA_COPY;
    vf_cancel_trigger(cancel);
    assert_int_equal(
        vf_disks_copy_round(f.disks, &f.m.transport, s->moref, &frozen, cancel, &f.report, NULL),
        VF_CANCELLED);
    vf_vm_release(&frozen);
    restart(&f);
    vf_cancel_free(cancel);
    copy_well(&f);
    release(&f);
}

static int make_pool(void **state)
{
    (void)state;
    pool = vf_pool_new(3);
    return pool ? 0 : -1;
}

static int free_pool(void **state)
{
    (void)state;
    vf_pool_free(pool);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_round__first_is_full_the_next_what_changed),
        cmocka_unit_test(test_round__same_snapshot_again_is_nothing),
        cmocka_unit_test(test_round__goes_on_where_the_last_flush_was),
        cmocka_unit_test(test_round__lost_snapshot_costs_what_changed_since),
        cmocka_unit_test(test_round__broken_one_keeps_what_was_written),
        cmocka_unit_test(test_round__transport_that_leaves_out_is_found_out),
        cmocka_unit_test(test_round__checkpoint_that_cannot_be_saved_fails_it),
        cmocka_unit_test(test_round__untracked_disk_is_full_each_time_and_told_once),
        cmocka_unit_test(test_round__reset_tracking_is_a_full_copy_said_aloud),
        cmocka_unit_test(test_round__refused_query_is_a_full_copy_said_aloud),
        cmocka_unit_test(test_round__disks_that_come_and_go_are_told),
        cmocka_unit_test(test_round__grown_disk_is_full),
        cmocka_unit_test(test_round__shrunk_disk_is_conflict),
        cmocka_unit_test(test_round__replaced_disk_is_full),
        cmocka_unit_test(test_round__disk_at_another_controller_is_followed),
        cmocka_unit_test(test_round__lost_image_is_a_full_copy),
        cmocka_unit_test(test_round__foreign_checkpoint_is_of_no_use),
        cmocka_unit_test(test_round__finish_gives_the_digest_of_what_is_there),
        cmocka_unit_test(test_round__finish_without_digest_reads_nothing),
        cmocka_unit_test(test_round__finish_of_what_is_not_whole_is_conflict),
        cmocka_unit_test(test_round__transport_that_copies_itself_has_no_sinks),
        cmocka_unit_test(test_round__cancelled_one_is_cancelled_and_keeps),
    };
    return cmocka_run_group_tests(tests, make_pool, free_pool);
}
