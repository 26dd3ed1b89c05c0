#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "converters/vm/mapping_checks.h"
#include "converters/vm/mapping_private.h"
#include "importer/base/buf.h"
#include "importer/base/json.h"
#include "importer/base/mem.h"
#include "importer/base/suggest.h"

#define MAX_DOCUMENT (1u << 20)
#define MAX_SHOWN    40

/* Where something is, for errors. */
struct place {
    const struct vf_yaml *yaml; /* NULL: the node is of no document */
    const cJSON *node;
    const char *path; /* "spec.disks[1].bus" */
};

static int fail(const struct place *at, struct vf_error **err, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));

static int fail(const struct place *at, struct vf_error **err, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    char *vf_autofree text = vf_xvasprintf(fmt, ap);
    va_end(ap);
    const char *path = at->path, *colon = *path ? ": " : "";
    return at->yaml
               ? vf_yaml_error(at->yaml, at->node, VF_INVALID, err, "%s%s%s", path, colon, text)
               : vf_error_set(err, VF_INVALID, "%s%s%s", path, colon, text);
}

static struct place below(const struct place *at, const cJSON *node, const char *path)
{
    return (struct place){.yaml = at->yaml, .node = node, .path = path};
}

static char *join(const char *path, const char *name)
{
    return vf_xasprintf("%s%s%s", path, *path ? "." : "", name);
}

/* What stands there, for a person. */
static char *show(const cJSON *node)
{
    if (cJSON_IsString(node)) {
        size_t n = strlen(node->valuestring);
        bool long_text = n > MAX_SHOWN || strpbrk(node->valuestring, "\r\n");
        return long_text ? vf_xasprintf("a text of %zu bytes", n)
                         : vf_xasprintf("\"%s\"", node->valuestring);
    }
    return cJSON_IsObject(node)  ? vf_xstrdup("an object")
           : cJSON_IsArray(node) ? vf_xstrdup("a list")
           : cJSON_IsNull(node)  ? vf_xstrdup("nothing")
                                 : vf_json_print(node, false);
}

static int unexpected(const struct place *at, const char *expected, struct vf_error **err)
{
    char *vf_autofree shown = show(at->node);
    return fail(at, err, "expected %s, but there is %s", expected, shown);
}

static char *list_choices(const char *const *choices)
{
    struct vf_buf b;
    vf_buf_init(&b, SIZE_MAX);
    for (size_t i = 0; choices[i]; i++) {
        vf_buf_printf(&b, "%s%s", i == 0 ? "" : choices[i + 1] ? ", " : " or ", choices[i]);
    }
    return vf_buf_take_string(&b);
}

/* --- scalars ------------------------------------------------------------------------------ */

static bool whole_number(const cJSON *node, uint64_t *ret)
{
    double v = cJSON_IsNumber(node) ? node->valuedouble : -1;
    if (!(v >= 0 && v <= UINT32_MAX) || v != (double)(uint64_t)v) {
        return false;
    }
    *ret = (uint64_t)v;
    return true;
}

/* The text of a TEXT, DOCUMENT, or value of PAIRS; heap; NULL when the node is none. */
static char *text_of(const struct vf_mapping_field *f, const cJSON *node)
{
    uint64_t number;
    if (f->number_too && whole_number(node, &number)) {
        return vf_xasprintf("%llu", (unsigned long long)number);
    }
    return cJSON_IsString(node) ? vf_xstrdup(node->valuestring) : NULL;
}

static int parse_text(const struct vf_mapping_field *f, const struct place *at, char **text,
                      struct vf_error **err)
{
    bool document = f->kind == VF_MAPPING_DOCUMENT;
    char *vf_autofree s = text_of(f, at->node);
    if (!s || (!*s && f->kind != VF_MAPPING_PAIRS)) {
        return unexpected(at, f->expected && s ? f->expected : "a text", err);
    }
    if (strlen(s) > (document ? MAX_DOCUMENT : VF_MAPPING_MAX_TEXT)) {
        return fail(at, err, "the text has %zu bytes, at most %u are taken", strlen(s),
                    document ? MAX_DOCUMENT : VF_MAPPING_MAX_TEXT);
    }
    if (vf_mapping_has_control(s, document || f->kind == VF_MAPPING_PAIRS)) {
        return fail(at, err, "the text has control characters");
    }
    if (f->is_valid && !f->is_valid(s)) {
        return unexpected(at, f->expected, err);
    }
    free(*text);
    *text = vf_take(s);
    return 0;
}

