#include "jobs/checkpoint.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "importer/base/mem.h"
#include "jobs/checkpoint_private.h"

/* A text in memory that may be written to, as the fields are declared. */
#define S(text) ((char[]){text})

#define TRACKING "52 de c0 d9 b9 43 9d 10-61 d5 4c 1b e9 7b 65 63/"
#define GIB      (UINT64_C(1) << 30)

static uint64_t random_below(uint64_t *state, uint64_t n)
{
    *state ^= *state >> 12;
    *state ^= *state << 25;
    *state ^= *state >> 27;
    return *state * UINT64_C(2685821657736338717) % n;
}

static const struct vf_vm_disk disk_a = {
    .key = 2000, .label = S("Hard disk 1"), .uuid = S("6000C29a-1"), .capacity_bytes = GIB};
static const struct vf_vm_disk disk_b = {.key = 2001, .capacity_bytes = 1000001};

/* Two disks: a in its second delta, b in its full copy. */
static struct vf_checkpoint sample(void)
{
    struct vf_checkpoint c = {.instance_uuid = vf_xstrdup("50-uuid"),
                              .moref = vf_xstrdup("vm-42"),
                              .vm_name = vf_xstrdup("web \"01\" \xc3\xa4"),
                              .updated = vf_xstrdup("2026-11-21T14:18:25Z"),
                              .stage = VF_STAGE_CUTOVER,
                              .was_on = true};
    vf_checkpoint_add_disk(&c, &disk_a, "web-disk-0.img");
    vf_checkpoint_add_disk(&c, &disk_b, "web-disk-1.img");
    struct vf_checkpoint_disk *a = &c.disks[0], *b = &c.disks[1];
    vf_checkpoint_disk_begin_full(a, "snapshot-1", TRACKING "1");
    vf_checkpoint_disk_complete(a);
    assert_int_equal(vf_checkpoint_disk_begin_delta(a, "snapshot-2", TRACKING "4", NULL), 0);
    vf_checkpoint_disk_complete(a);
    assert_int_equal(vf_checkpoint_disk_begin_delta(a, "snapshot-3", TRACKING "7", NULL), 0);
    assert_int_equal(vf_areas_add(&a->done, 0, 1 << 20, NULL), 0);
    assert_int_equal(vf_areas_add(&a->done, 5 << 20, 512, NULL), 0);
    a->copied_bytes = VF_CHECKPOINT_MAX_COUNT;
    vf_checkpoint_disk_begin_full(b, "snapshot-3", NULL);
    assert_int_equal(vf_areas_add(&b->done, 999936, 65, NULL), 0);
    vf_checkpoint_add_round(&c, &(struct vf_round){7, 7, 7, 7}, true);
    vf_checkpoint_add_round(&c, &(struct vf_round){1000, 0, 10, 1}, true);
    vf_checkpoint_add_round(&c, &(struct vf_round){UINT64_MAX, 60000, 5000, -3}, false);
    return c;
}

static char *text_of(const struct vf_checkpoint *c, size_t max_bytes)
{
    char *text = NULL;
    struct vf_error *err = NULL;
    assert_int_equal(vf_checkpoint_encode(c, max_bytes, &text, &err), 0);
    assert_null(err);
    assert_true(strlen(text) <= max_bytes);
    return text;
}

static struct vf_checkpoint parsed(const char *text)
{
    struct vf_checkpoint c = {0};
    struct vf_error *err = NULL;
    int rc = vf_checkpoint_parse(text, strlen(text), &c, &err);
    if (rc) {
        print_error("%s\n", vf_error_message(err));
    }
    assert_int_equal(rc, 0);
    return c;
}

static void test_checkpoint__what_is_written_is_read(void **state)
{
    (void)state;
    struct vf_checkpoint c = sample();
    char *text = text_of(&c, VF_CHECKPOINT_MAX_BYTES);
    struct vf_checkpoint r = parsed(text);
    assert_string_equal(r.instance_uuid, "50-uuid");
    assert_string_equal(r.moref, "vm-42");
    assert_string_equal(r.vm_name, c.vm_name);
    assert_string_equal(r.updated, c.updated);
    assert_int_equal(r.stage, VF_STAGE_CUTOVER);
    assert_true(r.was_on);
    assert_int_equal(r.n_disks, 2);
    const struct vf_checkpoint_disk *a = &r.disks[0], *b = &r.disks[1];
    assert_int_equal(a->key, 2000);
    assert_string_equal(a->label, "Hard disk 1");
    assert_string_equal(a->target, "web-disk-0.img");
    assert_string_equal(a->backing_uuid, "6000C29a-1");
    assert_int_equal(a->size_bytes, GIB);
    assert_int_equal(a->phase, VF_CHECKPOINT_DELTA);
    assert_int_equal(a->round, 2);
    assert_string_equal(a->snapshot, "snapshot-3");
    assert_string_equal(a->change_id, TRACKING "7");
    assert_string_equal(a->base_change_id, TRACKING "4");
    assert_true(a->copied_bytes == VF_CHECKPOINT_MAX_COUNT);
    assert_string_equal(a->round_started, c.disks[0].round_started);
    assert_int_equal(a->done.count, 2);
    assert_true(vf_areas_contains(&a->done, 0, 1 << 20));
    assert_true(vf_areas_contains(&a->done, 5 << 20, 512));
    assert_null(b->label);
    assert_null(b->change_id);
    assert_int_equal(b->phase, VF_CHECKPOINT_FULL);
    assert_true(vf_areas_contains(&b->done, 999936, 65));
    assert_int_equal(b->done.total_bytes, 65);
    assert_int_equal(r.n_rounds, 2);
    assert_int_equal(r.rounds[0].bytes, 1000);
    assert_int_equal(r.rounds[1].bytes, VF_CHECKPOINT_MAX_COUNT);
    assert_int_equal(r.rounds[1].span_ms, 60000);
    assert_int_equal(r.rounds[1].copy_ms, 5000);
    assert_int_equal(r.rounds[1].overhead_ms, 0);
    /* The same content is the same text. */
    char *again = text_of(&r, VF_CHECKPOINT_MAX_BYTES);
    assert_string_equal(again, text);
    free(again);
    free(text);
    vf_checkpoint_release(&r);
    vf_checkpoint_release(&r);
    vf_checkpoint_release(&c);
}

