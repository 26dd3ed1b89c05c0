#include "converters/disk/vmdk_grain_map.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "converters/disk/vmdk_format.h"
#include "importer/base/bytes.h"
#include "importer/base/mem.h"

/* Entries looked at in one go. */
#define CHUNK 512u

/* 62 TiB in grains of 64 KiB have a million tables. The check that none is named twice holds four
 * bytes for each. */
#define MAX_TABLES (2u << 20)

struct sparse_disk {
    struct vf_mapped_disk mapped;
    struct vf_grain_map map;
    uint64_t n_gdes;
    struct vf_span gd;
};

static bool overlap(struct vf_span a, struct vf_span b)
{
    return a.length_bytes && b.length_bytes && a.offset_bytes < b.offset_bytes + b.length_bytes &&
           b.offset_bytes < a.offset_bytes + a.length_bytes;
}

static bool in_file(const struct sparse_disk *d, struct vf_span s)
{
    return s.offset_bytes <= d->mapped.file_bytes &&
           s.length_bytes <= d->mapped.file_bytes - s.offset_bytes;
}

static bool on_fixed_part(const struct sparse_disk *d, struct vf_span s)
{
    return overlap(s, d->map.fixed[0]) || overlap(s, d->map.fixed[1]);
}

static struct vf_span table_span(const struct sparse_disk *d, uint32_t sector)
{
    return (struct vf_span){(uint64_t)sector * VMDK_SECTOR_BYTES, (uint64_t)d->map.gtes_per_gt * 4};
}

static int bad_table(uint64_t index, uint32_t sector, const char *what, struct vf_error **err)
{
    return vf_error_set(err, VF_INVALID,
                        "grain directory entry %" PRIu64 " puts its table at offset %" PRIu64
                        ", %s",
                        index, (uint64_t)sector * VMDK_SECTOR_BYTES, what);
}

static int check_table(const struct sparse_disk *d, uint64_t index, uint32_t sector,
                       struct vf_error **err)
{
    struct vf_span t = table_span(d, sector);
    if (!in_file(d, t)) {
        return bad_table(index, sector, "past the end of the file", err);
    }
    if (on_fixed_part(d, t)) {
        return bad_table(index, sector, "over the header or descriptor", err);
    }
    if (overlap(t, d->gd)) {
        return bad_table(index, sector, "over the grain directory", err);
    }
    return 0;
}

static int compare_u32(const void *a, const void *b)
{
    uint32_t x, y;
    memcpy(&x, a, sizeof x);
    memcpy(&y, b, sizeof y);
    return (x > y) - (x < y);
}

static int check_distinct(const struct sparse_disk *d, uint32_t *sectors, size_t n,
                          struct vf_error **err)
{
    uint64_t table_sectors =
        ((uint64_t)d->map.gtes_per_gt * 4 + VMDK_SECTOR_BYTES - 1) / VMDK_SECTOR_BYTES;
    if (n < 2) {
        return 0;
    }
    qsort(sectors, n, sizeof *sectors, compare_u32);
    for (size_t i = 1; i < n; i++) {
        if (sectors[i] - sectors[i - 1] < table_sectors) {
            return vf_error_set(err, VF_INVALID,
                                "two grain tables share the place at offset %" PRIu64,
                                (uint64_t)sectors[i] * VMDK_SECTOR_BYTES);
        }
    }
    return 0;
}

static int check_directory(struct sparse_disk *d, struct vf_error **err)
{
    const struct vf_layer *l = &d->mapped.layer;
    uint32_t *vf_autofree sectors = NULL;
    size_t n = 0, cap = 0;
    for (uint64_t at = 0; at < d->n_gdes; at += CHUNK) {
        uint8_t raw[CHUNK * 4];
        size_t count = d->n_gdes - at < CHUNK ? (size_t)(d->n_gdes - at) : CHUNK;
        int rc = vf_meta_read(l->cache, l->fd, raw, count * 4, d->gd.offset_bytes + at * 4, err);
        if (rc) {
            return rc;
        }
        for (size_t i = 0; i < count; i++) {
            uint32_t sector = le32_load(raw + i * 4);
            if (sector == 0) {
                continue;
            }
            rc = check_table(d, at + i, sector, err);
            if (rc) {
                return rc;
            }
            if (n == cap) {
                cap = cap ? cap * 2 : CHUNK;
                sectors = vf_xrealloc_array(sectors, cap, sizeof *sectors);
            }
            sectors[n++] = sector;
        }
    }
    return check_distinct(d, sectors, n, err);
}

static int bad_grain(uint64_t grain, uint32_t sector, const char *what, struct vf_error **err)
{
    return vf_error_set(err, VF_INVALID,
                        "grain %" PRIu64 " is said to be at file offset %" PRIu64 ", %s", grain,
                        (uint64_t)sector * VMDK_SECTOR_BYTES, what);
}

static int check_grain(const struct sparse_disk *d, uint64_t grain, uint32_t sector,
                       struct vf_span table, struct vf_error **err)
{
    uint64_t grain_bytes = (uint64_t)d->map.grain_sectors * VMDK_SECTOR_BYTES;
    uint64_t left = d->mapped.disk.size_bytes - grain * grain_bytes;
    struct vf_span s = {(uint64_t)sector * VMDK_SECTOR_BYTES,
                        left < grain_bytes ? left : grain_bytes};
    if (!in_file(d, s)) {
        return bad_grain(grain, sector, "past the end of the file", err);
    }
    if (on_fixed_part(d, s)) {
        return bad_grain(grain, sector, "over the header or descriptor", err);
    }
    if (overlap(s, d->gd) || overlap(s, table)) {
        return bad_grain(grain, sector, "over a grain table or the directory", err);
    }
    return 0;
}

