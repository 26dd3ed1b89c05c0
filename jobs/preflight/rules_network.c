/* Rules of the NICs. */
#include <string.h>

#include "importer/base/mem.h"
#include "jobs/preflight/looks.h"

static void check_none(const struct vf_check *c)
{
    if (c->vm->n_nics == 0) {
        vf_found(c, NULL, "the VM has no NIC");
    }
}

static void check_pod_twice(const struct vf_check *c)
{
    const struct vf_mapping *m = vf_check_mapping(c);
    struct vf_network_choice *choices = NULL;
    struct vf_error *e = NULL;
    if (vf_network_map_resolve(m ? &m->networks : NULL, c->vm, &choices, &e) == 0) {
        vf_network_choices_free(choices, c->vm->n_nics);
        return;
    }
    vf_found_as(c, c->rule->severity, NULL, vf_error_get_hint(e), "%s", vf_error_message(e));
    vf_error_free(e);
}

/* Told at the later one of two; within one VM the mapping tells (nic.mac-twice). */
static void check_mac_in_selection(const struct vf_check *c)
{
    for (size_t i = 0; i < c->vm->n_nics; i++) {
        size_t n;
        const struct vf_fact_key *k = vf_fact_keys_find(&c->facts->macs, c->vm->nics[i].mac, &n);
        if (n && k->vm < c->index && !vf_check_ignores_nic(c, i)) {
            const char *other = c->facts->vms[k->vm].name;
            char *vf_autofree object = vf_check_nic_object(c->vm, i);
            vf_found(c, object, "its MAC address %s is also that of NIC %zu of \"%s\"",
                     c->vm->nics[i].mac, k->item, other ? other : "");
        }
    }
}

static void check_disconnected(const struct vf_check *c)
{
    for (size_t i = 0; i < c->vm->n_nics; i++) {
        const struct vf_vm_nic *nic = &c->vm->nics[i];
        char *vf_autofree object = vf_check_nic_object(c->vm, i);
        if (!nic->start_connected) {
            vf_found(c, object, "the NIC is not connected at power-on: its link will be down");
        } else if (c->vm->power == VF_POWER_ON && !nic->connected) {
            vf_found(c, object,
                     "the NIC is not connected now, but at power-on: its link will be up");
        }
    }
}

static void check_network_unknown(const struct vf_check *c)
{
    for (size_t i = 0; i < c->vm->n_nics; i++) {
        if (!c->vm->nics[i].network || !*c->vm->nics[i].network) {
            char *vf_autofree object = vf_check_nic_object(c->vm, i);
            vf_found(c, object, "vSphere does not tell the network of the NIC");
        }
    }
}

static void check_sriov(const struct vf_check *c)
{
    for (size_t i = 0; i < c->vm->n_nics; i++) {
        if (c->vm->nics[i].model && strcmp(c->vm->nics[i].model, "sriov") == 0) {
            char *vf_autofree object = vf_check_nic_object(c->vm, i);
            vf_found(c, object, "the NIC is a function of the host's (SR-IOV)");
        }
    }
}

const struct vf_rule vf_rules_network[] = {
    {.id = "nic.none",
     .severity = VF_INFORMATION,
     .area = VF_AREA_VM,
     .looks_at = "number of NICs",
     .message = "the VM has no NIC, and gets none",
     .action = "nothing, if that is meant; else add one in a template (--template)",
     .check = check_none},
    {.id = "nic.pod-network-twice",
     .severity = VF_CRITICAL,
     .area = VF_AREA_VM,
     .looks_at = "NICs, and where the network map puts them",
     .message = "the pod network takes one NIC of a VM",
     .action = "--network \"SOURCE=[NAMESPACE/]NAD\" or =ignore for all but one of them",
     .check = check_pod_twice},
    {.id = "nic.mac-in-selection",
     .severity = VF_CRITICAL,
     .area = VF_AREA_VM,
     .looks_at = "MAC addresses of all VMs that were chosen",
     .message = "two VMs have the same MAC address: in one network neither would be reached",
     .action = "give one of them another address in vSphere, or leave the NIC out: "
               "--network MAC=ignore",
     .check = check_mac_in_selection},
    {.id = "nic.disconnected",
     .severity = VF_INFORMATION,
     .area = VF_AREA_VM,
     .looks_at = "whether each NIC is connected, now and at power-on",
     .message = "what a NIC is at power-on is what it will be",
     .action = "nothing, or change \"connect at power on\" in vSphere before",
     .check = check_disconnected},
    {.id = "nic.network-unknown",
     .severity = VF_WARNING,
     .area = VF_AREA_VM,
     .looks_at = "network of each NIC",
     .message = "vSphere does not tell the network of the NIC, mostly since it is gone or may not "
                "be read, so that no rule of a network's name matches",
     .action = "map it by its MAC address: --network MAC=pod, =[NAMESPACE/]NAD or =ignore",
     .check = check_network_unknown},
    {.id = "nic.sriov",
     .severity = VF_WARNING,
     .area = VF_AREA_VM,
     .looks_at = "kind of each NIC",
     .message = "the NIC is a function of the host's, for which the guest has a driver of that "
                "hardware",
     .action = "--network \"SOURCE=sriov:[NAMESPACE/]NAD\" where the cluster has SR-IOV; else see "
               "that the guest has the driver of the new model",
     .check = check_sriov},
    {.id = NULL},
};
