/* Objects of ours for a disk: what is created, and how it is marked when it is complete. */
#include <string.h>

#include "importer/base/json.h"
#include "importer/base/mem.h"
#include "importer/kube/cdi.h"
#include "importer/kube/cdi_names.h"
#include "importer/kube/cdi_stage.h"
#include "importer/kube/metadata.h"
#include "importer/kube/resources.h"

static cJSON *begin_object(const struct vf_claim_plan *plan,
                           const struct vf_kube_resource *resource)
{
    char *vf_autofree api_version = vf_kube_api_version(resource);
    char *vf_autofree disk = vf_xasprintf("%u%s%s", plan->disk, plan->disk_label ? " " : "",
                                          plan->disk_label ? plan->disk_label : "");
    cJSON *object = vf_json_new_object();
    vf_json_add_string(object, "apiVersion", api_version);
    vf_json_add_string(object, "kind", vf_kube_kind(resource));
    cJSON *metadata = vf_json_add_object(object, "metadata");
    vf_json_add_string(metadata, "name", plan->name);
    vf_json_add_string(metadata, "namespace", plan->ns);
    vf_json_add_object(metadata, "labels");
    vf_json_add_string(vf_json_add_object(metadata, "annotations"), VF_OWNED_DISK, disk);
    vf_owned_mark(object, plan->owner, VF_OWNED_FILLING);
    return object;
}

/* Of a claim, and of a DataVolume's spec.storage: a size that no number of JSON has to hold. */
static void add_storage(cJSON *spec, const struct vf_kube_storage *s, uint64_t bytes, bool all)
{
    char *vf_autofree quantity = vf_xasprintf("%llu", (unsigned long long)bytes);
    vf_json_add_string(spec, "storageClassName", s->class_name);
    if (all || s->tell_volume_mode) {
        vf_json_add_string(spec, "volumeMode", s->volume_mode);
    }
    if (all || s->tell_access_mode) {
        vf_json_append_string(vf_json_add_array(spec, "accessModes"), s->access_mode);
    }
    cJSON *resources = vf_json_add_object(spec, "resources");
    vf_json_add_string(vf_json_add_object(resources, "requests"), "storage", quantity);
}

static cJSON *annotations_of(cJSON *object)
{
    cJSON *metadata = cJSON_GetObjectItemCaseSensitive(object, "metadata");
    return cJSON_GetObjectItemCaseSensitive(metadata, "annotations");
}

/* `source` is the member of spec.source; *ret_spec is for what else belongs there. */
static int begin_volume(const struct vf_claim_plan *plan, const char *source, bool bind,
                        cJSON **ret_object, cJSON **ret_source, struct vf_error **err)
{
    uint64_t bytes, claim_bytes;
    int rc = vf_kube_storage_volume_bytes(plan->size_bytes, &bytes, err);
    /* CDI will ask for that much. */
    rc =
        rc ? rc : vf_kube_storage_request_bytes(plan->storage, plan->size_bytes, &claim_bytes, err);
    if (rc) {
        return rc;
    }
    cJSON *object = begin_object(plan, &vf_kube_data_volumes);
    cJSON *annotations = annotations_of(object);
    vf_json_add_string(annotations, VF_CDI_USE_POPULATOR, "false");
    /* Before v1.62 CDI removes DataVolumes that are complete. */
    vf_json_add_string(annotations, VF_CDI_DELETE_AFTER, "false");
    if (bind) {
        vf_json_add_string(annotations, VF_CDI_BIND_IMMEDIATELY, "true");
    }
    cJSON *spec = vf_json_add_object(object, "spec");
    *ret_source = vf_json_add_object(vf_json_add_object(spec, "source"), source);
    vf_json_add_string(spec, "contentType", "kubevirt");
    add_storage(vf_json_add_object(spec, "storage"), plan->storage, bytes, false);
    *ret_object = object;
    return 0;
}

int vf_cdi_build_upload_volume(const struct vf_claim_plan *plan, cJSON **ret_object,
                               struct vf_error **err)
{
    cJSON *source;
    return begin_volume(plan, "upload", plan->bind_immediately, ret_object, &source, err);
}

