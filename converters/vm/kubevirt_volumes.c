/* cdi.kubevirt.io/v1beta1 DataVolume: fields and their rules as of CDI v1.65. */
#include "converters/vm/kubevirt_volumes.h"

#include "converters/vm/cloud_init.h"
#include "converters/vm/kubevirt_drives.h"
#include "converters/vm/kubevirt_instancetype.h"
#include "importer/base/json.h"
#include "importer/base/mem.h"

#define CDI_ANNOTATION(name) "cdi.kubevirt.io/" name

const struct vf_manifest_disk *vf_kubevirt_disk_options(const struct vf_manifest_plan *plan,
                                                        size_t i)
{
    static const struct vf_manifest_disk nothing;
    return plan->options->disks ? &plan->options->disks[i] : &nothing;
}

/* An upload needs a place before anything consumes the claim; and the VM names the DataVolume,
 * which CDI before 1.62 may collect once it is done. */
static void add_claim_annotations(const struct vf_manifest_plan *plan, size_t i, cJSON *metadata)
{
    const struct vf_vm_disk *d = &plan->vm->disks[i];
    const struct vf_manifest_disk *o = vf_kubevirt_disk_options(plan, i);
    cJSON *a = vf_json_add_object(metadata, "annotations");
    vf_json_add_string(a, CDI_ANNOTATION("storage.bind.immediate.requested"), "true");
    vf_json_add_string(a, CDI_ANNOTATION("storage.deleteAfterCompletion"), "false");
    vf_kubevirt_annotate(a, VF_ANNOTATION("disk-label"), d->label);
    vf_kubevirt_annotate(a, VF_ANNOTATION("disk-file"), d->file);
    vf_kubevirt_annotate(a, VF_ANNOTATION("datastore"), d->datastore);
    vf_kubevirt_annotate(a, VF_ANNOTATION("disk-uuid"), d->uuid);
    vf_kubevirt_annotate(a, VF_ANNOTATION("image"), o->image);
    vf_kubevirt_annotate(a, VF_ANNOTATION("image-format"), o->format);
    vf_kubevirt_annotate(a, VF_ANNOTATION("digest"), o->digest);
}

static void note(const struct vf_manifest_plan *plan, const cJSON *storage, const char *key,
                 const char *fact, const char *told)
{
    if (fact) {
        vf_origin_note_member(plan->origins, storage, key, VF_ORIGIN_TARGET, "as the claim has it");
    } else if (told) {
        vf_origin_note_member(plan->origins, storage, key, VF_ORIGIN_OPTION,
                              "storage of the disk, its datastore or all");
    } else {
        vf_origin_note_member(plan->origins, storage, key, VF_ORIGIN_SOURCE,
                              "the disk is shared with other VMs");
    }
}

/* What a person told: the rest of what holds for a disk is there because it is shared. */
static struct vf_disk_storage storage_told(const struct vf_manifest_plan *plan, size_t i)
{
    struct vf_vm_disk alone = plan->vm->disks[i];
    alone.shared = false;
    const struct vf_vm vm = {.disks = &alone, .n_disks = 1};
    return vf_mapping_storage_of(plan->mapping, &vm, 0);
}

static void add_storage(const struct vf_manifest_plan *plan, size_t i, cJSON *spec)
{
    const struct vf_vm_disk *d = &plan->vm->disks[i];
    const struct vf_manifest_disk *o = vf_kubevirt_disk_options(plan, i);
    struct vf_disk_storage told = storage_told(plan, i);
    struct vf_disk_storage due = vf_mapping_storage_of(plan->mapping, plan->vm, i);
    const char *access_mode = o->access_mode ? o->access_mode : due.access_mode;
    uint64_t bytes = o->size_bytes ? o->size_bytes : d->capacity_bytes;
    char *vf_autofree size = vf_kubevirt_quantity(o->request_bytes ? o->request_bytes : bytes);
    cJSON *storage = vf_json_add_object(spec, "storage");
    vf_json_add_string(storage, "storageClassName",
                       o->storage_class ? o->storage_class : due.storage_class);
    note(plan, storage, "storageClassName", o->storage_class, told.storage_class);
    vf_json_add_string(storage, "volumeMode", o->volume_mode ? o->volume_mode : due.volume_mode);
    note(plan, storage, "volumeMode", o->volume_mode, told.volume_mode);
    if (access_mode) {
        vf_json_append_string(vf_json_add_array(storage, "accessModes"), access_mode);
        note(plan, storage, "accessModes", o->access_mode, told.access_mode);
    }
    cJSON *requests = vf_json_add_object(vf_json_add_object(storage, "resources"), "requests");
    vf_json_add_string(requests, "storage", size);
    vf_origin_note_member(
        plan->origins, requests, "storage", o->request_bytes ? VF_ORIGIN_TARGET : VF_ORIGIN_SOURCE,
        o->request_bytes ? "the disk, and what a filesystem takes" : "capacityInBytes");
}

