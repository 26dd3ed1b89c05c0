#include "converters/disk/vmdk_descriptor.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "tests/support/disk_check.h"

#define HEAD "# Disk DescriptorFile\n"
#define DISK "RW 100 FLAT \"a.vmdk\" 0\n"

static void parse(const char *text, struct vf_vmdk_descriptor *d)
{
    struct vf_error *err = NULL;
    check_error(vf_vmdk_descriptor_parse(text, strlen(text), d, &err), &err, VF_OK, "");
}

static void expect_error(const char *text, enum vf_code code, const char *part)
{
    struct vf_vmdk_descriptor d;
    struct vf_error *err = NULL;
    check_error(vf_vmdk_descriptor_parse(text, strlen(text), &d, &err), &err, code, part);
}

static void test_vmdk_descriptor__esxi_flat_disk(void **state)
{
    (void)state;
    struct vf_vmdk_descriptor d;
    parse("# Disk DescriptorFile\n"
          "version=1\n"
          "encoding=\"UTF-8\"\n"
          "CID=8b9a2d5e\n"
          "parentCID=ffffffff\n"
          "isNativeSnapshot=\"no\"\n"
          "createType=\"vmfs\"\n"
          "\n"
          "# Extent description\n"
          "RW 33554432 VMFS \"web01-flat.vmdk\"\n"
          "\n"
          "# Change Tracking File\n"
          "changeTrackPath=\"web01-ctk.vmdk\"\n"
          "\n"
          "# The Disk Data Base \n"
          "#DDB\n"
          "\n"
          "ddb.adapterType = \"lsilogic\"\n"
          "ddb.uuid = \"60 00 C2 9a 5e 1f 00 11-22 33 44 55 66 77 88 99\"\n",
          &d);
    assert_int_equal(d.cid, 0x8b9a2d5e);
    assert_int_equal(d.parent_cid, 0xffffffff);
    assert_string_equal(d.create_type, "vmfs");
    assert_null(d.parent_hint);
    assert_false(d.encrypted);
    assert_int_equal(d.n_extents, 1);
    assert_int_equal(d.extents[0].type, VF_VMDK_VMFS);
    assert_int_equal(d.extents[0].sectors, 33554432);
    assert_string_equal(d.extents[0].file, "web01-flat.vmdk");
    assert_int_equal(d.capacity_sectors, 33554432);
    vf_vmdk_descriptor_release(&d);
}

static void test_vmdk_descriptor__every_extent_type_and_access(void **state)
{
    (void)state;
    struct vf_vmdk_descriptor d;
    parse(HEAD "createType = \"custom\"\r\n"
               "  RW 1 FLAT \"a b.vmdk\" 17\r\n"
               "RDONLY 2 SPARSE \"b\"\r\n"
               "NOACCESS 3 ZERO\r\n"
               "rw 4 VMFS \"c\"\n"
               "RW\t5\tVMFSSPARSE\t\"d\"\n"
               "RW 6 VMFSRDM \"e\"\n"
               "RW 7 VMFSRAW \"f\"\n"
               "RW 8 SESPARSE \"g\"\n"
               "RW 9 FLAT \"h\" 3 partitionUUID 0123\n"
               "RW 10 FLAT \"i\"",
          &d);
    static const enum vf_vmdk_extent_type types[] = {
        VF_VMDK_FLAT,    VF_VMDK_SPARSE,  VF_VMDK_ZERO,     VF_VMDK_VMFS, VF_VMDK_VMFSSPARSE,
        VF_VMDK_VMFSRDM, VF_VMDK_VMFSRAW, VF_VMDK_SESPARSE, VF_VMDK_FLAT, VF_VMDK_FLAT};
    assert_int_equal(d.n_extents, 10);
    for (unsigned i = 0; i < 10; i++) {
        assert_int_equal(d.extents[i].type, types[i]);
        assert_int_equal(d.extents[i].sectors, i + 1);
    }
    assert_string_equal(d.create_type, "custom");
    assert_string_equal(d.extents[0].file, "a b.vmdk");
    assert_int_equal(d.extents[0].offset_sectors, 17);
    assert_int_equal(d.extents[1].access, VF_VMDK_RDONLY);
    assert_int_equal(d.extents[2].access, VF_VMDK_NOACCESS);
    assert_null(d.extents[2].file);
    assert_int_equal(d.extents[8].offset_sectors, 3);
    assert_int_equal(d.capacity_sectors, 55);
    vf_vmdk_descriptor_release(&d);
}

