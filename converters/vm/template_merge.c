/* The merge: what stands, what gives way, what is added. */
#include <stdbool.h>
#include <string.h>

#include "converters/vm/template.h"
#include "converters/vm/template_private.h"
#include "importer/base/json.h"

#define DOMAIN "spec.template.spec.domain"

struct merge {
    const char *what;
    struct vf_origins *origins;
};

/* Members of an object of which there may be one. */
struct rivals {
    const char *of; /* the object's key, or that of the list whose entry it is */
    bool gives_way; /* a default of vmferry's to the template's */
    const char *const *keys;
};

static const char *const bootloaders[] = {"bios", "efi", NULL};
static const char *const offsets[] = {"utc", "timezone", NULL};
static const char *const enlightenments[] = {"hyperv", "hypervPassthrough", NULL};
static const char *const kinds_of_disk[] = {"disk", "lun", "cdrom", "floppy", NULL};
static const char *const bindings[] = {"bridge", "masquerade", "sriov",        "slirp", "macvtap",
                                       "passt",  "binding",    "passtBinding", NULL};

static const struct rivals all_rivals[] = {
    {"bootloader", true, bootloaders},   {"clock", true, offsets},
    {"features", false, enlightenments}, {"disks", false, kinds_of_disk},
    {"interfaces", false, bindings},
};

/* Lists that are merged by name, and of those the ones whose entries of one name are not mixed:
 * a volume or a network is one thing. */
static const char *const merged_lists[] = {"disks", "interfaces",  "inputs", "filesystems",
                                           "gpus",  "hostDevices", NULL};
static const char *const joined_lists[] = {"volumes", "networks", NULL};

static cJSON *member(const cJSON *object, const char *key)
{
    return cJSON_GetObjectItemCaseSensitive(object, key);
}

static enum vf_origin_kind kind_of(const struct merge *m, const cJSON *node,
                                   enum vf_origin_kind above)
{
    const struct vf_origin *own = vf_origin_get(m->origins, node);
    return own ? own->kind : above;
}

static void remove_node(const struct merge *m, cJSON *parent, cJSON *node)
{
    vf_origin_forget(m->origins, node);
    cJSON_Delete(cJSON_DetachItemViaPointer(parent, node));
}

static cJSON *copy(const struct merge *m, const cJSON *node)
{
    cJSON *added = cJSON_Duplicate(node, true); /* cannot fail: it was read with a ceiling */
    vf_origin_note(m->origins, added, VF_ORIGIN_TEMPLATE, "%s", m->what);
    return added;
}

/* The member of `object` that there cannot be another beside; NULL: `key` may be added. */
static cJSON *find_rival(const cJSON *object, const char *of, const char *key, bool *gives_way)
{
    for (size_t i = 0; i < sizeof all_rivals / sizeof *all_rivals; i++) {
        const struct rivals *r = &all_rivals[i];
        if (!of || strcmp(r->of, of) != 0 || !vf_template_is_among(key, r->keys)) {
            continue;
        }
        for (size_t k = 0; r->keys[k]; k++) {
            cJSON *found = member(object, r->keys[k]);
            if (found) {
                *gives_way = r->gives_way;
                return found;
            }
        }
    }
    return NULL;
}

static void add_member(const struct merge *m, const cJSON *t, const char *of, cJSON *object,
                       enum vf_origin_kind above)
{
    bool gives_way = false;
    cJSON *rival = find_rival(object, of, t->string, &gives_way);
    if (rival && (!gives_way || kind_of(m, rival, above) != VF_ORIGIN_DEFAULT)) {
        return;
    }
    if (rival) {
        remove_node(m, object, rival);
    }
    cJSON_AddItemToObject(object, t->string, copy(m, t));
}

static void merge_objects(const struct merge *m, const cJSON *t, const char *of, cJSON *object,
                          enum vf_origin_kind above);

static cJSON *find_entry(const cJSON *list, const char *name)
{
    cJSON *e;
    cJSON_ArrayForEach(e, list)
    {
        const char *other = vf_json_string(e, "name");
        if (other && strcmp(other, name) == 0) {
            return e;
        }
    }
    return NULL;
}

