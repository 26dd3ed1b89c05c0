/* Reads a command line into the struct that a command's option groups describe. */
#ifndef JOBS_CLI_OPTIONS_H
#define JOBS_CLI_OPTIONS_H

#include "jobs/cli/command.h"

/* args points to `command->args_size` zeroed bytes, or to defaults. argv[0..argc) comes behind the
 * command's name. Strings are borrowed from argv; release in any case. VF_INVALID: misuse, told in
 * one line. Values never appear in an error unless the option names its choices or is a number:
 * they might be secrets that were put in the wrong place. With --help nothing else is demanded. */
int vf_options_parse(const struct vf_command *command, int argc, char *const *argv, void *args,
                     struct vf_error **err);
void vf_options_release(const struct vf_command *command, void *args);

/* The option of that name (or letter, when name is NULL), and its group; NULL when unknown. */
const struct vf_option *vf_options_find(const struct vf_command *command, const char *name,
                                        size_t name_len, char letter,
                                        const struct vf_option_group **ret_group);

/* "raw, qcow2" */
char *vf_options_choices(const struct vf_option *option);

#endif
