#include "importer/vsphere/changed_areas.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "importer/base/xml.h"

#define SECTOR  ((uint64_t)VF_AREA_ALIGN_BYTES)
#define SECTORS 4096u

static void add(struct vf_areas *a, uint64_t offset_bytes, uint64_t length_bytes)
{
    assert_int_equal(vf_areas_add(a, offset_bytes, length_bytes, NULL), 0);
}

static void expect(const struct vf_areas *a, size_t i, uint64_t offset_bytes, uint64_t length_bytes)
{
    assert_true(i < a->n);
    assert_int_equal(a->list[i].offset_bytes, offset_bytes);
    assert_int_equal(a->list[i].length_bytes, length_bytes);
}

static void test_areas__overlapping_and_unsorted_are_joined(void **state)
{
    (void)state;
    struct vf_areas a;
    vf_areas_init(&a, 1 << 20, VF_AREAS_MAX);
    add(&a, 8192, 4096);
    add(&a, 65536, 512);
    add(&a, 0, 512);
    add(&a, 4096, 4096); /* touches the first */
    add(&a, 9000, 100);  /* inside it */
    add(&a, 10240, 4096);
    add(&a, 300000, 0);
    vf_areas_finish(&a);
    assert_int_equal(a.n, 3);
    expect(&a, 0, 0, 512);
    expect(&a, 1, 4096, 10240);
    expect(&a, 2, 65536, 512);
    assert_int_equal(a.total_bytes, 512 + 10240 + 512);
    assert_int_equal(a.gap_bytes, 0);
    vf_areas_release(&a);
    vf_areas_release(&a);
}

static void test_areas__rounded_to_sectors_and_cut_at_the_end(void **state)
{
    (void)state;
    struct vf_areas a;
    vf_areas_init(&a, 65536 + 700, VF_AREAS_MAX);
    add(&a, 513, 1);
    add(&a, 2047, 2);
    add(&a, 65536, 65536);
    vf_areas_finish(&a);
    assert_int_equal(a.n, 3);
    expect(&a, 0, 512, 512);
    expect(&a, 1, 1536, 1024);
    expect(&a, 2, 65536, 700);
    vf_areas_release(&a);
}

static void test_areas__one_behind_the_end_is_refused(void **state)
{
    (void)state;
    struct vf_areas a;
    struct vf_error *err = NULL;
    vf_areas_init(&a, 1 << 20, VF_AREAS_MAX);
    assert_int_equal(vf_areas_add(&a, 1 << 20, 512, &err), VF_RANGE);
    assert_non_null(strstr(vf_error_message(err), "1048576"));
    vf_error_free(err);
    assert_int_equal(vf_areas_add(&a, 512, UINT64_MAX, NULL), VF_RANGE);
    assert_int_equal(vf_areas_add(&a, UINT64_MAX, 512, NULL), VF_RANGE);
    vf_areas_finish(&a);
    assert_int_equal(a.n, 0);
    vf_areas_release(&a);
}

static void test_areas__whole_disk_replaces_all(void **state)
{
    (void)state;
    struct vf_areas a;
    vf_areas_init(&a, 70000, VF_AREAS_MAX);
    add(&a, 4096, 512);
    add(&a, 0, 512);
    vf_areas_set_whole(&a);
    assert_int_equal(a.n, 1);
    expect(&a, 0, 0, 70000);
    assert_int_equal(a.total_bytes, 70000);
    vf_areas_release(&a);
    vf_areas_init(&a, 70000, 2);
    for (uint64_t i = 0; i < 4; i++) {
        add(&a, i * 8192, 512);
    }
    assert_true(a.gap_bytes > 0);
    vf_areas_set_whole(&a);
    assert_int_equal(a.gap_bytes, 0); /* nothing was joined */
    vf_areas_release(&a);
    vf_areas_init(&a, 0, VF_AREAS_MAX);
    vf_areas_set_whole(&a);
    assert_int_equal(a.n, 0);
    vf_areas_release(&a);
}

/* Every area apart from its neighbours; as flags of sectors. */
static void flatten(const struct vf_areas *a, char *sectors)
{
    uint64_t end = 0, sum = 0;
    for (size_t i = 0; i < a->n; i++) {
        const struct vf_area *e = &a->list[i];
        assert_true(e->length_bytes > 0 && (i == 0 || e->offset_bytes > end));
        assert_true(e->offset_bytes % SECTOR == 0 && e->length_bytes % SECTOR == 0);
        end = e->offset_bytes + e->length_bytes;
        sum += e->length_bytes;
        assert_true(end <= a->disk_bytes);
        memset(sectors + e->offset_bytes / SECTOR, 1, e->length_bytes / SECTOR);
    }
    assert_int_equal(a->total_bytes, sum);
}

static void add_random(struct vf_areas *a, unsigned n, unsigned short seed[3], char *wanted)
{
    for (unsigned k = 0; k < n; k++) {
        uint64_t from = (uint64_t)(nrand48(seed) % SECTORS);
        uint64_t length = (uint64_t)(nrand48(seed) % 4);
        if (from + length > SECTORS) {
            continue;
        }
        add(a, from * SECTOR, length * SECTOR);
        memset(wanted + from, 1, length);
    }
}

static void test_areas__random_ones_are_exactly_those_added(void **state)
{
    (void)state;
    for (unsigned round = 0; round < 200; round++) {
        unsigned short seed[3] = {(unsigned short)round, 1, 2};
        char wanted[SECTORS] = {0}, had[SECTORS] = {0};
        struct vf_areas a;
        vf_areas_init(&a, SECTORS * SECTOR, VF_AREAS_MAX);
        add_random(&a, round * 10, seed, wanted);
        vf_areas_finish(&a);
        flatten(&a, had);
        assert_memory_equal(had, wanted, SECTORS);
        assert_int_equal(a.gap_bytes, 0);
        vf_areas_release(&a);
    }
}

