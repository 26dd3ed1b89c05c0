#include "converters/vm/kubevirt_networks.h"

#include <string.h>
#include <strings.h>

#include "importer/base/json.h"
#include "importer/base/mem.h"

const char *vf_kubevirt_nic_model(const struct vf_manifest_plan *plan)
{
    return plan->options->nic_model ? plan->options->nic_model : "virtio";
}

static bool is_in(const struct vf_manifest_plan *plan, size_t i)
{
    return plan->networks[i].kind != VF_NETWORK_IGNORE;
}

bool vf_kubevirt_has_nics(const struct vf_manifest_plan *plan)
{
    for (size_t i = 0; i < plan->vm->n_nics; i++) {
        if (is_in(plan, i)) {
            return true;
        }
    }
    return false;
}

/* Of one NIC: libvirt refuses a multicast address, which has an odd first byte. */
static bool is_mac(const char *s)
{
    static const char digits[] = "0123456789abcdefABCDEF";
    size_t n = s ? strlen(s) : 0;
    for (size_t i = 0; i < n; i++) {
        if (i % 3 == 2 ? s[i] != ':' : !strchr(digits, s[i])) {
            return false;
        }
    }
    return n == 17 && strchr("02468aceACE", s[1]) && strcmp(s, "00:00:00:00:00:00") != 0;
}

static void add_mac(const struct vf_vm_nic *nic, size_t i, cJSON *interface,
                    struct vf_concerns *concerns)
{
    /* Admission keeps this one for itself with masquerade. */
    if (is_mac(nic->mac) && strcmp(nic->mac, "02:00:00:00:00:00") != 0) {
        vf_json_add_string(interface, "macAddress", nic->mac);
    } else {
        vf_concerns_add(concerns, "nic.mac-lost",
                        "NIC net-%zu gets a new MAC address: the source gives %s", i,
                        nic->mac ? "one that cannot be kept" : "none");
    }
}

static void compare_macs(const struct vf_manifest_plan *plan, size_t i,
                         struct vf_concerns *concerns)
{
    const struct vf_vm_nic *nics = plan->vm->nics;
    for (size_t j = 0; j < i; j++) {
        if (is_in(plan, j) && nics[i].mac && nics[j].mac &&
            strcasecmp(nics[i].mac, nics[j].mac) == 0) {
            vf_concerns_add(concerns, "nic.mac-twice",
                            "NICs net-%zu and net-%zu have the same MAC address", j, i);
        }
    }
}

static void add_interface(const struct vf_manifest_plan *plan, size_t i, cJSON *interfaces,
                          struct vf_concerns *concerns)
{
    const struct vf_vm_nic *nic = &plan->vm->nics[i];
    const struct vf_network_choice *choice = &plan->networks[i];
    char *vf_autofree name = vf_xasprintf("net-%zu", i);
    cJSON *interface = vf_json_append_object(interfaces);
    vf_json_add_string(interface, "name", name);
    vf_json_add_string(interface, "model", vf_kubevirt_nic_model(plan));
    add_mac(nic, i, interface, concerns);
    vf_json_add_object(interface, choice->kind == VF_NETWORK_POD ? "masquerade" : "bridge");
    if (!nic->start_connected) {
        vf_json_add_string(interface, "state", "down");
    }
    if (choice->kind == VF_NETWORK_ATTACHMENT && choice->guessed) {
        vf_concerns_add(concerns, "nic.network-guessed",
                        "NIC %s was on network \"%s\": it needs the "
                        "NetworkAttachmentDefinition \"%s\"",
                        name, nic->network ? nic->network : "", choice->attachment);
    }
    compare_macs(plan, i, concerns);
}

static void tell_unused_rules(const struct vf_manifest_plan *plan, struct vf_concerns *concerns)
{
    const struct vf_network_map *map = plan->options->networks;
    for (size_t i = 0; map && i < map->n_rules; i++) {
        if (!vf_network_rule_matches(&map->rules[i], plan->vm)) {
            vf_concerns_add(concerns, "mapping.network-unused",
                            "no NIC of the VM is on network \"%s\", which is mapped",
                            map->rules[i].source);
        }
    }
}

void vf_kubevirt_interfaces(const struct vf_manifest_plan *plan, cJSON *devices,
                            struct vf_concerns *concerns)
{
    const struct vf_vm *vm = plan->vm;
    cJSON *interfaces = NULL;
    for (size_t i = 0; i < vm->n_nics; i++) {
        if (!is_in(plan, i)) {
            vf_concerns_add(concerns, "nic.left-out",
                            "NIC net-%zu, on network \"%s\", is left out as told", i,
                            vm->nics[i].network ? vm->nics[i].network : "");
            continue;
        }
        interfaces = interfaces ? interfaces : vf_json_add_array(devices, "interfaces");
        add_interface(plan, i, interfaces, concerns);
    }
    if (!interfaces) { /* or KubeVirt adds one */
        vf_json_add_bool(devices, "autoattachPodInterface", false);
    }
    tell_unused_rules(plan, concerns);
}

void vf_kubevirt_networks(const struct vf_manifest_plan *plan, cJSON *spec)
{
    cJSON *networks = NULL;
    for (size_t i = 0; i < plan->vm->n_nics; i++) {
        if (!is_in(plan, i)) {
            continue;
        }
        const struct vf_network_choice *choice = &plan->networks[i];
        char *vf_autofree name = vf_xasprintf("net-%zu", i);
        networks = networks ? networks : vf_json_add_array(spec, "networks");
        cJSON *network = vf_json_append_object(networks);
        vf_json_add_string(network, "name", name);
        if (choice->kind == VF_NETWORK_POD) {
            vf_json_add_object(network, "pod");
        } else {
            vf_json_add_string(vf_json_add_object(network, "multus"), "networkName",
                               choice->attachment);
        }
    }
}