static int find_choice(const struct vf_mapping_field *f, const struct place *at, size_t *ret_index,
                       struct vf_error **err)
{
    for (size_t i = 0; cJSON_IsString(at->node) && f->choices[i]; i++) {
        if (strcmp(f->choices[i], at->node->valuestring) == 0) {
            *ret_index = i;
            return 0;
        }
    }
    char *vf_autofree choices = list_choices(f->choices);
    return unexpected(at, choices, err);
}

static int parse_word(const struct vf_mapping_field *f, const struct place *at, void *base,
                      struct vf_error **err)
{
    size_t i = 0;
    int rc = find_choice(f, at, &i, err);
    if (rc == 0 && f->kind == VF_MAPPING_CHOICE) {
        *VF_MAPPING_MEMBER(unsigned, base, f->offset) = (unsigned)i + f->has_unset;
    } else if (rc == 0) {
        vf_replace_string(VF_MAPPING_MEMBER(char *, base, f->offset), f->choices[i]);
    }
    return rc;
}

static int parse_bool(const struct vf_mapping_field *f, const struct place *at, void *base,
                      struct vf_error **err)
{
    if (!cJSON_IsBool(at->node)) {
        return unexpected(at, "true or false", err);
    }
    if (f->kind == VF_MAPPING_FLAG) {
        *VF_MAPPING_MEMBER(bool, base, f->offset) = cJSON_IsTrue(at->node);
    } else {
        *VF_MAPPING_MEMBER(enum vf_tristate, base, f->offset) =
            cJSON_IsTrue(at->node) ? VF_YES : VF_NO;
    }
    return 0;
}

static int parse_number(const struct vf_mapping_field *f, const struct place *at, void *base,
                        struct vf_error **err)
{
    uint64_t number = 0;
    if (!whole_number(at->node, &number) || number < 1 || number > f->max) {
        char *vf_autofree expected = vf_xasprintf("a whole number from 1 to %u", f->max);
        return unexpected(at, expected, err);
    }
    *VF_MAPPING_MEMBER(uint32_t, base, f->offset) = (uint32_t)number;
    return 0;
}

/* By the rule that the command line takes, which is checked in one place. */
static int parse_network(const struct vf_mapping_field *f, const struct place *at, void *base,
                         struct vf_error **err)
{
    struct vf_network_rule *rule = base;
    struct vf_network_map map = {0};
    if (!cJSON_IsString(at->node) ||
        vf_network_map_put(&map, "any", at->node->valuestring, NULL) != 0) {
        return unexpected(at, f->expected, err);
    }
    char *source = vf_take(rule->source);
    free(rule->attachment);
    free(rule->binding);
    *rule = map.rules[0];
    free(rule->source);
    rule->source = source;
    free(map.rules);
    return 0;
}

/* --- lists -------------------------------------------------------------------------------- */

static int parse_fields(const struct vf_mapping_fields *fields, const struct place *at, void *base,
                        struct vf_error **err);

/* A list of the mapping while it is filled. */
struct list {
    const struct vf_mapping_field *field;
    const struct vf_mapping_fields *of; /* its entries */
    void *base;
    size_t *n;
};

static struct list list_of(const struct vf_mapping_field *f, void *base)
{
    return (struct list){.field = f,
                         .of = f->entries,
                         .base = base,
                         .n = VF_MAPPING_MEMBER(size_t, base, f->n_offset)};
}

static char *item(const struct list *l, size_t i)
{
    return (char *)vf_mapping_items(l->field, l->base) + i * l->of->size;
}

static size_t find_key(const struct list *l, const char *key)
{
    size_t i = 0;
    for (; i < *l->n; i++) {
        const char *own = *VF_MAPPING_MEMBER_CONST(char *, item(l, i), l->of->fields[0].offset);
        if (own && strcmp(own, key) == 0) {
            break;
        }
    }
    return i;
}

