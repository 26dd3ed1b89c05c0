/* An open-addressed table from node to note: a manifest has some thousand nodes, and a check builds
 * manifests for thousands of VMs. */
#include "converters/vm/origins.h"

#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "importer/base/buf.h"
#include "importer/base/json.h"
#include "importer/base/mem.h"

#define MIN_SLOTS 64 /* a power of two, as all sizes are */

struct slot {
    const cJSON *node; /* NULL: free */
    struct vf_origin origin;
    char *text; /* what origin.text borrows; NULL in a free slot and in a note that was forgotten */
};

struct vf_origins {
    struct slot *slots;
    size_t n_slots, n_used; /* forgotten notes count as used: a search goes on behind them */
};

struct vf_origins *vf_origins_new(void)
{
    struct vf_origins *o = vf_xcalloc(1, sizeof *o);
    o->n_slots = MIN_SLOTS;
    o->slots = vf_xcalloc(o->n_slots, sizeof *o->slots);
    return o;
}

void vf_origins_free(struct vf_origins *o)
{
    for (size_t i = 0; o && i < o->n_slots; i++) {
        free(o->slots[i].text);
    }
    if (o) {
        free(o->slots);
        free(o);
    }
}

/* The node's slot, or the free one that would be its own. */
static struct slot *find(const struct vf_origins *o, const cJSON *node)
{
    /* Fibonacci hashing: addresses differ in their middle bits. */
    uint64_t hash = (uint64_t)(uintptr_t)node * UINT64_C(0x9e3779b97f4a7c15);
    size_t i = (size_t)(hash >> 32) & (o->n_slots - 1);
    while (o->slots[i].node && o->slots[i].node != node) {
        i = (i + 1) & (o->n_slots - 1);
    }
    return &o->slots[i];
}

static void grow(struct vf_origins *o)
{
    struct vf_origins larger = {.n_slots = 2 * o->n_slots};
    larger.slots = vf_xcalloc(larger.n_slots, sizeof *larger.slots);
    for (size_t i = 0; i < o->n_slots; i++) {
        if (o->slots[i].text) {
            *find(&larger, o->slots[i].node) = o->slots[i];
            larger.n_used++;
        }
    }
    free(o->slots);
    *o = larger;
}

static void __attribute__((format(printf, 4, 0)))
note(struct vf_origins *o, const cJSON *node, enum vf_origin_kind kind, const char *fmt, va_list ap)
{
    if (!o || !node) {
        return;
    }
    char *text = vf_xvasprintf(fmt, ap);
    if (2 * o->n_used >= o->n_slots) {
        grow(o);
    }
    struct slot *s = find(o, node);
    o->n_used += s->node == NULL;
    free(s->text);
    *s = (struct slot){.node = node, .origin = {kind, text}, .text = text};
}

void vf_origin_note(struct vf_origins *o, const cJSON *node, enum vf_origin_kind kind,
                    const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    note(o, node, kind, fmt, ap);
    va_end(ap);
}

void vf_origin_note_member(struct vf_origins *o, const cJSON *object, const char *key,
                           enum vf_origin_kind kind, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    note(o, cJSON_GetObjectItemCaseSensitive(object, key), kind, fmt, ap);
    va_end(ap);
}

const struct vf_origin *vf_origin_get(const struct vf_origins *o, const cJSON *node)
{
    const struct slot *s = o && node ? find(o, node) : NULL;
    return s && s->text ? &s->origin : NULL;
}

void vf_origin_forget(struct vf_origins *o, const cJSON *node)
{
    struct slot *s = o && node ? find(o, node) : NULL;
    if (s && s->text) {
        free(s->text);
        s->text = NULL;
    }
    for (const cJSON *c = o && node ? node->child : NULL; c; c = c->next) {
        vf_origin_forget(o, c);
    }
}

const char *vf_origin_kind_name(enum vf_origin_kind kind)
{
    switch (kind) {
    case VF_ORIGIN_TEMPLATE:
        return "template";
    case VF_ORIGIN_OS:
        return "guest OS";
    case VF_ORIGIN_SOURCE:
        return "source";
    case VF_ORIGIN_TARGET:
        return "target";
    case VF_ORIGIN_OPTION:
        return "option";
    case VF_ORIGIN_DEFAULT:
    default:
        return "default";
    }
}

struct walk {
    const struct vf_origins *origins;
    struct vf_buf path;
    struct vf_explained *list;
    size_t n, cap;
};

/* ".sockets"; "[\"vmferry.io/notes\"]" for a key that a path would not be read right with. */
static void put_key(struct vf_buf *path, const char *key)
{
    static const char plain[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_-";
    if (*key && strspn(key, plain) == strlen(key)) {
        vf_buf_printf(path, "%s%s", path->len ? "." : "", key);
        return;
    }
    cJSON *text = cJSON_CreateStringReference(key);
    char *vf_autofree quoted = text ? vf_json_print(text, false) : NULL;
    vf_buf_printf(path, "[%s]", quoted ? quoted : "");
    cJSON_Delete(text);
}

static void put_entry(struct vf_buf *path, const cJSON *entry, size_t i)
{
    const char *name = vf_json_string(entry, "name");
    name = name ? name : vf_json_string(vf_json_object(entry, "metadata"), "name");
    if (name) {
        vf_buf_printf(path, "[%s]", name);
    } else {
        vf_buf_printf(path, "[%zu]", i);
    }
}

static void add_leaf(struct walk *w, const cJSON *leaf, const struct vf_origin *origin)
{
    if (w->n == w->cap) {
        w->cap = w->cap ? 2 * w->cap : MIN_SLOTS;
        w->list = vf_xrealloc_array(w->list, w->cap, sizeof *w->list);
    }
    w->list[w->n++] = (struct vf_explained){.path = vf_xstrdup(w->path.data ? w->path.data : ""),
                                            .value = vf_json_print(leaf, false),
                                            .kind = origin ? origin->kind : VF_ORIGIN_DEFAULT,
                                            .text = vf_xstrdup(origin ? origin->text : "")};
}

/* As deep as the document: templates are read with a ceiling (VF_YAML_MAX_DEPTH). */
static void walk_node(struct walk *w, const cJSON *node, const struct vf_origin *above)
{
    const struct vf_origin *own = vf_origin_get(w->origins, node);
    const struct vf_origin *origin = own ? own : above;
    if (!node->child) {
        add_leaf(w, node, origin);
        return;
    }
    size_t before = w->path.len, i = 0;
    for (const cJSON *c = node->child; c; c = c->next) {
        if (cJSON_IsArray(node)) {
            put_entry(&w->path, c, i++);
        } else {
            put_key(&w->path, c->string ? c->string : "");
        }
        walk_node(w, c, origin);
        w->path.len = before;
        w->path.data[before] = '\0';
    }
}

void vf_origins_explain(const struct vf_origins *o, const cJSON *document,
                        struct vf_explained **ret_list, size_t *ret_n)
{
    struct walk w = {.origins = o};
    vf_buf_init(&w.path, SIZE_MAX);
    walk_node(&w, document, NULL);
    vf_buf_release(&w.path);
    *ret_list = w.list;
    *ret_n = w.n;
}

void vf_explained_free(struct vf_explained *list, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        free(list[i].path);
        free(list[i].value);
        free(list[i].text);
    }
    free(list);
}
