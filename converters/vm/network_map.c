#include "converters/vm/network_map.h"

#include <fnmatch.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "converters/vm/mapping_checks.h"
#include "converters/vm/names.h"
#include "importer/base/mem.h"

/* Multus: "NAME" of the VM's own namespace, or "NAMESPACE/NAME". */
static bool is_attachment(const char *s)
{
    const char *slash = strchr(s, '/');
    if (!slash) {
        return vf_name_is_subdomain(s);
    }
    char *vf_autofree ns = vf_xstrndup(s, (size_t)(slash - s));
    return vf_name_is_label(ns) && vf_name_is_subdomain(slash + 1);
}

static void release_rule(struct vf_network_rule *rule)
{
    free(rule->source);
    free(rule->attachment);
    free(rule->binding);
}

static int parse_target(const char *to, struct vf_network_rule *rule, struct vf_error **err)
{
    if (strcmp(to, "pod") == 0) {
        rule->kind = VF_NETWORK_POD;
    } else if (strcmp(to, "ignore") == 0) {
        rule->kind = VF_NETWORK_IGNORE;
    } else if (strncmp(to, "pod:", 4) == 0 && vf_name_is_subdomain(to + 4)) {
        rule->kind = VF_NETWORK_POD;
        rule->binding = vf_xstrdup(to + 4);
    } else if (strncmp(to, "sriov:", 6) == 0 && is_attachment(to + 6)) {
        rule->kind = VF_NETWORK_SRIOV;
        rule->attachment = vf_xstrdup(to + 6);
    } else if (is_attachment(to)) {
        rule->kind = VF_NETWORK_ATTACHMENT;
        rule->attachment = vf_xstrdup(to);
    } else {
        vf_error_set(err, VF_INVALID, "\"%s\" is no name of a NetworkAttachmentDefinition", to);
        vf_error_hint(err, "write one of: " VF_NETWORK_TARGETS);
        return VF_INVALID;
    }
    return 0;
}

int vf_network_map_put(struct vf_network_map *map, const char *source, const char *target,
                       struct vf_error **err)
{
    if (!*source) {
        vf_error_set(err, VF_INVALID, "an empty name does not map a network");
        vf_error_hint(err, "\"*\" stands for all that no other rule tells of");
        return VF_INVALID;
    }
    if (!vf_mapping_is_text(source)) {
        return vf_error_set(err, VF_INVALID,
                            "the name of a network is too long, or has control characters");
    }
    for (size_t i = 0; i < map->n_rules; i++) {
        if (strcmp(map->rules[i].source, source) == 0) {
            return vf_error_set(err, VF_INVALID, "network \"%s\" is mapped twice", source);
        }
    }
    struct vf_network_rule rule = {0};
    int rc = parse_target(target, &rule, err);
    if (rc) {
        return rc;
    }
    rule.source = vf_xstrdup(source);
    map->rules = vf_xrealloc_array(map->rules, map->n_rules + 1, sizeof *map->rules);
    map->rules[map->n_rules++] = rule;
    return 0;
}

int vf_network_map_add(struct vf_network_map *map, const char *text, struct vf_error **err)
{
    const char *equals = strrchr(text, '=');
    if (!equals || equals == text) {
        vf_error_set(err, VF_INVALID, "\"%s\" does not map a network", text);
        vf_error_hint(err, "write SOURCE=TARGET, where TARGET is one of: " VF_NETWORK_TARGETS);
        return VF_INVALID;
    }
    char *vf_autofree source = vf_xstrndup(text, (size_t)(equals - text));
    return vf_network_map_put(map, source, equals + 1, err);
}

char *vf_network_rule_target(const struct vf_network_rule *rule)
{
    switch (rule->kind) {
    case VF_NETWORK_IGNORE:
        return vf_xstrdup("ignore");
    case VF_NETWORK_ATTACHMENT:
        return vf_xstrdup(rule->attachment);
    case VF_NETWORK_SRIOV:
        return vf_xasprintf("sriov:%s", rule->attachment);
    case VF_NETWORK_POD:
        break;
    }
    return rule->binding ? vf_xasprintf("pod:%s", rule->binding) : vf_xstrdup("pod");
}

void vf_network_map_release(struct vf_network_map *map)
{
    for (size_t i = 0; i < map->n_rules; i++) {
        release_rule(&map->rules[i]);
    }
    free(map->rules);
    *map = (struct vf_network_map){0};
}

static bool matches_mac(const struct vf_network_rule *rule, const struct vf_vm_nic *nic)
{
    return nic->mac && strcasecmp(rule->source, nic->mac) == 0;
}

