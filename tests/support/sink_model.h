/* A sink that takes writes at random, against what it should hold. Failures are cmocka's, but those
 * on threads abort. */
#ifndef TESTS_SUPPORT_SINK_MODEL_H
#define TESTS_SUPPORT_SINK_MODEL_H

#include <stdint.h>

#include <vmferry/sink.h>

struct sink_model {
    uint8_t *content;
    uint64_t size_bytes;
    uint64_t rng;
};

void sink_model_init(struct sink_model *m, uint64_t size_bytes, uint64_t seed);
void sink_model_release(struct sink_model *m);

/* n random writes, zeros and reads, on top of one another; then compares all. */
void sink_model_exercise(struct sink_model *m, struct vf_sink *sink, unsigned n);
/* Each thread writes, zeroes and reads its own 4 KiB blocks, all in random order. */
void sink_model_exercise_parallel(struct sink_model *m, struct vf_sink *sink, unsigned threads);
void sink_model_compare(const struct sink_model *m, struct vf_sink *sink);

#endif
