/* Power losses: every write, truncation, hole and fsync of an image is recorded, and files are made
 * of what might be left of them at any moment. Reopened, each holds all that was flushed, takes
 * more rounds and further power losses, and ends as the image that it should be. */
#include <fcntl.h>
#include <linux/falloc.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cmocka.h>

#include "converters/disk/image.h"
#include "converters/disk/qcow2.h"
#include "converters/disk/raw.h"
#include "importer/base/mem.h"
#include "tests/support/check.h"
#include "tests/support/disk_check.h"
#include "tests/support/vmdk_writer.h"

/* --- the log ----------------------------------------------------------------------------- */

#define SECTOR 512u

enum op_kind { OP_WRITE, OP_TRUNCATE, OP_PUNCH, OP_SYNC };

struct write_log_op {
    enum op_kind kind;
    uint64_t at; /* TRUNCATE: the size */
    uint64_t len;
    uint8_t *data; /* WRITE */
};

struct write_log {
    struct write_log_op *ops;
    size_t n, cap;
};

static struct write_log *recorded; /* NULL: nothing is */
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

static void append(struct write_log *log, enum op_kind kind, uint64_t at, uint64_t len,
                   const void *data)
{
    if (log->n == log->cap) {
        log->cap = log->cap ? 2 * log->cap : 64;
        log->ops = vf_xrealloc_array(log->ops, log->cap, sizeof *log->ops);
    }
    struct write_log_op *op = &log->ops[log->n++];
    *op = (struct write_log_op){.kind = kind, .at = at, .len = len};
    if (data) {
        op->data = vf_xcalloc(1, (size_t)len);
        memcpy(op->data, data, (size_t)len);
    }
}

static void record(enum op_kind kind, uint64_t at, uint64_t len, const void *data)
{
    pthread_mutex_lock(&lock);
    if (recorded) {
        append(recorded, kind, at, len, data);
    }
    pthread_mutex_unlock(&lock);
}

/* --- the program's own ------------------------------------------------------------------- */

ssize_t pwrite(int fd, const void *buf, size_t nbytes, off_t offset)
{
    ssize_t done = (ssize_t)syscall(SYS_pwrite64, fd, buf, nbytes, offset);
    if (done > 0) {
        record(OP_WRITE, (uint64_t)offset, (uint64_t)done, buf);
    }
    return done;
}

int fsync(int fd)
{
    (void)fd; /* the file is lost when the record says so, not when the machine is */
    record(OP_SYNC, 0, 0, NULL);
    return 0;
}

int ftruncate(int fd, off_t length)
{
    int rc = (int)syscall(SYS_ftruncate, fd, length);
    if (rc == 0) {
        record(OP_TRUNCATE, (uint64_t)length, 0, NULL);
    }
    return rc;
}

int fallocate(int fd, int mode, off_t offset, off_t len)
{
    int rc = (int)syscall(SYS_fallocate, fd, mode, offset, len);
    vf_test_check(mode & FALLOC_FL_PUNCH_HOLE);
    if (rc == 0) {
        record(OP_PUNCH, (uint64_t)offset, (uint64_t)len, NULL);
    }
    return rc;
}

/* --- replay ------------------------------------------------------------------------------ */

static void apply(int fd, const struct write_log_op *op, struct write_log *made)
{
    switch (op->kind) {
    case OP_WRITE:
        vf_test_check(syscall(SYS_pwrite64, fd, op->data, op->len, op->at) == (long)op->len);
        break;
    case OP_TRUNCATE:
        vf_test_check(syscall(SYS_ftruncate, fd, op->at) == 0);
        break;
    case OP_PUNCH:
        vf_test_check(syscall(SYS_fallocate, fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, op->at,
                              op->len) == 0);
        break;
    case OP_SYNC:
        return;
    }
    append(made, op->kind, op->at, op->len, op->data);
}

