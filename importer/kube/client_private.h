/* What the files of the client share. */
#ifndef IMPORTER_KUBE_CLIENT_PRIVATE_H
#define IMPORTER_KUBE_CLIENT_PRIVATE_H

#include <stdbool.h>
#include <stddef.h>

#include "importer/base/http.h"
#include "importer/base/retry.h"
#include "importer/kube/allowed.h"
#include "importer/kube/client.h"
#include "importer/kube/credential.h"
#include "importer/kube/status.h"

#define VF_KUBE_MAX_OBJECT_BYTES (8u << 20) /* etcd takes 1.5 MiB, the API server 3 MiB */
#define VF_KUBE_MAX_LIST_BYTES   (64u << 20)

struct vf_kube_client {
    struct vf_kube_config *config;
    struct vf_kube_keeper *keeper;
    struct vf_retry_policy retry;
    unsigned timeout_ms;
    unsigned watch_s;
    struct vf_kube_allowed allowed;
    const struct vf_cancel *cancel;
};

/* One request, to be built and sent, perhaps again. */
struct vf_kube_call {
    struct vf_kube_action action;
    const char *method;
    char *url;
    char *body; /* NULL: none */
    const char *content_type;
    const char *accept; /* the header's line; NULL: JSON */
    bool repeatable;    /* may be done twice without harm */
    size_t max_answer_bytes;
    const struct vf_cancel *cancel;
    int64_t deadline_ms; /* of all tries, on vf_clock_ms(); 0: none */
    bool in_doubt;       /* set: an earlier try may have been carried out */
};

/* `query` begins with "?" or is empty. VF_INVALID for names that no path may hold. */
int vf_kube_call_init(struct vf_kube_call *call, const struct vf_kube_client *client,
                      const struct vf_kube_ref *ref, const char *verb, const char *query,
                      const struct vf_cancel *cancel, struct vf_error **err);
void vf_kube_call_release(struct vf_kube_call *call);

/* Sends until it is answered well, or there is no sense in another try. */
int vf_kube_call_send(struct vf_kube_client *client, struct vf_kube_call *call,
                      struct vf_http_response *ret_response, struct vf_error **err);

/* And the answer as a tree, NULL when it is empty. */
int vf_kube_call_fetch(struct vf_kube_client *client, struct vf_kube_call *call, cJSON **ret_tree,
                       struct vf_error **err);

/* As fetch, once, but the answer comes as a stream; the credential is given back after it. */
int vf_kube_call_open(struct vf_kube_client *client, struct vf_kube_call *call,
                      unsigned stall_timeout_ms, struct vf_kube_credential **ret_credential,
                      struct vf_stream **ret_stream, struct vf_error **err);

/* vf_kube_list() with a deadline. */
int vf_kube_list_until(struct vf_kube_client *client, const struct vf_kube_ref *ref,
                       const struct vf_kube_select *select, const struct vf_cancel *cancel,
                       int64_t deadline_ms, cJSON **ret_items, char **ret_version,
                       struct vf_error **err);

/* The query of a list or watch: "?" with `first` and both selectors, a named object's too. */
char *vf_kube_select_query(const char *first, const struct vf_kube_ref *ref,
                           const struct vf_kube_select *select);

#endif
