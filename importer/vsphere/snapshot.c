#include "importer/vsphere/snapshot.h"

#include <stdlib.h>
#include <string.h>

#include "importer/base/mem.h"
#include "importer/base/xml.h"
#include "importer/vsphere/property.h"
#include "importer/vsphere/requests.h"
#include "importer/vsphere/session.h"
#include "importer/vsphere/snapshot_tree.h"
#include "importer/vsphere/task.h"
#include "importer/vsphere/vim_names.h"
#include "importer/vsphere/vm_draft.h"

#define CALL_TIMEOUT_MS   30000
#define REMOVE_TIMEOUT_MS (2 * 60 * 60 * 1000) /* merging a large delta under load is slow */
#define CANCEL_GRACE_MS   30000
#define BUSY_MS           (7 * 60 * 1000) /* longer than a lease of 5 minutes that nobody holds */

struct frozen {
    const char *vm_moref, *snapshot_moref;
    const char **config_paths;
    struct vf_vm_draft draft;
    bool have_config, in_tree, quiesced;
};

static int find_in_tree(void *opaque, const xmlNode *tree, int depth, struct vf_error **err)
{
    struct frozen *f = opaque;
    (void)depth;
    (void)err;
    char *vf_autofree moref = vf_xml_child_text(tree, VF_VIM_NS, "snapshot");
    if (moref && strcmp(moref, f->snapshot_moref) == 0) {
        f->in_tree = true;
        f->quiesced = vf_xml_child_bool(tree, VF_VIM_NS, "quiesced", false);
    }
    return 0;
}

static int on_frozen(void *opaque, const struct vf_ref *ref, const xmlNode *content,
                     struct vf_error **err)
{
    struct frozen *f = opaque;
    if (strcmp(ref->value, f->snapshot_moref) == 0) {
        struct vf_fault fault = {0};
        if (vf_property_fault(content, "config.hardware.device", &fault)) {
            int rc = vf_fault_set_error(err, &fault, "read the snapshot's disks");
            vf_fault_release(&fault);
            return rc;
        }
        f->have_config = true;
        return vf_vm_draft_parse(&f->draft, content, err);
    }
    if (strcmp(ref->value, f->vm_moref) == 0) {
        free(f->draft.vm.name);
        f->draft.vm.name = vf_xml_text(vf_property_value(content, "name"));
        vf_soap_unescape_name(f->draft.vm.name);
        return vf_snapshot_tree_walk(vf_property_value(content, "snapshot"), find_in_tree, f, err);
    }
    return 0;
}

static int encode_frozen(struct vf_vsphere *vs, struct vf_buf *specs, void *opaque,
                         struct vf_error **err)
{
    static const char *const vm_paths[] = {"name", "snapshot", NULL};
    struct frozen *f = opaque;
    (void)vs;
    (void)err;
    vf_property_put_set(specs, VF_MO_SNAPSHOT, f->config_paths);
    vf_property_put_set(specs, VF_MO_VM, vm_paths);
    vf_property_open_object(specs, VF_MO_SNAPSHOT, f->snapshot_moref, false);
    vf_property_close_object(specs);
    vf_property_open_object(specs, VF_MO_VM, f->vm_moref, false);
    vf_property_close_object(specs);
    return 0;
}

static void reset_frozen(void *opaque)
{
    struct frozen *f = opaque;
    vf_vm_draft_release(&f->draft);
    f->have_config = f->in_tree = f->quiesced = false;
}

int vf_snapshot_fetch(struct vf_vsphere *vs, const char *vm_moref, const char *snapshot_moref,
                      struct vf_vm *ret_frozen, bool *ret_quiesced, struct vf_error **err)
{
    struct frozen f = {.vm_moref = vm_moref,
                       .snapshot_moref = snapshot_moref,
                       .config_paths = vf_vm_draft_config_paths(vs->api_version)};
    vf_vm_draft_init(&f.draft);
    struct vf_property_query q = {.what = "read the snapshot",
                                  .encode = encode_frozen,
                                  .reset = reset_frozen,
                                  .object = on_frozen,
                                  .opaque = &f};
    int rc = vf_property_fetch(vs, &q, err);
    free(f.config_paths);
    if (rc == 0 && (!f.have_config || !f.in_tree)) {
        rc = vf_error_set(err, VF_MISSING, "cannot read the snapshot: \"%s\" is gone",
                          snapshot_moref);
        vf_error_set_reason(err, "ManagedObjectNotFound");
    }
    if (rc == 0) {
        vf_replace_string(&f.draft.vm.moref, vm_moref);
        *ret_frozen = vf_vm_draft_take(&f.draft);
        *ret_quiesced = f.quiesced;
    }
    vf_vm_draft_release(&f.draft);
    return rc;
}

static const struct vf_task_wait cleanup_wait = {
    .timeout_ms = REMOVE_TIMEOUT_MS, .cleanup = true, .grace_ms = CANCEL_GRACE_MS};

