/* cdi.kubevirt.io/v1beta1 DataVolume: fields and their rules as of CDI v1.65. */
#include "converters/vm/kubevirt_volumes.h"

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

static void add_storage(const struct vf_manifest_plan *plan, size_t i, cJSON *spec)
{
    const struct vf_vm_disk *d = &plan->vm->disks[i];
    const struct vf_manifest_disk *o = vf_kubevirt_disk_options(plan, i);
    const char *volume_mode = d->shared && !o->volume_mode ? "Block" : o->volume_mode;
    const char *access_mode = d->shared && !o->access_mode ? "ReadWriteMany" : o->access_mode;
    uint64_t bytes = o->size_bytes ? o->size_bytes : d->capacity_bytes;
    char *vf_autofree size = vf_kubevirt_quantity(o->request_bytes ? o->request_bytes : bytes);
    cJSON *storage = vf_json_add_object(spec, "storage");
    vf_json_add_string(storage, "storageClassName",
                       o->storage_class ? o->storage_class : plan->options->storage_class);
    vf_json_add_string(storage, "volumeMode", volume_mode);
    if (access_mode) {
        vf_json_append_string(vf_json_add_array(storage, "accessModes"), access_mode);
    }
    cJSON *requests = vf_json_add_object(vf_json_add_object(storage, "resources"), "requests");
    vf_json_add_string(requests, "storage", size);
}

cJSON *vf_kubevirt_data_volume(const struct vf_manifest_plan *plan, size_t i)
{
    cJSON *document = vf_json_new_object();
    vf_json_add_string(document, "apiVersion", "cdi.kubevirt.io/v1beta1");
    vf_json_add_string(document, "kind", "DataVolume");
    add_claim_annotations(plan, i, vf_kubevirt_metadata(document, plan, plan->claims[i]));
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
        vf_json_add_string(vf_json_add_object(metadata, "annotations"),
                           CDI_ANNOTATION("allowClaimAdoption"), "true");
        cJSON *volume = vf_json_add_object(template, "spec");
        vf_json_add_object(vf_json_add_object(volume, "source"), "blank");
        add_storage(plan, i, volume);
    }
}

void vf_kubevirt_volumes(const struct vf_manifest_plan *plan, cJSON *spec)
{
    if (plan->vm->n_disks == 0) {
        return;
    }
    cJSON *volumes = vf_json_add_array(spec, "volumes");
    bool claim = plan->options->handover == VF_HANDOVER_CLAIM;
    for (size_t i = 0; i < plan->vm->n_disks; i++) {
        char *vf_autofree name = vf_xasprintf("disk-%zu", i);
        cJSON *volume = vf_json_append_object(volumes);
        vf_json_add_string(volume, "name", name);
        cJSON *source = vf_json_add_object(volume, claim ? "persistentVolumeClaim" : "dataVolume");
        vf_json_add_string(source, claim ? "claimName" : "name", plan->claims[i]);
    }
}
