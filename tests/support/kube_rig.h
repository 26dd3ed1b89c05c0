/* A client of the Kubernetes API before a scripted API server on TLS, for tests. */
#ifndef TESTS_SUPPORT_KUBE_RIG_H
#define TESTS_SUPPORT_KUBE_RIG_H

#include <stdatomic.h>
#include <stdbool.h>

#include "importer/kube/client.h"
#include "tests/support/http_server.h"

extern const struct vf_kube_resource vf_test_datavolumes; /* cdi.kubevirt.io/v1beta1, namespaced */

struct vf_test_kube;

/* Answers one request; `n` counts them from 1. */
typedef void vf_test_kube_handler(struct vf_test_kube *k, struct vf_test_exchange *x, unsigned n);

struct vf_test_kube {
    struct vf_test_server *server;
    struct vf_kube_client *client;
    struct vf_cancel *cancel;
    vf_test_kube_handler *handler;
    atomic_uint n;
    void *opaque;               /* the test's; */
    _Atomic(const char *) text; /* and a text, that it may change between requests */
    struct vf_error *err;
};

/* With the token "t0" and the namespace "prod", tries again within milliseconds. */
void vf_test_kube_start(struct vf_test_kube *k, vf_test_kube_handler *handler);
/* With a configuration of the test's own: its server, ns and ca_pem are filled in when NULL. */
void vf_test_kube_start_with(struct vf_test_kube *k, vf_test_kube_handler *handler,
                             struct vf_kube_config *config);
void vf_test_kube_stop(struct vf_test_kube *k);

/* A Status as the API server words it; `details` is JSON or NULL. */
void vf_test_kube_status(struct vf_test_exchange *x, int code, const char *reason,
                         const char *message, const char *details, const char *headers);

/* Parts of a watch's answer: the head, one event, the proper end. */
void vf_test_kube_begin_watch(struct vf_test_exchange *x);
void vf_test_kube_chunk(struct vf_test_exchange *x, const char *text);
void vf_test_kube_end_watch(struct vf_test_exchange *x);

bool vf_test_target_has(const struct vf_test_exchange *x, const char *text);

/* Fails the test unless the error's text, with its frames and its hint, holds `text`. */
void vf_test_expect_error(const struct vf_error *err, const char *text);

/* A new folder under /tmp; a file in it; and both gone again. Paths are heap, the caller's. */
char *vf_test_make_dir(void);
char *vf_test_make_file(const char *dir, const char *name, const char *text, unsigned mode);
void vf_test_remove_dir(char *dir);

#endif
