#include "jobs/migration/status.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "importer/base/mem.h"
#include "importer/base/utf8.h"

/* A text in memory that may be written to, as the fields are declared. */
#define S(text) ((char[]){text})

static struct vf_disk_status disks[] = {
    {S("Hard disk 1"), S("web-disk-0.img"), UINT64_C(1) << 40, 1, 2, 3},
    {NULL, S("web-disk-1.img"), 512, 0, 0, UINT64_C(1) << 53},
};

static const struct vf_migration_status sample = {.name = S("web"),
                                                  .source_vm = S("web \"01\" \xc3\xa4"),
                                                  .source_uuid = S("50-uuid"),
                                                  .source = S("vc.example"),
                                                  .place = S("folder \"out\""),
                                                  .phase = VF_PHASE_LAST_COPY,
                                                  .detail = S("two\nlines"),
                                                  .next_step = S("wait"),
                                                  .error = S("vm \"web01\": reset"),
                                                  .hint = S("try again"),
                                                  .transport = S("https"),
                                                  .transport_reason = S("asked for"),
                                                  .round = UINT32_MAX,
                                                  .tries = 3,
                                                  .bytes_per_s = 4,
                                                  .copied_bytes = 5,
                                                  .forecast = true,
                                                  .change_bytes_per_s = 6,
                                                  .expected_bytes = 7,
                                                  .downtime_ms = 8,
                                                  .worst_downtime_ms = 9,
                                                  .best_downtime_ms = 10,
                                                  .eta_ms = 11,
                                                  .started = S("2026-11-21T14:18:25Z"),
                                                  .updated = S("2026-11-21T14:18:26Z"),
                                                  .last_checkpoint = S("2026-11-21T14:18:27Z"),
                                                  .cutover_at = S("2026-11-22T02:00:00Z"),
                                                  .measured_downtime_ms = 12,
                                                  .disks = disks,
                                                  .n_disks = 2};

static struct vf_migration_status parsed(const char *text)
{
    struct vf_migration_status s = {0};
    struct vf_error *err = NULL;
    if (vf_migration_status_parse(text, strlen(text), &s, &err) != 0) {
        print_error("%s: %s\n", text, vf_error_message(err));
        fail();
    }
    return s;
}

static void same_text(const char *a, const char *b)
{
    assert_int_equal(a == NULL, b == NULL);
    if (a && b) {
        assert_string_equal(a, b);
    }
}

static void same_texts(const struct vf_migration_status *a, const struct vf_migration_status *b)
{
    same_text(a->name, b->name);
    same_text(a->source_vm, b->source_vm);
    same_text(a->source_uuid, b->source_uuid);
    same_text(a->source, b->source);
    same_text(a->place, b->place);
    same_text(a->detail, b->detail);
    same_text(a->next_step, b->next_step);
    same_text(a->error, b->error);
    same_text(a->hint, b->hint);
    same_text(a->transport, b->transport);
    same_text(a->transport_reason, b->transport_reason);
    same_text(a->started, b->started);
    same_text(a->updated, b->updated);
    same_text(a->last_checkpoint, b->last_checkpoint);
    same_text(a->cutover_at, b->cutover_at);
}

static void same_numbers(const struct vf_migration_status *a, const struct vf_migration_status *b)
{
    assert_int_equal(a->phase, b->phase);
    assert_int_equal(a->round, b->round);
    assert_int_equal(a->tries, b->tries);
    assert_int_equal(a->bytes_per_s, b->bytes_per_s);
    assert_int_equal(a->copied_bytes, b->copied_bytes);
    assert_int_equal(a->forecast, b->forecast);
    assert_int_equal(a->change_bytes_per_s, b->change_bytes_per_s);
    assert_int_equal(a->expected_bytes, b->expected_bytes);
    assert_int_equal(a->downtime_ms, b->downtime_ms);
    assert_int_equal(a->worst_downtime_ms, b->worst_downtime_ms);
    assert_int_equal(a->best_downtime_ms, b->best_downtime_ms);
    assert_int_equal(a->eta_ms, b->eta_ms);
    assert_int_equal(a->measured_downtime_ms, b->measured_downtime_ms);
}

