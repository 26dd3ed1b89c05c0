#include "converters/disk/qcow2.h"

#include <errno.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "converters/disk/qcow2_format.h"
#include "importer/base/bytes.h"
#include "importer/base/file_io.h"
#include "importer/base/mem.h"

#define CLUSTER      QCOW2_CLUSTER_BYTES
#define L2_SPAN      ((uint64_t)QCOW2_L2_ENTRIES * CLUSTER) /* bytes of disk one L2 table maps */
#define CACHE_TABLES 16u
#define NO_TABLE     UINT64_MAX

struct cached_table {
    uint64_t index; /* in L1; NO_TABLE: free */
    uint64_t used;  /* for least-recently-used */
    bool dirty;
    uint8_t *bytes; /* as on disk */
};

struct qcow2_sink {
    struct vf_sink base;
    int fd;
    struct vf_bulk bulk;
    char *path;
    uint64_t n_l1;

    pthread_mutex_t lock; /* guards all below; held over table reads and writes, not over data */
    uint64_t *l1;         /* host offsets, no flags */
    uint64_t next_cluster;
    uint64_t tick;
    struct cached_table cache[CACHE_TABLES];
};

static uint64_t clusters_for(uint64_t bytes)
{
    return (bytes + CLUSTER - 1) / CLUSTER;
}

static int write_table(struct qcow2_sink *q, struct cached_table *t, struct vf_error **err)
{
    int rc = vf_file_pwrite(q->fd, q->path, t->bytes, CLUSTER, q->l1[t->index], err);
    if (rc == 0) {
        t->dirty = false;
    }
    return rc;
}

static struct cached_table *oldest_table(struct qcow2_sink *q)
{
    struct cached_table *oldest = &q->cache[0];
    for (unsigned i = 0; i < CACHE_TABLES; i++) {
        if (q->cache[i].index == NO_TABLE) {
            return &q->cache[i];
        }
        if (q->cache[i].used < oldest->used) {
            oldest = &q->cache[i];
        }
    }
    return oldest;
}

/* The L2 table of L1 entry `index`; *ret_table NULL when there is none and `create` is false. Lock
 * held. */
static int get_table(struct qcow2_sink *q, uint64_t index, bool create,
                     struct cached_table **ret_table, struct vf_error **err)
{
    for (unsigned i = 0; i < CACHE_TABLES; i++) {
        if (q->cache[i].index == index) {
            q->cache[i].used = ++q->tick;
            *ret_table = &q->cache[i];
            return 0;
        }
    }
    *ret_table = NULL;
    if (q->l1[index] == 0 && !create) {
        return 0;
    }
    struct cached_table *t = oldest_table(q);
    if (t->index != NO_TABLE && t->dirty) {
        int rc = write_table(q, t, err);
        if (rc) {
            return rc;
        }
    }
    t->index = NO_TABLE;
    if (!t->bytes) {
        t->bytes = vf_xcalloc(1, CLUSTER);
    }
    if (q->l1[index] == 0) {
        memset(t->bytes, 0, CLUSTER);
        q->l1[index] = q->next_cluster++ * CLUSTER;
        t->dirty = true;
    } else {
        int rc = vf_file_pread(q->fd, q->path, t->bytes, CLUSTER, q->l1[index], err);
        if (rc) {
            return rc;
        }
        t->dirty = false;
    }
    t->index = index;
    t->used = ++q->tick;
    *ret_table = t;
    return 0;
}

/* Host offset of the cluster at disk offset `at`; 0 when it has none and `create` is false. Lock
 * held. */
static int map_cluster(struct qcow2_sink *q, uint64_t at, bool create, uint64_t *ret_host,
                       struct vf_error **err)
{
    struct cached_table *t;
    int rc = get_table(q, at / L2_SPAN, create, &t, err);
    *ret_host = 0;
    if (rc || !t) {
        return rc;
    }
    uint8_t *entry = t->bytes + at % L2_SPAN / CLUSTER * 8;
    uint64_t value = be64_load(entry);
    if (value == 0 && create) {
        value = (q->next_cluster++ * CLUSTER) | QCOW2_FLAG_COPIED;
        be64_store(entry, value);
        t->dirty = true;
    }
    *ret_host = value & QCOW2_OFFSET_MASK;
    return 0;
}

