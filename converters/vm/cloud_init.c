#include "converters/vm/cloud_init.h"

#include <arpa/inet.h>
#include <string.h>

#include "converters/vm/names.h"
#include "importer/base/json.h"
#include "importer/base/mem.h"

/* AF_INET, AF_INET6; 0 for what is no address. */
static int family_of(const char *ip)
{
    struct in6_addr buf;
    if (!ip) {
        return 0;
    }
    return inet_pton(AF_INET, ip, &buf) == 1    ? AF_INET
           : inet_pton(AF_INET6, ip, &buf) == 1 ? AF_INET6
                                                : 0;
}

bool vf_cloud_init_keeps(const struct vf_vm_address *address)
{
    int family = family_of(address->ip);
    unsigned longest = family == AF_INET ? 32 : 128;
    return address->origin == VF_ADDRESS_STATIC && family && address->prefix_len > 0 &&
           address->prefix_len <= longest;
}

static bool has_static(const struct vf_vm_nic *nic)
{
    for (size_t i = 0; i < nic->n_addresses; i++) {
        if (vf_cloud_init_keeps(&nic->addresses[i])) {
            return true;
        }
    }
    return false;
}

static bool asks_by_dhcp(const struct vf_vm_nic *nic, int family)
{
    for (size_t i = 0; i < nic->n_addresses; i++) {
        const struct vf_vm_address *a = &nic->addresses[i];
        if (a->origin == VF_ADDRESS_DHCP && family_of(a->ip) == family) {
            return true;
        }
    }
    return false;
}

static void add_route(cJSON **routes, cJSON *ethernet, const char *to, const char *via, int family)
{
    if (family_of(via) == family) {
        *routes = *routes ? *routes : vf_json_add_array(ethernet, "routes");
        cJSON *route = vf_json_append_object(*routes);
        vf_json_add_string(route, "to", to);
        vf_json_add_string(route, "via", via);
    }
}

static void add_static(const struct vf_vm_nic *nic, cJSON *ethernet)
{
    cJSON *addresses = vf_json_add_array(ethernet, "addresses");
    bool any4 = false, any6 = false;
    for (size_t i = 0; i < nic->n_addresses; i++) {
        const struct vf_vm_address *a = &nic->addresses[i];
        if (vf_cloud_init_keeps(a)) {
            char *vf_autofree text = vf_xasprintf("%s/%u", a->ip, a->prefix_len);
            vf_json_append_string(addresses, text);
            any4 |= family_of(a->ip) == AF_INET;
            any6 |= family_of(a->ip) == AF_INET6;
        }
    }
    cJSON *routes = NULL;
    if (any4) {
        add_route(&routes, ethernet, "0.0.0.0/0", nic->gateway4, AF_INET);
    }
    if (any6) {
        add_route(&routes, ethernet, "::/0", nic->gateway6, AF_INET6);
    }
}

/* Name servers are the guest's, not a NIC's: the first one that is set up has them. */
static void add_dns(const struct vf_vm *vm, cJSON *ethernet)
{
    cJSON *nameservers = vf_json_new_object();
    cJSON *servers = vf_json_add_array(nameservers, "addresses");
    cJSON *search = vf_json_add_array(nameservers, "search");
    for (size_t i = 0; i < vm->n_dns_servers; i++) {
        if (family_of(vm->dns_servers[i])) {
            vf_json_append_string(servers, vm->dns_servers[i]);
        }
    }
    for (size_t i = 0; i < vm->n_dns_search; i++) {
        if (vf_name_is_subdomain(vm->dns_search[i])) {
            vf_json_append_string(search, vm->dns_search[i]);
        }
    }
    if (servers->child || search->child) {
        cJSON_AddItemToObject(ethernet, "nameservers", nameservers);
    } else {
        cJSON_Delete(nameservers);
    }
}

static bool is_attached(const struct vf_network_choice *choice)
{
    return choice->kind == VF_NETWORK_ATTACHMENT || choice->kind == VF_NETWORK_SRIOV;
}

static void add_ethernet(const struct vf_vm *vm, size_t i, const struct vf_network_choice *choice,
                         bool *dns, cJSON *ethernets)
{
    const struct vf_vm_nic *nic = &vm->nics[i];
    bool fixed = is_attached(choice) && has_static(nic);
    bool dhcp6 = is_attached(choice) && asks_by_dhcp(nic, AF_INET6);
    bool dhcp4 = asks_by_dhcp(nic, AF_INET) || !(fixed || dhcp6) || !is_attached(choice);
    if (choice->kind == VF_NETWORK_IGNORE || !vf_network_keeps_mac(nic->mac)) {
        return;
    }
    char *vf_autofree name = vf_xasprintf("net-%zu", i);
    cJSON *ethernet = vf_json_add_object(ethernets, name);
    char *vf_autofree mac = vf_xstrdup(nic->mac);
    for (char *c = mac; *c; c++) {
        *c = (char)(*c >= 'A' && *c <= 'F' ? *c - 'A' + 'a' : *c);
    }
    vf_json_add_string(vf_json_add_object(ethernet, "match"), "macaddress", mac);
    if (dhcp4) {
        vf_json_add_bool(ethernet, "dhcp4", true);
    }
    if (dhcp6) {
        vf_json_add_bool(ethernet, "dhcp6", true);
    }
    if (fixed) {
        add_static(nic, ethernet);
        if (!*dns) {
            add_dns(vm, ethernet);
            *dns = true;
        }
    }
}

cJSON *vf_cloud_init_network(const struct vf_vm *vm, const struct vf_network_choice *choices)
{
    bool any = false, dns = false;
    for (size_t i = 0; i < vm->n_nics; i++) {
        any |= is_attached(&choices[i]) && vf_network_keeps_mac(vm->nics[i].mac) &&
               has_static(&vm->nics[i]);
    }
    if (!any) {
        return NULL;
    }
    cJSON *network = vf_json_new_object();
    vf_json_add_u64(network, "version", 2);
    cJSON *ethernets = vf_json_add_object(network, "ethernets");
    for (size_t i = 0; i < vm->n_nics; i++) {
        add_ethernet(vm, i, &choices[i], &dns, ethernets);
    }
    return network;
}
