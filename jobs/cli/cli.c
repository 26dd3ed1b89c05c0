#include <errno.h>
#include <poll.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "importer/base/buf.h"
#include "importer/base/log.h"
#include "importer/base/mem.h"
#include "importer/base/suggest.h"
#include "jobs/cli/commands.h"
#include "jobs/cli/help.h"
#include "jobs/cli/options.h"
#include "jobs/cli/output.h"
#include "jobs/cli/termination.h"
#include "jobs/report/text.h"

#define MAX_COMMANDS 32

const struct vf_option vf_common_options[VF_N_COMMON_OPTIONS] = {
    {.name = "debug",
     .kind = VF_OPTION_FLAG,
     .help = "tell on standard error what is going on",
     .offset = offsetof(struct vf_common_args, debug)},
    {.name = "help",
     .letter = 'h',
     .kind = VF_OPTION_FLAG,
     .help = "show this text",
     .offset = offsetof(struct vf_common_args, help)},
};

const struct vf_command *vf_command_find(const char *name)
{
    for (size_t i = 0; vf_commands[i]; i++) {
        if (strcmp(vf_commands[i]->name, name) == 0) {
            return vf_commands[i];
        }
    }
    return NULL;
}

int vf_cli_misuse(struct vf_cli *cli, struct vf_error **err, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    char *vf_autofree text = vf_xvasprintf(fmt, ap);
    va_end(ap);
    cli->misuse = true;
    return vf_error_set(err, VF_INVALID, "%s", text);
}

int vf_cli_unknown_command(struct vf_cli *cli, const char *name, struct vf_error **err)
{
    const char *names[MAX_COMMANDS];
    size_t n = 0;
    for (; n < MAX_COMMANDS && vf_commands[n]; n++) {
        names[n] = vf_commands[n]->name;
    }
    char *vf_autofree shown = vf_text_safe(name);
    const char *near = vf_suggest(name, names, n);
    if (near) {
        return vf_cli_misuse(cli, err, "unknown command \"%s\"; did you mean %s?", shown, near);
    }
    return vf_cli_misuse(cli, err, "unknown command \"%s\"; \"vmferry help\" lists what there is",
                         shown);
}

static int run_command(struct vf_cli *cli, const struct vf_command *command, int argc,
                       char *const *argv, struct vf_error **err)
{
    struct vf_common_args *args = vf_xcalloc(1, command->args_size);
    int rc = vf_options_parse(command, argc, argv, args, err);
    if (rc) {
        cli->misuse = true;
    } else if (args->help) {
        rc = vf_help_put_command(cli, command, err);
    } else {
        vf_log_set_debug(args->debug);
        if (cli->on_command) {
            cli->on_command(command);
        }
        rc = command->run(cli, args, err);
    }
    if (rc && cli->misuse) {
        vf_error_wrap(err, rc, "%s", command->name);
    }
    vf_options_release(command, args);
    free(args);
    return rc;
}

static int dispatch(struct vf_cli *cli, int argc, char *const *argv, struct vf_error **err)
{
    if (argc < 2) {
        return vf_cli_misuse(cli, err, "no command given; \"vmferry help\" lists what there is");
    }
    const char *name = argv[1];
    if (strcmp(name, "--help") == 0 || strcmp(name, "-h") == 0) {
        name = "help";
    } else if (strcmp(name, "--version") == 0 || strcmp(name, "-V") == 0) {
        name = "version";
    } else if (name[0] == '-') {
        char *vf_autofree shown = vf_text_safe(name);
        return vf_cli_misuse(cli, err, "a command comes first, then its options, not \"%.*s\"",
                             (int)strcspn(shown, "="), shown);
    }
    const struct vf_command *command = vf_command_find(name);
    if (!command) {
        return vf_cli_unknown_command(cli, name, err);
    }
    return run_command(cli, command, argc - 2, argv + 2, err);
}

/* What a peer said may run over several lines (the stderr of a program); the rest are indented. */
static void put_talk(FILE *out, const char *kind, const char *text)
{
    struct vf_buf b;
    vf_buf_init(&b, SIZE_MAX);
    char *vf_autofree copy = vf_xstrdup(text);
    char *rest = copy;
    for (const char *line; (line = strsep(&rest, "\n"));) {
        if (*line) {
            vf_buf_puts(&b, b.len ? "\n  " : "");
            vf_text_put_safe(&b, line);
        }
    }
    fprintf(out, "vmferry: %s: %s\n", kind, b.data ? b.data : "");
    vf_buf_release(&b);
}

static void print_error(struct vf_cli *cli, const struct vf_error *e)
{
    char *vf_autofree text = vf_error_format(e);
    put_talk(cli->err, "error", text);
    if (vf_error_get_hint(e)) {
        put_talk(cli->err, "hint", vf_error_get_hint(e));
    }
    fflush(cli->err);
}

static bool reader_is_gone(FILE *out)
{
    struct pollfd fd = {.fd = fileno(out), .events = POLLOUT};
    return errno == EPIPE || (poll(&fd, 1, 0) > 0 && (fd.revents & POLLERR));
}

int vf_cli_put(struct vf_cli *cli, const char *text, struct vf_error **err)
{
    errno = 0;
    if (fputs(text, cli->out) >= 0 && fflush(cli->out) == 0) {
        return 0;
    }
    int errnum = errno;
    cli->reader_gone = reader_is_gone(cli->out); /* "vmferry inventory | head" has seen enough */
    return vf_error_set_errno(err, errnum, "cannot write to standard output");
}

/* What reporters wrote to stdout has not been looked at yet. Nobody listening to the progress of a
 * job does not make it a failure. */
static int check_output(struct vf_cli *cli, struct vf_error **err)
{
    errno = 0;
    if (fflush(cli->out) == 0 && !ferror(cli->out)) {
        return 0;
    }
    return reader_is_gone(cli->out)
               ? 0
               : vf_error_set(err, VF_INTERNAL, "cannot write to standard output");
}

int vf_cli_main(struct vf_cli *cli, int argc, char *const *argv)
{
    struct vf_error *err = NULL;
    int rc = dispatch(cli, argc, argv, &err);
    if (rc == 0) {
        rc = check_output(cli, &err);
    }
    if (rc && !cli->reader_gone) {
        print_error(cli, err);
    }
    if (rc) {
        vf_termination_write(err);
    }
    vf_error_free(err);
    return rc == 0        ? cli->verdict
           : cli->misuse  ? VF_EXIT_MISUSE
           : cli->failure ? cli->failure
                          : VF_EXIT_FAILED;
}
