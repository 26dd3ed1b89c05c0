/* Lists, page by page (api-concepts, "Retrieving large results sets in chunks"). */
#include <stdlib.h>
#include <string.h>

#include "importer/base/buf.h"
#include "importer/base/http.h"
#include "importer/base/json.h"
#include "importer/base/mem.h"
#include "importer/kube/client_private.h"

#define PAGE_ITEMS 500
/* Pages without items are allowed, endlessly many are not. */
#define MAX_PAGES 1000
/* A list that takes longer than etcd keeps its version (5 minutes) is begun anew. */
#define MAX_BEGINNINGS 3

/* What does not know the short form answers with the whole one (api-concepts, "Receiving resources
 * as Tables", "Alternate representations of resources"). */
#define METADATA_ONLY                                                                              \
    "Accept: application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1,application/json"

struct listing {
    struct vf_kube_client *client;
    struct vf_kube_ref ref;
    const struct vf_kube_select *select;
    const struct vf_cancel *cancel;
    int64_t deadline_ms;
    vf_kube_item_fn *each; /* NULL: they are kept in `items` */
    void *opaque;
    cJSON *items;
    char *version;
    char *next; /* the "continue" of the page before; NULL: none */
    size_t bytes;
    unsigned pages;
};

char *vf_kube_select_query(const char *first, const struct vf_kube_ref *ref,
                           const struct vf_kube_select *select)
{
    const char *labels = select ? select->labels : NULL;
    const char *fields = select ? select->fields : NULL;
    struct vf_buf b;
    vf_buf_init(&b, SIZE_MAX);
    vf_buf_printf(&b, "?%s", first);
    if (labels) {
        char *vf_autofree text = vf_http_escape(labels);
        vf_buf_printf(&b, "&labelSelector=%s", text);
    }
    if (fields || ref->name) {
        char *vf_autofree both =
            vf_xasprintf("%s%s%s%s", fields ? fields : "", fields && ref->name ? "," : "",
                         ref->name ? "metadata.name=" : "", ref->name ? ref->name : "");
        char *vf_autofree text = vf_http_escape(both);
        vf_buf_printf(&b, "&fieldSelector=%s", text);
    }
    return vf_buf_take_string(&b);
}

static int fetch_page(struct listing *l, cJSON **ret_page, struct vf_error **err)
{
    char *vf_autofree token = l->next ? vf_http_escape(l->next) : NULL;
    char *vf_autofree first =
        vf_xasprintf("limit=%d%s%s", PAGE_ITEMS, token ? "&continue=" : "", token ? token : "");
    char *vf_autofree query = vf_kube_select_query(first, &l->ref, l->select);
    struct vf_kube_ref collection = l->ref;
    struct vf_kube_call call;
    struct vf_http_response r = {0};
    collection.name = NULL;
    if (l->bytes >= VF_KUBE_MAX_LIST_BYTES) {
        return vf_error_set(err, VF_SPACE, "the API server's list of %s is larger than %u MiB",
                            l->ref.resource->plural, VF_KUBE_MAX_LIST_BYTES >> 20);
    }
    int rc = vf_kube_call_init(&call, l->client, &collection, "list", query, l->cancel, err);
    if (rc) {
        return rc;
    }
    call.repeatable = true;
    call.accept = l->select && l->select->metadata_only ? METADATA_ONLY : NULL;
    call.deadline_ms = l->deadline_ms;
    call.max_answer_bytes = VF_KUBE_MAX_LIST_BYTES - l->bytes;
    rc = vf_kube_call_send(l->client, &call, &r, err);
    if (!rc) {
        l->bytes += r.body_len;
        rc = vf_json_parse(r.body, r.body_len, "the API server's list", ret_page, err);
    }
    vf_http_response_release(&r);
    vf_kube_call_release(&call);
    return rc;
}

