/* The checkpoint of a migration whose copies CDI makes: one ConfigMap, written whole. */
#include <stdlib.h>
#include <string.h>

#include "importer/base/inject.h"
#include "importer/base/json.h"
#include "importer/base/mem.h"
#include "importer/kube/metadata.h"
#include "importer/kube/resources.h"
#include "jobs/cluster/cdi_private.h"

#define KEY "checkpoint"

/* Of one save: each time somebody may have come in between. */
#define MAX_TRIES 5

struct store {
    struct vf_checkpoint_store base;
    struct vf_cdi_target *target;
    char *name;    /* of the ConfigMap, by the migration's name, which may change until prepare */
    char *uid;     /* NULL: there is none, as far as is known */
    char *version; /* resourceVersion, as last seen */
    char *text;    /* as last seen or written; NULL: none */
};

/* A VM's name has no dots: nothing of another migration has such a name. */
static char *name_of(const char *import)
{
    return vf_xasprintf("vmferry.%s.checkpoint", import);
}

static void set_name(struct store *s)
{
    free(s->name);
    s->name = name_of(s->target->l.owner.import);
}

static struct vf_kube_ref ref_of(const struct store *s)
{
    return (struct vf_kube_ref){
        .resource = &vf_kube_config_maps, .ns = s->target->l.ns, .name = s->name};
}

static const char *text_of(const cJSON *map)
{
    return vf_json_string(vf_json_object(map, "data"), KEY);
}

static void remember(struct store *s, const cJSON *map)
{
    vf_replace_string(&s->uid, vf_kube_uid(map));
    vf_replace_string(&s->version,
                      vf_json_string(vf_json_object(map, "metadata"), "resourceVersion"));
    vf_replace_string(&s->text, text_of(map));
}

static int refuse_foreign(const struct store *s, struct vf_error **err)
{
    vf_error_set(err, VF_CONFLICT, "ConfigMap \"%s\" is not of this migration", s->name);
    vf_error_hint(err, "it was left alone; choose another name with --name, or remove it");
    return VF_CONFLICT;
}

/* VF_MISSING: there is none. */
static int fetch(struct store *s, cJSON **ret_map, struct vf_error **err)
{
    const struct vf_kube_ref ref = ref_of(s);
    cJSON *map = NULL;
    int rc = vf_kube_get(s->target->l.client, &ref, NULL, &map, err);
    enum vf_owned owned = rc ? VF_OWNED_NOT : vf_owned_judge(map, &s->target->l.owner);
    if (rc == 0 && (owned == VF_OWNED_NOT || owned == VF_OWNED_OTHER)) {
        rc = refuse_foreign(s, err);
    }
    if (rc == 0) {
        *ret_map = vf_take(map);
    }
    cJSON_Delete(map);
    return rc;
}

int vf_cdi_store_fetch_kept(struct vf_landing_cluster *l, const char *name,
                            const struct vf_cancel *cancel, bool *ret_kept, struct vf_error **err)
{
    char *vf_autofree map_name = name_of(name);
    const struct vf_kube_ref ref = {
        .resource = &vf_kube_config_maps, .ns = l->ns, .name = map_name};
    const struct vf_kube_options options = {.cancel = cancel};
    struct vf_error *e = NULL;
    cJSON *map = NULL;
    int rc = vf_kube_get(l->client, &ref, &options, &map, &e);
    *ret_kept = rc == 0 && vf_owned_is_ours(map) && text_of(map);
    cJSON_Delete(map);
    if (rc == VF_MISSING) {
        vf_error_clear(&e);
        rc = 0;
    }
    vf_error_move(err, &e);
    return rc;
}

/* --- load -------------------------------------------------------------------------------- */

/* The DataVolume that the checkpoint describes is still there. */
static bool describes(const struct store *s, const cJSON *volumes,
                      const struct vf_checkpoint_disk *d)
{
    const cJSON *volume = vf_cdi_find(volumes, d->target);
    return volume && vf_owned_judge(volume, &s->target->l.owner) != VF_OWNED_OTHER &&
           !vf_kube_is_being_deleted(volume) &&
           vf_kube_has_annotation(volume, VF_CDI_CHECKPOINT_SET, s->uid ? s->uid : "");
}

static int drop_lost(struct store *s, struct vf_checkpoint *c, struct vf_error **err)
{
    const struct vf_import *im = s->target->base.im;
    cJSON *volumes = NULL;
    int rc = vf_cdi_target_list(s->target, &vf_kube_data_volumes, NULL, &volumes, err);
    for (size_t i = rc ? 0 : c->n_disks; i-- > 0;) {
        if (!describes(s, volumes, &c->disks[i])) {
            vf_report_warning(im->reporter, im->vm_name,
                              "DataVolume \"%s\" is not what the checkpoint describes any more: "
                              "its disk is copied in full",
                              c->disks[i].target);
            vf_checkpoint_remove_disk(c, &c->disks[i]);
        }
    }
    cJSON_Delete(volumes);
    return rc;
}

static int load(struct vf_checkpoint_store *base, struct vf_checkpoint *ret_checkpoint,
                struct vf_error **err)
{
    struct store *s = (struct store *)base;
    struct vf_checkpoint c = {0};
    cJSON *map = NULL;
    set_name(s);
    int rc = fetch(s, &map, err);
    if (rc == 0) {
        remember(s, map);
        rc = s->text ? vf_checkpoint_parse(s->text, strlen(s->text), &c, err)
                     : vf_error_set(err, VF_MISSING, "ConfigMap \"%s\" has no checkpoint", s->name);
    }
    cJSON_Delete(map);
    rc = rc ? rc : drop_lost(s, &c, err);
    if (rc) {
        vf_checkpoint_release(&c);
        return rc;
    }
    *ret_checkpoint = c;
    return 0;
}