static void same(const struct vf_migration_status *a, const struct vf_migration_status *b)
{
    same_texts(a, b);
    same_numbers(a, b);
    assert_int_equal(a->n_disks, b->n_disks);
    for (size_t i = 0; a->disks && b->disks && i < a->n_disks; i++) {
        const struct vf_disk_status *x = &a->disks[i], *y = &b->disks[i];
        same_text(x->name, y->name);
        same_text(x->target, y->target);
        assert_int_equal(x->size_bytes, y->size_bytes);
        assert_int_equal(x->round_bytes, y->round_bytes);
        assert_int_equal(x->round_total_bytes, y->round_total_bytes);
        assert_int_equal(x->copied_bytes, y->copied_bytes);
    }
}

static void test_status__what_is_written_is_read(void **state)
{
    (void)state;
    char *text = vf_migration_status_encode(&sample);
    struct vf_migration_status r = parsed(text);
    same(&r, &sample);
    vf_migration_status_release(&r);
    vf_migration_status_release(&r);
    free(text);
}

static void test_status__least_is_read_back(void **state)
{
    (void)state;
    struct vf_migration_status s = {.eta_ms = -1};
    char *text = vf_migration_status_encode(&s);
    struct vf_migration_status r = parsed(text);
    same(&r, &s);
    assert_false(r.forecast);
    vf_migration_status_release(&r);
    free(text);
}

static void test_status__every_phase_is_read_back(void **state)
{
    (void)state;
    for (int phase = VF_PHASE_PREPARING; phase <= VF_PHASE_CANCELLED; phase++) {
        struct vf_migration_status s = {.phase = (enum vf_migration_phase)phase};
        char *text = vf_migration_status_encode(&s);
        struct vf_migration_status r = parsed(text);
        assert_int_equal(r.phase, phase);
        assert_int_equal(vf_migration_phase_is_end(r.phase), phase >= VF_PHASE_DONE);
        vf_migration_status_release(&r);
        free(text);
    }
    assert_string_equal(vf_migration_phase_name((enum vf_migration_phase)99), "unknown");
}

static void test_status__numbers_beyond_stay_at_their_ceiling(void **state)
{
    (void)state;
    struct vf_migration_status s = {.copied_bytes = UINT64_MAX,
                                    .forecast = true,
                                    .worst_downtime_ms = INT64_MAX,
                                    .downtime_ms = -5};
    char *text = vf_migration_status_encode(&s);
    struct vf_migration_status r = parsed(text);
    assert_true(r.copied_bytes == UINT64_C(1) << 53);
    assert_true(r.worst_downtime_ms == INT64_C(1) << 53);
    assert_int_equal(r.downtime_ms, 0);
    vf_migration_status_release(&r);
    free(text);
}

/* A vCenter's own text may be of any length, and of any bytes. */
static void test_status__long_texts_are_cut_between_characters(void **state)
{
    (void)state;
    enum { LEN = 9001 };
    char *longest = vf_xcalloc(1, LEN + 1);
    longest[0] = 'x';
    for (size_t i = 1; i + 1 < LEN; i += 2) {
        memcpy(longest + i, "\xc3\xa4", 2);
    }
    struct vf_migration_status s = {.error = longest, .hint = S("\xff\xfe")};
    char *text = vf_migration_status_encode(&s);
    struct vf_migration_status r = parsed(text);
    assert_int_equal(strlen(r.error), 2047);
    assert_memory_equal(r.error, longest, 2047);
    assert_string_equal(r.hint, "\xef\xbf\xbd\xef\xbf\xbd");
    vf_migration_status_release(&r);
    free(text);
    free(longest);
}

static const struct vf_disk_status usual = {S("Hard disk 200"), S("some-vm-name-disk-200"),
                                            UINT64_C(1) << 46,  UINT64_C(1) << 46,
                                            UINT64_C(1) << 46,  UINT64_C(1) << 46};

