/* A Kubernetes API server as a client meets it: JSON over HTTPS, any resource by its name.
 *
 * Sources: kubernetes.io/docs/reference/using-api/api-concepts (verbs, paging, watches, dry run,
 * field validation), .../server-side-apply, and the API conventions
 * (github.com/kubernetes/community, api-conventions.md: Status, reasons, causes).
 *
 * Threads: a client may be used by several at once. Cancellation: every call ends within a second.
 * Trees that are returned are the caller's (cJSON_Delete). Answers are capped in size.
 *
 * Trying again: reads, server-side apply, merge patches without a resourceVersion and deletes are
 * repeated after broken connections, 5xx and 429, as long as the retry policy lets them. Creates,
 * updates and the other patches are repeated only when the server cannot have acted: the connection
 * did not come about, or the server said to come again (429, or 5xx with Retry-After). A 403
 * for what this client was allowed before is tried again for 20 s: a server that was just started
 * knows no roles yet. VF_RETRY from one of these means that it may or may not have happened; apply
 * is the way around that.
 *
 * Errors of the server: VF_AUTH (401, 403: verb and resource are named; a 403 for a quota is
 * VF_SPACE, one of an admission webhook VF_INVALID), VF_MISSING (404, reason "NotFound"),
 * VF_CONFLICT (409, reason "AlreadyExists" or "Conflict" or none of them), VF_INVALID (400, 422:
 * with the fields), VF_UNSUPPORTED (reason VF_KUBE_REASON_NOT_SERVED: no such resource here; 405,
 * 406, 415), VF_SPACE (answer too large, 413), VF_RETRY (429, 5xx). The reason is
 * vf_error_reason(), the status vf_error_http_status().
 */
#ifndef IMPORTER_KUBE_CLIENT_H
#define IMPORTER_KUBE_CLIENT_H

#include <cjson/cJSON.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <vmferry/cancel.h>
#include <vmferry/error.h>

#include "importer/base/retry.h"
#include "importer/kube/config.h"

#define VF_KUBE_FIELD_MANAGER "vmferry"

/* Reasons of the server's (metav1.StatusReason) that callers decide on, and one of ours. */
#define VF_KUBE_REASON_ALREADY_EXISTS "AlreadyExists"
#define VF_KUBE_REASON_CONFLICT       "Conflict"
#define VF_KUBE_REASON_NOT_FOUND      "NotFound"
#define VF_KUBE_REASON_EXPIRED        "Expired"
#define VF_KUBE_REASON_NOT_SERVED     "NotServed"
#define VF_KUBE_REASON_TIMEOUT        "DeadlineExceeded" /* of vf_kube_wait */

struct vf_kube_client;

struct vf_kube_client_options {
    const struct vf_retry_policy *retry; /* NULL: for up to a minute */
    unsigned timeout_ms;                 /* of one request; 0: 60 s */
    unsigned watch_s; /* a watch is renewed after this many seconds; 0: 120. Silence of that long
                         and a little more is a broken connection */
};

/* Takes `config` over, on failure too. No request is made yet. `options` and `cancel` may be NULL;
 * `cancel` must outlive the client. VF_INVALID for certificates and keys that are none. */
int vf_kube_client_new(struct vf_kube_config *config, const struct vf_kube_client_options *options,
                       const struct vf_cancel *cancel, struct vf_kube_client **ret_client,
                       struct vf_error **err);
void vf_kube_client_free(struct vf_kube_client *client);

/* Borrowed: the namespace of what names none; `context "prod" of kubeconfig "..."`. */
const char *vf_kube_client_namespace(const struct vf_kube_client *client);
const char *vf_kube_client_origin(const struct vf_kube_client *client);

/* A kind of object, as URLs name it. */
struct vf_kube_resource {
    const char *group; /* "cdi.kubevirt.io"; "" for the core */
    const char *version;
    const char *plural; /* "datavolumes" */
    bool namespaced;
};

/* One object, or with a NULL name all of a namespace. */
struct vf_kube_ref {
    const struct vf_kube_resource *resource;
    const char *ns;          /* NULL: the client's; not looked at when the resource has none */
    const char *name;        /* NULL for a list, and for a create of an object that names itself */
    const char *subresource; /* "status", "start", "token"; NULL: none */
    bool all_namespaces;     /* for lists and watches */
};

