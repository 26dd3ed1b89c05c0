/* YAML in (libyaml's parser): one document as a cJSON tree, with the place of every node kept aside
 * so that whoever reads the tree can say where something is wrong.
 *
 * Read as YAML 1.2, core schema (yaml.org/spec/1.2.2, section 10.3): "yes", "012:30" and "0755" are
 * what they look like to a person of today (text, text, 755). Quoted scalars are strings. Not
 * taken, each an error that names its place: aliases (they multiply), keys that are no scalars,
 * tags of applications, a second document, NUL in a string, numbers that JSON has no form for. Not
 * thread-safe, but two documents may be read by two threads.
 */
#ifndef IMPORTER_BASE_YAML_READ_H
#define IMPORTER_BASE_YAML_READ_H

#include <cjson/cJSON.h>
#include <stddef.h>

#include <vmferry/error.h>

#define VF_YAML_MAX_BYTES (8u << 20)
#define VF_YAML_MAX_DEPTH 64
#define VF_YAML_MAX_NODES 500000

struct vf_yaml;

/* `what` names the document in every error: `kubeconfig "/home/u/.kube/config"`. VF_INVALID with
 * line and column for text that is no YAML, a key that stands twice, or what is not taken (above);
 * VF_SPACE beyond one of the limits. An empty document is null. Strings of `data` are copied; the
 * tree wipes them when it is freed. */
int vf_yaml_parse(const char *data, size_t len, const char *what, struct vf_yaml **ret_yaml,
                  struct vf_error **err);
void vf_yaml_free(struct vf_yaml *y);

/* Borrowed; whole numbers of more than 15 digits are raw (vf_json_u64 reads both). */
const cJSON *vf_yaml_tree(const struct vf_yaml *y);
const char *vf_yaml_what(const struct vf_yaml *y);

/* Where a node of the tree begins (a member: its key), counted from 1; 0 for a node of another
 * tree. */
struct vf_yaml_place {
    unsigned line, column;
};
struct vf_yaml_place vf_yaml_place(const struct vf_yaml *y, const cJSON *node);

/* Set an error on the node: "WHAT, line 3, column 5: ...". Returns `code`. */
int vf_yaml_error(const struct vf_yaml *y, const cJSON *node, enum vf_code code,
                  struct vf_error **err, const char *fmt, ...)
    __attribute__((format(printf, 5, 6)));

#endif