/* Takes the entry `from` (the list's length: a new one) to place `to`, which is not behind it. */
static void move_entry(const struct list *l, size_t from, size_t to)
{
    size_t size = l->of->size;
    if (from == *l->n) {
        void *items = vf_mapping_items(l->field, l->base);
        vf_mapping_set_items(l->field, l->base, vf_xrealloc_array(items, *l->n + 1, size));
        memset(item(l, from), 0, size);
        (*l->n)++;
    }
    char *vf_autofree moved = vf_xcalloc(1, size);
    memcpy(moved, item(l, from), size);
    memmove(item(l, to) + size, item(l, to), (from - to) * size);
    memcpy(item(l, to), moved, size);
}

static int key_of(const struct list *l, const struct place *at, char **ret_key,
                  struct vf_error **err)
{
    const struct vf_mapping_field *f = &l->of->fields[0];
    if (!cJSON_IsObject(at->node)) {
        char *vf_autofree expected = vf_xasprintf("an object with \"%s\"", f->name);
        return unexpected(at, expected, err);
    }
    const cJSON *node = cJSON_GetObjectItemCaseSensitive(at->node, f->name);
    if (!node) {
        return fail(at, err, "\"%s\" is missing: %s", f->name, f->help);
    }
    char *vf_autofree path = join(at->path, f->name);
    struct place key = below(at, node, path);
    return parse_text(f, &key, ret_key, err);
}

/* What an entry that none like it was there before cannot do without. */
static int check_whole(const struct list *l, const struct place *at, struct vf_error **err)
{
    for (size_t i = 0; i < l->of->n_fields; i++) {
        const struct vf_mapping_field *f = &l->of->fields[i];
        if (f->required && !cJSON_GetObjectItemCaseSensitive(at->node, f->name)) {
            return fail(at, err, "\"%s\" is missing: %s", f->name, f->help);
        }
    }
    return 0;
}

static int parse_list(const struct vf_mapping_field *f, const struct place *at, void *base,
                      struct vf_error **err)
{
    struct list l = list_of(f, base);
    size_t n = 0;
    const cJSON *entry;
    if (!cJSON_IsArray(at->node)) {
        return unexpected(at, "a list", err);
    }
    cJSON_ArrayForEach(entry, at->node)
    {
        char *vf_autofree path = vf_xasprintf("%s[%zu]", at->path, n);
        char *vf_autofree key = NULL;
        struct place here = below(at, entry, path);
        int rc = key_of(&l, &here, &key, err);
        size_t i = key ? find_key(&l, key) : 0;
        if (rc == 0 && i < n) {
            rc = fail(&here, err, "%s \"%s\" stands here again", l.of->fields[0].name, key);
        }
        if (rc == 0 && i == VF_MAPPING_MAX_ENTRIES) {
            rc = fail(at, err, "the list has more than %d entries", VF_MAPPING_MAX_ENTRIES);
        }
        if (rc == 0 && i == *l.n) {
            rc = check_whole(&l, &here, err);
        }
        if (rc == 0) {
            move_entry(&l, i, n);
            rc = parse_fields(l.of, &here, item(&l, n), err);
        }
        if (rc) {
            return rc;
        }
        n++;
    }
    return 0;
}

int vf_mapping_add_entry(struct vf_mapping *m, const char *name, const cJSON *entry,
                         struct vf_error **err)
{
    const struct vf_mapping_field *f = vf_mapping_field_find(&vf_mapping_fields, name);
    struct list l = list_of(f, m);
    char *vf_autofree key = NULL;
    struct place at = {.node = entry, .path = ""};
    int rc = key_of(&l, &at, &key, err);
    size_t i = key ? find_key(&l, key) : 0;
    if (rc == 0 && i == VF_MAPPING_MAX_ENTRIES) {
        rc = fail(&at, err, "there are more than %d of them", VF_MAPPING_MAX_ENTRIES);
    }
    if (rc == 0) {
        move_entry(&l, i, i);
        rc = parse_fields(l.of, &at, item(&l, i), err);
    }
    return rc;
}

