/* Private to mapping*.c. */
#ifndef CONVERTERS_VM_MAPPING_PRIVATE_H
#define CONVERTERS_VM_MAPPING_PRIVATE_H

#include <cjson/cJSON.h>

#include <vmferry/error.h>

#include "converters/vm/mapping.h"
#include "converters/vm/mapping_fields.h"
#include "importer/base/yaml_read.h"

/* How many entries a list takes. */
#define VF_MAPPING_MAX_ENTRIES 1024

/* A field's member of the struct at `base`. */
#define VF_MAPPING_MEMBER(type, base, offset) ((type *)(void *)((char *)(base) + (offset)))
#define VF_MAPPING_MEMBER_CONST(type, base, offset)                                                \
    ((type const *)(const void *)((const char *)(base) + (offset)))

/* A LIST's array: the pointer to it is of the entries' own type. */
void *vf_mapping_items(const struct vf_mapping_field *f, const void *base);
void vf_mapping_set_items(const struct vf_mapping_field *f, void *base, void *items);

/* vf_mapping_parse of a node that errors say is at `path`. */
int vf_mapping_parse_below(struct vf_mapping *m, const struct vf_yaml *y, const cJSON *node,
                           const char *path, struct vf_error **err);

/* One entry into the list that `name` names: at its end, or laid over that with the same key. */
int vf_mapping_add_entry(struct vf_mapping *m, const char *name, const cJSON *entry,
                         struct vf_error **err);

/* Frees what the members own, not the struct. */
void vf_mapping_release_fields(const struct vf_mapping_fields *fields, void *base);

#endif
