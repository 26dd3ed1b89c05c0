#include "importer/vsphere/changed_areas.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "importer/base/xml.h"

#define SECTOR     ((uint64_t)VF_CHANGED_AREAS_ALIGN_BYTES)
#define SECTORS    4096u
#define DISK_BYTES (SECTORS * SECTOR)

static void init(struct vf_areas *s, size_t max)
{
    vf_areas_init(s, max, VF_AREAS_WIDEN);
}

static void add(struct vf_areas *s, uint64_t disk_bytes, uint64_t offset_bytes,
                uint64_t length_bytes)
{
    assert_int_equal(vf_changed_areas_add(s, disk_bytes, offset_bytes, length_bytes, NULL), 0);
}

/* These areas are all. */
static void expect(const struct vf_areas *s, size_t n, const struct vf_area *want)
{
    struct vf_area a;
    uint64_t from = 0, sum = 0;
    assert_int_equal(s->count, n);
    for (size_t i = 0; i < n; i++) {
        assert_true(vf_areas_next(s, from, &a));
        assert_int_equal(a.offset_bytes, want[i].offset_bytes);
        assert_int_equal(a.length_bytes, want[i].length_bytes);
        from = a.offset_bytes + a.length_bytes;
        sum += a.length_bytes;
    }
    assert_false(vf_areas_next(s, from, &a));
    assert_int_equal(s->total_bytes, sum);
}

#define EXPECT(s, ...)                                                                             \
    do {                                                                                           \
        const struct vf_area want_[] = {__VA_ARGS__};                                              \
        expect(s, sizeof want_ / sizeof want_[0], want_);                                          \
    } while (0)

static void test_changed_areas__overlapping_and_unsorted_are_joined(void **state)
{
    (void)state;
    struct vf_areas s;
    init(&s, VF_AREAS_MAX_DEFAULT);
    add(&s, DISK_BYTES, 8192, 4096);
    add(&s, DISK_BYTES, 65536, 512);
    add(&s, DISK_BYTES, 0, 512);
    add(&s, DISK_BYTES, 4096, 4096); /* touches the first */
    add(&s, DISK_BYTES, 9000, 100);  /* inside it */
    add(&s, DISK_BYTES, 10240, 4096);
    add(&s, DISK_BYTES, 300000, 0);
    EXPECT(&s, {0, 512}, {4096, 10240}, {65536, 512});
    assert_false(s.inexact);
    vf_areas_release(&s);
}

static void test_changed_areas__rounded_to_sectors_and_cut_at_the_end(void **state)
{
    (void)state;
    struct vf_areas s;
    init(&s, VF_AREAS_MAX_DEFAULT);
    add(&s, 65536 + 700, 513, 1);
    add(&s, 65536 + 700, 2047, 2);
    add(&s, 65536 + 700, 65536, 65536);
    EXPECT(&s, {512, 512}, {1536, 1024}, {65536, 700});
    vf_areas_clear(&s);
    add(&s, 65536 + 700, 65536 + 699, 1); /* in the half sector at the end */
    EXPECT(&s, {65536 + 512, 188});
    vf_areas_clear(&s);
    add(&s, INT64_MAX, INT64_MAX - 1, 1);
    EXPECT(&s, {(uint64_t)INT64_MAX - 511, 511});
    vf_areas_release(&s);
}

static void test_changed_areas__one_behind_the_end_is_refused(void **state)
{
    (void)state;
    struct vf_areas s;
    struct vf_error *err = NULL;
    init(&s, VF_AREAS_MAX_DEFAULT);
    assert_int_equal(vf_changed_areas_add(&s, 1 << 20, 1 << 20, 512, &err), VF_RANGE);
    assert_non_null(strstr(vf_error_message(err), "1048576"));
    vf_error_free(err);
    assert_int_equal(vf_changed_areas_add(&s, 1 << 20, 512, UINT64_MAX, NULL), VF_RANGE);
    assert_int_equal(vf_changed_areas_add(&s, 1 << 20, UINT64_MAX, 512, NULL), VF_RANGE);
    assert_int_equal(s.count, 0);
    vf_areas_release(&s);
}

static void test_changed_areas__whole_disk_replaces_all(void **state)
{
    (void)state;
    struct vf_areas s;
    init(&s, VF_AREAS_MAX_DEFAULT);
    add(&s, 70000, 4096, 512);
    add(&s, 70000, 0, 512);
    vf_changed_areas_set_whole(&s, 70000);
    EXPECT(&s, {0, 70000});
    vf_areas_release(&s);
    init(&s, 4);
    for (uint64_t i = 0; i < 6; i++) {
        add(&s, 70000, i * 8192, 512);
    }
    assert_true(s.inexact);
    vf_changed_areas_set_whole(&s, 70000);
    EXPECT(&s, {0, 70000});
    assert_false(s.inexact); /* nothing was joined */
    vf_changed_areas_set_whole(&s, 0);
    assert_int_equal(s.count, 0);
    vf_areas_release(&s);
}

