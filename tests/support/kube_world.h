/* An API server that keeps what it is given, for tests: get, list by labels, create (dry run too),
 * merge patch with its preconditions, delete. No schemas, no controllers, no watches.
 */
#ifndef TESTS_SUPPORT_KUBE_WORLD_H
#define TESTS_SUPPORT_KUBE_WORLD_H

#include <cjson/cJSON.h>
#include <pthread.h>
#include <stdbool.h>

#include "importer/base/buf.h"
#include "tests/support/kube_rig.h"

struct vf_test_world;

/* Looks at a request first, under the lock; true: it was answered. */
typedef bool vf_test_world_hook(struct vf_test_world *w, struct vf_test_exchange *x);

struct vf_test_world {
    struct vf_test_kube kube;
    char *dir, *kubeconfig; /* a file, for the namespace "prod" */
    pthread_mutex_t lock;   /* guards what follows */
    cJSON *objects;         /* by path: "/api/v1/namespaces/prod/configmaps/x" */
    unsigned version;
    struct vf_buf log; /* "PATCH /api/...\n" of every request that changes something */
    vf_test_world_hook *hook;
    void *opaque; /* the test's */
};

void vf_test_world_start(struct vf_test_world *w);
void vf_test_world_stop(struct vf_test_world *w);

/* Takes `object` over; makes uid and resourceVersion. */
void vf_test_world_put(struct vf_test_world *w, const char *collection, cJSON *object);
/* A copy, the caller's; NULL when there is none. */
cJSON *vf_test_world_get(struct vf_test_world *w, const char *collection, const char *name);
/* How many requests of that form ("POST /apis/...") came; a prefix serves. */
unsigned vf_test_world_count(struct vf_test_world *w, const char *request);

#endif
