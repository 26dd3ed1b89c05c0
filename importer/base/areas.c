#include "importer/base/areas.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "importer/base/mem.h"

#define BLOCK_AREAS 512
/* Neighbours that hold no more than this together become one, which bounds what blocks that were
 * emptied by subtraction can take: two neighbours hold more than this. */
#define JOIN_AREAS (BLOCK_AREAS / 2)
#define SIZE_BITS  65 /* of a length: bit lengths 0 to 64 */

struct vf_areas_block {
    uint32_t n;
    struct vf_area items[BLOCK_AREAS];
};

/* Where an area stands. {n_blocks, 0} is the end; an index equal to n of a block is a place behind
 * its last area, where one may be inserted. */
struct position {
    size_t block;
    uint32_t index;
};

static uint64_t end_of(const struct vf_area *a)
{
    return a->offset_bytes + a->length_bytes;
}

void vf_areas_init(struct vf_areas *s, size_t max_areas, enum vf_areas_full full)
{
    *s = (struct vf_areas){.max = max_areas < 4 ? 4 : max_areas, .full = full};
}

void vf_areas_clear(struct vf_areas *s)
{
    for (size_t i = 0; i < s->n_blocks; i++) {
        free(s->blocks[i]);
    }
    s->n_blocks = 0;
    s->count = 0;
    s->total_bytes = 0;
    s->inexact = false;
}

void vf_areas_release(struct vf_areas *s)
{
    vf_areas_clear(s);
    free(s->blocks);
    *s = (struct vf_areas){0};
}

/* The first block whose last area ends behind `at`. */
static size_t find_block(const struct vf_areas *s, uint64_t at)
{
    size_t low = 0, high = s->n_blocks;
    while (low < high) {
        size_t mid = low + (high - low) / 2;
        const struct vf_areas_block *b = s->blocks[mid];
        if (end_of(&b->items[b->n - 1]) > at) {
            high = mid;
        } else {
            low = mid + 1;
        }
    }
    return low;
}

/* The first area that ends behind `at`. */
static struct position find(const struct vf_areas *s, uint64_t at)
{
    struct position p = {find_block(s, at), 0};
    if (p.block == s->n_blocks) {
        return p;
    }
    const struct vf_areas_block *b = s->blocks[p.block];
    uint32_t low = 0, high = b->n - 1;
    while (low < high) {
        uint32_t mid = low + (high - low) / 2;
        if (end_of(&b->items[mid]) > at) {
            high = mid;
        } else {
            low = mid + 1;
        }
    }
    p.index = low;
    return p;
}

/* The area at p, or NULL at the end. */
static struct vf_area *at(const struct vf_areas *s, struct position p)
{
    return p.block < s->n_blocks ? &s->blocks[p.block]->items[p.index] : NULL;
}

static void step(const struct vf_areas *s, struct position *p)
{
    if (++p->index >= s->blocks[p->block]->n) {
        *p = (struct position){p->block + 1, 0};
    }
}

static void open_block(struct vf_areas *s, size_t where)
{
    if (s->n_blocks == s->cap_blocks) {
        s->cap_blocks = s->cap_blocks ? s->cap_blocks * 2 : 4;
        s->blocks = vf_xrealloc_array(s->blocks, s->cap_blocks, sizeof(void *));
    }
    memmove(s->blocks + where + 1, s->blocks + where, (s->n_blocks - where) * sizeof(void *));
    s->blocks[where] = vf_xrealloc_array(NULL, 1, sizeof **s->blocks);
    s->blocks[where]->n = 0;
    s->n_blocks++;
}

static void close_blocks(struct vf_areas *s, size_t first, size_t n)
{
    if (n == 0) {
        return;
    }
    for (size_t i = first; i < first + n; i++) {
        free(s->blocks[i]);
    }
    memmove(s->blocks + first, s->blocks + first + n, (s->n_blocks - first - n) * sizeof(void *));
    s->n_blocks -= n;
}