/* The longest piece from `at`, at most len_bytes, that is contiguous in the file too (or wholly
 * unmapped: *ret_host 0). */
static int map_run(struct qcow2_sink *q, uint64_t at, uint64_t len_bytes, bool create,
                   uint64_t *ret_host, uint64_t *ret_len, struct vf_error **err)
{
    uint64_t in_cluster = at % CLUSTER;
    uint64_t first, n;

    pthread_mutex_lock(&q->lock);
    int rc = map_cluster(q, at - in_cluster, create, &first, err);
    n = CLUSTER - in_cluster;
    while (rc == 0 && n < len_bytes) {
        uint64_t next;
        rc = map_cluster(q, at + n, create, &next, err);
        if (rc || (first == 0 ? next != 0 : next != first + in_cluster + n)) {
            break;
        }
        n += CLUSTER;
    }
    pthread_mutex_unlock(&q->lock);
    *ret_host = first ? first + in_cluster : 0;
    *ret_len = n < len_bytes ? n : len_bytes;
    return rc;
}

static int qcow2_write(struct vf_sink *s, const void *buf, size_t len_bytes, uint64_t offset_bytes,
                       struct vf_error **err)
{
    struct qcow2_sink *q = (struct qcow2_sink *)s;
    const char *p = buf;
    while (len_bytes > 0) {
        uint64_t host, n;
        int rc = map_run(q, offset_bytes, len_bytes, true, &host, &n, err);
        if (rc == 0) {
            /* A cluster written in part for the first time reads as zero elsewhere: it lies behind
             * what was the end of the file. */
            rc = vf_bulk_pwrite(&q->bulk, q->fd, q->path, p, (size_t)n, host, err);
        }
        if (rc) {
            return rc;
        }
        p += n;
        offset_bytes += n;
        len_bytes -= (size_t)n;
    }
    return 0;
}

static int qcow2_zero(struct vf_sink *s, uint64_t offset_bytes, uint64_t length_bytes,
                      struct vf_error **err)
{
    struct qcow2_sink *q = (struct qcow2_sink *)s;
    while (length_bytes > 0) {
        uint64_t to_span_end = L2_SPAN - offset_bytes % L2_SPAN;
        uint64_t part = length_bytes < to_span_end ? length_bytes : to_span_end;
        uint64_t host, n = part;
        int rc = 0;

        pthread_mutex_lock(&q->lock);
        bool mapped = q->l1[offset_bytes / L2_SPAN] != 0;
        pthread_mutex_unlock(&q->lock);
        if (mapped) {
            rc = map_run(q, offset_bytes, part, false, &host, &n, err);
            if (rc == 0 && host) {
                rc = vf_file_zero(q->fd, q->path, host, n, err);
            }
        }
        if (rc) {
            return rc;
        }
        offset_bytes += n;
        length_bytes -= n;
    }
    return 0;
}

static int qcow2_read(struct vf_sink *s, void *buf, size_t len_bytes, uint64_t offset_bytes,
                      struct vf_error **err)
{
    struct qcow2_sink *q = (struct qcow2_sink *)s;
    char *p = buf;
    while (len_bytes > 0) {
        uint64_t host, n;
        int rc = map_run(q, offset_bytes, len_bytes, false, &host, &n, err);
        size_t got = 0;
        if (rc == 0 && host) {
            /* The last cluster may have been written in part: the file ends within it. */
            rc = vf_file_pread_upto(q->fd, q->path, p, (size_t)n, host, &got, err);
        }
        if (rc == 0) {
            memset(p + got, 0, (size_t)n - got);
        }
        if (rc) {
            return rc;
        }
        p += n;
        offset_bytes += n;
        len_bytes -= (size_t)n;
    }
    return 0;
}

static int sync_file(struct qcow2_sink *q, struct vf_error **err)
{
    if (fsync(q->fd) != 0) {
        return vf_error_set_errno(err, errno, "cannot make \"%s\" durable", q->path);
    }
    return 0;
}

