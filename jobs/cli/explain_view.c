#include "jobs/cli/explain_view.h"

#include <string.h>

#include "importer/base/buf.h"
#include "importer/base/json.h"
#include "importer/base/mem.h"
#include "jobs/cli/command.h"
#include "jobs/report/text.h"

/* What is longer is cut in the table: notes and templates run over pages. */
#define MAX_VALUE_COLUMNS 44
#define MAX_FIELD_COLUMNS 36

/* How much of a path names the part that a field stands in: through the entry of a list
 * ("...disks[disk-0]"), else the longest of these and the name behind it, if something follows. */
static size_t part_len(const char *path)
{
    static const char *const roots[] = {"spec.template.spec.domain.",
                                        "spec.template.spec.",
                                        "spec.template.metadata.",
                                        "spec.template.",
                                        "spec.",
                                        "metadata."};
    for (const char *s = path; (s = strchr(s, '[')); s++) {
        const char *end = s[1] == '"' ? NULL : strchr(s, ']');
        if (end) {
            return (size_t)(end + 1 - path);
        }
    }
    for (size_t i = 0; i < VF_COUNT(roots); i++) {
        size_t len = strlen(roots[i]);
        if (strncmp(path, roots[i], len) == 0) {
            size_t name = strcspn(path + len, ".[");
            return path[len + name] ? len + name : len - 1;
        }
    }
    return 0;
}

/* The rest: without the dot, and without the quotes of one key. Caller frees. */
static char *field_name(const char *path)
{
    const char *rest = path + part_len(path);
    size_t len = strlen(rest);
    if (len > 4 && strncmp(rest, "[\"", 2) == 0 && strcmp(rest + len - 2, "\"]") == 0 &&
        !memchr(rest + 2, '"', len - 4)) {
        return vf_xstrndup(rest + 2, len - 4);
    }
    return vf_xstrdup(rest[0] == '.' ? rest + 1 : rest);
}

struct widths {
    size_t field, value, kind;
};

static size_t larger(size_t width, const char *text, size_t most)
{
    size_t own = vf_text_width(text);
    own = own > most ? most : own;
    return own > width ? own : width;
}

static struct widths measure(const struct vf_explanation *e)
{
    struct widths w = {0};
    for (size_t i = 0; i < e->n_fields; i++) {
        char *vf_autofree name = field_name(e->fields[i].path);
        w.field = larger(w.field, name, MAX_FIELD_COLUMNS);
        w.value = larger(w.value, e->fields[i].value, MAX_VALUE_COLUMNS);
        w.kind = larger(w.kind, vf_origin_kind_name(e->fields[i].kind), SIZE_MAX);
    }
    return w;
}

static void put_field(struct vf_buf *b, const struct vf_explained *f, const struct widths *w)
{
    char *vf_autofree name = field_name(f->path);
    const char *kind = vf_origin_kind_name(f->kind);
    vf_buf_puts(b, "  ");
    vf_text_put_fitted(b, name, w->field, false);
    vf_buf_puts(b, "  ");
    vf_text_put_fitted(b, f->value, w->value, false);
    vf_buf_puts(b, "  ");
    if (*f->text) {
        vf_text_put_fitted(b, kind, w->kind, false);
        vf_buf_puts(b, "  ");
        vf_text_put_safe(b, f->text);
    } else {
        vf_buf_puts(b, kind);
    }
    vf_buf_puts(b, "\n");
}

static const char *name_of(const struct vf_explanation *e)
{
    const struct vf_manifests *m = &e->manifests;
    const cJSON *machine = m->n_documents ? m->documents[m->n_documents - 1] : NULL;
    return vf_json_string(vf_json_object(machine, "metadata"), "name");
}

static void put_title(struct vf_buf *b, const struct vf_explanation *e)
{
    const char *name = name_of(e);
    vf_buf_printf(b, "VirtualMachine \"%s\" of VM \"", name ? name : "");
    vf_text_put_safe(b, e->vm ? e->vm : "");
    vf_buf_puts(b, "\"\n");
}

char *vf_explain_print(const struct vf_explanation *e)
{
    struct widths w = measure(e);
    struct vf_buf b;
    vf_buf_init(&b, SIZE_MAX);
    put_title(&b, e);
    const char *part = NULL;
    size_t len = 0;
    for (size_t i = 0; i < e->n_fields; i++) {
        const char *path = e->fields[i].path;
        size_t own = part_len(path);
        if (!part || own != len || strncmp(part, path, own) != 0) {
            part = path;
            len = own;
            char *vf_autofree title = vf_xstrndup(path, own);
            vf_buf_puts(&b, "\n");
            vf_text_put_safe(&b, own ? title : "manifest");
            vf_buf_puts(&b, "\n");
        }
        put_field(&b, &e->fields[i], &w);
    }
    const struct vf_concerns *c = &e->manifests.concerns;
    for (size_t i = 0; i < c->n_items; i++) {
        vf_buf_puts(&b, i == 0 ? "\nlost, or to be decided\n  " : "  ");
        vf_text_put_safe(&b, c->items[i].text);
        vf_buf_printf(&b, " [%s]\n", c->items[i].id);
    }
    return vf_buf_take_string(&b);
}

cJSON *vf_explain_to_json(const struct vf_explanation *e)
{
    cJSON *tree = vf_json_new_object();
    vf_json_add_string(tree, "vm", e->vm);
    vf_json_add_string(tree, "name", name_of(e));
    cJSON *fields = vf_json_add_array(tree, "fields");
    for (size_t i = 0; i < e->n_fields; i++) {
        const struct vf_explained *f = &e->fields[i];
        cJSON *o = vf_json_append_object(fields);
        vf_json_add_string(o, "path", f->path);
        cJSON_AddItemToObject(o, "value", cJSON_Parse(f->value));
        vf_json_add_string(o, "from", vf_origin_kind_name(f->kind));
        vf_json_add_string(o, "detail", f->text);
    }
    cJSON *concerns = vf_json_add_array(tree, "concerns");
    for (size_t i = 0; i < e->manifests.concerns.n_items; i++) {
        const struct vf_concern *c = &e->manifests.concerns.items[i];
        cJSON *o = vf_json_append_object(concerns);
        vf_json_add_string(o, "id", c->id);
        vf_json_add_string(o, "message", c->text);
    }
    return tree;
}