/* --- save -------------------------------------------------------------------------------- */

static int create(struct store *s, const char *text, struct vf_error **err)
{
    const struct vf_kube_ref ref = {.resource = &vf_kube_config_maps, .ns = s->target->l.ns};
    cJSON *map = vf_json_new_object(), *made = NULL;
    vf_json_add_string(map, "apiVersion", "v1");
    vf_json_add_string(map, "kind", vf_kube_kind(&vf_kube_config_maps));
    cJSON *metadata = vf_json_add_object(map, "metadata");
    vf_json_add_string(metadata, "name", s->name);
    vf_json_add_string(metadata, "namespace", s->target->l.ns);
    vf_owned_mark(map, &s->target->l.owner, NULL);
    vf_json_add_string(vf_json_add_object(map, "data"), KEY, text);
    int rc = vf_kube_create(s->target->l.client, &ref, map, NULL, &made, err);
    if (rc == 0) {
        remember(s, made);
    }
    cJSON_Delete(map);
    cJSON_Delete(made);
    return rc;
}

/* Of the ConfigMap as it was last seen, and no other state of it. */
static int replace(struct store *s, const char *text, struct vf_error **err)
{
    const struct vf_kube_ref ref = ref_of(s);
    cJSON *patch = vf_json_new_object(), *made = NULL;
    cJSON *metadata = vf_json_add_object(patch, "metadata");
    vf_json_add_string(metadata, "uid", s->uid);
    vf_json_add_string(metadata, "resourceVersion", s->version);
    vf_json_add_string(vf_json_add_object(patch, "data"), KEY, text);
    int rc = vf_kube_merge_patch(s->target->l.client, &ref, patch, NULL, &made, err);
    if (rc == 0) {
        remember(s, made);
    }
    cJSON_Delete(patch);
    cJSON_Delete(made);
    return rc;
}

/* After a refusal, or without an answer. 1: it is saved; 0: try again. */
static int look_again(struct store *s, const char *text, struct vf_error **err)
{
    cJSON *map = NULL;
    char *vf_autofree before = vf_xstrdup(s->text);
    struct vf_error *e = NULL;
    int rc = fetch(s, &map, &e);
    if (rc == VF_MISSING) {
        vf_replace_string(&s->uid, NULL);
        vf_error_clear(&e);
        return 0;
    }
    if (rc == 0) {
        remember(s, map);
        bool saved = s->text && strcmp(s->text, text) == 0;
        bool other = !saved && s->text && !(before && strcmp(s->text, before) == 0);
        rc = saved ? 1 : 0;
        if (other) {
            rc = vf_error_set(&e, VF_CONFLICT,
                              "another vmferry works on this migration: ConfigMap \"%s\" was "
                              "written by it",
                              s->name);
            vf_error_hint(&e, "let one of them end; the same command goes on then");
        }
    }
    cJSON_Delete(map);
    vf_error_move(err, &e);
    return rc;
}

static int save(struct vf_checkpoint_store *base, const struct vf_checkpoint *c,
                struct vf_error **err)
{
    struct store *s = (struct store *)base;
    char *vf_autofree text = NULL;
    set_name(s);
    int rc = vf_checkpoint_encode(c, VF_CHECKPOINT_ANNOTATION_MAX_BYTES, &text, err);
    rc = rc ? rc : vf_inject("cdi.save", err);
    for (unsigned i = 0; rc == 0 && i < MAX_TRIES; i++) {
        struct vf_error *e = NULL;
        int one = s->uid ? replace(s, text, &e) : create(s, text, &e);
        bool unclear = one == VF_RETRY || one == VF_CONFLICT || one == VF_MISSING;
        int seen = unclear ? look_again(s, text, err) : one;
        if (one == 0 || seen == 1 || seen < 0) {
            rc = one == 0 || seen == 1 ? 0 : seen;
            if (rc && !unclear) {
                vf_error_move(err, &e);
            }
            vf_error_free(e);
            return rc ? rc : vf_inject("cdi.saved", err);
        }
        vf_error_free(e);
    }
    return rc ? rc
              : vf_error_set(err, VF_RETRY,
                             "ConfigMap \"%s\" could not be written: somebody "
                             "changes it all the time",
                             s->name);
}

static int clear(struct vf_checkpoint_store *base, struct vf_error **err)
{
    struct store *s = (struct store *)base;
    struct vf_error *e = NULL;
    cJSON *map = NULL;
    set_name(s);
    int rc = fetch(s, &map, &e);
    rc = rc ? rc : vf_owned_delete(s->target->l.client, map, 0, NULL, &e);
    cJSON_Delete(map);
    if (rc == VF_MISSING) {
        vf_error_clear(&e);
        rc = 0;
    }
    vf_replace_string(&s->uid, NULL);
    vf_replace_string(&s->text, NULL);
    vf_error_move(err, &e);
    return rc;
}

static void free_store(struct vf_checkpoint_store *base)
{
    struct store *s = (struct store *)base;
    free(s->name);
    free(s->uid);
    free(s->version);
    free(s->text);
    free(s);
}

static const struct vf_checkpoint_store_ops ops = {
    .load = load, .save = save, .clear = clear, .free = free_store};

struct vf_checkpoint_store *vf_cdi_store_new(struct vf_cdi_target *t)
{
    struct store *s = vf_xcalloc(1, sizeof *s);
    s->base.ops = &ops;
    s->target = t;
    return &s->base;
}

const char *vf_cdi_store_uid(const struct vf_checkpoint_store *base)
{
    return ((const struct store *)base)->uid;
}
