/* Tables of image files (grain directories and tables, L1 and L2) through a small cache, so that
 * memory does not grow with the disk. One cache serves all files of an image.
 *
 * Any thread. The mutex inside is a leaf: nothing is called while it is held.
 */
#ifndef CONVERTERS_DISK_META_CACHE_H
#define CONVERTERS_DISK_META_CACHE_H

#include <stddef.h>
#include <stdint.h>

#include <vmferry/error.h>

struct vf_meta_cache;

/* At most 2 MiB, taken as it fills. Counted references: files of one image share it. */
struct vf_meta_cache *vf_meta_cache_new(void);
struct vf_meta_cache *vf_meta_cache_ref(struct vf_meta_cache *c);
void vf_meta_cache_unref(struct vf_meta_cache *c); /* NULL is fine */

/* Copy [offset, offset + len) of fd into buf. The file must not change while the cache lives, and
 * fd must stay open as long. VF_INVALID when the range is not inside the file. */
int vf_meta_read(struct vf_meta_cache *c, int fd, void *buf, size_t len, uint64_t offset_bytes,
                 struct vf_error **err);

#endif
