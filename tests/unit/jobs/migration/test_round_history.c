/* Rounds over any history: a guest that writes, disks that come, go, grow and move, tracking that
 * is reset, snapshots that are lost, calls that fail, and a program or a machine that ends at any
 * call. At the end the target holds what the last snapshot has, and every checkpoint that was saved
 * on the way told the truth (tests/support/warm_model.h). */
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "importer/base/mem.h"
#include "jobs/migration/round.h"
#include "tests/support/check.h"
#include "tests/support/warm_model.h"

#ifdef __SANITIZE_THREAD__
#define N_HISTORIES 60
#else
#define N_HISTORIES 250
#endif
#define MAX_STEPS 30

static struct vf_pool *pool;

/* What one run of the program has. */
struct run {
    struct vf_checkpoint checkpoint;
    struct vf_disks *disks;
};

struct history {
    struct warm_model m;
    struct run run;
    bool runs;
    struct warm_snapshot *last;
    unsigned n_crashes;
};

/* Counted, so that the test can show that it went everywhere. */
static struct {
    unsigned good, failed, crashed, went_on, full, nothing, finished;
} seen;

static uint64_t dice(struct history *h, uint64_t n)
{
    return warm_model_random(&h->m, n);
}

static void start_run(struct history *h)
{
    if (h->runs) {
        return;
    }
    h->runs = true;
    warm_model_load(&h->m, &h->run.checkpoint);
    h->run.disks = vf_disks_new(&(struct vf_disks_env){.target = &h->m.target,
                                                       .checkpoint = &h->run.checkpoint,
                                                       .pool = pool,
                                                       .vm = "web01",
                                                       .changes = warm_model_changes,
                                                       .changes_opaque = &h->m,
                                                       .flush_bytes = 512 + dice(h, 64 << 10)});
    h->m.kill_at = dice(h, 2) ? 1 + dice(h, 80) : 0;
    h->m.fail_at = dice(h, 3) == 0 ? 1 + dice(h, 60) : 0;
}

static void end_run(struct history *h, bool power_loss)
{
    if (h->runs) {
        vf_disks_free(h->run.disks);
        vf_checkpoint_release(&h->run.checkpoint);
        h->runs = false;
    }
    warm_model_crash(&h->m, power_loss);
}

static void change_hardware(struct history *h)
{
    struct warm_model *m = &h->m;
    size_t index = (size_t)dice(h, m->n_live);
    switch (dice(h, 7)) {
    case 0:
        if (m->n_live < 3) {
            warm_model_add_disk(m, 1 + dice(h, 200));
        }
        break;
    case 1:
        if (m->n_live > 1) {
            warm_model_remove_disk(m, index);
        }
        break;
    case 2:
        warm_model_resize(m, index, m->live[index].sectors + 1 + dice(h, 64));
        break;
    case 3:
        warm_model_replace(m, index);
        break;
    case 4:
        warm_model_move_key(m, index);
        break;
    default:
        warm_model_reset_tracking(m, index, dice(h, 4) != 0);
        break;
    }
}

/* As the machine does: none of ours is left between good rounds; after a failure the same one may
 * be used again, if it is still there. */
static void choose_snapshot(struct history *h, bool fresh)
{
    if (h->last && h->last->exists && !fresh && dice(h, 2)) {
        return;
    }
    if (h->last) {
        h->last->exists = false;
    }
    h->last = warm_model_snapshot(&h->m);
}

static int copy_round(struct history *h)
{
    struct vf_vm frozen;
    struct vf_round_report report;
    warm_model_freeze(h->last, &frozen);
    h->m.transport_kind = (enum warm_transport_kind)dice(h, 3);
    struct vf_error *err = NULL;
    int rc = vf_disks_copy_round(h->run.disks, &h->m.transport, h->last->moref, &frozen, NULL,
                                 &report, &err);
    vf_test_check((rc == 0) == (err == NULL));
    vf_error_free(err);
    if (rc == 0) {
        vf_test_check(report.before_bytes + report.bytes >= report.todo_bytes || h->m.dead);
        seen.went_on += report.before_bytes > 0;
        seen.full += report.full;
        seen.nothing += report.nothing;
    }
    vf_vm_release(&frozen);
    seen.good += rc == 0;
    seen.failed += rc != 0 && !h->m.dead;
    return rc;
}

