/* A table of text for a terminal: columns as wide as their widest cell, by display width. */
#ifndef JOBS_CLI_TABLE_H
#define JOBS_CLI_TABLE_H

#include <stdbool.h>
#include <stddef.h>

struct vf_table;

struct vf_table_column {
    const char *title;
    bool right; /* numbers */
};

/* `columns` is borrowed. Aborts when memory runs out. */
struct vf_table *vf_table_new(const struct vf_table_column *columns, size_t n_columns);
void vf_table_free(struct vf_table *t);

/* The next cell, row by row; copied and made safe for a terminal. NULL or "" shows as "-". */
void vf_table_add(struct vf_table *t, const char *text);
void vf_table_addf(struct vf_table *t, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/* Titles and rows, two blanks between columns, none at the end of a line. Caller frees. */
char *vf_table_print(const struct vf_table *t);

#endif
