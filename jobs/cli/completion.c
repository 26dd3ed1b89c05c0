#include "jobs/cli/completion.h"

#include <string.h>

#include "importer/base/buf.h"
#include "jobs/cli/command.h"

#define SHELLS "bash zsh"

static void put_words(struct vf_buf *b, const char *const *words)
{
    for (size_t i = 0; words[i]; i++) {
        vf_buf_printf(b, "%s%s", i ? " " : "", words[i]);
    }
}

static void put_commands(struct vf_buf *b)
{
    for (size_t i = 0; vf_commands[i]; i++) {
        vf_buf_printf(b, "%s%s", i ? " " : "", vf_commands[i]->name);
    }
}

static void put_bash_action(struct vf_buf *b, enum vf_complete complete)
{
    switch (complete) {
    case VF_COMPLETE_NOTHING:
        vf_buf_puts(b, ":");
        break;
    case VF_COMPLETE_FILE:
        vf_buf_puts(b, "_vmferry_files -f");
        break;
    case VF_COMPLETE_DIR:
        vf_buf_puts(b, "_vmferry_files -d");
        break;
    case VF_COMPLETE_TARGET:
        vf_buf_puts(b, "_vmferry_words dir:; compopt -o nospace 2>/dev/null");
        break;
    case VF_COMPLETE_COMMAND:
        vf_buf_puts(b, "_vmferry_words '");
        put_commands(b);
        vf_buf_puts(b, "'");
        break;
    case VF_COMPLETE_SHELL:
        vf_buf_puts(b, "_vmferry_words '" SHELLS "'");
        break;
    }
}

/* What follows `option`: its choices, or files, or nothing that could be known. */
static void put_bash_value(struct vf_buf *b, const char *command, const struct vf_option *o)
{
    if (o->kind == VF_OPTION_FLAG) {
        return;
    }
    vf_buf_printf(b, "    %s/--%s", command, o->name);
    if (o->letter) {
        vf_buf_printf(b, " | %s/-%c", command, o->letter);
    }
    vf_buf_puts(b, ") ");
    if (o->choices) {
        vf_buf_puts(b, "_vmferry_words '");
        put_words(b, o->choices);
        vf_buf_puts(b, "'");
    } else {
        put_bash_action(b, o->complete);
    }
    vf_buf_puts(b, "; return ;;\n");
}

static void put_bash_command(struct vf_buf *b, const struct vf_command *c)
{
    vf_buf_printf(b, "    %s/-*) _vmferry_words '", c->name);
    const char *gap = "";
    for (size_t g = 0; g < c->n_groups; g++) {
        for (size_t i = 0; i < c->groups[g].n_options; i++) {
            vf_buf_printf(b, "%s--%s", gap, c->groups[g].options[i].name);
            gap = " ";
        }
    }
    vf_buf_printf(b, "' ;;\n    %s/*) ", c->name);
    put_bash_action(b, c->complete);
    vf_buf_puts(b, " ;;\n");
}

char *vf_completion_bash(void)
{
    struct vf_buf b;
    vf_buf_init(&b, SIZE_MAX);
    vf_buf_puts(&b, "# bash completion for vmferry; \"vmferry completion bash\" writes this\n"
                    "_vmferry_words()\n{\n"
                    "    mapfile -t COMPREPLY < <(compgen -W \"$1\" -- \"$cur\")\n}\n\n"
                    "_vmferry_files()\n{\n"
                    "    mapfile -t COMPREPLY < <(compgen \"$1\" -- \"$cur\")\n"
                    "    compopt -o filenames 2>/dev/null\n}\n\n"
                    "_vmferry()\n{\n"
                    "    local cur=${COMP_WORDS[COMP_CWORD]} command=${COMP_WORDS[1]} option=\n"
                    "    COMPREPLY=()\n"
                    "    if ((COMP_CWORD == 1)); then\n"
                    "        _vmferry_words '");
    put_commands(&b);
    /* Readline counts '=' and ':' as words of their own. */
    vf_buf_puts(&b, "'\n        return\n    fi\n"
                    "    option=${COMP_WORDS[COMP_CWORD - 1]}\n"
                    "    if [[ $cur == = ]]; then\n"
                    "        cur=\n"
                    "    elif [[ $option == = ]]; then\n"
                    "        option=${COMP_WORDS[COMP_CWORD - 2]}\n"
                    "    elif [[ $cur == : && $option == dir ]]; then\n"
                    "        cur=\n"
                    "        _vmferry_files -d\n"
                    "        return\n"
                    "    elif [[ $option == : && ${COMP_WORDS[COMP_CWORD - 2]} == dir ]]; then\n"
                    "        _vmferry_files -d\n"
                    "        return\n"
                    "    fi\n"
                    "    case $command/$option in\n");
    for (size_t i = 0; vf_commands[i]; i++) {
        for (size_t g = 0; g < vf_commands[i]->n_groups; g++) {
            for (size_t o = 0; o < vf_commands[i]->groups[g].n_options; o++) {
                put_bash_value(&b, vf_commands[i]->name, &vf_commands[i]->groups[g].options[o]);
            }
        }
    }
    vf_buf_puts(&b, "    esac\n    case $command/$cur in\n");
    for (size_t i = 0; vf_commands[i]; i++) {
        put_bash_command(&b, vf_commands[i]);
    }
    vf_buf_puts(&b, "    esac\n}\n\ncomplete -F _vmferry vmferry\n");
    return vf_buf_take_string(&b);
}