int vf_cdi_build_vddk_volume(const struct vf_claim_plan *plan, const struct vf_cdi_vddk *vddk,
                             const char *snapshot, bool last, cJSON **ret_object,
                             struct vf_error **err)
{
    cJSON *object, *source;
    int rc = vf_cdi_check_stage(snapshot, err);
    /* The importer is the first consumer, and comes with the claim. */
    rc = rc ? rc : begin_volume(plan, "vddk", true, &object, &source, err);
    if (rc) {
        return rc;
    }
    char *vf_autofree key = vf_xasprintf("%d", (int)vddk->disk_key);
    vf_json_add_string(annotations_of(object), VF_CDI_DISK_KEY, key);
    vf_json_add_string(annotations_of(object), VF_CDI_CHECKPOINT_SET, vddk->set);
    vf_json_add_string(annotations_of(object), VF_CDI_CHANGE_ID, vddk->change_id);
    vf_json_add_string(source, "url", vddk->url);
    vf_json_add_string(source, "uuid", vddk->uuid);
    vf_json_add_string(source, "backingFile", vddk->backing_file);
    vf_json_add_string(source, "thumbprint", vddk->thumbprint);
    vf_json_add_string(source, "secretRef", vddk->secret);
    vf_json_add_string(source, "initImageURL", vddk->init_image);
    cJSON *spec = cJSON_GetObjectItemCaseSensitive(object, "spec");
    cJSON *stage = vf_json_append_object(vf_json_add_array(spec, "checkpoints"));
    vf_json_add_string(stage, "previous", "");
    vf_json_add_string(stage, "current", snapshot);
    vf_json_add_bool(spec, "finalCheckpoint", last);
    *ret_object = object;
    return 0;
}

int vf_cdi_build_claim(const struct vf_claim_plan *plan, cJSON **ret_object, struct vf_error **err)
{
    uint64_t bytes;
    int rc = vf_kube_storage_request_bytes(plan->storage, plan->size_bytes, &bytes, err);
    if (rc) {
        return rc;
    }
    cJSON *object = begin_object(plan, &vf_kube_claims);
    add_storage(vf_json_add_object(object, "spec"), plan->storage, bytes, true);
    *ret_object = object;
    return 0;
}

/* For the object that was looked at, and no other that takes its name meanwhile. */
static cJSON *build_completion(const cJSON *object, const char *digest)
{
    cJSON *patch = vf_json_new_object();
    cJSON *metadata = vf_json_add_object(patch, "metadata");
    vf_json_add_string(metadata, "uid", vf_kube_uid(object));
    vf_json_add_string(vf_json_add_object(metadata, "labels"), VF_OWNED_STATE, VF_OWNED_COMPLETE);
    vf_json_add_string(vf_json_add_object(metadata, "annotations"), VF_OWNED_DIGEST, digest);
    return patch;
}

/* Hours may lie between the end of a disk's copy and this. */
static int check_whose(const struct vf_kube_ref *ref, const cJSON *object, const char *uid,
                       struct vf_error **err)
{
    const char *kind = vf_kube_kind(ref->resource);
    const char *uid_now = vf_kube_uid(object);
    if (!vf_owned_is_ours(object)) {
        return vf_error_set(err, VF_CONFLICT,
                            "%s \"%s\" was not made by vmferry, and is left alone", kind,
                            ref->name);
    }
    if (uid && !(uid_now && strcmp(uid_now, uid) == 0) && !vf_kube_is_owned_by(object, uid)) {
        return vf_error_set(err, VF_CONFLICT,
                            "%s \"%s\" is not the one that was filled: somebody replaced it", kind,
                            ref->name);
    }
    return vf_kube_is_being_deleted(object)
               ? vf_error_set(err, VF_CONFLICT, "%s \"%s\" is being deleted", kind, ref->name)
               : 0;
}

static int mark(struct vf_kube_client *client, const struct vf_kube_ref *ref, const char *uid,
                const char *digest, const struct vf_kube_options *options, struct vf_error **err)
{
    cJSON *object = NULL;
    int rc = vf_kube_get(client, ref, options, &object, err);
    rc = rc ? rc : check_whose(ref, object, uid, err);
    if (rc == 0) {
        cJSON *patch = build_completion(object, digest);
        rc = vf_kube_merge_patch(client, ref, patch, options, NULL, err);
        cJSON_Delete(patch);
    }
    cJSON_Delete(object);
    return rc;
}

int vf_cdi_mark_complete(struct vf_kube_client *client, const char *ns, const char *name,
                         const char *uid, const char *digest, const struct vf_cancel *cancel,
                         struct vf_error **err)
{
    const struct vf_kube_ref claim = {.resource = &vf_kube_claims, .ns = ns, .name = name};
    const struct vf_kube_ref volume = {.resource = &vf_kube_data_volumes, .ns = ns, .name = name};
    const struct vf_kube_options options = {.cancel = cancel};
    uid = uid && *uid ? uid : NULL;
    /* The claim first: whoever asks, asks the DataVolume where there is one. */
    int rc = mark(client, &claim, uid, digest, &options, err);
    if (!rc) {
        struct vf_error *e = NULL;
        rc = mark(client, &volume, uid, digest, &options, &e);
        const char *reason = vf_error_reason(e);
        if (!uid &&
            (rc == VF_MISSING || (reason && strcmp(reason, VF_KUBE_REASON_NOT_SERVED) == 0))) {
            vf_error_clear(&e);
            rc = 0;
        }
        vf_error_move(err, &e);
    }
    return rc ? vf_error_wrap(err, rc, "mark \"%s\" as complete", name) : 0;
}
