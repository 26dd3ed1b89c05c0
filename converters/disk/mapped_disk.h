/* What all image readers share: a disk whose content is found through a map from logical offset to
 * a place in one file. A reader supplies the map; reading, extents and the parent of a delta are
 * done here.
 *
 * Private to converters/disk. The map is called by several threads at once.
 */
#ifndef CONVERTERS_DISK_MAPPED_DISK_H
#define CONVERTERS_DISK_MAPPED_DISK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <vmferry/disk.h>
#include <vmferry/error.h>

#include "converters/disk/meta_cache.h"

/* Where an image reader finds its file, and what stands behind it. */
struct vf_layer {
    int fd;                       /* the reader owns it once its open function succeeded */
    const char *name;             /* of the file, for errors; copied */
    struct vf_meta_cache *cache;  /* shared with the image's other files; NULL: one of its own */
    struct vf_disk *parent;       /* borrowed; NULL: what is absent reads as zero */
    uint64_t parent_offset_bytes; /* of this file's first byte in the parent */
};

/* A stretch of the disk that lies together. */
struct vf_run {
    enum vf_extent_kind kind; /* HOLE: absent from this file */
    uint64_t file_offset_bytes;
    uint64_t length_bytes;
};

struct vf_mapped_disk;

struct vf_map_ops {
    /* The run that starts at offset_bytes, 1..length_bytes long. DATA lies wholly in the file. */
    int (*map)(struct vf_mapped_disk *d, uint64_t offset_bytes, uint64_t length_bytes,
               struct vf_run *ret_run, struct vf_error **err);
};

struct vf_mapped_disk {
    struct vf_disk disk;
    const struct vf_map_ops *map_ops;
    struct vf_layer layer;
    uint64_t file_bytes;
    char *name;
    bool zero_past_end; /* the format lets the last cluster be cut off by the end of the file */
};

/* Fill `d`, the first member of a zeroed heap object that vf_disk_free will free whole. Takes
 * layer->fd over. */
void vf_mapped_disk_init(struct vf_mapped_disk *d, const struct vf_map_ops *ops,
                         const struct vf_layer *layer, uint64_t size_bytes, uint64_t file_bytes);

/* Undo vf_mapped_disk_init and free `d`, but give layer->fd back: for open functions that fail. */
void vf_mapped_disk_abandon(struct vf_mapped_disk *d);

/* VF_RANGE unless the window lies inside the disk. */
int vf_disk_check_window(const struct vf_disk *disk, uint64_t offset_bytes, uint64_t length_bytes,
                         struct vf_error **err);

/* Size of a regular file or block device. */
int vf_file_size(int fd, const char *path, uint64_t *ret_size_bytes, struct vf_error **err);

#endif
