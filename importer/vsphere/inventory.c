#include "importer/vsphere/inventory.h"

#include <stdlib.h>
#include <string.h>

#include "importer/base/log.h"
#include "importer/base/mem.h"
#include "importer/base/xml.h"
#include "importer/vsphere/attributes.h"
#include "importer/vsphere/places.h"
#include "importer/vsphere/property.h"
#include "importer/vsphere/tags.h"
#include "importer/vsphere/view.h"
#include "importer/vsphere/vim_names.h"
#include "importer/vsphere/vm_draft.h"
#include "importer/vsphere/vm_filter.h"

#define PAGE_FULL  200
#define PAGE_BRIEF 1000

static const char what_all[] = "read the inventory";
static const char what_one[] = "read the VM";

struct inventory {
    const struct vf_vm_query *query;
    const char **paths;
    const char *moref; /* of the one VM; NULL: all */
    bool brief;
    struct vf_places places;
    struct vf_vm_draft *drafts;
    size_t n, cap;
};

static void drop_drafts(struct inventory *inv)
{
    for (size_t i = 0; i < inv->n; i++) {
        vf_vm_draft_release(&inv->drafts[i]);
    }
    inv->n = 0;
}

static void reset(void *opaque)
{
    struct inventory *inv = opaque;
    drop_drafts(inv);
    vf_places_clear(&inv->places);
}

static void release(struct inventory *inv)
{
    reset(inv);
    free(inv->drafts);
    free(inv->paths);
    vf_places_release(&inv->places);
}

static int on_object(void *opaque, const struct vf_ref *ref, const xmlNode *content,
                     struct vf_error **err)
{
    struct inventory *inv = opaque;
    if (strcmp(ref->type, VF_MO_VM) != 0) {
        vf_places_add(&inv->places, ref, content);
        return 0;
    }
    if (inv->moref && strcmp(inv->moref, ref->value) != 0) {
        return 0;
    }
    char *vf_autofree name = vf_xml_text(vf_property_value(content, "name"));
    vf_soap_unescape_name(name);
    if (!vf_vm_query_wants_name(inv->query, name)) {
        return 0;
    }
    if (inv->n == inv->cap) {
        inv->cap = inv->cap ? inv->cap * 2 : 64;
        inv->drafts = vf_xrealloc_array(inv->drafts, inv->cap, sizeof inv->drafts[0]);
    }
    struct vf_vm_draft *d = &inv->drafts[inv->n++];
    vf_vm_draft_init(d);
    d->vm.moref = vf_xstrdup(ref->value);
    return vf_vm_draft_parse(d, content, err);
}

static void put_sets(struct vf_buf *specs, void *opaque)
{
    const struct inventory *inv = opaque;
    vf_property_put_set(specs, VF_MO_VM, inv->paths);
    vf_places_put_sets(specs, !inv->brief);
}

/* One view over the root folder gives the VMs and all that their names of places need, so one query
 * reads everything. */
static int fetch_all(struct vf_vsphere *vs, void *opaque, struct vf_error **err)
{
    static const char *const types[] = {VF_MO_VM,   VF_MO_FOLDER,  VF_MO_DATACENTER, VF_MO_VAPP,
                                        VF_MO_HOST, VF_MO_NETWORK, VF_MO_CLUSTER,    NULL};
    struct inventory *inv = opaque;
    const struct vf_view_query q = {.what = what_all,
                                    .types = types,
                                    .put_sets = put_sets,
                                    .reset = reset,
                                    .object = on_object,
                                    .opaque = inv,
                                    .max_objects = inv->brief ? PAGE_BRIEF : PAGE_FULL};
    return vf_view_fetch(vs, &q, err);
}

/* From the VM up to the root, and to its host and networks. */
static int encode_one(struct vf_vsphere *vs, struct vf_buf *specs, void *opaque,
                      struct vf_error **err)
{
    static const char *const up[] = {"up", "vappFolder", NULL};
    static const char *const cluster[] = {"cluster", NULL};
    static const struct vf_traversal ways[] = {
        {"up", VF_MO_ENTITY, "parent", up},
        {"vapp", VF_MO_VM, "parentVApp", up},
        {"vappFolder", VF_MO_VAPP, "parentFolder", up},
        {"host", VF_MO_VM, "runtime.host", cluster},
        {"cluster", VF_MO_HOST, "parent", NULL},
        {"network", VF_MO_VM, "network", NULL},
    };
    struct inventory *inv = opaque;
    (void)vs;
    (void)err;
    vf_property_put_set(specs, VF_MO_VM, inv->paths);
    vf_places_put_sets(specs, true);
    vf_property_open_object(specs, VF_MO_VM, inv->moref, false);
    for (size_t i = 0; i < sizeof ways / sizeof ways[0]; i++) {
        vf_property_put_traversal(specs, &ways[i]);
    }
    vf_property_close_object(specs);
    return 0;
}

