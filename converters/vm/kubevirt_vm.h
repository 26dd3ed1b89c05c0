/* The VirtualMachine document of the manifests. */
#ifndef CONVERTERS_VM_KUBEVIRT_VM_H
#define CONVERTERS_VM_KUBEVIRT_VM_H

#include <cjson/cJSON.h>

#include "converters/vm/manifest.h"
#include "converters/vm/mapping.h"
#include "converters/vm/origins.h"
#include "converters/vm/os_table.h"

#define VF_ANNOTATION(name) "vmferry.io/" name

/* What both kinds of documents are made from; all borrowed. */
struct vf_manifest_plan {
    const struct vf_vm *vm;
    const struct vf_manifest_options *options;
    const struct vf_mapping *mapping; /* never NULL */
    const struct vf_os *os;           /* row of the guest; NULL: none is known */
    struct vf_origins *origins;       /* notes of all documents */
    const char *name;
    char **claims;                      /* one a disk */
    struct vf_network_choice *networks; /* one a NIC */
};

/* `concerns` is added to. */
cJSON *vf_kubevirt_vm(const struct vf_manifest_plan *plan, struct vf_concerns *concerns);

const char *vf_kubevirt_run_strategy(const struct vf_manifest_plan *plan);

/* "20Gi", "513Mi" or plain bytes, whatever is exact; heap. */
char *vf_kubevirt_quantity(uint64_t bytes);

/* metadata of a document, with name, namespace and the labels all of them carry. */
cJSON *vf_kubevirt_metadata(cJSON *document, const struct vf_manifest_plan *plan, const char *name);

/* As vf_json_add_string, with the text cut to what an annotation may hold. */
void vf_kubevirt_annotate(cJSON *annotations, const char *key, const char *value);

#endif