static void join_with_next(struct vf_areas *s, size_t block)
{
    if (block + 1 >= s->n_blocks) {
        return;
    }
    struct vf_areas_block *a = s->blocks[block], *b = s->blocks[block + 1];
    if (a->n + b->n <= JOIN_AREAS) {
        memcpy(a->items + a->n, b->items, b->n * sizeof *b->items);
        a->n += b->n;
        close_blocks(s, block + 1, 1);
    }
}

/* Take `n` areas out of one block, which may be left empty. */
static void cut_block(struct vf_areas *s, size_t block, uint32_t index, uint32_t n)
{
    struct vf_areas_block *b = s->blocks[block];
    for (uint32_t i = index; i < index + n; i++) {
        s->total_bytes -= b->items[i].length_bytes;
    }
    memmove(b->items + index, b->items + index + n, (b->n - index - n) * sizeof *b->items);
    b->n -= n;
    s->count -= n;
}

static void remove_areas(struct vf_areas *s, struct position from, size_t n)
{
    size_t first_empty = s->n_blocks, n_empty = 0, block = from.block;
    uint32_t index = from.index;
    while (n > 0) {
        uint32_t part = s->blocks[block]->n - index;
        part = part > n ? (uint32_t)n : part;
        cut_block(s, block, index, part);
        n -= part;
        if (s->blocks[block]->n == 0) {
            first_empty = n_empty++ == 0 ? block : first_empty;
        }
        index = 0;
        block++;
    }
    close_blocks(s, first_empty, n_empty);
}

/* Before the area at p, which a find in the set as it is now gave. */
static void insert(struct vf_areas *s, struct position p, struct vf_area area)
{
    bool append = p.block == s->n_blocks;
    if (append && p.block > 0 && s->blocks[p.block - 1]->n < BLOCK_AREAS) {
        p = (struct position){p.block - 1, s->blocks[p.block - 1]->n};
    } else if (append) {
        open_block(s, p.block); /* a full last block stays full: ascending areas waste nothing */
    } else if (s->blocks[p.block]->n == BLOCK_AREAS) {
        open_block(s, p.block + 1);
        struct vf_areas_block *a = s->blocks[p.block], *b = s->blocks[p.block + 1];
        a->n = BLOCK_AREAS / 2;
        b->n = BLOCK_AREAS - a->n;
        memcpy(b->items, a->items + a->n, b->n * sizeof *b->items);
        if (p.index > a->n) {
            p = (struct position){p.block + 1, p.index - a->n};
        }
    }
    struct vf_areas_block *b = s->blocks[p.block];
    memmove(b->items + p.index + 1, b->items + p.index, (b->n - p.index) * sizeof *b->items);
    b->items[p.index] = area;
    b->n++;
    s->count++;
    s->total_bytes += area.length_bytes;
}

/* Put up to two areas in the place of `n_old` from p on. */
static int replace(struct vf_areas *s, struct position p, size_t n_old, const struct vf_area *news,
                   size_t n_news, struct vf_error **err)
{
    if (s->full == VF_AREAS_REFUSE && s->count - n_old + n_news > s->max) {
        return vf_error_set(err, VF_SPACE, "more than %zu areas", s->max);
    }
    struct vf_area *one = n_old == 1 && n_news == 1 ? at(s, p) : NULL;
    if (one) {
        s->total_bytes += news->length_bytes - one->length_bytes;
        *one = *news;
        return 0;
    }
    remove_areas(s, p, n_old);
    for (size_t i = 0; i < n_news; i++) {
        insert(s, find(s, news[i].offset_bytes), news[i]);
    }
    if (n_old > 1 || n_news == 0) {
        join_with_next(s, p.block + 1);
        join_with_next(s, p.block);
        if (p.block > 0) {
            join_with_next(s, p.block - 1);
        }
    }
    if (s->count > s->max) {
        /* Well below the ceiling, so that the next one is far away. */
        vf_areas_limit(s, s->max - s->max / 4);
    }
    return 0;
}

