/* The files of a mapping: it, and the templates and the table of guest operating systems that it
 * names. */
#ifndef JOBS_CLI_MAPPING_FILES_H
#define JOBS_CLI_MAPPING_FILES_H

#include "converters/vm/mapping.h"

/* The mapping file at `path`, and what it names, into `m`. VF_MISSING, VF_AUTH, VF_SPACE (larger
 * than any of its kind); VF_INVALID with file, line and column. */
int vf_mapping_read(const char *path, struct vf_mapping *m, struct vf_error **err);

/* These files (NULL: none) in the place of the mapping's own; then, of a table that was read, the
 * templates that its rows name, which stand beside it. Templates are checked, too. Errors as above.
 */
int vf_mapping_read_files(const char *template_path, const char *os_table_path,
                          struct vf_mapping *m, struct vf_error **err);

#endif
