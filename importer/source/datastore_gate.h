/* How many requests are under way at once. A server that says it is busy gets half as many, and
 * then, as long as it answers, one more from time to time, up to what was asked for.
 */
#ifndef IMPORTER_SOURCE_DATASTORE_GATE_H
#define IMPORTER_SOURCE_DATASTORE_GATE_H

#include <pthread.h>
#include <stdbool.h>

#include <vmferry/cancel.h>
#include <vmferry/error.h>

struct vf_datastore_gate {
    pthread_mutex_t lock; /* of all below; no other lock is taken under it */
    pthread_cond_t changed;
    unsigned max, limit, under_way;
    unsigned good; /* answers since the limit changed */
    unsigned era;  /* counts how often it was lowered */
};

void vf_datastore_gate_init(struct vf_datastore_gate *g, unsigned max);
void vf_datastore_gate_release(struct vf_datastore_gate *g);

/* Waits for a place: 0 or VF_CANCELLED. What has one ends within a time of its own, and so does the
 * wait. *ret_era is for the leave. */
int vf_datastore_gate_enter(struct vf_datastore_gate *g, const struct vf_cancel *cancel,
                            unsigned *ret_era, struct vf_error **err);

enum vf_datastore_outcome { VF_DATASTORE_GOOD, VF_DATASTORE_BUSY, VF_DATASTORE_OTHER };

/* Requests that were refused together lower the limit once: only those begun since it was lowered
 * last count. */
void vf_datastore_gate_leave(struct vf_datastore_gate *g, unsigned era,
                             enum vf_datastore_outcome outcome);

unsigned vf_datastore_gate_get_limit(struct vf_datastore_gate *g);

#endif
