/* The bytes of every request with arguments, in the order of the vim25 schema. Each writes a whole
 * envelope into an empty buffer. */
#ifndef IMPORTER_VSPHERE_REQUESTS_H
#define IMPORTER_VSPHERE_REQUESTS_H

#include <stdbool.h>
#include <stdint.h>

#include "importer/base/buf.h"
#include "importer/vsphere/privileges.h"

void vf_encode_login(struct vf_buf *b, const char *session_manager, const char *user,
                     const char *password);

/* `types` is NULL-terminated. */
void vf_encode_create_view(struct vf_buf *b, const char *view_manager, const char *root_folder,
                           const char *const *types);

/* `specs`: propSets and objectSets as property.h writes them. */
void vf_encode_retrieve(struct vf_buf *b, const char *collector, const struct vf_buf *specs,
                        unsigned max_objects);
void vf_encode_continue(struct vf_buf *b, const char *collector, const char *token);
void vf_encode_create_filter(struct vf_buf *b, const char *collector, const char *type,
                             const char *moref, const char *const *paths);
/* `version` NULL: the first. */
void vf_encode_wait(struct vf_buf *b, const char *collector, const char *version,
                    unsigned max_wait_s);

void vf_encode_create_snapshot(struct vf_buf *b, const char *vm, const char *name,
                               const char *description, bool quiesce);
void vf_encode_remove_snapshot(struct vf_buf *b, const char *snapshot, bool consolidate);

void vf_encode_enable_change_tracking(struct vf_buf *b, const char *vm);
/* `version`: the changeVersion that the notes were read with; NULL: whatever it is. */
void vf_encode_annotate(struct vf_buf *b, const char *vm, const char *version, const char *notes);
/* `snapshot` NULL: the VM itself. */
void vf_encode_changed_areas(struct vf_buf *b, const char *vm, const char *snapshot,
                             int32_t device_key, uint64_t start_offset, const char *change_id);

void vf_encode_lease_progress(struct vf_buf *b, const char *lease, unsigned percent);
/* `name` NULL: the VM's own. */
void vf_encode_create_descriptor(struct vf_buf *b, const char *ovf_manager, const char *vm,
                                 const char *name);

void vf_encode_has_privileges(struct vf_buf *b, const char *authorization_manager,
                              const struct vf_entity *entities, size_t n_entities, const char *user,
                              const char *const *names, size_t n_names);

#endif
