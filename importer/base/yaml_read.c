#include "importer/base/yaml_read.h"

#include <openssl/crypto.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <yaml.h>

#include "importer/base/json.h"
#include "importer/base/mem.h"
#include "importer/base/yaml_scalar.h"

struct place {
    const cJSON *node;
    struct vf_yaml_place at;
};

struct vf_yaml {
    char *what;
    cJSON *tree;
    struct place *places; /* sorted by node once the tree stands */
    size_t n_places, cap_places;
};

/* A collection that is still open. */
struct level {
    cJSON *node;
    char *key; /* of a mapping: read, its value awaited */
    struct vf_yaml_place key_at;
};

struct reader {
    struct vf_yaml *y;
    yaml_parser_t parser;
    struct level levels[VF_YAML_MAX_DEPTH];
    unsigned depth;
    unsigned documents;
};

static struct vf_yaml_place to_place(const yaml_mark_t *m)
{
    return (struct vf_yaml_place){(unsigned)m->line + 1, (unsigned)m->column + 1};
}

static int __attribute__((format(printf, 5, 6)))
fail_at(const struct vf_yaml *y, struct vf_yaml_place at, enum vf_code code, struct vf_error **err,
        const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    char *vf_autofree text = vf_xvasprintf(fmt, ap);
    va_end(ap);
    return vf_error_set(err, code, "%s, line %u, column %u: %s", y->what, at.line, at.column, text);
}

static int note_place(struct vf_yaml *y, const cJSON *node, struct vf_yaml_place at,
                      struct vf_error **err)
{
    if (y->n_places == VF_YAML_MAX_NODES) {
        return fail_at(y, at, VF_SPACE, err, "more than %d values", VF_YAML_MAX_NODES);
    }
    if (y->n_places == y->cap_places) {
        y->cap_places = y->cap_places ? 2 * y->cap_places : 64;
        y->places = vf_xrealloc_array(y->places, y->cap_places, sizeof *y->places);
    }
    y->places[y->n_places++] = (struct place){node, at};
    return 0;
}

static void drop_key(struct level *l)
{
    if (l->key) {
        OPENSSL_cleanse(l->key, strlen(l->key));
        free(l->key);
        l->key = NULL;
    }
}

/* Puts a value where it belongs; it is the tree's afterwards, also on failure. */
static int place_node(struct reader *r, cJSON *node, const yaml_mark_t *mark, struct vf_error **err)
{
    struct vf_yaml *y = r->y;
    struct level *l = r->depth ? &r->levels[r->depth - 1] : NULL;
    struct vf_yaml_place at = to_place(mark);
    if (!l) {
        y->tree = node;
    } else if (cJSON_IsArray(l->node)) {
        cJSON_AddItemToArray(l->node, node);
    } else {
        cJSON_AddItemToObject(l->node, l->key, node);
        at = l->key_at;
        drop_key(l);
    }
    return note_place(y, node, at, err);
}

static bool awaits_key(const struct reader *r)
{
    const struct level *l = r->depth ? &r->levels[r->depth - 1] : NULL;
    return l && cJSON_IsObject(l->node) && !l->key;
}

static int on_scalar(struct reader *r, const yaml_event_t *e, struct vf_error **err)
{
    struct vf_yaml_place at = to_place(&e->start_mark);
    const char *text = (const char *)e->data.scalar.value;
    if (strlen(text) != e->data.scalar.length) {
        return fail_at(r->y, at, VF_INVALID, err, "a text holds a NUL character");
    }
    if (awaits_key(r)) {
        /* JSON's keys are texts: 80 and "80" are the same one. */
        struct level *l = &r->levels[r->depth - 1];
        l->key = vf_xstrdup(text);
        l->key_at = at;
        return 0;
    }
    cJSON *node = NULL;
    const char *trouble = vf_yaml_resolve(text, (const char *)e->data.scalar.tag,
                                          e->data.scalar.style == YAML_PLAIN_SCALAR_STYLE, &node);
    if (trouble) {
        return fail_at(r->y, at, VF_INVALID, err, "%s", trouble);
    }
    return place_node(r, node, &e->start_mark, err);
}

static bool is_standard_tag(const yaml_char_t *tag, const char *name)
{
    const char *t = (const char *)tag;
    return !t || strcmp(t, "!") == 0 || strcmp(t, name) == 0;
}

