/* What reading and merging of a template share. */
#ifndef CONVERTERS_VM_TEMPLATE_PRIVATE_H
#define CONVERTERS_VM_TEMPLATE_PRIVATE_H

#include <cjson/cJSON.h>
#include <stdbool.h>

/* `words` is NULL-terminated. */
bool vf_template_is_among(const char *word, const char *const *words);

/* The node at "spec.template.spec"; NULL where one of them is missing. */
cJSON *vf_template_at(cJSON *tree, const char *path);

/* Delete a member, if it is there; `object` may be NULL. */
void vf_template_drop(cJSON *object, const char *key);

#endif