static void test_areas__too_many_lose_no_byte(void **state)
{
    (void)state;
    for (unsigned round = 0; round < 200; round++) {
        unsigned short seed[3] = {(unsigned short)round, 3, 4};
        char wanted[SECTORS] = {0}, had[SECTORS] = {0};
        size_t max = 2 + round % 40;
        struct vf_areas a;
        vf_areas_init(&a, SECTORS * SECTOR, max);
        add_random(&a, 1000, seed, wanted);
        vf_areas_finish(&a);
        assert_true(a.n <= max && a.cap <= max);
        assert_true(a.gap_bytes > 0);
        flatten(&a, had);
        for (unsigned i = 0; i < SECTORS; i++) {
            assert_true(had[i] >= wanted[i]);
        }
        vf_areas_release(&a);
    }
}

static void test_areas__the_smallest_gaps_are_closed(void **state)
{
    (void)state;
    struct vf_areas a;
    vf_areas_init(&a, (uint64_t)1 << 40, 8);
    for (uint64_t i = 0; i < 7; i++) {
        add(&a, i * 4096, 512);
    }
    add(&a, (uint64_t)1 << 30, 512);
    add(&a, (uint64_t)1 << 39, 512);
    vf_areas_finish(&a);
    assert_int_equal(a.n, 3);
    expect(&a, 0, 0, UINT64_C(6) * 4096 + 512);
    expect(&a, 1, (uint64_t)1 << 30, 512);
    expect(&a, 2, (uint64_t)1 << 39, 512);
    vf_areas_release(&a);
}

#define INFO(start, length, areas)                                                                 \
    "<r xmlns=\"urn:vim25\"><startOffset>" start "</startOffset><length>" length "</length>" areas \
    "</r>"
#define AREA(start, length)                                                                        \
    "<changedArea><start>" start "</start><length>" length "</length></changedArea>"

/* What the answer says of a disk of 1 MiB from 65536 on. */
static int parse(const char *xml, struct vf_areas *a, uint64_t *ret_next)
{
    xmlDoc *doc = NULL;
    struct vf_error *err = NULL;
    vf_areas_init(a, 1 << 20, VF_AREAS_MAX);
    assert_int_equal(vf_xml_parse(xml, strlen(xml), "test", &doc, NULL), 0);
    int rc = vf_areas_parse_answer(a, xmlDocGetRootElement(doc), 65536, ret_next, &err);
    assert_true((rc == 0) == (err == NULL));
    vf_error_free(err);
    xmlFreeDoc(doc);
    vf_areas_finish(a);
    return rc;
}

static void test_areas_parse_answer__areas_and_next(void **state)
{
    (void)state;
    struct vf_areas a;
    uint64_t next = 0;
    assert_int_equal(
        parse(INFO("65536", "131072", AREA("65536", "512") AREA("131072", "1024")), &a, &next), 0);
    assert_int_equal(next, 196608);
    assert_int_equal(a.n, 2);
    expect(&a, 0, 65536, 512);
    expect(&a, 1, 131072, 1024);
    vf_areas_release(&a);
}

static void test_areas_parse_answer__empty_window_is_unchanged(void **state)
{
    (void)state;
    struct vf_areas a;
    uint64_t next = 0;
    assert_int_equal(parse(INFO("65536", "65536", ""), &a, &next), 0);
    assert_int_equal(next, 131072);
    assert_int_equal(a.n, 0);
    vf_areas_release(&a);
}

static void test_areas_parse_answer__wider_windows_are_taken_as_they_are(void **state)
{
    (void)state;
    struct vf_areas a;
    uint64_t next = 0;
    /* It begins before what was asked for, ends behind the disk, and so does its area. */
    assert_int_equal(
        parse(INFO("0", "9000000", AREA("512", "512") AREA("1048064", "65536")), &a, &next), 0);
    assert_int_equal(next, 1 << 20);
    assert_int_equal(a.n, 2);
    expect(&a, 0, 512, 512);
    expect(&a, 1, 1048064, 512);
    vf_areas_release(&a);
}

static void test_areas_parse_answer__what_breaks_the_rules_is_refused(void **state)
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
        struct vf_areas a;
        uint64_t next = 77;
        assert_int_equal(parse(bad[i].xml, &a, &next), bad[i].rc);
        assert_int_equal(next, 77);
        vf_areas_release(&a);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_areas__overlapping_and_unsorted_are_joined),
        cmocka_unit_test(test_areas__rounded_to_sectors_and_cut_at_the_end),
        cmocka_unit_test(test_areas__one_behind_the_end_is_refused),
        cmocka_unit_test(test_areas__whole_disk_replaces_all),
        cmocka_unit_test(test_areas__random_ones_are_exactly_those_added),
        cmocka_unit_test(test_areas__too_many_lose_no_byte),
        cmocka_unit_test(test_areas__the_smallest_gaps_are_closed),
        cmocka_unit_test(test_areas_parse_answer__areas_and_next),
        cmocka_unit_test(test_areas_parse_answer__empty_window_is_unchanged),
        cmocka_unit_test(test_areas_parse_answer__wider_windows_are_taken_as_they_are),
        cmocka_unit_test(test_areas_parse_answer__what_breaks_the_rules_is_refused),
    };
    vf_xml_init();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
