/* A stage that knows what is durable: it notes what was written, flushes the target every so often,
 * and tells which areas a flush has made safe. What a checkpoint may name comes from here alone.
 *
 * While a flush runs no write is under way (sink.h), so it comes after `interval_bytes` or
 * `interval_ms`, whichever is first; what is told about it afterwards stalls nobody.
 */
#ifndef JOBS_STAGES_JOURNAL_H
#define JOBS_STAGES_JOURNAL_H

#include <stdbool.h>
#include <stdint.h>

#include <vmferry/sink.h>

#include "importer/base/areas.h"

/* `areas` became durable: every byte of them was written before, and flushed. On the thread that
 * writes or flushes, several at once when flushes come quickly; no lock is held. Its failure fails
 * the write that it came from. */
typedef int vf_journal_fn(void *opaque, const struct vf_areas *areas, struct vf_error **err);

/* As every stage, it owns `next` (jobs/stages/stage.h) and may be written to by several threads if
 * that may. Nothing is noted before vf_journal_begin. */
struct vf_sink *vf_journal_stage_new(struct vf_sink *next, vf_journal_fn *durable, void *opaque);

/* Forget what was noted and not flushed, and flush on reaching these from now on. No write may be
 * under way. 0 ms: never by time. */
void vf_journal_begin(struct vf_sink *journal, uint64_t interval_bytes, int64_t interval_ms);

/* How many bytes between flushes, of a copy of total_bytes: 1 %, at least 8 MiB, at most 1 GiB. */
uint64_t vf_journal_interval_bytes(uint64_t total_bytes);

enum vf_journal_health {
    VF_JOURNAL_WELL,
    /* A write failed: it is not known what stands where it was to go. A flush still makes the
     * others durable. */
    VF_JOURNAL_WRITE_FAILED,
    /* A flush failed: what was written before it may be lost though a later flush is good (the
     * kernel drops pages that it could not write), so every later flush fails too. */
    VF_JOURNAL_FLUSH_FAILED,
};

/* The worst since it was made. Of what the sink behind said, cancellations apart; not of
 * `durable`. */
enum vf_journal_health vf_journal_health(const struct vf_sink *journal);

#endif
