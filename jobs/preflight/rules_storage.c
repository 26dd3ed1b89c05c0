/* Rules of where disks go: storage classes, and what is free in them. */
#include <stdlib.h>
#include <string.h>

#include "importer/base/mem.h"
#include "jobs/preflight/demands.h"
#include "jobs/preflight/looks.h"
#include "jobs/report/text.h"

static const struct vf_target_storage *storage_at(const struct vf_check *c, size_t i)
{
    const struct vf_kube_storage_wish wish = vf_target_wish(c->options, c->vm, i);
    return vf_target_find_storage(&c->facts->target, &wish);
}

/* What holds for all disks that are stored the same way is told at the first of them. */
static bool is_first(const struct vf_check *c, size_t i)
{
    const struct vf_target_storage *s = storage_at(c, i);
    for (size_t k = 0; k < i; k++) {
        if (storage_at(c, k) == s) {
            return false;
        }
    }
    return true;
}

/* --- is there such storage? -------------------------------------------------------------- */

static void check_class(const struct vf_check *c)
{
    for (size_t i = 0; i < c->vm->n_disks; i++) {
        const struct vf_target_storage *s = storage_at(c, i);
        if (!s || !s->problem || s->code == VF_INVALID || !is_first(c, i)) {
            continue;
        }
        char *vf_autofree object = vf_check_disk_object(&c->vm->disks[i]);
        if (s->code == VF_MISSING) {
            vf_found_as(c, c->rule->severity, object, s->hint, "%s", s->problem);
        } else {
            vf_found_as(c, VF_WARNING, object, s->hint, "its storage was not judged: %s",
                        s->problem);
        }
    }
}

static void check_mode(const struct vf_check *c)
{
    for (size_t i = 0; i < c->vm->n_disks; i++) {
        const struct vf_target_storage *s = storage_at(c, i);
        if (s && s->problem && s->code == VF_INVALID && is_first(c, i)) {
            char *vf_autofree object = vf_check_disk_object(&c->vm->disks[i]);
            vf_found_as(c, c->rule->severity, object, s->hint, "%s", s->problem);
        }
    }
}

static void check_shared(const struct vf_check *c)
{
    for (size_t i = 0; i < c->vm->n_disks; i++) {
        const struct vf_kube_storage *s = vf_target_storage_of(c, c->vm, i);
        if (c->vm->disks[i].shared && s &&
            (strcmp(s->access_mode, "ReadWriteMany") != 0 ||
             strcmp(s->volume_mode, VF_VOLUME_MODE_BLOCK) != 0)) {
            char *vf_autofree object = vf_check_disk_object(&c->vm->disks[i]);
            vf_found(c, object,
                     "it is shared with other VMs, and its claim in storage class \"%s\" would be "
                     "%s and %s",
                     s->class_name, s->volume_mode, s->access_mode);
        }
    }
}

/* --- is there room? ---------------------------------------------------------------------- */

static void found_room(const struct vf_check *c, size_t i, uint64_t need_bytes, uint64_t have_bytes,
                       const char *of, const char *class_name)
{
    char need[VF_TEXT_BYTES_SIZE], have[VF_TEXT_BYTES_SIZE];
    char *vf_autofree object = vf_check_disk_object(&c->vm->disks[i]);
    vf_found(c, object, "its claim asks for %s, and %s storage class \"%s\" is %s",
             vf_text_bytes(need, need_bytes), of, class_name, vf_text_bytes(have, have_bytes));
}

/* Is a claim of ours for the disk there already? */
static bool has_claim(const struct vf_check *c, size_t i)
{
    return vf_target_has_claim(c, c->index, i);
}