static int finish(struct history *h)
{
    int rc = vf_disks_finish(h->run.disks, true, NULL, NULL);
    if (rc) {
        return rc;
    }
    for (size_t i = 0; i < h->last->n_disks; i++) {
        char *vf_autofree digest = warm_model_digest(h->last, i);
        warm_model_compare(&h->m, h->last, i);
        vf_test_check(h->m.im.copies[i].digest);
        vf_test_check(strcmp(h->m.im.copies[i].digest, digest) == 0);
        vf_test_check(h->m.im.copies[i].size_bytes == h->last->disks[i].sectors * 512);
    }
    seen.finished++;
    return 0;
}

/* One step; true: the cutover was good, and this is the end. */
static bool step(struct history *h, bool last)
{
    struct warm_model *m = &h->m;
    if (dice(h, 3) == 0) {
        end_run(h, dice(h, 2));
    }
    start_run(h);
    if (last) {
        m->kill_at = m->fail_at = 0;
    }
    warm_model_guest(m, (unsigned)dice(h, 12));
    if (dice(h, 8) == 0 && !last) {
        change_hardware(h);
    }
    m->refuse_changes = dice(h, 20) == 0;
    choose_snapshot(h, last);
    int rc = copy_round(h);
    if (rc == 0 && dice(h, 6) == 0) {
        rc = vf_disks_refresh_digests(h->run.disks, NULL, NULL);
    }
    if (rc == 0 && (last || dice(h, 8) == 0)) {
        rc = finish(h);
    }
    if (rc == 0 && !m->dead) {
        h->last->exists = dice(h, 6) == 0; /* whose removal failed */
    }
    if (m->dead) {
        seen.crashed++;
        h->n_crashes++;
        end_run(h, dice(h, 2));
    }
    vf_test_check(!last || rc == 0);
    return last;
}

/* Failures of the model abort: say which history it was. */
static char seed_text[64];

static void tell_seed(int signal)
{
    (void)signal;
    if (write(STDERR_FILENO, seed_text, strlen(seed_text)) < 0) {
        _exit(1);
    }
}

static void run_history(uint64_t seed)
{
    struct history h = {0};
    warm_model_init(&h.m, seed, 1 + seed % 7 * 40);
    if (seed % 100 == 0) { /* more than one leaf of the digest */
        warm_model_resize(&h.m, 0, 2048 * 2 + 300);
    }
    h.m.names_by_uuid = dice(&h, 2);
    h.m.starts_zero = dice(&h, 2);
    h.m.max_text = dice(&h, 3) ? VF_CHECKPOINT_MAX_BYTES : 4096;
    uint64_t steps = 1 + dice(&h, MAX_STEPS);
    for (uint64_t i = 0; !step(&h, i == steps); i++) {
    }
    end_run(&h, false);
    warm_model_release(&h.m);
}

static void test_round__any_history_ends_with_the_sources_bytes(void **state)
{
    (void)state;
    /* One alone, to look into a failure: VMFERRY_TEST_SEED=N; or more of them. */
    const char *only = getenv("VMFERRY_TEST_SEED"), *more = getenv("VMFERRY_TEST_HISTORIES");
    uint64_t from = only ? strtoull(only, NULL, 10) : 1;
    uint64_t until = only ? from : more ? strtoull(more, NULL, 10) : N_HISTORIES;
    for (uint64_t seed = from; seed <= until; seed++) {
        snprintf(seed_text, sizeof seed_text, "in history %llu\n", (unsigned long long)seed);
        run_history(seed);
    }
    fprintf(stderr,
            "%u good rounds (%u went on, %u in full, %u of nothing), %u failed, %u ends "
            "in the middle, %u cutovers\n",
            seen.good, seen.went_on, seen.full, seen.nothing, seen.failed, seen.crashed,
            seen.finished);
    if (!only) {
        assert_true(seen.good > N_HISTORIES && seen.failed > N_HISTORIES / 10);
        assert_true(seen.crashed > N_HISTORIES / 2 && seen.went_on > N_HISTORIES / 10);
        assert_true(seen.full > N_HISTORIES && seen.nothing > N_HISTORIES / 10);
    }
}

static int make_pool(void **state)
{
    (void)state;
    signal(SIGABRT, tell_seed);
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
        cmocka_unit_test(test_round__any_history_ends_with_the_sources_bytes),
    };
    return cmocka_run_group_tests(tests, make_pool, free_pool);
}
