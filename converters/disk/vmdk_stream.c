#include "converters/disk/vmdk_stream.h"

#include <inttypes.h>
#include <stdlib.h>

#include "converters/disk/vmdk_descriptor.h"
#include "converters/disk/vmdk_stream_private.h"
#include "importer/base/bytes.h"
#include "importer/base/mem.h"

static int check_descriptor(const char *text, size_t len, uint64_t capacity_sectors,
                            struct vf_error **err)
{
    struct vf_vmdk_descriptor d;
    int rc = vf_vmdk_descriptor_parse(text, len, &d, err);
    if (rc) {
        return rc;
    }
    if (d.encrypted) {
        rc = vf_error_set(err, VF_UNSUPPORTED, "the VMDK is encrypted");
        vf_error_hint(err, "decrypt the VM's disks on the source (edit its storage policy) first");
    } else if (d.parent_cid != VMDK_CID_NONE) {
        rc = vf_error_set(err, VF_UNSUPPORTED,
                          "the VMDK holds only what changed since its parent (parentCID %08" PRIx32
                          "); it is no full disk",
                          d.parent_cid);
    } else if (d.n_extents == 1 && d.capacity_sectors != capacity_sectors) {
        rc = vf_error_set(err, VF_INVALID,
                          "the VMDK's header claims a capacity of %" PRIu64
                          " sectors, and its descriptor %" PRIu64,
                          capacity_sectors, d.capacity_sectors);
    }
    vf_vmdk_descriptor_release(&d);
    return rc;
}

static int read_descriptor(struct vf_vmdk_stream *s, struct vf_error **err)
{
    const struct vf_vmdk_header *h = &s->header;
    if (h->descriptor_sector == 0 || h->descriptor_sectors == 0) {
        return 0;
    }
    uint64_t end;
    if (__builtin_add_overflow(h->descriptor_sector, h->descriptor_sectors, &end) ||
        end > h->overhead_sectors) {
        return vf_error_set(err, VF_INVALID, "the VMDK's descriptor lies outside its head");
    }
    int rc = vf_vmdk_skip_to_sector(s, h->descriptor_sector, "descriptor", err);
    if (rc) {
        return rc;
    }
    size_t len = (size_t)h->descriptor_sectors * SECTOR;
    char *vf_autofree text = vf_xcalloc(len + 1, 1);
    rc = vf_vmdk_take(s, text, len, "within the descriptor", err);
    return rc ? rc : check_descriptor(text, len, h->capacity_sectors, err);
}

static int read_table(struct vf_vmdk_stream *s, uint64_t first_grain, uint8_t *bytes,
                      struct vf_error **err)
{
    const struct vf_vmdk_header *h = &s->header;
    int rc = vf_vmdk_take(s, bytes, (uint64_t)h->gtes_per_gt * 4, "within a grain table", err);
    for (uint32_t i = 0; rc == 0 && i < h->gtes_per_gt; i++) {
        uint32_t entry = le32_load(bytes + (size_t)i * 4);
        if (entry == 0 || (entry == 1 && (h->flags & VMDK_FLAG_ZERO_GRAIN))) {
            continue;
        }
        if (first_grain + i >= vf_vmdk_grains(s)) {
            return vf_error_set(err, VF_INVALID,
                                "a grain table of the VMDK names a grain beyond its capacity");
        }
        vf_bitmap_test_and_set(&s->expected, first_grain + i);
    }
    return rc;
}

/* qemu-img style: directory and tables stand between descriptor and grains. They are all that
 * proves such a stream complete. */
static int read_tables(struct vf_vmdk_stream *s, struct vf_error **err)
{
    const struct vf_vmdk_header *h = &s->header;
    uint64_t n_tables = (vf_vmdk_grains(s) + h->gtes_per_gt - 1) / h->gtes_per_gt;
    if (n_tables * 4 > VMDK_MAX_DIRECTORY_BYTES) {
        return vf_error_set(err, VF_INVALID, "the VMDK's grain directory is absurdly large");
    }
    int rc = vf_bitmap_init(&s->expected, vf_vmdk_grains(s), err);
    if (rc == 0) {
        rc = vf_vmdk_skip_to_sector(s, h->gd_sector, "grain directory", err);
    }
    if (rc) {
        return rc;
    }
    uint8_t *vf_autofree directory = vf_xcalloc(n_tables, 4);
    uint8_t *vf_autofree table = vf_xcalloc(h->gtes_per_gt, 4);
    rc = vf_vmdk_take(s, directory, n_tables * 4, "within the grain directory", err);
    for (uint64_t i = 0; rc == 0 && i < n_tables; i++) {
        uint32_t sector = le32_load(directory + i * 4);
        if (sector == 0) {
            continue;
        }
        if (sector >= h->overhead_sectors) {
            return vf_error_set(err, VF_INVALID,
                                "grain table %" PRIu64 " of the VMDK lies outside its head", i);
        }
        rc = vf_vmdk_skip_to_sector(s, sector, "grain table", err);
        if (rc == 0) {
            rc = read_table(s, i * h->gtes_per_gt, table, err);
        }
    }
    return rc;
}

static int read_head(struct vf_vmdk_stream *s, struct vf_error **err)
{
    uint8_t bytes[VMDK_SPARSE_HEADER_BYTES];
    int rc = vf_vmdk_take(s, bytes, sizeof bytes, "within the header", err);
    if (rc == 0) {
        rc = vf_vmdk_header_parse(bytes, &s->header, err);
    }
    if (rc) {
        return rc;
    }
    const struct vf_vmdk_header *h = &s->header;
    if (!h->compressed) {
        vf_error_set(err, VF_UNSUPPORTED,
                     "this VMDK is not streamOptimized: it cannot be read "
                     "from a stream");
        vf_error_hint(err, "give it as a file");
        return VF_UNSUPPORTED;
    }
    s->capacity_bytes = h->capacity_sectors * SECTOR;
    s->grain_bytes = (uint32_t)h->grain_sectors * SECTOR;
    s->tables_in_front = h->gd_sector != VMDK_GD_AT_END && h->gd_sector < h->overhead_sectors;

    rc = vf_bitmap_init(&s->seen, vf_vmdk_grains(s), err);
    if (rc == 0) {
        rc = read_descriptor(s, err);
    }
    if (rc == 0) {
        rc = s->tables_in_front ? read_tables(s, err) : vf_stream_tables_init(&s->tables, h, err);
    }
    return rc ? rc : vf_vmdk_skip_to_sector(s, h->overhead_sectors, "first grain", err);
}

int vf_vmdk_stream_open(struct vf_stream *in, struct vf_vmdk_stream **ret_stream,
                        struct vf_error **err)
{
    struct vf_vmdk_stream *s = vf_xcalloc(1, sizeof *s);
    s->in = in;
    s->buf = vf_xcalloc(1, VF_VMDK_BUFFER_BYTES);
    int rc = read_head(s, err);
    if (rc) {
        vf_vmdk_stream_free(s);
        return rc;
    }
    *ret_stream = s;
    return 0;
}

void vf_vmdk_stream_free(struct vf_vmdk_stream *s)
{
    if (!s) {
        return;
    }
    vf_bitmap_release(&s->expected);
    vf_bitmap_release(&s->seen);
    vf_stream_tables_release(&s->tables);
    free(s->buf);
    free(s);
}

uint64_t vf_vmdk_stream_capacity_bytes(const struct vf_vmdk_stream *s)
{
    return s->capacity_bytes;
}
