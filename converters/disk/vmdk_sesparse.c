#include "converters/disk/vmdk_sesparse.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "converters/disk/vmdk_format.h"
#include "importer/base/bytes.h"
#include "importer/base/file_io.h"
#include "importer/base/mem.h"

#define CHUNK       512u /* entries looked at in one go */
#define GRAIN_BYTES ((uint64_t)VMDK_SESPARSE_GRAIN_SECTORS * VMDK_SECTOR_BYTES)
#define TABLE_BYTES ((uint64_t)VMDK_SESPARSE_TABLE_SECTORS * VMDK_SECTOR_BYTES)

struct region {
    uint64_t offset_bytes, length_bytes;
};

struct sesparse_disk {
    struct vf_mapped_disk mapped;
    struct region directory, tables, grains;
    uint64_t n_gdes;
};

/* An area may be longer than the file: what is used of it is checked when it is met. */
static int get_region(const uint8_t *header, unsigned at, const char *what,
                      struct region *ret_region, struct vf_error **err)
{
    uint64_t place = le64_load(header + at), size = le64_load(header + at + 8), end;
    if (place == 0 || __builtin_add_overflow(place, size, &end) ||
        end > INT64_MAX / VMDK_SECTOR_BYTES) {
        return vf_error_set(err, VF_INVALID,
                            "the SESparse header puts its %s at sector %" PRIu64 ", %" PRIu64
                            " sectors long",
                            what, place, size);
    }
    *ret_region = (struct region){place * VMDK_SECTOR_BYTES, size * VMDK_SECTOR_BYTES};
    return 0;
}

static bool overlap(const struct region *a, const struct region *b)
{
    return a->length_bytes && b->length_bytes &&
           a->offset_bytes < b->offset_bytes + b->length_bytes &&
           b->offset_bytes < a->offset_bytes + a->length_bytes;
}

static int check_header(const uint8_t *h, struct vf_error **err)
{
    if (le64_load(h) != VMDK_SESPARSE_MAGIC) {
        return vf_error_set(err, VF_INVALID, "not a SESparse file: the magic number is absent");
    }
    uint64_t version = le64_load(h + VMDK_SESPARSE_VERSION_AT);
    uint64_t grain = le64_load(h + VMDK_SESPARSE_GRAIN_SIZE);
    uint64_t table = le64_load(h + VMDK_SESPARSE_TABLE_SIZE);
    uint64_t capacity = le64_load(h + VMDK_SESPARSE_CAPACITY);
    if (version != VMDK_SESPARSE_VERSION) {
        return vf_error_set(err, VF_UNSUPPORTED, "SESparse version 0x%" PRIx64 " is not known",
                            version);
    }
    if (grain != VMDK_SESPARSE_GRAIN_SECTORS || table != VMDK_SESPARSE_TABLE_SECTORS) {
        return vf_error_set(err, VF_UNSUPPORTED,
                            "SESparse with grains of %" PRIu64 " and tables of %" PRIu64
                            " sectors is not known; 8 and 64 are",
                            grain, table);
    }
    if (capacity == 0 || capacity > VMDK_MAX_CAPACITY_BYTES / VMDK_SECTOR_BYTES) {
        return vf_error_set(err, VF_INVALID,
                            "the SESparse header claims a capacity of %" PRIu64 " sectors",
                            capacity);
    }
    /* Undocumented, so what was never seen set may change the meaning of the tables. */
    for (unsigned at = VMDK_SESPARSE_FLAGS; at < VMDK_SESPARSE_VOLATILE; at += 8) {
        if (le64_load(h + at) != 0) {
            return vf_error_set(err, VF_UNSUPPORTED,
                                "the SESparse header has unknown flags at offset %u", at);
        }
    }
    return 0;
}

