#include "tests/support/vmdk_writer.h"

#include <inttypes.h>
#include <libdeflate.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "converters/disk/vmdk_format.h"
#include "importer/base/bytes.h"
#include "tests/support/check.h"

#define SECTOR       ((size_t)512)
#define GTES         ((size_t)512) /* hosted sparse and streams */
#define DESC_SECTORS 20u

/* --- numbers and content --------------------------------------------------------------------- */

uint64_t vmdk_random(uint64_t *state)
{
    uint64_t x = *state;
    x ^= x >> 12;
    x ^= x << 25;
    x ^= x >> 27;
    *state = x;
    return x * 0x2545f4914f6cdd1dull;
}

static void *zeroed(size_t n, size_t size)
{
    void *p = calloc(n ? n : 1, size);
    vf_test_check(p);
    return p;
}

static uint64_t ceil_div(uint64_t a, uint64_t b)
{
    return (a + b - 1) / b;
}

uint64_t vmdk_image_grains(const struct vmdk_image *image)
{
    return ceil_div(image->capacity_sectors, image->grain_sectors);
}

static uint64_t grain_bytes(const struct vmdk_image *image)
{
    return (uint64_t)image->grain_sectors * SECTOR;
}

/* Bytes of the disk in this grain: fewer than a grain at its end. */
static size_t grain_len(const struct vmdk_image *image, uint64_t grain)
{
    uint64_t left = image->capacity_sectors * SECTOR - grain * grain_bytes(image);
    return (size_t)(left < grain_bytes(image) ? left : grain_bytes(image));
}

static const uint8_t *grain_data(const struct vmdk_image *image, uint64_t grain)
{
    return image->content + grain * grain_bytes(image);
}

static void fill_grain(struct vmdk_image *image, uint64_t grain, uint64_t *rng)
{
    uint8_t *data = image->content + grain * grain_bytes(image);
    size_t len = grain_len(image, grain);
    bool text = vmdk_random(rng) % 2;
    for (size_t i = 0; i < len; i += 8) {
        uint64_t v = text ? 0x20656d6f73207369ull + i / 64 : vmdk_random(rng);
        memcpy(data + i, &v, 8);
    }
}

void vmdk_image_init(struct vmdk_image *image, uint64_t capacity_sectors, uint32_t grain_sectors,
                     uint64_t seed)
{
    uint64_t rng = seed * 2 + 1;
    *image = (struct vmdk_image){
        .capacity_sectors = capacity_sectors,
        .grain_sectors = grain_sectors,
        .content = zeroed(capacity_sectors, SECTOR),
    };
    uint64_t n = vmdk_image_grains(image);
    image->states = zeroed(n, 1);
    for (uint64_t i = 0; i < n;) {
        uint64_t number = vmdk_random(&rng); /* one call a statement: the same disk everywhere */
        uint64_t run = 1 + number % (vmdk_random(&rng) % 4 ? 6 : 700);
        uint8_t state = (uint8_t)(vmdk_random(&rng) % 3);
        for (; run > 0 && i < n; run--, i++) {
            image->states[i] = state;
            if (state == VMDK_GRAIN_DATA) {
                fill_grain(image, i, &rng);
            }
        }
    }
}

void vmdk_image_release(struct vmdk_image *image)
{
    free(image->content);
    free(image->states);
    *image = (struct vmdk_image){.content = NULL};
}

/* --- files ----------------------------------------------------------------------------------- */

/* Room for [offset, offset + len), zeroed. */
static uint8_t *reserve(struct vmdk_file *f, uint64_t offset, size_t len)
{
    if (offset + len > f->cap) {
        size_t cap = (size_t)(offset + len) * 2;
        f->bytes = realloc(f->bytes, cap);
        vf_test_check(f->bytes);
        memset(f->bytes + f->cap, 0, cap - f->cap);
        f->cap = cap;
    }
    if (offset + len > f->len) {
        f->len = (size_t)(offset + len);
    }
    return f->bytes + offset;
}

void vmdk_file_release(struct vmdk_file *f)
{
    free(f->bytes);
    *f = (struct vmdk_file){.bytes = NULL};
}