static enum vf_extent_kind kind_of(const struct sparse_disk *d, uint32_t gte)
{
    if (gte == 0) {
        return VF_EXTENT_HOLE;
    }
    return gte == VMDK_GTE_ZERO && d->map.zero_grains ? VF_EXTENT_ZERO : VF_EXTENT_DATA;
}

/* How many of the entries, from the first on, make one run. */
static int run_length(const struct sparse_disk *d, const uint8_t *raw, size_t n, uint64_t grain,
                      struct vf_span table, size_t *ret_n, struct vf_error **err)
{
    uint32_t first = le32_load(raw);
    enum vf_extent_kind kind = kind_of(d, first);
    size_t i = 0;
    for (; i < n; i++) {
        uint32_t gte = le32_load(raw + i * 4);
        if (kind_of(d, gte) != kind) {
            break;
        }
        if (kind == VF_EXTENT_DATA) {
            if (gte != (uint64_t)first + i * d->map.grain_sectors) {
                break;
            }
            int rc = check_grain(d, grain + i, gte, table, err);
            if (rc) {
                return rc;
            }
        }
    }
    *ret_n = i;
    return 0;
}

static uint64_t smaller(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

static int grain_map(struct vf_mapped_disk *mapped, uint64_t offset_bytes, uint64_t length_bytes,
                     struct vf_run *ret_run, struct vf_error **err)
{
    struct sparse_disk *d = (struct sparse_disk *)mapped;
    const struct vf_layer *l = &mapped->layer;
    uint64_t grain_bytes = (uint64_t)d->map.grain_sectors * VMDK_SECTOR_BYTES;
    uint64_t grain = offset_bytes / grain_bytes, skip = offset_bytes % grain_bytes;
    uint64_t index = grain / d->map.gtes_per_gt, first = grain % d->map.gtes_per_gt;
    uint8_t raw[CHUNK * 4];
    int rc = vf_meta_read(l->cache, l->fd, raw, 4, d->gd.offset_bytes + index * 4, err);
    if (rc) {
        return rc;
    }
    uint32_t table_sector = le32_load(raw);
    if (table_sector == 0) {
        uint64_t covered = (d->map.gtes_per_gt - first) * grain_bytes - skip;
        *ret_run = (struct vf_run){VF_EXTENT_HOLE, 0, smaller(covered, length_bytes)};
        return 0;
    }
    struct vf_span table = table_span(d, table_sector);
    uint64_t wanted = (skip + length_bytes + grain_bytes - 1) / grain_bytes;
    size_t n = (size_t)smaller(smaller(wanted, d->map.gtes_per_gt - first), CHUNK);
    rc = vf_meta_read(l->cache, l->fd, raw, n * 4, table.offset_bytes + first * 4, err);
    if (rc == 0) {
        rc = run_length(d, raw, n, grain, table, &n, err);
    }
    if (rc) {
        return rc;
    }
    *ret_run = (struct vf_run){
        .kind = kind_of(d, le32_load(raw)),
        .file_offset_bytes = (uint64_t)le32_load(raw) * VMDK_SECTOR_BYTES + skip,
        .length_bytes = smaller(n * grain_bytes - skip, length_bytes),
    };
    return 0;
}

static const struct vf_map_ops grain_ops = {.map = grain_map};

static int check_place(struct sparse_disk *d, struct vf_error **err)
{
    uint64_t coverage = (uint64_t)d->map.grain_sectors * d->map.gtes_per_gt;
    d->n_gdes = (d->map.capacity_sectors + coverage - 1) / coverage;
    d->gd = (struct vf_span){0, d->n_gdes * 4};
    if (__builtin_mul_overflow(d->map.gd_sector, VMDK_SECTOR_BYTES, &d->gd.offset_bytes) ||
        !in_file(d, d->gd)) {
        return vf_error_set(err, VF_INVALID,
                            "the grain directory, %" PRIu64 " bytes from sector %" PRIu64
                            ", goes past the end of the file (%" PRIu64 " bytes)",
                            d->gd.length_bytes, d->map.gd_sector, d->mapped.file_bytes);
    }
    if (on_fixed_part(d, d->gd)) {
        return vf_error_set(err, VF_INVALID,
                            "the grain directory at offset %" PRIu64
                            " lies over the header or descriptor",
                            d->gd.offset_bytes);
    }
    if (d->n_gdes > MAX_TABLES) {
        return vf_error_set(err, VF_UNSUPPORTED,
                            "a capacity of %" PRIu64 " sectors in grains of %" PRIu32
                            " needs %" PRIu64 " grain tables; more than %u are not read",
                            d->map.capacity_sectors, d->map.grain_sectors, d->n_gdes, MAX_TABLES);
    }
    return 0;
}

int vf_grain_map_open(const struct vf_layer *layer, const struct vf_grain_map *map,
                      uint64_t file_bytes, struct vf_disk **ret_disk, struct vf_error **err)
{
    struct sparse_disk *d = vf_xcalloc(1, sizeof *d);
    d->map = *map;
    vf_mapped_disk_init(&d->mapped, &grain_ops, layer, map->capacity_sectors * VMDK_SECTOR_BYTES,
                        file_bytes);
    int rc = check_place(d, err);
    if (rc == 0) {
        rc = check_directory(d, err);
    }
    if (rc) {
        vf_mapped_disk_abandon(&d->mapped);
        return rc;
    }
    *ret_disk = &d->mapped.disk;
    return 0;
}
