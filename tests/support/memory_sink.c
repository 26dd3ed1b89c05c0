#include "tests/support/memory_sink.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "tests/support/check.h"

static uint64_t n_sectors(const struct memory_sink *m)
{
    return (m->base.size_bytes + 511) / 512;
}

/* Contract and accounting of one write or zero; true when it is to fail. */
static bool enter(struct memory_sink *m, uint64_t offset, uint64_t len)
{
    vf_test_check(len > 0);
    vf_test_check(offset <= m->base.size_bytes && len <= m->base.size_bytes - offset);
    vf_test_check(offset % 512 == 0);
    vf_test_check(len % 512 == 0 || offset + len == m->base.size_bytes);

    pthread_mutex_lock(&m->lock);
    vf_test_check(m->n_finishes == 0);
    m->inside++;
    m->most_inside = m->inside > m->most_inside ? m->inside : m->most_inside;
    vf_test_check(m->inside == 1 || (m->base.caps & VF_SINK_PARALLEL));
    if (!(m->base.caps & VF_SINK_RANDOM)) {
        vf_test_check(offset == m->at);
        m->at += len;
    }
    for (uint64_t s = offset / 512; s < (offset + len + 511) / 512; s++) {
        vf_test_check(m->sectors[s] == 0 || (m->base.caps & VF_SINK_REWRITABLE));
        m->sectors[s] += m->sectors[s] < 255;
    }
    unsigned call = m->n_writes + m->n_zeros;
    pthread_mutex_unlock(&m->lock);
    if (m->cancel && call == m->cancel_call) {
        vf_cancel_trigger(m->cancel);
    }
    return m->fail_call && call >= m->fail_call;
}

static int leave(struct memory_sink *m, bool fail, struct vf_error **err)
{
    pthread_mutex_lock(&m->lock);
    m->inside--;
    pthread_mutex_unlock(&m->lock);
    return fail ? vf_error_set(err, VF_SPACE, "the sink is full") : 0;
}

static void count(struct memory_sink *m, unsigned *counter)
{
    pthread_mutex_lock(&m->lock);
    ++*counter;
    pthread_mutex_unlock(&m->lock);
}

static int sink_write(struct vf_sink *s, const void *buf, size_t len_bytes, uint64_t offset_bytes,
                      struct vf_error **err)
{
    struct memory_sink *m = (struct memory_sink *)s;
    count(m, &m->n_writes);
    bool fail = enter(m, offset_bytes, len_bytes);
    if (m->slow_us) {
        usleep(m->slow_us);
    }
    if (!fail) {
        memcpy(m->content + offset_bytes, buf, len_bytes);
    }
    return leave(m, fail, err);
}

static int sink_zero(struct vf_sink *s, uint64_t offset_bytes, uint64_t length_bytes,
                     struct vf_error **err)
{
    struct memory_sink *m = (struct memory_sink *)s;
    count(m, &m->n_zeros);
    bool fail = enter(m, offset_bytes, length_bytes);
    if (!fail) {
        memset(m->content + offset_bytes, 0, (size_t)length_bytes);
    }
    return leave(m, fail, err);
}

static int sink_read(struct vf_sink *s, void *buf, size_t len_bytes, uint64_t offset_bytes,
                     struct vf_error **err)
{
    struct memory_sink *m = (struct memory_sink *)s;
    vf_test_check(offset_bytes <= s->size_bytes && len_bytes <= s->size_bytes - offset_bytes);
    vf_test_check(s->caps & VF_SINK_READABLE);
    count(m, &m->n_reads);
    if (m->fail_read) {
        return vf_error_set(err, VF_INTERNAL, "the sink cannot be read");
    }
    memcpy(buf, m->content + offset_bytes, len_bytes);
    return 0;
}

static int sink_flush(struct vf_sink *s, struct vf_error **err)
{
    struct memory_sink *m = (struct memory_sink *)s;
    pthread_mutex_lock(&m->lock);
    vf_test_check(m->inside == 0);
    m->n_flushes++;
    pthread_mutex_unlock(&m->lock);
    return m->fail_flush ? vf_error_set(err, VF_INTERNAL, "the sink cannot be flushed") : 0;
}

static int sink_finish(struct vf_sink *s, struct vf_error **err)
{
    struct memory_sink *m = (struct memory_sink *)s;
    vf_test_check(m->inside == 0);
    vf_test_check(m->n_finishes++ == 0);
    return m->fail_finish ? vf_error_set(err, VF_SPACE, "the sink cannot end") : 0;
}

static void sink_free(struct vf_sink *s)
{
    struct memory_sink *m = (struct memory_sink *)s;
    vf_test_check(m->inside == 0);
    pthread_mutex_destroy(&m->lock);
    free(m->content);
    free(m->sectors);
    free(m);
}

static const struct vf_sink_ops memory_ops = {
    .write = sink_write,
    .zero = sink_zero,
    .read = sink_read,
    .flush = sink_flush,
    .finish = sink_finish,
    .free = sink_free,
};

struct memory_sink *memory_sink_new(uint64_t size_bytes, unsigned caps)
{
    struct memory_sink *m = calloc(1, sizeof *m);
    vf_test_check(m);
    m->base = (struct vf_sink){.ops = &memory_ops, .size_bytes = size_bytes, .caps = caps};
    m->content = malloc(size_bytes ? (size_t)size_bytes : 1);
    m->sectors = calloc((size_t)n_sectors(m) + 1, 1);
    vf_test_check(m->content && m->sectors);
    memset(m->content, 0xa5, (size_t)size_bytes);
    pthread_mutex_init(&m->lock, NULL);
    return m;
}

bool memory_sink_covered(const struct memory_sink *m, bool once)
{
    for (uint64_t i = 0; i < n_sectors(m); i++) {
        if (m->sectors[i] == 0 || (once && m->sectors[i] != 1)) {
            return false;
        }
    }
    return true;
}