/* Inside single quotes, and inside the [explanation] of _arguments. */
static void put_zsh_text(struct vf_buf *b, const char *s)
{
    for (; *s; s++) {
        if (*s == '\'') {
            vf_buf_puts(b, "'\\''");
        } else if (strchr("[]:\\", *s)) {
            vf_buf_printf(b, "\\%c", *s);
        } else {
            vf_buf_append(b, s, 1);
        }
    }
}

static void put_zsh_action(struct vf_buf *b, enum vf_complete complete)
{
    switch (complete) {
    case VF_COMPLETE_NOTHING:
        vf_buf_puts(b, " ");
        break;
    case VF_COMPLETE_FILE:
        vf_buf_puts(b, "_files");
        break;
    case VF_COMPLETE_DIR:
        vf_buf_puts(b, "_files -/");
        break;
    case VF_COMPLETE_TARGET:
        vf_buf_puts(b, "{compset -P dir\\: && _files -/ || compadd -S \"\" dir\\:}");
        break;
    case VF_COMPLETE_COMMAND:
        vf_buf_puts(b, "(");
        put_commands(b);
        vf_buf_puts(b, ")");
        break;
    case VF_COMPLETE_SHELL:
        vf_buf_puts(b, "(" SHELLS ")");
        break;
    }
}

static void put_zsh_option(struct vf_buf *b, const struct vf_option *o, bool letter)
{
    vf_buf_puts(b, " \\\n            '");
    vf_buf_puts(b, o->kind == VF_OPTION_LIST ? "*" : "");
    if (letter) {
        vf_buf_printf(b, "-%c", o->letter);
    } else {
        vf_buf_printf(b, "--%s%s", o->name, o->kind == VF_OPTION_FLAG ? "" : "=");
    }
    vf_buf_puts(b, "[");
    put_zsh_text(b, o->help);
    vf_buf_puts(b, "]");
    if (o->kind != VF_OPTION_FLAG) {
        vf_buf_puts(b, ":");
        put_zsh_text(b, o->value);
        vf_buf_puts(b, ":");
        if (o->choices) {
            vf_buf_puts(b, "(");
            put_words(b, o->choices);
            vf_buf_puts(b, ")");
        } else {
            put_zsh_action(b, o->complete);
        }
    }
    vf_buf_puts(b, "'");
}

static void put_zsh_command(struct vf_buf *b, const struct vf_command *c)
{
    vf_buf_printf(b, "    %s)\n        _arguments -s", c->name);
    for (size_t g = 0; g < c->n_groups; g++) {
        for (size_t i = 0; i < c->groups[g].n_options; i++) {
            const struct vf_option *o = &c->groups[g].options[i];
            put_zsh_option(b, o, false);
            if (o->letter) {
                put_zsh_option(b, o, true);
            }
        }
    }
    if (c->max_operands > 0) {
        vf_buf_puts(b, " \\\n            '*:");
        put_zsh_text(b, c->operands);
        vf_buf_puts(b, ":");
        put_zsh_action(b, c->complete);
        vf_buf_puts(b, "'");
    }
    vf_buf_puts(b, "\n        ;;\n");
}

char *vf_completion_zsh(void)
{
    struct vf_buf b;
    vf_buf_init(&b, SIZE_MAX);
    vf_buf_puts(&b, "#compdef vmferry\n"
                    "# zsh completion for vmferry; \"vmferry completion zsh\" writes this\n"
                    "_vmferry()\n{\n"
                    "    local -a commands\n"
                    "    commands=(\n");
    for (size_t i = 0; vf_commands[i]; i++) {
        vf_buf_printf(&b, "        '%s:", vf_commands[i]->name);
        put_zsh_text(&b, vf_commands[i]->summary);
        vf_buf_puts(&b, "'\n");
    }
    vf_buf_puts(&b, "    )\n"
                    "    if ((CURRENT == 2)); then\n"
                    "        _describe command commands\n"
                    "        return\n"
                    "    fi\n"
                    "    local command=$words[2]\n"
                    "    shift words\n"
                    "    ((CURRENT--))\n"
                    "    case $command in\n");
    for (size_t i = 0; vf_commands[i]; i++) {
        put_zsh_command(&b, vf_commands[i]);
    }
    vf_buf_puts(&b, "    esac\n}\n\n"
                    "if [[ $funcstack[1] == _vmferry ]]; then\n"
                    "    _vmferry \"$@\"\n"
                    "else\n"
                    "    compdef _vmferry vmferry\n"
                    "fi\n");
    return vf_buf_take_string(&b);
}
