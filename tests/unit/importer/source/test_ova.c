#include "importer/source/ova.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "importer/base/mem.h"
#include "tests/support/memory_stream.h"
#include "tests/support/package.h"

#define OVF "<Envelope/>"

static char disk[300000];

static int set_up(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof disk; i++) {
        disk[i] = (char)(i * i >> 7);
    }
    return 0;
}

enum place { NOWHERE, SECOND, LAST };

/* x.ovf, disk, and a manifest over both. */
static void make(struct package *p, const char *algorithm, enum place manifest)
{
    char *a = package_manifest_line(algorithm, "x.ovf", OVF, strlen(OVF));
    char *b = package_manifest_line(algorithm, "disk.vmdk", disk, sizeof disk);
    char *text = vf_xasprintf("%s%s", a, b);
    package_begin(p);
    package_add_text(p, "x.ovf", OVF);
    if (manifest == SECOND) {
        package_add_text(p, "x.mf", text);
    }
    package_add(p, "./disk.vmdk", disk, sizeof disk);
    if (manifest == LAST) {
        package_add_text(p, "x.mf", text);
    }
    package_end(p);
    free(text);
    free(b);
    free(a);
}

static void expect_disk(struct vf_ova *ova)
{
    struct vf_stream *s = NULL;
    assert_int_equal(vf_ova_open_member(ova, sizeof disk, &s, NULL), 0);
    static char got[sizeof disk + 1];
    size_t n = 0;
    assert_int_equal(vf_stream_read_full(s, got, sizeof got, &n, NULL), 0);
    assert_int_equal(n, sizeof disk);
    assert_memory_equal(got, disk, sizeof disk);
    vf_stream_free(s);
}

static void expect_good(const struct package *p, size_t piece, bool read_disk, bool has_manifest)
{
    struct vf_ova *ova = NULL;
    assert_int_equal(
        vf_ova_open(memory_stream_new(p->data, p->len, piece, false), "x.ova", &ova, NULL), 0);
    struct vf_ova_member m;
    bool end = true;
    assert_int_equal(vf_ova_next(ova, &m, &end, NULL), 0);
    assert_false(end);
    assert_string_equal(m.name, "x.ovf");
    char *text = NULL;
    size_t len;
    assert_int_equal(vf_ova_read_descriptor(ova, &text, &len, NULL), 0);
    assert_string_equal(text, OVF);
    free(text);
    assert_int_equal(vf_ova_next(ova, &m, &end, NULL), 0);
    assert_false(end);
    assert_string_equal(m.name, "disk.vmdk");
    assert_int_equal(m.size_bytes, sizeof disk);
    if (read_disk) {
        expect_disk(ova);
    }
    assert_int_equal(vf_ova_next(ova, &m, &end, NULL), 0);
    assert_true(end);
    struct vf_ova_summary sum;
    assert_int_equal(vf_ova_finish(ova, &sum, NULL), 0);
    assert_int_equal(sum.has_manifest, has_manifest);
    assert_int_equal(sum.n_checked, has_manifest ? 2 : 0);
    assert_int_equal(sum.n_unchecked, has_manifest ? 0 : 2);
    vf_ova_free(ova);
}

static void test_ova__manifest_anywhere_and_of_any_kind(void **state)
{
    (void)state;
    static const char *const algorithms[] = {"SHA1", "SHA256", "SHA512"};
    for (size_t i = 0; i < 3; i++) {
        for (enum place place = NOWHERE; place <= LAST; place++) {
            struct package p;
            make(&p, algorithms[i], place);
            expect_good(&p, SIZE_MAX, true, place != NOWHERE);
            expect_good(&p, 1000, false, place != NOWHERE);
            package_release(&p);
        }
    }
}

static void test_ova__gzip_around_the_whole(void **state)
{
    (void)state;
    struct package p;
    make(&p, "SHA256", LAST);
    size_t len;
    void *packed = package_gzip(p.data, p.len, &len);
    free(p.data);
    p.data = packed;
    p.len = len;
    expect_good(&p, 4096, true, true);
    package_release(&p);
}

/* Runs through the package; the error text, heap, NULL when it is good. */
static char *run(const char *data, size_t len, bool breaks, int *ret_code)
{
    struct vf_ova *ova = NULL;
    struct vf_error *err = NULL;
    *ret_code = vf_ova_open(memory_stream_new(data, len, SIZE_MAX, breaks), "x.ova", &ova, &err);
    if (*ret_code == 0) {
        *ret_code = vf_ova_finish(ova, NULL, &err);
        if (*ret_code) { /* refused stays refused */
            assert_int_equal(vf_ova_finish(ova, NULL, NULL), *ret_code);
        }
    }
    vf_ova_free(ova);
    char *text = err ? vf_error_format(err) : NULL;
    vf_error_free(err);
    return text;
}