static int on_open(struct reader *r, const yaml_event_t *e, struct vf_error **err)
{
    bool mapping = e->type == YAML_MAPPING_START_EVENT;
    struct vf_yaml_place at = to_place(&e->start_mark);
    if (awaits_key(r)) {
        return fail_at(r->y, at, VF_INVALID, err, "a key must be a plain or quoted text");
    }
    if (r->depth == VF_YAML_MAX_DEPTH) {
        return fail_at(r->y, at, VF_SPACE, err, "nested deeper than %d levels", VF_YAML_MAX_DEPTH);
    }
    if (!is_standard_tag(mapping ? e->data.mapping_start.tag : e->data.sequence_start.tag,
                         mapping ? YAML_MAP_TAG : YAML_SEQ_TAG)) {
        return fail_at(r->y, at, VF_INVALID, err, "a tag that is not known here");
    }
    cJSON *node = mapping ? vf_json_new_object() : vf_json_new_array();
    int rc = place_node(r, node, &e->start_mark, err);
    r->levels[r->depth++] = (struct level){.node = node};
    return rc;
}

struct member {
    const cJSON *node;
    size_t index;
};

static int compare_members(const void *a, const void *b)
{
    const struct member *x = a, *y = b;
    int order = strcmp(x->node->string, y->node->string);
    return order ? order : x->index < y->index ? -1 : 1;
}

/* Places are not sorted yet while the tree grows. */
static struct vf_yaml_place find_unsorted(const struct vf_yaml *y, const cJSON *node)
{
    for (size_t i = y->n_places; i > 0; i--) {
        if (y->places[i - 1].node == node) {
            return y->places[i - 1].at;
        }
    }
    return (struct vf_yaml_place){0, 0};
}

/* Of two equal keys one would win silently, and parsers differ in which (section 3.2.1.3). */
static int check_keys(const struct vf_yaml *y, const cJSON *object, struct vf_error **err)
{
    size_t n = (size_t)cJSON_GetArraySize(object), i = 0;
    if (n < 2) {
        return 0;
    }
    struct member *vf_autofree members = vf_xcalloc(n, sizeof *members);
    const cJSON *child;
    cJSON_ArrayForEach(child, object)
    {
        members[i] = (struct member){child, i};
        i++;
    }
    qsort(members, n, sizeof *members, compare_members);
    for (i = 1; i < n; i++) {
        if (strcmp(members[i - 1].node->string, members[i].node->string) == 0) {
            struct vf_yaml_place first = find_unsorted(y, members[i - 1].node);
            return fail_at(y, find_unsorted(y, members[i].node), VF_INVALID, err,
                           "key \"%.80s\" stands here again, after line %u",
                           members[i].node->string, first.line);
        }
    }
    return 0;
}

static int on_close(struct reader *r, struct vf_error **err)
{
    struct level *l = &r->levels[--r->depth];
    return cJSON_IsObject(l->node) ? check_keys(r->y, l->node, err) : 0;
}

static int on_event(struct reader *r, const yaml_event_t *e, struct vf_error **err)
{
    switch (e->type) {
    case YAML_DOCUMENT_START_EVENT:
        if (r->documents++) {
            return fail_at(r->y, to_place(&e->start_mark), VF_INVALID, err,
                           "a second document begins");
        }
        return 0;
    case YAML_SCALAR_EVENT:
        return on_scalar(r, e, err);
    case YAML_SEQUENCE_START_EVENT:
    case YAML_MAPPING_START_EVENT:
        return on_open(r, e, err);
    case YAML_SEQUENCE_END_EVENT:
    case YAML_MAPPING_END_EVENT:
        return on_close(r, err);
    case YAML_ALIAS_EVENT: {
        int rc = fail_at(r->y, to_place(&e->start_mark), VF_INVALID, err,
                         "aliases (\"*%.80s\") are not taken", e->data.alias.anchor);
        vf_error_hint(err, "write the value out where the alias stands");
        return rc;
    }
    default:
        return 0;
    }
}