static int check_journal(const struct vf_layer *l, const uint8_t *header, struct vf_error **err)
{
    uint8_t v[VMDK_SESPARSE_VOLATILE_REPLAY + 8];
    uint64_t place = le64_load(header + VMDK_SESPARSE_VOLATILE);
    if (place == 0 || place > INT64_MAX / VMDK_SECTOR_BYTES - 1) {
        return vf_error_set(err, VF_INVALID,
                            "the SESparse header puts its volatile header at sector %" PRIu64,
                            place);
    }
    int rc = vf_file_pread(l->fd, l->name, v, sizeof v, place * VMDK_SECTOR_BYTES, err);
    if (rc) {
        return rc;
    }
    if (le64_load(v) != VMDK_SESPARSE_VOLATILE_MAGIC) {
        return vf_error_set(err, VF_INVALID,
                            "the volatile header at offset %" PRIu64 " lacks its magic number",
                            place * VMDK_SECTOR_BYTES);
    }
    if (le64_load(v + VMDK_SESPARSE_VOLATILE_REPLAY) != 0) {
        vf_error_set(err, VF_UNSUPPORTED,
                     "the SESparse journal was not replayed; the tables may be out of date");
        vf_error_hint(err,
                      "power the VM on and off once, or consolidate its snapshots, on vSphere");
        return VF_UNSUPPORTED;
    }
    return 0;
}

static int get_regions(struct sesparse_disk *d, const uint8_t *header, struct vf_error **err)
{
    int rc = get_region(header, VMDK_SESPARSE_GRAIN_DIR, "grain directory", &d->directory, err);
    if (rc == 0) {
        rc = get_region(header, VMDK_SESPARSE_GRAIN_TABLES, "grain tables", &d->tables, err);
    }
    if (rc == 0) {
        rc = get_region(header, VMDK_SESPARSE_GRAINS, "grains", &d->grains, err);
    }
    if (rc) {
        return rc;
    }
    struct region head = {0, VMDK_SESPARSE_HEADER_BYTES};
    if (overlap(&d->directory, &d->tables) || overlap(&d->directory, &d->grains) ||
        overlap(&d->tables, &d->grains) || overlap(&d->directory, &head) ||
        overlap(&d->tables, &head) || overlap(&d->grains, &head)) {
        return vf_error_set(err, VF_INVALID,
                            "the SESparse header's areas overlap: directory at %" PRIu64
                            ", tables at %" PRIu64 ", grains at %" PRIu64,
                            d->directory.offset_bytes, d->tables.offset_bytes,
                            d->grains.offset_bytes);
    }
    uint64_t coverage = GRAIN_BYTES * VMDK_SESPARSE_GTES_PER_GT;
    d->n_gdes = (d->mapped.disk.size_bytes + coverage - 1) / coverage;
    if (d->n_gdes > d->directory.length_bytes / 8) {
        return vf_error_set(err, VF_INVALID,
                            "the SESparse grain directory has room for %" PRIu64
                            " entries, the capacity needs %" PRIu64,
                            d->directory.length_bytes / 8, d->n_gdes);
    }
    if (d->directory.offset_bytes + d->n_gdes * 8 > d->mapped.file_bytes) {
        return vf_error_set(err, VF_INVALID,
                            "the grain directory at offset %" PRIu64
                            " goes past the end of the file (%" PRIu64 " bytes)",
                            d->directory.offset_bytes, d->mapped.file_bytes);
    }
    return 0;
}

static int check_gde(const struct sesparse_disk *d, uint64_t index, uint64_t gde,
                     struct vf_error **err)
{
    uint64_t n_tables = d->tables.length_bytes / TABLE_BYTES;
    if ((gde & VMDK_SESPARSE_GDE_MASK) != VMDK_SESPARSE_GDE_ALLOCATED ||
        (gde & ~VMDK_SESPARSE_GDE_MASK) >= n_tables) {
        return vf_error_set(err, VF_INVALID,
                            "grain directory entry %" PRIu64 " is 0x%" PRIx64
                            ", which names none of %" PRIu64 " tables",
                            index, gde, n_tables);
    }
    uint64_t end = d->tables.offset_bytes + ((gde & ~VMDK_SESPARSE_GDE_MASK) + 1) * TABLE_BYTES;
    if (end > d->mapped.file_bytes) {
        return vf_error_set(err, VF_INVALID,
                            "the table of grain directory entry %" PRIu64 " ends at offset %" PRIu64
                            ", past the end of the file",
                            index, end);
    }
    return 0;
}