static int fetch_one(struct vf_vsphere *vs, void *opaque, struct vf_error **err)
{
    const struct vf_property_query q = {.what = what_one,
                                        .encode = encode_one,
                                        .reset = reset,
                                        .object = on_object,
                                        .opaque = opaque};
    return vf_property_fetch(vs, &q, err);
}

/* A server that knows no paths with a key refuses the whole query; then it goes without them. */
static int fetch(struct vf_vsphere *vs, struct inventory *inv,
                 int (*query)(struct vf_vsphere *vs, void *opaque, struct vf_error **err),
                 struct vf_error **err)
{
    struct vf_error *e = NULL;
    int rc = query(vs, inv, &e);
    if (rc && vf_fault_is(e, "InvalidProperty") && vf_vm_draft_drop_keyed_paths(inv->paths)) {
        vf_debug("vsphere: %s; asking again without keys", vf_error_message(e));
        vf_error_clear(&e);
        reset(inv);
        rc = query(vs, inv, &e);
    }
    vf_error_move(err, &e);
    return rc;
}

/* Keep those for which `wanted` holds, in their order. */
static void keep(struct inventory *inv,
                 bool (*wanted)(const struct vf_vm_query *, const struct vf_vm *))
{
    size_t n = 0;
    for (size_t i = 0; i < inv->n; i++) {
        if (wanted(inv->query, &inv->drafts[i].vm)) {
            inv->drafts[n++] = inv->drafts[i];
        } else {
            vf_vm_draft_release(&inv->drafts[i]);
        }
    }
    inv->n = n;
}

static int compare_drafts(const void *pa, const void *pb)
{
    const struct vf_vm *a = &((const struct vf_vm_draft *)pa)->vm;
    const struct vf_vm *b = &((const struct vf_vm_draft *)pb)->vm;
    int c = strcmp(a->folder ? a->folder : "", b->folder ? b->folder : "");
    if (c == 0) {
        c = strcmp(a->name ? a->name : "", b->name ? b->name : "");
    }
    return c ? c : strcmp(a->moref, b->moref);
}

/* Nobody waits longer for what may be missing: the caller may be in the midst of a cutover. */
#define EXTRA_DEADLINE_MS 15000u

static int add_tags(struct vf_vsphere *vs, struct vf_vm **vms, size_t n, bool must,
                    struct vf_vm_notes *notes, struct vf_error **err)
{
    struct vf_error *e = NULL;
    int rc = vf_tags_fetch(vs, vms, n, must ? 0 : EXTRA_DEADLINE_MS, &e);
    if (rc == 0 || must || rc == VF_CANCELLED) {
        vf_error_move(err, &e);
        return rc;
    }
    notes->tags_unavailable = true;
    notes->tags_reason = vf_error_format(e);
    vf_error_free(e);
    return 0;
}

static int add_wanted_tags(struct vf_vsphere *vs, struct inventory *inv, struct vf_vm_notes *notes,
                           struct vf_error **err)
{
    const struct vf_vm_query *q = inv->query;
    bool must = q && q->tags && q->tags[0];
    if (!must && !(q && q->want_tags)) {
        return 0;
    }
    struct vf_vm **vms = vf_xcalloc(inv->n, sizeof(void *));
    for (size_t i = 0; i < inv->n; i++) {
        vms[i] = &inv->drafts[i].vm;
    }
    int rc = add_tags(vs, vms, inv->n, must, notes, err);
    free(vms);
    return rc;
}

int vf_vsphere_add_tags(struct vf_vsphere *vs, struct vf_vm *vms, size_t n,
                        struct vf_vm_notes *notes, struct vf_error **err)
{
    struct vf_vm **pointers = vf_xcalloc(n, sizeof(void *));
    for (size_t i = 0; i < n; i++) {
        pointers[i] = &vms[i];
    }
    int rc = add_tags(vs, pointers, n, false, notes, err);
    free(pointers);
    return rc;
}

/* Names that may not be read are no reason to show no VM. */
static int add_attributes(struct vf_vsphere *vs, struct inventory *inv, struct vf_vm_notes *notes,
                          struct vf_error **err)
{
    struct vf_error *e = NULL;
    int rc = vf_attributes_fetch(vs, inv->drafts, inv->n, &e);
    if (rc == 0 || rc == VF_CANCELLED) {
        vf_error_move(err, &e);
        return rc;
    }
    notes->attributes_unavailable = true;
    notes->attributes_reason = vf_error_format(e);
    vf_error_free(e);
    return 0;
}

