#include "tests/support/disk_check.h"

#include <fcntl.h>
#include <ftw.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "tests/support/check.h"
#include "tests/support/vmdk_writer.h"

char *scratch_new(void)
{
    const char *base = getenv("TMPDIR");
    char *dir = NULL;
    vf_test_check(asprintf(&dir, "%s/vmferry-test-XXXXXX", base ? base : "/tmp") > 0);
    vf_test_check(mkdtemp(dir));
    return dir;
}

static int remove_one(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
    (void)st;
    (void)type;
    (void)ftw;
    return remove(path);
}

void scratch_release(char *dir)
{
    nftw(dir, remove_one, 16, FTW_DEPTH | FTW_PHYS);
    free(dir);
}

const char *scratch_path(const char *dir, const char *name)
{
    static char paths[8][512];
    static unsigned next;
    char *path = paths[next++ % 8];
    int n = snprintf(path, sizeof paths[0], "%s/%s", dir, name);
    vf_test_check(n > 0 && (size_t)n < sizeof paths[0]);
    return path;
}

void scratch_write(const char *dir, const char *name, const void *data, size_t len)
{
    FILE *out = fopen(scratch_path(dir, name), "wb");
    vf_test_check(out);
    vf_test_check(fwrite(data, 1, len, out) == len);
    vf_test_check(fclose(out) == 0);
}

void scratch_write_text(const char *dir, const char *name, const char *fmt, ...)
{
    char *text = NULL;
    va_list ap;
    va_start(ap, fmt);
    int n = vasprintf(&text, fmt, ap);
    va_end(ap);
    vf_test_check(n >= 0);
    scratch_write(dir, name, text, (size_t)n);
    free(text);
}

uint8_t *scratch_read(const char *dir, const char *name, size_t *ret_len)
{
    FILE *in = fopen(scratch_path(dir, name), "rb");
    vf_test_check(in);
    vf_test_check(fseek(in, 0, SEEK_END) == 0);
    size_t len = (size_t)ftell(in);
    rewind(in);
    uint8_t *data = malloc(len ? len : 1);
    vf_test_check(data && fread(data, 1, len, in) == len);
    fclose(in);
    *ret_len = len;
    return data;
}

int run_qemu_img(const char *dir, ...)
{
    const char *argv[18] = {"qemu-img"};
    va_list ap;
    va_start(ap, dir);
    unsigned n = 1;
    while (n < 17 && (argv[n] = va_arg(ap, const char *))) {
        n++;
    }
    va_end(ap);
    vf_test_check(n < 17);
    pid_t pid = fork();
    vf_test_check(pid >= 0);
    if (pid == 0) {
        int null = open("/dev/null", O_RDWR);
        dup2(null, 0);
        dup2(null, 1);
        if (!getenv("VF_TEST_VERBOSE")) {
            dup2(null, 2);
        }
        if (chdir(dir) == 0) {
            execvp(argv[0], (char *const *)(uintptr_t)argv);
        }
        _exit(127);
    }
    int status = 0;
    vf_test_check(waitpid(pid, &status, 0) == pid);
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

static void fail_with(struct vf_error *err)
{
    char *text = vf_error_format(err);
    fail_msg("%s", text);
}

struct coverage {
    const uint8_t *content;
    uint64_t at;
    struct extent_sums sums;
};

static int cover(void *opaque, const struct vf_extent *e, struct vf_error **err)
{
    (void)err;
    struct coverage *c = opaque;
    assert_int_equal(e->offset_bytes, c->at);
    assert_true(e->length_bytes > 0);
    c->at += e->length_bytes;
    c->sums.n++;
    *(e->kind == VF_EXTENT_DATA   ? &c->sums.data
      : e->kind == VF_EXTENT_ZERO ? &c->sums.zero
                                  : &c->sums.hole) += e->length_bytes;
    if (e->kind != VF_EXTENT_DATA && c->content) {
        for (uint64_t i = e->offset_bytes; i < c->at; i++) {
            if (c->content[i] != 0) {
                fail_msg("byte %llu is said to be zero", (unsigned long long)i);
            }
        }
    }
    return 0;
}

static void check_extents(struct vf_disk *disk, const uint8_t *content, uint64_t offset,
                          uint64_t length)
{
    struct coverage c = {.content = content, .at = offset};
    struct vf_error *err = NULL;
    if (disk->ops->extents(disk, offset, length, cover, &c, &err)) {
        fail_with(err);
    }
    assert_int_equal(c.at, offset + length);
}

static void check_read(struct vf_disk *disk, const uint8_t *content, uint64_t offset, size_t len)
{
    struct vf_error *err = NULL;
    uint8_t *buf = malloc(len ? len : 1);
    memset(buf, 0xa5, len);
    if (disk->ops->pread(disk, buf, len, offset, &err)) {
        fail_with(err);
    }
    if (memcmp(buf, content + offset, len) != 0) {
        size_t i = 0;
        while (buf[i] == content[offset + i]) {
            i++;
        }
        fail_msg("byte %llu is 0x%02x, not 0x%02x", (unsigned long long)(offset + i), buf[i],
                 content[offset + i]);
    }
    free(buf);
}

void check_disk(struct vf_disk *disk, const uint8_t *content, uint64_t size_bytes, uint64_t seed)
{
    uint64_t rng = seed * 2 + 1;
    assert_int_equal(disk->size_bytes, size_bytes);
    check_read(disk, content, 0, (size_t)size_bytes);
    check_extents(disk, content, 0, size_bytes);
    for (unsigned i = 0; size_bytes && i < 100; i++) {
        uint64_t offset = vmdk_random(&rng) % size_bytes;
        uint64_t length = vmdk_random(&rng) % (i % 2 ? 5000 : 300000);
        length = length < size_bytes - offset ? length : size_bytes - offset;
        check_read(disk, content, offset, (size_t)length);
        check_extents(disk, content, offset, length);
    }
    uint8_t byte;
    struct vf_error *err = NULL;
    check_error(disk->ops->pread(disk, &byte, 1, size_bytes, &err), &err, VF_RANGE, "not inside");
    check_error(disk->ops->pread(disk, &byte, 1, UINT64_MAX, &err), &err, VF_RANGE, "not inside");
}

struct extent_sums sum_extents(struct vf_disk *disk)
{
    struct coverage c = {.content = NULL};
    struct vf_error *err = NULL;
    if (disk->ops->extents(disk, 0, disk->size_bytes, cover, &c, &err)) {
        fail_with(err);
    }
    return c.sums;
}

void check_error(int rc, struct vf_error **err, enum vf_code code, const char *part)
{
    char *text = vf_error_format(*err);
    if (rc != (int)code || vf_error_code(*err) != code || !text || !strstr(text, part)) {
        fail_msg("%d (%s), not %s with \"%s\": %s", rc, vf_code_name(rc), vf_code_name(code), part,
                 text ? text : "no error");
    }
    free(text);
    vf_error_clear(err);
}