static void add_infer_labels(const struct vf_manifest_plan *plan, size_t i, cJSON *metadata)
{
    if (&plan->vm->disks[i] != plan->boot_disk) {
        return;
    }
    cJSON *labels = cJSON_GetObjectItemCaseSensitive(metadata, "labels");
    bool own = labels == NULL;
    labels = own ? vf_json_add_object(metadata, "labels") : labels;
    vf_kubevirt_infer_labels(plan, labels);
    if (own && !labels->child) {
        cJSON_DeleteItemFromObjectCaseSensitive(metadata, "labels");
    }
}

cJSON *vf_kubevirt_data_volume(const struct vf_manifest_plan *plan, size_t i)
{
    cJSON *document = vf_json_new_object();
    vf_json_add_string(document, "apiVersion", "cdi.kubevirt.io/v1beta1");
    vf_json_add_string(document, "kind", "DataVolume");
    cJSON *metadata = vf_kubevirt_metadata(document, plan, plan->claims[i]);
    add_infer_labels(plan, i, metadata);
    add_claim_annotations(plan, i, metadata);
    cJSON *spec = vf_json_add_object(document, "spec");
    const char *source = vf_kubevirt_disk_options(plan, i)->image ? "upload" : "blank";
    vf_json_add_object(vf_json_add_object(spec, "source"), source);
    vf_json_add_string(spec, "contentType", "kubevirt");
    add_storage(plan, i, spec);
    return document;
}

/* The source is asked for by the schema and never used: where a claim of the template's name is,
 * CDI takes it for the DataVolume's with what it holds. KubeVirt from 1.3 on allows that itself.
 * Source: CDI, doc/datavolumes.md (claim adoption). */
void vf_kubevirt_adopt(const struct vf_manifest_plan *plan, cJSON *spec)
{
    if (plan->options->handover != VF_HANDOVER_ADOPT || plan->vm->n_disks == 0) {
        return;
    }
    cJSON *templates = vf_json_add_array(spec, "dataVolumeTemplates");
    for (size_t i = 0; i < plan->vm->n_disks; i++) {
        cJSON *template = vf_json_append_object(templates);
        cJSON *metadata = vf_json_add_object(template, "metadata");
        vf_json_add_string(metadata, "name", plan->claims[i]);
        add_infer_labels(plan, i, metadata);
        vf_json_add_string(vf_json_add_object(metadata, "annotations"),
                           CDI_ANNOTATION("allowClaimAdoption"), "true");
        cJSON *volume = vf_json_add_object(template, "spec");
        vf_json_add_object(vf_json_add_object(volume, "source"), "blank");
        add_storage(plan, i, volume);
    }
}

static void add_cloud_init(const struct vf_drives *drives, cJSON *volume)
{
    cJSON *source = vf_json_add_object(volume, "cloudInitNoCloud");
    vf_json_add_string(source, "userData", VF_CLOUD_INIT_USER_DATA);
    vf_json_add_string(source, "networkData", drives->network_data);
}

static void add_volume(const struct vf_manifest_plan *plan, const struct vf_drives *drives,
                       const struct vf_drive *d, cJSON *volumes)
{
    cJSON *volume = vf_json_append_object(volumes);
    vf_json_add_string(volume, "name", d->name);
    if (d->kind == VF_DRIVE_CLOUD_INIT) {
        add_cloud_init(drives, volume);
        vf_origin_note(plan->origins, volume, VF_ORIGIN_OPTION, "addresses by cloud-init");
        return;
    }
    bool own = d->kind == VF_DRIVE_COPIED && plan->options->handover != VF_HANDOVER_CLAIM;
    const char *key = own ? "dataVolume" : "persistentVolumeClaim";
    cJSON *source = vf_json_add_object(volume, key);
    vf_json_add_string(source, own ? "name" : "claimName", d->claim);
    if (d->kind == VF_DRIVE_COPIED) {
        vf_origin_note(plan->origins, volume, VF_ORIGIN_SOURCE, "backing.fileName %s",
                       d->disk->file ? d->disk->file : "unknown");
        vf_origin_note(plan->origins, source, VF_ORIGIN_TARGET, "the claim that the disk is in");
    } else {
        vf_origin_note(plan->origins, volume, VF_ORIGIN_OPTION,
                       d->cdrom ? "claim of the ISO" : "claim of the disk");
    }
}

void vf_kubevirt_volumes(const struct vf_manifest_plan *plan, cJSON *spec)
{
    struct vf_drives drives;
    cJSON *volumes = NULL;
    vf_drives_plan(plan, NULL, &drives);
    for (size_t i = 0; i < drives.n_items; i++) {
        const struct vf_drive *d = &drives.items[i];
        if (d->claim || d->kind == VF_DRIVE_CLOUD_INIT) {
            volumes = volumes ? volumes : vf_json_add_array(spec, "volumes");
            add_volume(plan, &drives, d, volumes);
        }
    }
    vf_drives_release(&drives);
}
