/* What the guest's tools tell. All of it comes out of the guest, so nothing of it is taken on
 * trust. Source: vSphere API reference, GuestInfo. */
#include <arpa/inet.h>
#include <stdlib.h>
#include <string.h>

#include "importer/base/mem.h"
#include "importer/base/xml.h"
#include "importer/vsphere/vim_names.h"
#include "importer/vsphere/vm_draft_private.h"

#define MAX_DNS         16
#define MAX_DOMAIN_NAME 253

/* VirtualMachineToolsRunningStatus. */
void vf_vm_draft_parse_tools_running(struct vf_vm_draft *d, const xmlNode *val)
{
    char *vf_autofree s = vf_xml_text(val);
    d->vm.tools_running = s && strcmp(s, "guestToolsRunning") == 0;
    d->vm.tools = !s                    ? VF_TOOLS_UNKNOWN
                  : d->vm.tools_running ? VF_TOOLS_RUNNING
                                        : VF_TOOLS_NOT_RUNNING;
}

/* VirtualMachineToolsVersionStatus. */
void vf_vm_draft_parse_tools_version(struct vf_vm_draft *d, const xmlNode *val)
{
    static const char *const outdated[] = {"guestToolsNeedUpgrade", "guestToolsTooOld",
                                           "guestToolsSupportedOld", "guestToolsBlacklisted"};
    char *vf_autofree s = vf_xml_text(val);
    d->vm.tools_outdated = false;
    for (size_t i = 0; s && i < sizeof outdated / sizeof outdated[0]; i++) {
        d->vm.tools_outdated |= strcmp(s, outdated[i]) == 0;
    }
    if (s && strcmp(s, "guestToolsNotInstalled") == 0 && d->vm.tools != VF_TOOLS_RUNNING) {
        d->vm.tools = VF_TOOLS_NOT_INSTALLED;
    }
}

void vf_vm_draft_parse_guest_disks(struct vf_vm_draft *d, const xmlNode *val)
{
    struct vf_vm *vm = &d->vm;
    const xmlNode *info = vf_xml_child(val, VF_VIM_NS, "GuestDiskInfo");
    for (; info && vm->n_guest_disks < VF_VM_MAX_GUEST_DISKS;
         info = vf_xml_next(info, VF_VIM_NS, "GuestDiskInfo")) {
        struct vf_vm_guest_disk disk = {0};
        /* Without both numbers nothing can be said of its space. */
        if (!vf_xml_child_u64(info, VF_VIM_NS, "capacity", &disk.capacity_bytes) ||
            !vf_xml_child_u64(info, VF_VIM_NS, "freeSpace", &disk.free_bytes)) {
            continue;
        }
        disk.path = vf_xml_child_text(info, VF_VIM_NS, "diskPath");
        if (!disk.path) {
            continue;
        }
        vm->guest_disks =
            vf_xrealloc_array(vm->guest_disks, vm->n_guest_disks + 1, sizeof vm->guest_disks[0]);
        vm->guest_disks[vm->n_guest_disks++] = disk;
    }
}

/* An address in binary; its length, 0 for none. */
struct ip {
    unsigned char bytes[16];
    unsigned len;
};

static struct ip parse_ip(const char *text)
{
    struct ip ip = {.len = 4};
    if (!text || inet_pton(AF_INET, text, ip.bytes) == 1) {
        ip.len = text ? 4 : 0;
    } else {
        ip.len = inet_pton(AF_INET6, text, ip.bytes) == 1 ? 16 : 0;
    }
    return ip;
}

/* An address without its zone ("fe80::1%eth0"); NULL for what is none. */
static char *take_ip(char *text)
{
    if (text) {
        text[strcspn(text, "%")] = '\0';
    }
    if (parse_ip(text).len == 0) {
        free(text);
        text = NULL;
    }
    return text;
}

/* 169.254.0.0/16 (RFC 3927) and fe80::/10 (RFC 4291): made by the guest, whatever it says. */
static bool is_link_local(const struct ip *ip)
{
    return ip->len == 4 ? ip->bytes[0] == 169 && ip->bytes[1] == 254
                        : ip->bytes[0] == 0xfe && (ip->bytes[1] & 0xc0) == 0x80;
}

