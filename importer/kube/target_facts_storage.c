/* Where disks can go: storage classes, what is free in them, and what wishes come to. */
#include <stdlib.h>
#include <string.h>

#include "importer/base/json.h"
#include "importer/base/mem.h"
#include "importer/kube/metadata.h"
#include "importer/kube/quantity.h"
#include "importer/kube/resources.h"
#include "importer/kube/target_facts_private.h"
#include "importer/kube/volume_snapshot.h"

static int list(struct vf_target_look *l, const struct vf_kube_resource *resource, const char *what,
                cJSON **ret_items, bool *ret_known, struct vf_error **err)
{
    const struct vf_kube_ref ref = {.resource = resource};
    const struct vf_kube_options options = {.cancel = l->cancel};
    struct vf_error *e = NULL;
    int rc = vf_kube_list(l->client, &ref, NULL, &options, ret_items, NULL, &e);
    return vf_target_judge(l, rc, &e, what, ret_known, err);
}

static int compare_classes(const void *a, const void *b)
{
    const struct vf_target_class *x = a, *y = b;
    return strcmp(x->name, y->name);
}

static void read_classes(struct vf_target_facts *f, const cJSON *classes, const cJSON *snapshots)
{
    const cJSON *general = vf_kube_storage_choose_default(classes, false);
    const cJSON *for_vms = vf_kube_storage_choose_default(classes, true);
    const cJSON *item;
    cJSON_ArrayForEach(item, classes)
    {
        const char *provisioner = vf_json_string(item, "provisioner");
        if (!vf_kube_name(item)) {
            continue;
        }
        f->classes = vf_xrealloc_array(f->classes, f->n_classes + 1, sizeof *f->classes);
        struct vf_target_class *c = &f->classes[f->n_classes++];
        *c = (struct vf_target_class){.name = vf_target_text(vf_kube_name(item)),
                                      .provisioner = vf_target_text(provisioner),
                                      .is_default = item == general,
                                      .is_default_virt = item == for_vms};
        if (provisioner) {
            (void)vf_volume_snapshot_choose_class(snapshots, provisioner, &c->snapshot_class, NULL);
        }
    }
    if (f->n_classes) {
        qsort(f->classes, f->n_classes, sizeof *f->classes, compare_classes);
    }
}

static int fetch_classes(struct vf_target_look *l, struct vf_error **err)
{
    cJSON *classes = NULL, *snapshots = NULL;
    bool known = true;
    int rc = list(l, &vf_kube_storage_classes, "the storage classes", &classes,
                  &l->facts->classes_known, err);
    if (rc == 0 && l->facts->has_snapshots) {
        rc = list(l, &vf_kube_volume_snapshot_classes, "the VolumeSnapshotClasses", &snapshots,
                  &known, err);
        l->facts->snapshots_known = known;
    }
    if (rc == 0) {
        read_classes(l->facts, classes, snapshots);
    }
    cJSON_Delete(classes);
    cJSON_Delete(snapshots);
    return rc;
}

/* --- what is free ------------------------------------------------------------------------ */

static struct vf_target_class *find_class(struct vf_target_facts *f, const char *name)
{
    for (size_t i = 0; name && i < f->n_classes; i++) {
        if (strcmp(f->classes[i].name, name) == 0) {
            return &f->classes[i];
        }
    }
    return NULL;
}

/* Without `capacity` the driver does not know (k8s.io/api, storage/v1, CSIStorageCapacity). */
static void add_capacity(struct vf_target_facts *f, const struct vf_target_list *of,
                         const cJSON *item)
{
    struct vf_target_class *c = find_class(f, vf_json_string(item, "storageClassName"));
    uint64_t bytes;
    (void)of;
    if (!c) {
        return;
    }
    if (vf_kube_parse_bytes(vf_json_string(item, "capacity"), &bytes)) {
        c->has_capacity = true;
        c->free_bytes = bytes > c->free_bytes ? bytes : c->free_bytes;
        c->total_free_bytes =
            bytes > UINT64_MAX - c->total_free_bytes ? UINT64_MAX : c->total_free_bytes + bytes;
    }
    if (vf_kube_parse_bytes(vf_json_string(item, "maximumVolumeSize"), &bytes) &&
        bytes > c->max_volume_bytes) {
        c->max_volume_bytes = bytes;
    }
}

static void forget_capacity(struct vf_target_facts *f)
{
    for (size_t i = 0; i < f->n_classes; i++) {
        f->classes[i].has_capacity = false;
        f->classes[i].free_bytes = f->classes[i].total_free_bytes = 0;
        f->classes[i].max_volume_bytes = 0;
    }
}

/* --- wishes ------------------------------------------------------------------------------ */

static int fetch_wish(struct vf_target_look *l, const struct vf_kube_storage_wish *wish,
                      struct vf_target_storage *s, struct vf_error **err)
{
    struct vf_error *e = NULL;
    int rc = vf_kube_storage_fetch(l->client, wish, l->cancel, &s->storage, &e);
    s->class_name = vf_xstrdup(wish->class_name);
    s->volume_mode = vf_xstrdup(wish->volume_mode);
    s->access_mode = vf_xstrdup(wish->access_mode);
    s->code = rc;
    if (rc == VF_CANCELLED) {
        vf_error_move(err, &e);
        return rc;
    }
    if (rc) {
        s->problem = vf_xstrdup(vf_error_message(e));
        s->hint = vf_xstrdup(vf_error_get_hint(e));
    }
    vf_error_free(e);
    return 0;
}

int vf_target_fetch_storage(struct vf_target_look *l, struct vf_error **err)
{
    static const struct vf_target_list capacities = {.resource = &vf_kube_storage_capacities,
                                                     .what = "what is free in the storage classes",
                                                     .all_namespaces = true,
                                                     .begin = forget_capacity,
                                                     .each = add_capacity};
    const struct vf_target_question *q = l->question;
    struct vf_target_facts *f = l->facts;
    bool known;
    int rc = fetch_classes(l, err);
    if (rc == 0 && f->n_classes) {
        rc = vf_target_list(l, &capacities, &known, err);
    }
    f->storages = vf_xcalloc(q->n_wishes + 1, sizeof *f->storages);
    for (size_t i = 0; i < q->n_wishes && rc == 0; i++) {
        f->n_storages = i + 1;
        rc = fetch_wish(l, &q->wishes[i], &f->storages[i], err);
    }
    return rc;
}
