/* Results go to stdout, whole. */
#ifndef JOBS_CLI_OUTPUT_H
#define JOBS_CLI_OUTPUT_H

#include <cjson/cJSON.h>

#include "jobs/cli/command.h"

/* Write and flush. When the reader closed the pipe the error is one that nobody gets to see. */
int vf_cli_put(struct vf_cli *cli, const char *text, struct vf_error **err);

/* The tree as JSON, indented or in one line, or as YAML; with its newline. Caller frees. */
int vf_cli_print_tree(const cJSON *tree, bool yaml, bool pretty, char **ret_text,
                      struct vf_error **err);
/* The same, indented, written. */
int vf_cli_put_tree(struct vf_cli *cli, const cJSON *tree, bool yaml, struct vf_error **err);

#endif
