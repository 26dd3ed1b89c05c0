#include "jobs/cli/table.h"

#include <stdarg.h>
#include <stdlib.h>

#include "importer/base/buf.h"
#include "importer/base/mem.h"
#include "jobs/report/text.h"

struct vf_table {
    const struct vf_table_column *columns;
    size_t n_columns;
    size_t *widths;
    char **cells;
    size_t n_cells, cap_cells;
};

struct vf_table *vf_table_new(const struct vf_table_column *columns, size_t n_columns)
{
    struct vf_table *t = vf_xcalloc(1, sizeof *t);
    t->columns = columns;
    t->n_columns = n_columns;
    t->widths = vf_xcalloc(n_columns, sizeof *t->widths);
    for (size_t i = 0; i < n_columns; i++) {
        t->widths[i] = vf_text_width(columns[i].title);
    }
    return t;
}

void vf_table_free(struct vf_table *t)
{
    if (!t) {
        return;
    }
    for (size_t i = 0; i < t->n_cells; i++) {
        free(t->cells[i]);
    }
    free(t->cells);
    free(t->widths);
    free(t);
}

void vf_table_add(struct vf_table *t, const char *text)
{
    if (t->n_cells == t->cap_cells) {
        t->cap_cells = t->cap_cells ? 2 * t->cap_cells : 64;
        t->cells = vf_xrealloc_array(t->cells, t->cap_cells, sizeof *t->cells);
    }
    const char *shown = text && *text ? text : "-";
    size_t width = vf_text_width(shown);
    size_t column = t->n_cells % t->n_columns;
    t->widths[column] = width > t->widths[column] ? width : t->widths[column];
    t->cells[t->n_cells++] = vf_xstrdup(shown);
}

void vf_table_addf(struct vf_table *t, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    char *vf_autofree text = vf_xvasprintf(fmt, ap);
    va_end(ap);
    vf_table_add(t, text);
}

static void put_cell(const struct vf_table *t, struct vf_buf *b, size_t column, const char *text)
{
    bool last = column + 1 == t->n_columns;
    if (last && !t->columns[column].right) {
        vf_text_put_safe(b, text);
    } else {
        vf_text_put_fitted(b, text, t->widths[column], t->columns[column].right);
    }
    vf_buf_puts(b, last ? "\n" : "  ");
}

char *vf_table_print(const struct vf_table *t)
{
    struct vf_buf b;
    vf_buf_init(&b, SIZE_MAX);
    for (size_t i = 0; i < t->n_columns; i++) {
        put_cell(t, &b, i, t->columns[i].title);
    }
    for (size_t i = 0, column = 0; i < t->n_cells; i++) {
        put_cell(t, &b, column, t->cells[i]);
        column = column + 1 == t->n_columns ? 0 : column + 1;
    }
    return vf_buf_take_string(&b);
}