/* Each sector of a write is there or not. */
static void apply_torn(int fd, const struct write_log_op *op, uint64_t *rng, struct write_log *made)
{
    for (uint64_t done = 0; done < op->len;) {
        uint64_t to_end = SECTOR - (op->at + done) % SECTOR;
        uint64_t run = to_end + vmdk_random(rng) % 12 * SECTOR;
        run = run < op->len - done ? run : op->len - done;
        if (vmdk_random(rng) % 2) {
            const struct write_log_op part = {
                .kind = OP_WRITE, .at = op->at + done, .len = run, .data = op->data + done};
            apply(fd, &part, made);
        }
        done += run;
    }
}

/* Make a file of the first n ops of `log`, as a power loss at that moment may leave it: all that
 * came before the last fsync, and of what came after it whatever chance leaves, torn at sectors.
 * `made` becomes the log of just what is in the file now, synced. */
static void write_log_replay(const struct write_log *log, size_t n, uint64_t *rng, const char *path,
                             struct write_log *made)
{
    int fd = open(path, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    vf_test_check(fd >= 0);
    size_t synced = n;
    while (synced > 0 && log->ops[synced - 1].kind != OP_SYNC) {
        synced--;
    }
    unsigned mood = (unsigned)(vmdk_random(rng) % 4); /* none, all, any, any */
    for (size_t i = 0; i < n; i++) {
        const struct write_log_op *op = &log->ops[i];
        unsigned luck = i < synced ? 1 : mood < 2 ? mood : (unsigned)(vmdk_random(rng) % 3);
        if (luck == 1 || (luck == 2 && op->kind != OP_WRITE)) {
            apply(fd, op, made);
        } else if (luck == 2) {
            apply_torn(fd, op, rng, made);
        }
    }
    close(fd);
    append(made, OP_SYNC, 0, 0, NULL);
}

static void write_log_release(struct write_log *log)
{
    for (size_t i = 0; i < log->n; i++) {
        free(log->ops[i].data);
    }
    free(log->ops);
    *log = (struct write_log){0};
}

/* --- the disk ---------------------------------------------------------------------------- */

#define CLUSTER  65536ull
#define SPAN     (8192 * CLUSTER) /* of one L2 table */
#define GRANULE  4096u
#define N_HOT    14u /* clusters that are ever written */
#define GRANULES (N_HOT * (unsigned)(CLUSTER / GRANULE))

/* A write or a zeroing of one granule: what a sector may hold if it came later than the flush. */
struct event {
    unsigned granule;
    uint32_t tag; /* 0: zeros */
    size_t n_ops; /* in the log when it began */
};

struct flushed {
    uint32_t tags[GRANULES];
    size_t n_ops; /* in the log when the flush had come back */
};

struct history {
    const struct kind *kind;
    uint64_t size_bytes;
    uint64_t hot[N_HOT]; /* offsets of the clusters, ascending */
    uint64_t rng;
    uint32_t last_tag;
    uint32_t tags[GRANULES]; /* of what the disk holds now */
    struct write_log log;
    struct event *events;
    size_t n_events;
    struct flushed *flushes;
    size_t n_flushes;
};

struct kind {
    const char *name;
    int (*create)(const char *path, uint64_t size_bytes, struct vf_sink **ret_sink,
                  struct vf_error **err);
    int (*open)(const char *path, uint64_t size_bytes, struct vf_sink **ret_sink,
                struct vf_error **err);
};

static const struct kind kinds[] = {{"raw", vf_raw_sink_create, vf_raw_sink_open},
                                    {"qcow2", vf_qcow2_sink_create, vf_qcow2_sink_open}};

static uint32_t pick(struct history *h, uint32_t n)
{
    return (uint32_t)(vmdk_random(&h->rng) % n);
}

static uint64_t offset_of(const struct history *h, unsigned granule)
{
    unsigned in_cluster = CLUSTER / GRANULE;
    return h->hot[granule / in_cluster] + granule % in_cluster * GRANULE;
}

/* Each sector says which granule, which sector, and which write it is of. */
static void fill_sector(uint8_t *buf, unsigned granule, unsigned sector, uint32_t tag)
{
    const uint32_t words[4] = {tag, granule, sector, tag * 2654435761u};
    for (unsigned i = 0; i < SECTOR; i += sizeof words) {
        memcpy(buf + i, words, sizeof words);
    }
    if (tag == 0) {
        memset(buf, 0, SECTOR);
    }
}

static void fill(uint8_t *buf, unsigned granule, uint32_t tag)
{
    for (unsigned s = 0; s < GRANULE / SECTOR; s++) {
        fill_sector(buf + (size_t)s * SECTOR, granule, s, tag);
    }
}

static void note_event(struct history *h, unsigned granule, uint32_t tag)
{
    h->events = vf_xrealloc_array(h->events, h->n_events + 1, sizeof *h->events);
    h->events[h->n_events++] = (struct event){.granule = granule, .tag = tag, .n_ops = h->log.n};
    h->tags[granule] = tag;
}

static void note_flush(struct history *h)
{
    h->flushes = vf_xrealloc_array(h->flushes, h->n_flushes + 1, sizeof *h->flushes);
    struct flushed *f = &h->flushes[h->n_flushes++];
    memcpy(f->tags, h->tags, sizeof f->tags);
    f->n_ops = h->log.n;
}

/* Up to 40 granules that lie together, in one call. */
static void touch(struct history *h, struct vf_sink *sink)
{
    static uint8_t buf[40 * GRANULE];
    unsigned first = pick(h, GRANULES), n = 1 + pick(h, pick(h, 4) ? 6 : 40);
    bool zero = pick(h, 4) == 0;
    unsigned done = 0;
    uint32_t tag = zero ? 0 : ++h->last_tag;
    for (; done < n && first + done < GRANULES; done++) {
        unsigned g = first + done;
        if (offset_of(h, g) >= h->size_bytes) {
            break;
        }
        if (done > 0 && offset_of(h, g) != offset_of(h, g - 1) + GRANULE) {
            break;
        }
        fill(buf + (size_t)done * GRANULE, g, tag);
        note_event(h, g, tag);
    }
    if (done == 0) {
        return;
    }
    uint64_t at = offset_of(h, first);
    uint64_t len = (uint64_t)done * GRANULE;
    len = at + len > h->size_bytes ? h->size_bytes - at : len;
    assert_int_equal(zero ? vf_sink_zero(sink, at, len, NULL)
                          : vf_sink_write(sink, buf, (size_t)len, at, NULL),
                     0);
}

static struct vf_sink *reopen(struct history *h, const char *path)
{
    struct vf_sink *sink = NULL;
    struct vf_error *err = NULL;
    check_error(h->kind->open(path, h->size_bytes, &sink, &err), &err, VF_OK, "");
    assert_int_equal(sink->caps & VF_SINK_STARTS_ZERO, 0);
    return sink;
}

static void flush(struct history *h, struct vf_sink *sink)
{
    struct vf_error *err = NULL;
    check_error(vf_sink_flush(sink, &err), &err, VF_OK, "");
    note_flush(h);
}

/* Rounds: writes and flushes, an orderly end and a new start, a cutover that fails late. */
static struct vf_sink *run_rounds(struct history *h, struct vf_sink *sink, const char *path,
                                  unsigned n)
{
    for (unsigned i = 0; i < n; i++) {
        unsigned what = pick(h, 20);
        if (what < 14) {
            touch(h, sink);
        } else if (what < 18) {
            flush(h, sink);
        } else {
            if (what == 19) {
                assert_int_equal(vf_sink_finish(sink, NULL), 0);
                note_flush(h);
            } else {
                flush(h, sink);
            }
            vf_sink_free(sink);
            sink = reopen(h, path);
        }
    }
    return sink;
}

static size_t sector_limit(const struct history *h, unsigned granule)
{
    uint64_t at = offset_of(h, granule), left = at < h->size_bytes ? h->size_bytes - at : 0;
    return left < GRANULE ? (size_t)left / SECTOR : GRANULE / SECTOR;
}

/* --- what is left ------------------------------------------------------------------------ */

static bool may_be(const struct history *h, const uint8_t *sector, unsigned granule, unsigned s,
                   size_t from_op, size_t n_ops)
{
    uint8_t want[SECTOR];
    for (size_t i = 0; i < h->n_events; i++) {
        const struct event *e = &h->events[i];
        if (e->granule == granule && e->n_ops >= from_op && e->n_ops <= n_ops) {
            fill_sector(want, granule, s, e->tag);
            if (memcmp(sector, want, SECTOR) == 0) {
                return true;
            }
        }
    }
    return false;
}

/* Every sector is as in the flush, or as some later write made it. Those granules that are not
 * wholly as in the flush are written anew, as whoever goes on copies them again. */
static void check_flushed(struct history *h, struct vf_sink *sink, const struct flushed *f,
                          size_t n_ops)
{
    uint8_t buf[GRANULE], want[GRANULE];
    for (unsigned g = 0; g < GRANULES; g++) {
        size_t sectors = sector_limit(h, g);
        if (sectors == 0) {
            continue;
        }
        assert_int_equal(vf_sink_read(sink, buf, sectors * SECTOR, offset_of(h, g), NULL), 0);
        fill(want, g, f->tags[g]);
        for (unsigned s = 0; s < sectors; s++) {
            const uint8_t *have = buf + (size_t)s * SECTOR;
            if (memcmp(have, want + (size_t)s * SECTOR, SECTOR) != 0 &&
                !may_be(h, have, g, s, f->n_ops, n_ops)) {
                fail_msg("%s: granule %u, sector %u is lost", h->kind->name, g, s);
            }
        }
    }
}

static void rewrite_doubtful(struct history *h, struct vf_sink *sink, const struct flushed *f)
{
    uint8_t buf[GRANULE], want[GRANULE];
    memcpy(h->tags, f->tags, sizeof h->tags);
    for (unsigned g = 0; g < GRANULES; g++) {
        size_t len = sector_limit(h, g) * SECTOR;
        if (len == 0) {
            continue;
        }
        assert_int_equal(vf_sink_read(sink, buf, len, offset_of(h, g), NULL), 0);
        fill(want, g, f->tags[g]);
        if (memcmp(buf, want, len) != 0) {
            note_event(h, g, ++h->last_tag);
            fill(buf, g, h->last_tag);
            assert_int_equal(vf_sink_write(sink, buf, len, offset_of(h, g), NULL), 0);
        }
    }
}

static void check_image(const struct history *h, const char *path, bool with_qemu)
{
    struct vf_disk *disk = NULL;
    struct vf_error *err = NULL;
    struct stat st;
    uint8_t buf[GRANULE], want[GRANULE];
    check_error(vf_image_open(path, h->kind->name, &disk, NULL, &err), &err, VF_OK, "");
    for (unsigned g = 0; g < GRANULES; g++) {
        size_t len = sector_limit(h, g) * SECTOR;
        if (len > 0) {
            assert_int_equal(disk->ops->pread(disk, buf, len, offset_of(h, g), NULL), 0);
            fill(want, g, h->tags[g]);
            assert_memory_equal(buf, want, len);
        }
    }
    vf_disk_free(disk);
    if (strcmp(h->kind->name, "qcow2") == 0) {
        /* However often it was written: header, L1, an L2 for each, and two for refcounts. */
        assert_int_equal(stat(path, &st), 0);
        assert_true((uint64_t)st.st_size <= (2 + 2 * N_HOT + 2) * CLUSTER);
        if (with_qemu) {
            assert_int_equal(run_qemu_img("/", "check", "-f", "qcow2", path, NULL), 0);
        }
    }
}

static void restart_log(struct history *h, struct write_log *made)
{
    write_log_release(&h->log);
    h->log = *made;
    *made = (struct write_log){0};
    h->n_events = h->n_flushes = 0;
}

/* One power loss. The history goes on in `path` from what is left, and is finished there. */
static void lose_power(struct history *h, size_t n_ops, const char *path, unsigned more,
                       bool with_qemu)
{
    struct write_log made = {0};
    struct vf_sink *sink = NULL;
    size_t k = h->n_flushes;
    write_log_replay(&h->log, n_ops, &h->rng, path, &made);
    while (k > 0 && h->flushes[k - 1].n_ops > n_ops) {
        k--;
    }
    if (k == 0) { /* nothing was ever flushed: it may be of no use, but must say so */
        struct vf_error *err = NULL;
        int rc = h->kind->open(path, h->size_bytes, &sink, &err);
        assert_true(rc == 0 || rc == VF_INVALID);
        vf_error_free(err);
        vf_sink_free(sink);
        write_log_release(&made);
        return;
    }
    struct flushed f = h->flushes[k - 1];
    recorded = &made;
    sink = reopen(h, path);
    check_flushed(h, sink, &f, n_ops);
    restart_log(h, &made);
    recorded = &h->log;
    rewrite_doubtful(h, sink, &f);
    flush(h, sink);
    sink = run_rounds(h, sink, path, more);
    recorded = NULL;
    assert_int_equal(vf_sink_finish(sink, NULL), 0);
    vf_sink_free(sink);
    check_image(h, path, with_qemu);
}

/* --- histories --------------------------------------------------------------------------- */

static void begin(struct history *h, const struct kind *kind, uint64_t seed)
{
    *h = (struct history){.kind = kind, .rng = seed * 977 + 1};
    static const uint64_t sizes[] = {20 * CLUSTER + 512, SPAN + 20 * CLUSTER, 3 * SPAN + 8192,
                                     40 * SPAN + 4 * CLUSTER + 1536};
    h->size_bytes = sizes[seed % 4];
    uint64_t clusters = (h->size_bytes + CLUSTER - 1) / CLUSTER;
    uint64_t step = clusters / N_HOT;
    for (unsigned i = 0; i < N_HOT; i++) {
        /* In pairs, and the last one is the disk's end. */
        h->hot[i] = (i % 2 ? h->hot[i - 1] / CLUSTER + 1 : i * step) * CLUSTER;
    }
    h->hot[N_HOT - 1] = (clusters - 1) * CLUSTER;
}

static void release(struct history *h)
{
    write_log_release(&h->log);
    free(h->events);
    free(h->flushes);
}

static void copy_history(struct history *to, const struct history *from)
{
    *to = *from;
    to->log = (struct write_log){0};
    for (size_t i = 0; i < from->log.n; i++) {
        const struct write_log_op *op = &from->log.ops[i];
        append(&to->log, op->kind, op->at, op->len, op->data);
    }
    to->events = vf_xcalloc(from->n_events + 1, sizeof *to->events);
    to->flushes = vf_xcalloc(from->n_flushes + 1, sizeof *to->flushes);
    memcpy(to->events, from->events, from->n_events * sizeof *to->events);
    memcpy(to->flushes, from->flushes, from->n_flushes * sizeof *to->flushes);
}

/* A power loss at some moment, in one of two a second one in what was done since. */
static void try_losses(struct history *h, const char *path, unsigned number)
{
    struct history second;
    copy_history(&second, h);
    second.rng = h->rng ^ (number * 0x9e3779b97f4a7c15ull);
    lose_power(&second, 1 + pick(&second, (uint32_t)h->log.n), path, 8, number % 60 == 0);
    if (number % 2 && second.n_flushes > 0) {
        lose_power(&second, 1 + pick(&second, (uint32_t)second.log.n), path, 4, number % 60 == 1);
    }
    release(&second);
}

static void lose_power_often(const struct kind *kind, unsigned histories, unsigned losses)
{
    char *dir = scratch_new();
    const char *path = scratch_path(dir, "a"), *crashed = scratch_path(dir, "b");
    for (unsigned i = 0; i < histories; i++) {
        struct history h;
        struct vf_sink *sink = NULL;
        begin(&h, kind, i);
        recorded = &h.log;
        assert_int_equal(kind->create(path, h.size_bytes, &sink, NULL), 0);
        sink = run_rounds(&h, sink, path, 40);
        recorded = NULL;
        vf_sink_free(sink);
        for (unsigned k = 0; k < losses; k++) {
            try_losses(&h, crashed, i * losses + k);
        }
        release(&h);
        unlink(path);
    }
    scratch_release(dir);
}

static void test_power_loss__qcow2_holds_what_was_flushed(void **state)
{
    (void)state;
    lose_power_often(&kinds[1], 20, 40);
}

static void test_power_loss__raw_holds_what_was_flushed(void **state)
{
    (void)state;
    lose_power_often(&kinds[0], 4, 25);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_power_loss__qcow2_holds_what_was_flushed),
        cmocka_unit_test(test_power_loss__raw_holds_what_was_flushed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
