#include "importer/kube/volume_snapshot.h"

#include <string.h>

#include "importer/base/buf.h"
#include "importer/base/clock.h"
#include "importer/base/json.h"
#include "importer/base/mem.h"
#include "importer/kube/hold.h"
#include "importer/kube/metadata.h"
#include "importer/kube/quantity.h"
#include "importer/kube/resources.h"
#include "importer/kube/text.h"

#define DEFAULT_CLASS  "snapshot.storage.kubernetes.io/is-default-class"
#define MAX_NAME_BYTES 253
#define MAX_TEXT_BYTES 400
#define MAX_NAMED      20
#define POLL_MS        1000

/* The snapshotter tries a failed call again by itself, with growing pauses; what stands for so long
 * is not over soon. */
#define ERROR_PATIENCE_MS 30000

int vf_volume_snapshot_check(struct vf_kube_client *client, struct vf_error **err)
{
    return vf_kube_check_resource(client, &vf_kube_volume_snapshots, "the snapshot controller",
                                  err);
}

/* --- the class --------------------------------------------------------------------------- */

static bool is_of_driver(const cJSON *class, const char *driver)
{
    const char *name = vf_json_string(class, "driver");
    return name && vf_kube_name(class) && strcmp(name, driver) == 0;
}

/* "fast, slow" of the driver's */
static char *name_classes(const cJSON *classes, const char *driver)
{
    struct vf_buf b;
    unsigned n = 0;
    const cJSON *item;
    vf_buf_init(&b, SIZE_MAX);
    cJSON_ArrayForEach(item, classes)
    {
        if (is_of_driver(item, driver) && n++ < MAX_NAMED) {
            char *vf_autofree name = vf_kube_clean_text(vf_kube_name(item), MAX_NAME_BYTES);
            vf_buf_printf(&b, "%s\"%s\"", n > 1 ? ", " : "", name);
        }
    }
    return vf_buf_take_string(&b);
}

int vf_volume_snapshot_choose_class(const cJSON *classes, const char *driver, char **ret_class,
                                    struct vf_error **err)
{
    const cJSON *item, *found = NULL;
    size_t n = 0, n_default = 0;
    cJSON_ArrayForEach(item, classes)
    {
        if (!is_of_driver(item, driver)) {
            continue;
        }
        bool is_default = vf_kube_has_annotation(item, DEFAULT_CLASS, "true");
        n++;
        n_default += is_default;
        found = is_default || !found ? item : found;
    }
    if (n_default == 1 || (n == 1 && !n_default)) {
        *ret_class = vf_xstrdup(vf_kube_name(found));
        return 0;
    }
    char *vf_autofree clean = vf_kube_clean_text(driver, MAX_NAME_BYTES);
    if (n == 0) {
        vf_error_set(err, VF_MISSING, "there is no VolumeSnapshotClass of driver \"%s\"", clean);
        vf_error_hint(err, "if that driver can take snapshots, make a VolumeSnapshotClass for it");
        return VF_MISSING;
    }
    char *vf_autofree names = name_classes(classes, driver);
    vf_error_set(err, VF_MISSING, "%s of the VolumeSnapshotClasses of driver \"%s\" is the default",
                 n_default ? "more than one" : "none", clean);
    vf_error_hint(err, "annotate one of %s with " DEFAULT_CLASS "=true", names);
    return VF_MISSING;
}

int vf_volume_snapshot_fetch_class(struct vf_kube_client *client,
                                   const struct vf_kube_storage *storage,
                                   const struct vf_cancel *cancel, char **ret_class,
                                   struct vf_error **err)
{
    static const struct vf_kube_ref all = {.resource = &vf_kube_volume_snapshot_classes};
    const struct vf_kube_options options = {.cancel = cancel};
    cJSON *classes = NULL;
    if (storage->snapshot_class) {
        *ret_class = vf_xstrdup(storage->snapshot_class);
        return 0;
    }
    if (!storage->provisioner) {
        return vf_error_set(err, VF_MISSING,
                            "it is not known which driver storage class \"%s\" is of",
                            storage->class_name);
    }
    int rc = vf_kube_list(client, &all, NULL, &options, &classes, NULL, err);
    rc = rc ? rc : vf_volume_snapshot_choose_class(classes, storage->provisioner, ret_class, err);
    cJSON_Delete(classes);
    return rc;
}

/* --- the object -------------------------------------------------------------------------- */

cJSON *vf_volume_snapshot_build(const char *ns, const char *name, const char *class_name,
                                const char *claim, const struct vf_owner *owner)
{
    char *vf_autofree api_version = vf_kube_api_version(&vf_kube_volume_snapshots);
    cJSON *object = vf_json_new_object();
    vf_json_add_string(object, "apiVersion", api_version);
    vf_json_add_string(object, "kind", vf_kube_kind(&vf_kube_volume_snapshots));
    cJSON *metadata = vf_json_add_object(object, "metadata");
    vf_json_add_string(metadata, "name", name);
    vf_json_add_string(metadata, "namespace", ns);
    vf_json_add_object(metadata, "annotations");
    vf_owned_mark(object, owner, NULL);
    cJSON *spec = vf_json_add_object(object, "spec");
    vf_json_add_string(spec, "volumeSnapshotClassName", class_name);
    vf_json_add_string(vf_json_add_object(spec, "source"), "persistentVolumeClaimName", claim);
    return object;
}