static void test_checkpoint__every_stage_is_read_back(void **state)
{
    (void)state;
    static const enum vf_checkpoint_stage stages[] = {VF_STAGE_PRECOPY, VF_STAGE_CUTOVER,
                                                      VF_STAGE_DELIVERED};
    for (size_t i = 0; i < 2 * sizeof stages / sizeof *stages; i++) {
        struct vf_checkpoint c = sample();
        c.stage = stages[i / 2];
        c.was_on = i % 2;
        c.cutover_s = i > 2 ? INT64_C(1800000000) : 0;
        char *text = text_of(&c, VF_CHECKPOINT_MAX_BYTES);
        struct vf_checkpoint r = parsed(text);
        assert_int_equal(r.stage, c.stage);
        assert_int_equal(r.was_on, c.was_on);
        assert_int_equal(r.cutover_s, c.cutover_s);
        vf_checkpoint_release(&r);
        vf_checkpoint_release(&c);
        free(text);
    }
}

static void test_checkpoint__torn_or_altered_anywhere_is_invalid(void **state)
{
    (void)state;
    struct vf_checkpoint c = sample(), r = {0};
    char *text = text_of(&c, VF_CHECKPOINT_MAX_BYTES);
    size_t len = strlen(text);
    for (size_t i = 0; i < len; i++) {
        assert_int_equal(vf_checkpoint_parse(text, i, &r, NULL), VF_INVALID);
        text[i] ^= 1;
        assert_int_equal(vf_checkpoint_parse(text, len, &r, NULL), VF_INVALID);
        text[i] ^= 1;
    }
    /* Zeros in the place of the last block, as a filesystem leaves them after a power loss. */
    memset(text + len - 40, 0, 40);
    struct vf_error *err = NULL;
    assert_int_equal(vf_checkpoint_parse(text, len, &r, &err), VF_INVALID);
    assert_non_null(strstr(vf_error_message(err), "cut off"));
    vf_error_free(err);
    free(text);
    vf_checkpoint_release(&c);
}

#define STAGE "\"stage\":\"precopy\",\"sourceWasOn\":false,"
#define OPEN  "{\"checkpointVersion\":1,\"vm\":{\"instanceUuid\":\"u\"},"
#define HEAD  OPEN STAGE "\"disks\":["
#define DISK(phase, more)                                                                          \
    "{\"key\":1,\"target\":\"t\",\"sizeBytes\":2048,\"phase\":\"" phase "\",\"snapshot\":\"s\","   \
    "\"roundBytes\":0,\"copiedBytes\":0,\"roundStarted\":\"x\"," more "}"

#define ROUND "{\"bytes\":1,\"spanMs\":1,\"copyMs\":1,\"overheadMs\":1}"