/* Each byte of each text becomes six. */
static void test_status__is_never_longer_than_it_may_be(void **state)
{
    (void)state;
    enum { N = 300 };
    char *bad = vf_xcalloc(1, 5001);
    memset(bad, 1, 5000);
    struct vf_disk_status *many = vf_xcalloc(N, sizeof *many);
    for (size_t i = 0; i < N; i++) {
        many[i] = (struct vf_disk_status){.name = bad, .target = bad};
    }
    struct vf_migration_status s = {bad,
                                    bad,
                                    bad,
                                    bad,
                                    bad,
                                    .detail = bad,
                                    .next_step = bad,
                                    .error = bad,
                                    .hint = bad,
                                    .transport = bad,
                                    .transport_reason = bad,
                                    .started = bad,
                                    .updated = bad,
                                    .last_checkpoint = bad,
                                    .cutover_at = bad,
                                    .disks = many,
                                    .n_disks = N};
    char *text = vf_migration_status_encode(&s);
    assert_true(strlen(text) <= VF_STATUS_MAX_BYTES);
    struct vf_migration_status r = parsed(text);
    assert_int_equal(strlen(r.cutover_at), 2048);
    assert_true(r.n_disks > 0);
    vf_migration_status_release(&r);
    free(text);
    /* As many as there can be, named as usual, are all there. */
    for (size_t i = 0; i < N; i++) {
        many[i] = usual;
    }
    s = (struct vf_migration_status){.disks = many, .n_disks = N};
    text = vf_migration_status_encode(&s);
    r = parsed(text);
    assert_int_equal(r.n_disks, N);
    vf_migration_status_release(&r);
    free(text);
    free(many);
    free(bad);
}

#define HEAD "{\"statusVersion\":1,\"phase\":\"copying\""

static void test_status__what_makes_no_sense_is_refused(void **state)
{
    (void)state;
    static const struct {
        const char *text, *message;
        int code;
    } cases[] = {
        {"", "empty", VF_INVALID},
        {"[]", "statusVersion", VF_INVALID},
        {"{\"statusVersion\":0}", "statusVersion", VF_INVALID},
        {"{\"statusVersion\":\"1\"}", "statusVersion", VF_INVALID},
        {"{\"statusVersion\":2}", "version 2", VF_UNSUPPORTED},
        {"{\"statusVersion\":1}", "phase", VF_INVALID},
        {"{\"statusVersion\":1,\"phase\":\"Copying\"}", "phase", VF_INVALID},
        {HEAD, "JSON", VF_INVALID},
        {HEAD "}}", "after its end", VF_INVALID},
        {HEAD ",\"round\":-1}", "\"round\"", VF_INVALID},
        {HEAD ",\"round\":4294967296}", "\"round\"", VF_INVALID},
        {HEAD ",\"tries\":\"1\"}", "\"tries\"", VF_INVALID},
        {HEAD ",\"etaMs\":1e300}", "\"etaMs\"", VF_INVALID},
        {HEAD ",\"copiedBytes\":1.5}", "\"copiedBytes\"", VF_INVALID},
        {HEAD ",\"forecast\":{\"downtimeMs\":null}}", "\"downtimeMs\"", VF_INVALID},
        {HEAD ",\"disks\":[7]}", "no object", VF_INVALID},
        {HEAD ",\"disks\":[{\"sizeBytes\":-1}]}", "\"sizeBytes\"", VF_INVALID},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct vf_migration_status r = {0};
        struct vf_error *err = NULL;
        int rc = vf_migration_status_parse(cases[i].text, strlen(cases[i].text), &r, &err);
        if (rc != cases[i].code || !strstr(vf_error_message(err), cases[i].message)) {
            print_error("%s gives %d: %s\n", cases[i].text, rc, vf_error_message(err));
            fail();
        }
        vf_error_free(err);
    }
    char *vf_autofree whole = vf_xcalloc(1, VF_STATUS_MAX_BYTES + 2);
    memset(whole, ' ', VF_STATUS_MAX_BYTES + 1);
    memcpy(whole, HEAD "}", sizeof HEAD);
    struct vf_migration_status r = {0};
    assert_int_equal(vf_migration_status_parse(whole, strlen(whole), &r, NULL), VF_INVALID);
    whole[VF_STATUS_MAX_BYTES] = '\0';
    assert_int_equal(vf_migration_status_parse(whole, strlen(whole), &r, NULL), 0);
    vf_migration_status_release(&r);
    char *vf_autofree text = vf_xasprintf(HEAD ",\"error\":\"%02049d\"}", 0);
    assert_int_equal(vf_migration_status_parse(text, strlen(text), &r, NULL), VF_INVALID);
}

