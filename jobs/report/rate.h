/* Bytes a second, smoothed, and what is left at that pace. Pure: the caller tells the time. */
#ifndef JOBS_REPORT_RATE_H
#define JOBS_REPORT_RATE_H

#include <stdbool.h>
#include <stdint.h>

struct vf_rate {
    bool started;
    int64_t first_ms, last_ms;
    uint64_t last_bytes;
    double sum, weight; /* exponentially weighted; the estimate is sum / weight */
};

/* `bytes` is the counter's value at now_ms. A counter or clock that went back starts afresh. */
void vf_rate_sample(struct vf_rate *r, int64_t now_ms, uint64_t bytes);

/* 0 until two samples lie apart. */
uint64_t vf_rate_bytes_per_s(const struct vf_rate *r);

/* Seconds for `left_bytes` more, at least 1; -1 while there is no telling: too little was seen, or
 * nothing moves. */
int64_t vf_rate_eta_s(const struct vf_rate *r, uint64_t left_bytes);

#endif
