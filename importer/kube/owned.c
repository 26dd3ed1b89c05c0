#include "importer/kube/owned.h"

#include <stdlib.h>
#include <string.h>

#include "importer/base/json.h"
#include "importer/base/mem.h"
#include "importer/kube/metadata.h"
#include "importer/kube/resources.h"
#include "importer/kube/watch.h"

/* What CDI makes for a DataVolume gets that one's labels, but for this one, which CDI overwrites
 * (pkg/controller/datavolume, createPvcForDatavolume; pkg/util, SetRecommendedLabels). */
#define MANAGED_BY_CDI "cdi-controller"

static cJSON *provide_object(cJSON *object, const char *key)
{
    cJSON *item = cJSON_GetObjectItemCaseSensitive(object, key);
    if (cJSON_IsObject(item)) {
        return item;
    }
    cJSON_DeleteItemFromObjectCaseSensitive(object, key);
    return vf_json_add_object(object, key);
}

/* In place of all that have the key. */
static void set_string(cJSON *object, const char *key, const char *value)
{
    if (!value) {
        return;
    }
    while (cJSON_GetObjectItemCaseSensitive(object, key)) {
        cJSON_DeleteItemFromObjectCaseSensitive(object, key);
    }
    vf_json_add_string(object, key, value);
}

void vf_owned_mark(cJSON *object, const struct vf_owner *owner, const char *state)
{
    cJSON *metadata = provide_object(object, "metadata");
    cJSON *labels = provide_object(metadata, "labels");
    set_string(labels, VF_OWNED_MANAGED_BY, VF_OWNED_MANAGER);
    set_string(labels, VF_OWNED_IMPORT, owner->import);
    set_string(labels, VF_OWNED_STATE, state);
    set_string(labels, VF_OWNED_MIGRATION, owner->warm ? VF_OWNED_WARM : NULL);
    if (owner->source_vm || owner->source_uuid) {
        cJSON *annotations = provide_object(metadata, "annotations");
        set_string(annotations, VF_OWNED_SOURCE_VM, owner->source_vm);
        set_string(annotations, VF_OWNED_SOURCE_UUID, owner->source_uuid);
    }
}

bool vf_owned_is_ours(const cJSON *object)
{
    return vf_kube_label(object, VF_OWNED_IMPORT) &&
           (vf_kube_has_label(object, VF_OWNED_MANAGED_BY, VF_OWNED_MANAGER) ||
            vf_kube_has_label(object, VF_OWNED_MANAGED_BY, MANAGED_BY_CDI));
}

bool vf_owned_is_warm(const cJSON *object)
{
    return vf_owned_is_ours(object) && vf_kube_has_label(object, VF_OWNED_MIGRATION, VF_OWNED_WARM);
}

void vf_owned_read_marks(const cJSON *object, struct vf_owned_marks *ret)
{
    *ret = (struct vf_owned_marks){.ours = vf_owned_is_ours(object)};
    if (ret->ours) {
        const char *import = vf_kube_label(object, VF_OWNED_IMPORT);
        const char *uuid = vf_kube_annotation(object, VF_OWNED_SOURCE_UUID);
        ret->import = import ? vf_xstrdup(import) : NULL;
        ret->source_uuid = uuid ? vf_xstrdup(uuid) : NULL;
        ret->complete = vf_kube_has_label(object, VF_OWNED_STATE, VF_OWNED_COMPLETE);
        ret->warm = vf_owned_is_warm(object);
    }
}

void vf_owned_marks_release(struct vf_owned_marks *m)
{
    free(m->import);
    free(m->source_uuid);
    *m = (struct vf_owned_marks){0};
}

enum vf_owned vf_owned_judge_marks(const struct vf_owned_marks *m, const struct vf_owner *owner)
{
    if (!m->ours) {
        return VF_OWNED_NOT;
    }
    const char *uuid = m->source_uuid;
    bool same_source = uuid && owner->source_uuid ? strcmp(uuid, owner->source_uuid) == 0
                                                  : !uuid && !owner->source_uuid;
    if (!same_source || !m->import || strcmp(m->import, owner->import) != 0) {
        return VF_OWNED_OTHER;
    }
    return m->complete ? VF_OWNED_FINISHED : VF_OWNED_UNFINISHED;
}

enum vf_owned vf_owned_judge(const cJSON *object, const struct vf_owner *owner)
{
    struct vf_owned_marks marks;
    vf_owned_read_marks(object, &marks);
    enum vf_owned owned = vf_owned_judge_marks(&marks, owner);
    vf_owned_marks_release(&marks);
    return owned;
}

/* Lists leave out what all their items have in common. */
static void add_kind(cJSON *items, const struct vf_kube_resource *resource)
{
    char *vf_autofree api_version = vf_kube_api_version(resource);
    cJSON *item;
    cJSON_ArrayForEach(item, items)
    {
        set_string(item, "apiVersion", api_version);
        set_string(item, "kind", vf_kube_kind(resource));
        if (resource == &vf_kube_secrets) {
            /* Which they are is of interest here, what they hide is not. */
            vf_json_delete_wiped(cJSON_DetachItemFromObjectCaseSensitive(item, "data"));
        }
    }
}

static void move_items(cJSON *to, cJSON *from)
{
    while (from->child) {
        cJSON_AddItemToArray(to, cJSON_DetachItemViaPointer(from, from->child));
    }
}