static bool is_in_net(const struct ip *ip, const struct vf_vm_address *a)
{
    struct ip own = parse_ip(a->ip);
    if (own.len != ip->len || a->prefix_len == 0) {
        return false;
    }
    unsigned whole = a->prefix_len / 8, rest = a->prefix_len % 8;
    if (memcmp(own.bytes, ip->bytes, whole) != 0) {
        return false;
    }
    return rest == 0 || ((own.bytes[whole] ^ ip->bytes[whole]) >> (8 - rest)) == 0;
}

/* NetIpConfigInfoIpAddressOrigin. */
static enum vf_address_origin parse_origin(const xmlNode *info)
{
    char *vf_autofree s = vf_xml_child_text(info, VF_VIM_NS, "origin");
    if (!s) {
        return VF_ADDRESS_UNKNOWN;
    }
    return strcmp(s, "manual") == 0                                  ? VF_ADDRESS_STATIC
           : strcmp(s, "dhcp") == 0                                  ? VF_ADDRESS_DHCP
           : strcmp(s, "linklayer") == 0 || strcmp(s, "random") == 0 ? VF_ADDRESS_AUTO
                                                                     : VF_ADDRESS_UNKNOWN;
}

/* `text` is taken over. `info` is its NetIpConfigInfoIpAddress, NULL for one that came alone. */
static void add_address(struct vf_vm_nic *nic, char *text, const xmlNode *info)
{
    struct vf_vm_address a = {.ip = take_ip(text)};
    bool drop = !a.ip || nic->n_addresses >= VF_VM_MAX_ADDRESSES;
    for (size_t i = 0; !drop && i < nic->n_addresses; i++) {
        drop = strcmp(nic->addresses[i].ip, a.ip) == 0;
    }
    if (drop) {
        free(a.ip);
        return;
    }
    struct ip ip = parse_ip(a.ip);
    int32_t prefix;
    if (vf_vm_child_i32(info, "prefixLength", &prefix) && prefix > 0 &&
        (unsigned)prefix <= ip.len * 8) {
        a.prefix_len = (unsigned)prefix;
    }
    a.origin = is_link_local(&ip) ? VF_ADDRESS_AUTO : parse_origin(info);
    nic->addresses =
        vf_xrealloc_array(nic->addresses, nic->n_addresses + 1, sizeof nic->addresses[0]);
    nic->addresses[nic->n_addresses++] = a;
}

static struct vf_vm_nic *find_nic(struct vf_vm *vm, int32_t key)
{
    for (size_t i = 0; i < vm->n_nics; i++) {
        if (vm->nics[i].key == key) {
            return &vm->nics[i];
        }
    }
    return NULL;
}

/* `ipConfig` says more of the same addresses; without it, as from old tools, they come alone. */
static void add_addresses(struct vf_vm_nic *nic, const xmlNode *info)
{
    const xmlNode *config = vf_xml_child(info, VF_VIM_NS, "ipConfig");
    const xmlNode *entry = vf_xml_child(config, VF_VIM_NS, "ipAddress");
    for (; entry; entry = vf_xml_next(entry, VF_VIM_NS, "ipAddress")) {
        add_address(nic, vf_xml_child_text(entry, VF_VIM_NS, "ipAddress"), entry);
    }
    const xmlNode *ip = vf_xml_child(info, VF_VIM_NS, "ipAddress");
    for (; ip; ip = vf_xml_next(ip, VF_VIM_NS, "ipAddress")) {
        add_address(nic, vf_xml_text(ip), NULL);
    }
}

void vf_vm_draft_parse_guest_net(struct vf_vm_draft *d, const xmlNode *net)
{
    const xmlNode *info = vf_xml_child(net, VF_VIM_NS, "GuestNicInfo");
    for (; info && d->n_guest_net < VF_VM_MAX_DEVICES;
         info = vf_xml_next(info, VF_VIM_NS, "GuestNicInfo")) {
        /* deviceConfigId is the card's key; -1 for what the guest made up itself. */
        int32_t key = -1;
        vf_vm_child_i32(info, "deviceConfigId", &key);
        struct vf_vm_nic *nic = find_nic(&d->vm, key);
        if (nic) {
            add_addresses(nic, info);
        }
        d->guest_net_keys =
            vf_xrealloc_array(d->guest_net_keys, d->n_guest_net + 1, sizeof d->guest_net_keys[0]);
        d->guest_net_keys[d->n_guest_net++] = nic ? key : -1;
    }
}

