/* Names that are taken, MACs that are in use, and what a VM may be made after. */
#include <stdlib.h>
#include <string.h>

#include "importer/base/json.h"
#include "importer/base/mem.h"
#include "importer/kube/metadata.h"
#include "importer/kube/resources.h"
#include "importer/kube/target_facts_private.h"

/* "aa:bb:cc:dd:ee:ff" */
#define MAC_LEN 17

static int compare_first(const void *a, const void *b)
{
    const char *const *x = a, *const *y = b;
    return strcmp(*x, *y);
}

static void sort(void *items, size_t n, size_t size)
{
    if (n) {
        qsort(items, n, size, compare_first);
    }
}

/* --- names ------------------------------------------------------------------------------- */

static void add_name(struct vf_target_facts *f, const struct vf_target_list *list,
                     const cJSON *item)
{
    const char *name = vf_kube_name(item);
    if (!name) {
        return;
    }
    f->names = vf_xrealloc_array(f->names, f->n_names + 1, sizeof *f->names);
    struct vf_target_name *n = &f->names[f->n_names++];
    n->key = vf_xasprintf("%s/%s", vf_kube_kind(list->resource), name);
    vf_owned_read_marks(item, &n->marks);
}

static void forget_names_of(struct vf_target_facts *f, const char *kind)
{
    size_t kept = 0, len = strlen(kind);
    for (size_t i = 0; i < f->n_names; i++) {
        if (strncmp(f->names[i].key, kind, len) == 0 && f->names[i].key[len] == '/') {
            free(f->names[i].key);
            vf_owned_marks_release(&f->names[i].marks);
        } else {
            f->names[kept++] = f->names[i];
        }
    }
    f->n_names = kept;
}

static void forget_machines(struct vf_target_facts *f)
{
    forget_names_of(f, vf_kube_kind(&vf_kube_virtual_machines));
}

static void forget_volumes(struct vf_target_facts *f)
{
    forget_names_of(f, vf_kube_kind(&vf_kube_data_volumes));
}

static void forget_claims(struct vf_target_facts *f)
{
    forget_names_of(f, vf_kube_kind(&vf_kube_claims));
}

static int fetch_names(struct vf_target_look *l, struct vf_error **err)
{
    static const struct vf_target_list lists[] = {
        {.resource = &vf_kube_virtual_machines,
         .what = "names of the namespace's VirtualMachines",
         .metadata_only = true,
         .begin = forget_machines,
         .each = add_name},
        {.resource = &vf_kube_data_volumes,
         .what = "names of the namespace's DataVolumes",
         .metadata_only = true,
         .begin = forget_volumes,
         .each = add_name},
        {.resource = &vf_kube_claims,
         .what = "names of the namespace's PersistentVolumeClaims",
         .metadata_only = true,
         .begin = forget_claims,
         .each = add_name},
    };
    int rc = 0;
    l->facts->names_known = true;
    for (size_t i = 0; i < sizeof lists / sizeof *lists && rc == 0; i++) {
        bool known;
        rc = vf_target_list(l, &lists[i], &known, err);
        l->facts->names_known &= known;
    }
    sort(l->facts->names, l->facts->n_names, sizeof *l->facts->names);
    return rc;
}

/* --- MACs -------------------------------------------------------------------------------- */

/* Any of the forms that KubeVirt takes (net.ParseMAC of six bytes), in ours; false for others. */
static bool normalize_mac(const char *text, char ret[MAC_LEN + 1])
{
    size_t digits = 0, n = 0;
    for (; *text; text++) {
        char c = *text >= 'A' && *text <= 'F' ? (char)(*text - 'A' + 'a') : *text;
        if ((c >= '0' && c <= '9') || (c >= 'a' && c <= 'f')) {
            if (digits == 12) {
                return false;
            }
            if (digits > 0 && digits % 2 == 0) {
                ret[n++] = ':';
            }
            ret[n++] = c;
            digits++;
        } else if (c != ':' && c != '-' && c != '.') {
            return false;
        }
    }
    ret[n] = '\0';
    return digits == 12;
}

static void add_macs(struct vf_target_facts *f, const cJSON *item, const cJSON *interfaces,
                     const char *key, bool running)
{
    const char *name = vf_kube_name(item), *ns = vf_kube_namespace(item);
    const char *uuid =
        vf_owned_is_ours(item) ? vf_kube_annotation(item, VF_OWNED_SOURCE_UUID) : NULL;
    const cJSON *interface;
    cJSON_ArrayForEach(interface, interfaces)
    {
        const char *text = vf_json_string(interface, key);
        char mac[MAC_LEN + 1];
        if (!name || !ns || !text || !normalize_mac(text, mac)) {
            continue;
        }
        f->macs = vf_xrealloc_array(f->macs, f->n_macs + 1, sizeof *f->macs);
        f->macs[f->n_macs++] = (struct vf_target_mac){.mac = vf_xstrdup(mac),
                                                      .owner = vf_xasprintf("%s/%s", ns, name),
                                                      .source_uuid = vf_target_text(uuid),
                                                      .running = running};
    }
}

static const cJSON *get_interfaces(const cJSON *instance_spec)
{
    const cJSON *domain = vf_json_object(instance_spec, "domain");
    return vf_json_array(vf_json_object(domain, "devices"), "interfaces");
}

static void add_machine(struct vf_target_facts *f, const struct vf_target_list *list,
                        const cJSON *item)
{
    const cJSON *template = vf_json_object(vf_json_object(item, "spec"), "template");
    (void)list;
    add_macs(f, item, get_interfaces(vf_json_object(template, "spec")), "macAddress", false);
}