static void check_space(const struct vf_check *c)
{
    for (size_t i = 0; i < c->vm->n_disks; i++) {
        const struct vf_kube_storage *s = vf_target_storage_of(c, c->vm, i);
        const struct vf_target_class *class =
            s ? vf_target_find_class(&c->facts->target, s->class_name) : NULL;
        uint64_t need = s ? vf_target_request_bytes(s, &c->vm->disks[i]) : 0;
        if (class && class->has_capacity && need > class->free_bytes && !has_claim(c, i)) {
            found_room(c, i, need, class->free_bytes, "the most that is free in one place of",
                       class->name);
        }
    }
}

static void check_max_volume(const struct vf_check *c)
{
    uint64_t limit = c->facts->target.max_claim_bytes;
    for (size_t i = 0; i < c->vm->n_disks; i++) {
        const struct vf_kube_storage *s = vf_target_storage_of(c, c->vm, i);
        const struct vf_target_class *class =
            s ? vf_target_find_class(&c->facts->target, s->class_name) : NULL;
        uint64_t need = s ? vf_target_request_bytes(s, &c->vm->disks[i]) : 0;
        if (has_claim(c, i)) {
            continue;
        }
        if (class && class->max_volume_bytes && need > class->max_volume_bytes) {
            found_room(c, i, need, class->max_volume_bytes, "the largest volume of", class->name);
        } else if (limit && need > limit) {
            char ask[VF_TEXT_BYTES_SIZE], most[VF_TEXT_BYTES_SIZE];
            char *vf_autofree object = vf_check_disk_object(&c->vm->disks[i]);
            vf_found_as(c, c->rule->severity, object,
                        "raise max of the namespace's LimitRange for PersistentVolumeClaims",
                        "its claim asks for %s, and a LimitRange of namespace \"%s\" allows %s",
                        vf_text_bytes(ask, need), c->facts->target.ns, vf_text_bytes(most, limit));
        }
    }
}

/* --- all VMs together -------------------------------------------------------------------- */

static uint64_t sum_of_class(const struct vf_check *c, const struct vf_target_class *class)
{
    const struct vf_facts *f = c->facts;
    uint64_t sum = 0;
    for (size_t v = 0; v < f->n_vms; v++) {
        for (size_t i = 0; i < f->vms[v].n_disks; i++) {
            const struct vf_kube_storage *s = vf_target_storage_of(c, &f->vms[v], i);
            if (s && strcmp(s->class_name, class->name) == 0 && !vf_target_has_claim(c, v, i)) {
                sum = vf_target_add(sum, vf_target_request_bytes(s, &f->vms[v].disks[i]));
            }
        }
    }
    return sum;
}

static void check_space_all(const struct vf_check *c)
{
    const struct vf_facts *f = c->facts;
    for (size_t i = 0; i < f->target.n_classes; i++) {
        const struct vf_target_class *class = &f->target.classes[i];
        uint64_t need = class->has_capacity ? sum_of_class(c, class) : 0;
        if (need > class->total_free_bytes) {
            char ask[VF_TEXT_BYTES_SIZE], have[VF_TEXT_BYTES_SIZE];
            vf_found(c, NULL,
                     "the disks of %zu VM%s ask for %s of storage class \"%s\", in which "
                     "%s is free",
                     f->n_vms, vf_check_plural(f->n_vms), vf_text_bytes(ask, need), class->name,
                     vf_text_bytes(have, class->total_free_bytes));
        }
    }
}

/* --- how it works ------------------------------------------------------------------------ */

static void check_waits(const struct vf_check *c)
{
    const struct vf_import_options *import = c->options->import;
    if (import->target != VF_TO_UPLOAD || import->cluster.bind_immediately) {
        return;
    }
    for (size_t i = 0; i < c->vm->n_disks; i++) {
        const struct vf_kube_storage *s = vf_target_storage_of(c, c->vm, i);
        if (s && s->waits_for_consumer && is_first(c, i)) {
            char *vf_autofree object = vf_check_disk_object(&c->vm->disks[i]);
            vf_found(c, object,
                     "storage class \"%s\" makes a volume only once a pod uses the claim",
                     s->class_name);
        }
    }
}

