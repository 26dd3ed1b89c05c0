/* Taking up an image that another run left: foreign bytes, until they prove to be ours.
 *
 * Of the entries of L1 and L2, those below the committed mark were durable when the record was
 * written, and are trusted no further than this: each is well-formed, and together they name every
 * cluster of the file once. Those at the mark or beyond were written after the last flush, whole or
 * torn, and are dropped. Nothing else is ever written into a table: an entry goes from 0 to a new
 * cluster, and stays.
 */
#include <errno.h>
#include <inttypes.h>
#include <string.h>
#include <unistd.h>

#include "converters/disk/bitmap.h"
#include "converters/disk/qcow2_journal.h"
#include "converters/disk/qcow2_private.h"
#include "importer/base/bytes.h"
#include "importer/base/inject.h"
#include "importer/base/mem.h"
#include "importer/base/zero.h"

#define CLUSTER      QCOW2_CLUSTER_BYTES
#define SECTOR_BYTES 512u

struct scan {
    struct qcow2_sink *q;
    struct vf_bitmap used; /* clusters below the mark that some entry named */
    uint64_t n_used;
};

static int damaged(const struct qcow2_sink *q, const char *what, uint64_t at, struct vf_error **err)
{
    return vf_error_set(err, VF_INVALID, "\"%s\" is damaged: %s at offset %" PRIu64, q->path, what,
                        at);
}

/* *entry becomes the host offset, or 0: none, or none that was flushed. `at`: where it stands. */
static int check_entry(struct scan *s, uint64_t *entry, uint64_t at, struct vf_error **err)
{
    uint64_t value = *entry, host = value & QCOW2_OFFSET_MASK;
    uint64_t cluster = host / CLUSTER;
    *entry = 0;
    if (value == 0 || cluster >= s->q->committed) {
        return 0;
    }
    if (value != (host | QCOW2_FLAG_COPIED) || host % CLUSTER != 0 ||
        cluster < qcow2_first_cluster(s->q)) {
        return damaged(s->q, "a table entry that is none of ours", at, err);
    }
    if (vf_bitmap_test_and_set(&s->used, cluster)) {
        return damaged(s->q, "a second table entry for one cluster", at, err);
    }
    s->n_used++;
    *entry = host;
    return 0;
}

static int scan_l2(struct scan *s, uint64_t index, uint8_t *table, struct vf_error **err)
{
    struct qcow2_sink *q = s->q;
    uint64_t at = q->l1[index];
    uint64_t on_disk = qcow2_clusters_for(q->base.size_bytes) - index * QCOW2_L2_ENTRIES;
    bool dropped = false;
    int rc = vf_file_pread(q->fd, q->path, table, CLUSTER, at, err);
    for (uint64_t i = 0; i < QCOW2_L2_ENTRIES && rc == 0; i++) {
        uint64_t entry = be64_load(table + i * 8);
        bool was = entry != 0;
        rc = check_entry(s, &entry, at + i * 8, err);
        if (rc == 0 && entry && i >= on_disk) {
            rc = damaged(q, "a table entry behind the end of the disk", at + i * 8, err);
        }
        if (was && !entry) {
            be64_store(table + i * 8, 0);
            dropped = true;
        }
    }
    /* Were it left there, the entry would come true once the file has grown to its cluster. */
    return rc == 0 && dropped ? vf_file_pwrite(q->fd, q->path, table, CLUSTER, at, err) : rc;
}

static int scan_l1(struct scan *s, uint8_t *part, struct vf_error **err)
{
    struct qcow2_sink *q = s->q;
    int rc = 0;
    for (uint64_t i = 0; i < q->n_l1 && rc == 0; i++) {
        uint64_t at = QCOW2_L1_OFFSET + i * 8;
        if (i % QCOW2_L2_ENTRIES == 0) {
            rc = vf_file_pread(q->fd, q->path, part, CLUSTER, at, err);
        }
        if (rc == 0) {
            uint64_t entry = be64_load(part + i % QCOW2_L2_ENTRIES * 8);
            bool was = entry != 0;
            rc = check_entry(s, &entry, at, err);
            q->l1[i] = entry;
            if (was && !entry) {
                qcow2_mark_l1(q, i);
            }
        }
    }
    return rc;
}

