/* A set of byte ranges of one disk: what changed, what is flushed, what is left to copy.
 *
 * Held as areas in ascending order that neither overlap nor touch. One area more or less costs
 * O(log n); the areas are kept in blocks, so that a million of them in any order take seconds, not
 * hours. Memory: 16 bytes an area when filled in ascending order, 64 at worst, and never more areas
 * than the ceiling given at init. What happens at the ceiling is the set's own rule, because it
 * depends on what the set means: of changed areas there may be too many, never too few; of flushed
 * ones there may be too few, never too many.
 *
 * A range is [offset, offset + length); one that ends beyond 2^64 - 1 is VF_RANGE, and one of
 * length 0 changes nothing. Allocation aborts on exhaustion (mem.h).
 *
 * Threads: a set belongs to one thread at a time; several may read a set that none changes.
 */
#ifndef IMPORTER_BASE_AREAS_H
#define IMPORTER_BASE_AREAS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <vmferry/error.h>

struct vf_area {
    uint64_t offset_bytes;
    uint64_t length_bytes;
};

/* When an operation would leave more areas than the ceiling. */
enum vf_areas_full {
    VF_AREAS_REFUSE, /* VF_SPACE; of an operation on one range nothing was done then */
    VF_AREAS_WIDEN,  /* fill the smallest gaps: the set then holds more than it was given */
    VF_AREAS_DROP,   /* leave out the smallest areas: the set then holds less */
};

/* For one disk: 4 MiB as a rule, 16 at worst. */
#define VF_AREAS_MAX_DEFAULT ((size_t)1 << 18)

struct vf_areas_block;

struct vf_areas {
    struct vf_areas_block **blocks; /* none of them empty */
    size_t n_blocks, cap_blocks;
    size_t count; /* areas */
    size_t max;   /* ceiling for count */
    uint64_t total_bytes;
    enum vf_areas_full full;
    bool inexact; /* the ceiling was met: areas were widened or dropped since init or clear */
};

/* max_areas below 4 counts as 4. */
void vf_areas_init(struct vf_areas *s, size_t max_areas, enum vf_areas_full full);
void vf_areas_release(struct vf_areas *s); /* of a zeroed struct too; may be init-ed again */
void vf_areas_clear(struct vf_areas *s);

/* VF_RANGE; VF_SPACE with VF_AREAS_REFUSE. A subtraction can meet the ceiling too: out of the
 * middle of one area it makes two. */
int vf_areas_add(struct vf_areas *s, uint64_t offset_bytes, uint64_t length_bytes,
                 struct vf_error **err);
int vf_areas_subtract(struct vf_areas *s, uint64_t offset_bytes, uint64_t length_bytes,
                      struct vf_error **err);

/* With a whole set, which must not be `s` itself. VF_SPACE with VF_AREAS_REFUSE, and then a part
 * was done. */
int vf_areas_add_all(struct vf_areas *s, const struct vf_areas *other, struct vf_error **err);
int vf_areas_subtract_all(struct vf_areas *s, const struct vf_areas *other, struct vf_error **err);
int vf_areas_intersect(struct vf_areas *s, const struct vf_areas *other, struct vf_error **err);

/* The areas of `other`, under the ceiling and the rule that `s` has. VF_SPACE as above. */
int vf_areas_copy(struct vf_areas *s, const struct vf_areas *other, struct vf_error **err);

/* Fill every gap of at most gap_bytes: a request saved is worth more than the bytes of the gap. */
void vf_areas_merge(struct vf_areas *s, uint64_t gap_bytes);

/* Join neighbours between which nothing of `other` lies. For what is flushed of a round that copies
 * `other`: the bytes between were not to be copied, and an ascending copy becomes one area. */
void vf_areas_bridge(struct vf_areas *s, const struct vf_areas *other);

/* At most max_areas (0 counts as 1), by the set's rule; with VF_AREAS_REFUSE by that of
 * VF_AREAS_WIDEN. What is widened or dropped is within twice the least that would do. */
void vf_areas_limit(struct vf_areas *s, size_t max_areas);

/* Cut every area down to whole granules (a power of two), but for an end that is size_bytes, the
 * disk's; what lies beyond it goes too. */
void vf_areas_shrink(struct vf_areas *s, uint64_t granule_bytes, uint64_t size_bytes);

/* All of the range, or any of it, is in the set. Of an empty range: true, or false. */
bool vf_areas_contains(const struct vf_areas *s, uint64_t offset_bytes, uint64_t length_bytes);
bool vf_areas_overlaps(const struct vf_areas *s, uint64_t offset_bytes, uint64_t length_bytes);

/* The first area of which something lies at from_bytes or behind, without what lies before it.
 * False, *ret_area untouched: there is none. To walk: go on from where it ends. */
bool vf_areas_next(const struct vf_areas *s, uint64_t from_bytes, struct vf_area *ret_area);

/* How to walk a set in pieces that can be read and written. */
struct vf_areas_walk {
    uint64_t size_bytes;    /* of the disk: nothing beyond it is given */
    uint64_t granule_bytes; /* pieces are widened to this, a power of two; but for the disk's end */
    uint64_t gap_bytes;     /* neighbours this close come as one piece; 0: those that meet */
    uint64_t max_bytes;     /* longest piece; rounded down to granules, one at least */
};

/* The first piece at from_bytes or behind, from_bytes being 0 or the end of the piece before:
 * pieces ascend and do not overlap. False: no more. */
bool vf_areas_next_piece(const struct vf_areas *s, const struct vf_areas_walk *walk,
                         uint64_t from_bytes, struct vf_area *ret_piece);

#endif
