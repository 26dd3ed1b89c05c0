#include "importer/vsphere/datastores.h"

#include <stdlib.h>
#include <string.h>

#include "importer/base/mem.h"
#include "importer/base/xml.h"
#include "importer/vsphere/view.h"
#include "importer/vsphere/vim_names.h"

#define PAGE_OBJECTS   500
#define MAX_DATASTORES 100000 /* a vCenter has 6,000 at most */

static const char what[] = "read the datastores";

struct fetch {
    struct vf_datastore *list;
    size_t n, cap;
};

void vf_datastores_free(struct vf_datastore *datastores, size_t n)
{
    for (size_t i = 0; datastores && i < n; i++) {
        free(datastores[i].moref);
        free(datastores[i].name);
        free(datastores[i].type);
    }
    free(datastores);
}

static void reset(void *opaque)
{
    struct fetch *f = opaque;
    vf_datastores_free(f->list, f->n);
    *f = (struct fetch){0};
}

static int on_object(void *opaque, const struct vf_ref *ref, const xmlNode *content,
                     struct vf_error **err)
{
    struct fetch *f = opaque;
    if (strcmp(ref->type, VF_MO_DATASTORE) != 0) {
        return 0;
    }
    if (f->n >= MAX_DATASTORES) {
        return vf_error_set(err, VF_RANGE, "cannot %s: more than %d came", what, MAX_DATASTORES);
    }
    if (f->n == f->cap) {
        f->cap = f->cap ? f->cap * 2 : 16;
        f->list = vf_xrealloc_array(f->list, f->cap, sizeof *f->list);
    }
    struct vf_datastore *d = &f->list[f->n++];
    *d = (struct vf_datastore){.moref = vf_xstrdup(ref->value)};
    const xmlNode *summary = vf_property_value(content, "summary");
    d->name = vf_xml_text(vf_property_value(content, "name"));
    vf_soap_unescape_name(d->name);
    d->type = vf_xml_child_text(summary, VF_VIM_NS, "type");
    vf_xml_child_u64(summary, VF_VIM_NS, "capacity", &d->capacity_bytes);
    vf_xml_child_u64(summary, VF_VIM_NS, "freeSpace", &d->free_bytes);
    d->accessible = vf_xml_child_bool(summary, VF_VIM_NS, "accessible", true);
    /* "normal", "enteringMaintenance", "inMaintenance" */
    char *vf_autofree mode = vf_xml_child_text(summary, VF_VIM_NS, "maintenanceMode");
    d->maintenance = mode && *mode && strcmp(mode, "normal") != 0;
    return 0;
}

static void put_sets(struct vf_buf *specs, void *opaque)
{
    static const char *const paths[] = {"name", "summary", NULL};
    (void)opaque;
    vf_property_put_set(specs, VF_MO_DATASTORE, paths);
}

static int compare(const void *pa, const void *pb)
{
    const struct vf_datastore *a = pa, *b = pb;
    int c = strcmp(a->name ? a->name : "", b->name ? b->name : "");
    return c ? c : strcmp(a->moref, b->moref);
}

int vf_vsphere_fetch_datastores(struct vf_vsphere *vs, struct vf_datastore **ret, size_t *ret_n,
                                struct vf_error **err)
{
    static const char *const types[] = {VF_MO_DATASTORE, NULL};
    struct fetch f = {0};
    const struct vf_view_query q = {.what = what,
                                    .types = types,
                                    .put_sets = put_sets,
                                    .reset = reset,
                                    .object = on_object,
                                    .opaque = &f,
                                    .max_objects = PAGE_OBJECTS};
    int rc = vf_view_fetch(vs, &q, err);
    if (rc) {
        reset(&f);
        return rc;
    }
    if (f.n > 1) {
        qsort(f.list, f.n, sizeof f.list[0], compare);
    }
    *ret = f.list;
    *ret_n = f.n;
    return 0;
}

bool vf_datastore_has(const char *moref, const char *name, const struct vf_vm_disk *disk)
{
    if (moref && disk->datastore_moref) {
        return strcmp(moref, disk->datastore_moref) == 0;
    }
    return name && disk->datastore && strcmp(name, disk->datastore) == 0;
}

const struct vf_datastore *vf_datastore_find(const struct vf_datastore *datastores, size_t n,
                                             const struct vf_vm_disk *disk)
{
    for (size_t i = 0; i < n; i++) {
        if (vf_datastore_has(datastores[i].moref, datastores[i].name, disk)) {
            return &datastores[i];
        }
    }
    return NULL;
}
