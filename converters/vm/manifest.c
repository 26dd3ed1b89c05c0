#include "converters/vm/manifest.h"

#include <stdlib.h>
#include <string.h>

#include "converters/vm/kubevirt_drives.h"
#include "converters/vm/kubevirt_instancetype.h"
#include "converters/vm/kubevirt_machine.h"
#include "converters/vm/kubevirt_volumes.h"
#include "converters/vm/manifest_private.h"
#include "converters/vm/names.h"
#include "converters/vm/template.h"
#include "importer/base/buf.h"
#include "importer/base/json.h"
#include "importer/base/mem.h"
#include "importer/base/yaml.h"

#define MAX_DISKS 256

bool vf_manifest_is_alone(const struct vf_manifest_plan *plan)
{
    return plan->options->vm_only || plan->options->handover == VF_HANDOVER_ADOPT;
}

/* An admin's template: the mapping's own, else that of the guest's row; NULL: none. */
static int find_template(const struct vf_manifest_plan *plan, cJSON **ret_template, char **ret_what,
                         struct vf_error **err)
{
    const struct vf_mapping *m = plan->mapping;
    const char *file = plan->os ? plan->os->template_file : NULL;
    const char *name = m->template_name, *text = m->template_text;
    for (size_t i = 0; !text && file && i < m->n_os_templates; i++) {
        if (strcmp(m->os_templates[i].key, file) == 0) {
            text = m->os_templates[i].value;
            name = file;
        }
    }
    if (!text && file) {
        int rc = vf_error_set(err, VF_INVALID, "the template \"%s\" of row \"%s\" is not there",
                              file, plan->os->name);
        vf_error_hint(err, "put it beside the table of guest operating systems (--os-table)");
        return rc;
    }
    if (!text) {
        return 0;
    }
    char *what = name ? vf_xasprintf("template \"%s\"", name) : vf_xstrdup("the template");
    int rc = vf_template_parse(text, what, ret_template, err);
    if (rc) {
        free(what);
    } else {
        *ret_what = what;
    }
    return rc;
}

static const cJSON *list_of(const cJSON *machine, size_t i, const char **ret_name)
{
    static const char *const names[] = {"disks", "interfaces", "networks", "volumes"};
    const cJSON *spec = vf_json_object(vf_json_object(machine, "spec"), "template");
    const cJSON *inner = vf_json_object(spec, "spec");
    const cJSON *devices = vf_json_object(vf_json_object(inner, "domain"), "devices");
    *ret_name = names[i];
    return vf_json_array(i < 2 ? devices : inner, names[i]);
}

static bool has_entry(const cJSON *list, const char *name)
{
    const cJSON *e;
    cJSON_ArrayForEach(e, list)
    {
        const char *other = vf_json_string(e, "name");
        if (other && strcmp(other, name) == 0) {
            return true;
        }
    }
    return false;
}

static void tell_added(const cJSON *before, const cJSON *machine, const char *what,
                       struct vf_concerns *concerns)
{
    struct vf_buf b;
    vf_buf_init(&b, 65536);
    for (size_t i = 0; i < 4; i++) {
        const char *of = NULL;
        const cJSON *old = list_of(before, i, &of), *e;
        cJSON_ArrayForEach(e, list_of(machine, i, &of))
        {
            const char *name = vf_json_string(e, "name");
            if (name && !has_entry(old, name)) {
                vf_buf_printf(&b, "%s%s of %s", b.len ? ", " : "", name, of);
            }
        }
    }
    if (b.len) {
        vf_concerns_add(concerns, "mapping.template-added", "%s adds what the source has not: %s%s",
                        what, b.data, b.overflow ? " and more" : "");
    }
    vf_buf_release(&b);
}

static void merge_template(const struct vf_manifest_plan *plan, const cJSON *template,
                           const char *what, struct vf_manifests *m)
{
    cJSON *machine = m->documents[m->n_documents - 1];
    if (template) {
        cJSON *before = cJSON_Duplicate(machine, true);
        vf_template_merge(template, what, machine, plan->origins);
        tell_added(before, machine, what, &m->concerns);
        cJSON_Delete(before);
    }
    if (vf_json_object(vf_json_object(template, "spec"), "instancetype") &&
        !vf_json_object(vf_json_object(machine, "spec"), "instancetype")) {
        vf_concerns_add(&m->concerns, "mapping.template-instancetype",
                        "the instance type of %s is left out: the VM has the source's CPUs and "
                        "memory",
                        what);
    }
    vf_kubevirt_clock_concerns(plan, machine, &m->concerns);
}

/* KubeVirt takes no more, whatever their buses. */
static int count_disks(const struct vf_manifests *m, struct vf_error **err)
{
    const cJSON *spec = vf_json_object(m->documents[m->n_documents - 1], "spec");
    const cJSON *inner = vf_json_object(vf_json_object(spec, "template"), "spec");
    const cJSON *devices = vf_json_object(vf_json_object(inner, "domain"), "devices");
    int n = cJSON_GetArraySize(vf_json_array(devices, "disks"));
    if (n <= MAX_DISKS) {
        return 0;
    }
    int rc = vf_error_set(err, VF_INVALID, "the VM has %d disks and drives, and KubeVirt takes %d",
                          n, MAX_DISKS);
    vf_error_hint(err, "leave some of them out (--disk N:skip)");
    return rc;
}

static void find_boot_disk(struct vf_manifest_plan *plan)
{
    struct vf_drives drives;
    vf_drives_plan(plan, NULL, &drives);
    const struct vf_drive *first = vf_drives_first(&drives);
    plan->boot_disk = first && first->kind == VF_DRIVE_COPIED ? first->disk : NULL;
    vf_drives_release(&drives);
}

