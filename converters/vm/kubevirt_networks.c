#include "converters/vm/kubevirt_networks.h"

#include <string.h>
#include <strings.h>

#include "importer/base/json.h"
#include "importer/base/mem.h"

const char *vf_kubevirt_nic_model(const struct vf_manifest_plan *plan)
{
    return plan->mapping->nic_model          ? plan->mapping->nic_model
           : plan->os && plan->os->nic_model ? plan->os->nic_model
                                             : "virtio";
}

static bool is_in(const struct vf_manifest_plan *plan, size_t i)
{
    return plan->networks[i].kind != VF_NETWORK_IGNORE;
}

bool vf_kubevirt_has_virtio_nics(const struct vf_manifest_plan *plan)
{
    for (size_t i = 0; i < plan->vm->n_nics; i++) {
        if (is_in(plan, i) && plan->networks[i].kind != VF_NETWORK_SRIOV) {
            return strcmp(vf_kubevirt_nic_model(plan), "virtio") == 0;
        }
    }
    return false;
}

static void add_model(const struct vf_manifest_plan *plan, cJSON *interface)
{
    vf_json_add_string(interface, "model", vf_kubevirt_nic_model(plan));
    if (plan->mapping->nic_model) {
        vf_origin_note_member(plan->origins, interface, "model", VF_ORIGIN_OPTION,
                              "model of all NICs");
    } else if (plan->os && plan->os->nic_model) {
        vf_origin_note_member(plan->origins, interface, "model", VF_ORIGIN_OS,
                              "row \"%s\": what such a guest has drivers for", plan->os->name);
    } else {
        vf_origin_note_member(plan->origins, interface, "model", VF_ORIGIN_DEFAULT, "the fastest");
    }
}