static void test_checkpoint__what_makes_no_sense_is_refused(void **state)
{
    (void)state;
    static const struct {
        const char *text, *message;
        int code;
    } cases[] = {
        {"[1]", "not JSON", VF_INVALID},
        {"{\"a\":1}", "no checkpointVersion", VF_INVALID},
        {"{\"checkpointVersion\":\"1\"}", "no checkpointVersion", VF_INVALID},
        {"{\"checkpointVersion\":2}", "version 2", VF_UNSUPPORTED},
        {"{\"checkpointVersion\":1}", "0 disks", VF_INVALID},
        {HEAD "]}", "0 disks", VF_INVALID},
        {HEAD "7]}", "a number", VF_INVALID},
        {"{\"checkpointVersion\":1," STAGE "\"disks\":[" DISK("full", "\"round\":0") "]}", "no VM",
         VF_INVALID},
        {OPEN "\"disks\":[" DISK("full", "\"round\":0") "]}", "how far", VF_INVALID},
        {OPEN "\"stage\":\"cutover\",\"disks\":[" DISK("full", "\"round\":0") "]}", "how far",
         VF_INVALID},
        {OPEN "\"sourceWasOn\":true,\"disks\":[" DISK("full", "\"round\":0") "]}", "how far",
         VF_INVALID},
        {OPEN
         "\"stage\":\"done\",\"sourceWasOn\":true,\"disks\":[" DISK("full", "\"round\":0") "]}",
         "how far", VF_INVALID},
        {OPEN "\"stage\":\"cutover\",\"sourceWasOn\":\"true\",\"disks\":[" DISK("full",
                                                                                "\"round\":0") "]}",
         "how far", VF_INVALID},
        {HEAD DISK("full", "\"round\":-1") "]}", "a number", VF_INVALID},
        {HEAD DISK("full", "\"round\":4294967296") "]}", "a number", VF_INVALID},
        {HEAD DISK("warm", "\"round\":0") "]}", "phase", VF_INVALID},
        {HEAD DISK("full", "\"round\":1") "]}", "fit phase \"full\"", VF_INVALID},
        {HEAD DISK("delta", "\"round\":1") "]}", "fit phase \"delta\"", VF_INVALID},
        {HEAD DISK("full", "\"round\":0,\"changeId\":\"*\"") "]}", "change ID", VF_INVALID},
        {HEAD DISK("full", "\"round\":0,\"baseChangeId\":\"a/1\"") "]}", "fit phase", VF_INVALID},
        {HEAD DISK("delta", "\"round\":1,\"changeId\":\"a/1\",\"baseChangeId\":\"b/1\"") "]}",
         "follow", VF_INVALID},
        {HEAD DISK("delta", "\"round\":1,\"changeId\":\"a/1\",\"baseChangeId\":\"a/2\"") "]}",
         "follow", VF_INVALID},
        {HEAD DISK("complete", "\"round\":1,\"done\":\"0,1\"") "]}", "fit phase", VF_INVALID},
        {HEAD DISK("full", "\"round\":0,\"done\":\"0\"") "]}", "done areas", VF_INVALID},
        {HEAD DISK("full", "\"round\":0,\"done\":\"0,\"") "]}", "done areas", VF_INVALID},
        {HEAD DISK("full", "\"round\":0,\"done\":\"0,0\"") "]}", "done areas", VF_INVALID},
        {HEAD DISK("full", "\"round\":0,\"done\":\"0,1,0,1\"") "]}", "done areas", VF_INVALID},
        {HEAD DISK("full", "\"round\":0,\"done\":\"0,5\"") "]}", "done areas", VF_INVALID},
        {HEAD DISK("full", "\"round\":0,\"done\":\"0,01\"") "]}", "done areas", VF_INVALID},
        {HEAD DISK("full", "\"round\":0,\"done\":\"0,1,\"") "]}", "done areas", VF_INVALID},
        {HEAD DISK("full", "\"round\":0,\"done\":\"0,1;1,1\"") "]}", "done areas", VF_INVALID},
        {HEAD DISK("full", "\"round\":0,\"done\":\"0,F\"") "]}", "done areas", VF_INVALID},
        {HEAD DISK("full", "\"round\":0,\"done\":\"fffffffffffffff,fffffffffffffff\"") "]}",
         "done areas", VF_INVALID},
        {HEAD DISK("full", "\"round\":0,\"done\":\"10000000000000000,1\"") "]}", "done areas",
         VF_INVALID},
        {HEAD DISK("full", "\"round\":0") "],\"rounds\":[1]}", "rounds", VF_INVALID},
        {HEAD DISK("full", "\"round\":0") "],\"cutoverUnixSeconds\":-1}", "time of its cutover",
         VF_INVALID},
        {HEAD DISK("full", "\"round\":0") "],\"cutoverUnixSeconds\":\"1\"}", "time of its cutover",
         VF_INVALID},
        {HEAD DISK("full", "\"round\":0") "],\"rounds\":[" ROUND "," ROUND "," ROUND "," ROUND
                                          "," ROUND "," ROUND "," ROUND "," ROUND "," ROUND "]}",
         "rounds", VF_INVALID},
        {HEAD DISK("full", "\"round\":0") "," DISK("full", "\"round\":0") "]}", "same key",
         VF_INVALID},
        {HEAD "{\"key\":1,\"round\":0,\"sizeBytes\":0,\"roundBytes\":0,\"copiedBytes\":0,"
              "\"phase\":\"full\",\"snapshot\":\"s\",\"target\":\"t\",\"roundStarted\":\"x\"}]}",
         "size", VF_INVALID},
        {HEAD "{\"key\":1,\"round\":0,\"sizeBytes\":512,\"roundBytes\":0,\"copiedBytes\":0,"
              "\"phase\":\"full\",\"snapshot\":\"\",\"target\":\"t\",\"roundStarted\":\"x\"}]}",
         "snapshot", VF_INVALID},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char *text = vf_checkpoint_seal(cases[i].text, strlen(cases[i].text));
        struct vf_checkpoint r = {0};
        struct vf_error *err = NULL;
        int rc = vf_checkpoint_parse(text, strlen(text), &r, &err);
        if (rc != cases[i].code || !strstr(vf_error_message(err), cases[i].message)) {
            print_error("%s gives %d: %s\n", cases[i].text, rc, vf_error_message(err));
            fail();
        }
        vf_error_free(err);
        free(text);
    }
    /* The table's own form is a good one. */
    const char *good = HEAD DISK("full", "\"round\":0,\"done\":\"0,1,1,2\"") "]}";
    char *text = vf_checkpoint_seal(good, strlen(good));
    struct vf_checkpoint r = parsed(text);
    assert_int_equal(r.disks[0].done.total_bytes, 1536);
    vf_checkpoint_release(&r);
    free(text);
}

