/* What the VM and its disks are called in the cluster: as their source says, unless that name is
 * another VM's. The same VM gets the same name again.
 */
#include <stdlib.h>
#include <string.h>

#include "converters/vm/names.h"
#include "importer/base/json.h"
#include "importer/base/mem.h"
#include "importer/kube/metadata.h"
#include "importer/kube/resources.h"
#include "jobs/cluster/claim_store.h"
#include "jobs/cluster/launch.h"

enum verdict {
    NAME_FREE,     /* nothing is there, or what an earlier try left */
    NAME_OF_OTHER, /* of another VM that vmferry brought */
};

/* What was found under a name. */
struct found {
    enum verdict verdict;
    cJSON *leftovers; /* to be removed */
    cJSON *finished;  /* of a warm migration: an object that is complete; NULL: none */
    bool checkpoint;  /* and a claim that says that it did not come to its end */
};

struct object {
    const struct vf_kube_resource *resource;
    const char *kind;
};

static const struct object machines = {&vf_kube_virtual_machines, "VirtualMachine"};
static const struct object volumes = {&vf_kube_data_volumes, "DataVolume"};
static const struct object claims = {&vf_kube_claims, "PersistentVolumeClaim"};

static int refuse(struct vf_landing_cluster *l, const struct object *o, const char *name,
                  enum vf_owned owned, struct vf_error **err)
{
    if (owned == VF_OWNED_FINISHED) {
        vf_error_set(err, VF_CONFLICT,
                     "%s \"%s\" in namespace \"%s\" is of an import of this VM that is complete",
                     o->kind, name, l->ns);
        vf_error_hint(err, "another name by --name brings it once more; kubectl delete, or vmferry "
                           "cleanup --all for disks that no VM uses, makes room");
    } else {
        vf_error_set(err, VF_CONFLICT,
                     "there is a %s \"%s\" in namespace \"%s\" already, which is not vmferry's",
                     o->kind, name, l->ns);
        vf_error_hint(err, "it was left alone; choose another name with --name");
    }
    return VF_CONFLICT;
}

/* The claims that a worker fills were made for it, and are unfinished: they must stay. */
static bool fills_mounted(const struct vf_landing_cluster *l)
{
    const struct vf_import_options *o = l->landing.im->options;
    return o->target == VF_TO_CLAIM && o->to_path;
}

static int refuse_warm(struct vf_landing_cluster *l, const struct object *o, const char *name,
                       struct vf_error **err)
{
    vf_error_set(err, VF_CONFLICT,
                 "%s \"%s\" in namespace \"%s\" is of a warm migration of this VM that did not "
                 "come to its end",
                 o->kind, name, l->ns);
    vf_error_hint(err,
                  "go on with it by the \"vmferry migrate --warm\" it was begun with, or remove it "
                  "by \"vmferry cancel %s --discard --namespace %s\", or choose another --name",
                  l->owner.import, l->ns);
    return VF_CONFLICT;
}

/* Ours, under a name that is to be ours. A warm migration goes on with its own objects; that it is
 * over is told by the checkpoints being gone. */
static int judge_own(struct vf_landing_cluster *l, const struct object *o, const char *name,
                     enum vf_owned owned, cJSON **object, struct found *f, struct vf_error **err)
{
    bool warm = vf_owned_is_warm(*object);
    if (l->warm && warm) {
        f->checkpoint |= vf_kube_annotation(*object, VF_CLAIM_CHECKPOINT) != NULL;
        if (owned == VF_OWNED_FINISHED && !f->finished) {
            f->finished = vf_take(*object);
        }
        return 0;
    }
    if (owned == VF_OWNED_UNFINISHED && o != &machines) {
        if (warm) {
            return refuse_warm(l, o, name, err);
        }
        cJSON_AddItemToArray(f->leftovers, vf_take(*object));
        return 0;
    }
    return refuse(l, o, name, owned, err);
}

/* Looks at one object under a name that is to be ours. */
static int look(struct vf_landing_cluster *l, const struct object *o, const char *name,
                struct found *f, struct vf_error **err)
{
    struct vf_kube_ref ref = {.resource = o->resource, .ns = l->ns, .name = name};
    struct vf_kube_options options = {.cancel = l->landing.im->cancel};
    struct vf_error *e = NULL;
    cJSON *object = NULL;
    int rc = vf_kube_get(l->client, &ref, &options, &object, &e);
    if (rc == VF_MISSING || rc == VF_UNSUPPORTED) { /* not there, or CDI is not */
        vf_error_free(e);
        return 0;
    }
    if (rc) {
        vf_error_move(err, &e);
        return rc;
    }
    enum vf_owned owned = vf_owned_judge(object, &l->owner);
    if (owned == VF_OWNED_OTHER) {
        f->verdict = NAME_OF_OTHER;
    } else if (owned == VF_OWNED_NOT) {
        rc = refuse(l, o, name, owned, err);
    } else {
        rc = judge_own(l, o, name, owned, &object, f, err);
    }
    cJSON_Delete(object);
    return rc;
}

static void forget(struct found *f)
{
    cJSON_Delete(f->leftovers);
    cJSON_Delete(f->finished);
    *f = (struct found){0};
}