static int check_range(uint64_t offset_bytes, uint64_t length_bytes, uint64_t *ret_end,
                       struct vf_error **err)
{
    if (__builtin_add_overflow(offset_bytes, length_bytes, ret_end)) {
        return vf_error_set(err, VF_RANGE,
                            "an area of %" PRIu64 " bytes at %" PRIu64 " ends beyond any disk",
                            length_bytes, offset_bytes);
    }
    return 0;
}

int vf_areas_add(struct vf_areas *s, uint64_t offset_bytes, uint64_t length_bytes,
                 struct vf_error **err)
{
    uint64_t end;
    int rc = check_range(offset_bytes, length_bytes, &end, err);
    if (rc || length_bytes == 0) {
        return rc;
    }
    /* From the one that ends where this begins, to the one that begins where this ends. */
    struct position first = find(s, offset_bytes ? offset_bytes - 1 : 0), p = first;
    uint64_t begin = offset_bytes;
    size_t n = 0;
    for (struct vf_area *a; (a = at(s, p)) && a->offset_bytes <= end; step(s, &p)) {
        begin = a->offset_bytes < begin ? a->offset_bytes : begin;
        end = end_of(a) > end ? end_of(a) : end;
        n++;
    }
    struct vf_area whole = {begin, end - begin};
    return replace(s, first, n, &whole, 1, err);
}

int vf_areas_subtract(struct vf_areas *s, uint64_t offset_bytes, uint64_t length_bytes,
                      struct vf_error **err)
{
    uint64_t end;
    int rc = check_range(offset_bytes, length_bytes, &end, err);
    if (rc || length_bytes == 0) {
        return rc;
    }
    struct position first = find(s, offset_bytes), p = first;
    struct vf_area rest[2];
    size_t n = 0, n_rest = 0;
    for (struct vf_area *a; (a = at(s, p)) && a->offset_bytes < end; step(s, &p)) {
        if (a->offset_bytes < offset_bytes) {
            rest[n_rest++] = (struct vf_area){a->offset_bytes, offset_bytes - a->offset_bytes};
        }
        if (end_of(a) > end) {
            rest[n_rest++] = (struct vf_area){end, end_of(a) - end};
        }
        n++;
    }
    return n ? replace(s, first, n, rest, n_rest, err) : 0;
}

int vf_areas_add_all(struct vf_areas *s, const struct vf_areas *other, struct vf_error **err)
{
    int rc = 0;
    struct position p = {0, 0};
    for (const struct vf_area *a; rc == 0 && (a = at(other, p)); step(other, &p)) {
        rc = vf_areas_add(s, a->offset_bytes, a->length_bytes, err);
    }
    return rc;
}

int vf_areas_subtract_all(struct vf_areas *s, const struct vf_areas *other, struct vf_error **err)
{
    int rc = 0;
    struct position p = {0, 0};
    for (const struct vf_area *a; rc == 0 && (a = at(other, p)); step(other, &p)) {
        rc = vf_areas_subtract(s, a->offset_bytes, a->length_bytes, err);
    }
    return rc;
}

int vf_areas_intersect(struct vf_areas *s, const struct vf_areas *other, struct vf_error **err)
{
    uint64_t gap = 0; /* where the gap before the next area of `other` begins */
    int rc = 0;
    struct position p = {0, 0};
    for (const struct vf_area *a; rc == 0 && (a = at(other, p)); step(other, &p)) {
        rc = vf_areas_subtract(s, gap, a->offset_bytes - gap, err);
        gap = end_of(a);
    }
    return rc ? rc : vf_areas_subtract(s, gap, UINT64_MAX - gap, err);
}

int vf_areas_copy(struct vf_areas *s, const struct vf_areas *other, struct vf_error **err)
{
    vf_areas_clear(s);
    int rc = vf_areas_add_all(s, other, err);
    s->inexact = s->inexact || other->inexact;
    return rc;
}

/* Writes a set over itself: what is put never passes what was read, since no block is filled later
 * than it was and no area becomes two. */
struct writer {
    struct vf_areas *s;
    struct position next;
    size_t count;
    uint64_t total_bytes;
};