static int check_directory(struct sesparse_disk *d, struct vf_error **err)
{
    const struct vf_layer *l = &d->mapped.layer;
    /* A bit a table: 512 KiB for the largest disk, whatever the header claims. */
    uint64_t n_tables = d->tables.length_bytes / TABLE_BYTES;
    uint64_t max_tables = VMDK_MAX_CAPACITY_BYTES / GRAIN_BYTES / VMDK_SESPARSE_GTES_PER_GT;
    if (n_tables > max_tables) {
        return vf_error_set(err, VF_INVALID,
                            "the SESparse header claims room for %" PRIu64 " grain tables",
                            n_tables);
    }
    uint8_t *vf_autofree seen = vf_xcalloc(n_tables / 8 + 1, 1);
    for (uint64_t at = 0; at < d->n_gdes; at += CHUNK) {
        uint8_t raw[CHUNK * 8];
        size_t count = d->n_gdes - at < CHUNK ? (size_t)(d->n_gdes - at) : CHUNK;
        int rc =
            vf_meta_read(l->cache, l->fd, raw, count * 8, d->directory.offset_bytes + at * 8, err);
        for (size_t i = 0; rc == 0 && i < count; i++) {
            uint64_t gde = le64_load(raw + i * 8);
            if (gde == 0) {
                continue;
            }
            rc = check_gde(d, at + i, gde, err);
            uint64_t table = gde & ~VMDK_SESPARSE_GDE_MASK;
            if (rc == 0 && (seen[table / 8] & (1u << table % 8))) {
                rc = vf_error_set(err, VF_INVALID,
                                  "grain directory entry %" PRIu64 " names table %" PRIu64
                                  ", which another entry has",
                                  at + i, table);
            }
            if (rc == 0) {
                seen[table / 8] |= (uint8_t)(1u << table % 8);
            }
        }
        if (rc) {
            return rc;
        }
    }
    return 0;
}

static int bad_gte(uint64_t grain, uint64_t gte, const char *what, struct vf_error **err)
{
    return vf_error_set(err, VF_INVALID, "the entry of grain %" PRIu64 " is 0x%" PRIx64 ", %s",
                        grain, gte, what);
}

/* Kind and place of one grain. */
static int read_gte(const struct sesparse_disk *d, uint64_t grain, uint64_t gte,
                    struct vf_run *ret_run, struct vf_error **err)
{
    *ret_run = (struct vf_run){.kind = VF_EXTENT_ZERO};
    switch (gte & VMDK_SESPARSE_GTE_MASK) {
    case 0:
        ret_run->kind = VF_EXTENT_HOLE;
        return gte == 0 ? 0 : bad_gte(grain, gte, "of no known kind", err);
    case VMDK_SESPARSE_GTE_UNMAPPED:
    case VMDK_SESPARSE_GTE_ZERO:
        return 0;
    case VMDK_SESPARSE_GTE_ALLOCATED:
        break;
    default:
        return bad_gte(grain, gte, "of no known kind", err);
    }
    uint64_t index = ((gte >> 48) & 0xfff) | ((gte & 0xffffffffffffull) << 12);
    uint64_t place, end;
    if (index >= d->grains.length_bytes / GRAIN_BYTES ||
        __builtin_mul_overflow(index, GRAIN_BYTES, &place)) {
        return bad_gte(grain, gte, "past the area of grains", err);
    }
    uint64_t left = d->mapped.disk.size_bytes - grain * GRAIN_BYTES;
    place += d->grains.offset_bytes;
    end = place + (left < GRAIN_BYTES ? left : GRAIN_BYTES);
    if (end > d->mapped.file_bytes) {
        return bad_gte(grain, gte, "past the end of the file", err);
    }
    ret_run->kind = VF_EXTENT_DATA;
    ret_run->file_offset_bytes = place;
    return 0;
}