void vmdk_file_save(const struct vmdk_file *f, const char *path)
{
    FILE *out = fopen(path, "wb");
    vf_test_check(out);
    vf_test_check(fwrite(f->bytes, 1, f->len, out) == f->len);
    vf_test_check(fclose(out) == 0);
}

void vmdk_file_truncate(struct vmdk_file *f, size_t len)
{
    vf_test_check(len <= f->len);
    f->len = len;
}

void vmdk_file_flip(struct vmdk_file *f, uint64_t offset, unsigned bit)
{
    vf_test_check(offset < f->len);
    f->bytes[offset] ^= (uint8_t)(1u << bit);
}

void vmdk_file_put16(struct vmdk_file *f, uint64_t offset, uint16_t value)
{
    le16_store(reserve(f, offset, 2), value);
}

void vmdk_file_put32(struct vmdk_file *f, uint64_t offset, uint32_t value)
{
    le32_store(reserve(f, offset, 4), value);
}

void vmdk_file_put64(struct vmdk_file *f, uint64_t offset, uint64_t value)
{
    le64_store(reserve(f, offset, 8), value);
}

static void align_to(struct vmdk_file *f, size_t bytes)
{
    size_t up = (size_t)(ceil_div(f->len, bytes) * bytes);
    reserve(f, up, 0);
}

/* A permutation of 0..n-1: the identity for seed 0. */
static uint64_t *order(uint64_t n, uint64_t seed)
{
    uint64_t *p = zeroed(n, sizeof *p);
    for (uint64_t i = 0; i < n; i++) {
        p[i] = i;
    }
    for (uint64_t i = n; seed && i > 1; i--) {
        /* Mostly near: runs that lie together must occur too. */
        uint64_t rng = seed * 2654435761u + i, j = i - 1;
        if (vmdk_random(&rng) % 4 == 0) {
            j = vmdk_random(&rng) % i;
        }
        uint64_t t = p[i - 1];
        p[i - 1] = p[j];
        p[j] = t;
    }
    return p;
}

/* --- hosted sparse header and descriptor ----------------------------------------------------- */

struct head {
    uint32_t version, flags;
    uint64_t rgd_sector, gd_sector, overhead;
    uint64_t descriptor_sector, descriptor_sectors;
    uint16_t compression;
    bool unclean;
};

static void put_head(struct vmdk_file *f, uint64_t at, const struct vmdk_image *image,
                     const struct head *h)
{
    reserve(f, at, SECTOR);
    vmdk_file_put32(f, at, 0x564d444b);
    vmdk_file_put32(f, at + 4, h->version);
    vmdk_file_put32(f, at + 8, h->flags);
    vmdk_file_put64(f, at + 12, image->capacity_sectors);
    vmdk_file_put64(f, at + 20, image->grain_sectors);
    vmdk_file_put64(f, at + 28, h->descriptor_sector);
    vmdk_file_put64(f, at + 36, h->descriptor_sectors);
    vmdk_file_put32(f, at + 44, GTES);
    vmdk_file_put64(f, at + 48, h->rgd_sector);
    vmdk_file_put64(f, at + 56, h->gd_sector);
    vmdk_file_put64(f, at + 64, h->overhead);
    f->bytes[at + 72] = h->unclean;
    memcpy(f->bytes + at + 73, "\n \r\n", 4);
    vmdk_file_put16(f, at + 77, h->compression);
}

static void put_descriptor(struct vmdk_file *f, const struct vmdk_image *image,
                           const struct vmdk_layout *layout, const char *create_type,
                           const char *access, size_t max)
{
    char text[4096];
    int n = snprintf(text, sizeof text,
                     "# Disk DescriptorFile\nversion=1\nCID=%08" PRIx32 "\nparentCID=%08" PRIx32
                     "\ncreateType=\"%s\"\n%s%s%s\n# Extent description\n%s %" PRIu64
                     " SPARSE \"%s\"\n\n# The Disk Data Base\n#DDB\n\nddb.adapterType = "
                     "\"lsilogic\"\n",
                     layout->cid ? layout->cid : 0x1234abcd,
                     layout->parent_cid ? layout->parent_cid : 0xffffffff, create_type,
                     layout->parent_hint ? "parentFileNameHint=\"" : "",
                     layout->parent_hint ? layout->parent_hint : "",
                     layout->parent_hint ? "\"\n" : "", access, image->capacity_sectors,
                     layout->extent_name ? layout->extent_name : "disk.vmdk");
    vf_test_check(n > 0 && (size_t)n < sizeof text && (size_t)n <= max);
    memcpy(reserve(f, SECTOR, (size_t)n), text, (size_t)n);
}