static void add_mac(const struct vf_manifest_plan *plan, size_t i, cJSON *interface,
                    struct vf_concerns *concerns)
{
    const struct vf_vm_nic *nic = &plan->vm->nics[i];
    if (vf_network_keeps_mac(nic->mac)) {
        vf_json_add_string(interface, "macAddress", nic->mac);
        vf_origin_note_member(plan->origins, interface, "macAddress", VF_ORIGIN_SOURCE,
                              "macAddress");
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

/* Where the NIC leads, in the words of whoever decided it. */
static void note_choice(const struct vf_manifest_plan *plan, size_t i, const cJSON *object,
                        const char *key)
{
    const struct vf_network_choice *choice = &plan->networks[i];
    const char *network = plan->vm->nics[i].network ? plan->vm->nics[i].network : "";
    if (choice->rule) {
        char *vf_autofree target = vf_network_rule_target(choice->rule);
        vf_origin_note_member(plan->origins, object, key, VF_ORIGIN_OPTION,
                              "network \"%s\" is mapped: %s=%s", network, choice->rule->source,
                              target);
    } else if (choice->kind == VF_NETWORK_ATTACHMENT) {
        vf_origin_note_member(plan->origins, object, key, VF_ORIGIN_SOURCE,
                              "network \"%s\", which is not mapped", network);
    } else {
        vf_origin_note_member(plan->origins, object, key, VF_ORIGIN_DEFAULT,
                              "the first NIC, whose network \"%s\" is not mapped", network);
    }
}

static void add_binding(const struct vf_manifest_plan *plan, size_t i, cJSON *interface)
{
    const struct vf_network_choice *choice = &plan->networks[i];
    const char *key = choice->kind == VF_NETWORK_ATTACHMENT ? "bridge"
                      : choice->kind == VF_NETWORK_SRIOV    ? "sriov"
                      : choice->binding                     ? "binding"
                                                            : "masquerade";
    vf_json_add_string(vf_json_add_object(interface, key), "name", choice->binding);
    note_choice(plan, i, interface, key);
}

/* The link of a device that is passed through is the host's. */
static void add_state(const struct vf_manifest_plan *plan, size_t i, cJSON *interface,
                      struct vf_concerns *concerns)
{
    if (plan->vm->nics[i].start_connected) {
        return;
    }
    if (plan->networks[i].kind == VF_NETWORK_SRIOV) {
        vf_concerns_add(concerns, "nic.link-up",
                        "NIC net-%zu was not connected at power-on, and will be: a device of the "
                        "host cannot be disconnected",
                        i);
        return;
    }
    vf_json_add_string(interface, "state", "down");
    vf_origin_note_member(plan->origins, interface, "state", VF_ORIGIN_SOURCE,
                          "connectable.startConnected false");
}

static void add_interface(const struct vf_manifest_plan *plan, size_t i, uint32_t boot,
                          cJSON *interfaces, struct vf_concerns *concerns)
{
    const struct vf_vm_nic *nic = &plan->vm->nics[i];
    const struct vf_network_choice *choice = &plan->networks[i];
    char *vf_autofree name = vf_xasprintf("net-%zu", i);
    cJSON *interface = vf_json_append_object(interfaces);
    vf_origin_note(plan->origins, interface, VF_ORIGIN_SOURCE, "\"%s\"",
                   nic->label ? nic->label : name);
    vf_json_add_string(interface, "name", name);
    if (boot) {
        vf_json_add_u64(interface, "bootOrder", boot);
        vf_origin_note_member(plan->origins, interface, "bootOrder", VF_ORIGIN_SOURCE,
                              "bootOptions.bootOrder");
    }
    if (choice->kind != VF_NETWORK_SRIOV) {
        add_model(plan, interface);
    }
    add_mac(plan, i, interface, concerns);
    add_binding(plan, i, interface);
    add_state(plan, i, interface, concerns);
    if (choice->kind == VF_NETWORK_ATTACHMENT && choice->guessed) {
        vf_concerns_add(concerns, "nic.network-guessed",
                        "NIC %s was on network \"%s\": it needs the "
                        "NetworkAttachmentDefinition \"%s\"",
                        name, nic->network ? nic->network : "", choice->attachment);
    }
    compare_macs(plan, i, concerns);
}

/* A pattern is for many VMs, and need not be for each. */
static void tell_unused_rules(const struct vf_manifest_plan *plan, struct vf_concerns *concerns)
{
    const struct vf_network_map *map = &plan->mapping->networks;
    for (size_t i = 0; i < map->n_rules; i++) {
        if (!vf_network_rule_is_pattern(&map->rules[i]) &&
            !vf_network_rule_matches(&map->rules[i], plan->vm)) {
            vf_concerns_add(concerns, "mapping.network-unused",
                            "no NIC of the VM is on network \"%s\", which is mapped",
                            map->rules[i].source);
        }
    }
}

void vf_kubevirt_interfaces(const struct vf_manifest_plan *plan, const uint32_t *boot,
                            cJSON *devices, struct vf_concerns *concerns)
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
        add_interface(plan, i, boot[i], interfaces, concerns);
    }
    if (!interfaces) { /* or KubeVirt adds one */
        vf_json_add_bool(devices, "autoattachPodInterface", false);
        vf_origin_note_member(plan->origins, devices, "autoattachPodInterface", VF_ORIGIN_SOURCE,
                              vm->n_nics ? "all NICs are left out" : "it has no NIC");
    }
    tell_unused_rules(plan, concerns);
    vf_address_concerns(plan, concerns);
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
        vf_origin_note(plan->origins, network, VF_ORIGIN_SOURCE, "\"%s\"",
                       plan->vm->nics[i].label ? plan->vm->nics[i].label : name);
        vf_json_add_string(network, "name", name);
        const char *key = choice->kind == VF_NETWORK_POD ? "pod" : "multus";
        vf_json_add_string(vf_json_add_object(network, key), "networkName", choice->attachment);
        note_choice(plan, i, network, key);
    }
}
