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
    VF_NETWORK_SRIOV,      /* a NetworkAttachmentDefinition whose devices are passed through */
};

struct vf_network_rule {
    /* MAC address of one NIC, name of a network, or fnmatch(3) pattern of names ("*": all): what
     * names one NIC goes before what names a network, and that before a pattern; among patterns
     * the first that matches counts. */
    char *source;
    enum vf_network_kind kind;
    char *attachment; /* "NAD" or "NAMESPACE/NAD" of kinds ATTACHMENT and SRIOV; else NULL */
    char *binding;    /* of kind POD: network binding plugin, "l2bridge"; NULL: masquerade */
};

struct vf_network_map {
    struct vf_network_rule *rules;
    size_t n_rules;
};

/* What stands right of "=" in a rule, for messages. */
#define VF_NETWORK_TARGETS                                                                         \
    "pod, pod:BINDING (a network binding plugin), ignore, [NAMESPACE/]NAD or "                     \
    "sriov:[NAMESPACE/]NAD"

/* Add "SOURCE=TARGET"; a source's name may contain "=". VF_INVALID for what is no target, and for a
 * source that has a rule. */
int vf_network_map_add(struct vf_network_map *map, const char *text, struct vf_error **err);
/* The same, in two pieces. */
int vf_network_map_put(struct vf_network_map *map, const char *source, const char *target,
                       struct vf_error **err);
/* The target as vf_network_map_put takes it; heap. */
char *vf_network_rule_target(const struct vf_network_rule *rule);
void vf_network_map_release(struct vf_network_map *map); /* an all-zero struct is fine */

/* What becomes of one NIC. */
struct vf_network_choice {
    enum vf_network_kind kind;
    char *attachment;
    char *binding;
    bool guessed;                       /* no rule told: the attachment may not exist */
    const struct vf_network_rule *rule; /* that told; borrowed; NULL: none */
};

/* One choice a NIC of the VM (heap; vf_network_choices_free). A NIC that no rule tells of goes to
 * the pod network if it is the first and no rule puts another there, else to an attachment named as
 * its old network is. `map` may be NULL. VF_INVALID when two would be on the pod network. */
int vf_network_map_resolve(const struct vf_network_map *map, const struct vf_vm *vm,
                           struct vf_network_choice **ret_choices, struct vf_error **err);
void vf_network_choices_free(struct vf_network_choice *choices, size_t n);

/* Whether a NIC in KubeVirt may have the address: libvirt refuses a multicast one, and KubeVirt
 * keeps 02:00:00:00:00:00 for itself. NULL may not. */
bool vf_network_keeps_mac(const char *mac);

/* Whether the rule names many networks by a pattern. */
bool vf_network_rule_is_pattern(const struct vf_network_rule *rule);

/* Whether the rule tells of any NIC of the VM. */
bool vf_network_rule_matches(const struct vf_network_rule *rule, const struct vf_vm *vm);

#endif
