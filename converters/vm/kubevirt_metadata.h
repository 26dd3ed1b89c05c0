/* Names, labels and annotations of the documents: what the source knows of a VM that has no field.
 *
 * A tag becomes the label tag.vmferry.io/CATEGORY, a custom attribute attribute.vmferry.io/NAME.
 * Characters that a label cannot have become "-", with a hash behind (vf_name_to_label_value), so
 * that two tags do not become one; all tags stand in an annotation as they are. An attribute whose
 * value is no label's is an annotation. Of several tags of a category the first is the label.
 *
 * Source: Kubernetes, "Labels and Selectors", "Annotations"; 256 KiB for all annotations together.
 */
#ifndef CONVERTERS_VM_KUBEVIRT_METADATA_H
#define CONVERTERS_VM_KUBEVIRT_METADATA_H

#include <cjson/cJSON.h>

#include "converters/vm/kubevirt_vm.h"

/* What the metadata of a VirtualMachine has beside what all documents have. */
void vf_kubevirt_describe(const struct vf_manifest_plan *plan, cJSON *metadata,
                          struct vf_concerns *concerns);

/* Labels of the template, which services and network policies select the running VM by. */
void vf_kubevirt_template_labels(const struct vf_manifest_plan *plan, cJSON *template);

/* The guest's own host name up to its first dot, if it is one, and not "localhost". */
void vf_kubevirt_hostname(const struct vf_manifest_plan *plan, cJSON *spec);

#endif
