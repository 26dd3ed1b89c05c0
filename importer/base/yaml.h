/* YAML out (libyaml's emitter): the form in which a person reads a cJSON tree. */
#ifndef IMPORTER_BASE_YAML_H
#define IMPORTER_BASE_YAML_H

#include <cjson/cJSON.h>
#include <stddef.h>

#include <vmferry/error.h>

/* Block style, two blanks, keys in the tree's order, strings quoted only where YAML 1.1 or 1.2
 * would read them as something else ("yes", "1e3", "0755", "12:30:00"). `n` documents, with "---"
 * between them. Caller frees *ret_text. */
int vf_yaml_print(const cJSON *const *documents, size_t n, char **ret_text, struct vf_error **err);

#endif
