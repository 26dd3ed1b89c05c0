/* Between warm_model.c (the source) and warm_model_target.c (the target and the transport). */
#ifndef TESTS_SUPPORT_WARM_MODEL_PRIVATE_H
#define TESTS_SUPPORT_WARM_MODEL_PRIVATE_H

#include "tests/support/warm_model.h"

#define WARM_SECTOR 512u

/* What becomes of a call. */
enum warm_fate {
    WARM_GO,
    WARM_FAIL, /* done in part, perhaps, and told */
    WARM_DIE,  /* done in part, perhaps; the program ends */
    WARM_DEAD, /* the program has ended: nothing happens any more */
};

/* With the lock held. */
enum warm_fate warm_step(struct warm_model *m);

void warm_fill_sector(uint8_t *p, uint64_t stamp);
bool warm_sector_is(const uint8_t *p, uint64_t stamp);

const struct warm_snapshot *warm_find_snapshot(const struct warm_model *m, const char *moref);
/* Whether a block changed from the state that change ID `since` names to `s`. */
bool warm_block_changed(const struct warm_state *s, const char *since, uint64_t block);

void warm_target_init(struct warm_model *m);
void warm_target_release(struct warm_model *m);

#endif