static int list_kind(struct vf_kube_client *client, const struct vf_kube_resource *resource,
                     const char *ns, const char *labels, const struct vf_cancel *cancel,
                     cJSON *ret_all, struct vf_error **err)
{
    const struct vf_kube_ref ref = {.resource = resource, .ns = ns};
    const struct vf_kube_select select = {.labels = labels};
    const struct vf_kube_options options = {.cancel = cancel};
    struct vf_error *e = NULL;
    cJSON *items = NULL;
    int rc = vf_kube_list(client, &ref, &select, &options, &items, NULL, &e);
    const char *reason = vf_error_reason(e);
    bool absent = rc == VF_UNSUPPORTED && reason && strcmp(reason, VF_KUBE_REASON_NOT_SERVED) == 0;
    /* Who may not see snapshots has made none. */
    bool hidden = resource == &vf_kube_volume_snapshots && vf_error_http_status(e) == 403;
    if (absent || hidden) {
        vf_error_free(e);
        return 0;
    }
    if (!rc) {
        add_kind(items, resource);
        move_items(ret_all, items);
    }
    cJSON_Delete(items);
    vf_error_move(err, &e);
    return rc;
}

int vf_owned_list(struct vf_kube_client *client, const char *ns, const char *import,
                  const struct vf_cancel *cancel, cJSON **ret_items, struct vf_error **err)
{
    static const struct vf_kube_resource *const kinds[] = {
        &vf_kube_jobs,
        &vf_kube_secrets,
        &vf_kube_data_volumes,
        &vf_kube_claims,
        &vf_kube_volume_snapshots,
        &vf_kube_config_maps,
        &vf_kube_virtual_machines,
        NULL,
    };
    char *vf_autofree labels = vf_xasprintf(
        VF_OWNED_MANAGED_BY " in (" VF_OWNED_MANAGER "," MANAGED_BY_CDI ")," VF_OWNED_IMPORT "%s%s",
        import ? "=" : "", import ? import : "");
    cJSON *all = vf_json_new_array();
    int rc = 0;
    for (size_t i = 0; !rc && kinds[i]; i++) {
        rc = list_kind(client, kinds[i], ns, labels, cancel, all, err);
    }
    if (rc) {
        cJSON_Delete(all);
        return rc;
    }
    *ret_items = all;
    return 0;
}

static int is_gone(void *opaque, const cJSON *object, struct vf_error **err)
{
    const char *uid = vf_kube_uid(object);
    (void)err;
    return !object || !uid || strcmp(uid, opaque) != 0;
}

/* A refused precondition on the uid: the object is gone, and another has its name. */
static bool is_replaced(struct vf_kube_client *client, const struct vf_kube_ref *ref,
                        const char *uid, const struct vf_cancel *cancel)
{
    const struct vf_kube_options options = {.cancel = cancel};
    cJSON *now = NULL;
    int rc = vf_kube_get(client, ref, &options, &now, NULL);
    const char *uid_now = vf_kube_uid(now);
    bool replaced = rc == VF_MISSING || (!rc && uid_now && strcmp(uid_now, uid) != 0);
    cJSON_Delete(now);
    return replaced;
}

static int delete_one(struct vf_kube_client *client, const struct vf_kube_ref *ref, char *uid,
                      int64_t timeout_ms, const struct vf_cancel *cancel, struct vf_error **err)
{
    const struct vf_kube_options options = {
        .cancel = cancel,
        .propagation = ref->resource == &vf_kube_jobs ? "Foreground" : NULL,
        .uid = uid};
    struct vf_error *e = NULL;
    int rc = vf_kube_delete(client, ref, &options, &e);
    if (rc == VF_MISSING || (rc == VF_CONFLICT && is_replaced(client, ref, uid, cancel))) {
        vf_error_free(e);
        return 0;
    }
    vf_error_move(err, &e);
    return rc || !timeout_ms
               ? rc
               : vf_kube_wait(client, ref, is_gone, uid, timeout_ms, cancel, NULL, err);
}

int vf_owned_delete(struct vf_kube_client *client, const cJSON *object, int64_t timeout_ms,
                    const struct vf_cancel *cancel, struct vf_error **err)
{
    const char *kind = vf_json_string(object, "kind");
    const char *name = vf_kube_name(object);
    const char *ns = vf_kube_namespace(object);
    const char *uid = vf_kube_uid(object);
    const struct vf_kube_resource *resource =
        vf_kube_resource_of(vf_json_string(object, "apiVersion"), kind);
    if (!resource || !name || !uid || (resource->namespaced && !ns)) {
        return vf_error_set(err, VF_INTERNAL, "what is to be deleted is no object of the cluster");
    }
    if (!vf_owned_is_ours(object)) {
        return vf_error_set(err, VF_CONFLICT,
                            "%s \"%s\" was not made by vmferry, and is left alone", kind, name);
    }
    const struct vf_kube_ref ref = {.resource = resource, .ns = ns, .name = name};
    char *vf_autofree own_uid = vf_xstrdup(uid);
    int rc = delete_one(client, &ref, own_uid, timeout_ms, cancel, err);
    return rc ? vf_error_wrap(err, rc, "delete %s \"%s\"", kind, name) : 0;
}