static void test_checkpoint__too_many_areas_leave_out_the_smallest(void **state)
{
    (void)state;
    struct vf_checkpoint c = sample();
    struct vf_checkpoint_disk *a = &c.disks[0];
    for (uint64_t i = 0; i < 50000; i++) {
        assert_int_equal(vf_areas_add(&a->done, (i * 20 + 5000) * 512, i % 100 ? 512 : 4096, NULL),
                         0);
    }
    char *text = text_of(&c, VF_CHECKPOINT_ANNOTATION_MAX_BYTES);
    assert_true(strlen(text) > VF_CHECKPOINT_ANNOTATION_MAX_BYTES * 2 / 5); /* the other's half */
    struct vf_checkpoint r = parsed(text);
    struct vf_areas *kept = &r.disks[0].done;
    assert_true(kept->count > 8000);
    assert_true(vf_areas_contains(kept, 0, 1 << 20));
    for (uint64_t i = 0; i < 50000; i += 100) {
        assert_true(vf_areas_contains(kept, (i * 20 + 5000) * 512, 4096));
    }
    assert_int_equal(vf_areas_subtract_all(kept, &a->done, NULL), 0);
    assert_int_equal(kept->count, 0);
    assert_int_equal(r.disks[1].done.count, 1);
    vf_checkpoint_release(&r);
    free(text);
    /* Any room at all is kept to, down to where there is none even without areas. */
    struct vf_error *err = NULL;
    for (size_t max = 2000; !err; max -= 37) {
        if (vf_checkpoint_encode(&c, max, &text, &err) == 0) {
            assert_true(strlen(text) <= max);
            r = parsed(text);
            vf_checkpoint_release(&r);
            free(text);
        }
    }
    assert_int_equal(vf_error_code(err), VF_SPACE);
    vf_error_free(err);
    vf_checkpoint_release(&c);
}

static void test_checkpoint__keeps_the_full_copy_and_the_newest_rounds(void **state)
{
    (void)state;
    struct vf_checkpoint c = {0};
    for (uint64_t i = 0; i < 20; i++) {
        vf_checkpoint_add_round(&c, &(struct vf_round){.bytes = i}, i == 0);
    }
    assert_int_equal(c.n_rounds, VF_CHECKPOINT_MAX_ROUNDS);
    assert_int_equal(c.rounds[0].bytes, 0);
    for (size_t i = 1; i < c.n_rounds; i++) {
        assert_int_equal(c.rounds[i].bytes, 20 - c.n_rounds + i);
    }
}

static void test_checkpoint__parts_of_sectors_are_not_done(void **state)
{
    (void)state;
    struct vf_checkpoint c = sample();
    vf_areas_clear(&c.disks[0].done);
    assert_int_equal(vf_areas_add(&c.disks[0].done, 100, 1000, NULL), 0);
    char *text = text_of(&c, VF_CHECKPOINT_MAX_BYTES);
    struct vf_checkpoint r = parsed(text);
    assert_int_equal(r.disks[0].done.total_bytes, 512);
    assert_true(vf_areas_contains(&r.disks[0].done, 512, 512));
    vf_checkpoint_release(&r);
    free(text);
    vf_checkpoint_release(&c);
}

static void test_checkpoint__without_its_names_is_not_written(void **state)
{
    (void)state;
    struct vf_checkpoint c = sample();
    char *text = NULL;
    vf_replace_string(&c.disks[1].snapshot, NULL);
    struct vf_error *err = NULL;
    assert_int_equal(vf_checkpoint_encode(&c, 100000, &text, &err), VF_INVALID);
    assert_non_null(err);
    vf_error_free(err);
    vf_checkpoint_release(&c);
    c = sample();
    vf_replace_string(&c.instance_uuid, "");
    assert_int_equal(vf_checkpoint_encode(&c, 100000, &text, NULL), VF_INVALID);
    vf_checkpoint_release(&c);
}

