/* VMDKs of every kind, made in memory for tests: whole ones, and ones with exact damage.
 *
 * The reader's code is not used here, so that the two can disagree. Sources of the formats: see
 * converters/disk/vmdk_format.h.
 */
#ifndef TESTS_SUPPORT_VMDK_WRITER_H
#define TESTS_SUPPORT_VMDK_WRITER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum vmdk_grain_state { VMDK_GRAIN_HOLE, VMDK_GRAIN_ZERO, VMDK_GRAIN_DATA };

/* What the disk holds. content has capacity_sectors * 512 bytes; states has one entry a grain, and
 * what is not DATA must be zero in content (a HOLE over a parent need not). */
struct vmdk_image {
    uint64_t capacity_sectors;
    uint32_t grain_sectors;
    uint8_t *content;
    uint8_t *states; /* enum vmdk_grain_state */
};

/* Random layout: runs of holes, zeros and data, by seed. Release frees. */
void vmdk_image_init(struct vmdk_image *image, uint64_t capacity_sectors, uint32_t grain_sectors,
                     uint64_t seed);
void vmdk_image_release(struct vmdk_image *image);
uint64_t vmdk_image_grains(const struct vmdk_image *image);

/* A file in memory and where its parts lie, for damage. */
struct vmdk_file {
    uint8_t *bytes;
    size_t len, cap;
    uint64_t gd_offset;    /* bytes */
    uint64_t gt_offset;    /* of the first table */
    uint64_t grain_offset; /* of the first grain (stream: of its record) */
    uint64_t footer_offset;
};

void vmdk_file_release(struct vmdk_file *f);
void vmdk_file_save(const struct vmdk_file *f, const char *path);
void vmdk_file_truncate(struct vmdk_file *f, size_t len);
void vmdk_file_flip(struct vmdk_file *f, uint64_t offset, unsigned bit);
void vmdk_file_put16(struct vmdk_file *f, uint64_t offset, uint16_t value);
void vmdk_file_put32(struct vmdk_file *f, uint64_t offset, uint32_t value);
void vmdk_file_put64(struct vmdk_file *f, uint64_t offset, uint64_t value);

/* How a file is written. Zero is a good default for all. */
struct vmdk_layout {
    uint64_t shuffle;         /* seed of the order of grains and tables in the file; 0: ascending */
    bool no_descriptor;       /* hosted sparse: none inside, as in an extent of several */
    const char *extent_name;  /* in the descriptor; NULL: "disk.vmdk" */
    uint32_t cid, parent_cid; /* 0: some CID, and ffffffff */
    const char *parent_hint;
    bool unclean;
    int level; /* of deflate; 0: 6 */
};

/* Hosted sparse, 512 entries a table, redundant tables, zeroed grains by entries of 1. */
void vmdk_write_sparse(const struct vmdk_image *image, const struct vmdk_layout *layout,
                       struct vmdk_file *ret_file);
/* COWD; a ZERO grain becomes one of zeros, as the format knows no other. */
void vmdk_write_cowd(const struct vmdk_image *image, const struct vmdk_layout *layout,
                     struct vmdk_file *ret_file);
/* SESparse; grain_sectors must be 8. ZERO grains become unmapped and zero entries in turns. */
void vmdk_write_sesparse(const struct vmdk_image *image, const struct vmdk_layout *layout,
                         struct vmdk_file *ret_file);
/* streamOptimized as ESXi writes it: directory at the end, markers, footer; only grains with data.
 * shuffle changes nothing: a stream ascends. */
void vmdk_write_stream_esxi(const struct vmdk_image *image, const struct vmdk_layout *layout,
                            struct vmdk_file *ret_file);
/* streamOptimized as qemu-img writes it: tables in front, no markers, the end is the file's. */
void vmdk_write_stream_qemu(const struct vmdk_image *image, const struct vmdk_layout *layout,
                            struct vmdk_file *ret_file);

/* xorshift64*, for tests that need numbers by seed; *state must not be 0. */
uint64_t vmdk_random(uint64_t *state);

#endif
