#include "converters/vm/kubevirt_instancetype.h"

#include <stdlib.h>
#include <string.h>

#include "converters/vm/names.h"
#include "importer/base/json.h"
#include "importer/base/mem.h"

#define LABEL(name) "instancetype.kubevirt.io/default-" name

static const char cluster_instancetype[] = "VirtualMachineClusterInstancetype";
static const char cluster_preference[] = "VirtualMachineClusterPreference";

/* "NAME" of the kind that the whole cluster shares, or "KIND/NAME". */
static int read_kind_name(const char *text, const char *what, const char *cluster_kind,
                          const char *namespaced_kind, struct vf_kind_name *ret,
                          struct vf_error **err)
{
    const char *slash = strchr(text, '/');
    size_t n = slash ? (size_t)(slash - text) : 0;
    const char *kind = cluster_kind;
    if (slash && strlen(namespaced_kind) == n && strncmp(text, namespaced_kind, n) == 0) {
        kind = namespaced_kind;
    } else if (slash && (strlen(cluster_kind) != n || strncmp(text, cluster_kind, n) != 0)) {
        int rc = vf_error_set(err, VF_INVALID, "\"%.*s\" is no kind of %s", (int)n, text, what);
        vf_error_hint(err, "there are %s and %s", cluster_kind, namespaced_kind);
        return rc;
    }
    const char *name = slash ? slash + 1 : text;
    if (!vf_name_is_subdomain(name)) {
        return vf_error_set(err, VF_INVALID, "\"%s\" is no name of %s", name, what);
    }
    *ret = (struct vf_kind_name){.kind = kind, .name = vf_xstrdup(name)};
    return 0;
}

static int choose_instancetype(struct vf_manifest_plan *plan, struct vf_concerns *concerns,
                               struct vf_error **err)
{
    const struct vf_vm *vm = plan->vm;
    const char *told = plan->mapping->instancetype;
    if (!told) {
        return 0;
    }
    if (strcmp(told, "auto") != 0) {
        return read_kind_name(told, "an instance type", cluster_instancetype,
                              "VirtualMachineInstancetype", &plan->instancetype, err);
    }
    char *name = plan->os && vm->cpus && vm->memory_bytes
                     ? vf_os_instancetype(plan->os, vm->cpus, vm->memory_bytes)
                     : NULL;
    if (!name) {
        vf_concerns_add(concerns, "vm.instancetype-none",
                        "no instance type of the table is large enough: the VM has CPUs and memory "
                        "of its own");
    }
    plan->instancetype = (struct vf_kind_name){.kind = cluster_instancetype, .name = name};
    return 0;
}

static int choose_preference(struct vf_manifest_plan *plan, struct vf_concerns *concerns,
                             struct vf_error **err)
{
    const char *told = plan->mapping->preference;
    if (!told) {
        return 0;
    }
    if (strcmp(told, "auto") != 0) {
        return read_kind_name(told, "a preference", cluster_preference, "VirtualMachinePreference",
                              &plan->preference, err);
    }
    if (plan->os && plan->os->preference) {
        plan->preference = (struct vf_kind_name){.kind = cluster_preference,
                                                 .name = vf_xstrdup(plan->os->preference)};
        return 0;
    }
    const char *guest = plan->vm->guest_name ? plan->vm->guest_name : plan->vm->guest_id;
    vf_concerns_add(concerns, "vm.preference-none",
                    "the table of guests has no preference for \"%s\": the VM has none",
                    guest ? guest : "a guest that the source does not name");
    return 0;
}

int vf_kubevirt_choose_types(struct vf_manifest_plan *plan, struct vf_concerns *concerns,
                             struct vf_error **err)
{
    int rc = choose_instancetype(plan, concerns, err);
    rc = rc ? rc : choose_preference(plan, concerns, err);
    if (rc || !plan->instancetype.name) {
        return rc;
    }
    char *vf_autofree memory = vf_kubevirt_quantity(plan->vm->memory_bytes);
    vf_concerns_add(concerns, "vm.instancetype",
                    "CPUs and memory are those of instance type \"%s\": at the source they are %u "
                    "and %s",
                    plan->instancetype.name, plan->vm->cpus, memory);
    return 0;
}

void vf_kubevirt_release_types(struct vf_manifest_plan *plan)
{
    free(plan->instancetype.name);
    free(plan->preference.name);
    plan->instancetype = plan->preference = (struct vf_kind_name){0};
}

static void add_type(const struct vf_manifest_plan *plan, cJSON *spec, const char *key,
                     const struct vf_kind_name *type, const char *told)
{
    if (!type->name) {
        return;
    }
    cJSON *o = vf_json_add_object(spec, key);
    vf_json_add_string(o, "kind", type->kind);
    vf_json_add_string(o, "name", type->name);
    bool automatic = strcmp(told, "auto") == 0;
    vf_origin_note(plan->origins, o, VF_ORIGIN_OPTION, "--%s %s%s%s%s", key, told,
                   automatic ? ", row \"" : "", automatic ? plan->os->name : "",
                   automatic ? "\"" : "");
}

void vf_kubevirt_types(const struct vf_manifest_plan *plan, cJSON *spec)
{
    add_type(plan, spec, "instancetype", &plan->instancetype, plan->mapping->instancetype);
    add_type(plan, spec, "preference", &plan->preference, plan->mapping->preference);
}

static void add_label(const struct vf_manifest_plan *plan, cJSON *labels, const char *key,
                      const char *kind_key, const struct vf_kind_name *chosen, const char *kind,
                      const char *name)
{
    name = chosen->name ? chosen->name : name;
    kind = chosen->name ? chosen->kind : kind;
    if (!name || !vf_name_is_label_value(name)) { /* a name of an object may be longer */
        return;
    }
    vf_json_add_string(labels, key, name);
    vf_json_add_string(labels, kind_key, kind);
    for (size_t i = 0; i < 2; i++) {
        if (chosen->name) {
            vf_origin_note_member(plan->origins, labels, i ? kind_key : key, VF_ORIGIN_OPTION,
                                  "as the VM itself");
        } else {
            vf_origin_note_member(plan->origins, labels, i ? kind_key : key, VF_ORIGIN_OS,
                                  "row \"%s\"", plan->os->name);
        }
    }
}

void vf_kubevirt_infer_labels(const struct vf_manifest_plan *plan, cJSON *labels)
{
    const struct vf_vm *vm = plan->vm;
    char *vf_autofree instancetype =
        plan->os && plan->os->preference && vm->cpus && vm->memory_bytes
            ? vf_os_instancetype(plan->os, vm->cpus, vm->memory_bytes)
            : NULL;
    add_label(plan, labels, LABEL("instancetype"), LABEL("instancetype-kind"), &plan->instancetype,
              cluster_instancetype, instancetype);
    add_label(plan, labels, LABEL("preference"), LABEL("preference-kind"), &plan->preference,
              cluster_preference, plan->os ? plan->os->preference : NULL);
}
