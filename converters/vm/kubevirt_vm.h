/* The VirtualMachine document of the manifests. */
#ifndef CONVERTERS_VM_KUBEVIRT_VM_H
#define CONVERTERS_VM_KUBEVIRT_VM_H

#include <cjson/cJSON.h>
#include <stdbool.h>
#include <stdint.h>

#include "converters/vm/manifest.h"
#include "converters/vm/mapping.h"
#include "converters/vm/origins.h"
#include "converters/vm/os_table.h"

#define VF_ANNOTATION(name) "vmferry.io/" name

struct vf_kind_name {
    const char *kind; /* static */
    char *name;       /* NULL: none */
};

/* What both kinds of documents are made from; borrowed but for instance type and preference. */
struct vf_manifest_plan {
    const struct vf_vm *vm;
    const struct vf_manifest_options *options;
    const struct vf_mapping *mapping;             /* never NULL */
    const struct vf_os *os;                       /* row of the guest; NULL: none is known */
    struct vf_origins *origins;                   /* notes of all documents */
    struct vf_kind_name instancetype, preference; /* decided by vf_kubevirt_choose_types() */
    const char *name;
    const struct vf_vm_disk *boot_disk; /* the guest's first to boot from; NULL: none is copied */
    char **claims;                      /* one a disk */
    struct vf_network_choice *networks; /* one a NIC */
};

/* `concerns` is added to. */
cJSON *vf_kubevirt_vm(const struct vf_manifest_plan *plan, struct vf_concerns *concerns);

/* Of the guest's row, if that tells one; else as the source tells it. */
enum vf_guest_family vf_kubevirt_family(const struct vf_manifest_plan *plan);
/* Whether the guest makes use of Hyper-V's enlightenments. */
bool vf_kubevirt_wants_hyperv(const struct vf_manifest_plan *plan);

const char *vf_kubevirt_run_strategy(const struct vf_manifest_plan *plan);

/* "20Gi", "513Mi" or plain bytes, whatever is exact; heap. */
char *vf_kubevirt_quantity(uint64_t bytes);

/* metadata of a document, with name, namespace and the labels all of them carry. */
cJSON *vf_kubevirt_metadata(cJSON *document, const struct vf_manifest_plan *plan, const char *name);

/* As vf_json_add_string, with the text cut to what an annotation may hold, and nothing when the
 * object has as much as it may. False if not all of it is there. */
bool vf_kubevirt_annotate(cJSON *annotations, const char *key, const char *value);

#endif
