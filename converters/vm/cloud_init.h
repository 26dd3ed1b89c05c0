/* Static addresses of a guest as cloud-init network data, version 2 (netplan's form), by MAC
 * address, so that names of interfaces do not matter.
 *
 * Source: cloud-init, reference "Networking config Version 2"; KubeVirt, cloudInitNoCloud.
 */
#ifndef CONVERTERS_VM_CLOUD_INIT_H
#define CONVERTERS_VM_CLOUD_INIT_H

#include <cjson/cJSON.h>

#include <vmferry/vm.h>

#include "converters/vm/network_map.h"

/* NULL when no NIC that is left in, on an attachment, has a static address (the pod network gives
 * its own). Caller deletes. `choices` is one a NIC. */
cJSON *vf_cloud_init_network(const struct vf_vm *vm, const struct vf_network_choice *choices);

#endif
