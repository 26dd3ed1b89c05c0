#include "converters/disk/qcow2_disk.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "converters/disk/qcow2_format.h"
#include "importer/base/bytes.h"
#include "importer/base/file_io.h"
#include "importer/base/mem.h"

#define CHUNK 512u /* entries looked at in one go */

/* With clusters of 64 KiB a million tables are 512 TiB. The check that no table is named twice
 * holds eight bytes for each. */
#define MAX_L1_ENTRIES (1u << 20)

#define MAX_SIZE_BYTES (1ull << 56)

/* Incompatible features. */
#define FEATURE_DIRTY       (1u << 0)
#define FEATURE_CORRUPT     (1u << 1)
#define FEATURE_DATA_FILE   (1u << 2)
#define FEATURE_COMPRESSION (1u << 3)
#define FEATURE_EXTENDED_L2 (1u << 4)

/* L1 and L2 entries have these reserved as zero; the L2's bit 0 is apart. */
#define L1_RESERVED 0x7f000000000001ffull
#define L2_RESERVED 0x3f000000000001feull

struct qcow2_disk {
    struct vf_mapped_disk mapped;
    struct vf_qcow2_header header;
    uint64_t cluster_bytes;
    uint64_t l2_entries; /* in a table */
    uint64_t n_l1;       /* needed for the size */
};

static int check_features(const uint8_t *bytes, struct vf_qcow2_header *h, struct vf_error **err)
{
    uint64_t features = be64_load(bytes + QCOW2_H_INCOMPATIBLE);
    if (features & FEATURE_CORRUPT) {
        vf_error_set(err, VF_INVALID, "the qcow2 image is marked as corrupt");
        vf_error_hint(err, "\"qemu-img check -r all\" may repair a copy of it");
        return VF_INVALID;
    }
    if (features & FEATURE_DATA_FILE) {
        return vf_error_set(err, VF_UNSUPPORTED, "the qcow2 image keeps its data in another file");
    }
    h->dirty = (features & FEATURE_DIRTY) != 0;
    h->compression_type = (features & FEATURE_COMPRESSION) != 0;
    h->extended_l2 = (features & FEATURE_EXTENDED_L2) != 0;
    features &= ~(uint64_t)(FEATURE_DIRTY | FEATURE_COMPRESSION | FEATURE_EXTENDED_L2);
    if (features) {
        return vf_error_set(err, VF_UNSUPPORTED, "the qcow2 image has unknown features 0x%" PRIx64,
                            features);
    }
    return 0;
}

static int check_numbers(const struct vf_qcow2_header *h, struct vf_error **err)
{
    if (h->cluster_bits < 9 || h->cluster_bits > 21) {
        return vf_error_set(err, VF_INVALID, "the qcow2 header claims clusters of 2^%" PRIu32,
                            h->cluster_bits);
    }
    if (h->size_bytes > MAX_SIZE_BYTES) {
        return vf_error_set(err, VF_INVALID, "the qcow2 header claims a size of %" PRIu64 " bytes",
                            h->size_bytes);
    }
    if (h->l1_offset_bytes & ((1ull << h->cluster_bits) - 1)) {
        return vf_error_set(err, VF_INVALID,
                            "the qcow2 L1 table at offset %" PRIu64 " is not at a cluster",
                            h->l1_offset_bytes);
    }
    uint64_t covered_bits = 2 * h->cluster_bits - 3;
    uint64_t needed = (h->size_bytes + (1ull << covered_bits) - 1) >> covered_bits;
    if (h->l1_entries < needed) {
        return vf_error_set(err, VF_INVALID,
                            "the qcow2 L1 table has %" PRIu32 " entries, the size needs %" PRIu64,
                            h->l1_entries, needed);
    }
    return 0;
}