static void test_checkpoint__rounds_follow_on_each_other(void **state)
{
    (void)state;
    struct vf_checkpoint c = {0};
    struct vf_checkpoint_disk *d = vf_checkpoint_add_disk(&c, &disk_a, "t");
    struct vf_areas some, rest;
    vf_areas_init(&some, 100, VF_AREAS_WIDEN);
    vf_areas_init(&rest, 100, VF_AREAS_WIDEN);
    assert_int_equal(vf_areas_add(&some, 4096, 4096, NULL), 0);
    assert_int_equal(vf_checkpoint_disk_flushed(d, &some, NULL, NULL), VF_CONFLICT);
    vf_checkpoint_disk_begin_full(d, "s1", TRACKING "5");
    assert_int_equal(vf_checkpoint_disk_begin_delta(d, "s2", TRACKING "6", NULL), VF_CONFLICT);
    assert_int_equal(vf_checkpoint_disk_remaining(d, &some, &rest, NULL), VF_INVALID);
    assert_int_equal(vf_checkpoint_disk_flushed(d, &some, NULL, NULL), 0);
    assert_int_equal(vf_checkpoint_disk_remaining(d, NULL, &rest, NULL), 0);
    assert_int_equal(rest.total_bytes, GIB - 4096);
    assert_int_equal(vf_checkpoint_disk_rebase(d, "s2", TRACKING "4", &some, NULL), VF_CONFLICT);
    assert_int_equal(vf_checkpoint_disk_rebase(d, "s2", "other/9", &some, NULL), VF_CONFLICT);
    assert_int_equal(vf_checkpoint_disk_rebase(d, "s2", NULL, &some, NULL), VF_CONFLICT);
    assert_string_equal(d->snapshot, "s1");
    assert_int_equal(d->done.total_bytes, 4096);
    assert_int_equal(vf_checkpoint_disk_rebase(d, "s2", TRACKING "6", &some, NULL), 0);
    assert_string_equal(d->snapshot, "s2");
    assert_int_equal(d->done.total_bytes, 0);
    vf_checkpoint_disk_complete(d);
    assert_int_equal(vf_checkpoint_disk_remaining(d, NULL, &rest, NULL), 0);
    assert_int_equal(rest.count, 0);
    assert_int_equal(vf_checkpoint_disk_begin_delta(d, "s3", "other/7", NULL), VF_CONFLICT);
    assert_int_equal(d->phase, VF_CHECKPOINT_COMPLETE);
    assert_int_equal(vf_checkpoint_disk_begin_delta(d, "s3", TRACKING "6", NULL), 0);
    assert_int_equal(d->round, 1);
    assert_int_equal(vf_checkpoint_disk_remaining(d, NULL, &rest, NULL), VF_INVALID);
    assert_int_equal(vf_areas_add(&some, GIB - 1, 2, NULL), 0);
    assert_int_equal(vf_checkpoint_disk_remaining(d, &some, &rest, NULL), 0);
    assert_int_equal(rest.total_bytes, 4097);
    assert_int_equal(vf_checkpoint_disk_flushed(d, &some, &some, NULL), VF_RANGE);
    assert_int_equal(d->copied_bytes, 4096);
    vf_areas_release(&some);
    vf_areas_release(&rest);
    vf_checkpoint_release(&c);
}

/* A source that is written to all the time, a target, and a copy between them that is killed,
 * restarted and loses its snapshot at random. */
#define SECTORS 200u

struct world {
    uint32_t source[SECTORS]; /* content */
    uint32_t frozen[SECTORS]; /* the snapshot's content */
    uint32_t target[SECTORS];
    uint32_t changed_at[SECTORS]; /* sequence of the last write */
    uint32_t sequence, n_snapshots;
    uint64_t seed;
    uint64_t copied_sectors;
    struct vf_checkpoint c; /* as in memory */
    char *stored;           /* as stored */
};

static void guest_writes(struct world *w)
{
    for (uint64_t n = random_below(&w->seed, 30); n > 0; n--) {
        uint64_t at = random_below(&w->seed, SECTORS), len = 1 + random_below(&w->seed, 8);
        for (uint64_t i = at; i < at + len && i < SECTORS; i++) {
            w->source[i] = (uint32_t)random_below(&w->seed, 4); /* often what it was before */
            w->changed_at[i] = w->sequence + 1;
        }
    }
}

static void take_snapshot(struct world *w, char name[32], char id[64])
{
    memcpy(w->frozen, w->source, sizeof w->frozen);
    w->sequence++;
    snprintf(name, 32, "snapshot-%u", ++w->n_snapshots);
    snprintf(id, 64, TRACKING "%u", w->sequence);
}

static uint32_t sequence_of(const char *id)
{
    return (uint32_t)strtoul(strrchr(id, '/') + 1, NULL, 10);
}

/* Later writes count as well: there may be too many areas, never too few. */
static void changed_since(struct world *w, const char *id, struct vf_areas *areas)
{
    vf_areas_init(areas, 20, VF_AREAS_WIDEN);
    for (uint64_t i = 0; i < SECTORS; i++) {
        if (w->changed_at[i] > sequence_of(id)) {
            assert_int_equal(vf_areas_add(areas, i * 512, 512, NULL), 0);
        }
    }
}

static void store(struct world *w)
{
    free(w->stored);
    size_t max = random_below(&w->seed, 2) ? VF_CHECKPOINT_MAX_BYTES : 600;
    w->stored = text_of(&w->c, max);
}

