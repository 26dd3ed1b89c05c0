#include "converters/disk/vmdk_stream_tables.h"

#include <inttypes.h>
#include <stdlib.h>

#include "importer/base/bytes.h"
#include "importer/base/mem.h"

int vf_stream_tables_init(struct vf_stream_tables *t, const struct vf_vmdk_header *header,
                          struct vf_error **err)
{
    uint64_t n_grains =
        (header->capacity_sectors + header->grain_sectors - 1) / header->grain_sectors;
    *t = (struct vf_stream_tables){
        .n_tables = (n_grains + header->gtes_per_gt - 1) / header->gtes_per_gt,
        .table_span_bytes = header->grain_sectors * VMDK_SECTOR_BYTES * header->gtes_per_gt,
        .gtes_per_gt = header->gtes_per_gt,
        .zero_entries = (header->flags & VMDK_FLAG_ZERO_GRAIN) != 0};
    if (t->n_tables > VMDK_MAX_DIRECTORY_BYTES / 4) {
        return vf_error_set(err, VF_INVALID, "the VMDK's grain directory is absurdly large");
    }
    t->grain_sums = vf_xcalloc(t->n_tables, sizeof *t->grain_sums);
    t->table = vf_xcalloc(t->gtes_per_gt, 4);
    return 0;
}

void vf_stream_tables_release(struct vf_stream_tables *t)
{
    free(t->grain_sums);
    free(t->seen);
    free(t->table);
    *t = (struct vf_stream_tables){0};
}

/* splitmix64's finalizer. Sums of it do not depend on order and do not cancel out by chance. */
static uint64_t mix(uint32_t index, uint32_t sector)
{
    uint64_t x = ((uint64_t)index << 32 | sector) + 0x9e3779b97f4a7c15ull;
    x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9ull;
    x = (x ^ (x >> 27)) * 0x94d049bb133111ebull;
    return x ^ (x >> 31);
}

static int check_before_directory(const struct vf_stream_tables *t, const char *what,
                                  uint64_t sector, struct vf_error **err)
{
    return t->complete ? vf_error_set(err, VF_INVALID,
                                      "the VMDK stream is damaged: at offset %" PRIu64
                                      " stands a %s behind the grain directory",
                                      sector * VMDK_SECTOR_BYTES, what)
                       : 0;
}

int vf_stream_tables_add_grain(struct vf_stream_tables *t, uint64_t grain, uint64_t sector,
                               struct vf_error **err)
{
    t->grain_sums[grain / t->gtes_per_gt] +=
        mix((uint32_t)(grain % t->gtes_per_gt), (uint32_t)sector);
    return check_before_directory(t, "grain", sector, err);
}

int vf_stream_tables_add_table(struct vf_stream_tables *t, uint64_t sector, struct vf_error **err)
{
    if (t->n_seen == t->n_tables) {
        return vf_error_set(
            err, VF_INVALID,
            "the VMDK stream has more grain tables than the %" PRIu64 " of its disk", t->n_tables);
    }
    uint64_t sum = 0;
    for (uint32_t i = 0; i < t->gtes_per_gt; i++) {
        uint32_t entry = le32_load(t->table + (size_t)i * 4);
        if (entry != 0 && !(entry == VMDK_GTE_ZERO && t->zero_entries)) {
            sum += mix(i, entry);
        }
    }
    if (t->n_seen == t->cap_seen) {
        t->cap_seen = t->cap_seen ? t->cap_seen * 2 : 64;
        t->seen = vf_xrealloc_array(t->seen, t->cap_seen, sizeof *t->seen);
    }
    t->seen[t->n_seen++] = (struct vf_seen_table){(uint32_t)sector, sum};
    return check_before_directory(t, "grain table", sector, err);
}

static int compare(const void *a, const void *b)
{
    uint32_t x = ((const struct vf_seen_table *)a)->sector;
    uint32_t y = ((const struct vf_seen_table *)b)->sector;
    return x < y ? -1 : x > y;
}

int vf_stream_tables_check(struct vf_stream_tables *t, const uint8_t *directory,
                           struct vf_error **err)
{
    if (t->complete) {
        return vf_error_set(err, VF_INVALID, "the VMDK stream has a second grain directory");
    }
    if (t->n_seen > 0) {
        qsort(t->seen, t->n_seen, sizeof *t->seen, compare);
    }
    for (uint64_t i = 0; i < t->n_tables; i++) {
        struct vf_seen_table key = {.sector = le32_load(directory + i * 4)};
        const struct vf_seen_table *found = NULL;
        if (key.sector != 0 && t->n_seen > 0) {
            found = bsearch(&key, t->seen, t->n_seen, sizeof *t->seen, compare);
        }
        if ((key.sector != 0 && !found) || (found ? found->sum : 0) != t->grain_sums[i]) {
            vf_error_set(err, VF_INVALID,
                         "the VMDK stream is damaged: its tables and its grains disagree between "
                         "disk offsets %" PRIu64 " and %" PRIu64,
                         i * t->table_span_bytes, (i + 1) * t->table_span_bytes);
            vf_error_hint(err, "the stream was damaged on its way or at rest; get it again");
            return VF_INVALID;
        }
    }
    t->complete = true;
    return 0;
}