/* All objects that would carry `name`. */
static int try_name(struct vf_landing_cluster *l, const struct vf_vm *vm, const char *name,
                    struct found *f, struct vf_error **err)
{
    forget(f);
    f->leftovers = vf_json_new_array();
    l->owner.import = name;
    int rc = look(l, &machines, name, f, err);
    for (size_t i = 0; i < vm->n_disks && rc == 0 && f->verdict == NAME_FREE; i++) {
        char *vf_autofree claim = vf_name_of_disk(name, i);
        rc = look(l, &volumes, claim, f, err);
        if (rc == 0 && f->verdict == NAME_FREE) {
            rc = look(l, &claims, claim, f, err);
        }
    }
    /* A worker that was killed at its very end has no more than that to find out. */
    if (rc == 0 && f->verdict == NAME_FREE && f->finished && !f->checkpoint && !l->kept &&
        !fills_mounted(l)) {
        const char *kind = vf_json_string(f->finished, "kind");
        const struct object o = {.kind = kind ? kind : "object"};
        rc = refuse(l, &o, vf_kube_name(f->finished), VF_OWNED_FINISHED, err);
    }
    return rc;
}

/* The removal of what came before it may have taken minutes: an import that was under way may be at
 * its end. What is gone or another's by now is none of vf_owned_delete()'s. */
static int look_again(struct vf_landing_cluster *l, const cJSON *object, struct vf_error **err)
{
    const char *kind = vf_json_string(object, "kind");
    struct vf_kube_ref ref = {.resource =
                                  vf_kube_resource_of(vf_json_string(object, "apiVersion"), kind),
                              .ns = l->ns,
                              .name = vf_kube_name(object)};
    struct vf_kube_options options = {.cancel = l->landing.im->cancel};
    struct vf_error *e = NULL;
    cJSON *now = NULL;
    if (!ref.resource) {
        return 0;
    }
    int rc = vf_kube_get(l->client, &ref, &options, &now, &e);
    if (rc == VF_MISSING) {
        vf_error_clear(&e);
        rc = 0;
    } else if (rc == 0 && vf_owned_judge(now, &l->owner) != VF_OWNED_UNFINISHED) {
        rc = vf_error_set(&e, VF_CONFLICT, "%s \"%s\" is not unfinished any more", kind, ref.name);
        vf_error_hint(&e, "another import of this VM seems to be at work: look at what it made");
    }
    cJSON_Delete(now);
    vf_error_move(err, &e);
    return rc;
}

static int remove_leftovers(struct vf_landing_cluster *l, cJSON *leftovers, struct vf_error **err)
{
    struct vf_import *im = l->landing.im;
    const cJSON *object;
    const char *told = NULL;
    cJSON_ArrayForEach(object, leftovers)
    {
        const char *name = vf_kube_name(object);
        /* A DataVolume's claim goes with it, but the name is free only when both are gone. */
        if (!told || strcmp(told, name) != 0) {
            vf_report_phase(im->reporter, im->vm_name, "prepare",
                            "removing \"%s\", which an earlier import of this VM left unfinished",
                            name);
        }
        told = name;
        int rc = look_again(l, object, err);
        rc = rc ? rc
                : vf_owned_delete(l->client, object, VF_CLUSTER_DELETE_TIMEOUT_MS, im->cancel, err);
        if (rc) {
            return vf_error_wrap(err, rc, "removing \"%s\", left by an earlier import", name);
        }
    }
    return 0;
}

int vf_cluster_settle_names(struct vf_landing_cluster *l, const struct vf_vm *vm, bool look_only,
                            struct vf_error **err)
{
    struct vf_import *im = l->landing.im;
    struct found f = {0};
    int rc = try_name(l, vm, im->name, &f, err);
    if (rc == 0 && f.verdict == NAME_OF_OTHER && im->options->name) {
        rc =
            vf_error_set(err, VF_CONFLICT,
                         "the name \"%s\" is taken in namespace \"%s\" by the import of another VM",
                         im->name, l->ns);
        vf_error_hint(err, "choose another one with --name");
    } else if (rc == 0 && f.verdict == NAME_OF_OTHER) {
        char *vf_autofree distinct = vf_name_of_vm_distinct(vm);
        rc = try_name(l, vm, distinct, &f, err);
        if (rc == 0 && f.verdict == NAME_OF_OTHER) {
            rc = vf_error_set(err, VF_CONFLICT, "the names \"%s\" and \"%s\" are both taken",
                              im->name, distinct);
            vf_error_hint(err, "choose another one with --name");
        } else if (rc == 0) {
            vf_report_info(im->reporter, im->vm_name,
                           "the name \"%s\" is another imported VM's: this one will be \"%s\"",
                           im->name, distinct);
            vf_replace_string(&im->name, distinct);
        }
    }
    l->owner.import = im->name;
    if (rc == 0 && !fills_mounted(l)) { /* what is unfinished may be under way */
        rc = vf_cluster_check_worker(l, look_only, err);
    }
    if (rc == 0 && !look_only && !fills_mounted(l)) {
        rc = remove_leftovers(l, f.leftovers, err);
    }
    forget(&f);
    return rc;
}