static void expect_refused(struct package *p, int code, const char *message)
{
    if (p->tar) {
        package_end(p);
    }
    int got;
    char *text = run(p->data, p->len, false, &got);
    if (got != code || !text || !strstr(text, message)) {
        fail_msg("got %d \"%s\", wanted %d \"%s\"", got, text ? text : "", code, message);
    }
    free(text);
    package_release(p);
}

static void test_ova__gzip_member_is_hashed_as_stored(void **state)
{
    (void)state;
    size_t len;
    char *packed = package_gzip(disk, sizeof disk, &len);
    char *line = package_manifest_line("SHA256", "disk.vmdk.gz", packed, len);
    struct package p;
    package_begin(&p);
    package_add_text(&p, "x.ovf", OVF);
    package_add(&p, "disk.vmdk.gz", packed, len);
    package_add_text(&p, "x.mf", line);
    package_end(&p);
    struct vf_ova *ova = NULL;
    struct vf_ova_member m;
    bool end;
    assert_int_equal(vf_ova_open(memory_stream_new(p.data, p.len, 999, false), "x", &ova, NULL), 0);
    assert_int_equal(vf_ova_next(ova, &m, &end, NULL), 0);
    assert_int_equal(vf_ova_next(ova, &m, &end, NULL), 0);
    expect_disk(ova);
    assert_int_equal(vf_ova_finish(ova, NULL, NULL), 0);
    vf_ova_free(ova);
    package_release(&p);
    free(line);
    free(packed);
}

static void test_ova__bomb_stops_at_the_limit(void **state)
{
    (void)state;
    static const char zeros[1 << 20];
    size_t len;
    char *packed = package_gzip(zeros, sizeof zeros, &len);
    struct package p;
    package_begin(&p);
    package_add_text(&p, "x.ovf", OVF);
    package_add(&p, "disk.vmdk.gz", packed, len);
    package_end(&p);
    struct vf_ova *ova = NULL;
    struct vf_ova_member m;
    bool end;
    assert_int_equal(vf_ova_open(memory_stream_new(p.data, p.len, 999, false), "x", &ova, NULL), 0);
    assert_int_equal(vf_ova_next(ova, &m, &end, NULL), 0);
    assert_int_equal(vf_ova_next(ova, &m, &end, NULL), 0);
    struct vf_stream *s = NULL;
    assert_int_equal(vf_ova_open_member(ova, 5000, &s, NULL), 0);
    char buf[8192];
    size_t n;
    assert_int_equal(vf_stream_read_full(s, buf, sizeof buf, &n, NULL), VF_SPACE);
    vf_ova_free(ova);
    package_release(&p);
    free(packed);
}

static void test_ova__changed_byte_is_invalid_and_named(void **state)
{
    (void)state;
    for (enum place place = SECOND; place <= LAST; place++) {
        struct package p;
        make(&p, "SHA256", place);
        char *at = memmem(p.data, p.len, disk + 100000, 512);
        assert_non_null(at);
        at[7] ^= 1;
        expect_refused(&p, VF_INVALID, "\"disk.vmdk\" does not match the manifest: SHA256");
    }
}

static void test_ova__file_of_the_manifest_that_is_absent(void **state)
{
    (void)state;
    struct package p;
    char *line = package_manifest_line("SHA1", "gone.vmdk", "", 0);
    package_begin(&p);
    package_add_text(&p, "x.ovf", OVF);
    package_add_text(&p, "x.mf", line);
    free(line);
    expect_refused(&p, VF_MISSING, "\"gone.vmdk\" is in the manifest, but not in the package");
}

