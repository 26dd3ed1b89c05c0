#include "tests/support/sink_model.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "tests/support/check.h"
#include "tests/support/vmdk_writer.h"

#define BLOCK       4096u
#define MAX_THREADS 16u

void sink_model_init(struct sink_model *m, uint64_t size_bytes, uint64_t seed)
{
    *m = (struct sink_model){.content = calloc(size_bytes ? (size_t)size_bytes : 1, 1),
                             .size_bytes = size_bytes,
                             .rng = seed * 2 + 1};
    vf_test_check(m->content);
}

void sink_model_release(struct sink_model *m)
{
    free(m->content);
    m->content = NULL;
}

void sink_model_compare(const struct sink_model *m, struct vf_sink *sink)
{
    uint8_t *buf = malloc(1 << 20);
    vf_test_check(buf);
    for (uint64_t at = 0; at < m->size_bytes; at += 1 << 20) {
        uint64_t left = m->size_bytes - at;
        size_t n = left < 1 << 20 ? (size_t)left : 1 << 20;
        memset(buf, 0xa5, n);
        vf_test_check(vf_sink_read(sink, buf, n, at, NULL) == 0);
        vf_test_check(memcmp(buf, m->content + at, n) == 0);
    }
    free(buf);
}

static void fill(uint8_t *p, uint64_t len, uint64_t *rng)
{
    for (uint64_t i = 0; i < len; i += 8) {
        uint64_t v = vmdk_random(rng) | 1;
        memcpy(p + i, &v, 8);
    }
}

static void one_step(struct sink_model *m, struct vf_sink *sink, uint64_t offset, uint64_t len,
                     uint64_t *rng)
{
    uint64_t what = vmdk_random(rng) % 5;
    if (what < 2) {
        fill(m->content + offset, len, rng);
        vf_test_check(vf_sink_write(sink, m->content + offset, (size_t)len, offset, NULL) == 0);
    } else if (what < 4) {
        memset(m->content + offset, 0, (size_t)len);
        vf_test_check(vf_sink_zero(sink, offset, len, NULL) == 0);
    } else {
        uint8_t *buf = malloc((size_t)len);
        vf_test_check(buf);
        vf_test_check(vf_sink_read(sink, buf, (size_t)len, offset, NULL) == 0);
        vf_test_check(memcmp(buf, m->content + offset, (size_t)len) == 0);
        free(buf);
    }
}

void sink_model_exercise(struct sink_model *m, struct vf_sink *sink, unsigned n)
{
    uint64_t sectors = m->size_bytes / 512;
    for (unsigned i = 0; i < n; i++) {
        uint64_t at = vmdk_random(&m->rng) % sectors;
        uint64_t most = vmdk_random(&m->rng) % 4 ? 40 : 3000;
        uint64_t len = 1 + vmdk_random(&m->rng) % most;
        len = len < sectors - at ? len : sectors - at;
        one_step(m, sink, at * 512, len * 512, &m->rng);
    }
    sink_model_compare(m, sink);
}

struct writer {
    struct sink_model *model;
    struct vf_sink *sink;
    unsigned index, n;
    pthread_t thread;
};

static void *write_blocks(void *opaque)
{
    struct writer *w = opaque;
    uint64_t rng = w->index * 2 + 1, blocks = w->model->size_bytes / BLOCK / w->n;
    for (unsigned i = 0; i < 600; i++) {
        uint64_t block = vmdk_random(&rng) % blocks * w->n + w->index;
        one_step(w->model, w->sink, block * BLOCK, BLOCK, &rng);
    }
    return NULL;
}

void sink_model_exercise_parallel(struct sink_model *m, struct vf_sink *sink, unsigned threads)
{
    struct writer writers[MAX_THREADS];
    vf_test_check(threads <= MAX_THREADS && (sink->caps & VF_SINK_PARALLEL));
    for (unsigned i = 0; i < threads; i++) {
        writers[i] = (struct writer){.model = m, .sink = sink, .index = i, .n = threads};
        vf_test_check(pthread_create(&writers[i].thread, NULL, write_blocks, &writers[i]) == 0);
    }
    for (unsigned i = 0; i < threads; i++) {
        pthread_join(writers[i].thread, NULL);
    }
    sink_model_compare(m, sink);
}
