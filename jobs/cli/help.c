#include "jobs/cli/help.h"

#include <stdlib.h>
#include <string.h>

#include "importer/base/buf.h"
#include "importer/base/mem.h"
#include "jobs/cli/options.h"
#include "jobs/cli/output.h"

#define COLUMNS        80
#define OPTION_COLUMNS 30

/* Append text broken at blanks, from `column` on, further lines at `indent`. A line break in the
 * text stays one. */
static void put_wrapped(struct vf_buf *b, const char *text, size_t column, size_t indent)
{
    while (*text) {
        size_t len = strcspn(text, " \n");
        if (column > indent && column + 1 + len > COLUMNS) {
            vf_buf_printf(b, "\n%*s", (int)indent, "");
            column = indent;
        } else if (column > indent) {
            vf_buf_puts(b, " ");
            column++;
        }
        vf_buf_append(b, text, len);
        column += len;
        text += len;
        if (*text == '\n') {
            vf_buf_printf(b, "\n%*s", text[1] && text[1] != '\n' ? (int)indent : 0, "");
            column = indent;
        }
        text += *text != 0;
    }
    vf_buf_puts(b, "\n");
}

static void put_option(struct vf_buf *b, const struct vf_option *o)
{
    char letter[8] = "    ";
    if (o->letter) {
        letter[0] = '-';
        letter[1] = o->letter;
        letter[2] = ',';
    }
    char *vf_autofree name = vf_xasprintf("  %s--%s%s%s", letter, o->name, o->value ? " " : "",
                                          o->value ? o->value : "");
    char *vf_autofree choices = o->choices ? vf_options_choices(o) : NULL;
    /* A choice that is not made is the first: its field is 0. */
    const char *rest = o->kind == VF_OPTION_LIST     ? "; may be repeated"
                       : o->kind == VF_OPTION_CHOICE ? "; the first is the default"
                                                     : "";
    char *vf_autofree help =
        vf_xasprintf("%s%s%s%s", o->help, choices ? ": " : "", choices ? choices : "", rest);
    size_t len = strlen(name);
    vf_buf_puts(b, name);
    if (len + 2 > OPTION_COLUMNS) {
        vf_buf_puts(b, "\n");
        len = 0;
    }
    vf_buf_printf(b, "%*s", (int)(OPTION_COLUMNS - len), "");
    put_wrapped(b, help, OPTION_COLUMNS, OPTION_COLUMNS);
}

int vf_help_put_command(struct vf_cli *cli, const struct vf_command *command, struct vf_error **err)
{
    struct vf_buf b;
    vf_buf_init(&b, SIZE_MAX);
    vf_buf_printf(&b, "vmferry %s: %s\n\nUsage: vmferry %s [OPTION]...%s%s\n", command->name,
                  command->summary, command->name, *command->operands ? " " : "",
                  command->operands);
    if (command->details) {
        vf_buf_puts(&b, "\n");
        put_wrapped(&b, command->details, 0, 0);
    }
    for (size_t g = 0; g < command->n_groups; g++) {
        const struct vf_option_group *group = &command->groups[g];
        vf_buf_printf(&b, "\n%s:\n", group->title ? group->title : "Options");
        for (size_t i = 0; i < group->n_options; i++) {
            put_option(&b, &group->options[i]);
        }
    }
    if (command->examples) {
        vf_buf_printf(&b, "\nExamples:\n%s", command->examples);
    }
    char *vf_autofree text = vf_buf_take_string(&b);
    return vf_cli_put(cli, text, err);
}

int vf_help_put_overview(struct vf_cli *cli, struct vf_error **err)
{
    struct vf_buf b;
    vf_buf_init(&b, SIZE_MAX);
    vf_buf_puts(&b, "vmferry moves virtual machines from VMware vSphere to KubeVirt.\n\n"
                    "Usage: vmferry COMMAND [OPTION]... [OPERAND]...\n\n"
                    "Commands:\n");
    for (size_t i = 0; vf_commands[i]; i++) {
        vf_buf_printf(&b, "  %-12s%s\n", vf_commands[i]->name, vf_commands[i]->summary);
    }
    vf_buf_puts(&b, "\n\"vmferry help COMMAND\" shows the options of a command, with examples.\n\n"
                    "Environment:\n"
                    "  VMFERRY_SOURCE    stands in for --source\n"
                    "  VMFERRY_USER      stands in for --user\n"
                    "  VMFERRY_PASSWORD  the password, when there is no --password-file\n"
                    "  HTTPS_PROXY, NO_PROXY, NO_COLOR, as everywhere\n\n"
                    "Exit status:\n"
                    "  0    everything that was asked for is done\n"
                    "  1    it failed; standard error says what, on which disk of which VM, and\n"
                    "       what helps\n"
                    "  2    the command line makes no sense; nothing was done\n"
                    "  130  ended by SIGINT, after cleaning up\n"
                    "  143  ended by SIGTERM, after cleaning up\n\n"
                    "Results go to standard output, everything else to standard error.\n");
    char *vf_autofree text = vf_buf_take_string(&b);
    return vf_cli_put(cli, text, err);
}