static void put(struct writer *w, struct vf_area area)
{
    w->s->blocks[w->next.block]->items[w->next.index] = area;
    w->count++;
    w->total_bytes += area.length_bytes;
    if (++w->next.index == BLOCK_AREAS) {
        w->next = (struct position){w->next.block + 1, 0};
    }
}

/* The reader needs the blocks' old counts until here. */
static void put_end(struct writer *w)
{
    struct vf_areas *s = w->s;
    size_t used = w->next.block + (w->next.index > 0);
    for (size_t i = 0; i < used; i++) {
        s->blocks[i]->n = i < w->next.block ? BLOCK_AREAS : w->next.index;
    }
    close_blocks(s, used, s->n_blocks - used);
    s->count = w->count;
    s->total_bytes = w->total_bytes;
}

/* May the gap from `begin` to `end` be filled? */
typedef bool gap_fn(void *opaque, uint64_t begin, uint64_t end);

static void join(struct vf_areas *s, gap_fn *fill, void *opaque)
{
    if (s->count == 0) {
        return;
    }
    struct writer w = {.s = s};
    struct position p = {0, 0};
    struct vf_area open = *at(s, p);
    step(s, &p);
    for (const struct vf_area *a; (a = at(s, p)); step(s, &p)) {
        struct vf_area next = *a;
        if (fill(opaque, end_of(&open), next.offset_bytes)) {
            open.length_bytes = end_of(&next) - open.offset_bytes;
        } else {
            put(&w, open);
            open = next;
        }
    }
    put(&w, open);
    put_end(&w);
}

static bool gap_is_small(void *opaque, uint64_t begin, uint64_t end)
{
    const uint64_t *limit = opaque;
    return end - begin <= *limit;
}

void vf_areas_merge(struct vf_areas *s, uint64_t gap_bytes)
{
    join(s, gap_is_small, &gap_bytes);
}

static bool gap_is_outside(void *opaque, uint64_t begin, uint64_t end)
{
    const struct vf_areas *other = *(const struct vf_areas **)opaque;
    return !vf_areas_overlaps(other, begin, end - begin);
}

void vf_areas_bridge(struct vf_areas *s, const struct vf_areas *other)
{
    join(s, gap_is_outside, &other);
}

/* The n smallest of many sizes, without sorting: all below a power of two, and of those up to the
 * next one the first that come. */
struct smallest {
    size_t counts[SIZE_BITS];
    unsigned bits;  /* smaller ones are all among them */
    size_t of_bits; /* how many of this bit length are, still */
};

static unsigned bit_length(uint64_t v)
{
    return v ? 64 - (unsigned)__builtin_clzll(v) : 0;
}

static void choose_smallest(struct smallest *m, size_t n)
{
    for (m->bits = 0; m->bits < SIZE_BITS - 1 && m->counts[m->bits] <= n; m->bits++) {
        n -= m->counts[m->bits];
    }
    m->of_bits = n;
}

static bool take_if_small(struct smallest *m, uint64_t size)
{
    unsigned bits = bit_length(size);
    if (bits != m->bits || m->of_bits == 0) {
        return bits < m->bits;
    }
    m->of_bits--;
    return true;
}

static bool gap_is_chosen(void *opaque, uint64_t begin, uint64_t end)
{
    return take_if_small(opaque, end - begin);
}

static void widen(struct vf_areas *s, size_t n_gaps)
{
    struct smallest m = {0};
    struct position p = {0, 0};
    uint64_t before = end_of(at(s, p));
    step(s, &p);
    for (const struct vf_area *a; (a = at(s, p)); step(s, &p)) {
        m.counts[bit_length(a->offset_bytes - before)]++;
        before = end_of(a);
    }
    choose_smallest(&m, n_gaps);
    join(s, gap_is_chosen, &m);
}

static void drop(struct vf_areas *s, size_t n_areas)
{
    struct smallest m = {0};
    struct position p = {0, 0};
    for (const struct vf_area *a; (a = at(s, p)); step(s, &p)) {
        m.counts[bit_length(a->length_bytes)]++;
    }
    choose_smallest(&m, n_areas);
    struct writer w = {.s = s};
    p = (struct position){0, 0};
    for (const struct vf_area *a; (a = at(s, p)); step(s, &p)) {
        struct vf_area area = *a;
        if (!take_if_small(&m, area.length_bytes)) {
            put(&w, area);
        }
    }
    put_end(&w);
}

