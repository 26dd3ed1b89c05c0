#include "importer/kube/allowed.h"

#include <string.h>

#include "importer/base/xxh64.h"

static void add_text(struct vf_xxh64 *x, const char *text)
{
    vf_xxh64_update(x, text ? text : "", text ? strlen(text) + 1 : 1); /* with its end */
}

static uint64_t key_of(const struct vf_kube_action *a)
{
    struct vf_xxh64 x;
    vf_xxh64_init(&x);
    add_text(&x, a->verb);
    add_text(&x, a->resource->group);
    add_text(&x, a->resource->plural);
    add_text(&x, a->subresource);
    add_text(&x, a->ns);
    return vf_xxh64_get(&x);
}

static bool has(const struct vf_kube_allowed *a, uint64_t key)
{
    for (size_t i = 0; i < a->n; i++) {
        if (a->keys[i] == key) {
            return true;
        }
    }
    return false;
}

void vf_kube_allowed_init(struct vf_kube_allowed *a)
{
    a->n = 0;
    pthread_mutex_init(&a->lock, NULL);
}

void vf_kube_allowed_release(struct vf_kube_allowed *a)
{
    pthread_mutex_destroy(&a->lock);
}

void vf_kube_allowed_note(struct vf_kube_allowed *a, const struct vf_kube_action *action)
{
    uint64_t key = key_of(action);
    pthread_mutex_lock(&a->lock);
    if (a->n < VF_KUBE_MAX_ALLOWED && !has(a, key)) {
        a->keys[a->n++] = key;
    }
    pthread_mutex_unlock(&a->lock);
}

bool vf_kube_allowed_has(struct vf_kube_allowed *a, const struct vf_kube_action *action)
{
    uint64_t key = key_of(action);
    pthread_mutex_lock(&a->lock);
    bool found = has(a, key);
    pthread_mutex_unlock(&a->lock);
    return found;
}
