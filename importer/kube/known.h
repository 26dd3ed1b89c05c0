/* The objects that a watch has told of, so that after a gap it can tell which are gone. */
#ifndef IMPORTER_KUBE_KNOWN_H
#define IMPORTER_KUBE_KNOWN_H

#include <stdbool.h>
#include <stddef.h>

struct vf_kube_known_object {
    char *ns; /* "" without one */
    char *name;
    char *uid;
    bool seen; /* in the list under way */
};

/* Sorted by namespace and name. Zero-initialised: empty. */
struct vf_kube_known {
    struct vf_kube_known_object *objects;
    size_t n, cap;
};

void vf_kube_known_release(struct vf_kube_known *k);

/* Borrowed until the next change; NULL when there is none. */
struct vf_kube_known_object *vf_kube_known_find(struct vf_kube_known *k, const char *ns,
                                                const char *name);
/* Adds it, or changes its uid; marks it as seen. */
void vf_kube_known_add(struct vf_kube_known *k, const char *ns, const char *name, const char *uid);
void vf_kube_known_remove(struct vf_kube_known *k, const char *ns, const char *name);

#endif