int vf_qcow2_header_parse(const uint8_t *bytes, size_t len, struct vf_qcow2_header *ret_header,
                          struct vf_error **err)
{
    if (len < QCOW2_HEADER_V2_BYTES || be32_load(bytes) != QCOW2_MAGIC) {
        return vf_error_set(err, VF_INVALID, "not a qcow2 image: it does not begin with \"QFI\"");
    }
    struct vf_qcow2_header h = {
        .version = be32_load(bytes + QCOW2_H_VERSION),
        .cluster_bits = be32_load(bytes + QCOW2_H_CLUSTER_BITS),
        .size_bytes = be64_load(bytes + QCOW2_H_SIZE),
        .l1_entries = be32_load(bytes + QCOW2_H_L1_SIZE),
        .l1_offset_bytes = be64_load(bytes + QCOW2_H_L1_OFFSET),
    };
    if (h.version != 2 && h.version != 3) {
        return vf_error_set(err, VF_UNSUPPORTED, "qcow version %" PRIu32 " is not read", h.version);
    }
    if (be64_load(bytes + QCOW2_H_BACKING_OFFSET) != 0) {
        vf_error_set(err, VF_UNSUPPORTED, "the qcow2 image needs a backing file");
        vf_error_hint(err, "flatten it first: qemu-img convert -O qcow2 IMAGE FLAT");
        return VF_UNSUPPORTED;
    }
    if (be32_load(bytes + QCOW2_H_CRYPT) != 0) {
        return vf_error_set(err, VF_UNSUPPORTED, "the qcow2 image is encrypted");
    }
    int rc = 0;
    if (h.version == 3) {
        if (len < QCOW2_HEADER_V3_BYTES ||
            be32_load(bytes + QCOW2_H_LENGTH) < QCOW2_HEADER_V3_BYTES) {
            return vf_error_set(err, VF_INVALID, "the qcow2 header is too short");
        }
        rc = check_features(bytes, &h, err);
    }
    if (rc == 0) {
        rc = check_numbers(&h, err);
    }
    if (rc == 0) {
        *ret_header = h;
    }
    return rc;
}

static int bad_entry(const char *table, uint64_t index, uint64_t entry, const char *what,
                     struct vf_error **err)
{
    return vf_error_set(err, VF_INVALID, "qcow2 %s entry %" PRIu64 " is 0x%016" PRIx64 ", %s",
                        table, index, entry, what);
}

static int check_l1_entry(const struct qcow2_disk *d, uint64_t index, uint64_t entry,
                          struct vf_error **err)
{
    uint64_t offset = entry & QCOW2_OFFSET_MASK;
    if (entry & L1_RESERVED) {
        return bad_entry("L1", index, entry, "which has reserved bits set", err);
    }
    if (offset & (d->cluster_bytes - 1)) {
        return bad_entry("L1", index, entry, "which is not at a cluster", err);
    }
    /* A table is written whole, only data may be cut off by the end of the file. */
    if (offset > d->mapped.file_bytes || d->mapped.file_bytes - offset < d->cluster_bytes) {
        return bad_entry("L1", index, entry, "past the end of the file", err);
    }
    if (offset < d->header.l1_offset_bytes + d->n_l1 * 8 &&
        d->header.l1_offset_bytes < offset + d->cluster_bytes) {
        return bad_entry("L1", index, entry, "over the L1 table", err);
    }
    return 0;
}

/* Kind and place of one cluster. `cluster` is its number on the disk. */
static int read_l2_entry(const struct qcow2_disk *d, uint64_t cluster, uint64_t entry,
                         struct vf_run *ret_run, struct vf_error **err)
{
    uint64_t offset = entry & QCOW2_OFFSET_MASK;
    if (entry & QCOW2_FLAG_COMPRESSED) {
        return vf_error_set(err, VF_UNSUPPORTED, "the qcow2 image has compressed clusters");
    }
    if ((entry & L2_RESERVED) || ((entry & QCOW2_FLAG_ZERO) && d->header.version == 2)) {
        return bad_entry("L2", cluster, entry, "which has reserved bits set", err);
    }
    if (offset & (d->cluster_bytes - 1)) {
        return bad_entry("L2", cluster, entry, "which is not at a cluster", err);
    }
    if (offset >= d->mapped.file_bytes && offset) {
        return bad_entry("L2", cluster, entry, "past the end of the file", err);
    }
    ret_run->kind = entry & QCOW2_FLAG_ZERO ? VF_EXTENT_ZERO
                    : offset                ? VF_EXTENT_DATA
                                            : VF_EXTENT_HOLE;
    ret_run->file_offset_bytes = offset;
    return 0;
}

