#include "jobs/cli/options.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "importer/base/buf.h"
#include "importer/base/mem.h"
#include "importer/base/suggest.h"
#include "jobs/report/text.h"

#define MAX_OPTIONS 128

struct parser {
    const struct vf_command *command;
    int argc, next;
    char *const *argv;
    void *args;
    bool seen[MAX_OPTIONS]; /* in the order of groups and options */
    const char **operands;
    size_t n_operands;
};

const struct vf_option *vf_options_find(const struct vf_command *command, const char *name,
                                        size_t name_len, char letter,
                                        const struct vf_option_group **ret_group)
{
    for (size_t g = 0; g < command->n_groups; g++) {
        const struct vf_option_group *group = &command->groups[g];
        for (size_t i = 0; i < group->n_options; i++) {
            const struct vf_option *o = &group->options[i];
            bool same = name ? strlen(o->name) == name_len && memcmp(o->name, name, name_len) == 0
                             : o->letter && o->letter == letter;
            if (same) {
                if (ret_group) {
                    *ret_group = group;
                }
                return o;
            }
        }
    }
    return NULL;
}

char *vf_options_choices(const struct vf_option *option)
{
    struct vf_buf b;
    vf_buf_init(&b, SIZE_MAX);
    for (size_t i = 0; option->choices[i]; i++) {
        vf_buf_printf(&b, "%s%s", i ? ", " : "", option->choices[i]);
    }
    return vf_buf_take_string(&b);
}

static int unknown_option(const struct parser *p, const char *name, size_t len,
                          struct vf_error **err)
{
    const char *names[MAX_OPTIONS];
    size_t n = 0;
    for (size_t g = 0; g < p->command->n_groups; g++) {
        for (size_t i = 0; i < p->command->groups[g].n_options && n < MAX_OPTIONS; i++) {
            names[n++] = p->command->groups[g].options[i].name;
        }
    }
    char *vf_autofree word = vf_xstrndup(name, len);
    char *vf_autofree shown = vf_text_safe(word);
    const char *near = vf_suggest(word, names, n);
    if (near) {
        return vf_error_set(err, VF_INVALID, "unknown option \"--%s\"; did you mean --%s?", shown,
                            near);
    }
    return vf_error_set(err, VF_INVALID,
                        "unknown option \"--%s\"; \"vmferry help %s\" lists what there is", shown,
                        p->command->name);
}

static void *field_of(const struct parser *p, const struct vf_option_group *group,
                      const struct vf_option *o)
{
    return (char *)p->args + group->offset + o->offset;
}

static bool *seen_of(struct parser *p, const struct vf_option *o)
{
    size_t index = 0;
    for (size_t g = 0; g < p->command->n_groups; g++) {
        const struct vf_option_group *group = &p->command->groups[g];
        if (o >= group->options && o < group->options + group->n_options) {
            index += (size_t)(o - group->options);
            break;
        }
        index += group->n_options;
    }
    return &p->seen[index < MAX_OPTIONS ? index : MAX_OPTIONS - 1];
}

static int set_number(const struct vf_option *o, unsigned *field, const char *value,
                      struct vf_error **err)
{
    char *end = NULL;
    errno = 0;
    unsigned long n = strtoul(value, &end, 10);
    if (value[0] < '0' || value[0] > '9' || *end || errno || n < o->min || n > o->max) {
        char *vf_autofree shown = vf_text_safe(value);
        return vf_error_set(err, VF_INVALID,
                            "option \"--%s\" wants a number from %u to %u, not \"%s\"", o->name,
                            o->min, o->max, shown);
    }
    *field = (unsigned)n;
    return 0;
}

static int find_choice(const struct vf_option *o, const char *value, int *ret_index,
                       struct vf_error **err)
{
    for (int i = 0; o->choices[i]; i++) {
        if (strcmp(o->choices[i], value) == 0) {
            *ret_index = i;
            return 0;
        }
    }
    char *vf_autofree all = vf_options_choices(o);
    char *vf_autofree shown = vf_text_safe(value);
    return vf_error_set(err, VF_INVALID, "option \"--%s\" wants one of %s, not \"%s\"", o->name,
                        all, shown);
}

static int append_list(const struct vf_option *o, const char ***field, const char *value,
                       struct vf_error **err)
{
    int index;
    if (o->choices) {
        int rc = find_choice(o, value, &index, err);
        if (rc) {
            return rc;
        }
    }
    size_t n = 0;
    while (*field && (*field)[n]) {
        n++;
    }
    *field = vf_xrealloc_array(*field, n + 2, sizeof **field);
    (*field)[n] = value;
    (*field)[n + 1] = NULL;
    return 0;
}

static int set_value(struct parser *p, const struct vf_option_group *group,
                     const struct vf_option *o, const char *value, struct vf_error **err)
{
    bool *seen = seen_of(p, o);
    if (*seen && o->kind != VF_OPTION_LIST) {
        return vf_error_set(err, VF_INVALID, "option \"--%s\" was given twice", o->name);
    }
    *seen = true;
    if (!*value && !o->may_be_empty) {
        return vf_error_set(err, VF_INVALID, "option \"--%s\" wants a value that is not empty",
                            o->name);
    }
    void *field = field_of(p, group, o);
    int index;
    switch (o->kind) {
    case VF_OPTION_STRING:
        *(const char **)field = value;
        return o->choices ? find_choice(o, value, &index, err) : 0;
    case VF_OPTION_LIST:
        return append_list(o, field, value, err);
    case VF_OPTION_NUMBER:
        return set_number(o, field, value, err);
    case VF_OPTION_CHOICE:
        return find_choice(o, value, field, err);
    case VF_OPTION_FLAG:
        break;
    }
    return vf_error_set(err, VF_INTERNAL, "option \"--%s\" takes no value", o->name);
}