static void crash_and_restart(struct world *w)
{
    vf_checkpoint_release(&w->c);
    w->c = parsed(w->stored);
    struct vf_checkpoint_disk *d = &w->c.disks[0];
    guest_writes(w);
    if (random_below(&w->seed, 3) || d->phase == VF_CHECKPOINT_COMPLETE) {
        return;
    }
    char name[32], id[64];
    struct vf_areas changed;
    take_snapshot(w, name, id);
    changed_since(w, d->change_id, &changed);
    assert_int_equal(vf_checkpoint_disk_rebase(d, name, id, &changed, NULL), 0);
    vf_areas_release(&changed);
    store(w);
}

/* Copies some of what remains; false: nothing remains. */
static bool copy_some(struct world *w)
{
    struct vf_checkpoint_disk *d = &w->c.disks[0];
    bool delta = d->phase == VF_CHECKPOINT_DELTA;
    struct vf_areas changed, rest, flushed;
    changed_since(w, delta ? d->base_change_id : TRACKING "0", &changed);
    vf_areas_init(&rest, 30, VF_AREAS_WIDEN);
    vf_areas_init(&flushed, 1000, VF_AREAS_REFUSE);
    assert_int_equal(vf_checkpoint_disk_remaining(d, delta ? &changed : NULL, &rest, NULL), 0);
    struct vf_areas_walk walk = {
        .size_bytes = d->size_bytes, .granule_bytes = 512, .max_bytes = 4096};
    struct vf_area p;
    uint64_t from = 0;
    bool lost = random_below(&w->seed, 4) == 0; /* written, not flushed before the kill */
    while (vf_areas_next_piece(&rest, &walk, from, &p)) {
        from = p.offset_bytes + p.length_bytes;
        if (random_below(&w->seed, 3) == 0) {
            continue; /* not now */
        }
        memcpy(w->target + p.offset_bytes / 512, w->frozen + p.offset_bytes / 512,
               p.length_bytes / 512 * sizeof *w->target);
        w->copied_sectors += p.length_bytes / 512;
        assert_int_equal(vf_areas_add(&flushed, p.offset_bytes, p.length_bytes, NULL), 0);
    }
    bool more = rest.count > 0;
    if (!lost) {
        assert_int_equal(vf_checkpoint_disk_flushed(d, &flushed, delta ? &changed : NULL, NULL), 0);
    }
    vf_areas_release(&changed);
    vf_areas_release(&rest);
    vf_areas_release(&flushed);
    return more;
}

static void run_round(struct world *w)
{
    while (copy_some(w)) {
        guest_writes(w);
        if (random_below(&w->seed, 2)) {
            store(w);
        }
        if (random_below(&w->seed, 4) == 0) {
            crash_and_restart(w);
        }
    }
    assert_memory_equal(w->target, w->frozen, sizeof w->frozen);
    vf_checkpoint_disk_complete(&w->c.disks[0]);
    store(w);
}

static void test_checkpoint__whatever_is_killed_ends_with_the_same_bytes(void **state)
{
    (void)state;
    const struct vf_vm_disk disk = {.key = 2000, .capacity_bytes = SECTORS * 512};
    for (uint64_t run = 1; run <= 150; run++) {
        struct world w = {.seed = run * 104729, .c.instance_uuid = vf_xstrdup("u")};
        char name[32], id[64];
        struct vf_checkpoint_disk *d = vf_checkpoint_add_disk(&w.c, &disk, "t");
        memset(w.target, 0xff, sizeof w.target);
        guest_writes(&w);
        take_snapshot(&w, name, id);
        vf_checkpoint_disk_begin_full(d, name, id);
        store(&w);
        run_round(&w);
        for (unsigned round = 1; round <= 5; round++) {
            guest_writes(&w);
            if (random_below(&w.seed, 3) == 0) {
                crash_and_restart(&w);
            }
            take_snapshot(&w, name, id);
            assert_int_equal(vf_checkpoint_disk_begin_delta(&w.c.disks[0], name, id, NULL), 0);
            store(&w);
            run_round(&w);
            assert_int_equal(w.c.disks[0].round, round);
        }
        assert_true(w.c.disks[0].copied_bytes <= w.copied_sectors * 512);
        vf_checkpoint_release(&w.c);
        free(w.stored);
    }
}

