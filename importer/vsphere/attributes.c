#include "importer/vsphere/attributes.h"

#include <stdlib.h>
#include <string.h>

#include "importer/base/mem.h"
#include "importer/base/xml.h"
#include "importer/vsphere/property.h"
#include "importer/vsphere/session.h"
#include "importer/vsphere/vim_names.h"
#include "importer/vsphere/vm_draft_private.h"

/* vCenter allows some hundred fields; this only ends what never ends. */
#define MAX_FIELDS 10000
#define MAX_VALUES 10000 /* of a VM */

struct field {
    int32_t key;
    char *name;
};

struct fields {
    struct field *list;
    size_t n;
};

static void release_fields(struct fields *f)
{
    for (size_t i = 0; i < f->n; i++) {
        free(f->list[i].name);
    }
    free(f->list);
    *f = (struct fields){0};
}

/* CustomFieldStringValue is the only kind there is. An empty value is how one is taken away. */
void vf_vm_draft_parse_custom_values(struct vf_vm_draft *d, const xmlNode *val)
{
    static const char element[] = "CustomFieldValue";
    const xmlNode *entry = vf_xml_child(val, VF_VIM_NS, element);
    for (; entry && d->n_custom < MAX_VALUES; entry = vf_xml_next(entry, VF_VIM_NS, element)) {
        char *vf_autofree value = vf_xml_child_text(entry, VF_VIM_NS, "value");
        int32_t key;
        if (value && *value && vf_vm_child_i32(entry, "key", &key)) {
            d->custom = vf_xrealloc_array(d->custom, d->n_custom + 1, sizeof d->custom[0]);
            d->custom[d->n_custom++] = (struct vf_custom_value){key, vf_take(value)};
        }
    }
}

static int compare_fields(const void *pa, const void *pb)
{
    const struct field *a = pa, *b = pb;
    return (a->key > b->key) - (a->key < b->key);
}

/* ArrayOfCustomFieldDef. */
static int on_manager(void *opaque, const struct vf_ref *ref, const xmlNode *content,
                      struct vf_error **err)
{
    static const char element[] = "CustomFieldDef";
    struct fields *f = opaque;
    (void)ref;
    (void)err;
    release_fields(f); /* of a query that started over */
    const xmlNode *def = vf_xml_child(vf_property_value(content, "field"), VF_VIM_NS, element);
    for (; def && f->n < MAX_FIELDS; def = vf_xml_next(def, VF_VIM_NS, element)) {
        struct field field = {.name = vf_xml_child_text(def, VF_VIM_NS, "name")};
        if (!field.name || !*field.name || !vf_vm_child_i32(def, "key", &field.key)) {
            free(field.name);
            continue;
        }
        f->list = vf_xrealloc_array(f->list, f->n + 1, sizeof f->list[0]);
        f->list[f->n++] = field;
    }
    if (f->n > 1) {
        qsort(f->list, f->n, sizeof f->list[0], compare_fields);
    }
    return 0;
}

static int compare_attributes(const void *pa, const void *pb)
{
    const struct vf_vm_attribute *a = pa, *b = pb;
    int c = strcmp(a->name, b->name);
    return c ? c : strcmp(a->value, b->value);
}

static void name_values(struct vf_vm_draft *d, const struct fields *f)
{
    struct vf_vm *vm = &d->vm;
    for (size_t i = 0; i < d->n_custom; i++) {
        struct field key = {.key = d->custom[i].key};
        const struct field *field =
            f->n ? bsearch(&key, f->list, f->n, sizeof f->list[0], compare_fields) : NULL;
        if (!field) {
            continue;
        }
        vm->attributes =
            vf_xrealloc_array(vm->attributes, vm->n_attributes + 1, sizeof vm->attributes[0]);
        struct vf_vm_attribute *a = &vm->attributes[vm->n_attributes++];
        a->name = vf_xstrdup(field->name);
        a->value = vf_take(d->custom[i].value);
    }
    if (vm->n_attributes > 1) {
        qsort(vm->attributes, vm->n_attributes, sizeof vm->attributes[0], compare_attributes);
    }
}

int vf_attributes_fetch(struct vf_vsphere *vs, struct vf_vm_draft *drafts, size_t n,
                        struct vf_error **err)
{
    static const char *const paths[] = {"field", NULL};
    bool any = false;
    for (size_t i = 0; i < n; i++) {
        any |= drafts[i].n_custom > 0;
    }
    if (!any || !vs->services.custom_fields_manager) {
        return 0;
    }
    struct fields fields = {0};
    int rc =
        vf_property_fetch_object(vs, VF_MO_FIELDS, vs->services.custom_fields_manager, paths, false,
                                 "read the names of custom attributes", on_manager, &fields, err);
    for (size_t i = 0; rc == 0 && i < n; i++) {
        name_values(&drafts[i], &fields);
    }
    release_fields(&fields);
    return rc;
}