struct vf_kube_options {
    bool dry_run;                   /* the server checks everything and keeps nothing */
    bool force;                     /* of apply: take over fields that others manage */
    const struct vf_cancel *cancel; /* a child of the client's, looked at instead; NULL: that */
    /* Of get. */
    int64_t timeout_ms; /* with all tries; 0: as long as the client tries again */
    /* Of delete. */
    const char *propagation; /* "Background", "Foreground", "Orphan"; NULL: the server's choice */
    const char *uid;         /* only the object that has this one; another is VF_CONFLICT */
};

/* `options` may be NULL; so may `ret_object`, when what the server made of it is of no interest.
 * Fields that the server does not know are refused (fieldValidation=Strict). */

int vf_kube_get(struct vf_kube_client *client, const struct vf_kube_ref *ref,
                const struct vf_kube_options *options, cJSON **ret_object, struct vf_error **err);

/* POST to the collection, or to a subresource when one is named (serviceaccounts/NAME/token). */
int vf_kube_create(struct vf_kube_client *client, const struct vf_kube_ref *ref,
                   const cJSON *object, const struct vf_kube_options *options, cJSON **ret_object,
                   struct vf_error **err);

/* Server-side apply as field manager "vmferry": creates or changes. Fields that another manager
 * owns with another value are VF_CONFLICT, the fields named, unless forced. */
int vf_kube_apply(struct vf_kube_client *client, const struct vf_kube_ref *ref, const cJSON *object,
                  const struct vf_kube_options *options, cJSON **ret_object, struct vf_error **err);

/* RFC 7396. */
int vf_kube_merge_patch(struct vf_kube_client *client, const struct vf_kube_ref *ref,
                        const cJSON *patch, const struct vf_kube_options *options,
                        cJSON **ret_object, struct vf_error **err);

/* PUT, of an object with the resourceVersion it was read with, or of a subresource ("status", or
 * KubeVirt's "start", which answers nothing: *ret_object is NULL then). `object` may be NULL: an
 * empty one. */
int vf_kube_update(struct vf_kube_client *client, const struct vf_kube_ref *ref,
                   const cJSON *object, const struct vf_kube_options *options, cJSON **ret_object,
                   struct vf_error **err);

/* Returns when the server accepted; finalizers may keep the object for longer. An object that is
 * gone when the request has to be repeated counts as deleted. */
int vf_kube_delete(struct vf_kube_client *client, const struct vf_kube_ref *ref,
                   const struct vf_kube_options *options, struct vf_error **err);

struct vf_kube_select {
    const char *labels; /* "app.kubernetes.io/managed-by=vmferry"; NULL: all */
    const char *fields; /* "metadata.name=x"; NULL: all */
    bool metadata_only; /* of lists: objects come without what is not metadata */
};

/* All objects, page by page; begun anew when the pages expire. *ret_items is an array;
 * *ret_version (may be NULL) the list's resourceVersion, heap. VF_SPACE beyond 64 MiB in all. */
int vf_kube_list(struct vf_kube_client *client, const struct vf_kube_ref *ref,
                 const struct vf_kube_select *select, const struct vf_kube_options *options,
                 cJSON **ret_items, char **ret_version, struct vf_error **err);

/* One object of a list, borrowed. A NULL item: what was told before is void, the list is begun
 * anew. Other than 0 ends it, and is returned. */
typedef int vf_kube_item_fn(void *opaque, const cJSON *item, struct vf_error **err);

/* As vf_kube_list, but each object is told, and no more than a page of them is held: for lists that
 * may be of any length. */
int vf_kube_each(struct vf_kube_client *client, const struct vf_kube_ref *ref,
                 const struct vf_kube_select *select, const struct vf_kube_options *options,
                 vf_kube_item_fn *each, void *opaque, struct vf_error **err);

/* Is the resource served here? VF_UNSUPPORTED with reason VF_KUBE_REASON_NOT_SERVED when not: the
 * message tells whether group, version or resource is missing, and which versions there are.
 * `product` is what brings it ("CDI"), for the hint. */
int vf_kube_check_resource(struct vf_kube_client *client, const struct vf_kube_resource *resource,
                           const char *product, struct vf_error **err);

#endif
