#include <stdlib.h>
#include <string.h>

#include "converters/disk/qcow2_private.h"
#include "importer/base/bytes.h"
#include "importer/base/mem.h"

#define CLUSTER QCOW2_CLUSTER_BYTES

void qcow2_mark_l1(struct qcow2_sink *q, uint64_t index)
{
    bool none = q->l1_dirty == q->l1_dirty_end;
    if (none || index < q->l1_dirty) {
        q->l1_dirty = index;
    }
    if (none || index >= q->l1_dirty_end) {
        q->l1_dirty_end = index + 1;
    }
}

int qcow2_write_u64s(struct qcow2_sink *q, const uint64_t *values, uint64_t first, uint64_t flags,
                     uint64_t n, uint64_t at, struct vf_error **err)
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

static int write_table(struct qcow2_sink *q, struct qcow2_table *t, struct vf_error **err)
{
    int rc = vf_file_pwrite(q->fd, q->path, t->bytes, CLUSTER, q->l1[t->index], err);
    if (rc == 0) {
        t->dirty = false;
    }
    return rc;
}

static int write_l1(struct qcow2_sink *q, struct vf_error **err)
{
    if (q->l1_dirty == q->l1_dirty_end) {
        return 0;
    }
    /* Whole clusters of it. */
    uint64_t from = q->l1_dirty - q->l1_dirty % QCOW2_L2_ENTRIES;
    uint64_t end = (q->l1_dirty_end - 1) / QCOW2_L2_ENTRIES * QCOW2_L2_ENTRIES + QCOW2_L2_ENTRIES;
    end = end < q->n_l1 ? end : q->n_l1;
    int rc = qcow2_write_u64s(q, q->l1 + from, 0, QCOW2_FLAG_COPIED, end - from,
                              QCOW2_L1_OFFSET + from * 8, err);
    if (rc == 0) {
        q->l1_dirty = q->l1_dirty_end = 0;
    }
    return rc;
}

int qcow2_write_tables(struct qcow2_sink *q, struct vf_error **err)
{
    int rc = 0;
    for (unsigned i = 0; i < QCOW2_CACHE_TABLES && rc == 0; i++) {
        if (q->cache[i].index != UINT64_MAX && q->cache[i].dirty) {
            rc = write_table(q, &q->cache[i], err);
        }
    }
    return rc ? rc : write_l1(q, err);
}

static struct qcow2_table *oldest_table(struct qcow2_sink *q)
{
    struct qcow2_table *oldest = &q->cache[0];
    for (unsigned i = 0; i < QCOW2_CACHE_TABLES; i++) {
        if (q->cache[i].index == UINT64_MAX) {
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
                     struct qcow2_table **ret_table, struct vf_error **err)
{
    for (unsigned i = 0; i < QCOW2_CACHE_TABLES; i++) {
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
    struct qcow2_table *t = oldest_table(q);
    if (t->index != UINT64_MAX && t->dirty) {
        int rc = write_table(q, t, err);
        if (rc) {
            return rc;
        }
    }
    t->index = UINT64_MAX;
    if (!t->bytes) {
        t->bytes = vf_xcalloc(1, CLUSTER);
    }
    if (q->l1[index] == 0) {
        memset(t->bytes, 0, CLUSTER);
        q->l1[index] = q->next_cluster++ * CLUSTER;
        qcow2_mark_l1(q, index);
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
    struct qcow2_table *t;
    int rc = get_table(q, at / QCOW2_L2_SPAN, create, &t, err);
    *ret_host = 0;
    if (rc || !t) {
        return rc;
    }
    uint8_t *entry = t->bytes + at % QCOW2_L2_SPAN / CLUSTER * 8;
    uint64_t value = be64_load(entry);
    if (value == 0 && create) {
        value = (q->next_cluster++ * CLUSTER) | QCOW2_FLAG_COPIED;
        be64_store(entry, value);
        t->dirty = true;
    }
    *ret_host = value & QCOW2_OFFSET_MASK;
    return 0;
}

int qcow2_map_run(struct qcow2_sink *q, uint64_t at, uint64_t len_bytes, bool create,
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
