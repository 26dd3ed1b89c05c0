/* A sink that keeps the disk in memory and holds its caller to the contract: whatever breaks it
 * aborts the test. Can fail at the nth call, be slow, or take ordered data only. */
#ifndef TESTS_SUPPORT_MEMORY_SINK_H
#define TESTS_SUPPORT_MEMORY_SINK_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

#include <vmferry/cancel.h>
#include <vmferry/sink.h>

#define MEMORY_SINK_ALL                                                                            \
    (VF_SINK_RANDOM | VF_SINK_PARALLEL | VF_SINK_REWRITABLE | VF_SINK_READABLE |                   \
     VF_SINK_STARTS_ZERO)

struct memory_sink {
    struct vf_sink base;
    uint8_t *content; /* begins as 0xa5 everywhere: what is never written shows */
    uint8_t *sectors; /* how often each was written or zeroed */

    pthread_mutex_t lock; /* guards all below */
    unsigned n_writes, n_zeros, n_reads, n_finishes;
    _Atomic unsigned n_flushes; /* looked at while others write */
    unsigned inside, most_inside;
    uint64_t at; /* ordered: what must come next */

    /* Settings, before the first call. */
    unsigned fail_call;       /* 1-based, of write and zero together; 0: never */
    unsigned slow_us;         /* each write takes this long */
    struct vf_cancel *cancel; /* triggered at call number cancel_call */
    unsigned cancel_call;     /* 1-based */
    bool fail_read, fail_flush, fail_finish;
};

/* Freed with vf_sink_free. The memory_sink stays readable until then. */
struct memory_sink *memory_sink_new(uint64_t size_bytes, unsigned caps);

/* Every sector came at least once; once exactly if `once`. */
bool memory_sink_covered(const struct memory_sink *m, bool once);

#endif
