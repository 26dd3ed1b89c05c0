/* The command table: what dispatch, help and shell completion are made from.
 *
 * A command is a constant of its own file (cmd_*.c). Its options come in groups, each of which
 * fills a struct inside the command's argument struct, so that commands can share groups.
 */
#ifndef JOBS_CLI_COMMAND_H
#define JOBS_CLI_COMMAND_H

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

#include <vmferry/cancel.h>
#include <vmferry/error.h>

enum vf_option_kind {
    VF_OPTION_FLAG,   /* bool */
    VF_OPTION_STRING, /* const char *; given once. With choices it is one of them: for what is
                         something else when it is not given than when any of them is */
    VF_OPTION_LIST,   /* const char **, NULL-terminated, NULL when not given; given any number of
                         times. With choices each entry is one of them */
    VF_OPTION_NUMBER, /* unsigned, min..max */
    VF_OPTION_CHOICE, /* int: index into choices; stays as it was when not given */
};

enum vf_complete {
    VF_COMPLETE_NOTHING,
    VF_COMPLETE_FILE,
    VF_COMPLETE_DIR,
    VF_COMPLETE_TARGET,
    VF_COMPLETE_COMMAND,
    VF_COMPLETE_SHELL
};

struct vf_option {
    const char *name; /* without dashes */
    char letter;      /* 0: none */
    enum vf_option_kind kind;
    const char *value; /* what help calls it: "FILE" */
    const char *help;
    size_t offset; /* in the group's struct */
    unsigned min, max;
    const char *const *choices; /* NULL-terminated */
    const char *implied;        /* with choices: what it is when none of them follows */
    bool may_be_empty;
    enum vf_complete complete;
};

struct vf_option_group {
    const char *title; /* NULL: "Options" */
    const struct vf_option *options;
    size_t n_options;
    size_t offset; /* of the group's struct in the command's */
};

/* First member of every command's argument struct. */
struct vf_common_args {
    bool help, debug;
    const char **operands; /* NULL-terminated; the strings are argv's */
    size_t n_operands;
};

struct vf_cli;

struct vf_command {
    const char *name;
    const char *summary;  /* one line, lower case */
    const char *operands; /* "SRC DST"; "" for none */
    unsigned min_operands, max_operands;
    enum vf_complete complete; /* of operands */
    const char *details;       /* paragraphs for `help COMMAND`; may be NULL */
    const char *examples;      /* lines; may be NULL */
    const struct vf_option_group *groups;
    size_t n_groups;
    size_t args_size;
    /* What a second SIGINT or SIGTERM may leave behind, as it is printed then; may be NULL. */
    const char *left_behind;
    int (*run)(struct vf_cli *cli, const void *args, struct vf_error **err);
};

/* What a command runs in. */
struct vf_cli {
    FILE *out, *err;
    struct vf_cancel *cancel;
    bool misuse;      /* the error is about the command line: exit status 2 */
    bool reader_gone; /* stdout was closed by who read it: fail without a word, as if of SIGPIPE */
    /* Exit statuses of a command whose result is a verdict: when it did its work, and when it could
     * not; 0: VF_EXIT_GOOD, VF_EXIT_FAILED. */
    int verdict, failure;
    /* Called before a command runs, so that main()'s signal handler knows; may be NULL. */
    void (*on_command)(const struct vf_command *command);
};

extern const struct vf_command *const vf_commands[]; /* NULL-terminated, in the order of help */
const struct vf_command *vf_command_find(const char *name);

/* Set *err to a misuse. Returns VF_INVALID. */
int vf_cli_misuse(struct vf_cli *cli, struct vf_error **err, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));

/* argv as main() has it. Runs the command and prints what goes wrong; the exit status, as long as
 * no signal decides it. */
int vf_cli_main(struct vf_cli *cli, int argc, char *const *argv);

enum vf_exit { VF_EXIT_GOOD = 0, VF_EXIT_FAILED = 1, VF_EXIT_MISUSE = 2 };

#define VF_COUNT(array) (sizeof(array) / sizeof *(array))

#define VF_N_COMMON_OPTIONS 2
extern const struct vf_option vf_common_options[VF_N_COMMON_OPTIONS];
#define VF_COMMON_GROUP                                                                            \
    {                                                                                              \
        .title = "General options", .options = vf_common_options,                                  \
        .n_options = VF_N_COMMON_OPTIONS, .offset = 0,                                             \
    }

#endif