/* --- random access --------------------------------------------------------------------------- */

/* Tables and grains of hosted sparse and COWD: a directory of sectors of tables, tables of sectors
 * of grains, all u32. */
struct u32_tables {
    uint64_t gd_offset;
    uint32_t gtes;
    uint64_t n_tables;
    uint64_t *table_offsets; /* by index; 0: none */
};

static bool table_used(const struct vmdk_image *image, uint32_t gtes, uint64_t index)
{
    uint64_t end = (index + 1) * gtes, n = vmdk_image_grains(image);
    for (uint64_t g = index * gtes; g < end && g < n; g++) {
        if (image->states[g] != VMDK_GRAIN_HOLE) {
            return true;
        }
    }
    return false;
}

static void put_tables(struct vmdk_file *f, const struct vmdk_image *image,
                       const struct vmdk_layout *layout, bool all, struct u32_tables *t)
{
    reserve(f, t->gd_offset, t->n_tables * 4);
    align_to(f, SECTOR);
    t->table_offsets = zeroed(t->n_tables, sizeof *t->table_offsets);
    uint64_t *p = order(t->n_tables, layout->shuffle);
    for (uint64_t i = 0; i < t->n_tables; i++) {
        if (all || table_used(image, t->gtes, p[i])) {
            t->table_offsets[p[i]] = f->len;
            vmdk_file_put32(f, t->gd_offset + p[i] * 4, (uint32_t)(f->len / SECTOR));
            reserve(f, f->len, (size_t)t->gtes * 4);
            align_to(f, SECTOR);
        }
    }
    free(p);
}

static void put_gte(struct vmdk_file *f, const struct u32_tables *t, uint64_t grain, uint32_t value)
{
    vmdk_file_put32(f, t->table_offsets[grain / t->gtes] + grain % t->gtes * 4, value);
}

/* The last grain of a hosted sparse file is whole; what is behind the capacity is filled with
 * something that must not show. */
static uint64_t put_grain(struct vmdk_file *f, const struct vmdk_image *image, uint64_t grain)
{
    uint64_t at = f->len;
    memset(reserve(f, at, grain_bytes(image)), 0xee, grain_bytes(image));
    memcpy(f->bytes + at, grain_data(image, grain), grain_len(image, grain));
    return at;
}

void vmdk_write_sparse(const struct vmdk_image *image, const struct vmdk_layout *layout,
                       struct vmdk_file *ret_file)
{
    static const struct vmdk_layout plain;
    layout = layout ? layout : &plain;
    struct vmdk_file *f = ret_file;
    *f = (struct vmdk_file){.bytes = NULL};
    uint64_t n = vmdk_image_grains(image), n_tables = ceil_div(n, GTES);
    struct u32_tables copies[2] = {{.gtes = GTES, .n_tables = n_tables},
                                   {.gtes = GTES, .n_tables = n_tables}};
    if (!layout->no_descriptor) {
        put_descriptor(f, image, layout, "monolithicSparse", "RW", DESC_SECTORS * SECTOR);
    }
    reserve(f, 0, (1 + DESC_SECTORS) * SECTOR);
    for (unsigned c = 0; c < 2; c++) {
        copies[c].gd_offset = f->len;
        put_tables(f, image, layout, c == 0, &copies[c]);
    }
    /* The redundant directory is the first; the one that counts names used tables only. */
    align_to(f, (size_t)grain_bytes(image));
    struct head h = {.version = 1,
                     .flags = 1 | 2 | 4,
                     .rgd_sector = copies[0].gd_offset / SECTOR,
                     .gd_sector = copies[1].gd_offset / SECTOR,
                     .overhead = f->len / SECTOR,
                     .descriptor_sector = layout->no_descriptor ? 0 : 1,
                     .descriptor_sectors = layout->no_descriptor ? 0 : DESC_SECTORS,
                     .unclean = layout->unclean};
    put_head(f, 0, image, &h);
    f->gd_offset = copies[1].gd_offset;
    f->gt_offset = copies[1].table_offsets[0];
    f->grain_offset = f->len;
    uint64_t *p = order(n, layout->shuffle);
    for (uint64_t i = 0; i < n; i++) {
        uint64_t g = p[i];
        uint32_t gte = image->states[g] == VMDK_GRAIN_ZERO ? 1 : 0;
        if (image->states[g] == VMDK_GRAIN_DATA) {
            gte = (uint32_t)(put_grain(f, image, g) / SECTOR);
        }
        for (unsigned c = 0; gte && c < 2; c++) {
            put_gte(f, &copies[c], g, gte);
        }
    }
    free(p);
    free(copies[0].table_offsets);
    free(copies[1].table_offsets);
}

