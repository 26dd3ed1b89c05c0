/* Where the NICs of a VM end up: source networks, and what stands for them in the cluster. */
#ifndef CONVERTERS_VM_NETWORK_MAP_H
#define CONVERTERS_VM_NETWORK_MAP_H

#include <stdbool.h>
#include <stddef.h>

#include <vmferry/error.h>
#include <vmferry/vm.h>

enum vf_network_kind {
    VF_NETWORK_POD,        /* the pod network, which takes one NIC of a VM, by masquerade */
    VF_NETWORK_ATTACHMENT, /* a NetworkAttachmentDefinition of Multus, by a bridge */
    VF_NETWORK_IGNORE,     /* the NIC is left out */
};

struct vf_network_rule {
    char *source; /* a network's name, or the MAC address of one NIC, which goes before a name */
    enum vf_network_kind kind;
    char *attachment; /* "NAD" or "NAMESPACE/NAD" of kind ATTACHMENT; else NULL */
};

struct vf_network_map {
    struct vf_network_rule *rules;
    size_t n_rules;
};

/* Add "SOURCE=pod", "SOURCE=ignore" or "SOURCE=[NAMESPACE/]NAD"; a source's name may contain "=".
 * VF_INVALID otherwise, and for a source that has a rule. */
int vf_network_map_add(struct vf_network_map *map, const char *text, struct vf_error **err);
void vf_network_map_release(struct vf_network_map *map); /* an all-zero struct is fine */

/* What becomes of one NIC. */
struct vf_network_choice {
    enum vf_network_kind kind;
    char *attachment;
    bool guessed; /* no rule told: the attachment may not exist */
};

/* One choice a NIC of the VM (heap; vf_network_choices_free). A NIC that no rule tells of goes to
 * the pod network if it is the first and no rule puts another there, else to an attachment named as
 * its old network is. `map` may be NULL. VF_INVALID when two would be on the pod network. */
int vf_network_map_resolve(const struct vf_network_map *map, const struct vf_vm *vm,
                           struct vf_network_choice **ret_choices, struct vf_error **err);
void vf_network_choices_free(struct vf_network_choice *choices, size_t n);

/* Whether the rule tells of any NIC of the VM. */
bool vf_network_rule_matches(const struct vf_network_rule *rule, const struct vf_vm *vm);

#endif
