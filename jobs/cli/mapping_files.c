#include "jobs/cli/mapping_files.h"

#include <stdlib.h>
#include <string.h>

#include "converters/vm/mapping_checks.h"
#include "converters/vm/os_table.h"
#include "converters/vm/template.h"
#include "importer/base/mem.h"
#include "importer/kube/material.h"

/* Of one file; a mapping takes no larger texts either. */
#define MAX_BYTES (1u << 20)

/* `name` as seen from the folder of the file `from`. Caller frees. */
static char *beside(const char *from, const char *name)
{
    const char *slash = strrchr(from, '/');
    return name[0] == '/' || !slash ? vf_xstrdup(name)
                                    : vf_xasprintf("%.*s/%s", (int)(slash - from), from, name);
}

static int read_text(const char *path, const char *what, char **ret_text, struct vf_error **err)
{
    size_t len;
    return vf_kube_fetch_file(path, what, MAX_BYTES, ret_text, &len, err);
}

/* What the mapping file calls by a name beside itself, with that name as its path from here. */
static void seen_from_here(const char *path, char **name)
{
    if (*name) {
        char *vf_autofree whole = beside(path, *name);
        vf_replace_string(name, whole);
    }
}

int vf_mapping_read(const char *path, struct vf_mapping *m, struct vf_error **err)
{
    char *vf_autofree text = NULL;
    char *vf_autofree what = vf_xasprintf("mapping file \"%s\"", path);
    int rc = read_text(path, "mapping file", &text, err);
    rc = rc ? rc : vf_mapping_load(m, text, what, err);
    if (rc == 0) {
        seen_from_here(path, &m->template_file);
        seen_from_here(path, &m->os_table_file);
    }
    return rc;
}

/* Takes the place of a template that was there, and of its name. */
static int read_template(const char *path, struct vf_mapping *m, struct vf_error **err)
{
    char *text = NULL;
    if (!vf_mapping_is_text(path)) {
        return vf_error_set(err, VF_INVALID,
                            "the name of the template's file is too long, or has control "
                            "characters");
    }
    int rc = read_text(path, "template", &text, err);
    if (rc == 0) {
        free(m->template_text);
        m->template_text = text;
        vf_replace_string(&m->template_name, path);
    }
    return rc;
}

static const char *template_of(const struct vf_mapping *m, const char *name)
{
    for (size_t i = 0; i < m->n_os_templates; i++) {
        if (strcmp(m->os_templates[i].key, name) == 0) {
            return m->os_templates[i].value;
        }
    }
    return NULL;
}

static int check_template(const char *text, const char *path, struct vf_error **err)
{
    cJSON *tree = NULL;
    char *vf_autofree what = vf_xasprintf("template \"%s\"", path);
    int rc = vf_template_parse(text, what, &tree, err);
    cJSON_Delete(tree);
    return rc;
}

/* The templates that rows of the table name. */
static int read_os_templates(const char *table_path, const struct vf_os_table *table,
                             struct vf_mapping *m, struct vf_error **err)
{
    const struct vf_os *row;
    for (size_t i = 0; (row = vf_os_row(table, i)); i++) {
        if (!row->template_file || template_of(m, row->template_file)) {
            continue;
        }
        char *text = NULL;
        char *vf_autofree path = beside(table_path, row->template_file);
        int rc = read_text(path, "template", &text, err);
        if (rc) {
            return vf_error_wrap(err, rc, "row \"%s\" of \"%s\"", row->name, table_path);
        }
        m->os_templates =
            vf_xrealloc_array(m->os_templates, m->n_os_templates + 1, sizeof *m->os_templates);
        m->os_templates[m->n_os_templates++] =
            (struct vf_map_pair){.key = vf_xstrdup(row->template_file), .value = text};
        rc = check_template(text, path, err);
        if (rc) {
            return rc;
        }
    }
    return 0;
}

static int read_os_table(const char *path, struct vf_mapping *m, struct vf_error **err)
{
    char *text = NULL;
    struct vf_os_table *table = NULL;
    int rc = read_text(path, "table of guest operating systems", &text, err);
    if (rc) {
        return rc;
    }
    free(m->os_table);
    m->os_table = text;
    char *vf_autofree what = vf_xasprintf("table of guest operating systems \"%s\"", path);
    rc = vf_os_table_new(text, what, &table, err);
    rc = rc ? rc : read_os_templates(path, table, m, err);
    vf_os_table_free(table);
    return rc;
}

int vf_mapping_read_files(const char *template_path, const char *os_table_path,
                          struct vf_mapping *m, struct vf_error **err)
{
    const char *template = template_path ? template_path : m->template_file;
    const char *table = os_table_path ? os_table_path : m->os_table_file;
    int rc = template ? read_template(template, m, err) : 0;
    rc = rc || !table ? rc : read_os_table(table, m, err);
    if (rc == 0 && m->template_text) {
        rc = check_template(m->template_text, m->template_name ? m->template_name : "", err);
    }
    vf_replace_string(&m->template_file, NULL);
    vf_replace_string(&m->os_table_file, NULL);
    return rc;
}
