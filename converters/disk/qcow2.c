#include "converters/disk/qcow2.h"

#include <errno.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "converters/disk/qcow2_journal.h"
#include "converters/disk/qcow2_private.h"
#include "importer/base/bytes.h"
#include "importer/base/inject.h"
#include "importer/base/mem.h"

#define CLUSTER QCOW2_CLUSTER_BYTES

static int qcow2_write(struct vf_sink *s, const void *buf, size_t len_bytes, uint64_t offset_bytes,
                       struct vf_error **err)
{
    struct qcow2_sink *q = (struct qcow2_sink *)s;
    const char *p = buf;
    while (len_bytes > 0) {
        uint64_t host, n;
        int rc = qcow2_map_run(q, offset_bytes, len_bytes, true, &host, &n, err);
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
        uint64_t to_span_end = QCOW2_L2_SPAN - offset_bytes % QCOW2_L2_SPAN;
        uint64_t part = length_bytes < to_span_end ? length_bytes : to_span_end;
        uint64_t host, n = part;
        int rc = 0;

        pthread_mutex_lock(&q->lock);
        bool mapped = q->l1[offset_bytes / QCOW2_L2_SPAN] != 0;
        pthread_mutex_unlock(&q->lock);
        if (mapped) {
            rc = qcow2_map_run(q, offset_bytes, part, false, &host, &n, err);
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
        int rc = qcow2_map_run(q, offset_bytes, len_bytes, false, &host, &n, err);
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
    return vf_file_sync(q->fd, q->path, &q->sync_failed, err);
}

static int set_clusters(struct qcow2_sink *q, uint64_t clusters, struct vf_error **err)
{
    if (ftruncate(q->fd, (off_t)(clusters * CLUSTER)) != 0) {
        return vf_error_set_errno(err, errno, "cannot give \"%s\" its size", q->path);
    }
    return 0;
}

/* Data and tables first; a record that names new clusters only when they are durable. */
static int qcow2_flush(struct vf_sink *s, struct vf_error **err)
{
    struct qcow2_sink *q = (struct qcow2_sink *)s;
    pthread_mutex_lock(&q->lock);
    int rc = qcow2_write_tables(q, err);
    struct qcow2_commit c = {
        .generation = q->generation + 1, .size_bytes = s->size_bytes, .clusters = q->next_cluster};
    pthread_mutex_unlock(&q->lock);
    bool grown = c.clusters != q->committed;
    if (rc == 0 && grown) {
        rc = set_clusters(q, c.clusters, err);
    }
    if (rc == 0) {
        rc = sync_file(q, err);
    }
    if (rc || !grown) {
        return rc;
    }
    rc = qcow2_commit_write(q->fd, q->path, &c, err);
    if (rc == 0) {
        rc = sync_file(q, err);
    }
    if (rc == 0) {
        q->generation = c.generation;
        q->committed = c.clusters;
    }
    return rc;
}

struct qcow2_end qcow2_get_end(uint64_t clusters)
{
    struct qcow2_end end = {.total = clusters};
    for (;;) {
        uint64_t blocks = (end.total + QCOW2_REFCOUNTS_PER_BLOCK - 1) / QCOW2_REFCOUNTS_PER_BLOCK;
        uint64_t table = qcow2_clusters_for(blocks * 8);
        if (blocks == end.blocks && table == end.table) {
            return end;
        }
        end = (struct qcow2_end){
            .blocks = blocks, .table = table, .total = clusters + blocks + table};
    }
}

/* Every cluster of the file, the refcounts' own included, is used exactly once. */
static int write_refcounts(struct qcow2_sink *q, uint64_t clusters, const struct qcow2_end *end,
                           struct vf_error **err)
{
    uint64_t blocks_at = clusters * CLUSTER;
    uint8_t *vf_autofree block = vf_xcalloc(1, CLUSTER);
    int rc = 0;
    for (uint64_t i = 0; i < end->blocks && rc == 0; i++) {
        uint64_t left = end->total - i * QCOW2_REFCOUNTS_PER_BLOCK;
        for (uint64_t j = 0; j < QCOW2_REFCOUNTS_PER_BLOCK; j++) {
            be16_store(block + j * 2, j < left ? 1 : 0);
        }
        rc = vf_file_pwrite(q->fd, q->path, block, CLUSTER, blocks_at + i * CLUSTER, err);
    }
    return rc ? rc
              : qcow2_write_u64s(q, NULL, blocks_at, 0, end->blocks,
                                 blocks_at + end->blocks * CLUSTER, err);
}

static int write_header(struct qcow2_sink *q, const struct qcow2_end *end, struct vf_error **err)
{
    /* Behind the fields: the end of the header extensions, eight zero bytes. */
    uint8_t h[QCOW2_HEADER_V3_BYTES + 8] = {0};
    be32_store(h + QCOW2_H_MAGIC, QCOW2_MAGIC);
    be32_store(h + QCOW2_H_VERSION, 3);
    be32_store(h + QCOW2_H_CLUSTER_BITS, QCOW2_CLUSTER_BITS);
    be64_store(h + QCOW2_H_SIZE, (q->base.size_bytes + 511) & ~511ull);
    be32_store(h + QCOW2_H_L1_SIZE, (uint32_t)q->n_l1);
    be64_store(h + QCOW2_H_L1_OFFSET, QCOW2_L1_OFFSET);
    be64_store(h + QCOW2_H_REFTABLE_OFFSET, (end->total - end->table) * CLUSTER);
    be32_store(h + QCOW2_H_REFTABLE_CLUSTERS, (uint32_t)end->table);
    be32_store(h + QCOW2_H_REFCOUNT_ORDER, 4);
    be32_store(h + QCOW2_H_LENGTH, QCOW2_HEADER_V3_BYTES);
    return vf_file_pwrite(q->fd, q->path, h, sizeof h, 0, err);
}

static int qcow2_finish(struct vf_sink *s, struct vf_error **err)
{
    struct qcow2_sink *q = (struct qcow2_sink *)s;
    int rc = qcow2_flush(s, err);
    if (rc) {
        return rc;
    }
    struct qcow2_end end = qcow2_get_end(q->committed);
    rc = write_refcounts(q, q->committed, &end, err);
    if (rc == 0) {
        rc = set_clusters(q, end.total, err);
    }
    if (rc == 0) {
        rc = sync_file(q, err);
    }
    if (rc == 0) {
        rc = vf_inject("qcow2.header", err);
    }
    if (rc == 0) {
        rc = write_header(q, &end, err);
    }
    return rc ? rc : sync_file(q, err);
}

static void qcow2_free(struct vf_sink *s)
{
    struct qcow2_sink *q = (struct qcow2_sink *)s;
    for (unsigned i = 0; i < QCOW2_CACHE_TABLES; i++) {
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

static struct qcow2_sink *new_sink(int fd, const char *path, uint64_t size_bytes, bool fresh)
{
    struct qcow2_sink *q = vf_xcalloc(1, sizeof *q);
    q->base = (struct vf_sink){.ops = &qcow2_ops,
                               .size_bytes = size_bytes,
                               .caps = VF_SINK_RANDOM | VF_SINK_PARALLEL | VF_SINK_REWRITABLE |
                                       VF_SINK_READABLE | (fresh ? VF_SINK_STARTS_ZERO : 0)};
    q->fd = fd;
    q->path = vf_xstrdup(path);
    vf_bulk_open(&q->bulk, fd);
    q->n_l1 = size_bytes / QCOW2_L2_SPAN + (size_bytes % QCOW2_L2_SPAN != 0);
    q->l1 = vf_xcalloc(q->n_l1, sizeof *q->l1);
    q->next_cluster = qcow2_first_cluster(q);
    pthread_mutex_init(&q->lock, NULL);
    for (unsigned i = 0; i < QCOW2_CACHE_TABLES; i++) {
        q->cache[i].index = UINT64_MAX;
    }
    return q;
}

static int check_size(uint64_t size_bytes, struct vf_error **err)
{
    if (size_bytes > QCOW2_MAX_L1_BYTES / 8 * QCOW2_L2_SPAN) {
        return vf_error_set(err, VF_UNSUPPORTED,
                            "a disk of %" PRIu64 " bytes is too large for a qcow2 image",
                            size_bytes);
    }
    return 0;
}

int vf_qcow2_sink_create(const char *path, uint64_t size_bytes, struct vf_sink **ret_sink,
                         struct vf_error **err)
{
    int fd;
    int rc = check_size(size_bytes, err);
    if (rc == 0) {
        rc = vf_file_create(path, &fd, err);
    }
    if (rc) {
        return rc;
    }
    *ret_sink = &new_sink(fd, path, size_bytes, true)->base;
    return 0;
}

int vf_qcow2_sink_open(const char *path, uint64_t size_bytes, struct vf_sink **ret_sink,
                       struct vf_error **err)
{
    int fd;
    uint64_t have_bytes;
    int rc = check_size(size_bytes, err);
    if (rc == 0) {
        rc = vf_file_reopen(path, &fd, &have_bytes, err);
    }
    if (rc) {
        return rc;
    }
    struct qcow2_sink *q = new_sink(fd, path, size_bytes, false);
    rc = qcow2_take_up(q, have_bytes, err);
    if (rc) {
        qcow2_free(&q->base);
        return rc;
    }
    *ret_sink = &q->base;
    return 0;
}