static int parser_error(const struct reader *r, struct vf_error **err)
{
    const yaml_parser_t *p = &r->parser;
    if (p->error == YAML_MEMORY_ERROR) {
        return vf_error_set(err, VF_INTERNAL, "%s cannot be read: out of memory", r->y->what);
    }
    if (p->error == YAML_READER_ERROR) {
        return vf_error_set(err, VF_INVALID, "%s is not YAML: %s at byte %zu", r->y->what,
                            p->problem ? p->problem : "unreadable text", p->problem_offset);
    }
    return fail_at(r->y, to_place(&p->problem_mark), VF_INVALID, err, "%s%s%s",
                   p->problem ? p->problem : "not YAML", p->context ? " " : "",
                   p->context ? p->context : "");
}

static void wipe_event(yaml_event_t *e)
{
    if (e->type == YAML_SCALAR_EVENT) {
        OPENSSL_cleanse(e->data.scalar.value, e->data.scalar.length);
    }
    yaml_event_delete(e);
}

static int read_all(struct reader *r, struct vf_error **err)
{
    for (;;) {
        yaml_event_t e;
        if (!yaml_parser_parse(&r->parser, &e)) {
            return parser_error(r, err);
        }
        bool end = e.type == YAML_STREAM_END_EVENT;
        int rc = on_event(r, &e, err);
        wipe_event(&e);
        if (rc || end) {
            return rc;
        }
    }
}

static int compare_places(const void *a, const void *b)
{
    uintptr_t x = (uintptr_t)((const struct place *)a)->node;
    uintptr_t y = (uintptr_t)((const struct place *)b)->node;
    return x < y ? -1 : x > y;
}

static int finish(struct vf_yaml *y, struct vf_error **err)
{
    if (!y->tree) {
        y->tree = cJSON_CreateNull();
        if (!y->tree) {
            return vf_error_set(err, VF_INTERNAL, "out of memory");
        }
        int rc = note_place(y, y->tree, (struct vf_yaml_place){1, 1}, err);
        if (rc) {
            return rc;
        }
    }
    qsort(y->places, y->n_places, sizeof *y->places, compare_places);
    return 0;
}

int vf_yaml_parse(const char *data, size_t len, const char *what, struct vf_yaml **ret_yaml,
                  struct vf_error **err)
{
    if (len > VF_YAML_MAX_BYTES) {
        return vf_error_set(err, VF_SPACE, "%s is larger than %u MiB", what,
                            VF_YAML_MAX_BYTES >> 20);
    }
    struct reader r = {.y = vf_xcalloc(1, sizeof *r.y)};
    r.y->what = vf_xstrdup(what);
    if (!yaml_parser_initialize(&r.parser)) {
        vf_yaml_free(r.y);
        return vf_error_set(err, VF_INTERNAL, "cannot create a YAML parser");
    }
    yaml_parser_set_encoding(&r.parser, YAML_UTF8_ENCODING);
    yaml_parser_set_input_string(&r.parser, (const unsigned char *)data, len);
    int rc = read_all(&r, err);
    yaml_parser_delete(&r.parser);
    while (r.depth) {
        drop_key(&r.levels[--r.depth]);
    }
    rc = rc ? rc : finish(r.y, err);
    if (rc) {
        vf_yaml_free(r.y);
        return rc;
    }
    *ret_yaml = r.y;
    return 0;
}

void vf_yaml_free(struct vf_yaml *y)
{
    if (y) {
        vf_json_delete_wiped(y->tree);
        free(y->places);
        free(y->what);
        free(y);
    }
}

const cJSON *vf_yaml_tree(const struct vf_yaml *y)
{
    return y->tree;
}

const char *vf_yaml_what(const struct vf_yaml *y)
{
    return y->what;
}

struct vf_yaml_place vf_yaml_place(const struct vf_yaml *y, const cJSON *node)
{
    struct place key = {.node = node};
    const struct place *found =
        node ? bsearch(&key, y->places, y->n_places, sizeof key, compare_places) : NULL;
    return found ? found->at : (struct vf_yaml_place){0, 0};
}

int vf_yaml_error(const struct vf_yaml *y, const cJSON *node, enum vf_code code,
                  struct vf_error **err, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    char *vf_autofree text = vf_xvasprintf(fmt, ap);
    va_end(ap);
    struct vf_yaml_place at = vf_yaml_place(y, node);
    return at.line ? fail_at(y, at, code, err, "%s", text)
                   : vf_error_set(err, code, "%s: %s", y->what, text);
}
