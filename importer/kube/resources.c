#include "importer/kube/resources.h"

#include <string.h>

#include "importer/base/mem.h"

#define RESOURCE(group_, version_, plural_, namespaced_)                                           \
    {                                                                                              \
        .group = (group_), .version = (version_), .plural = (plural_), .namespaced = (namespaced_) \
    }

const struct vf_kube_resource vf_kube_namespaces = RESOURCE("", "v1", "namespaces", false);
const struct vf_kube_resource vf_kube_claims = RESOURCE("", "v1", "persistentvolumeclaims", true);
const struct vf_kube_resource vf_kube_pods = RESOURCE("", "v1", "pods", true);
const struct vf_kube_resource vf_kube_secrets = RESOURCE("", "v1", "secrets", true);
const struct vf_kube_resource vf_kube_events = RESOURCE("", "v1", "events", true);
const struct vf_kube_resource vf_kube_config_maps = RESOURCE("", "v1", "configmaps", true);
const struct vf_kube_resource vf_kube_jobs = RESOURCE("batch", "v1", "jobs", true);
const struct vf_kube_resource vf_kube_storage_classes =
    RESOURCE("storage.k8s.io", "v1", "storageclasses", false);
const struct vf_kube_resource vf_kube_data_volumes =
    RESOURCE("cdi.kubevirt.io", "v1beta1", "datavolumes", true);
const struct vf_kube_resource vf_kube_cdis = RESOURCE("cdi.kubevirt.io", "v1beta1", "cdis", false);
const struct vf_kube_resource vf_kube_cdi_configs =
    RESOURCE("cdi.kubevirt.io", "v1beta1", "cdiconfigs", false);
const struct vf_kube_resource vf_kube_storage_profiles =
    RESOURCE("cdi.kubevirt.io", "v1beta1", "storageprofiles", false);
const struct vf_kube_resource vf_kube_upload_tokens =
    RESOURCE("upload.cdi.kubevirt.io", "v1beta1", "uploadtokenrequests", true);
const struct vf_kube_resource vf_kube_virtual_machines =
    RESOURCE("kubevirt.io", "v1", "virtualmachines", true);
const struct vf_kube_resource vf_kube_virtual_machine_instances =
    RESOURCE("kubevirt.io", "v1", "virtualmachineinstances", true);
const struct vf_kube_resource vf_kube_kubevirts = RESOURCE("kubevirt.io", "v1", "kubevirts", true);
const struct vf_kube_resource vf_kube_network_attachments =
    RESOURCE("k8s.cni.cncf.io", "v1", "network-attachment-definitions", true);
const struct vf_kube_resource vf_kube_volume_snapshots =
    RESOURCE("snapshot.storage.k8s.io", "v1", "volumesnapshots", true);
const struct vf_kube_resource vf_kube_volume_snapshot_classes =
    RESOURCE("snapshot.storage.k8s.io", "v1", "volumesnapshotclasses", false);
const struct vf_kube_resource vf_kube_nodes = RESOURCE("", "v1", "nodes", false);
const struct vf_kube_resource vf_kube_service_accounts =
    RESOURCE("", "v1", "serviceaccounts", true);
const struct vf_kube_resource vf_kube_resource_quotas = RESOURCE("", "v1", "resourcequotas", true);
const struct vf_kube_resource vf_kube_limit_ranges = RESOURCE("", "v1", "limitranges", true);
const struct vf_kube_resource vf_kube_storage_capacities =
    RESOURCE("storage.k8s.io", "v1", "csistoragecapacities", true);
const struct vf_kube_resource vf_kube_instancetypes =
    RESOURCE("instancetype.kubevirt.io", "v1beta1", "virtualmachineinstancetypes", true);
const struct vf_kube_resource vf_kube_cluster_instancetypes =
    RESOURCE("instancetype.kubevirt.io", "v1beta1", "virtualmachineclusterinstancetypes", false);
const struct vf_kube_resource vf_kube_preferences =
    RESOURCE("instancetype.kubevirt.io", "v1beta1", "virtualmachinepreferences", true);
const struct vf_kube_resource vf_kube_cluster_preferences =
    RESOURCE("instancetype.kubevirt.io", "v1beta1", "virtualmachineclusterpreferences", false);
const struct vf_kube_resource vf_kube_rules_reviews =
    RESOURCE("authorization.k8s.io", "v1", "selfsubjectrulesreviews", false);
const struct vf_kube_resource vf_kube_access_reviews =
    RESOURCE("authorization.k8s.io", "v1", "selfsubjectaccessreviews", false);
const struct vf_kube_resource vf_kube_machine_subresources =
    RESOURCE("subresources.kubevirt.io", "v1", "virtualmachines", true);

static const struct {
    const char *kind;
    const struct vf_kube_resource *resource;
} kinds[] = {
    {"Namespace", &vf_kube_namespaces},
    {"PersistentVolumeClaim", &vf_kube_claims},
    {"Pod", &vf_kube_pods},
    {"Secret", &vf_kube_secrets},
    {"Event", &vf_kube_events},
    {"ConfigMap", &vf_kube_config_maps},
    {"Job", &vf_kube_jobs},
    {"StorageClass", &vf_kube_storage_classes},
    {"DataVolume", &vf_kube_data_volumes},
    {"CDI", &vf_kube_cdis},
    {"CDIConfig", &vf_kube_cdi_configs},
    {"StorageProfile", &vf_kube_storage_profiles},
    {"UploadTokenRequest", &vf_kube_upload_tokens},
    {"VirtualMachine", &vf_kube_virtual_machines},
    {"VirtualMachineInstance", &vf_kube_virtual_machine_instances},
    {"KubeVirt", &vf_kube_kubevirts},
    {"NetworkAttachmentDefinition", &vf_kube_network_attachments},
    {"VolumeSnapshot", &vf_kube_volume_snapshots},
    {"VolumeSnapshotClass", &vf_kube_volume_snapshot_classes},
    {"VirtualMachineInstancetype", &vf_kube_instancetypes},
    {"VirtualMachineClusterInstancetype", &vf_kube_cluster_instancetypes},
    {"VirtualMachinePreference", &vf_kube_preferences},
    {"VirtualMachineClusterPreference", &vf_kube_cluster_preferences},
    {"SelfSubjectRulesReview", &vf_kube_rules_reviews},
    {"SelfSubjectAccessReview", &vf_kube_access_reviews},
};

const char *vf_kube_kind(const struct vf_kube_resource *resource)
{
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++) {
        if (kinds[i].resource == resource) {
            return kinds[i].kind;
        }
    }
    return NULL;
}

char *vf_kube_api_version(const struct vf_kube_resource *resource)
{
    return vf_xasprintf("%s%s%s", resource->group, resource->group[0] ? "/" : "",
                        resource->version);
}

const struct vf_kube_resource *vf_kube_resource_of(const char *api_version, const char *kind)
{
    if (!api_version || !kind) {
        return NULL;
    }
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++) {
        char *vf_autofree version = vf_kube_api_version(kinds[i].resource);
        if (strcmp(kinds[i].kind, kind) == 0 && strcmp(version, api_version) == 0) {
            return kinds[i].resource;
        }
    }
    return NULL;
}