/* An ascending delta of a hundred thousand areas is one done area, whatever lies between. */
static void test_checkpoint__an_ascending_copy_stays_one_area(void **state)
{
    (void)state;
    struct vf_checkpoint c = {0};
    struct vf_checkpoint_disk *d = vf_checkpoint_add_disk(&c, &disk_a, "t");
    vf_checkpoint_disk_begin_full(d, "s1", TRACKING "5");
    vf_checkpoint_disk_complete(d);
    assert_int_equal(vf_checkpoint_disk_begin_delta(d, "s2", TRACKING "6", NULL), 0);
    struct vf_areas changed, flushed;
    vf_areas_init(&changed, VF_AREAS_MAX_DEFAULT, VF_AREAS_WIDEN);
    vf_areas_init(&flushed, VF_AREAS_MAX_DEFAULT, VF_AREAS_DROP);
    for (uint64_t i = 0; i < 100000; i++) {
        assert_int_equal(vf_areas_add(&changed, i * 8192, 4096, NULL), 0);
        if (i < 50000) {
            assert_int_equal(vf_areas_add(&flushed, i * 8192, 4096, NULL), 0);
        }
    }
    assert_int_equal(vf_checkpoint_disk_flushed(d, &flushed, &changed, NULL), 0);
    assert_int_equal(d->done.count, 1);
    assert_int_equal(d->round_bytes, UINT64_C(50000) * 4096);
    vf_areas_release(&changed);
    vf_areas_release(&flushed);
    vf_checkpoint_release(&c);
}

/* What may be different now, and what then is of use. */
struct judged {
    enum vf_checkpoint_phase phase;
    const char *id;          /* in the checkpoint */
    uint64_t done_bytes;     /* in the checkpoint */
    const char *snapshot;    /* the one the VM has */
    const char *now_id;      /* the disk's */
    const char *now_uuid;    /* the disk's */
    uint64_t now_size_bytes; /* the disk's; 0: as before */
    bool off;                /* tracking */
    enum vf_checkpoint_use use;
    const char *reason;
};

static void judge_case(const struct judged *t)
{
    struct vf_checkpoint c = {.instance_uuid = vf_xstrdup("50-UUID")};
    struct vf_checkpoint_disk *d = vf_checkpoint_add_disk(&c, &disk_a, "t");
    vf_checkpoint_disk_begin_full(d, "s1", t->id);
    if (t->phase != VF_CHECKPOINT_FULL) {
        vf_checkpoint_disk_complete(d);
    }
    if (t->phase == VF_CHECKPOINT_DELTA) {
        assert_int_equal(vf_checkpoint_disk_begin_delta(d, "s1", t->id, NULL), 0);
    }
    assert_int_equal(vf_areas_add(&d->done, 0, t->done_bytes, NULL), 0);

    struct vf_vm_disk disk = disk_a;
    char *vf_autofree id = vf_xstrdup(t->now_id);
    char *vf_autofree uuid = vf_xstrdup(t->now_uuid ? t->now_uuid : disk_a.uuid);
    char *vf_autofree moref = vf_xstrdup(t->snapshot);
    disk.change_id = id;
    disk.uuid = uuid;
    disk.capacity_bytes = t->now_size_bytes ? t->now_size_bytes : disk.capacity_bytes;
    struct vf_vm_snapshot snapshot = {.moref = moref};
    struct vf_vm vm = {.instance_uuid = S("50-uuid"), /* the case of a UUID does not count */
                       .cbt_enabled = !t->off,
                       .disks = &disk,
                       .n_disks = 1,
                       .snapshots = &snapshot,
                       .n_snapshots = 1};
    struct vf_checkpoint_judgement j;
    vf_checkpoint_judge(&c, &vm, &j);
    assert_false(j.other_vm);
    assert_int_equal(j.n_disks, 1);
    assert_int_equal(j.n_gone, 0);
    if (j.disks[0].use != t->use || !strstr(j.disks[0].reason, t->reason)) {
        print_error("%d: %s, not %d: %s\n", j.disks[0].use, j.disks[0].reason, t->use, t->reason);
        fail();
    }
    vf_checkpoint_judgement_release(&j);
    vf_checkpoint_release(&c);
}

