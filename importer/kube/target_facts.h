/* What is in a cluster, and in a namespace of it, that a VM to come has to do with: a few lists,
 * however many VMs there are to be.
 */
#ifndef IMPORTER_KUBE_TARGET_FACTS_H
#define IMPORTER_KUBE_TARGET_FACTS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <vmferry/cancel.h>
#include <vmferry/error.h>
#include <vmferry/vm.h>

#include "importer/kube/client.h"
#include "importer/kube/owned.h"
#include "importer/kube/rights.h"
#include "importer/kube/storage.h"

/* Lists are sorted by their first string. "known" is false where the account may not read, and
 * `unknown` says so in words. Strings are heap. */

struct vf_target_mac {
    char *mac;         /* lower case, colons */
    char *owner;       /* "NAMESPACE/NAME" of the VM */
    char *source_uuid; /* vmferry's mark of whose import it is; NULL: none */
    bool running;      /* an instance of the VM has it */
};

/* What is in the namespace. */
struct vf_target_name {
    char *key; /* "VirtualMachine/web01", "DataVolume/...", "PersistentVolumeClaim/..." */
    struct vf_owned_marks marks;
};

struct vf_target_quota {
    char *name;          /* of the ResourceQuota */
    char *resource;      /* "requests.storage", "fast.storageclass.storage.k8s.io/requests.storage",
                            "persistentvolumeclaims", "requests.memory", "limits.cpu", "count/..." */
    uint64_t hard, used; /* bytes; for CPU thousandths; else counts */
};

/* Of one storage class. */
struct vf_target_class {
    char *name, *provisioner;
    bool is_default;
    bool is_default_virt;
    bool has_capacity;         /* CSIStorageCapacity objects are there */
    uint64_t free_bytes;       /* the largest of them, as `capacity` */
    uint64_t total_free_bytes; /* of all segments of the topology */
    uint64_t max_volume_bytes; /* the largest maximumVolumeSize; 0: not told */
    char *snapshot_class;      /* NULL: none fits */
};

/* What a wish of the question came to. */
struct vf_target_storage {
    char *class_name, *volume_mode, *access_mode; /* as wished for; NULL: the cluster's choice */
    struct vf_kube_storage *storage;              /* NULL: as the two below say */
    int code;                                     /* enum vf_code: MISSING, INVALID, AUTH ... */
    char *problem, *hint;                         /* in a person's words; `hint` may be NULL */
};

struct vf_target_node {
    char *name;
    bool schedulable;                  /* Ready, not cordoned, kubevirt.io/schedulable */
    uint64_t cpu_millis, memory_bytes; /* allocatable */
    bool vmx, svm;                     /* cpu-feature.node.kubevirt.io/... */
    uint64_t hugepages_2m_bytes, hugepages_1g_bytes;
    bool cpu_manager;
};

struct vf_target_facts {
    bool known;
    char *ns;
    char *version; /* of Kubernetes, "v1.34.2" */
    bool macs_known, names_known, quotas_known, classes_known, nodes_known, attachments_known,
        preferences_known, instancetypes_known, cdi_known, rights_known, limits_known,
        snapshots_known, namespace_known;
    struct vf_target_mac *macs;
    size_t n_macs;
    struct vf_target_name *names; /* of VirtualMachines, DataVolumes and claims in the namespace */
    size_t n_names;
    struct vf_target_quota *quotas;
    size_t n_quotas;
    struct vf_target_class *classes;
    size_t n_classes;
    struct vf_target_node *nodes;
    size_t n_nodes;
    struct vf_target_storage *storages; /* as the question's wishes, in their order */
    size_t n_storages;
    /* "NAMESPACE/NAME" of those asked for that are there, and of those that are known not to be. */
    char **attachments, **missing_attachments;
    size_t n_attachments, n_missing_attachments;
    char **preferences, **instancetypes; /* "KIND/NAME", the cluster's and the namespace's */
    size_t n_preferences, n_instancetypes;
    bool has_cdi;             /* its API is served */
    char *cdi_version;        /* NULL: not told */
    bool has_snapshots;       /* VolumeSnapshots are served */
    enum vf_tristate account; /* is the service account asked for there? UNSET: not known */
    const struct vf_kube_need **refused; /* of the question's, NULL-terminated; NULL: not asked */
    uint64_t max_claim_bytes;            /* the least of the LimitRanges' for a claim; 0: none */
    uint64_t max_memory_bytes;           /* for a container or pod; 0: none */
    char *pod_security; /* pod-security.kubernetes.io/enforce of the namespace; NULL: none */
    bool is_user_defined_network; /* the namespace's primary network is a UserDefinedNetwork */
    int64_t clock_skew_ms;        /* the API server's Date minus ours */
    bool clock_known;
    char **unknown; /* what may not be looked at, one line each */
    size_t n_unknown;
};

struct vf_target_question {
    const char *const *attachments; /* "NAMESPACE/NAME", NULL-terminated; NULL: none */
    const struct vf_kube_storage_wish *wishes;
    size_t n_wishes;
    const char *account; /* name of a service account in the namespace; NULL: not asked */
    const struct vf_kube_need *const *needs; /* NULL-terminated; static; NULL: none */
};

/* An error only where the cluster cannot be reached at all, or on cancellation. */
int vf_kube_fetch_target_facts(struct vf_kube_client *client,
                               const struct vf_target_question *question,
                               const struct vf_cancel *cancel, struct vf_target_facts *ret,
                               struct vf_error **err);
void vf_target_facts_release(struct vf_target_facts *f); /* an all-zero struct is fine */

const struct vf_target_class *vf_target_find_class(const struct vf_target_facts *f,
                                                   const char *name); /* NULL: the default's */
/* Borrowed; NULL: no such wish was in the question. */
const struct vf_target_storage *vf_target_find_storage(const struct vf_target_facts *f,
                                                       const struct vf_kube_storage_wish *wish);
/* By "KIND/NAME"; NULL: there is none. */
const struct vf_target_name *vf_target_find_name(const struct vf_target_facts *f, const char *key);
/* The first of those that have the MAC (lower case, colons), *ret_n of them; NULL: none. */
const struct vf_target_mac *vf_target_find_mac(const struct vf_target_facts *f, const char *mac,
                                               size_t *ret_n);
bool vf_target_has_string(char *const *sorted, size_t n, const char *s);

#endif