static int parse_pair(const struct vf_mapping_field *f, const struct place *at, void *base,
                      struct vf_error **err)
{
    struct vf_map_pair **pairs = VF_MAPPING_MEMBER(struct vf_map_pair *, base, f->offset);
    size_t *n = VF_MAPPING_MEMBER(size_t, base, f->n_offset);
    const char *key = at->node->string;
    size_t i = 0;
    if (!f->is_valid_key(key)) {
        return fail(at, err, "expected %s", f->expected);
    }
    while (i < *n && strcmp((*pairs)[i].key, key) != 0) {
        i++;
    }
    if (i == VF_MAPPING_MAX_ENTRIES) {
        return fail(at, err, "there are more than %d of them", VF_MAPPING_MAX_ENTRIES);
    }
    char *text = NULL;
    int rc = parse_text(f, at, &text, err);
    if (rc == 0 && i == *n) {
        *pairs = vf_xrealloc_array(*pairs, *n + 1, sizeof **pairs);
        (*pairs)[(*n)++] = (struct vf_map_pair){.key = vf_xstrdup(key)};
    }
    if (rc == 0) {
        free((*pairs)[i].value);
        (*pairs)[i].value = text;
    }
    return rc;
}

static int parse_pairs(const struct vf_mapping_field *f, const struct place *at, void *base,
                       struct vf_error **err)
{
    const cJSON *node;
    int rc = cJSON_IsObject(at->node) ? 0 : unexpected(at, "an object of texts", err);
    if (rc) {
        return rc;
    }
    cJSON_ArrayForEach(node, at->node)
    {
        char *vf_autofree path = join(at->path, node->string);
        struct place here = below(at, node, path);
        rc = parse_pair(f, &here, base, err);
        if (rc) {
            break;
        }
    }
    return rc;
}

/* --- the whole ---------------------------------------------------------------------------- */

static int parse_field(const struct vf_mapping_field *f, const struct place *at, void *base,
                       struct vf_error **err)
{
    switch (f->kind) {
    case VF_MAPPING_TEXT:
    case VF_MAPPING_DOCUMENT:
        return parse_text(f, at, VF_MAPPING_MEMBER(char *, base, f->offset), err);
    case VF_MAPPING_WORD:
    case VF_MAPPING_CHOICE:
        return parse_word(f, at, base, err);
    case VF_MAPPING_FLAG:
    case VF_MAPPING_TRISTATE:
        return parse_bool(f, at, base, err);
    case VF_MAPPING_NUMBER:
        return parse_number(f, at, base, err);
    case VF_MAPPING_LIST:
        return parse_list(f, at, base, err);
    case VF_MAPPING_PAIRS:
        return parse_pairs(f, at, base, err);
    case VF_MAPPING_NETWORK:
        return parse_network(f, at, base, err);
    }
    return vf_error_set(err, VF_INTERNAL, "a field is of an unknown kind");
}

static int unknown(const struct vf_mapping_fields *fields, const struct place *at,
                   struct vf_error **err)
{
    const char **names = vf_xcalloc(fields->n_fields, sizeof *names);
    for (size_t i = 0; i < fields->n_fields; i++) {
        names[i] = fields->fields[i].name;
    }
    const char *near = vf_suggest(at->node->string, names, fields->n_fields);
    int rc = fail(at, err, "there is no such field");
    if (near) {
        vf_error_hint(err, "did you mean \"%s\"?", near);
    } else {
        struct vf_buf b;
        vf_buf_init(&b, SIZE_MAX);
        for (size_t i = 0; i < fields->n_fields; i++) {
            vf_buf_printf(&b, "%s%s", i ? ", " : "", names[i]);
        }
        vf_error_hint(err, "fields that there are: %s", b.data);
        vf_buf_release(&b);
    }
    free(names);
    return rc;
}

static int parse_fields(const struct vf_mapping_fields *fields, const struct place *at, void *base,
                        struct vf_error **err)
{
    const cJSON *node;
    cJSON_ArrayForEach(node, at->node)
    {
        char *vf_autofree path = join(at->path, node->string);
        struct place here = below(at, node, path);
        const struct vf_mapping_field *f = vf_mapping_field_find(fields, node->string);
        int rc = f ? parse_field(f, &here, base, err) : unknown(fields, &here, err);
        if (rc) {
            return rc;
        }
    }
    return 0;
}

int vf_mapping_parse_below(struct vf_mapping *m, const struct vf_yaml *y, const cJSON *node,
                           const char *path, struct vf_error **err)
{
    struct place at = {.yaml = y, .node = node, .path = path};
    return cJSON_IsObject(node) ? parse_fields(&vf_mapping_fields, &at, m, err)
                                : unexpected(&at, "an object", err);
}

int vf_mapping_parse(struct vf_mapping *m, const struct vf_yaml *y, const cJSON *node,
                     struct vf_error **err)
{
    return vf_mapping_parse_below(m, y, node, "", err);
}