static void merge_lists(const struct merge *m, const cJSON *t, cJSON *list,
                        enum vf_origin_kind above)
{
    const cJSON *e;
    cJSON_ArrayForEach(e, t)
    {
        cJSON *own = find_entry(list, vf_json_string(e, "name"));
        if (!own) {
            cJSON_AddItemToArray(list, copy(m, e));
        } else if (vf_template_is_among(t->string, merged_lists)) {
            merge_objects(m, e, t->string, own, kind_of(m, own, above));
        }
    }
}

static bool is_scalar(const cJSON *node)
{
    return !cJSON_IsObject(node) && !cJSON_IsArray(node);
}

static void merge_member(const struct merge *m, const cJSON *t, cJSON *object, cJSON *own,
                         enum vf_origin_kind kind)
{
    bool named = vf_template_is_among(t->string, merged_lists) ||
                 vf_template_is_among(t->string, joined_lists);
    if (cJSON_IsObject(t) && cJSON_IsObject(own)) {
        merge_objects(m, t, t->string, own, kind);
    } else if (cJSON_IsArray(t) && cJSON_IsArray(own) && named) {
        merge_lists(m, t, own, kind);
    } else if (is_scalar(t) && is_scalar(own) && kind == VF_ORIGIN_DEFAULT &&
               !cJSON_Compare(t, own, true)) {
        vf_origin_forget(m->origins, own);
        cJSON_ReplaceItemViaPointer(object, own, copy(m, t));
    }
}

/* As deep as the template, which was read with a ceiling. */
static void merge_objects(const struct merge *m, const cJSON *t, const char *of, cJSON *object,
                          enum vf_origin_kind above)
{
    for (const cJSON *c = t->child; c; c = c->next) {
        cJSON *own = member(object, c->string);
        if (own) {
            merge_member(m, c, object, own, kind_of(m, own, above));
        } else {
            add_member(m, c, of, object, above);
        }
    }
}

static void drop_all(cJSON *object, const char *const *keys)
{
    for (; *keys; keys++) {
        vf_template_drop(object, *keys);
    }
}

static const char *const topology[] = {"sockets", "cores", "threads", "maxSockets", NULL};
static const char *const sizes[] = {"guest", "maxGuest", NULL};
static const char *const amounts[] = {"cpu", "memory", NULL};

/* An instance type brings CPUs, memory and requests; admission takes none beside it. What is no
 * more than a default of vmferry's gives way to one of the template's. */
static void prune_sizes(const struct merge *m, cJSON *t, cJSON *machine)
{
    cJSON *spec = vf_template_at(t, "spec");
    cJSON *cpu = vf_template_at(machine, DOMAIN ".cpu");
    cJSON *memory = vf_template_at(machine, DOMAIN ".memory");
    const cJSON *guest = member(memory, "guest");
    bool sized = member(cpu, "sockets") != NULL ||
                 (guest && kind_of(m, guest, VF_ORIGIN_DEFAULT) != VF_ORIGIN_DEFAULT);
    if (vf_template_at(machine, "spec.instancetype") || sized) {
        vf_template_drop(spec, "instancetype");
    }
    if (vf_template_at(machine, "spec.instancetype") || member(spec, "instancetype")) {
        drop_all(vf_template_at(t, DOMAIN ".cpu"), topology);
        drop_all(vf_template_at(t, DOMAIN ".memory"), sizes);
        drop_all(vf_template_at(t, DOMAIN ".resources.requests"), amounts);
        drop_all(vf_template_at(t, DOMAIN ".resources.limits"), amounts);
    } else if (member(cpu, "sockets")) {
        drop_all(vf_template_at(t, DOMAIN ".cpu"), topology);
    }
    if (sized) {
        drop_all(vf_template_at(t, DOMAIN ".memory"), sizes);
    } else if (memory &&
               (member(spec, "instancetype") || vf_template_at(t, DOMAIN ".memory.guest"))) {
        remove_node(m, vf_template_at(machine, DOMAIN), memory);
    }
}

