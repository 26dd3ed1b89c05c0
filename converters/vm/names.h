/* Names of Kubernetes objects made from names of VMs. Pure functions; results are heap strings. */
#ifndef CONVERTERS_VM_NAMES_H
#define CONVERTERS_VM_NAMES_H

#include <stdbool.h>
#include <stddef.h>

#include <vmferry/vm.h>

/* DNS-1123 label (RFC 1123, section 2.1; Kubernetes caps it at 63). */
#define VF_NAME_LABEL_MAX 63
/* Leaves room for "-disk-NNN" behind the name of a VM. */
#define VF_NAME_VM_MAX (VF_NAME_LABEL_MAX - 9)

/* A label of at most max_len (16..63) bytes. Latin letters lose accents, the rest becomes "-". When
 * more than the case of ASCII letters changed, or the end was cut, six digits of the original's
 * SHA-256 are put behind, so that two names that differ give two labels. Never empty. */
char *vf_name_to_label(const char *original, size_t max_len);

/* The name of a VM's objects and files: the above for vm->name (NULL: "vm"). */
char *vf_name_of_vm(const struct vf_vm *vm);
/* The same for a VM whose plain name is another one's: six digits of the SHA-256 of name and
 * instance UUID (or moref) are always put behind. */
char *vf_name_of_vm_distinct(const struct vf_vm *vm);
/* "NAME-disk-N" */
char *vf_name_of_disk(const char *vm_name, size_t index);

bool vf_name_is_label(const char *s);
/* DNS-1123 subdomain (RFC 1123; Kubernetes caps it at 253), as most objects are named. */
bool vf_name_is_subdomain(const char *s);

/* Value of a label: at most 63 of [A-Za-z0-9._-], a letter or digit at both ends; may be empty. */
char *vf_name_to_label_value(const char *s);

/* Value of an annotation: UTF-8, cut at max_len bytes with an ellipsis. */
char *vf_name_to_annotation(const char *s, size_t max_len);

#endif
