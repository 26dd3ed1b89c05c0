/* Static addresses of a guest as cloud-init network data, version 2 (netplan's form), by MAC
 * address, so that names of interfaces do not matter.
 *
 * Source: cloud-init, reference "Networking config Version 2"; KubeVirt, cloudInitNoCloud.
 */
#ifndef CONVERTERS_VM_CLOUD_INIT_H
#define CONVERTERS_VM_CLOUD_INIT_H

#include <cjson/cJSON.h>
#include <stdbool.h>

#include <vmferry/vm.h>

#include "converters/vm/network_map.h"

/* What KubeVirt's admission takes of each of user data and network data inside of a VM. */
#define VF_CLOUD_INIT_MAX_BYTES 2048

/* KubeVirt gives the volume an instance ID of its own, so that cloud-init takes the guest for a new
 * machine: this keeps its host name, SSH host keys, users and package sources as they are. */
#define VF_CLOUD_INIT_USER_DATA                                                                    \
    "#cloud-config\npreserve_hostname: true\nssh_deletekeys: false\nusers: []\n"                   \
    "apt: {preserve_sources_list: true}\n"

/* NULL when no NIC that is left in, on an attachment, has a static address (the pod network gives
 * its own). All other NICs ask by DHCP, whatever is known of them: cloud-init sets up none that it
 * is not told of. What is no address, or has no prefix length, is left out. Caller
 * deletes. `choices` is one a NIC. */
cJSON *vf_cloud_init_network(const struct vf_vm *vm, const struct vf_network_choice *choices);

/* Whether the address is static, and could be set on another machine: well-formed, with a prefix.
 */
bool vf_cloud_init_keeps(const struct vf_vm_address *address);

#endif
