#include "importer/kube/known.h"

#include <stdlib.h>
#include <string.h>

#include "importer/base/mem.h"

static void release_object(struct vf_kube_known_object *o)
{
    free(o->ns);
    free(o->name);
    free(o->uid);
}

void vf_kube_known_release(struct vf_kube_known *k)
{
    for (size_t i = 0; i < k->n; i++) {
        release_object(&k->objects[i]);
    }
    free(k->objects);
    *k = (struct vf_kube_known){0};
}

/* Where it stands, or would stand. */
static size_t locate(const struct vf_kube_known *k, const char *ns, const char *name,
                     bool *ret_found)
{
    size_t low = 0, high = k->n;
    *ret_found = false;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        const struct vf_kube_known_object *o = &k->objects[middle];
        int order = strcmp(ns, o->ns);
        order = order ? order : strcmp(name, o->name);
        if (order == 0) {
            *ret_found = true;
            return middle;
        }
        if (order < 0) {
            high = middle;
        } else {
            low = middle + 1;
        }
    }
    return low;
}

struct vf_kube_known_object *vf_kube_known_find(struct vf_kube_known *k, const char *ns,
                                                const char *name)
{
    bool found;
    size_t i = locate(k, ns, name, &found);
    return found ? &k->objects[i] : NULL;
}

void vf_kube_known_add(struct vf_kube_known *k, const char *ns, const char *name, const char *uid)
{
    bool found;
    size_t i = locate(k, ns, name, &found);
    if (found) {
        vf_replace_string(&k->objects[i].uid, uid);
        k->objects[i].seen = true;
        return;
    }
    if (k->n == k->cap) {
        k->cap = k->cap ? 2 * k->cap : 16;
        k->objects = vf_xrealloc_array(k->objects, k->cap, sizeof *k->objects);
    }
    memmove(&k->objects[i + 1], &k->objects[i], (k->n - i) * sizeof *k->objects);
    k->objects[i] = (struct vf_kube_known_object){
        .ns = vf_xstrdup(ns), .name = vf_xstrdup(name), .uid = vf_xstrdup(uid), .seen = true};
    k->n++;
}

void vf_kube_known_remove(struct vf_kube_known *k, const char *ns, const char *name)
{
    bool found;
    size_t i = locate(k, ns, name, &found);
    if (found) {
        release_object(&k->objects[i]);
        k->n--;
        memmove(&k->objects[i], &k->objects[i + 1], (k->n - i) * sizeof *k->objects);
    }
}
