/* Private to the stream decoder: what the tables behind the grains (ESXi style) say, held against
 * the grains that came.
 *
 * A grain's record tells its place on the disk with nothing to check it by, and a wrong length can
 * swallow its neighbour. The tables are the second witness: each entry is the sector of the stream
 * in which the record of one grain stands. Memory is 8 bytes a table of the disk and 16 a table
 * that came, whatever the order: 64 thousand tables for 2 TiB.
 */
#ifndef CONVERTERS_DISK_VMDK_STREAM_TABLES_H
#define CONVERTERS_DISK_VMDK_STREAM_TABLES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <vmferry/error.h>

#include "converters/disk/vmdk_header.h"

struct vf_seen_table {
    uint32_t sector;
    uint64_t sum;
};

struct vf_stream_tables {
    uint64_t n_tables; /* of the disk */
    uint64_t table_span_bytes;
    uint32_t gtes_per_gt;
    bool zero_entries;    /* an entry of 1 means zero */
    bool complete;        /* the directory came, and all agreed */
    uint64_t *grain_sums; /* of the grains that came, by table */
    struct vf_seen_table *seen;
    size_t n_seen, cap_seen;
    uint8_t *table; /* room for one, for the caller to read into */
};

/* VF_INVALID for a directory of absurd size. */
int vf_stream_tables_init(struct vf_stream_tables *t, const struct vf_vmdk_header *header,
                          struct vf_error **err);
void vf_stream_tables_release(struct vf_stream_tables *t); /* of a zeroed struct too */

/* Sectors of the stream are taken modulo 2^32, as the entries are. */
int vf_stream_tables_add_grain(struct vf_stream_tables *t, uint64_t grain, uint64_t sector,
                               struct vf_error **err);
/* t->table, found at `sector`. */
int vf_stream_tables_add_table(struct vf_stream_tables *t, uint64_t sector, struct vf_error **err);
/* n_tables entries of 4 bytes: VF_INVALID unless they lead to every grain that came, and to no
 * other. */
int vf_stream_tables_check(struct vf_stream_tables *t, const uint8_t *directory,
                           struct vf_error **err);

#endif