/* Every area apart from its neighbours; as flags of sectors. */
static void flatten(const struct vf_areas *s, char *sectors)
{
    struct vf_area a;
    uint64_t end = 0, sum = 0;
    size_t n = 0;
    for (; vf_areas_next(s, end, &a); n++) {
        assert_true(a.length_bytes > 0 && (n == 0 || a.offset_bytes > end));
        assert_true(a.offset_bytes % SECTOR == 0 && a.length_bytes % SECTOR == 0);
        end = a.offset_bytes + a.length_bytes;
        sum += a.length_bytes;
        assert_true(end <= DISK_BYTES);
        memset(sectors + a.offset_bytes / SECTOR, 1, a.length_bytes / SECTOR);
    }
    assert_int_equal(s->count, n);
    assert_int_equal(s->total_bytes, sum);
}

static void add_random(struct vf_areas *s, unsigned n, unsigned short seed[3], char *wanted)
{
    for (unsigned k = 0; k < n; k++) {
        uint64_t from = (uint64_t)(nrand48(seed) % SECTORS);
        uint64_t length = (uint64_t)(nrand48(seed) % 4);
        if (from + length > SECTORS) {
            continue;
        }
        add(s, DISK_BYTES, from * SECTOR, length * SECTOR);
        memset(wanted + from, 1, length);
    }
}

static void test_changed_areas__random_ones_are_exactly_those_added(void **state)
{
    (void)state;
    for (unsigned round = 0; round < 200; round++) {
        unsigned short seed[3] = {(unsigned short)round, 1, 2};
        char wanted[SECTORS] = {0}, had[SECTORS] = {0};
        struct vf_areas s;
        init(&s, VF_AREAS_MAX_DEFAULT);
        add_random(&s, round * 10, seed, wanted);
        flatten(&s, had);
        assert_memory_equal(had, wanted, SECTORS);
        assert_false(s.inexact);
        vf_areas_release(&s);
    }
}

static void test_changed_areas__too_many_lose_no_byte(void **state)
{
    (void)state;
    for (unsigned round = 0; round < 200; round++) {
        unsigned short seed[3] = {(unsigned short)round, 3, 4};
        char wanted[SECTORS] = {0}, had[SECTORS] = {0};
        size_t max = 4 + round % 40;
        struct vf_areas s;
        init(&s, max);
        add_random(&s, 1000, seed, wanted);
        assert_true(s.count <= max);
        assert_true(s.inexact);
        flatten(&s, had);
        for (unsigned i = 0; i < SECTORS; i++) {
            assert_true(had[i] >= wanted[i]);
        }
        vf_areas_release(&s);
    }
}

static void test_changed_areas__the_smallest_gaps_are_closed(void **state)
{
    (void)state;
    const uint64_t disk_bytes = (uint64_t)1 << 40;
    struct vf_areas s;
    init(&s, 8);
    add(&s, disk_bytes, (uint64_t)1 << 39, 512);
    add(&s, disk_bytes, (uint64_t)1 << 30, 512);
    for (uint64_t i = 0; i < 100; i++) {
        add(&s, disk_bytes, i * 4096, 512);
    }
    /* None but those of 4096 - 512 bytes. */
    assert_in_range(s.count, 3, 8);
    assert_true(s.total_bytes <= UINT64_C(99) * 4096 + 512 + 2 * 512);
    for (uint64_t i = 0; i < 100; i++) {
        assert_true(vf_areas_contains(&s, i * 4096, 512));
    }
    struct vf_area a;
    assert_true(vf_areas_next(&s, UINT64_C(99) * 4096 + 512, &a));
    assert_int_equal(a.offset_bytes, (uint64_t)1 << 30);
    assert_int_equal(a.length_bytes, 512);
    assert_true(vf_areas_next(&s, a.offset_bytes + 512, &a));
    assert_int_equal(a.offset_bytes, (uint64_t)1 << 39);
    assert_int_equal(a.length_bytes, 512);
    vf_areas_release(&s);
}

#define INFO(start, length, areas)                                                                 \
    "<r xmlns=\"urn:vim25\"><startOffset>" start "</startOffset><length>" length "</length>" areas \
    "</r>"
#define AREA(start, length)                                                                        \
    "<changedArea><start>" start "</start><length>" length "</length></changedArea>"

