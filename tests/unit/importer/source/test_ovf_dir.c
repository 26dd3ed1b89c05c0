#include "importer/source/ovf_dir.h"

#include <fcntl.h>
#include <ftw.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "importer/base/mem.h"
#include "tests/support/package.h"

#define OVF  "<Envelope/>"
#define DISK "content of a disk, long enough to be read in two pieces"

static char folder[40];

static void put(const char *name, const void *data, size_t len)
{
    char *path = vf_xasprintf("%s/%s", folder, name);
    FILE *f = fopen(path, "w");
    assert_non_null(f);
    assert_int_equal(fwrite(data, 1, len, f), len);
    fclose(f);
    free(path);
}

static int set_up(void **state)
{
    (void)state;
    strcpy(folder, "/tmp/vf-test-ovf-XXXXXX");
    assert_non_null(mkdtemp(folder));
    put("x.ovf", OVF, strlen(OVF));
    put("disk.vmdk", DISK, strlen(DISK));
    return 0;
}

static int remove_one(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
    (void)st;
    (void)type;
    (void)ftw;
    return remove(path);
}

static int tear_down(void **state)
{
    (void)state;
    return nftw(folder, remove_one, 8, FTW_DEPTH | FTW_PHYS);
}

/* `disk_text` is what the manifest believes. */
static void put_manifest(const char *disk_text)
{
    char *a = package_manifest_line("SHA1", "x.ovf", OVF, strlen(OVF));
    char *b = package_manifest_line("SHA512", "disk.vmdk", disk_text, strlen(disk_text));
    char *text = vf_xasprintf("%s%s", a, b);
    put("x.mf", text, strlen(text));
    free(text);
    free(b);
    free(a);
}

static struct vf_ovf_dir *open_dir(void)
{
    char *path = vf_xasprintf("%s/x.ovf", folder);
    struct vf_ovf_dir *dir = NULL;
    struct vf_error *err = NULL;
    if (vf_ovf_dir_open(path, NULL, &dir, &err)) {
        fail_msg("%s", vf_error_message(err));
    }
    free(path);
    size_t len;
    assert_string_equal(vf_ovf_dir_descriptor(dir, &len), OVF);
    assert_int_equal(len, strlen(OVF));
    return dir;
}

static void read_disk(struct vf_ovf_dir *dir, const char *href, size_t want)
{
    struct vf_stream *s = NULL;
    assert_int_equal(vf_ovf_dir_open_file(dir, href, 1000, &s, NULL), 0);
    char buf[200];
    size_t n;
    assert_int_equal(vf_stream_read_full(s, buf, want, &n, NULL), 0);
    assert_memory_equal(buf, DISK, n);
    assert_true(n == want || n == strlen(DISK));
    vf_stream_free(s);
}

static void test_ovf_dir__without_manifest(void **state)
{
    (void)state;
    struct vf_ovf_dir *dir = open_dir();
    read_disk(dir, "./disk.vmdk", 200);
    struct vf_ovf_dir_summary sum;
    assert_int_equal(vf_ovf_dir_finish(dir, &sum, NULL), 0);
    assert_false(sum.has_manifest);
    vf_ovf_dir_free(dir);
}

static void test_ovf_dir__manifest_is_checked_however_much_was_read(void **state)
{
    (void)state;
    put_manifest(DISK);
    put("x.cert", "", 0);
    static const size_t amounts[] = {0, 2, 10, 200};
    for (size_t i = 0; i < sizeof amounts / sizeof *amounts; i++) {
        struct vf_ovf_dir *dir = open_dir();
        if (amounts[i]) {
            read_disk(dir, "disk.vmdk", amounts[i]);
        }
        struct vf_ovf_dir_summary sum;
        assert_int_equal(vf_ovf_dir_finish(dir, &sum, NULL), 0);
        assert_true(sum.has_manifest);
        assert_true(sum.has_certificate);
        assert_int_equal(sum.n_checked, 2);
        vf_ovf_dir_free(dir);
    }
}

static void test_ovf_dir__mismatch_is_invalid(void **state)
{
    (void)state;
    put_manifest("another content");
    for (int read = 0; read < 2; read++) {
        struct vf_ovf_dir *dir = open_dir();
        if (read) {
            read_disk(dir, "disk.vmdk", 200);
        }
        struct vf_error *err = NULL;
        assert_int_equal(vf_ovf_dir_finish(dir, NULL, &err), VF_INVALID);
        assert_non_null(strstr(vf_error_message(err), "\"disk.vmdk\" does not match"));
        vf_error_free(err);
        vf_ovf_dir_free(dir);
    }
}

static void test_ovf_dir__changed_descriptor_is_invalid_at_once(void **state)
{
    (void)state;
    put_manifest(DISK);
    put("x.ovf", "<Envelope />", 12);
    char *path = vf_xasprintf("%s/x.ovf", folder);
    struct vf_ovf_dir *dir = NULL;
    assert_int_equal(vf_ovf_dir_open(path, NULL, &dir, NULL), VF_INVALID);
    free(path);
}

