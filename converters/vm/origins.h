/* Where the fields of a manifest come from: noted while they are written, read by `vmferry
 * explain`, and by the merge of a template, which may replace what is no more than a default of
 * ours.
 *
 * Notes are kept by node of the cJSON tree: a node that is deleted takes its note's meaning along,
 * so that whoever replaces nodes moves the notes. A node without a note has that of the nearest
 * node above it. Not for concurrent use.
 */
#ifndef CONVERTERS_VM_ORIGINS_H
#define CONVERTERS_VM_ORIGINS_H

#include <cjson/cJSON.h>
#include <stddef.h>

enum vf_origin_kind {
    VF_ORIGIN_DEFAULT,  /* vmferry's own choice, the same for every VM of that kind */
    VF_ORIGIN_TEMPLATE, /* the admin's */
    VF_ORIGIN_OS,       /* the table of guest operating systems */
    VF_ORIGIN_SOURCE,   /* a fact of the source VM */
    VF_ORIGIN_TARGET,   /* a fact of the cluster: the claim, its storage */
    VF_ORIGIN_OPTION,   /* told: option, mapping file or plan */
};

struct vf_origin {
    enum vf_origin_kind kind;
    const char *text; /* "numCPU 8, numCoresPerSocket 4"; borrowed from the notes */
};

struct vf_origins;
struct vf_origins *vf_origins_new(void);
void vf_origins_free(struct vf_origins *o); /* NULL is fine */

/* Note where `node` comes from, in the place of an earlier note. With NULL `o` or `node` nothing.
 */
void vf_origin_note(struct vf_origins *o, const cJSON *node, enum vf_origin_kind kind,
                    const char *fmt, ...) __attribute__((format(printf, 4, 5)));
/* The same for a member of an object, by its key. */
void vf_origin_note_member(struct vf_origins *o, const cJSON *object, const char *key,
                           enum vf_origin_kind kind, const char *fmt, ...)
    __attribute__((format(printf, 5, 6)));
/* Before `node` is deleted: its note and those of all nodes below it mean nothing any more, and
 * another node may come to stand at the same address. */
void vf_origin_forget(struct vf_origins *o, const cJSON *node);
/* The node's own note; NULL: none. */
const struct vf_origin *vf_origin_get(const struct vf_origins *o, const cJSON *node);

/* "default", "template", "guest OS", "source", "target", "option" */
const char *vf_origin_kind_name(enum vf_origin_kind kind);

/* One leaf (a scalar, or an empty object or array) of a document. */
struct vf_explained {
    char *path;  /* "spec.template.spec.domain.cpu.sockets", "...disks[disk-0].serial" */
    char *value; /* JSON text of the leaf */
    enum vf_origin_kind kind;
    char *text;
};

/* All leaves in the document's order, each with its own note or that of the nearest node above;
 * those without any are DEFAULT with an empty text. Entries of arrays go by their "name" (or that
 * of their "metadata"), else by number; keys with other than letters, digits, "_" and "-" are
 * quoted in brackets. Freed by vf_explained_free. */
void vf_origins_explain(const struct vf_origins *o, const cJSON *document,
                        struct vf_explained **ret_list, size_t *ret_n);
void vf_explained_free(struct vf_explained *list, size_t n);

#endif
