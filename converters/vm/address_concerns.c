#include "converters/vm/cloud_init.h"
#include "converters/vm/kubevirt_networks.h"
#include "importer/base/buf.h"
#include "importer/base/mem.h"

/* "10.1.2.3, fd00::7": what is static of a NIC; NULL: nothing. */
static char *static_addresses(const struct vf_vm_nic *nic)
{
    struct vf_buf b;
    vf_buf_init(&b, 4096);
    for (size_t i = 0; i < nic->n_addresses; i++) {
        const struct vf_vm_address *a = &nic->addresses[i];
        if (a->origin == VF_ADDRESS_STATIC && a->ip) {
            vf_buf_printf(&b, "%s%s", b.len ? ", " : "", a->ip);
        }
    }
    if (b.len == 0) {
        vf_buf_release(&b);
        return NULL;
    }
    return vf_buf_take_string(&b);
}

static bool is_given(const struct vf_manifest_plan *plan, size_t i)
{
    const struct vf_vm_nic *nic = &plan->vm->nics[i];
    bool all = plan->mapping->addresses == VF_ADDRESSES_CLOUD_INIT &&
               vf_kubevirt_family(plan) == VF_GUEST_LINUX && vf_network_keeps_mac(nic->mac);
    for (size_t a = 0; a < nic->n_addresses; a++) {
        all &= nic->addresses[a].origin != VF_ADDRESS_STATIC ||
               vf_cloud_init_keeps(&nic->addresses[a]);
    }
    return all;
}

/* What cloud-init is told of some NICs it does to all, and the guest's own settings are no more. */
static bool has_cloud_init(const struct vf_manifest_plan *plan)
{
    if (plan->mapping->addresses != VF_ADDRESSES_CLOUD_INIT ||
        vf_kubevirt_family(plan) != VF_GUEST_LINUX) {
        return false;
    }
    cJSON *network = vf_cloud_init_network(plan->vm, plan->networks);
    cJSON_Delete(network);
    return network != NULL;
}

static void tell_nic(const struct vf_manifest_plan *plan, size_t i, struct vf_concerns *c)
{
    char *vf_autofree addresses = static_addresses(&plan->vm->nics[i]);
    enum vf_network_kind kind = plan->networks[i].kind;
    if (!addresses || kind == VF_NETWORK_IGNORE) {
        return;
    }
    if (kind == VF_NETWORK_POD && !plan->networks[i].binding) {
        vf_concerns_add(c, "nic.address-lost",
                        "NIC net-%zu had %s: on the pod network the guest gets its address by "
                        "DHCP, and the cluster's are others",
                        i, addresses);
    } else if (is_given(plan, i)) {
        return; /* what cloud-init needs is told of the drive */
    } else if (vf_kubevirt_family(plan) == VF_GUEST_WINDOWS) {
        vf_concerns_add(
            c, "nic.address-lost",
            "NIC net-%zu had %s: Windows ties an address to the card, and finds "
            "another one%s",
            i, addresses,
            plan->mapping->addresses == VF_ADDRESSES_CLOUD_INIT ? "; cloud-init is for Linux" : "");
    } else if (has_cloud_init(plan)) {
        vf_concerns_add(c, "nic.address-lost",
                        "NIC net-%zu had %s: cloud-init sets up all NICs, and cannot be told of "
                        "what has no MAC address of its own or no prefix length",
                        i, addresses);
    } else {
        vf_concerns_add(c, "nic.address-static",
                        "NIC net-%zu has %s: the guest's own settings keep that only where they go "
                        "by the MAC address, since the interface's name changes",
                        i, addresses);
    }
}

void vf_address_concerns(const struct vf_manifest_plan *plan, struct vf_concerns *concerns)
{
    for (size_t i = 0; i < plan->vm->n_nics; i++) {
        tell_nic(plan, i, concerns);
    }
}