/* What the answer says of a disk of 1 MiB from 65536 on. */
static int parse(const char *xml, struct vf_areas *s, uint64_t *ret_next)
{
    xmlDoc *doc = NULL;
    struct vf_error *err = NULL;
    init(s, VF_AREAS_MAX_DEFAULT);
    assert_int_equal(vf_xml_parse(xml, strlen(xml), "test", &doc, NULL), 0);
    int rc =
        vf_changed_areas_parse_answer(s, 1 << 20, xmlDocGetRootElement(doc), 65536, ret_next, &err);
    assert_true((rc == 0) == (err == NULL));
    vf_error_free(err);
    xmlFreeDoc(doc);
    return rc;
}

static void test_changed_areas_parse_answer__areas_and_next(void **state)
{
    (void)state;
    struct vf_areas s;
    uint64_t next = 0;
    assert_int_equal(
        parse(INFO("65536", "131072", AREA("65536", "512") AREA("131072", "1024")), &s, &next), 0);
    assert_int_equal(next, 196608);
    EXPECT(&s, {65536, 512}, {131072, 1024});
    vf_areas_release(&s);
}

static void test_changed_areas_parse_answer__empty_window_is_unchanged(void **state)
{
    (void)state;
    struct vf_areas s;
    uint64_t next = 0;
    assert_int_equal(parse(INFO("65536", "65536", ""), &s, &next), 0);
    assert_int_equal(next, 131072);
    assert_int_equal(s.count, 0);
    vf_areas_release(&s);
}

static void test_changed_areas_parse_answer__wider_windows_are_taken_as_they_are(void **state)
{
    (void)state;
    struct vf_areas s;
    uint64_t next = 0;
    /* It begins before what was asked for, ends behind the disk, and so does its area. */
    assert_int_equal(
        parse(INFO("0", "9000000", AREA("512", "512") AREA("1048064", "65536")), &s, &next), 0);
    assert_int_equal(next, 1 << 20);
    EXPECT(&s, {512, 512}, {1048064, 512});
    vf_areas_release(&s);
}

static void test_changed_areas_parse_answer__what_breaks_the_rules_is_refused(void **state)
{
    (void)state;
    static const struct {
        const char *xml;
        int rc;
    } bad[] = {
        {"<r xmlns=\"urn:vim25\"/>", VF_INVALID},
        {INFO("65536", "", ""), VF_INVALID},
        {INFO("-65536", "131072", ""), VF_INVALID},
        {INFO("65536", "-1", ""), VF_INVALID},
        {INFO("65536", "0", ""), VF_INVALID},     /* does not move on */
        {INFO("0", "65536", ""), VF_INVALID},     /* neither */
        {INFO("66048", "65536", ""), VF_INVALID}, /* one sector is left out */
        {INFO("65536", "18446744073709551615", ""), VF_INVALID},
        {INFO("65536", "65536", "<changedArea><start>65536</start></changedArea>"), VF_INVALID},
        {INFO("65536", "65536", AREA("-512", "1024")), VF_INVALID},
        {INFO("65536", "65536", AREA("65536", "-512")), VF_INVALID},
        {INFO("65536", "65536", AREA("65536", "5e2")), VF_INVALID},
        {INFO("65536", "65536", AREA("1048576", "512")), VF_RANGE},
        {INFO("65536", "65536", AREA("65536", "18446744073709551615")), VF_RANGE},
        {"<r><startOffset>65536</startOffset><length>512</length></r>", VF_INVALID},
    };
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        struct vf_areas s;
        uint64_t next = 77;
        assert_int_equal(parse(bad[i].xml, &s, &next), bad[i].rc);
        assert_int_equal(next, 77);
        vf_areas_release(&s);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_changed_areas__overlapping_and_unsorted_are_joined),
        cmocka_unit_test(test_changed_areas__rounded_to_sectors_and_cut_at_the_end),
        cmocka_unit_test(test_changed_areas__one_behind_the_end_is_refused),
        cmocka_unit_test(test_changed_areas__whole_disk_replaces_all),
        cmocka_unit_test(test_changed_areas__random_ones_are_exactly_those_added),
        cmocka_unit_test(test_changed_areas__too_many_lose_no_byte),
        cmocka_unit_test(test_changed_areas__the_smallest_gaps_are_closed),
        cmocka_unit_test(test_changed_areas_parse_answer__areas_and_next),
        cmocka_unit_test(test_changed_areas_parse_answer__empty_window_is_unchanged),
        cmocka_unit_test(test_changed_areas_parse_answer__wider_windows_are_taken_as_they_are),
        cmocka_unit_test(test_changed_areas_parse_answer__what_breaks_the_rules_is_refused),
    };
    vf_xml_init();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