static int take_items(struct listing *l, cJSON *page, struct vf_error **err)
{
    cJSON *items = cJSON_GetObjectItemCaseSensitive(page, "items");
    int rc = 0;
    for (cJSON *item = items ? items->child : NULL; item && rc == 0;) {
        cJSON *next = item->next;
        if (l->each) {
            rc = l->each(l->opaque, item, err);
        } else {
            cJSON_AddItemToArray(l->items, cJSON_DetachItemViaPointer(items, item));
        }
        item = next;
    }
    return rc;
}

static int add_page(struct listing *l, struct vf_error **err)
{
    cJSON *page = NULL;
    int rc = fetch_page(l, &page, err);
    if (rc) {
        return rc;
    }
    const cJSON *metadata = vf_json_object(page, "metadata");
    const char *version = vf_json_string(metadata, "resourceVersion");
    const char *next = vf_json_string(metadata, "continue");
    /* "items" may be null when there are none. */
    const cJSON *items = cJSON_GetObjectItemCaseSensitive(page, "items");
    if (!version || (items && !cJSON_IsArray(items) && !cJSON_IsNull(items))) {
        rc = vf_error_set(err, VF_INVALID, "the API server's list of %s is none",
                          l->ref.resource->plural);
    } else if (next && *next && ++l->pages == MAX_PAGES) {
        rc = vf_error_set(err, VF_SPACE, "the API server's list of %s has no end",
                          l->ref.resource->plural);
    } else {
        vf_replace_string(&l->version, version);
        vf_replace_string(&l->next, next && *next ? next : NULL);
        rc = take_items(l, page, err);
        l->bytes = l->each ? 0 : l->bytes;
    }
    cJSON_Delete(page);
    return rc;
}

static int begin(struct listing *l, struct vf_error **err)
{
    cJSON_Delete(l->items);
    l->items = vf_json_new_array();
    vf_replace_string(&l->next, NULL);
    vf_replace_string(&l->version, NULL);
    l->bytes = l->pages = 0;
    return l->each ? l->each(l->opaque, NULL, err) : 0;
}

static int fetch_all(struct listing *l, struct vf_error **err)
{
    for (unsigned beginnings = 1;; beginnings++) {
        struct vf_error *e = NULL;
        int rc = begin(l, &e);
        do {
            rc = rc ? rc : add_page(l, &e);
        } while (!rc && l->next);
        if (rc && vf_error_http_status(e) == 410 && l->next && beginnings < MAX_BEGINNINGS) {
            vf_error_free(e);
            continue;
        }
        vf_error_move(err, &e);
        return rc;
    }
}

int vf_kube_list_until(struct vf_kube_client *client, const struct vf_kube_ref *ref,
                       const struct vf_kube_select *select, const struct vf_cancel *cancel,
                       int64_t deadline_ms, cJSON **ret_items, char **ret_version,
                       struct vf_error **err)
{
    struct listing l = {.client = client,
                        .ref = *ref,
                        .select = select,
                        .cancel = cancel,
                        .deadline_ms = deadline_ms};
    int rc = fetch_all(&l, err);
    if (!rc) {
        *ret_items = vf_take(l.items);
        if (ret_version) {
            *ret_version = vf_take(l.version);
        }
    }
    cJSON_Delete(l.items);
    free(l.version);
    free(l.next);
    return rc;
}

int vf_kube_list(struct vf_kube_client *client, const struct vf_kube_ref *ref,
                 const struct vf_kube_select *select, const struct vf_kube_options *options,
                 cJSON **ret_items, char **ret_version, struct vf_error **err)
{
    return vf_kube_list_until(client, ref, select, options ? options->cancel : NULL, 0, ret_items,
                              ret_version, err);
}

int vf_kube_each(struct vf_kube_client *client, const struct vf_kube_ref *ref,
                 const struct vf_kube_select *select, const struct vf_kube_options *options,
                 vf_kube_item_fn *each, void *opaque, struct vf_error **err)
{
    struct listing l = {.client = client,
                        .ref = *ref,
                        .select = select,
                        .cancel = options ? options->cancel : NULL,
                        .each = each,
                        .opaque = opaque};
    int rc = fetch_all(&l, err);
    cJSON_Delete(l.items);
    free(l.version);
    free(l.next);
    return rc;
}