static uint64_t smaller(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

/* Join entries from the first on, as long as they go together. */
static int join_entries(const struct sesparse_disk *d, const uint8_t *raw, size_t n, uint64_t grain,
                        struct vf_run *ret_run, struct vf_error **err)
{
    int rc = read_gte(d, grain, le64_load(raw), ret_run, err);
    size_t i = 1;
    for (; rc == 0 && i < n; i++) {
        struct vf_run next = {.kind = VF_EXTENT_HOLE};
        rc = read_gte(d, grain + i, le64_load(raw + i * 8), &next, err);
        if (rc == 0 && (next.kind != ret_run->kind ||
                        (next.kind == VF_EXTENT_DATA &&
                         next.file_offset_bytes != ret_run->file_offset_bytes + i * GRAIN_BYTES))) {
            break;
        }
    }
    ret_run->length_bytes = i * GRAIN_BYTES;
    return rc;
}

static int sesparse_map(struct vf_mapped_disk *mapped, uint64_t offset_bytes, uint64_t length_bytes,
                        struct vf_run *ret_run, struct vf_error **err)
{
    struct sesparse_disk *d = (struct sesparse_disk *)mapped;
    const struct vf_layer *l = &mapped->layer;
    uint64_t grain = offset_bytes / GRAIN_BYTES, skip = offset_bytes % GRAIN_BYTES;
    uint64_t index = grain / VMDK_SESPARSE_GTES_PER_GT, first = grain % VMDK_SESPARSE_GTES_PER_GT;
    uint8_t raw[CHUNK * 8];
    int rc = vf_meta_read(l->cache, l->fd, raw, 8, d->directory.offset_bytes + index * 8, err);
    if (rc) {
        return rc;
    }
    uint64_t gde = le64_load(raw);
    if (gde == 0) {
        uint64_t covered = (VMDK_SESPARSE_GTES_PER_GT - first) * GRAIN_BYTES - skip;
        *ret_run = (struct vf_run){VF_EXTENT_HOLE, 0, smaller(covered, length_bytes)};
        return 0;
    }
    uint64_t table = d->tables.offset_bytes + (gde & ~VMDK_SESPARSE_GDE_MASK) * TABLE_BYTES;
    uint64_t wanted = (skip + length_bytes + GRAIN_BYTES - 1) / GRAIN_BYTES;
    size_t n = (size_t)smaller(smaller(wanted, VMDK_SESPARSE_GTES_PER_GT - first), CHUNK);
    rc = vf_meta_read(l->cache, l->fd, raw, n * 8, table + first * 8, err);
    if (rc == 0) {
        rc = join_entries(d, raw, n, grain, ret_run, err);
    }
    ret_run->file_offset_bytes += skip;
    ret_run->length_bytes = smaller(ret_run->length_bytes - skip, length_bytes);
    return rc;
}

static const struct vf_map_ops sesparse_ops = {.map = sesparse_map};

int vf_vmdk_sesparse_open(const struct vf_layer *layer, struct vf_disk **ret_disk,
                          struct vf_error **err)
{
    uint8_t header[VMDK_SESPARSE_HEADER_BYTES];
    uint64_t file_bytes;
    int rc = vf_file_size(layer->fd, layer->name, &file_bytes, err);
    if (rc == 0) {
        rc = vf_file_pread(layer->fd, layer->name, header, sizeof header, 0, err);
    }
    if (rc == 0) {
        rc = check_header(header, err);
    }
    if (rc == 0) {
        rc = check_journal(layer, header, err);
    }
    if (rc) {
        return rc;
    }
    struct sesparse_disk *d = vf_xcalloc(1, sizeof *d);
    vf_mapped_disk_init(&d->mapped, &sesparse_ops, layer,
                        le64_load(header + VMDK_SESPARSE_CAPACITY) * VMDK_SECTOR_BYTES, file_bytes);
    rc = get_regions(d, header, err);
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