/* The NIC that a route leaves by: `device` is its place in guest.net, counted from 0. Tools that
 * leave it out name the NIC by its net. */
static struct vf_vm_nic *find_route_nic(struct vf_vm_draft *d, const xmlNode *gateway,
                                        const struct ip *ip)
{
    uint64_t place;
    if (vf_xml_child_u64(gateway, VF_VIM_NS, "device", &place)) {
        return place < d->n_guest_net ? find_nic(&d->vm, d->guest_net_keys[place]) : NULL;
    }
    for (size_t i = 0; i < d->vm.n_nics; i++) {
        for (size_t j = 0; j < d->vm.nics[i].n_addresses; j++) {
            if (is_in_net(ip, &d->vm.nics[i].addresses[j])) {
                return &d->vm.nics[i];
            }
        }
    }
    return NULL;
}

static bool is_default(const xmlNode *route)
{
    char *vf_autofree network = vf_xml_child_text(route, VF_VIM_NS, "network");
    int32_t prefix;
    return network && vf_vm_child_i32(route, "prefixLength", &prefix) && prefix == 0 &&
           (strcmp(network, "0.0.0.0") == 0 || strcmp(network, "::") == 0);
}

/* Of several default routes of a family by one NIC, the first counts. */
static void add_route(struct vf_vm_draft *d, const xmlNode *route)
{
    const xmlNode *gateway = vf_xml_child(route, VF_VIM_NS, "gateway");
    char *ip = take_ip(vf_xml_child_text(gateway, VF_VIM_NS, "ipAddress"));
    struct ip address = parse_ip(ip);
    struct vf_vm_nic *nic = ip && is_default(route) ? find_route_nic(d, gateway, &address) : NULL;
    if (nic) {
        char **to = address.len == 4 ? &nic->gateway4 : &nic->gateway6;
        if (!*to) {
            *to = vf_take(ip);
        }
    }
    free(ip);
}

/* Letters, digits, hyphens, dots; underscores are seen in the field. */
static bool is_domain(const char *s)
{
    static const char allowed[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
                                  "-._";
    size_t len = s ? strlen(s) : 0;
    return len > 0 && len <= MAX_DOMAIN_NAME && strspn(s, allowed) == len;
}

static void add_string(char ***list, size_t *n, char *s)
{
    *list = vf_xrealloc_array(*list, *n + 1, sizeof **list);
    (*list)[(*n)++] = s;
}

static void add_dns(struct vf_vm *vm, const xmlNode *config)
{
    const xmlNode *ip = vf_xml_child(config, VF_VIM_NS, "ipAddress");
    for (; ip && vm->n_dns_servers < MAX_DNS; ip = vf_xml_next(ip, VF_VIM_NS, "ipAddress")) {
        char *text = take_ip(vf_xml_text(ip));
        if (text) {
            add_string(&vm->dns_servers, &vm->n_dns_servers, text);
        }
    }
    const xmlNode *domain = vf_xml_child(config, VF_VIM_NS, "searchDomain");
    for (; domain && vm->n_dns_search < MAX_DNS;
         domain = vf_xml_next(domain, VF_VIM_NS, "searchDomain")) {
        char *vf_autofree text = vf_xml_text(domain);
        if (is_domain(text)) {
            add_string(&vm->dns_search, &vm->n_dns_search, vf_take(text));
        }
    }
}

void vf_vm_draft_parse_ip_stack(struct vf_vm_draft *d, const xmlNode *val)
{
    const xmlNode *stack = vf_xml_child(val, VF_VIM_NS, "GuestStackInfo");
    add_dns(&d->vm, vf_xml_child(stack, VF_VIM_NS, "dnsConfig"));
    for (; stack; stack = vf_xml_next(stack, VF_VIM_NS, "GuestStackInfo")) {
        const xmlNode *routes = vf_xml_child(stack, VF_VIM_NS, "ipRouteConfig");
        const xmlNode *route = vf_xml_child(routes, VF_VIM_NS, "ipRoute");
        for (; route; route = vf_xml_next(route, VF_VIM_NS, "ipRoute")) {
            add_route(d, route);
        }
    }
}
