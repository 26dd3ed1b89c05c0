#include "converters/vm/network_map.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

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

int vf_network_map_add(struct vf_network_map *map, const char *text, struct vf_error **err)
{
    const char *equals = strrchr(text, '=');
    if (!equals || equals == text) {
        vf_error_set(err, VF_INVALID, "\"%s\" does not map a network", text);
        vf_error_hint(err, "write SOURCE=pod, SOURCE=ignore or SOURCE=[NAMESPACE/]NAD");
        return VF_INVALID;
    }
    const char *to = equals + 1;
    struct vf_network_rule rule = {.kind = strcmp(to, "pod") == 0      ? VF_NETWORK_POD
                                           : strcmp(to, "ignore") == 0 ? VF_NETWORK_IGNORE
                                                                       : VF_NETWORK_ATTACHMENT};
    if (rule.kind == VF_NETWORK_ATTACHMENT && !is_attachment(to)) {
        vf_error_set(err, VF_INVALID, "\"%s\" is no name of a NetworkAttachmentDefinition", to);
        vf_error_hint(err, "write NAD or NAMESPACE/NAD, \"pod\" or \"ignore\"");
        return VF_INVALID;
    }
    rule.source = vf_xstrndup(text, (size_t)(equals - text));
    for (size_t i = 0; i < map->n_rules; i++) {
        if (strcmp(map->rules[i].source, rule.source) == 0) {
            int rc = vf_error_set(err, VF_INVALID, "network \"%s\" is mapped twice", rule.source);
            free(rule.source);
            return rc;
        }
    }
    rule.attachment = rule.kind == VF_NETWORK_ATTACHMENT ? vf_xstrdup(to) : NULL;
    map->rules = vf_xrealloc_array(map->rules, map->n_rules + 1, sizeof *map->rules);
    map->rules[map->n_rules++] = rule;
    return 0;
}

void vf_network_map_release(struct vf_network_map *map)
{
    for (size_t i = 0; i < map->n_rules; i++) {
        free(map->rules[i].source);
        free(map->rules[i].attachment);
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

bool vf_network_rule_matches(const struct vf_network_rule *rule, const struct vf_vm *vm)
{
    for (size_t i = 0; i < vm->n_nics; i++) {
        if (matches_mac(rule, &vm->nics[i]) || matches_name(rule, &vm->nics[i])) {
            return true;
        }
    }
    return false;
}

static const struct vf_network_rule *find_rule(const struct vf_network_map *map,
                                               const struct vf_vm_nic *nic)
{
    for (size_t i = 0; map && i < map->n_rules; i++) {
        if (matches_mac(&map->rules[i], nic)) {
            return &map->rules[i];
        }
    }
    for (size_t i = 0; map && i < map->n_rules; i++) {
        if (matches_name(&map->rules[i], nic)) {
            return &map->rules[i];
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
        if (rule) {
            choices[i].kind = rule->kind;
            choices[i].attachment = rule->attachment ? vf_xstrdup(rule->attachment) : NULL;
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
    }
    free(choices);
}