static void test_request__what_is_written_is_read(void **state)
{
    (void)state;
    static const struct vf_migration_request requests[] = {
        {0},
        {.kind = VF_REQUEST_CUTOVER},
        {.kind = VF_REQUEST_CUTOVER, .at_s = INT64_C(4102444800)},
        {.kind = VF_REQUEST_CANCEL},
        {.kind = VF_REQUEST_CANCEL, .discard = true},
    };
    for (size_t i = 0; i < sizeof requests / sizeof *requests; i++) {
        char *text = vf_migration_request_encode(&requests[i]);
        struct vf_migration_request r = {0};
        assert_int_equal(vf_migration_request_parse(text, strlen(text), &r, NULL), 0);
        assert_int_equal(r.kind, requests[i].kind);
        assert_int_equal(r.discard, requests[i].discard);
        assert_int_equal(r.at_s, requests[i].at_s);
        free(text);
    }
}

#define REQUEST "{\"requestVersion\":1,\"kind\":"

/* What is misread may shut down somebody's machine. */
static void test_request__what_makes_no_sense_is_refused(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        int code;
    } cases[] = {
        {"", VF_INVALID},
        {"{\"kind\":\"cutover\"}", VF_INVALID},
        {"{\"requestVersion\":2,\"kind\":\"cutover\"}", VF_UNSUPPORTED},
        {REQUEST "\"cut\"}", VF_INVALID},
        {REQUEST "1}", VF_INVALID},
        {REQUEST "\"cutover\",\"discard\":true}", VF_INVALID},
        {REQUEST "\"cancel\",\"discard\":1}", VF_INVALID},
        {REQUEST "\"cancel\",\"atUnixSeconds\":1}", VF_INVALID},
        {REQUEST "\"cutover\",\"atUnixSeconds\":-1}", VF_INVALID},
        {REQUEST "\"cutover\",\"atUnixSeconds\":\"1\"}", VF_INVALID},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct vf_migration_request r = {0};
        struct vf_error *err = NULL;
        int rc = vf_migration_request_parse(cases[i].text, strlen(cases[i].text), &r, &err);
        if (rc != cases[i].code || !err) {
            print_error("%s gives %d\n", cases[i].text, rc);
            fail();
        }
        assert_int_equal(r.kind, VF_REQUEST_NONE);
        vf_error_free(err);
    }
    char *vf_autofree text = vf_xasprintf(REQUEST "\"cutover\",\"x\":\"%05000d\"}", 0);
    struct vf_migration_request r = {0};
    assert_int_equal(vf_migration_request_parse(text, strlen(text), &r, NULL), VF_INVALID);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_status__what_is_written_is_read),
        cmocka_unit_test(test_status__least_is_read_back),
        cmocka_unit_test(test_status__every_phase_is_read_back),
        cmocka_unit_test(test_status__numbers_beyond_stay_at_their_ceiling),
        cmocka_unit_test(test_status__long_texts_are_cut_between_characters),
        cmocka_unit_test(test_status__is_never_longer_than_it_may_be),
        cmocka_unit_test(test_status__what_makes_no_sense_is_refused),
        cmocka_unit_test(test_request__what_is_written_is_read),
        cmocka_unit_test(test_request__what_makes_no_sense_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
