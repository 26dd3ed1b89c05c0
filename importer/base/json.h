/* JSON as peers send it (cJSON, depth and size capped), and trees of ours as text: cJSON is the
 * one in-memory form for everything that becomes JSON or YAML.
 */
#ifndef IMPORTER_BASE_JSON_H
#define IMPORTER_BASE_JSON_H

#include <cjson/cJSON.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <vmferry/error.h>

#define VF_JSON_MAX_BYTES (64u << 20)

/* VF_INVALID with the offset; trailing bytes other than white space are an error; duplicate keys
 * keep the first. `what` names the document in the error. cJSON_Delete the result. */
int vf_json_parse(const char *data, size_t len, const char *what, cJSON **ret_tree,
                  struct vf_error **err);

/* Borrowed; NULL when absent or of another type. */
const char *vf_json_string(const cJSON *object, const char *key);
const cJSON *vf_json_object(const cJSON *object, const char *key);
const cJSON *vf_json_array(const cJSON *object, const char *key);
bool vf_json_bool(const cJSON *object, const char *key, bool otherwise);
/* Whole numbers up to 2^53 exactly; larger ones of ours are written as raw digits. */
bool vf_json_u64(const cJSON *object, const char *key, uint64_t *ret);

/* Builders that abort on exhaustion. A NULL string adds nothing. */
cJSON *vf_json_new_object(void);
cJSON *vf_json_new_array(void);
cJSON *vf_json_add_object(cJSON *object, const char *key);
cJSON *vf_json_add_array(cJSON *object, const char *key);
void vf_json_add_string(cJSON *object, const char *key, const char *value);
void vf_json_add_bool(cJSON *object, const char *key, bool value);
void vf_json_add_u64(cJSON *object, const char *key, uint64_t value);
cJSON *vf_json_append_object(cJSON *array);
void vf_json_append_string(cJSON *array, const char *value);

/* As cJSON_Delete, with every text and key wiped before: for trees that hold secrets. */
void vf_json_delete_wiped(cJSON *tree);

/* Heap text, one line or indented by two blanks; ends without newline. */
char *vf_json_print(const cJSON *tree, bool pretty);

#endif
