/* Private to the qcow2 sink: its tables (qcow2_tables.c), its end (qcow2.c), and its reopening
 * (qcow2_open.c).
 *
 * The file: header cluster (with the records of qcow2_journal.h), L1, then L2 tables and data in
 * the order in which they were first written; at the end, when finished, the refcounts.
 */
#ifndef CONVERTERS_DISK_QCOW2_PRIVATE_H
#define CONVERTERS_DISK_QCOW2_PRIVATE_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

#include <vmferry/error.h>
#include <vmferry/sink.h>

#include "converters/disk/qcow2_format.h"
#include "importer/base/file_io.h"

#define QCOW2_L2_SPAN      ((uint64_t)QCOW2_L2_ENTRIES * QCOW2_CLUSTER_BYTES) /* disk of one L2 */
#define QCOW2_L1_OFFSET    ((uint64_t)QCOW2_CLUSTER_BYTES)
#define QCOW2_CACHE_TABLES 16u

struct qcow2_table {
    uint64_t index; /* in L1; UINT64_MAX: free */
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

    /* Of flush and finish alone. */
    int sync_failed;
    uint64_t committed; /* clusters that the newest record names; 0: there is none */
    uint64_t generation;

    pthread_mutex_t lock; /* guards all below; held over table reads and writes, not over data */
    uint64_t *l1;         /* host offsets, no flags */
    uint64_t l1_dirty, l1_dirty_end; /* entries to be written; none when they are the same */
    uint64_t next_cluster;           /* every one below is in use, once */
    uint64_t tick;
    struct qcow2_table cache[QCOW2_CACHE_TABLES];
};

static inline uint64_t qcow2_clusters_for(uint64_t bytes)
{
    return bytes / QCOW2_CLUSTER_BYTES + (bytes % QCOW2_CLUSTER_BYTES != 0);
}

/* The first that is neither header nor L1. */
static inline uint64_t qcow2_first_cluster(const struct qcow2_sink *q)
{
    return 1 + qcow2_clusters_for(q->n_l1 * 8);
}

/* --- qcow2_tables.c --- */

/* The longest piece from `at`, at most len_bytes, that is contiguous in the file too (or wholly
 * unmapped: *ret_host 0). */
int qcow2_map_run(struct qcow2_sink *q, uint64_t at, uint64_t len_bytes, bool create,
                  uint64_t *ret_host, uint64_t *ret_len, struct vf_error **err);

/* All that is dirty of L1 and L2. Lock held. */
int qcow2_write_tables(struct qcow2_sink *q, struct vf_error **err);

/* Writes `n` big-endian u64 (values may be NULL: then first, first + a cluster, ...) as a table;
 * those that are not 0 with the flags. */
int qcow2_write_u64s(struct qcow2_sink *q, const uint64_t *values, uint64_t first, uint64_t flags,
                     uint64_t n, uint64_t at, struct vf_error **err);

void qcow2_mark_l1(struct qcow2_sink *q, uint64_t index);

/* --- qcow2.c --- */

/* Of the file when it is finished with this many clusters below the refcounts. */
struct qcow2_end {
    uint64_t blocks, table; /* clusters of refcount blocks, and of the table that names them */
    uint64_t total;         /* clusters of the file */
};
struct qcow2_end qcow2_get_end(uint64_t clusters);

/* --- qcow2_open.c --- */

/* Take up what the last flush made durable, drop what came later. have_bytes: the file's size. */
int qcow2_take_up(struct qcow2_sink *q, uint64_t have_bytes, struct vf_error **err);

#endif
