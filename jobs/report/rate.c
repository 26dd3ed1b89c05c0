#include "jobs/report/rate.h"

/* A change of pace shows within about this time. Long enough to bridge the runs of zeros that a
 * disk has, which "copy" at memory speed. */
#define TIME_CONSTANT_MS 8000
#define MIN_SEEN_MS      1000
#define MAX_ETA_S        (INT64_C(100) * 86400)

void vf_rate_sample(struct vf_rate *r, int64_t now_ms, uint64_t bytes)
{
    if (!r->started || bytes < r->last_bytes || now_ms < r->last_ms) {
        *r = (struct vf_rate){
            .started = true, .first_ms = now_ms, .last_ms = now_ms, .last_bytes = bytes};
        return;
    }
    if (now_ms == r->last_ms) {
        return;
    }
    double step_ms = (double)(now_ms - r->last_ms);
    double now_rate = (double)(bytes - r->last_bytes) * 1000 / step_ms;
    /* The weight is smoothed like the sum, so that the first samples are not pulled towards 0. */
    double share = step_ms / (step_ms + TIME_CONSTANT_MS);
    r->sum += share * (now_rate - r->sum);
    r->weight += share * (1 - r->weight);
    r->last_ms = now_ms;
    r->last_bytes = bytes;
}

uint64_t vf_rate_bytes_per_s(const struct vf_rate *r)
{
    return r->weight > 0 ? (uint64_t)(r->sum / r->weight) : 0;
}

int64_t vf_rate_eta_s(const struct vf_rate *r, uint64_t left_bytes)
{
    if (left_bytes == 0) {
        return 0;
    }
    if (!r->started || r->last_ms - r->first_ms < MIN_SEEN_MS) {
        return -1;
    }
    uint64_t rate = vf_rate_bytes_per_s(r);
    if (rate == 0) {
        return -1;
    }
    uint64_t seconds = left_bytes / rate + (left_bytes % rate > rate / 2);
    return seconds > MAX_ETA_S ? -1 : seconds > 0 ? (int64_t)seconds : 1;
}