void vmdk_write_cowd(const struct vmdk_image *image, const struct vmdk_layout *layout,
                     struct vmdk_file *ret_file)
{
    static const struct vmdk_layout plain;
    layout = layout ? layout : &plain;
    struct vmdk_file *f = ret_file;
    *f = (struct vmdk_file){.bytes = NULL};
    uint64_t n = vmdk_image_grains(image);
    struct u32_tables t = {.gd_offset = 4 * SECTOR, .gtes = 4096, .n_tables = ceil_div(n, 4096)};
    reserve(f, 0, 4 * SECTOR);
    vmdk_file_put32(f, 0, 0x44574f43);
    vmdk_file_put32(f, 4, 1);
    vmdk_file_put32(f, 8, 3);
    vmdk_file_put32(f, 12, (uint32_t)image->capacity_sectors);
    vmdk_file_put32(f, 16, image->grain_sectors);
    vmdk_file_put32(f, 20, 4);
    vmdk_file_put32(f, 24, (uint32_t)t.n_tables);
    put_tables(f, image, layout, false, &t);
    f->gd_offset = t.gd_offset;
    f->gt_offset = t.table_offsets[0];
    f->grain_offset = f->len;
    uint64_t *p = order(n, layout->shuffle);
    for (uint64_t i = 0; i < n; i++) {
        if (image->states[p[i]] != VMDK_GRAIN_HOLE) {
            put_gte(f, &t, p[i], (uint32_t)(put_grain(f, image, p[i]) / SECTOR));
        }
    }
    vmdk_file_put32(f, 28, (uint32_t)(f->len / SECTOR));
    free(p);
    free(t.table_offsets);
}

/* Places of a small SESparse, in sectors; the host's are larger, in the same order. */
#define SE_VOLATILE 1u
#define SE_JHEADER  2u
#define SE_JOURNAL  2048u
#define SE_DIR      4096u

static void put_sesparse_head(struct vmdk_file *f, const struct vmdk_image *image,
                              uint64_t n_tables, uint64_t *ret_tables, uint64_t *ret_grains)
{
    uint64_t dir_sectors = ceil_div(n_tables * 8, SECTOR);
    uint64_t tables = SE_DIR + dir_sectors, bitmap = tables + n_tables * 64;
    uint64_t backmap = bitmap + 64, grains = ceil_div(backmap + 64, 8) * 8;
    const uint64_t fields[] = {
        0x00000000cafebabe,
        0x0000000200000001,
        image->capacity_sectors,
        8,
        64,
        0, /* flags */
        0,
        0,
        0,
        0,
        SE_VOLATILE,
        1,
        SE_JHEADER,
        2,
        SE_JOURNAL,
        2048,
        SE_DIR,
        dir_sectors,
        tables,
        n_tables * 64,
        bitmap,
        64,
        backmap,
        64,
        grains,
        ceil_div(image->capacity_sectors, 8) * 8,
    };
    reserve(f, 0, grains * SECTOR);
    for (unsigned i = 0; i < sizeof fields / sizeof *fields; i++) {
        vmdk_file_put64(f, (uint64_t)i * 8, fields[i]);
    }
    vmdk_file_put64(f, (uint64_t)SE_VOLATILE * SECTOR, 0x00000000cafecafe);
    *ret_tables = tables * SECTOR;
    *ret_grains = grains * SECTOR;
}