void vf_areas_limit(struct vf_areas *s, size_t max_areas)
{
    max_areas = max_areas ? max_areas : 1;
    if (s->count <= max_areas) {
        return;
    }
    if (s->full == VF_AREAS_DROP) {
        drop(s, s->count - max_areas);
    } else {
        widen(s, s->count - max_areas);
    }
    s->inexact = true;
}

static uint64_t round_down(uint64_t v, uint64_t granule)
{
    return v & ~(granule - 1);
}

/* UINT64_MAX where the next multiple is none any more. */
static uint64_t round_up(uint64_t v, uint64_t granule)
{
    uint64_t up;
    return __builtin_add_overflow(v, granule - 1, &up) ? UINT64_MAX : round_down(up, granule);
}

void vf_areas_shrink(struct vf_areas *s, uint64_t granule_bytes, uint64_t size_bytes)
{
    struct writer w = {.s = s};
    struct position p = {0, 0};
    for (const struct vf_area *a; (a = at(s, p)); step(s, &p)) {
        uint64_t begin = round_up(a->offset_bytes, granule_bytes);
        uint64_t end = end_of(a) >= size_bytes ? size_bytes : round_down(end_of(a), granule_bytes);
        if (begin < end) {
            put(&w, (struct vf_area){begin, end - begin});
        }
    }
    put_end(&w);
}

bool vf_areas_contains(const struct vf_areas *s, uint64_t offset_bytes, uint64_t length_bytes)
{
    uint64_t end;
    if (length_bytes == 0) {
        return true;
    }
    if (__builtin_add_overflow(offset_bytes, length_bytes, &end)) {
        return false;
    }
    const struct vf_area *a = at(s, find(s, offset_bytes));
    return a && a->offset_bytes <= offset_bytes && end <= end_of(a);
}

bool vf_areas_overlaps(const struct vf_areas *s, uint64_t offset_bytes, uint64_t length_bytes)
{
    uint64_t end;
    if (__builtin_add_overflow(offset_bytes, length_bytes, &end)) {
        end = UINT64_MAX;
    }
    const struct vf_area *a = at(s, find(s, offset_bytes));
    return length_bytes > 0 && a && a->offset_bytes < end;
}

bool vf_areas_next(const struct vf_areas *s, uint64_t from_bytes, struct vf_area *ret_area)
{
    const struct vf_area *a = at(s, find(s, from_bytes));
    if (!a) {
        return false;
    }
    uint64_t begin = a->offset_bytes > from_bytes ? a->offset_bytes : from_bytes;
    *ret_area = (struct vf_area){begin, end_of(a) - begin};
    return true;
}

bool vf_areas_next_piece(const struct vf_areas *s, const struct vf_areas_walk *walk,
                         uint64_t from_bytes, struct vf_area *ret_piece)
{
    struct vf_area a;
    if (!vf_areas_next(s, from_bytes, &a) || a.offset_bytes >= walk->size_bytes) {
        return false;
    }
    uint64_t granule = walk->granule_bytes;
    uint64_t longest = round_down(walk->max_bytes, granule);
    longest = longest ? longest : granule;
    uint64_t begin = round_down(a.offset_bytes, granule);
    begin = begin > from_bytes ? begin : from_bytes;
    uint64_t end = round_up(end_of(&a), granule);
    while (end - begin < longest && vf_areas_next(s, end, &a)) {
        uint64_t next = round_down(a.offset_bytes, granule);
        if (next - end > walk->gap_bytes || next - begin >= longest) {
            break;
        }
        end = round_up(end_of(&a), granule);
    }
    end = end < walk->size_bytes ? end : walk->size_bytes;
    uint64_t length = end - begin < longest ? end - begin : longest;
    *ret_piece = (struct vf_area){begin, length};
    return true;
}