static void check_snapshots(const struct vf_check *c)
{
    const struct vf_target_facts *f = &c->facts->target;
    if (!c->options->warm || !f->snapshots_known) {
        return;
    }
    for (size_t i = 0; i < c->vm->n_disks; i++) {
        const struct vf_kube_storage *s = vf_target_storage_of(c, c->vm, i);
        const struct vf_target_class *class = s ? vf_target_find_class(f, s->class_name) : NULL;
        bool has = s && (s->snapshot_class || (class && class->snapshot_class));
        if (s && (class || !f->has_snapshots) && !has && is_first(c, i)) {
            char *vf_autofree object = vf_check_disk_object(&c->vm->disks[i]);
            vf_found(c, object, "storage class \"%s\" has no VolumeSnapshotClass%s", s->class_name,
                     f->has_snapshots ? " of its driver that is the default or the only one"
                                      : ": the cluster has no VolumeSnapshots");
        }
    }
}

const struct vf_rule vf_rules_storage[] = {
    {.id = "storage.class",
     .severity = VF_CRITICAL,
     .area = VF_AREA_TARGET,
     .looks_at = "storage class of each disk, and the default one",
     .message = "there is no such storage class, or no default one (warning: it may not be read)",
     .action = "kubectl get storageclass lists them; --storage-class or --storage names one",
     .check = check_class},
    {.id = "storage.mode",
     .severity = VF_CRITICAL,
     .area = VF_AREA_TARGET,
     .looks_at = "volume mode and access mode of each disk, and CDI's StorageProfile",
     .message = "the storage class has no volumes of the mode that was asked for",
     .action = "ask for one that its StorageProfile knows, or for none",
     .check = check_mode},
    {.id = "storage.shared",
     .severity = VF_CRITICAL,
     .area = VF_AREA_TARGET,
     .looks_at = "modes of the claim of each shared disk",
     .message = "several VMs can only share a claim that is Block and ReadWriteMany",
     .action =
         "--disk \"N:class=CLASS,mode=Block,access=ReadWriteMany\" with a class that has both",
     .check = check_shared},
    {.id = "storage.space",
     .severity = VF_CRITICAL,
     .area = VF_AREA_TARGET,
     .looks_at = "CSIStorageCapacity objects of the disk's storage class",
     .message = "there is no place in the storage that has room for the disk",
     .action = "make room, or take another storage class for it: --disk N:class=CLASS",
     .check = check_space},
    {.id = "storage.max-volume",
     .severity = VF_CRITICAL,
     .area = VF_AREA_TARGET,
     .looks_at = "maximumVolumeSize of the storage class, and the namespace's LimitRanges",
     .message = "the disk is larger than any volume may be",
     .action = "take another storage class for it: --disk N:class=CLASS",
     .check = check_max_volume},
    {.id = "storage.space-all",
     .severity = VF_CRITICAL,
     .area = VF_AREA_TARGET,
     .looks_at = "CSIStorageCapacity objects, and the disks of all VMs that were chosen",
     .message = "the storage has no room for all disks together",
     .action = "make room, choose fewer VMs, or spread them: --storage \"DATASTORE=CLASS\"",
     .once = true,
     .check = check_space_all},
    {.id = "storage.waits",
     .severity = VF_CRITICAL,
     .area = VF_AREA_TARGET,
     .looks_at = "volumeBindingMode of the storage class, for --to upload",
     .message = "an upload would wait for the volume, and the volume for a first consumer",
     .action = "--bind-immediately, or --to pvc, whose worker is the first consumer",
     .check = check_waits},
    {.id = "storage.snapshots",
     .severity = VF_WARNING,
     .area = VF_AREA_TARGET,
     .looks_at = "VolumeSnapshotClass for the storage of each disk, for a warm migration",
     .message =
         "without snapshots of the claims vmferry rollback cannot go back to an earlier round",
     .action = "make a VolumeSnapshotClass for the driver, if it can take snapshots",
     .check = check_snapshots},
    {.id = NULL},
};
