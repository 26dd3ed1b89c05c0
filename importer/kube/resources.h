/* The kinds of objects that vmferry deals with, as URLs name them. */
#ifndef IMPORTER_KUBE_RESOURCES_H
#define IMPORTER_KUBE_RESOURCES_H

#include "importer/kube/client.h"

extern const struct vf_kube_resource vf_kube_namespaces, vf_kube_claims, vf_kube_pods,
    vf_kube_secrets, vf_kube_events, vf_kube_config_maps, vf_kube_jobs, vf_kube_storage_classes,
    vf_kube_data_volumes, vf_kube_cdis, vf_kube_cdi_configs, vf_kube_storage_profiles,
    vf_kube_upload_tokens, vf_kube_virtual_machines, vf_kube_virtual_machine_instances,
    vf_kube_kubevirts, vf_kube_network_attachments, vf_kube_volume_snapshots,
    vf_kube_volume_snapshot_classes, vf_kube_nodes, vf_kube_service_accounts,
    vf_kube_resource_quotas, vf_kube_limit_ranges, vf_kube_storage_capacities,
    vf_kube_instancetypes, vf_kube_cluster_instancetypes, vf_kube_preferences,
    vf_kube_cluster_preferences, vf_kube_rules_reviews, vf_kube_access_reviews;

/* KubeVirt serves what changes a VM's state beside its objects. */
extern const struct vf_kube_resource vf_kube_machine_subresources;

/* The resource for apiVersion and kind of an object; NULL when it is none of these. */
const struct vf_kube_resource *vf_kube_resource_of(const char *api_version, const char *kind);

/* And back: "cdi.kubevirt.io/v1beta1" (caller frees), "DataVolume" (static; NULL for a resource
 * that is none of these). */
char *vf_kube_api_version(const struct vf_kube_resource *resource);
const char *vf_kube_kind(const struct vf_kube_resource *resource);

#endif