/* NULL, and *err, when there is none. "--vm --to x" is a forgotten value; one that does look like
 * an option goes behind '='. */
static const char *next_value(struct parser *p, const struct vf_option *o, struct vf_error **err)
{
    const char *value = p->next < p->argc ? p->argv[p->next] : NULL;
    if (!value) {
        vf_error_set(err, VF_INVALID, "option \"--%s\" wants a value: %s", o->name, o->value);
        return NULL;
    }
    if (strncmp(value, "--", 2) == 0 && value[2]) {
        size_t len = strcspn(value + 2, "=");
        const struct vf_option *other = vf_options_find(p->command, value + 2, len, 0, NULL);
        if (other) {
            vf_error_set(err, VF_INVALID, "option \"--%s\" wants a value, but \"--%s\" follows",
                         o->name, other->name);
            return NULL;
        }
    }
    p->next++;
    return value;
}

/* "--dry-run server", "--dry-run" alone. */
static const char *value_or_implied(struct parser *p, const struct vf_option *o)
{
    const char *next = p->next < p->argc ? p->argv[p->next] : "";
    for (size_t i = 0; o->choices[i]; i++) {
        if (strcmp(o->choices[i], next) == 0) {
            p->next++;
            return next;
        }
    }
    return o->implied;
}

static int parse_long(struct parser *p, const char *arg, struct vf_error **err)
{
    const char *name = arg + 2;
    size_t len = strcspn(name, "=");
    const char *value = name[len] == '=' ? name + len + 1 : NULL;
    const struct vf_option_group *group;
    const struct vf_option *o = vf_options_find(p->command, name, len, 0, &group);
    if (!o) {
        return unknown_option(p, name, len, err);
    }
    if (o->kind == VF_OPTION_FLAG) {
        if (value) {
            return vf_error_set(err, VF_INVALID, "option \"--%s\" takes no value", o->name);
        }
        *(bool *)field_of(p, group, o) = true;
        return 0;
    }
    value = value ? value : o->implied ? value_or_implied(p, o) : next_value(p, o, err);
    return value ? set_value(p, group, o, value, err) : VF_INVALID;
}

static int parse_letters(struct parser *p, const char *letters, struct vf_error **err)
{
    for (; *letters; letters++) {
        const struct vf_option_group *group;
        const struct vf_option *o = vf_options_find(p->command, NULL, 0, *letters, &group);
        if (!o) {
            char letter[2] = {*letters, 0};
            char *vf_autofree shown = vf_text_safe(letter);
            return vf_error_set(err, VF_INVALID,
                                "unknown option \"-%s\"; \"vmferry help %s\" lists what there is",
                                shown, p->command->name);
        }
        if (o->kind != VF_OPTION_FLAG) {
            const char *value = letters[1]   ? letters + 1
                                : o->implied ? value_or_implied(p, o)
                                             : next_value(p, o, err);
            return value ? set_value(p, group, o, value, err) : VF_INVALID;
        }
        *(bool *)field_of(p, group, o) = true;
    }
    return 0;
}

static int check_operands(const struct parser *p, struct vf_error **err)
{
    const struct vf_command *c = p->command;
    if (p->n_operands < c->min_operands) {
        return vf_error_set(err, VF_INVALID, "too few operands; usage: vmferry %s [OPTION]... %s",
                            c->name, c->operands);
    }
    if (p->n_operands > c->max_operands) {
        char *vf_autofree shown = vf_text_safe(p->operands[c->max_operands]);
        return vf_error_set(err, VF_INVALID,
                            "\"%s\" is an operand too many; usage: vmferry %s [OPTION]...%s%s",
                            shown, c->name, *c->operands ? " " : "", c->operands);
    }
    return 0;
}

int vf_options_parse(const struct vf_command *command, int argc, char *const *argv, void *args,
                     struct vf_error **err)
{
    struct parser p = {.command = command, .argc = argc, .argv = argv, .args = args};
    struct vf_common_args *common = args;
    p.operands = vf_xcalloc((size_t)argc + 1, sizeof *p.operands);
    common->operands = p.operands;

    bool only_operands = false;
    while (p.next < argc) {
        const char *arg = argv[p.next++];
        int rc = 0;
        if (only_operands || arg[0] != '-' || !arg[1]) {
            p.operands[p.n_operands++] = arg;
        } else if (strcmp(arg, "--") == 0) {
            only_operands = true;
        } else if (arg[1] == '-') {
            rc = parse_long(&p, arg, err);
        } else {
            rc = parse_letters(&p, arg + 1, err);
        }
        if (rc) {
            return rc;
        }
    }
    common->n_operands = p.n_operands;
    return common->help ? 0 : check_operands(&p, err);
}

void vf_options_release(const struct vf_command *command, void *args)
{
    struct vf_common_args *common = args;
    free(common->operands);
    common->operands = NULL;
    for (size_t g = 0; g < command->n_groups; g++) {
        const struct vf_option_group *group = &command->groups[g];
        for (size_t i = 0; i < group->n_options; i++) {
            if (group->options[i].kind == VF_OPTION_LIST) {
                void *field = (char *)args + group->offset + group->options[i].offset;
                const char ***list = field;
                free(*list);
                *list = NULL;
            }
        }
    }
}
