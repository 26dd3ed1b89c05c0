#include "jobs/cli/mapping_args.h"

#include <ctype.h>
#include <stdint.h>
#include <string.h>

#include "importer/base/json.h"
#include "importer/base/mem.h"
#include "jobs/cli/mapping_files.h"

/* As the command's misuse, with the option that it comes from. */
static int told_by(struct vf_cli *cli, const char *option, int rc, struct vf_error **err)
{
    cli->misuse |= rc == VF_INVALID;
    return rc ? vf_error_wrap(err, rc, "option \"--%s\"", option) : 0;
}

/* "disk-bus" as diskBus, "cdrom" as cdroms. Caller frees. */
static char *field_name(const char *option)
{
    bool plural = strcmp(option, "cdrom") == 0; /* told once, of all of them */
    char *name = vf_xasprintf("%s%s", option, plural ? "s" : "");
    char *to = name;
    for (const char *from = name; *from; from++) {
        *to++ = (char)(*from == '-' && from[1] ? toupper((unsigned char)*++from) : *from);
    }
    *to = '\0';
    return name;
}

static bool is_answer(const struct vf_option *o)
{
    return o->choices && strcmp(o->choices[0], "yes") == 0;
}

/* One field as a mapping file has it. Caller deletes. */
static cJSON *tree_of(const struct vf_option *o, const char *value)
{
    char *vf_autofree name = field_name(o->name);
    cJSON *tree = vf_json_new_object();
    if (o->kind == VF_OPTION_FLAG || is_answer(o)) {
        vf_json_add_bool(tree, name, !value || strcmp(value, "yes") == 0);
    } else {
        vf_json_add_string(tree, name, value);
    }
    return tree;
}

/* Options of one value each, and flags: each is a field, and is read as a file's is. */
static int set_values(struct vf_cli *cli, const struct vf_mapping_args *args, struct vf_mapping *m,
                      struct vf_error **err)
{
    int rc = 0;
    for (size_t i = 0; i < VF_N_MAPPING_OPTIONS && rc == 0; i++) {
        const struct vf_option *o = &vf_mapping_options[i];
        const void *given = (const char *)args + o->offset;
        bool is_file = o->complete == VF_COMPLETE_FILE;
        const char *value = NULL;
        bool set = false;
        if (o->kind == VF_OPTION_FLAG) {
            set = *(const bool *)given;
        } else if (o->kind == VF_OPTION_STRING && !is_file) {
            value = *(const char *const *)given;
            set = value != NULL;
        }
        if (set) {
            cJSON *tree = tree_of(o, value);
            rc = told_by(cli, o->name, vf_mapping_parse(m, NULL, tree, err), err);
            cJSON_Delete(tree);
        }
    }
    return rc;
}

/* "KEY=VALUE" */
static int add_pair(struct vf_mapping *m, const char *field, const char *text,
                    struct vf_error **err)
{
    const char *equals = strchr(text, '=');
    if (!equals || equals == text) {
        return vf_error_set(err, VF_INVALID, "it wants KEY=VALUE");
    }
    char *vf_autofree key = vf_xstrndup(text, (size_t)(equals - text));
    cJSON *tree = vf_json_new_object();
    vf_json_add_string(vf_json_add_object(tree, field), key, equals + 1);
    int rc = vf_mapping_parse(m, NULL, tree, err);
    cJSON_Delete(tree);
    return rc;
}

static int add_label(struct vf_mapping *m, const char *text, struct vf_error **err)
{
    return add_pair(m, "labels", text, err);
}

static int add_annotation(struct vf_mapping *m, const char *text, struct vf_error **err)
{
    return add_pair(m, "annotations", text, err);
}

static int add_network(struct vf_mapping *m, const char *text, struct vf_error **err)
{
    return vf_network_map_add(&m->networks, text, err);
}

/* "FILE=CLAIM": a file's name may have a "=" in it, a claim's cannot. All at once, for their order:
 * the first that matches counts. */
static int add_isos(struct vf_mapping *m, const char *const *texts, struct vf_error **err)
{
    cJSON *tree = vf_json_new_object();
    cJSON *list = vf_json_add_array(tree, "isos");
    int rc = 0;
    for (; texts && *texts && rc == 0; texts++) {
        const char *equals = strrchr(*texts, '=');
        if (!equals || equals == *texts || !equals[1]) {
            rc = vf_error_set(err, VF_INVALID, "it wants FILE=CLAIM");
            break;
        }
        char *vf_autofree file = vf_xstrndup(*texts, (size_t)(equals - *texts));
        cJSON *iso = vf_json_append_object(list);
        vf_json_add_string(iso, "file", file);
        vf_json_add_string(iso, "claim", equals + 1);
    }
    rc = rc ? rc : vf_mapping_parse(m, NULL, tree, err);
    cJSON_Delete(tree);
    return rc;
}

/* Options that may be repeated, as a mapping by themselves. */
static int add_lists(struct vf_cli *cli, const struct vf_mapping_args *args, struct vf_mapping *m,
                     struct vf_error **err)
{
    const struct {
        const char *option;
        const char **texts;
        int (*add)(struct vf_mapping *m, const char *text, struct vf_error **err);
    } lists[] = {
        {"storage", args->storage, vf_mapping_add_storage},
        {"disk", args->disks, vf_mapping_add_disk},
        {"network", args->networks, add_network},
        {"label", args->labels, add_label},
        {"annotation", args->annotations, add_annotation},
    };
    int rc = told_by(cli, "iso", add_isos(m, (const char *const *)args->isos, err), err);
    for (size_t i = 0; i < VF_COUNT(lists); i++) {
        for (const char **text = lists[i].texts; text && *text && rc == 0; text++) {
            rc = told_by(cli, lists[i].option, lists[i].add(m, *text, err), err);
        }
    }
    return rc;
}

int vf_mapping_apply(struct vf_cli *cli, const struct vf_mapping_args *args,
                     struct vf_mapping *mapping, struct vf_import_options *options,
                     struct vf_error **err)
{
    int rc = args->mapping ? vf_mapping_read(args->mapping, mapping, err) : 0;
    rc = rc ? rc : vf_mapping_read_files(args->template_file, args->os_table, mapping, err);
    cli->misuse |= rc != 0; /* a file that is not there, or not what it should be */
    rc = rc ? rc : set_values(cli, args, mapping, err);
    if (rc == 0) {
        struct vf_mapping told;
        vf_mapping_init(&told);
        rc = add_lists(cli, args, &told, err);
        if (rc == 0) {
            rc = vf_mapping_lay(mapping, &told, err);
            cli->misuse |= rc == VF_INVALID;
        }
        vf_mapping_release(&told);
    }
    if (rc == 0) {
        rc = vf_mapping_check(mapping, err);
        cli->misuse |= rc == VF_INVALID;
    }
    options->mapping = mapping;
    return rc;
}