void vmdk_write_sesparse(const struct vmdk_image *image, const struct vmdk_layout *layout,
                         struct vmdk_file *ret_file)
{
    static const struct vmdk_layout plain;
    layout = layout ? layout : &plain;
    vf_test_check(image->grain_sectors == 8);
    struct vmdk_file *f = ret_file;
    *f = (struct vmdk_file){.bytes = NULL};
    uint64_t n = vmdk_image_grains(image), n_tables = ceil_div(n, 4096), used = 0, tables;
    put_sesparse_head(f, image, n_tables, &tables, &f->grain_offset);
    f->gd_offset = (uint64_t)SE_DIR * SECTOR;
    uint64_t *p = order(n_tables, layout->shuffle), *place = zeroed(n_tables, sizeof *place);
    for (uint64_t i = 0; i < n_tables; i++) {
        if (table_used(image, 4096, p[i])) {
            place[p[i]] = tables + used * 64 * SECTOR;
            vmdk_file_put64(f, f->gd_offset + p[i] * 8, 0x1000000000000000ull | used++);
        }
    }
    f->gt_offset = place[0];
    free(p);
    p = order(n, layout->shuffle);
    for (uint64_t i = 0; i < n; i++) {
        uint64_t g = p[i], gte = 0;
        if (image->states[g] == VMDK_GRAIN_ZERO) {
            gte = g % 2 ? 0x1000000000000000ull : 0x2000000000000000ull;
        } else if (image->states[g] == VMDK_GRAIN_DATA) {
            uint64_t index = (put_grain(f, image, g) - f->grain_offset) / 4096;
            gte = 0x3000000000000000ull | (index & 0xfff) << 48 | index >> 12;
        }
        if (gte) {
            vmdk_file_put64(f, place[g / 4096] + g % 4096 * 8, gte);
        }
    }
    free(p);
    free(place);
}

/* --- streams --------------------------------------------------------------------------------- */

/* One record; gives its sector. The last grain of the disk is deflated as short as it is by qemu,
 * and whole by ESXi. */
static uint32_t put_stream_grain(struct vmdk_file *f, struct libdeflate_compressor *c,
                                 const struct vmdk_image *image, uint64_t grain)
{
    uint64_t at = f->len, len = grain_bytes(image);
    uint8_t *whole = zeroed(1, len);
    memcpy(whole, grain_data(image, grain), grain_len(image, grain));
    size_t max = libdeflate_zlib_compress_bound(c, len);
    uint8_t *out = zeroed(1, max);
    size_t n = libdeflate_zlib_compress(c, whole, len, out, max);
    vf_test_check(n > 0);
    vmdk_file_put64(f, at, grain * image->grain_sectors);
    vmdk_file_put32(f, at + 8, (uint32_t)n);
    memcpy(reserve(f, at + 12, n), out, n);
    align_to(f, SECTOR);
    free(whole);
    free(out);
    return (uint32_t)(at / SECTOR);
}

static void put_marker(struct vmdk_file *f, uint64_t value, uint32_t type)
{
    uint64_t at = f->len;
    reserve(f, at, SECTOR);
    vmdk_file_put64(f, at, value);
    vmdk_file_put32(f, at + 12, type);
}

static struct libdeflate_compressor *new_compressor(const struct vmdk_layout *layout)
{
    struct libdeflate_compressor *c =
        libdeflate_alloc_compressor(layout->level ? layout->level : 6);
    vf_test_check(c);
    return c;
}

/* The table after its grains; its sector, or 0 when it would name nothing. */
static uint32_t put_stream_table(struct vmdk_file *f, const uint32_t *gtes)
{
    static const uint32_t none[GTES];
    if (memcmp(gtes, none, sizeof none) == 0) {
        return 0;
    }
    put_marker(f, GTES * 4 / SECTOR, VMDK_MARKER_GRAIN_TABLE);
    uint64_t at = f->len;
    for (unsigned i = 0; i < GTES; i++) {
        vmdk_file_put32(f, at + (uint64_t)i * 4, gtes[i]);
    }
    if (!f->gt_offset) {
        f->gt_offset = at;
    }
    return (uint32_t)(at / SECTOR);
}

