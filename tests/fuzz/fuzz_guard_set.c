/* VolumeSnapshots as a namespace may hold them: whatever their labels and annotations say, what is
 * called whole is so, and what is built of them is a claim of ours. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "importer/base/json.h"
#include "importer/kube/volume_snapshot.h"
#include "jobs/cluster/guard_set.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_set(const struct vf_guard_set *set)
{
    if (set->number == 0 || set->n == 0 || (set->whole && set->n != set->count)) {
        abort();
    }
    for (size_t i = 0; i < set->n; i++) {
        cJSON *claim = NULL;
        if (set->whole && (!vf_volume_snapshot_claim(set->snapshots[i]) ||
                           !vf_volume_snapshot_is_ready(set->snapshots[i]))) {
            abort();
        }
        if (vf_guard_build_claim(set->snapshots[i], set->snapshots[i], "now", &claim, NULL) == 0 &&
            !vf_owned_is_ours(claim)) {
            abort();
        }
        cJSON_Delete(claim);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct vf_guard_sets sets;
    cJSON *items = NULL;
    if (size > 65536 || vf_json_parse((const char *)data, size, "list", &items, NULL) != 0) {
        return 0;
    }
    vf_guard_sets_read(items, &sets);
    for (size_t i = 0; i < sets.n; i++) {
        if (i > 0 && sets.sets[i].number >= sets.sets[i - 1].number) {
            abort();
        }
        check_set(&sets.sets[i]);
    }
    vf_guard_sets_release(&sets);
    cJSON_Delete(items);
    return 0;
}