static int write_dirty_tables(struct qcow2_sink *q, struct vf_error **err)
{
    int rc = 0;
    for (unsigned i = 0; i < CACHE_TABLES && rc == 0; i++) {
        if (q->cache[i].index != NO_TABLE && q->cache[i].dirty) {
            rc = write_table(q, &q->cache[i], err);
        }
    }
    return rc;
}

static int qcow2_flush(struct vf_sink *s, struct vf_error **err)
{
    struct qcow2_sink *q = (struct qcow2_sink *)s;
    pthread_mutex_lock(&q->lock);
    int rc = write_dirty_tables(q, err);
    pthread_mutex_unlock(&q->lock);
    return rc ? rc : sync_file(q, err);
}

/* Writes `n` big-endian u64 (values may be NULL: then first, first + CLUSTER, ...) as a table. */
static int write_u64_table(struct qcow2_sink *q, const uint64_t *values, uint64_t first,
                           uint64_t flags, uint64_t n, uint64_t at, struct vf_error **err)
{
    uint8_t *vf_autofree bytes = vf_xcalloc(1, CLUSTER);
    int rc = 0;
    for (uint64_t done = 0; done < n && rc == 0;) {
        uint64_t part = n - done < QCOW2_L2_ENTRIES ? n - done : QCOW2_L2_ENTRIES;
        memset(bytes, 0, CLUSTER);
        for (uint64_t i = 0; i < part; i++) {
            uint64_t v = values ? values[done + i] : first + (done + i) * CLUSTER;
            be64_store(bytes + i * 8, v ? v | flags : 0);
        }
        rc = vf_file_pwrite(q->fd, q->path, bytes, CLUSTER, at + done * 8, err);
        done += part;
    }
    return rc;
}

/* Every cluster of the file, these tables included, is used exactly once. */
static int write_refcounts(struct qcow2_sink *q, uint64_t *ret_table_offset,
                           uint64_t *ret_table_clusters, struct vf_error **err)
{
    uint64_t n_blocks = 0, n_table = 0, total;
    for (;;) {
        total = q->next_cluster + n_blocks + n_table;
        uint64_t blocks = (total + QCOW2_REFCOUNTS_PER_BLOCK - 1) / QCOW2_REFCOUNTS_PER_BLOCK;
        uint64_t table = clusters_for(blocks * 8);
        if (blocks == n_blocks && table == n_table) {
            break;
        }
        n_blocks = blocks;
        n_table = table;
    }
    uint64_t blocks_at = q->next_cluster * CLUSTER;
    uint64_t table_at = blocks_at + n_blocks * CLUSTER;
    uint8_t *vf_autofree block = vf_xcalloc(1, CLUSTER);
    int rc = 0;
    for (uint64_t i = 0; i < n_blocks && rc == 0; i++) {
        uint64_t left = total - i * QCOW2_REFCOUNTS_PER_BLOCK;
        for (uint64_t j = 0; j < QCOW2_REFCOUNTS_PER_BLOCK; j++) {
            be16_store(block + j * 2, j < left ? 1 : 0);
        }
        rc = vf_file_pwrite(q->fd, q->path, block, CLUSTER, blocks_at + i * CLUSTER, err);
    }
    if (rc == 0) {
        rc = write_u64_table(q, NULL, blocks_at, 0, n_blocks, table_at, err);
    }
    q->next_cluster = total;
    *ret_table_offset = table_at;
    *ret_table_clusters = n_table;
    return rc;
}

static int write_header(struct qcow2_sink *q, uint64_t l1_at, uint64_t reftable_at,
                        uint64_t reftable_clusters, struct vf_error **err)
{
    /* Behind the fields: the end of the header extensions, eight zero bytes. */
    uint8_t h[QCOW2_HEADER_V3_BYTES + 8] = {0};
    be32_store(h + QCOW2_H_MAGIC, QCOW2_MAGIC);
    be32_store(h + QCOW2_H_VERSION, 3);
    be32_store(h + QCOW2_H_CLUSTER_BITS, QCOW2_CLUSTER_BITS);
    be64_store(h + QCOW2_H_SIZE, (q->base.size_bytes + 511) & ~511ull);
    be32_store(h + QCOW2_H_L1_SIZE, (uint32_t)q->n_l1);
    be64_store(h + QCOW2_H_L1_OFFSET, l1_at);
    be64_store(h + QCOW2_H_REFTABLE_OFFSET, reftable_at);
    be32_store(h + QCOW2_H_REFTABLE_CLUSTERS, (uint32_t)reftable_clusters);
    be32_store(h + QCOW2_H_REFCOUNT_ORDER, 4);
    be32_store(h + QCOW2_H_LENGTH, QCOW2_HEADER_V3_BYTES);
    return vf_file_pwrite(q->fd, q->path, h, sizeof h, 0, err);
}