static void take_vms(struct inventory *inv, struct vf_vm **ret_vms, size_t *ret_n,
                     struct vf_vm_notes *notes)
{
    struct vf_vm *vms = vf_xcalloc(inv->n, sizeof *vms);
    for (size_t i = 0; i < inv->n; i++) {
        notes->unreadable += inv->drafts[i].unreadable;
    }
    for (size_t i = 0; i < inv->n; i++) {
        struct vf_vm_draft *d = &inv->drafts[i];
        vms[i] = vf_vm_draft_take(d);
    }
    *ret_vms = vms;
    *ret_n = inv->n;
}

static int settle(struct vf_vsphere *vs, struct inventory *inv, struct vf_vm_notes *notes,
                  struct vf_error **err)
{
    for (size_t i = 0; i < inv->n; i++) {
        vf_places_resolve(&inv->places, &inv->drafts[i]);
    }
    keep(inv, vf_vm_query_wants_place);
    int rc = add_wanted_tags(vs, inv, notes, err);
    if (rc) {
        return rc;
    }
    keep(inv, vf_vm_query_wants_tags);
    rc = add_attributes(vs, inv, notes, err);
    if (rc) {
        return rc;
    }
    if (inv->n > 1) {
        qsort(inv->drafts, inv->n, sizeof inv->drafts[0], compare_drafts);
    }
    return 0;
}

static unsigned query_detail(const struct vf_vm_query *q)
{
    if (q && q->brief) {
        return VF_VM_BRIEF;
    }
    unsigned detail = q && q->want_disk_usage ? VF_VM_WITH_USAGE : VF_VM_FULL;
    return q && q->want_attributes ? detail | VF_VM_WITH_ATTRIBUTES : detail;
}

void vf_vm_notes_release(struct vf_vm_notes *notes)
{
    free(notes->tags_reason);
    free(notes->attributes_reason);
    *notes = (struct vf_vm_notes){0};
}

int vf_vsphere_fetch_vms(struct vf_vsphere *vs, const struct vf_vm_query *query,
                         struct vf_vm **ret_vms, size_t *ret_n, struct vf_vm_notes *ret_notes,
                         struct vf_error **err)
{
    int rc = vf_vm_query_check(query, err);
    if (rc) {
        return rc;
    }
    unsigned detail = query_detail(query);
    struct inventory inv = {.query = query,
                            .brief = detail == VF_VM_BRIEF,
                            .paths = vf_vm_draft_paths(detail, vs->api_version)};
    vf_places_init(&inv.places, vs->services.root_folder);
    struct vf_vm_notes notes = {0};
    rc = fetch(vs, &inv, fetch_all, err);
    if (rc == 0) {
        rc = settle(vs, &inv, &notes, err);
    }
    if (rc == 0) {
        take_vms(&inv, ret_vms, ret_n, &notes);
    }
    if (rc == 0 && ret_notes) {
        *ret_notes = notes;
    } else {
        vf_vm_notes_release(&notes);
    }
    release(&inv);
    return rc;
}

void vf_vms_free(struct vf_vm *vms, size_t n)
{
    for (size_t i = 0; vms && i < n; i++) {
        vf_vm_release(&vms[i]);
    }
    free(vms);
}

int vf_vsphere_fetch_vm(struct vf_vsphere *vs, const char *moref, struct vf_vm *ret_vm,
                        struct vf_error **err)
{
    struct inventory inv = {
        .moref = moref,
        .paths = vf_vm_draft_paths(VF_VM_WITH_USAGE | VF_VM_WITH_ATTRIBUTES, vs->api_version)};
    struct vf_vm_notes notes = {0};
    vf_places_init(&inv.places, vs->services.root_folder);
    int rc = fetch(vs, &inv, fetch_one, err);
    if (rc == 0 && inv.n == 0) {
        rc = vf_error_set(err, VF_MISSING, "cannot %s: there is no VM \"%s\"", what_one, moref);
        vf_error_set_reason(err, "ManagedObjectNotFound");
    }
    if (rc == 0) {
        rc = add_attributes(vs, &inv, &notes, err);
    }
    if (rc == 0) {
        vf_places_resolve(&inv.places, &inv.drafts[0]);
        *ret_vm = vf_vm_draft_take(&inv.drafts[0]);
    }
    vf_vm_notes_release(&notes);
    release(&inv);
    return rc;
}