static void test_ova__hostile_members(void **state)
{
    (void)state;
    static const struct {
        const char *name, *link, *message;
    } rows[] = {
        {"../x.vmdk", NULL, "leads out"},
        {"a/../../x.vmdk", NULL, "leads out"},
        {"/etc/passwd", NULL, "leads out"},
        {"a\x1b[31m.vmdk", NULL, "control characters"},
        {"./x.ovf", NULL, "in the archive twice"},
        {"y.ovf", NULL, "second descriptor"},
        {"link.vmdk", "/etc/shadow", "link or device"},
        {"link2.vmdk", "x.ovf", "link or device"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct package p;
        package_begin(&p);
        package_add_text(&p, "x.ovf", OVF);
        if (rows[i].link) {
            package_add_link(&p, rows[i].name, rows[i].link);
        } else {
            package_add_text(&p, rows[i].name, "data");
        }
        expect_refused(&p, VF_INVALID, rows[i].message);
    }
}

static void test_ova__order_and_number_of_parts(void **state)
{
    (void)state;
    struct package p;
    package_begin(&p);
    package_add_text(&p, "disk.vmdk", "x");
    package_add_text(&p, "x.ovf", OVF);
    expect_refused(&p, VF_INVALID, "comes before the descriptor");

    package_begin(&p);
    package_add_text(&p, "x.mf", "");
    expect_refused(&p, VF_INVALID, "no descriptor");

    package_begin(&p);
    package_add_text(&p, "x.ovf", OVF);
    package_add_text(&p, "x.mf", "");
    package_add_text(&p, "y.mf", "");
    expect_refused(&p, VF_INVALID, "second manifest");
}

static void test_ova__certificate_is_told(void **state)
{
    (void)state;
    struct package p;
    package_begin(&p);
    package_add_text(&p, "x.ovf", OVF);
    package_add_text(&p, "x.cert", "-----BEGIN CERTIFICATE-----");
    package_end(&p);
    struct vf_ova *ova = NULL;
    assert_int_equal(vf_ova_open(memory_stream_new(p.data, p.len, 512, false), "x", &ova, NULL), 0);
    struct vf_ova_summary sum;
    assert_int_equal(vf_ova_finish(ova, &sum, NULL), 0);
    assert_true(sum.has_certificate);
    assert_false(sum.has_manifest);
    assert_int_equal(sum.n_unchecked, 1);
    vf_ova_free(ova);
    package_release(&p);
}

static void test_ova__truncation_is_never_good(void **state)
{
    (void)state;
    struct package p;
    make(&p, "SHA256", SECOND);
    for (size_t len = 0; len < p.len - 1024 - 512; len += 479) {
        int rc;
        char *text = run(p.data, len, false, &rc);
        assert_int_not_equal(rc, 0);
        assert_non_null(text);
        free(text);
        free(run(p.data, len, true, &rc)); /* the stream says so itself */
        assert_int_not_equal(rc, 0);
    }
    int rc;
    char *text = run(p.data, 200000, true, &rc);
    assert_int_equal(rc, VF_RETRY);
    assert_string_equal(text, "the connection was reset");
    free(text);
    package_release(&p);
}

static void test_ova__other_files_are_refused(void **state)
{
    (void)state;
    static const char *const texts[] = {"", "x", "KDMV", "PK\x03\x04 something zipped"};
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        int rc;
        char *text = run(texts[i], strlen(texts[i]), false, &rc);
        assert_int_equal(rc, VF_INVALID);
        free(text);
    }
    int rc;
    char *text = run(disk, sizeof disk, false, &rc);
    assert_int_equal(rc, VF_INVALID);
    assert_non_null(strstr(text, "not an OVA"));
    free(text);
}

static void test_ova__member_stream_ends_with_its_member(void **state)
{
    (void)state;
    struct package p;
    make(&p, "SHA1", NOWHERE);
    struct vf_ova *ova = NULL;
    struct vf_ova_member m;
    bool end;
    struct vf_stream *s = NULL;
    assert_int_equal(vf_ova_open(memory_stream_new(p.data, p.len, 512, false), "x", &ova, NULL), 0);
    assert_int_equal(vf_ova_open_member(ova, 1, &s, NULL), VF_INTERNAL);
    assert_int_equal(vf_ova_next(ova, &m, &end, NULL), 0);
    assert_int_equal(vf_ova_open_member(ova, 100, &s, NULL), 0);
    assert_int_equal(vf_ova_next(ova, &m, &end, NULL), 0);
    char c;
    size_t n;
    assert_int_equal(s->ops->read(s, &c, 1, &n, NULL), VF_INTERNAL);
    vf_ova_free(ova);
    package_release(&p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_ova__manifest_anywhere_and_of_any_kind),
        cmocka_unit_test(test_ova__gzip_around_the_whole),
        cmocka_unit_test(test_ova__gzip_member_is_hashed_as_stored),
        cmocka_unit_test(test_ova__bomb_stops_at_the_limit),
        cmocka_unit_test(test_ova__changed_byte_is_invalid_and_named),
        cmocka_unit_test(test_ova__file_of_the_manifest_that_is_absent),
        cmocka_unit_test(test_ova__hostile_members),
        cmocka_unit_test(test_ova__order_and_number_of_parts),
        cmocka_unit_test(test_ova__certificate_is_told),
        cmocka_unit_test(test_ova__truncation_is_never_good),
        cmocka_unit_test(test_ova__other_files_are_refused),
        cmocka_unit_test(test_ova__member_stream_ends_with_its_member),
    };
    return cmocka_run_group_tests(tests, set_up, NULL);
}