static void test_ovf_dir__absent_file_of_the_manifest(void **state)
{
    (void)state;
    char *line = package_manifest_line("SHA256", "gone.iso", "", 0);
    put("x.mf", line, strlen(line));
    free(line);
    struct vf_ovf_dir *dir = open_dir();
    assert_int_equal(vf_ovf_dir_finish(dir, NULL, NULL), VF_MISSING);
    vf_ovf_dir_free(dir);
}

static void test_ovf_dir__gzip_is_taken_off_and_hashed_as_stored(void **state)
{
    (void)state;
    size_t len;
    void *packed = package_gzip(DISK, strlen(DISK), &len);
    put("disk.vmdk.gz", packed, len);
    char *line = package_manifest_line("SHA256", "disk.vmdk.gz", packed, len);
    put("x.mf", line, strlen(line));
    struct vf_ovf_dir *dir = open_dir();
    read_disk(dir, "disk.vmdk.gz", 200);
    assert_int_equal(vf_ovf_dir_finish(dir, NULL, NULL), 0);
    vf_ovf_dir_free(dir);
    free(line);
    free(packed);
}

static void test_ovf_dir__names_stay_inside(void **state)
{
    (void)state;
    char *link = vf_xasprintf("%s/out.vmdk", folder);
    assert_int_equal(symlink("/etc/passwd", link), 0);
    free(link);
    link = vf_xasprintf("%s/in.vmdk", folder);
    assert_int_equal(symlink("disk.vmdk", link), 0);
    free(link);
    struct vf_ovf_dir *dir = open_dir();
    static const struct {
        const char *name;
        int code;
    } rows[] = {
        {"out.vmdk", VF_INVALID},    {"../x", VF_INVALID}, {"/etc/passwd", VF_INVALID},
        {"a/../../etc", VF_INVALID}, {"", VF_INVALID},     {"none.vmdk", VF_MISSING},
        {"disk.vmdk/x", VF_MISSING}, {"in.vmdk", 0},       {"./disk.vmdk", 0},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        char *path = NULL;
        assert_int_equal(vf_ovf_dir_fetch_path(dir, rows[i].name, &path, NULL), rows[i].code);
        free(path);
        struct vf_stream *s = NULL;
        assert_int_equal(vf_ovf_dir_open_file(dir, rows[i].name, 100, &s, NULL), rows[i].code);
        vf_stream_free(s);
    }
    vf_ovf_dir_free(dir);
}

static void test_ovf_dir__percent_encoding_is_taken_off(void **state)
{
    (void)state;
    put("a b.vmdk", DISK, strlen(DISK));
    put("c%20d.vmdk", DISK, strlen(DISK));
    char *line = package_manifest_line("SHA256", "a b.vmdk", "other", 5);
    put("x.mf", line, strlen(line));
    free(line);
    struct vf_ovf_dir *dir = open_dir();
    read_disk(dir, "c%20d.vmdk", 200);
    read_disk(dir, "a%20b.vmdk", 200);
    struct vf_stream *s = NULL;
    assert_int_equal(vf_ovf_dir_open_file(dir, "a b.vmdk", 1, &s, NULL), VF_INTERNAL);
    assert_int_equal(vf_ovf_dir_open_file(dir, "%2e%2e/x", 1, &s, NULL), VF_MISSING);
    assert_int_equal(vf_ovf_dir_finish(dir, NULL, NULL), VF_INVALID); /* was hashed as "a b" */
    vf_ovf_dir_free(dir);
}

static void test_ovf_dir__descriptor_is_bounded(void **state)
{
    (void)state;
    char *path = vf_xasprintf("%s/x.ovf", folder);
    assert_int_equal(truncate(path, (16 << 20) + 1), 0);
    struct vf_ovf_dir *dir = NULL;
    assert_int_equal(vf_ovf_dir_open(path, NULL, &dir, NULL), VF_SPACE);
    free(path);
    assert_int_equal(vf_ovf_dir_open("/nowhere/x.ovf", NULL, &dir, NULL), VF_MISSING);
    assert_int_equal(vf_ovf_dir_open("x.vmdk", NULL, &dir, NULL), VF_INVALID);
}

#define UNIT(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        UNIT(test_ovf_dir__without_manifest),
        UNIT(test_ovf_dir__manifest_is_checked_however_much_was_read),
        UNIT(test_ovf_dir__mismatch_is_invalid),
        UNIT(test_ovf_dir__changed_descriptor_is_invalid_at_once),
        UNIT(test_ovf_dir__absent_file_of_the_manifest),
        UNIT(test_ovf_dir__gzip_is_taken_off_and_hashed_as_stored),
        UNIT(test_ovf_dir__names_stay_inside),
        UNIT(test_ovf_dir__percent_encoding_is_taken_off),
        UNIT(test_ovf_dir__descriptor_is_bounded),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