static void test_vmdk_descriptor__delta_names_its_parent(void **state)
{
    (void)state;
    struct vf_vmdk_descriptor d;
    parse(HEAD "CID=1\nparentCID=8b9a2d5e\nparentFileNameHint=\"web01.vmdk\"\n"
               "RW 100 SESPARSE \"web01-000001-sesparse.vmdk\"\n",
          &d);
    assert_int_equal(d.parent_cid, 0x8b9a2d5e);
    assert_string_equal(d.parent_hint, "web01.vmdk");
    vf_vmdk_descriptor_release(&d);
}

static void test_vmdk_descriptor__names_are_read_by_their_encoding(void **state)
{
    (void)state;
    struct vf_vmdk_descriptor d;
    parse(HEAD "encoding=\"windows-1252\"\nparentCID=1\nparentFileNameHint=\"\x80.vmdk\"\n"
               "RW 1 FLAT \"m\xfcller-flat.vmdk\" 0\n",
          &d);
    assert_string_equal(d.extents[0].file, "m\xc3\xbcller-flat.vmdk");
    assert_string_equal(d.extents[0].file_bytes, "m\xfcller-flat.vmdk");
    assert_string_equal(d.parent_hint, "\xe2\x82\xac.vmdk");
    vf_vmdk_descriptor_release(&d);
    /* The encoding may come after the names. */
    parse(HEAD "RW 1 FLAT \"\x83\x65.vmdk\" 0\nencoding=\"Shift_JIS\"\n", &d);
    assert_string_equal(d.extents[0].file, "\xe3\x83\x86.vmdk");
    vf_vmdk_descriptor_release(&d);
    /* An unknown one does no harm to plain names. */
    parse(HEAD "encoding=\"x-unheard-of\"\n" DISK, &d);
    vf_vmdk_descriptor_release(&d);
    expect_error(HEAD "encoding=\"x-unheard-of\"\nRW 1 FLAT \"\xe4\" 0\n", VF_UNSUPPORTED,
                 "encoding");
    expect_error(HEAD "encoding=\"ISO-2022-CN-EXT\"\nRW 1 FLAT \"\xe4\" 0\n", VF_UNSUPPORTED,
                 "encoding");
    expect_error(HEAD "encoding=\"Shift_JIS\"\nRW 1 FLAT \"\x83\" 0\n", VF_UNSUPPORTED, "encoding");
}

static void test_vmdk_descriptor__encryption_is_seen(void **state)
{
    (void)state;
    static const char *const lines[] = {
        "encryption.keySafe = \"vmware:key/list/(pair/(...))\"\n",
        "encryption.data = \"AAAA\"\n",
        "encryptionKeys=\"x\"\n",
        "ddb.iofilters = \"vmwarevmcrypt\"\n",
        "ddb.iofilters = \"spm,VMWAREVMCRYPT\"\n",
    };
    for (unsigned i = 0; i < sizeof lines / sizeof *lines; i++) {
        char text[256];
        struct vf_vmdk_descriptor d;
        snprintf(text, sizeof text, HEAD DISK "%s", lines[i]);
        parse(text, &d);
        assert_true(d.encrypted);
        vf_vmdk_descriptor_release(&d);
    }
    struct vf_vmdk_descriptor d;
    parse(HEAD DISK "ddb.iofilters = \"spm\"\n", &d);
    assert_false(d.encrypted);
    vf_vmdk_descriptor_release(&d);
}

static void test_vmdk_descriptor__text_ends_at_nul(void **state)
{
    (void)state;
    static const char text[] = HEAD DISK "\0RW 1 ZERO\n";
    struct vf_vmdk_descriptor d;
    assert_int_equal(vf_vmdk_descriptor_parse(text, sizeof text, &d, NULL), 0);
    assert_int_equal(d.n_extents, 1);
    vf_vmdk_descriptor_release(&d);
}

static void test_vmdk_descriptor__length_bounds_the_text(void **state)
{
    (void)state;
    static const char text[] = HEAD DISK;
    for (size_t n = 0; n < sizeof text - 1; n++) {
        char *copy = malloc(n ? n : 1); /* no terminator: the sanitizer sees a read beyond */
        memcpy(copy, text, n);
        struct vf_vmdk_descriptor d;
        if (vf_vmdk_descriptor_parse(copy, n, &d, NULL) == 0) {
            vf_vmdk_descriptor_release(&d);
        }
        free(copy);
    }
}

static void test_vmdk_descriptor__byte_order_mark_is_passed_over(void **state)
{
    (void)state;
    struct vf_vmdk_descriptor d;
    parse("\xef\xbb\xbf" HEAD DISK, &d);
    vf_vmdk_descriptor_release(&d);
}