static void put_stream_end(struct vmdk_file *f, const struct vmdk_image *image, struct head *h,
                           const uint32_t *gdes, uint64_t n_tables)
{
    put_marker(f, ceil_div(n_tables * 4, SECTOR), VMDK_MARKER_GRAIN_DIR);
    f->gd_offset = f->len;
    for (uint64_t i = 0; i < n_tables; i++) {
        vmdk_file_put32(f, f->gd_offset + i * 4, gdes[i]);
    }
    align_to(f, SECTOR);
    h->gd_sector = f->gd_offset / SECTOR;
    put_marker(f, 1, VMDK_MARKER_FOOTER);
    f->footer_offset = f->len;
    put_head(f, f->len, image, h);
    put_marker(f, 0, VMDK_MARKER_EOS);
}

void vmdk_write_stream_esxi(const struct vmdk_image *image, const struct vmdk_layout *layout,
                            struct vmdk_file *ret_file)
{
    static const struct vmdk_layout plain;
    layout = layout ? layout : &plain;
    struct vmdk_file *f = ret_file;
    *f = (struct vmdk_file){.bytes = NULL};
    struct libdeflate_compressor *c = new_compressor(layout);
    struct head h = {.version = 3,
                     .flags = 0x30001,
                     .gd_sector = UINT64_MAX,
                     .overhead = 128,
                     .descriptor_sector = 1,
                     .descriptor_sectors = 1,
                     .compression = 1};
    put_head(f, 0, image, &h);
    struct vmdk_layout named = *layout;
    named.extent_name = layout->extent_name ? layout->extent_name : "generated-stream.vmdk";
    put_descriptor(f, image, &named, "streamOptimized", "RDONLY", SECTOR);
    reserve(f, 0, 128 * SECTOR);
    f->grain_offset = f->len;
    uint64_t n = vmdk_image_grains(image), n_tables = ceil_div(n, GTES);
    uint32_t *gdes = zeroed(n_tables, sizeof *gdes);
    for (uint64_t t = 0; t < n_tables; t++) {
        uint32_t gtes[GTES] = {0};
        for (uint64_t g = t * GTES; g < n && g < (t + 1) * GTES; g++) {
            if (image->states[g] == VMDK_GRAIN_DATA) {
                gtes[g % GTES] = put_stream_grain(f, c, image, g);
            }
        }
        gdes[t] = put_stream_table(f, gtes);
    }
    put_stream_end(f, image, &h, gdes, n_tables);
    free(gdes);
    libdeflate_free_compressor(c);
}

void vmdk_write_stream_qemu(const struct vmdk_image *image, const struct vmdk_layout *layout,
                            struct vmdk_file *ret_file)
{
    static const struct vmdk_layout plain;
    layout = layout ? layout : &plain;
    struct vmdk_file *f = ret_file;
    *f = (struct vmdk_file){.bytes = NULL};
    struct libdeflate_compressor *c = new_compressor(layout);
    uint64_t n = vmdk_image_grains(image);
    put_descriptor(f, image, layout, "streamOptimized", "RW", DESC_SECTORS * SECTOR);
    reserve(f, 0, (1 + DESC_SECTORS) * SECTOR);
    struct u32_tables copies[2];
    for (unsigned i = 0; i < 2; i++) {
        copies[i] =
            (struct u32_tables){.gd_offset = f->len, .gtes = GTES, .n_tables = ceil_div(n, GTES)};
        put_tables(f, image, &plain, true, &copies[i]);
    }
    align_to(f, (size_t)grain_bytes(image));
    struct head h = {.version = 3,
                     .flags = 0x30003,
                     .rgd_sector = copies[0].gd_offset / SECTOR,
                     .gd_sector = copies[1].gd_offset / SECTOR,
                     .overhead = f->len / SECTOR,
                     .descriptor_sector = 1,
                     .descriptor_sectors = DESC_SECTORS,
                     .compression = 1};
    put_head(f, 0, image, &h);
    f->gd_offset = copies[1].gd_offset;
    f->gt_offset = copies[1].table_offsets[0];
    f->grain_offset = f->len;
    for (uint64_t g = 0; g < n; g++) {
        if (image->states[g] == VMDK_GRAIN_DATA) {
            uint32_t sector = put_stream_grain(f, c, image, g);
            put_gte(f, &copies[0], g, sector);
            put_gte(f, &copies[1], g, sector);
        }
    }
    free(copies[0].table_offsets);
    free(copies[1].table_offsets);
    libdeflate_free_compressor(c);
}