static bool matches_name(const struct vf_network_rule *rule, const struct vf_vm_nic *nic)
{
    return nic->network && strcmp(rule->source, nic->network) == 0;
}

/* A multicast address has an odd first byte. */
bool vf_network_keeps_mac(const char *mac)
{
    static const char digits[] = "0123456789abcdefABCDEF";
    size_t n = mac ? strlen(mac) : 0;
    for (size_t i = 0; i < n; i++) {
        if (i % 3 == 2 ? mac[i] != ':' : !strchr(digits, mac[i])) {
            return false;
        }
    }
    return n == 17 && strchr("02468aceACE", mac[1]) && strcmp(mac, "00:00:00:00:00:00") != 0 &&
           strcmp(mac, "02:00:00:00:00:00") != 0;
}

bool vf_network_rule_is_pattern(const struct vf_network_rule *rule)
{
    return strpbrk(rule->source, "*?[") != NULL;
}

/* No pattern is tried on a longer name: vSphere's end at 80 characters. */
#define MAX_MATCHED_BYTES 512

static bool matches_pattern(const struct vf_network_rule *rule, const struct vf_vm_nic *nic)
{
    const char *name = nic->network ? nic->network : "";
    return vf_network_rule_is_pattern(rule) && strlen(name) <= MAX_MATCHED_BYTES &&
           fnmatch(rule->source, name, 0) == 0;
}

bool vf_network_rule_matches(const struct vf_network_rule *rule, const struct vf_vm *vm)
{
    for (size_t i = 0; i < vm->n_nics; i++) {
        const struct vf_vm_nic *nic = &vm->nics[i];
        if (matches_mac(rule, nic) || matches_name(rule, nic) || matches_pattern(rule, nic)) {
            return true;
        }
    }
    return false;
}

static const struct vf_network_rule *find_rule(const struct vf_network_map *map,
                                               const struct vf_vm_nic *nic)
{
    static bool (*const ways[])(const struct vf_network_rule *, const struct vf_vm_nic *) = {
        matches_mac, matches_name, matches_pattern};
    for (size_t way = 0; way < sizeof ways / sizeof *ways; way++) {
        for (size_t i = 0; map && i < map->n_rules; i++) {
            if (ways[way](&map->rules[i], nic)) {
                return &map->rules[i];
            }
        }
    }
    return NULL;
}

static char *guess_attachment(const struct vf_vm_nic *nic, size_t i)
{
    if (nic->network && *nic->network) {
        return vf_name_to_label(nic->network, VF_NAME_LABEL_MAX);
    }
    return vf_xasprintf("net-%zu", i);
}

/* How many rules put on the pod network. */
static size_t apply_rules(const struct vf_network_map *map, const struct vf_vm *vm,
                          struct vf_network_choice *choices)
{
    size_t n_pod = 0;
    for (size_t i = 0; i < vm->n_nics; i++) {
        const struct vf_network_rule *rule = find_rule(map, &vm->nics[i]);
        choices[i].guessed = rule == NULL;
        choices[i].rule = rule;
        if (rule) {
            choices[i].kind = rule->kind;
            choices[i].attachment = vf_xstrdup(rule->attachment);
            choices[i].binding = vf_xstrdup(rule->binding);
            n_pod += rule->kind == VF_NETWORK_POD;
        }
    }
    return n_pod;
}

int vf_network_map_resolve(const struct vf_network_map *map, const struct vf_vm *vm,
                           struct vf_network_choice **ret_choices, struct vf_error **err)
{
    struct vf_network_choice *choices = vf_xcalloc(vm->n_nics, sizeof *choices);
    size_t n_pod = apply_rules(map, vm, choices);
    if (n_pod > 1) {
        vf_network_choices_free(choices, vm->n_nics);
        vf_error_set(err, VF_INVALID,
                     "%zu NICs of the VM would be on the pod network, which takes one", n_pod);
        vf_error_hint(err, "map the others to a NetworkAttachmentDefinition or to \"ignore\"; a "
                           "NIC's MAC address may stand for its network");
        return VF_INVALID;
    }
    for (size_t i = 0; i < vm->n_nics; i++) {
        if (choices[i].guessed && (i > 0 || n_pod > 0)) {
            choices[i].kind = VF_NETWORK_ATTACHMENT;
            choices[i].attachment = guess_attachment(&vm->nics[i], i);
        }
    }
    *ret_choices = choices;
    return 0;
}

void vf_network_choices_free(struct vf_network_choice *choices, size_t n)
{
    for (size_t i = 0; choices && i < n; i++) {
        free(choices[i].attachment);
        free(choices[i].binding);
    }
    free(choices);
}