static void test_vmdk_descriptor__nothing_of_a_disk_is_passed_over(void **state)
{
    (void)state;
    expect_error("", VF_INVALID, "not a VMDK descriptor");
    expect_error("RW 1 ZERO\n", VF_INVALID, "not a VMDK descriptor");
    expect_error(HEAD, VF_INVALID, "names no extent");
    expect_error(HEAD DISK "RWX 1 ZERO\n", VF_INVALID, "line 3 of the VMDK descriptor");
    expect_error(HEAD DISK "some words\n", VF_INVALID, "neither a comment");
    expect_error(HEAD "RW 1 CLOUD \"a\"\n", VF_INVALID, "type is not known");
    expect_error(HEAD "RW 0 ZERO\n", VF_INVALID, "no number above 0");
    expect_error(HEAD "RW -1 ZERO\n", VF_INVALID, "no number above 0");
    expect_error(HEAD "RW 1x ZERO\n", VF_INVALID, "no number above 0");
    expect_error(HEAD "RW 99999999999999999999 ZERO\n", VF_INVALID, "no number above 0");
    expect_error(HEAD "RW 18446744073709551615 ZERO\nRW 2 ZERO\n", VF_INVALID, "64 TiB");
    expect_error(HEAD "RW 137438953472 ZERO\nRW 1 ZERO\n", VF_INVALID, "line 3");
    expect_error(HEAD "RW 1 FLAT a.vmdk 0\n", VF_INVALID, "quotes");
    expect_error(HEAD "RW 1 FLAT \"a.vmdk\n", VF_INVALID, "quotes");
    expect_error(HEAD "RW 1 FLAT \"\" 0\n", VF_INVALID, "empty");
    expect_error(HEAD "RW 1 FLAT \"a\x1b[2J\" 0\n", VF_INVALID, "control characters");
    expect_error(HEAD "RW 1 FLAT \"a\" zero\n", VF_INVALID, "offset is no number");
    expect_error(HEAD "RW 1 FLAT \"a\" -5\n", VF_INVALID, "offset is no number");
    expect_error(HEAD "RW 1 SPARSE \"a\" 5\n", VF_INVALID, "only a FLAT extent");
    expect_error(HEAD "RW 1 ZERO \"a\"\n", VF_INVALID, "a ZERO extent has no file");
    expect_error(HEAD "RW 1\n", VF_INVALID, "type is not known");
    expect_error(HEAD "RW\n", VF_INVALID, "neither");
}

static void test_vmdk_descriptor__contradictions_are_invalid(void **state)
{
    (void)state;
    expect_error(HEAD "CID=1\nCID=2\n" DISK, VF_INVALID, "given before");
    expect_error(HEAD "parentCID=ffffffff\nparentCID=1\n" DISK, VF_INVALID, "given before");
    expect_error(HEAD "createType=\"vmfs\"\ncreateType=\"custom\"\n" DISK, VF_INVALID,
                 "given before");
    expect_error(HEAD "CID=xyz\n" DISK, VF_INVALID, "hexadecimal");
    expect_error(HEAD "CID=123456789\n" DISK, VF_INVALID, "hexadecimal");
    expect_error(HEAD "parentCID=-1\n" DISK, VF_INVALID, "hexadecimal");
    expect_error(HEAD "parentFileNameHint=\"a\"\n" DISK, VF_INVALID, "names a parent");
}

static void test_vmdk_descriptor__too_many_extents_are_invalid(void **state)
{
    (void)state;
    char *text = NULL;
    size_t len = 0;
    FILE *out = open_memstream(&text, &len);
    fputs(HEAD, out);
    for (unsigned i = 0; i <= VF_VMDK_MAX_EXTENTS; i++) {
        fputs("RW 1 ZERO\n", out);
    }
    fclose(out);
    expect_error(text, VF_INVALID, "too many extents");
    free(text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_vmdk_descriptor__esxi_flat_disk),
        cmocka_unit_test(test_vmdk_descriptor__every_extent_type_and_access),
        cmocka_unit_test(test_vmdk_descriptor__delta_names_its_parent),
        cmocka_unit_test(test_vmdk_descriptor__names_are_read_by_their_encoding),
        cmocka_unit_test(test_vmdk_descriptor__encryption_is_seen),
        cmocka_unit_test(test_vmdk_descriptor__text_ends_at_nul),
        cmocka_unit_test(test_vmdk_descriptor__length_bounds_the_text),
        cmocka_unit_test(test_vmdk_descriptor__byte_order_mark_is_passed_over),
        cmocka_unit_test(test_vmdk_descriptor__nothing_of_a_disk_is_passed_over),
        cmocka_unit_test(test_vmdk_descriptor__contradictions_are_invalid),
        cmocka_unit_test(test_vmdk_descriptor__too_many_extents_are_invalid),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
