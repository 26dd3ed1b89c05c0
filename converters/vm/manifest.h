/* The manifests of one VM: a DataVolume for each disk, as stand beside a `dir` target, and one
 * VirtualMachine, as also ends an import into a cluster. */
#ifndef CONVERTERS_VM_MANIFEST_H
#define CONVERTERS_VM_MANIFEST_H

#include <cjson/cJSON.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <vmferry/error.h>
#include <vmferry/vm.h>

#include "converters/vm/concerns.h"
#include "converters/vm/mapping.h"
#include "converters/vm/network_map.h"
#include "converters/vm/origins.h"
#include "converters/vm/os_table.h"

struct vf_manifest_disk {
    const char *claim;   /* of the DataVolume; NULL: NAME-disk-N */
    const char *image;   /* file beside the manifest; NULL: an empty disk, which CDI makes */
    const char *format;  /* "raw", "qcow2"; NULL: not told */
    uint64_t size_bytes; /* as the guest sees it; 0: capacity of the model */
    const char *digest;  /* "sha256:...", of the content; NULL: none */
    /* Of the claim that a dataVolumeTemplate adopts; NULL or 0: as for a new one. */
    const char *storage_class, *volume_mode, *access_mode;
    uint64_t request_bytes; /* what the claim asks for: the disk and what a filesystem takes */
};

enum vf_handover {
    VF_HANDOVER_DATA_VOLUME, /* the VM names the DataVolume, and waits for it */
    VF_HANDOVER_CLAIM,       /* the VM names the claim, which nobody owns */
    VF_HANDOVER_ADOPT,       /* the VM's dataVolumeTemplates adopt the claims: deleted with it */
};

enum vf_run { VF_RUN_HALTED, VF_RUN_AS_SOURCE, VF_RUN_ALWAYS };

struct vf_manifest_options {
    /* What a person decided; NULL: nothing. Where it is given, storage_class, timezone, disk_bus,
     * nic_model and networks below are not looked at. */
    const struct vf_mapping *mapping;
    const struct vf_os_table *os_table; /* NULL: the mapping's, else the one built in */
    const char *name;                   /* DNS label; NULL: vf_name_of_vm() */
    const char *namespace_name;         /* NULL: none written in */
    const char *storage_class;          /* NULL: the cluster's default */
    const char *source;                 /* where the VM came from, for people; NULL: not told */
    const char *timezone;               /* of a Windows guest, "Europe/Zurich"; NULL: UTC */
    const char *disk_bus;               /* NULL: "virtio" */
    const char *nic_model;              /* NULL: "virtio" */
    enum vf_handover handover;
    enum vf_run run;
    const struct vf_network_map *networks; /* NULL: the first NIC is on the pod network */
    bool vm_only; /* the VirtualMachine alone; with ADOPT it is always alone */
    const struct vf_manifest_disk *disks; /* as vm->disks, in that order; NULL: all defaults */
    size_t n_disks;
};

struct vf_manifests {
    cJSON **documents; /* the DataVolumes (unless it is alone), then the VirtualMachine */
    size_t n_documents;
    char *comment; /* for people: how to upload and start; lines start with "#" */
    struct vf_concerns concerns;
    struct vf_origins *origins; /* of the fields of all documents */
};

/* Everything the model holds becomes a field or an annotation under vmferry.io/; what cannot be
 * carried is told in `concerns`. VF_INVALID: a name, mode, bus or model that Kubernetes or KubeVirt
 * would not take, a number of disks other than the VM's, a file name with control characters, two
 * NICs on the pod network. */
int vf_manifests_build(const struct vf_vm *vm, const struct vf_manifest_options *options,
                       struct vf_manifests *ret_manifests, struct vf_error **err);
void vf_manifests_release(struct vf_manifests *m); /* an all-zero struct is fine */

/* One YAML text: the comment, then the documents. Caller frees. */
int vf_manifests_render(const struct vf_manifests *m, char **ret_text, struct vf_error **err);

#endif