int vf_snapshot_remove(struct vf_vsphere *vs, const char *snapshot_moref, bool consolidate,
                       struct vf_error **err)
{
    struct vf_buf body;
    vf_buf_init(&body, VF_SOAP_MAX_REQUEST);
    vf_encode_remove_snapshot(&body, snapshot_moref, consolidate);
    /* A repetition finds the snapshot gone, or the VM busy removing it. */
    struct vf_call call = {.method = "RemoveSnapshot_Task",
                           .what = "remove the snapshot",
                           .body = &body,
                           .flags = VF_CALL_CLEANUP | VF_CALL_REPEATABLE,
                           .timeout_ms = CALL_TIMEOUT_MS};
    struct vf_error *e = NULL;
    int rc = vf_task_run(vs, &call, &cleanup_wait, BUSY_MS, NULL, &e);
    vf_buf_release(&body);
    if (rc == VF_MISSING && vf_fault_is(e, "ManagedObjectNotFound")) {
        vf_error_free(e);
        return 0;
    }
    if (rc) {
        vf_error_hint(&e, "look at the VM's snapshots in vSphere and remove \"%s\" if it is there",
                      snapshot_moref);
    }
    vf_error_move(err, &e);
    return rc;
}

struct found {
    const char *prefix, *mark;
    char **morefs;
    size_t n;
};

static int collect(void *opaque, const xmlNode *tree, int depth, struct vf_error **err)
{
    struct found *f = opaque;
    (void)depth;
    (void)err;
    char *vf_autofree name = vf_xml_child_text(tree, VF_VIM_NS, "name");
    char *vf_autofree text = vf_xml_child_text(tree, VF_VIM_NS, "description");
    char *vf_autofree moref = vf_xml_child_text(tree, VF_VIM_NS, "snapshot");
    vf_soap_unescape_name(name);
    if (!moref || (f->prefix && (!name || strncmp(name, f->prefix, strlen(f->prefix)) != 0)) ||
        (f->mark && (!text || !strstr(text, f->mark)))) {
        return 0;
    }
    f->morefs = vf_xrealloc_array(f->morefs, f->n + 2, sizeof f->morefs[0]);
    f->morefs[f->n++] = vf_take(moref);
    f->morefs[f->n] = NULL;
    return 0;
}

static int on_tree(void *opaque, const struct vf_ref *ref, const xmlNode *content,
                   struct vf_error **err)
{
    (void)ref;
    return vf_snapshot_tree_walk(vf_property_value(content, "snapshot"), collect, opaque, err);
}

void vf_snapshot_morefs_free(char **morefs)
{
    for (size_t i = 0; morefs && morefs[i]; i++) {
        free(morefs[i]);
    }
    free(morefs);
}

int vf_snapshot_find(struct vf_vsphere *vs, const char *vm_moref, const char *name_prefix,
                     const char *description_mark, char ***ret_morefs, size_t *ret_n,
                     struct vf_error **err)
{
    static const char *const paths[] = {"snapshot", NULL};
    struct found f = {.prefix = name_prefix,
                      .mark = description_mark,
                      .morefs = vf_xcalloc(1, sizeof f.morefs[0])};
    int rc = vf_property_fetch_object(vs, VF_MO_VM, vm_moref, paths, true, "look for snapshots",
                                      on_tree, &f, err);
    if (rc) {
        vf_snapshot_morefs_free(f.morefs);
        return rc;
    }
    for (size_t i = 0; i < f.n / 2; i++) { /* the walk goes from parents to children */
        char *other = f.morefs[i];
        f.morefs[i] = f.morefs[f.n - 1 - i];
        f.morefs[f.n - 1 - i] = other;
    }
    *ret_morefs = f.morefs;
    *ret_n = f.n;
    return 0;
}

static int on_consolidation(void *opaque, const struct vf_ref *ref, const xmlNode *content,
                            struct vf_error **err)
{
    (void)ref;
    (void)err;
    char *vf_autofree s = vf_xml_text(vf_property_value(content, "runtime.consolidationNeeded"));
    *(bool *)opaque = s && strcmp(s, "true") == 0;
    return 0;
}

int vf_vm_fetch_consolidation_needed(struct vf_vsphere *vs, const char *vm_moref, bool *ret_needed,
                                     struct vf_error **err)
{
    static const char *const paths[] = {"runtime.consolidationNeeded", NULL};
    bool needed = false;
    int rc = vf_property_fetch_object(vs, VF_MO_VM, vm_moref, paths, true,
                                      "see whether the VM's disks need consolidation",
                                      on_consolidation, &needed, err);
    if (rc == 0) {
        *ret_needed = needed;
    }
    return rc;
}

int vf_vm_consolidate(struct vf_vsphere *vs, const char *vm_moref, struct vf_error **err)
{
    struct vf_buf body;
    vf_buf_init(&body, VF_SOAP_MAX_REQUEST);
    vf_soap_encode_plain(&body, "ConsolidateVMDisks_Task", VF_MO_VM, vm_moref);
    struct vf_call call = {.method = "ConsolidateVMDisks_Task",
                           .what = "consolidate the VM's disks",
                           .body = &body,
                           .flags = VF_CALL_CLEANUP | VF_CALL_REPEATABLE,
                           .timeout_ms = CALL_TIMEOUT_MS};
    int rc = vf_task_run(vs, &call, &cleanup_wait, BUSY_MS, NULL, err);
    vf_buf_release(&body);
    return rc;
}
