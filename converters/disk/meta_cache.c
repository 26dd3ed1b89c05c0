#include "converters/disk/meta_cache.h"

#include <errno.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "importer/base/mem.h"

/* Four ways by 32 sets of 16 KiB: 2 MiB. A COWD or hosted grain table is at most one block, so two
 * readers walking different regions do not evict each other. */
#define BLOCK_BYTES 16384u
#define SETS        32u
#define WAYS        4u

struct block {
    uint64_t number;
    int fd; /* -1: empty */
    uint32_t len;
    uint64_t used; /* tick of the last use */
    uint8_t *data;
};

struct vf_meta_cache {
    atomic_uint refs;
    pthread_mutex_t lock;
    uint64_t tick;
    struct block blocks[SETS][WAYS];
};

struct vf_meta_cache *vf_meta_cache_new(void)
{
    struct vf_meta_cache *c = vf_xcalloc(1, sizeof *c);
    c->refs = 1;
    pthread_mutex_init(&c->lock, NULL);
    for (unsigned s = 0; s < SETS; s++) {
        for (unsigned w = 0; w < WAYS; w++) {
            c->blocks[s][w].fd = -1;
        }
    }
    return c;
}

struct vf_meta_cache *vf_meta_cache_ref(struct vf_meta_cache *c)
{
    atomic_fetch_add(&c->refs, 1);
    return c;
}

void vf_meta_cache_unref(struct vf_meta_cache *c)
{
    if (!c || atomic_fetch_sub(&c->refs, 1) != 1) {
        return;
    }
    for (unsigned s = 0; s < SETS; s++) {
        for (unsigned w = 0; w < WAYS; w++) {
            free(c->blocks[s][w].data);
        }
    }
    pthread_mutex_destroy(&c->lock);
    free(c);
}

static struct block *set_of(struct vf_meta_cache *c, int fd, uint64_t number)
{
    uint64_t h = (number + (uint64_t)fd * 7919) * 0x9e3779b97f4a7c15ull;
    return c->blocks[h >> 59];
}

_Static_assert(SETS == 32, "the hash above gives five bits");

/* How many bytes were copied from a cached block, 0 when it is not there. */
static size_t copy_cached(struct vf_meta_cache *c, int fd, uint64_t number, uint32_t skip,
                          void *buf, size_t len)
{
    size_t n = 0;
    pthread_mutex_lock(&c->lock);
    struct block *set = set_of(c, fd, number);
    for (unsigned w = 0; w < WAYS; w++) {
        struct block *b = &set[w];
        if (b->fd == fd && b->number == number) {
            if (skip < b->len) {
                n = b->len - skip < len ? b->len - skip : len;
                memcpy(buf, b->data + skip, n);
            }
            b->used = ++c->tick;
            break;
        }
    }
    pthread_mutex_unlock(&c->lock);
    return n;
}

static void insert(struct vf_meta_cache *c, int fd, uint64_t number, const uint8_t *data,
                   uint32_t len)
{
    pthread_mutex_lock(&c->lock);
    struct block *set = set_of(c, fd, number);
    struct block *victim = &set[0];
    for (unsigned w = 0; w < WAYS; w++) {
        if (set[w].fd == fd && set[w].number == number) {
            victim = &set[w]; /* another thread was as quick */
            break;
        }
        if (set[w].used < victim->used) {
            victim = &set[w];
        }
    }
    if (!victim->data) {
        victim->data = vf_xcalloc(1, BLOCK_BYTES);
    }
    memcpy(victim->data, data, len);
    victim->fd = fd;
    victim->number = number;
    victim->len = len;
    victim->used = ++c->tick;
    pthread_mutex_unlock(&c->lock);
}

static int load(int fd, uint64_t number, uint8_t *data, uint32_t *ret_len, struct vf_error **err)
{
    uint32_t have = 0;
    while (have < BLOCK_BYTES) {
        ssize_t n =
            pread(fd, data + have, BLOCK_BYTES - have, (off_t)(number * BLOCK_BYTES + have));
        if (n < 0 && errno == EINTR) {
            continue;
        }
        if (n < 0) {
            return vf_error_set_errno(err, errno, "cannot read a table at offset %" PRIu64,
                                      number * BLOCK_BYTES);
        }
        if (n == 0) {
            break;
        }
        have += (uint32_t)n;
    }
    *ret_len = have;
    return 0;
}

int vf_meta_read(struct vf_meta_cache *c, int fd, void *buf, size_t len, uint64_t offset_bytes,
                 struct vf_error **err)
{
    uint64_t end;
    if (__builtin_add_overflow(offset_bytes, len, &end) || end > INT64_MAX) {
        return vf_error_set(err, VF_INVALID, "a table at offset %" PRIu64 " is outside any file",
                            offset_bytes);
    }
    uint8_t *out = buf;
    while (len > 0) {
        uint64_t number = offset_bytes / BLOCK_BYTES;
        uint32_t skip = (uint32_t)(offset_bytes % BLOCK_BYTES);
        size_t n = copy_cached(c, fd, number, skip, out, len);
        if (n == 0) {
            uint8_t data[BLOCK_BYTES];
            uint32_t have = 0;
            int rc = load(fd, number, data, &have, err);
            if (rc) {
                return rc;
            }
            if (have <= skip) {
                return vf_error_set(err, VF_INVALID,
                                    "the file ends before the table at offset %" PRIu64,
                                    offset_bytes);
            }
            insert(c, fd, number, data, have);
            n = have - skip < len ? have - skip : len;
            memcpy(out, data + skip, n);
        }
        out += n;
        offset_bytes += n;
        len -= n;
    }
    return 0;
}