static int scan_tables(struct qcow2_sink *q, struct vf_error **err)
{
    struct scan s = {.q = q};
    uint8_t *vf_autofree table = vf_xcalloc(1, CLUSTER);
    int rc = vf_bitmap_init(&s.used, q->committed, err);
    if (rc == 0) {
        rc = scan_l1(&s, table, err);
    }
    for (uint64_t i = 0; i < q->n_l1 && rc == 0; i++) {
        rc = q->l1[i] ? scan_l2(&s, i, table, err) : 0;
    }
    if (rc == 0 && s.n_used != q->committed - qcow2_first_cluster(q)) {
        rc = vf_error_set(err, VF_INVALID,
                          "\"%s\" is damaged: its tables name %" PRIu64 " of %" PRIu64 " clusters",
                          q->path, s.n_used, q->committed - qcow2_first_cluster(q));
    }
    vf_bitmap_release(&s.used);
    return rc;
}

static int check_commit(const struct qcow2_sink *q, const struct qcow2_commit *c,
                        uint64_t have_bytes, struct vf_error **err)
{
    uint64_t first = qcow2_first_cluster(q);
    uint64_t most = first + q->n_l1 + qcow2_clusters_for(q->base.size_bytes);
    if (c->size_bytes != q->base.size_bytes) {
        return vf_error_set(err, VF_INVALID,
                            "\"%s\" is of a disk of %" PRIu64 " bytes, and the disk has %" PRIu64,
                            q->path, c->size_bytes, q->base.size_bytes);
    }
    if (c->clusters < first || c->clusters > most || c->clusters > have_bytes / CLUSTER) {
        return vf_error_set(err, VF_INVALID,
                            "\"%s\" is damaged: %" PRIu64 " clusters of it were flushed, and it "
                            "has %" PRIu64 " bytes",
                            q->path, c->clusters, have_bytes);
    }
    return 0;
}

/* A finished image has a header, and is an unfinished one again. Its refcounts are cut off after
 * that: no moment shows a qcow2 image without. */
static int drop_header(struct qcow2_sink *q, uint64_t have_bytes, struct vf_error **err)
{
    uint8_t header[SECTOR_BYTES];
    int rc = vf_file_pread(q->fd, q->path, header, sizeof header, 0, err);
    if (rc || vf_is_zero(header, sizeof header)) {
        return rc;
    }
    if (have_bytes != qcow2_get_end(q->committed).total * CLUSTER) {
        return vf_error_set(err, VF_INVALID,
                            "\"%s\" was changed by another program after it was finished", q->path);
    }
    memset(header, 0, sizeof header);
    rc = vf_file_pwrite(q->fd, q->path, header, sizeof header, 0, err);
    return rc ? rc : vf_file_sync(q->fd, q->path, &q->sync_failed, err);
}

int qcow2_take_up(struct qcow2_sink *q, uint64_t have_bytes, struct vf_error **err)
{
    struct qcow2_commit c;
    int rc = qcow2_commit_read(q->fd, q->path, &c, err);
    if (rc == 0) {
        rc = check_commit(q, &c, have_bytes, err);
    }
    if (rc) {
        return rc;
    }
    q->committed = q->next_cluster = c.clusters;
    q->generation = c.generation;
    rc = scan_tables(q, err);
    if (rc == 0) {
        rc = drop_header(q, have_bytes, err);
    }
    if (rc == 0) {
        rc = vf_inject("qcow2.reopen", err);
    }
    /* What a new cluster was not written of reads as zero, because it lies behind the end. */
    if (rc == 0 && ftruncate(q->fd, (off_t)(c.clusters * CLUSTER)) != 0) {
        rc = vf_error_set_errno(err, errno, "cannot give \"%s\" its size", q->path);
    }
    return rc;
}