static int fill(struct vf_manifest_plan *plan, const cJSON *template, const char *what,
                struct vf_manifests *m, struct vf_error **err)
{
    size_t n = vf_manifest_is_alone(plan) ? 0 : plan->vm->n_disks;
    find_boot_disk(plan);
    vf_vm_concerns(plan->vm, &m->concerns);
    m->documents = vf_xcalloc(n + 1, sizeof(cJSON *));
    for (size_t i = 0; i < n; i++) {
        m->documents[m->n_documents++] = vf_kubevirt_data_volume(plan, i);
    }
    m->documents[m->n_documents++] = vf_kubevirt_vm(plan, &m->concerns);
    merge_template(plan, template, what, m);
    m->comment = vf_manifest_comment(plan, &m->concerns);
    int rc = vf_kubevirt_check_pages(m->documents[m->n_documents - 1], err);
    return rc ? rc : count_disks(m, err);
}

/* What the options say beside a mapping, as one; the networks are borrowed. */
static struct vf_mapping mapping_of_options(const struct vf_manifest_options *o)
{
    struct vf_mapping m = {.storage_class = vf_xstrdup(o->storage_class),
                           .timezone = vf_xstrdup(o->timezone),
                           .disk_bus = vf_xstrdup(o->disk_bus),
                           .nic_model = vf_xstrdup(o->nic_model)};
    if (o->networks) {
        m.networks = *o->networks;
    }
    return m;
}

static void free_mapping_of_options(struct vf_mapping *m)
{
    free(m->storage_class);
    free(m->timezone);
    free(m->disk_bus);
    free(m->nic_model);
}

static void name_claims(struct vf_manifest_plan *plan)
{
    plan->claims = vf_xcalloc(plan->vm->n_disks, sizeof(char *));
    for (size_t i = 0; i < plan->vm->n_disks; i++) {
        const char *claim = vf_kubevirt_disk_options(plan, i)->claim;
        plan->claims[i] = claim ? vf_xstrdup(claim) : vf_name_of_disk(plan->name, i);
    }
}

static void release_plan(struct vf_manifest_plan *plan)
{
    vf_names_free(plan->claims, plan->vm->n_disks);
    vf_network_choices_free(plan->networks, plan->vm->n_nics);
    vf_kubevirt_release_types(plan);
}

static int build(struct vf_manifest_plan *plan, struct vf_manifests *ret_manifests,
                 struct vf_error **err)
{
    struct vf_manifests m = {.origins = vf_origins_new()};
    cJSON *template = NULL;
    char *vf_autofree what = NULL;
    plan->origins = m.origins;
    name_claims(plan);
    int rc = vf_kubevirt_choose_types(plan, &m.concerns, err);
    rc = rc ? rc : vf_manifest_check(plan, err);
    rc = rc ? rc : vf_network_map_resolve(&plan->mapping->networks, plan->vm, &plan->networks, err);
    rc = rc ? rc : find_template(plan, &template, &what, err);
    rc = rc ? rc : fill(plan, template, what, &m, err);
    cJSON_Delete(template);
    release_plan(plan);
    if (rc) {
        vf_manifests_release(&m);
    } else {
        *ret_manifests = m;
    }
    return rc;
}

/* The guest's row; `own` is the table that was read for it, if none was given. */
static int find_os(struct vf_manifest_plan *plan, struct vf_os_table **own, struct vf_error **err)
{
    const struct vf_mapping *m = plan->mapping;
    const struct vf_os_table *table = plan->options->os_table;
    if (!table) {
        int rc = vf_os_table_new(m->os_table, "the table of guest operating systems", own, err);
        if (rc) {
            return rc;
        }
        table = *own;
    }
    return vf_os_choose(table, m->os, plan->vm, &plan->os, err);
}

int vf_manifests_build(const struct vf_vm *vm, const struct vf_manifest_options *options,
                       struct vf_manifests *ret_manifests, struct vf_error **err)
{
    if (options->disks && options->n_disks != vm->n_disks) {
        return vf_error_set(err, VF_INVALID, "%zu disks are described, but the VM has %zu",
                            options->n_disks, vm->n_disks);
    }
    char *vf_autofree name = options->name ? vf_xstrdup(options->name) : vf_name_of_vm(vm);
    struct vf_mapping beside = mapping_of_options(options);
    struct vf_manifest_plan plan = {.vm = vm,
                                    .options = options,
                                    .mapping = options->mapping ? options->mapping : &beside,
                                    .name = name};
    struct vf_os_table *own = NULL;
    int rc = find_os(&plan, &own, err);
    if (rc == 0) {
        rc = build(&plan, ret_manifests, err);
    }
    vf_os_table_free(own);
    free_mapping_of_options(&beside);
    return rc;
}

void vf_manifests_release(struct vf_manifests *m)
{
    for (size_t i = 0; i < m->n_documents; i++) {
        cJSON_Delete(m->documents[i]);
    }
    free(m->documents);
    free(m->comment);
    vf_concerns_release(&m->concerns);
    vf_origins_free(m->origins);
    *m = (struct vf_manifests){0};
}

int vf_manifests_render(const struct vf_manifests *m, char **ret_text, struct vf_error **err)
{
    const cJSON **documents = vf_xcalloc(m->n_documents, sizeof(cJSON *));
    for (size_t i = 0; i < m->n_documents; i++) {
        documents[i] = m->documents[i];
    }
    char *vf_autofree yaml = NULL;
    int rc = vf_yaml_print(documents, m->n_documents, &yaml, err);
    free(documents);
    if (rc == 0) {
        *ret_text = vf_xasprintf("%s---\n%s", m->comment, yaml);
    }
    return rc;
}
