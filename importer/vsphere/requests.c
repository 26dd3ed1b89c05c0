#include "importer/vsphere/requests.h"

#include "importer/vsphere/property.h"
#include "importer/vsphere/soap.h"
#include "importer/vsphere/vim_names.h"

void vf_encode_login(struct vf_buf *b, const char *session_manager, const char *user,
                     const char *password)
{
    vf_soap_open(b, "Login", VF_MO_SESSIONS, session_manager);
    vf_soap_put_text(b, "userName", user);
    vf_soap_put_text(b, "password", password);
    vf_soap_close(b, "Login");
}

void vf_encode_create_view(struct vf_buf *b, const char *view_manager, const char *root_folder,
                           const char *const *types)
{
    vf_soap_open(b, "CreateContainerView", VF_MO_VIEW_MANAGER, view_manager);
    vf_soap_put_ref(b, "container", VF_MO_FOLDER, root_folder);
    for (; *types; types++) {
        vf_soap_put_text(b, "type", *types);
    }
    vf_soap_put_bool(b, "recursive", true);
    vf_soap_close(b, "CreateContainerView");
}

void vf_encode_retrieve(struct vf_buf *b, const char *collector, const struct vf_buf *specs,
                        unsigned max_objects)
{
    vf_soap_open(b, "RetrievePropertiesEx", VF_MO_COLLECTOR, collector);
    vf_buf_puts(b, "<specSet>");
    vf_buf_append(b, specs->data, specs->len);
    /* Else one object that vanishes meanwhile fails the whole call. */
    vf_soap_put_bool(b, "reportMissingObjectsInResults", true);
    vf_buf_puts(b, "</specSet><options>");
    vf_soap_put_int(b, "maxObjects", max_objects);
    vf_buf_puts(b, "</options>");
    vf_soap_close(b, "RetrievePropertiesEx");
    b->overflow |= specs->overflow;
}

void vf_encode_continue(struct vf_buf *b, const char *collector, const char *token)
{
    vf_soap_open(b, "ContinueRetrievePropertiesEx", VF_MO_COLLECTOR, collector);
    vf_soap_put_text(b, "token", token);
    vf_soap_close(b, "ContinueRetrievePropertiesEx");
}

void vf_encode_create_filter(struct vf_buf *b, const char *collector, const char *type,
                             const char *moref, const char *const *paths)
{
    vf_soap_open(b, "CreateFilter", VF_MO_COLLECTOR, collector);
    vf_buf_puts(b, "<spec>");
    vf_property_put_set(b, type, paths);
    vf_property_open_object(b, type, moref, false);
    vf_property_close_object(b);
    vf_buf_puts(b, "</spec>");
    /* Whole values, so that a change needs no merging. */
    vf_soap_put_bool(b, "partialUpdates", false);
    vf_soap_close(b, "CreateFilter");
}

void vf_encode_wait(struct vf_buf *b, const char *collector, const char *version,
                    unsigned max_wait_s)
{
    vf_soap_open(b, "WaitForUpdatesEx", VF_MO_COLLECTOR, collector);
    vf_soap_put_text(b, "version", version ? version : "");
    vf_buf_puts(b, "<options>");
    vf_soap_put_int(b, "maxWaitSeconds", max_wait_s);
    vf_buf_puts(b, "</options>");
    vf_soap_close(b, "WaitForUpdatesEx");
}

void vf_encode_create_snapshot(struct vf_buf *b, const char *vm, const char *name,
                               const char *description, bool quiesce)
{
    vf_soap_open(b, "CreateSnapshot_Task", VF_MO_VM, vm);
    vf_soap_put_name(b, "name", name);
    vf_soap_put_text(b, "description", description);
    vf_soap_put_bool(b, "memory", false);
    vf_soap_put_bool(b, "quiesce", quiesce);
    vf_soap_close(b, "CreateSnapshot_Task");
}

void vf_encode_remove_snapshot(struct vf_buf *b, const char *snapshot, bool consolidate)
{
    vf_soap_open(b, "RemoveSnapshot_Task", VF_MO_SNAPSHOT, snapshot);
    vf_soap_put_bool(b, "removeChildren", false);
    vf_soap_put_bool(b, "consolidate", consolidate);
    vf_soap_close(b, "RemoveSnapshot_Task");
}

void vf_encode_enable_change_tracking(struct vf_buf *b, const char *vm)
{
    vf_soap_open(b, "ReconfigVM_Task", VF_MO_VM, vm);
    vf_buf_puts(b, "<spec>");
    vf_soap_put_bool(b, "changeTrackingEnabled", true);
    vf_buf_puts(b, "</spec>");
    vf_soap_close(b, "ReconfigVM_Task");
}

void vf_encode_annotate(struct vf_buf *b, const char *vm, const char *version, const char *notes)
{
    vf_soap_open(b, "ReconfigVM_Task", VF_MO_VM, vm);
    vf_buf_puts(b, "<spec>");
    if (version) {
        vf_soap_put_text(b, "changeVersion", version);
    }
    vf_soap_put_text(b, "annotation", notes);
    vf_buf_puts(b, "</spec>");
    vf_soap_close(b, "ReconfigVM_Task");
}

void vf_encode_changed_areas(struct vf_buf *b, const char *vm, const char *snapshot,
                             int32_t device_key, uint64_t start_offset, const char *change_id)
{
    vf_soap_open(b, "QueryChangedDiskAreas", VF_MO_VM, vm);
    if (snapshot) {
        vf_soap_put_ref(b, "snapshot", VF_MO_SNAPSHOT, snapshot);
    }
    vf_soap_put_int(b, "deviceKey", device_key);
    vf_soap_put_int(b, "startOffset", (int64_t)start_offset);
    vf_soap_put_text(b, "changeId", change_id);
    vf_soap_close(b, "QueryChangedDiskAreas");
}

void vf_encode_lease_progress(struct vf_buf *b, const char *lease, unsigned percent)
{
    vf_soap_open(b, "HttpNfcLeaseProgress", VF_MO_LEASE, lease);
    vf_soap_put_int(b, "percent", percent > 100 ? 100 : percent);
    vf_soap_close(b, "HttpNfcLeaseProgress");
}

void vf_encode_create_descriptor(struct vf_buf *b, const char *ovf_manager, const char *vm,
                                 const char *name)
{
    vf_soap_open(b, "CreateDescriptor", VF_MO_OVF_MANAGER, ovf_manager);
    vf_soap_put_ref(b, "obj", VF_MO_VM, vm);
    vf_buf_puts(b, "<cdp>");
    if (name) {
        vf_soap_put_text(b, "name", name);
    }
    vf_buf_puts(b, "</cdp>");
    vf_soap_close(b, "CreateDescriptor");
}

void vf_encode_has_privileges(struct vf_buf *b, const char *authorization_manager,
                              const struct vf_entity *entities, size_t n_entities, const char *user,
                              const char *const *names, size_t n_names)
{
    vf_soap_open(b, "HasUserPrivilegeOnEntities", VF_MO_RIGHTS, authorization_manager);
    for (size_t i = 0; i < n_entities; i++) {
        vf_soap_put_ref(b, "entities", entities[i].type, entities[i].moref);
    }
    vf_soap_put_text(b, "userName", user);
    for (size_t i = 0; i < n_names; i++) {
        vf_soap_put_text(b, "privId", names[i]);
    }
    vf_soap_close(b, "HasUserPrivilegeOnEntities");
}
