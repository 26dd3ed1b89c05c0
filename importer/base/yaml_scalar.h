/* What a YAML scalar means: the core schema of YAML 1.2.2 (section 10.3.2). */
#ifndef IMPORTER_BASE_YAML_SCALAR_H
#define IMPORTER_BASE_YAML_SCALAR_H

#include <cjson/cJSON.h>
#include <stdbool.h>

/* The node for a scalar; `tag` is its explicit tag, or NULL, `plain` whether it stands without
 * quotes. Returns what is wrong, or NULL with *ret_node set, which is the caller's. */
const char *vf_yaml_resolve(const char *text, const char *tag, bool plain, cJSON **ret_node);

#endif