static int qcow2_finish(struct vf_sink *s, struct vf_error **err)
{
    struct qcow2_sink *q = (struct qcow2_sink *)s;
    uint64_t reftable_at = 0, reftable_clusters = 0;

    pthread_mutex_lock(&q->lock);
    uint64_t l1_at = q->next_cluster * CLUSTER;
    q->next_cluster += clusters_for(q->n_l1 * 8);
    int rc = write_dirty_tables(q, err);
    if (rc == 0) {
        rc = write_u64_table(q, q->l1, 0, QCOW2_FLAG_COPIED, q->n_l1, l1_at, err);
    }
    if (rc == 0) {
        rc = write_refcounts(q, &reftable_at, &reftable_clusters, err);
    }
    pthread_mutex_unlock(&q->lock);
    if (rc == 0 && ftruncate(q->fd, (off_t)(q->next_cluster * CLUSTER)) != 0) {
        rc = vf_error_set_errno(err, errno, "cannot give \"%s\" its size", q->path);
    }
    if (rc == 0) {
        rc = sync_file(q, err);
    }
    if (rc == 0) {
        rc = write_header(q, l1_at, reftable_at, reftable_clusters, err);
    }
    return rc ? rc : sync_file(q, err);
}

static void qcow2_free(struct vf_sink *s)
{
    struct qcow2_sink *q = (struct qcow2_sink *)s;
    for (unsigned i = 0; i < CACHE_TABLES; i++) {
        free(q->cache[i].bytes);
    }
    pthread_mutex_destroy(&q->lock);
    vf_bulk_close(&q->bulk);
    close(q->fd);
    free(q->l1);
    free(q->path);
    free(q);
}

static const struct vf_sink_ops qcow2_ops = {
    .write = qcow2_write,
    .zero = qcow2_zero,
    .read = qcow2_read,
    .flush = qcow2_flush,
    .finish = qcow2_finish,
    .free = qcow2_free,
};

int vf_qcow2_sink_create(const char *path, uint64_t size_bytes, struct vf_sink **ret_sink,
                         struct vf_error **err)
{
    if (size_bytes > QCOW2_MAX_L1_BYTES / 8 * L2_SPAN) {
        return vf_error_set(err, VF_UNSUPPORTED,
                            "a disk of %" PRIu64 " bytes is too large for a qcow2 image",
                            size_bytes);
    }
    int fd;
    int rc = vf_file_create(path, &fd, err);
    if (rc) {
        return rc;
    }
    struct qcow2_sink *q = vf_xcalloc(1, sizeof *q);
    q->base = (struct vf_sink){.ops = &qcow2_ops,
                               .size_bytes = size_bytes,
                               .caps = VF_SINK_RANDOM | VF_SINK_PARALLEL | VF_SINK_REWRITABLE |
                                       VF_SINK_READABLE | VF_SINK_STARTS_ZERO};
    q->fd = fd;
    q->path = vf_xstrdup(path);
    vf_bulk_open(&q->bulk, fd);
    q->n_l1 = (size_bytes + L2_SPAN - 1) / L2_SPAN;
    q->l1 = vf_xcalloc(q->n_l1, sizeof *q->l1);
    q->next_cluster = 1; /* the header's */
    pthread_mutex_init(&q->lock, NULL);
    for (unsigned i = 0; i < CACHE_TABLES; i++) {
        q->cache[i].index = NO_TABLE;
    }
    *ret_sink = &q->base;
    return 0;
}
