#include "jobs/record.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "tests/support/disk_check.h"

/* A text in memory that may be written to, as the fields are declared. */
#define S(text) ((char[]){text})

#define DISK "{\"file\":\"a\",\"format\":\"raw\",\"sizeBytes\":512,\"digest\":\"x\"}"

static void test_record__what_is_written_is_read(void **state)
{
    (void)state;
    struct vf_record_disk disks[2] = {
        {S("web-disk-0.img"), S("raw"), S("sha256-1m:00"), S("Hard disk 1"), S("[ds] \"a\"\n.vmdk"),
         1ull << 46},
        {S("web-disk-1.qcow2"), S("qcow2"), S("sha256-1m:01"), NULL, NULL, 512},
    };
    struct vf_record r = {.vm = S("web \xc3\xa4"),
                          .name = S("web"),
                          .source_kind = S("vsphere"),
                          .source = S("vc"),
                          .moref = S("vm-42"),
                          .instance_uuid = S("50"),
                          .snapshot = true,
                          .quiesced = true,
                          .disks = disks,
                          .n_disks = 2},
                     b;
    char *text = vf_record_encode(&r);
    assert_int_equal(text[strlen(text) - 1], '\n');
    assert_int_equal(vf_record_parse(text, strlen(text), &b, NULL), 0);
    assert_string_equal(b.vm, r.vm);
    assert_string_equal(b.name, r.name);
    assert_string_equal(b.source_kind, r.source_kind);
    assert_string_equal(b.source, r.source);
    assert_string_equal(b.moref, r.moref);
    assert_string_equal(b.instance_uuid, r.instance_uuid);
    assert_true(b.snapshot && b.quiesced);
    assert_int_equal(b.n_disks, 2);
    assert_string_equal(b.disks[0].source, disks[0].source);
    assert_string_equal(b.disks[0].label, disks[0].label);
    assert_int_equal(b.disks[0].size_bytes, 1ull << 46);
    assert_null(b.disks[1].label);
    assert_string_equal(b.disks[1].file, disks[1].file);
    assert_string_equal(b.disks[1].format, "qcow2");
    assert_string_equal(b.disks[1].digest, "sha256-1m:01");
    vf_record_release(&b);
    vf_record_release(&b);
    free(text);
}

static void test_record__bad_ones_are_refused(void **state)
{
    (void)state;
    const struct {
        const char *text;
        enum vf_code code;
        const char *part;
    } cases[] = {
        {"", VF_INVALID, ""},
        {"[]", VF_INVALID, "no recordVersion"},
        {"{}", VF_INVALID, "no recordVersion"},
        {"{\"recordVersion\":0,\"disks\":[" DISK "]}", VF_INVALID, "no recordVersion"},
        {"{\"recordVersion\":\"1\",\"disks\":[" DISK "]}", VF_INVALID, "no recordVersion"},
        {"{\"recordVersion\":2,\"disks\":[" DISK "]}", VF_UNSUPPORTED, "version 2"},
        {"{\"recordVersion\":1}", VF_INVALID, "lists no disks"},
        {"{\"recordVersion\":1,\"disks\":[" DISK ",{}]}", VF_INVALID, "disk 1 lacks"},
        {"{\"recordVersion\":1,\"disks\":[" DISK ",7]}", VF_INVALID, "disk 1 lacks"},
        {"{\"recordVersion\":1,\"disks\":[{\"file\":\"../a\",\"format\":\"raw\",\"sizeBytes\":1,"
         "\"digest\":\"x\"}]}",
         VF_INVALID, "outside the folder"},
        {"{\"recordVersion\":1,\"disks\":[{\"file\":\"..\",\"format\":\"raw\",\"sizeBytes\":1,"
         "\"digest\":\"x\"}]}",
         VF_INVALID, "outside the folder"},
        {"{\"recordVersion\":1,\"disks\":[{\"file\":\"\",\"format\":\"raw\",\"sizeBytes\":1,"
         "\"digest\":\"x\"}]}",
         VF_INVALID, "outside the folder"},
        {"{\"recordVersion\":1,\"disks\":[{\"file\":\"a\",\"format\":\"raw\",\"sizeBytes\":-1,"
         "\"digest\":\"x\"}]}",
         VF_INVALID, "disk 0 lacks"},
        {"{\"recordVersion\":1,\"disks\":[{\"file\":\"a\",\"format\":\"vmdk\",\"sizeBytes\":1,"
         "\"digest\":\"x\"}]}",
         VF_INVALID, "format \"vmdk\""},
    };
    for (unsigned i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct vf_record r;
        struct vf_error *err = NULL;
        check_error(vf_record_parse(cases[i].text, strlen(cases[i].text), &r, &err), &err,
                    cases[i].code, cases[i].part);
    }
}

static void test_record_load__says_what_is_wrong_with_the_folder(void **state)
{
    (void)state;
    char *dir = scratch_new();
    struct vf_record r;
    struct vf_error *err = NULL;
    int rc = vf_record_load(dir, &r, &err);
    assert_non_null(vf_error_get_hint(err));
    check_error(rc, &err, VF_MISSING, "vmferry.json");
    scratch_write_text(dir, "vmferry.json", "{\"recordVersion\":1,\"disks\":[" DISK "]}");
    assert_int_equal(vf_record_load(dir, &r, NULL), 0);
    assert_int_equal(r.n_disks, 1);
    assert_false(r.snapshot);
    vf_record_release(&r);
    size_t size = (4u << 20) + 1;
    char *large = malloc(size);
    memset(large, ' ', size);
    scratch_write(dir, "vmferry.json", large, size);
    check_error(vf_record_load(dir, &r, &err), &err, VF_INVALID, "too large");
    scratch_write_text(dir, "vmferry.json", "{");
    check_error(vf_record_load(dir, &r, &err), &err, VF_INVALID, "record \"");
    free(large);
    scratch_release(dir);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_record__what_is_written_is_read),
        cmocka_unit_test(test_record__bad_ones_are_refused),
        cmocka_unit_test(test_record_load__says_what_is_wrong_with_the_folder),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
