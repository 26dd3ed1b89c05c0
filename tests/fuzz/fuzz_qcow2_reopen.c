/* An unfinished qcow2 image, damaged, is reopened, written to, reopened once more and finished. The
 * input says what is damaged: a byte of flags, then eleven bytes each for a place and eight bytes
 * to put there. */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "converters/disk/image.h"
#include "converters/disk/qcow2.h"
#include "converters/disk/qcow2_format.h"
#include "converters/disk/qcow2_journal.h"
#include "importer/base/bytes.h"
#include "importer/base/xxh64.h"
#include "tests/support/check.h"

#define CLUSTER     ((uint64_t)QCOW2_CLUSTER_BYTES)
#define SPAN        (8192 * CLUSTER)
#define SIZE        (2 * SPAN + 5 * CLUSTER)
#define N_WINDOWS   4u
#define WINDOW      (3 * CLUSTER)
#define PATCH_BYTES 11u

enum flag { SEAL = 1, CUT = 2, FINISHED = 4 };

/* Nothing outlives the program. */
int fsync(int fd)
{
    (void)fd;
    return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static char path[64];
static uint8_t *templates[2]; /* flushed, and finished */
static size_t template_bytes[2];

static const uint64_t windows[N_WINDOWS] = {0, SPAN - CLUSTER, 2 * SPAN, SIZE - WINDOW};

static void remove_file(void)
{
    unlink(path);
}

static void keep_template(unsigned which)
{
    struct stat st;
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    vf_test_check(fd >= 0 && fstat(fd, &st) == 0);
    template_bytes[which] = (size_t)st.st_size;
    templates[which] = malloc(template_bytes[which]);
    vf_test_check(templates[which] && pread(fd, templates[which], template_bytes[which], 0) ==
                                          (ssize_t)template_bytes[which]);
    close(fd);
}

static void make_templates(void)
{
    struct vf_sink *sink = NULL;
    uint8_t bytes[4096];
    memset(bytes, 0x5a, sizeof bytes);
    snprintf(path, sizeof path, "/tmp/vmferry-fuzz-%d", (int)getpid());
    unlink(path);
    atexit(remove_file);
    vf_test_check(vf_qcow2_sink_create(path, SIZE, &sink, NULL) == 0);
    vf_test_check(vf_sink_write(sink, bytes, sizeof bytes, 0, NULL) == 0);
    vf_test_check(vf_sink_flush(sink, NULL) == 0);
    vf_test_check(vf_sink_write(sink, bytes, sizeof bytes, SPAN - 2048, NULL) == 0);
    vf_test_check(vf_sink_write(sink, bytes, sizeof bytes, SIZE - 4096, NULL) == 0);
    vf_test_check(vf_sink_flush(sink, NULL) == 0);
    keep_template(0);
    vf_test_check(vf_sink_finish(sink, NULL) == 0);
    keep_template(1);
    vf_sink_free(sink);
}

static uint64_t place_of(uint8_t where, uint64_t offset, uint64_t file_bytes)
{
    switch (where) {
    case 0:
        return qcow2_commit_offset(1) + offset % QCOW2_RECORD_BYTES;
    case 1:
        return qcow2_commit_offset(2) + offset % QCOW2_RECORD_BYTES;
    case 2:
        return offset % 128;
    default:
        return (where - 2) * CLUSTER % file_bytes + offset % CLUSTER;
    }
}

static void seal(int fd)
{
    for (unsigned slot = 1; slot <= 2; slot++) {
        uint8_t record[QCOW2_RECORD_BYTES];
        off_t at = (off_t)qcow2_commit_offset(slot);
        struct vf_xxh64 x;
        if (pread(fd, record, sizeof record, at) == (ssize_t)sizeof record) {
            vf_xxh64_init(&x);
            vf_xxh64_update(&x, record, sizeof record - 8);
            be64_store(record + sizeof record - 8, vf_xxh64_get(&x));
            vf_test_check(pwrite(fd, record, sizeof record, at) == (ssize_t)sizeof record);
        }
    }
}

static void make_file(const uint8_t *data, size_t size)
{
    uint8_t flags = size > 0 ? data[0] : 0;
    unsigned which = flags & FINISHED ? 1 : 0;
    int fd = open(path, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    vf_test_check(fd >= 0);
    vf_test_check(pwrite(fd, templates[which], template_bytes[which], 0) ==
                  (ssize_t)template_bytes[which]);
    for (size_t i = 1; i + PATCH_BYTES <= size; i += PATCH_BYTES) {
        uint64_t at = place_of(data[i], (uint64_t)le16_load(data + i + 1) * 8,
                               (uint64_t)template_bytes[which]);
        vf_test_check(pwrite(fd, data + i + 3, 8, (off_t)at) == 8);
    }
    if (flags & SEAL) {
        seal(fd);
    }
    if (flags & CUT) {
        vf_test_check(ftruncate(fd, (flags >> 3) * (off_t)(CLUSTER / 2)) == 0);
    }
    close(fd);
}

static void read_windows(struct vf_sink *sink, uint8_t *out)
{
    for (unsigned i = 0; i < N_WINDOWS; i++) {
        vf_test_check(vf_sink_read(sink, out + i * WINDOW, WINDOW, windows[i], NULL) == 0);
    }
}

static void write_some(struct vf_sink *sink)
{
    uint8_t bytes[1024];
    memset(bytes, 0x77, sizeof bytes);
    vf_test_check(vf_sink_write(sink, bytes, sizeof bytes, 512, NULL) == 0);
    vf_test_check(vf_sink_write(sink, bytes, sizeof bytes, SPAN - 512, NULL) == 0);
    vf_test_check(vf_sink_write(sink, bytes, sizeof bytes, SIZE - 1024, NULL) == 0);
    vf_test_check(vf_sink_zero(sink, 2 * SPAN, CLUSTER + 512, NULL) == 0);
    vf_test_check(vf_sink_write(sink, bytes, sizeof bytes, 2 * SPAN + CLUSTER, NULL) == 0);
}

static void check_finished(const uint8_t *content)
{
    static uint8_t have[N_WINDOWS * WINDOW];
    struct vf_disk *disk = NULL;
    vf_test_check(vf_image_open(path, "qcow2", &disk, NULL, NULL) == 0);
    for (unsigned i = 0; i < N_WINDOWS; i++) {
        vf_test_check(disk->ops->pread(disk, have + i * WINDOW, WINDOW, windows[i], NULL) == 0);
    }
    vf_test_check(memcmp(have, content, sizeof have) == 0);
    vf_disk_free(disk);
}

/* What was taken up is a sound image, whatever it holds. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static uint8_t content[N_WINDOWS * WINDOW], again[N_WINDOWS * WINDOW];
    struct vf_sink *sink = NULL;
    struct vf_error *err = NULL;
    if (!templates[0]) {
        make_templates();
    }
    make_file(data, size);
    int rc = vf_qcow2_sink_open(path, SIZE, &sink, &err);
    vf_test_check((rc == 0) == (err == NULL) && (rc == 0 || rc == VF_INVALID));
    vf_error_free(err);
    if (rc) {
        return 0;
    }
    read_windows(sink, content);
    write_some(sink);
    read_windows(sink, content);
    vf_test_check(vf_sink_flush(sink, NULL) == 0);
    vf_sink_free(sink);
    vf_test_check(vf_qcow2_sink_open(path, SIZE, &sink, NULL) == 0);
    read_windows(sink, again);
    vf_test_check(memcmp(content, again, sizeof content) == 0);
    vf_test_check(vf_sink_finish(sink, NULL) == 0);
    vf_sink_free(sink);
    check_finished(content);
    return 0;
}
