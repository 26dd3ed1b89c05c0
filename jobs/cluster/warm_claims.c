#include "jobs/cluster/warm_claims.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "converters/vm/names.h"
#include "importer/base/json.h"
#include "importer/base/mem.h"
#include "importer/kube/metadata.h"
#include "importer/kube/resources.h"

/* "3 Hard disk 4", and a name that goes with it: others are not made by vmferry as they are. */
static bool read_number(const struct vf_landing_cluster *l, const cJSON *object, unsigned *ret)
{
    const char *text = vf_kube_annotation(object, VF_OWNED_DISK);
    char *end;
    if (!text || *text < '0' || *text > '9') {
        return false;
    }
    unsigned long n = strtoul(text, &end, 10);
    if ((*end != '\0' && *end != ' ') || n > UINT16_MAX) {
        return false;
    }
    char *vf_autofree name = vf_name_of_disk(l->owner.import, (size_t)n);
    *ret = (unsigned)n;
    return strcmp(name, vf_kube_name(object)) == 0;
}

enum vf_owned vf_warm_judge(const struct vf_owner *owner, const cJSON *object)
{
    if (!vf_owned_is_warm(object)) {
        return VF_OWNED_NOT;
    }
    if (owner->source_uuid) {
        return vf_owned_judge(object, owner);
    }
    if (!vf_kube_has_label(object, VF_OWNED_IMPORT, owner->import)) {
        return VF_OWNED_OTHER;
    }
    return vf_kube_has_label(object, VF_OWNED_STATE, VF_OWNED_COMPLETE) ? VF_OWNED_FINISHED
                                                                        : VF_OWNED_UNFINISHED;
}

static int by_number(const void *a, const void *b)
{
    const struct vf_warm_claim *x = a, *y = b;
    return x->number < y->number ? -1 : x->number > y->number;
}

int vf_warm_claims_fetch(struct vf_landing_cluster *l, const struct vf_cancel *cancel,
                         struct vf_warm_claims *ret, struct vf_error **err)
{
    char *vf_autofree labels = vf_xasprintf(
        VF_OWNED_MIGRATION "=" VF_OWNED_WARM "," VF_OWNED_IMPORT "=%s", l->owner.import);
    const struct vf_kube_ref ref = {.resource = &vf_kube_claims, .ns = l->ns};
    const struct vf_kube_select select = {.labels = labels};
    const struct vf_kube_options options = {.cancel = cancel};
    cJSON *items = NULL;
    int rc = vf_kube_list(l->client, &ref, &select, &options, &items, NULL, err);
    if (rc) {
        return rc;
    }
    struct vf_warm_claims c = {
        .claims = vf_xcalloc((size_t)cJSON_GetArraySize(items) + 1, sizeof *c.claims)};
    const cJSON *item;
    cJSON_ArrayForEach(item, items)
    {
        enum vf_owned owned = vf_warm_judge(&l->owner, item);
        struct vf_warm_claim k = {.complete = owned == VF_OWNED_FINISHED,
                                  .deleted = vf_kube_is_being_deleted(item)};
        if (vf_kube_name(item) && read_number(l, item, &k.number) &&
            (owned == VF_OWNED_UNFINISHED || owned == VF_OWNED_FINISHED)) {
            k.name = vf_xstrdup(vf_kube_name(item));
            const cJSON *spec = vf_json_object(item, "spec");
            k.storage_class = vf_xstrdup(vf_json_string(spec, "storageClassName"));
            k.volume_mode = vf_xstrdup(vf_json_string(spec, "volumeMode"));
            c.claims[c.n++] = k;
        }
    }
    qsort(c.claims, c.n, sizeof *c.claims, by_number);
    cJSON_Delete(items);
    *ret = c;
    return 0;
}

void vf_warm_claims_release(struct vf_warm_claims *c)
{
    for (size_t i = 0; i < c->n; i++) {
        free(c->claims[i].name);
        free(c->claims[i].storage_class);
        free(c->claims[i].volume_mode);
    }
    free(c->claims);
    *c = (struct vf_warm_claims){0};
}

void vf_warm_claims_set_keys(struct vf_warm_claims *c, const struct vf_checkpoint *checkpoint)
{
    for (size_t i = 0; i < c->n; i++) {
        struct vf_warm_claim *k = &c->claims[i];
        k->has_key = false;
        for (size_t j = 0; j < checkpoint->n_disks && !k->has_key; j++) {
            const struct vf_checkpoint_disk *d = &checkpoint->disks[j];
            if (strcmp(d->target, k->name) == 0) {
                k->has_key = true;
                k->key = d->key;
            }
        }
    }
}

/* For a disk without one of its own key. What another disk left is not free, gone or not: it is
 * of that one's size. */
static size_t find_free(const struct vf_warm_claims *c, const bool *taken, size_t disk)
{
    size_t any = VF_WARM_NO_CLAIM;
    for (size_t i = 0; i < c->n; i++) {
        const struct vf_warm_claim *k = &c->claims[i];
        if (taken[i] || k->has_key || k->deleted) {
            continue;
        }
        if (k->number == disk) {
            return i;
        }
        any = any == VF_WARM_NO_CLAIM ? i : any;
    }
    return any;
}

void vf_warm_claims_match(const struct vf_warm_claims *c, const struct vf_vm *vm,
                          size_t *ret_claim_of_disk)
{
    bool *taken = vf_xcalloc(c->n + 1, sizeof *taken);
    for (size_t d = 0; d < vm->n_disks; d++) {
        ret_claim_of_disk[d] = VF_WARM_NO_CLAIM;
        for (size_t i = 0; i < c->n; i++) {
            if (!taken[i] && c->claims[i].has_key && c->claims[i].key == vm->disks[d].key) {
                ret_claim_of_disk[d] = i;
                taken[i] = true;
                break;
            }
        }
    }
    /* First those whose own number is free, so that none loses it to another. */
    for (int any = 0; any < 2; any++) {
        for (size_t d = 0; d < vm->n_disks; d++) {
            size_t i = ret_claim_of_disk[d] == VF_WARM_NO_CLAIM ? find_free(c, taken, d)
                                                                : VF_WARM_NO_CLAIM;
            if (i != VF_WARM_NO_CLAIM && (any || c->claims[i].number == d)) {
                ret_claim_of_disk[d] = i;
                taken[i] = true;
            }
        }
    }
    free(taken);
}

unsigned vf_warm_claims_free_number(const struct vf_warm_claims *c, const unsigned *taken,
                                    size_t n_taken)
{
    for (unsigned number = 0;; number++) {
        bool used = false;
        for (size_t i = 0; i < c->n; i++) {
            used |= c->claims[i].number == number;
        }
        for (size_t i = 0; i < n_taken; i++) {
            used |= taken[i] == number;
        }
        if (!used) {
            return number;
        }
    }
}