bool vf_volume_snapshot_is_ready(const cJSON *snapshot)
{
    return vf_json_bool(vf_json_object(snapshot, "status"), "readyToUse", false) &&
           !vf_kube_is_being_deleted(snapshot);
}

const char *vf_volume_snapshot_claim(const cJSON *snapshot)
{
    const cJSON *source = vf_json_object(vf_json_object(snapshot, "spec"), "source");
    return vf_json_string(source, "persistentVolumeClaimName");
}

uint64_t vf_volume_snapshot_restore_bytes(const cJSON *snapshot)
{
    const char *text = vf_json_string(vf_json_object(snapshot, "status"), "restoreSize");
    uint64_t bytes = 0;
    return text && vf_kube_parse_bytes(text, &bytes) ? bytes : 0;
}

/* --- the wait ---------------------------------------------------------------------------- */

struct waiting {
    char *uid;
    char *failure;            /* the driver's words; NULL: none, or over */
    int64_t failure_since_ms; /* on vf_clock_ms() */
};

static int look(struct waiting *w, const cJSON *snapshot, struct vf_error **err)
{
    const cJSON *status = vf_json_object(snapshot, "status");
    const char *failure = vf_json_string(vf_json_object(status, "error"), "message");
    vf_replace_string(&w->uid, vf_kube_uid(snapshot));
    if (vf_volume_snapshot_is_ready(snapshot)) {
        return 1;
    }
    if (vf_kube_is_being_deleted(snapshot)) {
        return vf_error_set(err, VF_MISSING, "somebody is deleting it");
    }
    if (failure && !w->failure) {
        w->failure_since_ms = vf_clock_ms();
    }
    char *vf_autofree clean = failure ? vf_kube_clean_text(failure, MAX_TEXT_BYTES) : NULL;
    vf_replace_string(&w->failure, clean);
    return 0;
}

/* 1: it is ready; 0: not yet. */
static int check(struct waiting *w, const cJSON *snapshots, struct vf_error **err)
{
    const cJSON *snapshot = cJSON_GetArrayItem(snapshots, 0);
    if (!snapshot) {
        return vf_error_set(err, VF_MISSING, "it is not there any more");
    }
    int rc = look(w, snapshot, err);
    if (rc == 0 && w->failure && vf_clock_ms() - w->failure_since_ms >= ERROR_PATIENCE_MS) {
        rc = vf_error_set(err, VF_CONFLICT, "the storage driver cannot take it: %s", w->failure);
    }
    return rc;
}

/* By lists: most are ready at the first look, and the account needs one right less. */
static int poll_until(struct vf_kube_client *client, const struct vf_kube_ref *all,
                      const struct vf_kube_select *select, int64_t deadline_ms,
                      const struct vf_cancel *cancel, struct waiting *w, struct vf_error **err)
{
    const struct vf_kube_options options = {.cancel = cancel};
    for (;;) {
        cJSON *snapshots = NULL;
        int rc = vf_kube_list(client, all, select, &options, &snapshots, NULL, err);
        rc = rc ? rc : check(w, snapshots, err);
        cJSON_Delete(snapshots);
        int64_t left_ms = deadline_ms - vf_clock_ms();
        if (rc || left_ms <= 0) {
            return rc;
        }
        rc = vf_cancel_wait(cancel, left_ms < POLL_MS ? left_ms : POLL_MS, err);
        if (rc) {
            return rc;
        }
    }
}

/* Why it takes so long, as far as that can be known. */
static void give_up(struct vf_kube_client *client, const char *ns, const struct waiting *w,
                    int64_t timeout_ms, const struct vf_cancel *cancel, struct vf_error **err)
{
    struct vf_kube_hold h = {0};
    if (!w->failure && w->uid) {
        (void)vf_kube_fetch_hold_events(client, ns, w->uid, "the snapshot", VF_KUBE_HOLD_ALL,
                                        cancel, &h, NULL);
    }
    const char *why = w->failure ? w->failure : h.message;
    vf_error_set(err, VF_RETRY, "it was not ready to use within %lld s%s%s",
                 (long long)(timeout_ms + 500) / 1000, why ? ": " : "", why ? why : "");
    vf_error_set_reason(err, VF_KUBE_REASON_TIMEOUT);
    vf_error_hint(err, "%s",
                  h.hint ? h.hint
                         : "see the events of the VolumeSnapshot, and the snapshot "
                           "controller's log");
    vf_kube_hold_release(&h);
}

int vf_volume_snapshot_wait_ready(struct vf_kube_client *client, const char *ns, const char *name,
                                  int64_t timeout_ms, const struct vf_cancel *cancel,
                                  struct vf_error **err)
{
    const struct vf_kube_ref all = {.resource = &vf_kube_volume_snapshots, .ns = ns};
    char *vf_autofree field = vf_xasprintf("metadata.name=%s", name);
    const struct vf_kube_select select = {.fields = field};
    struct waiting w = {0};
    struct vf_error *e = NULL;
    int rc = poll_until(client, &all, &select, vf_clock_ms() + timeout_ms, cancel, &w, &e);
    if (rc == 0) {
        give_up(client, ns, &w, timeout_ms, cancel, &e);
        rc = VF_RETRY;
    } else if (rc == 1) {
        rc = 0;
    }
    vf_replace_string(&w.uid, NULL);
    vf_replace_string(&w.failure, NULL);
    vf_error_move(err, &e);
    return rc ? vf_error_wrap(err, rc, "VolumeSnapshot \"%s\"", name) : 0;
}
