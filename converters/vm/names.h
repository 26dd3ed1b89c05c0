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

/* What is put behind a name that had to be changed: ten characters of the original's SHA-256, 47
 * bits, from letters and digits that spell no words. Among 100,000 names the chance that any two
 * get the same is 1 in 41,000. */
#define VF_NAME_HASH_LEN 10

/* A label of at most max_len (16..63) bytes. Latin letters lose accents, the rest becomes "-". When
 * more than the case of ASCII letters changed, or the end was cut, or it ends as if that had
 * happened, the hash of the original is put behind, so that two names that differ by more than case
 * give two labels. Never empty. */
char *vf_name_to_label(const char *original, size_t max_len);

/* The name of a VM's objects and files: the above for vm->name (NULL: "vm"). */
char *vf_name_of_vm(const struct vf_vm *vm);
/* The same for a VM whose plain name is another one's: the hash of name and instance UUID (or
 * moref) is always put behind. */
char *vf_name_of_vm_distinct(const struct vf_vm *vm);
/* Names for all VMs of a set, each other than the rest and than those of `taken` (which may be
 * NULL). A VM has its plain name (vf_name_of_vm) unless that is taken or another of the set has it
 * too; then all that share it have their distinct ones, so that the order does not matter: the same
 * set gives the same names, and whatever joins or leaves it changes none but of those that it
 * collides with. VMs that are told apart by nothing at all, with one name and one identity, are
 * numbered in the order of the set. *ret_names has n heap strings; vf_names_free. */
void vf_names_assign(const struct vf_vm *const *vms, size_t n, const char *const *taken,
                     size_t n_taken, char ***ret_names);
void vf_names_free(char **names, size_t n);
/* "NAME-disk-N" */
char *vf_name_of_disk(const char *vm_name, size_t index);

bool vf_name_is_label(const char *s);
/* DNS-1123 subdomain (RFC 1123; Kubernetes caps it at 253), as most objects are named. */
bool vf_name_is_subdomain(const char *s);

/* Value of a label: at most 63 of [A-Za-z0-9._-], a letter or digit at both ends; may be empty.
 * Source: Kubernetes, "Labels and Selectors", syntax and character set. */
bool vf_name_is_label_value(const char *s);
/* A value, or what stands behind the "/" of a key, of any text: what is valid stays as it is; else
 * other characters become "-" and the hash of the text is put behind, as above. Empty for "" alone,
 * which is no key. */
char *vf_name_to_label_value(const char *s);

/* Value of an annotation: UTF-8, cut at max_len bytes with an ellipsis. */
char *vf_name_to_annotation(const char *s, size_t max_len);

#endif