/* What has none in its spec was given one when it was started. One that came to its end stays until
 * it is started again, or removed. */
static void add_instance(struct vf_target_facts *f, const struct vf_target_list *list,
                         const cJSON *item)
{
    const cJSON *reported = vf_json_array(vf_json_object(item, "status"), "interfaces");
    const char *phase = vf_kube_phase(item);
    (void)list;
    if (phase && (strcmp(phase, "Succeeded") == 0 || strcmp(phase, "Failed") == 0)) {
        return;
    }
    add_macs(f, item, get_interfaces(vf_json_object(item, "spec")), "macAddress", true);
    add_macs(f, item, reported, "mac", true);
}

static void free_mac(struct vf_target_mac *m)
{
    free(m->mac);
    free(m->owner);
    free(m->source_uuid);
}

static void forget_macs(struct vf_target_facts *f, bool running)
{
    size_t kept = 0;
    for (size_t i = 0; i < f->n_macs; i++) {
        if (f->macs[i].running == running) {
            free_mac(&f->macs[i]);
        } else {
            f->macs[kept++] = f->macs[i];
        }
    }
    f->n_macs = kept;
}

static void forget_stopped_macs(struct vf_target_facts *f)
{
    forget_macs(f, false);
}

static void forget_running_macs(struct vf_target_facts *f)
{
    forget_macs(f, true);
}

static int compare_macs(const void *a, const void *b)
{
    const struct vf_target_mac *x = a, *y = b;
    int order = strcmp(x->mac, y->mac);
    return order ? order : strcmp(x->owner, y->owner);
}

/* An instance and its VM have the name, and as a rule the MAC. */
static void merge_macs(struct vf_target_facts *f)
{
    size_t kept = 0;
    if (f->n_macs) {
        qsort(f->macs, f->n_macs, sizeof *f->macs, compare_macs);
    }
    for (size_t i = 0; i < f->n_macs; i++) {
        struct vf_target_mac *last = kept ? &f->macs[kept - 1] : NULL;
        if (last && compare_macs(last, &f->macs[i]) == 0) {
            last->running |= f->macs[i].running;
            if (!last->source_uuid) {
                last->source_uuid = vf_take(f->macs[i].source_uuid);
            }
            free_mac(&f->macs[i]);
        } else {
            f->macs[kept++] = f->macs[i];
        }
    }
    f->n_macs = kept;
}

static int fetch_macs(struct vf_target_look *l, struct vf_error **err)
{
    static const struct vf_target_list machines = {.resource = &vf_kube_virtual_machines,
                                                   .what = "MACs of the cluster's VirtualMachines",
                                                   .all_namespaces = true,
                                                   .begin = forget_stopped_macs,
                                                   .each = add_machine};
    static const struct vf_target_list instances = {.resource = &vf_kube_virtual_machine_instances,
                                                    .what = "MACs of the cluster's running VMs",
                                                    .all_namespaces = true,
                                                    .begin = forget_running_macs,
                                                    .each = add_instance};
    bool machines_known, instances_known = false;
    int rc = vf_target_list(l, &machines, &machines_known, err);
    rc = rc ? rc : vf_target_list(l, &instances, &instances_known, err);
    /* One of the two is better than nothing. */
    l->facts->macs_known = machines_known || instances_known;
    merge_macs(l->facts);
    return rc;
}

/* --- what a VM may be made after --------------------------------------------------------- */

static char *make_key(const struct vf_target_list *list, const cJSON *item)
{
    const char *name = vf_kube_name(item);
    return vf_xasprintf("%s/%s", vf_kube_kind(list->resource), name ? name : "");
}

static void add_instancetype(struct vf_target_facts *f, const struct vf_target_list *list,
                             const cJSON *item)
{
    vf_target_add_string(&f->instancetypes, &f->n_instancetypes, make_key(list, item));
}

static void add_preference(struct vf_target_facts *f, const struct vf_target_list *list,
                           const cJSON *item)
{
    vf_target_add_string(&f->preferences, &f->n_preferences, make_key(list, item));
}

/* Of a list that is begun anew an entry may be there twice, and one that is gone: nobody minds. */
static int fetch_kinds(struct vf_target_look *l, struct vf_error **err)
{
    static const struct vf_target_list lists[] = {
        {&vf_kube_cluster_instancetypes, "the cluster's instancetypes", false, true, NULL,
         add_instancetype},
        {&vf_kube_instancetypes, "the namespace's instancetypes", false, true, NULL,
         add_instancetype},
        {&vf_kube_cluster_preferences, "the cluster's preferences", false, true, NULL,
         add_preference},
        {&vf_kube_preferences, "the namespace's preferences", false, true, NULL, add_preference},
    };
    struct vf_target_facts *f = l->facts;
    bool known[4] = {false};
    int rc = 0;
    for (size_t i = 0; i < sizeof lists / sizeof *lists && rc == 0; i++) {
        rc = vf_target_list(l, &lists[i], &known[i], err);
    }
    f->instancetypes_known = known[0] && known[1];
    f->preferences_known = known[2] && known[3];
    sort(f->instancetypes, f->n_instancetypes, sizeof *f->instancetypes);
    sort(f->preferences, f->n_preferences, sizeof *f->preferences);
    return rc;
}

int vf_target_fetch_machines(struct vf_target_look *l, struct vf_error **err)
{
    int rc = fetch_names(l, err);
    rc = rc ? rc : fetch_macs(l, err);
    return rc ? rc : fetch_kinds(l, err);
}