static uint64_t smaller(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

/* Join entries from the first on, as long as they go together. */
static int join_entries(const struct qcow2_disk *d, const uint8_t *raw, size_t n, uint64_t cluster,
                        struct vf_run *ret_run, struct vf_error **err)
{
    int rc = read_l2_entry(d, cluster, be64_load(raw), ret_run, err);
    size_t i = 1;
    for (; rc == 0 && i < n; i++) {
        struct vf_run next = {.kind = VF_EXTENT_HOLE};
        rc = read_l2_entry(d, cluster + i, be64_load(raw + i * 8), &next, err);
        if (rc == 0 &&
            (next.kind != ret_run->kind ||
             (next.kind == VF_EXTENT_DATA &&
              next.file_offset_bytes != ret_run->file_offset_bytes + i * d->cluster_bytes))) {
            break;
        }
    }
    ret_run->length_bytes = i * d->cluster_bytes;
    return rc;
}

static int qcow2_map(struct vf_mapped_disk *mapped, uint64_t offset_bytes, uint64_t length_bytes,
                     struct vf_run *ret_run, struct vf_error **err)
{
    struct qcow2_disk *d = (struct qcow2_disk *)mapped;
    const struct vf_layer *l = &mapped->layer;
    uint64_t cluster = offset_bytes / d->cluster_bytes, skip = offset_bytes % d->cluster_bytes;
    uint64_t index = cluster / d->l2_entries, first = cluster % d->l2_entries;
    uint8_t raw[CHUNK * 8];
    int rc = vf_meta_read(l->cache, l->fd, raw, 8, d->header.l1_offset_bytes + index * 8, err);
    if (rc) {
        return rc;
    }
    uint64_t table = be64_load(raw) & QCOW2_OFFSET_MASK;
    if (table == 0) {
        uint64_t covered = (d->l2_entries - first) * d->cluster_bytes - skip;
        *ret_run = (struct vf_run){VF_EXTENT_HOLE, 0, smaller(covered, length_bytes)};
        return 0;
    }
    uint64_t wanted = (skip + length_bytes + d->cluster_bytes - 1) / d->cluster_bytes;
    size_t n = (size_t)smaller(smaller(wanted, d->l2_entries - first), CHUNK);
    rc = vf_meta_read(l->cache, l->fd, raw, n * 8, table + first * 8, err);
    if (rc == 0) {
        rc = join_entries(d, raw, n, cluster, ret_run, err);
    }
    if (rc == 0) {
        ret_run->file_offset_bytes += skip;
        ret_run->length_bytes = smaller(ret_run->length_bytes - skip, length_bytes);
    }
    return rc;
}

static const struct vf_map_ops qcow2_ops = {.map = qcow2_map};

static int check_l2_table(const struct qcow2_disk *d, uint64_t index, uint64_t offset_bytes,
                          struct vf_error **err)
{
    uint64_t clusters = (d->header.size_bytes + d->cluster_bytes - 1) / d->cluster_bytes;
    uint64_t n = smaller(d->l2_entries, clusters - index * d->l2_entries);
    for (uint64_t at = 0; at < n; at += CHUNK) {
        uint8_t raw[CHUNK * 8];
        struct vf_run run;
        size_t count = (size_t)smaller(CHUNK, n - at);
        int rc = vf_file_pread(d->mapped.layer.fd, d->mapped.name, raw, count * 8,
                               offset_bytes + at * 8, err);
        for (size_t i = 0; rc == 0 && i < count; i++) {
            rc =
                read_l2_entry(d, index * d->l2_entries + at + i, be64_load(raw + i * 8), &run, err);
        }
        if (rc) {
            return rc;
        }
    }
    return 0;
}

static int compare_u64(const void *a, const void *b)
{
    uint64_t x, y;
    memcpy(&x, a, sizeof x);
    memcpy(&y, b, sizeof y);
    return (x > y) - (x < y);
}

/* Were a table named twice, the check of all tables could be made to take for ever. */
static int check_distinct(uint64_t *offsets, size_t n, struct vf_error **err)
{
    if (n > 1) {
        qsort(offsets, n, sizeof *offsets, compare_u64);
    }
    for (size_t i = 1; i < n; i++) {
        if (offsets[i] == offsets[i - 1]) {
            return vf_error_set(err, VF_INVALID,
                                "two qcow2 L1 entries name the table at offset %" PRIu64,
                                offsets[i]);
        }
    }
    return 0;
}

static int load_l1(const struct qcow2_disk *d, uint64_t *offsets, size_t *ret_n,
                   struct vf_error **err)
{
    const struct vf_layer *l = &d->mapped.layer;
    size_t n = 0;
    for (uint64_t at = 0; at < d->n_l1; at += CHUNK) {
        uint8_t raw[CHUNK * 8];
        size_t count = (size_t)smaller(CHUNK, d->n_l1 - at);
        int rc =
            vf_meta_read(l->cache, l->fd, raw, count * 8, d->header.l1_offset_bytes + at * 8, err);
        for (size_t i = 0; rc == 0 && i < count; i++) {
            uint64_t entry = be64_load(raw + i * 8);
            if (entry != 0) {
                rc = check_l1_entry(d, at + i, entry, err);
                offsets[n++] = entry & QCOW2_OFFSET_MASK;
            }
        }
        if (rc) {
            return rc;
        }
    }
    *ret_n = n;
    return 0;
}

static int check_tables(const struct qcow2_disk *d, struct vf_error **err)
{
    const struct vf_layer *l = &d->mapped.layer;
    uint64_t *vf_autofree offsets = vf_xcalloc(d->n_l1 + 1, sizeof *offsets);
    size_t n = 0;
    int rc = load_l1(d, offsets, &n, err);
    if (rc == 0) {
        rc = check_distinct(offsets, n, err);
    }
    for (uint64_t i = 0; rc == 0 && i < d->n_l1; i++) {
        uint8_t raw[8];
        rc = vf_meta_read(l->cache, l->fd, raw, 8, d->header.l1_offset_bytes + i * 8, err);
        uint64_t offset = rc ? 0 : be64_load(raw) & QCOW2_OFFSET_MASK;
        if (offset) {
            rc = check_l2_table(d, i, offset, err);
        }
    }
    return rc;
}

static int check_l1_place(const struct qcow2_disk *d, struct vf_error **err)
{
    uint64_t offset = d->header.l1_offset_bytes;
    if (d->n_l1 > MAX_L1_ENTRIES) {
        return vf_error_set(err, VF_UNSUPPORTED,
                            "a qcow2 L1 table of %" PRIu64 " entries is not read", d->n_l1);
    }
    if (d->n_l1 && (offset < d->cluster_bytes || offset > d->mapped.file_bytes ||
                    d->mapped.file_bytes - offset < d->n_l1 * 8)) {
        return vf_error_set(err, VF_INVALID,
                            "the qcow2 L1 table, %" PRIu64 " bytes at offset %" PRIu64
                            ", is not inside the file (%" PRIu64 " bytes)",
                            d->n_l1 * 8, offset, d->mapped.file_bytes);
    }
    return 0;
}

static int read_header(const struct vf_layer *layer, struct vf_qcow2_header *ret_header,
                       uint64_t *ret_file_bytes, struct vf_error **err)
{
    uint8_t bytes[QCOW2_HEADER_V3_BYTES];
    int rc = vf_file_size(layer->fd, layer->name, ret_file_bytes, err);
    size_t len = rc == 0 ? (size_t)smaller(sizeof bytes, *ret_file_bytes) : 0;
    if (rc == 0) {
        rc = vf_file_pread(layer->fd, layer->name, bytes, len, 0, err);
    }
    if (rc == 0) {
        rc = vf_qcow2_header_parse(bytes, len, ret_header, err);
    }
    if (rc == 0 && (ret_header->extended_l2 || ret_header->compression_type)) {
        rc = vf_error_set(err, VF_UNSUPPORTED,
                          "the qcow2 image has extended L2 entries or compressed clusters");
    }
    return rc;
}

int vf_qcow2_disk_open(const struct vf_layer *layer, struct vf_disk **ret_disk, bool *ret_unclean,
                       struct vf_error **err)
{
    struct vf_qcow2_header header = {.cluster_bits = QCOW2_CLUSTER_BITS};
    uint64_t file_bytes;
    int rc = read_header(layer, &header, &file_bytes, err);
    if (rc) {
        return rc;
    }
    struct qcow2_disk *d = vf_xcalloc(1, sizeof *d);
    vf_mapped_disk_init(&d->mapped, &qcow2_ops, layer, header.size_bytes, file_bytes);
    d->mapped.zero_past_end = true;
    d->header = header;
    d->cluster_bytes = 1ull << header.cluster_bits;
    d->l2_entries = d->cluster_bytes / 8;
    uint64_t covered_bits = 2 * header.cluster_bits - 3;
    d->n_l1 = (header.size_bytes + (1ull << covered_bits) - 1) >> covered_bits;
    rc = check_l1_place(d, err);
    if (rc == 0) {
        rc = check_tables(d, err);
    }
    if (rc) {
        vf_mapped_disk_abandon(&d->mapped);
        return rc;
    }
    if (ret_unclean) {
        *ret_unclean = header.dirty;
    }
    *ret_disk = &d->mapped.disk;
    return 0;
}