static bool has_boot_order(const cJSON *list)
{
    const cJSON *e;
    cJSON_ArrayForEach(e, list)
    {
        if (member(e, "bootOrder")) {
            return true;
        }
    }
    return false;
}

/* Numbers of the boot order are unique over disks and NICs. */
static void prune_boot_order(cJSON *t, cJSON *machine)
{
    static const char *const paths[] = {DOMAIN ".devices.disks", DOMAIN ".devices.interfaces"};
    if (!has_boot_order(vf_template_at(machine, paths[0])) &&
        !has_boot_order(vf_template_at(machine, paths[1]))) {
        return;
    }
    for (size_t i = 0; i < 2; i++) {
        cJSON *e;
        cJSON_ArrayForEach(e, vf_template_at(t, paths[i]))
        {
            vf_template_drop(e, "bootOrder");
        }
    }
}

static bool has_pod_network(const cJSON *networks)
{
    const cJSON *n;
    cJSON_ArrayForEach(n, networks)
    {
        if (member(n, "pod")) {
            return true;
        }
    }
    return false;
}

/* Admission takes one. */
static void prune_pod_network(cJSON *t, cJSON *machine)
{
    cJSON *own = vf_template_at(machine, "spec.template.spec.networks");
    cJSON *networks = vf_template_at(t, "spec.template.spec.networks");
    cJSON *interfaces = vf_template_at(t, DOMAIN ".devices.interfaces");
    if (!networks || !has_pod_network(own)) {
        return;
    }
    for (cJSON *n = networks->child, *next; n; n = next) {
        next = n->next;
        const char *name = vf_json_string(n, "name");
        if (!member(n, "pod") || find_entry(own, name)) {
            continue;
        }
        cJSON *interface = find_entry(interfaces, name);
        if (interface) {
            cJSON_Delete(cJSON_DetachItemViaPointer(interfaces, interface));
        }
        cJSON_Delete(cJSON_DetachItemViaPointer(networks, n));
    }
}

static void remove_source(const struct merge *m, cJSON *parent, const char *key)
{
    cJSON *node = member(parent, key);
    if (node && kind_of(m, node, VF_ORIGIN_DEFAULT) != VF_ORIGIN_TEMPLATE) {
        remove_node(m, parent, node);
    }
}

/* What the template added may rule out what the source gave: memory is not plugged beside the
 * host's NUMA nodes, real time or encryption, and dedicated CPUs are requested whole. */
static void settle(const struct merge *m, cJSON *machine)
{
    cJSON *domain = vf_template_at(machine, DOMAIN), *cpu = member(domain, "cpu");
    cJSON *resources = member(domain, "resources");
    if (member(cpu, "numa") || member(cpu, "realtime") || member(domain, "launchSecurity")) {
        remove_source(m, member(domain, "memory"), "maxGuest");
    }
    if (cJSON_IsTrue(member(cpu, "dedicatedCpuPlacement"))) {
        for (size_t i = 0; resources && amounts[i]; i++) {
            remove_source(m, member(resources, "requests"), amounts[i]);
            remove_source(m, member(resources, "limits"), amounts[i]);
        }
    }
}

void vf_template_merge(const cJSON *template, const char *what, cJSON *machine,
                       struct vf_origins *origins)
{
    const struct merge m = {.what = what, .origins = origins};
    cJSON *t = cJSON_Duplicate(template, true);
    if (!t) { /* deeper than any that was read */
        return;
    }
    vf_template_drop(t, "apiVersion");
    vf_template_drop(t, "kind");
    if (vf_template_at(machine, "spec.preference")) {
        vf_template_drop(vf_template_at(t, "spec"), "preference");
    }
    prune_sizes(&m, t, machine);
    prune_boot_order(t, machine);
    prune_pod_network(t, machine);
    merge_objects(&m, t, NULL, machine, VF_ORIGIN_DEFAULT);
    settle(&m, machine);
    cJSON_Delete(t);
}
