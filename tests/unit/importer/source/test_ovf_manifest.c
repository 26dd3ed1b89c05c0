#include "importer/source/ovf_manifest.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

/* Of "abc": FIPS 180-4 examples. */
#define ABC_SHA1   "a9993e364706816aba3e25717850c26c9cd0d89d"
#define ABC_SHA256 "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
#define ABC_SHA512                                                                                 \
    "ddaf35a193617abacc417349ae20413112e6fa4e89a97ea20a9eeee64b55d39a"                             \
    "2192992a274fc1a836ba3c23a3feebbd454d4423643ce80e2a9ac94fa54ca49f"

static void take_digest(struct vf_ovf_digest *d, unsigned mask, const char *text)
{
    assert_int_equal(vf_ovf_digest_init(d, mask, NULL), 0);
    assert_int_equal(vf_ovf_digest_update(d, text, strlen(text), NULL), 0);
    assert_int_equal(vf_ovf_digest_finish(d, NULL), 0);
}

static void test_ovf_manifest__spellings(void **state)
{
    (void)state;
    static const char *const texts[] = {
        "SHA256(disk 1.vmdk)= " ABC_SHA256 "\n",
        "SHA256 (disk 1.vmdk) = " ABC_SHA256 "\r\n",
        "\xef\xbb\xbfsha-256(./disk 1.vmdk)=" ABC_SHA256,
        "\n  SHA1(disk 1.vmdk)= " ABC_SHA1 "  \n\n",
        "SHA-1( disk 1.vmdk )= A9993E364706816ABA3E25717850C26C9CD0D89D\n",
        "SHA512(disk 1.vmdk)= " ABC_SHA512 "\n",
        "SHA1(a.ovf)= " ABC_SHA1 "\nSHA512(disk 1.vmdk)= " ABC_SHA512,
    };
    struct vf_ovf_digest d;
    take_digest(&d, VF_OVF_ALL_DIGESTS, "abc");
    struct vf_ovf_digest other;
    take_digest(&other, VF_OVF_ALL_DIGESTS, "abd");
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        struct vf_ovf_manifest m;
        assert_int_equal(vf_ovf_manifest_parse(texts[i], strlen(texts[i]), "x.mf", &m, NULL), 0);
        assert_int_equal(vf_ovf_manifest_check(&m, "disk 1.vmdk", &other, NULL), VF_INVALID);
        assert_int_equal(vf_ovf_manifest_check(&m, "disk 1.vmdk", &d, NULL), 0);
        assert_int_equal(vf_ovf_manifest_check_all(&m, NULL), m.n_entries == 2 ? VF_MISSING : 0);
        vf_ovf_manifest_release(&m);
    }
}

static void test_ovf_manifest__name_may_hold_syntax(void **state)
{
    (void)state;
    const char *text = "SHA1(a (copy)=b.vmdk)= " ABC_SHA1;
    struct vf_ovf_manifest m;
    assert_int_equal(vf_ovf_manifest_parse(text, strlen(text), "x.mf", &m, NULL), 0);
    assert_string_equal(m.entries[0].name, "a (copy)=b.vmdk");
    assert_int_equal(vf_ovf_manifest_mask(&m, "a (copy)=b.vmdk"), 1u << VF_OVF_SHA1);
    assert_int_equal(vf_ovf_manifest_mask(&m, "a"), 0);
    vf_ovf_manifest_release(&m);
}

static void test_ovf_manifest__bad_lines(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        int code;
        const char *message;
    } rows[] = {
        {"hello", VF_INVALID, "x.mf, line 1: not of the form"},
        {"\nSHA1(a)= " ABC_SHA256, VF_INVALID, "x.mf, line 2: not a SHA1 digest"},
        {"SHA1(a)= a999", VF_INVALID, "not a SHA1 digest"},
        {"SHA1(a)= z9993e364706816aba3e25717850c26c9cd0d89d", VF_INVALID, "not a SHA1 digest"},
        {"SHA1(a)=", VF_INVALID, "not a SHA1 digest"},
        {"SHA1(a= " ABC_SHA1, VF_INVALID, "not of the form"},
        {"SHA1 a)= " ABC_SHA1, VF_INVALID, "not of the form"},
        {"=SHA1(a) " ABC_SHA1, VF_INVALID, "not of the form"},
        {"SHA1()= " ABC_SHA1, VF_INVALID, "empty"},
        {"MD5(a)= 900150983cd24fb0d6963f7d28e17f72", VF_UNSUPPORTED, "other than SHA1"},
        {"SHA1(a)= " ABC_SHA1 "\nSHA1(./a)= " ABC_SHA1, VF_INVALID, "named twice"},
        {"SHA1(../a)= " ABC_SHA1, VF_INVALID, "leads out"},
        {"SHA1(/etc/passwd)= " ABC_SHA1, VF_INVALID, "leads out"},
        {"SHA1(a\x1b[2Jb)= " ABC_SHA1, VF_INVALID, "control characters"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct vf_ovf_manifest m = {0};
        struct vf_error *err = NULL;
        int rc = vf_ovf_manifest_parse(rows[i].text, strlen(rows[i].text), "x.mf", &m, &err);
        assert_int_equal(rc, rows[i].code);
        char *line = vf_error_format(err);
        if (!strstr(line, rows[i].message)) {
            fail_msg("\"%s\" lacks \"%s\"", line, rows[i].message);
        }
        free(line);
        vf_error_free(err);
        assert_int_equal(m.n_entries, 0);
    }
    struct vf_ovf_manifest m = {0};
    assert_int_equal(vf_ovf_manifest_parse("a\0b", 3, "x.mf", &m, NULL), VF_INVALID);
}

static void test_ovf_manifest__mismatch_says_both(void **state)
{
    (void)state;
    const char *text = "SHA1(a)= " ABC_SHA1;
    struct vf_ovf_manifest m;
    assert_int_equal(vf_ovf_manifest_parse(text, strlen(text), "x.mf", &m, NULL), 0);
    struct vf_ovf_digest d;
    take_digest(&d, 1u << VF_OVF_SHA1, "");
    struct vf_error *err = NULL;
    assert_int_equal(vf_ovf_manifest_check(&m, "a", &d, &err), VF_INVALID);
    assert_string_equal(vf_error_message(err),
                        "\"a\" does not match the manifest: SHA1 expected " ABC_SHA1
                        ", got da39a3ee5e6b4b0d3255bfef95601890afd80709");
    assert_non_null(vf_error_get_hint(err));
    vf_error_free(err);
    vf_ovf_manifest_release(&m);
}

static void test_ovf_name_check__table(void **state)
{
    (void)state;
    static const char *const good[] = {"a", "a/b", "..a", "a..", "a/..b", "...", "M\xc3\xbc.vmdk"};
    static const char *const bad[] = {"",     "/a",   "..",    "../a", "a/..",       "a/../b",
                                      "a\\b", "a\nb", "a\x7f", "\xff", "c:\\a.vmdk", "a/b/.."};
    for (size_t i = 0; i < sizeof good / sizeof *good; i++) {
        assert_int_equal(vf_ovf_name_check(good[i], NULL), 0);
    }
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        assert_int_equal(vf_ovf_name_check(bad[i], NULL), VF_INVALID);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_ovf_manifest__spellings),
        cmocka_unit_test(test_ovf_manifest__name_may_hold_syntax),
        cmocka_unit_test(test_ovf_manifest__bad_lines),
        cmocka_unit_test(test_ovf_manifest__mismatch_says_both),
        cmocka_unit_test(test_ovf_name_check__table),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