static void test_checkpoint__is_judged_by_what_the_source_says(void **state)
{
    (void)state;
#define A5 TRACKING "5"
    static const struct judged cases[] = {
        {VF_CHECKPOINT_COMPLETE, A5, 0, "s1", A5, NULL, 0, false, VF_USE_DELTA, "complete"},
        {VF_CHECKPOINT_COMPLETE, A5, 0, "s9", TRACKING "6", NULL, 0, false, VF_USE_DELTA,
         "only what changed"},
        {VF_CHECKPOINT_COMPLETE, A5, 0, "s9", TRACKING "4", NULL, 0, false, VF_USE_NOTHING,
         "reverted"},
        {VF_CHECKPOINT_COMPLETE, A5, 0, "s9", "other/6", NULL, 0, false, VF_USE_NOTHING, "reset"},
        {VF_CHECKPOINT_COMPLETE, A5, 0, "s9", A5, NULL, 0, true, VF_USE_NOTHING,
         "not tracked any more"},
        {VF_CHECKPOINT_COMPLETE, A5, 0, "s9", NULL, NULL, 0, false, VF_USE_NOTHING,
         "not tracked any more"},
        {VF_CHECKPOINT_COMPLETE, NULL, 0, "s1", A5, NULL, 0, false, VF_USE_NOTHING,
         "not tracked when it was copied"},
        {VF_CHECKPOINT_COMPLETE, A5, 0, "s1", A5, NULL, 2 * GIB, false, VF_USE_NOTHING,
         "resized from 1073741824 to 2147483648 bytes"},
        {VF_CHECKPOINT_COMPLETE, A5, 0, "s1", A5, "6000C29a-2", 0, false, VF_USE_NOTHING,
         "\"6000C29a-2\", and the copied one had \"6000C29a-1\""},
        {VF_CHECKPOINT_FULL, A5, 512, "s1", TRACKING "6", "6000c29A-1", 0, false, VF_USE_GO_ON,
         "still there"},
        {VF_CHECKPOINT_FULL, NULL, 512, "s1", NULL, NULL, 0, true, VF_USE_GO_ON, "still there"},
        {VF_CHECKPOINT_FULL, NULL, 512, "s9", NULL, NULL, 0, true, VF_USE_NOTHING,
         "is gone, and the disk's changes were not tracked"},
        {VF_CHECKPOINT_FULL, A5, 512, "s1", "other/1", NULL, 0, false, VF_USE_NOTHING, "reset"},
        {VF_CHECKPOINT_FULL, A5, 512, "s9", TRACKING "6", NULL, 0, false, VF_USE_REBASE, "is gone"},
        {VF_CHECKPOINT_FULL, A5, 0, "s9", TRACKING "6", NULL, 0, false, VF_USE_NOTHING,
         "nothing of it was copied"},
        {VF_CHECKPOINT_DELTA, A5, 512, "s1", TRACKING "6", NULL, 0, false, VF_USE_GO_ON,
         "still there"},
        {VF_CHECKPOINT_DELTA, A5, 0, "s9", TRACKING "6", NULL, 0, false, VF_USE_REBASE, "is gone"},
        {VF_CHECKPOINT_DELTA, A5, 512, "s1", TRACKING "6", NULL, 0, true, VF_USE_NOTHING,
         "not tracked any more"},
        {VF_CHECKPOINT_DELTA, A5, 512, "s9", TRACKING "4", NULL, 0, false, VF_USE_NOTHING,
         "is gone, and the disk was taken back"},
    };
#undef A5
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        judge_case(&cases[i]);
    }
}

static void test_checkpoint__disks_that_came_and_went_are_told(void **state)
{
    (void)state;
    struct vf_checkpoint c = sample();
    struct vf_vm_disk disks[] = {{.key = 2002, .capacity_bytes = 512}};
    struct vf_vm vm = {.instance_uuid = S("50-uuid"), .disks = disks, .n_disks = 1};
    struct vf_checkpoint_judgement j;
    vf_checkpoint_judge(&c, &vm, &j);
    assert_int_equal(j.disks[0].use, VF_USE_NOTHING);
    assert_non_null(strstr(j.disks[0].reason, "does not know"));
    assert_int_equal(j.n_gone, 2);
    assert_int_equal(j.gone[0]->key, 2000);
    assert_int_equal(j.gone[1]->key, 2001);
    vf_checkpoint_judgement_release(&j);
    vf_checkpoint_release(&c);
}

static void test_checkpoint__of_another_vm_is_of_no_use(void **state)
{
    (void)state;
    char *const uuids[] = {S("50-other"), NULL};
    for (size_t i = 0; i < 2; i++) {
        struct vf_checkpoint c = sample();
        struct vf_vm_disk disks[] = {disk_a, disk_b};
        struct vf_vm vm = {.instance_uuid = uuids[i], .disks = disks, .n_disks = 2};
        struct vf_checkpoint_judgement j;
        vf_checkpoint_judge(&c, &vm, &j);
        assert_true(j.other_vm);
        assert_int_equal(j.n_gone, 0);
        for (size_t k = 0; k < 2; k++) {
            assert_int_equal(j.disks[k].use, VF_USE_NOTHING);
            assert_null(j.disks[k].disk);
            assert_non_null(strstr(j.disks[k].reason, "instance UUID \"50-uuid\""));
        }
        vf_checkpoint_judgement_release(&j);
        vf_checkpoint_release(&c);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_checkpoint__what_is_written_is_read),
        cmocka_unit_test(test_checkpoint__every_stage_is_read_back),
        cmocka_unit_test(test_checkpoint__torn_or_altered_anywhere_is_invalid),
        cmocka_unit_test(test_checkpoint__what_makes_no_sense_is_refused),
        cmocka_unit_test(test_checkpoint__too_many_areas_leave_out_the_smallest),
        cmocka_unit_test(test_checkpoint__keeps_the_full_copy_and_the_newest_rounds),
        cmocka_unit_test(test_checkpoint__parts_of_sectors_are_not_done),
        cmocka_unit_test(test_checkpoint__without_its_names_is_not_written),
        cmocka_unit_test(test_checkpoint__rounds_follow_on_each_other),
        cmocka_unit_test(test_checkpoint__whatever_is_killed_ends_with_the_same_bytes),
        cmocka_unit_test(test_checkpoint__an_ascending_copy_stays_one_area),
        cmocka_unit_test(test_checkpoint__is_judged_by_what_the_source_says),
        cmocka_unit_test(test_checkpoint__disks_that_came_and_went_are_told),
        cmocka_unit_test(test_checkpoint__of_another_vm_is_of_no_use),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
