/* What Kubernetes and KubeVirt take as the values of a mapping. Pure.
 *
 * Source: KubeVirt v1.9 (admission of VirtualMachineInstances), Kubernetes (apimachinery,
 * pkg/util/validation).
 */
#ifndef CONVERTERS_VM_MAPPING_CHECKS_H
#define CONVERTERS_VM_MAPPING_CHECKS_H

#include <stdbool.h>

bool vf_mapping_is_cpu_model(const char *s);   /* libvirt's names: "Skylake-Server-IBRS" */
bool vf_mapping_is_hugepages(const char *s);   /* "2Mi", "1Gi" */
bool vf_mapping_is_timezone(const char *s);    /* "Europe/Zurich" */
bool vf_mapping_is_serial(const char *s);      /* of a disk */
bool vf_mapping_is_kind_name(const char *s);   /* "auto", NAME, KIND/NAME */
bool vf_mapping_is_label_value(const char *s); /* may be empty */
/* "example.com/team", "team"; not those that vmferry itself writes. */
bool vf_mapping_is_own_key(const char *s);
bool vf_mapping_is_file_name(const char *s);

#define VF_MAPPING_MAX_TEXT 4096
bool vf_mapping_has_control(const char *s, bool several_lines); /* or bytes that are no UTF-8 */
/* Of one line, as all fields take it that say nothing else. */
bool vf_mapping_is_text(const char *s);

#endif
