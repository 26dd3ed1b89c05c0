#include "importer/vsphere/places.h"

#include <stdlib.h>
#include <string.h>

#include "importer/base/mem.h"
#include "importer/base/xml.h"
#include "importer/vsphere/property.h"
#include "importer/vsphere/vim_names.h"

/* Deeper than any inventory; ends a cycle that a broken answer may hold. */
#define MAX_DEPTH 64

void vf_places_init(struct vf_places *p, const char *root_moref)
{
    *p = (struct vf_places){.root = vf_xstrdup(root_moref)};
}

void vf_places_clear(struct vf_places *p)
{
    for (size_t i = 0; i < p->n; i++) {
        free(p->list[i].moref);
        free(p->list[i].name);
        free(p->list[i].parent);
        free(p->list[i].key);
    }
    free(p->list);
    p->list = NULL;
    p->n = p->cap = 0;
    p->sorted = false;
}

void vf_places_release(struct vf_places *p)
{
    vf_places_clear(p);
    free(p->root);
    p->root = NULL;
}

void vf_places_put_sets(struct vf_buf *specs, bool hosts)
{
    static const char *const name[] = {"name", NULL};
    static const char *const parent[] = {"name", "parent", NULL};
    static const char *const host[] = {"name", "parent", "summary.hardware.cpuMhz", NULL};
    static const char *const vapp[] = {"name", "parent", "parentFolder", NULL};
    /* `name` again in the sets of subtypes of Network: it comes whether a server takes all sets
     * that fit an object or the closest one. */
    static const char *const portgroup[] = {"name", "key", NULL};
    static const char *const opaque[] = {"name", "summary", NULL};
    vf_property_put_set(specs, VF_MO_FOLDER, parent);
    vf_property_put_set(specs, VF_MO_DATACENTER, parent);
    vf_property_put_set(specs, VF_MO_VAPP, vapp);
    vf_property_put_set(specs, VF_MO_HOST, hosts ? host : name);
    if (hosts) {
        vf_property_put_set(specs, VF_MO_CLUSTER, name);
    }
    vf_property_put_set(specs, VF_MO_NETWORK, name);
    vf_property_put_set(specs, VF_MO_PORTGROUP, portgroup);
    vf_property_put_set(specs, VF_MO_OPAQUE, opaque);
}

void vf_places_add(struct vf_places *p, const struct vf_ref *ref, const xmlNode *content)
{
    if (p->n == p->cap) {
        p->cap = p->cap ? p->cap * 2 : 64;
        p->list = vf_xrealloc_array(p->list, p->cap, sizeof p->list[0]);
    }
    struct vf_place *place = &p->list[p->n++];
    *place = (struct vf_place){.moref = vf_xstrdup(ref->value)};
    place->name = vf_xml_text(vf_property_value(content, "name"));
    vf_soap_unescape_name(place->name);
    /* A vApp outside all others has its folder apart from its parent, a resource pool. */
    place->parent = vf_xml_text(vf_property_value(content, "parentFolder"));
    if (!place->parent || !*place->parent) {
        vf_replace_string(&place->parent, NULL);
        place->parent = vf_xml_text(vf_property_value(content, "parent"));
    }
    place->key = vf_xml_text(vf_property_value(content, "key"));
    if (!place->key) {
        place->key =
            vf_xml_child_text(vf_property_value(content, "summary"), VF_VIM_NS, "opaqueNetworkId");
    }
    char *vf_autofree mhz = vf_xml_text(vf_property_value(content, "summary.hardware.cpuMhz"));
    unsigned long long v = mhz ? strtoull(mhz, NULL, 10) : 0;
    place->cpu_mhz = v <= INT32_MAX ? (uint32_t)v : 0;
    p->sorted = false;
}

static int compare(const void *a, const void *b)
{
    const struct vf_place *pa = a, *pb = b;
    return strcmp(pa->moref, pb->moref);
}

static const struct vf_place *find(struct vf_places *p, const char *moref)
{
    if (!moref || p->n == 0) {
        return NULL;
    }
    if (!p->sorted) {
        qsort(p->list, p->n, sizeof p->list[0], compare);
        p->sorted = true;
    }
    struct vf_place key = {.moref = (char *)(uintptr_t)moref};
    return bsearch(&key, p->list, p->n, sizeof p->list[0], compare);
}

static const struct vf_place *find_key(const struct vf_places *p, const char *key)
{
    for (size_t i = 0; key && i < p->n; i++) {
        if (p->list[i].key && strcmp(p->list[i].key, key) == 0) {
            return &p->list[i];
        }
    }
    return NULL;
}

/* One step of a path: a slash inside a name stays escaped, or the path would not be one. */
static char *step(const char *name)
{
    struct vf_buf b;
    vf_buf_init(&b, SIZE_MAX);
    for (; *name; name++) {
        if (*name == '/') {
            vf_buf_puts(&b, "%2f");
        } else {
            vf_buf_append(&b, name, 1);
        }
    }
    return vf_buf_take_string(&b);
}

static char *path_of(struct vf_places *p, const char *moref)
{
    char *path = NULL;
    for (unsigned depth = 0; depth < MAX_DEPTH; depth++) {
        const struct vf_place *place = find(p, moref);
        if (!place || !place->name || strcmp(place->moref, p->root) == 0) {
            break;
        }
        char *vf_autofree name = step(place->name);
        char *longer = vf_xasprintf("/%s%s", name, path ? path : "");
        free(path);
        path = longer;
        moref = place->parent;
    }
    return path;
}

static char *network_name(struct vf_places *p, const struct vf_nic_backing *b)
{
    const struct vf_place *place = find(p, b->network);
    if (!place) {
        place = find_key(p, b->network);
    }
    if (!place) {
        place = find_key(p, b->opaque_id);
    }
    if (place && place->name) {
        return vf_xstrdup(place->name);
    }
    /* What the VM's own configuration says, for a network that the user may not see. */
    return vf_xstrdup(b->device_name ? b->device_name : b->network ? b->network : b->opaque_id);
}

void vf_places_resolve(struct vf_places *p, struct vf_vm_draft *d)
{
    const struct vf_place *host = find(p, d->host);
    const struct vf_place *cluster = find(p, host ? host->parent : NULL);
    vf_replace_string(&d->vm.host, host ? host->name : NULL);
    vf_replace_string(&d->vm.host_moref, d->host);
    vf_replace_string(&d->vm.cluster, cluster ? cluster->name : NULL);
    d->vm.host_cpu_mhz = host ? host->cpu_mhz : 0;
    free(d->vm.folder);
    d->vm.folder = path_of(p, d->parent ? d->parent : d->parent_vapp);
    for (size_t i = 0; i < d->vm.n_nics; i++) {
        free(d->vm.nics[i].network);
        d->vm.nics[i].network = network_name(p, &d->backings[i]);
    }
}
