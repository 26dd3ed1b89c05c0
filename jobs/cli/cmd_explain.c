#include <stdlib.h>
#include <string.h>

#include "importer/base/mem.h"
#include "jobs/cli/cluster_args.h"
#include "jobs/cli/commands.h"
#include "jobs/cli/connect.h"
#include "jobs/cli/explain_view.h"
#include "jobs/cli/mapping_args.h"
#include "jobs/cli/output.h"

enum explain_output { OUTPUT_TABLE, OUTPUT_JSON, OUTPUT_YAML };

struct explain_args {
    struct vf_common_args common;
    struct vf_login_args login;
    struct vf_trust_args trust;
    struct vf_mapping_args mapping;
    const char *vm, *ova, *ovf, *name, *namespace_name;
    int output; /* enum explain_output */
};

/* What is explained: an operand or --vm, --ova or --ovf. */
static int pick_source(struct vf_cli *cli, const struct explain_args *args,
                       struct vf_import_options *o, struct vf_error **err)
{
    const char *operand = args->common.n_operands > 0 ? args->common.operands[0] : NULL;
    size_t given =
        (operand != NULL) + (args->vm != NULL) + (args->ova != NULL) + (args->ovf != NULL);
    if (given != 1) {
        return vf_cli_misuse(cli, err,
                             "%s of a VM, \"--vm\", \"--ova\" and \"--ovf\" says what to "
                             "explain",
                             given ? "only one" : "one");
    }
    o->vm = operand ? operand : args->vm;
    o->path = args->ova ? args->ova : args->ovf;
    o->kind = args->ova ? VF_IMPORT_OVA : args->ovf ? VF_IMPORT_OVF : VF_IMPORT_VSPHERE;
    if (o->path && (args->login.source || args->login.user || args->login.password_file)) {
        return vf_cli_misuse(cli, err,
                             "\"--source\", \"--user\" and \"--password-file\" go with a "
                             "VM only");
    }
    return 0;
}

static int resolve_source(struct vf_cli *cli, const struct explain_args *args,
                          struct vf_import_options *o, struct vf_secret **ret_password,
                          struct vf_error **err)
{
    if (o->kind == VF_IMPORT_VSPHERE) {
        return vf_connect_resolve(cli, &args->login, &args->trust, &o->vsphere, ret_password, err);
    }
    int rc = vf_connect_check_url(cli, "the URL to explain", o->path, err);
    return rc ? rc : vf_trust_resolve(cli, &args->trust, &o->http, err);
}

static int put(struct vf_cli *cli, enum explain_output output, const struct vf_explanation *e,
               struct vf_error **err)
{
    if (output == OUTPUT_TABLE) {
        char *vf_autofree text = vf_explain_print(e);
        return vf_cli_put(cli, text, err);
    }
    cJSON *tree = vf_explain_to_json(e);
    int rc = vf_cli_put_tree(cli, tree, output == OUTPUT_YAML, err);
    cJSON_Delete(tree);
    return rc;
}

static int run_explain(struct vf_cli *cli, const void *opaque, struct vf_error **err)
{
    const struct explain_args *args = opaque;
    struct vf_import_options options = {
        .target = VF_TO_DIR, .name = args->name, .namespace_name = args->namespace_name};
    struct vf_mapping mapping = {0};
    struct vf_secret *password = NULL;
    struct vf_explanation e = {0};
    int rc = pick_source(cli, args, &options, err);
    rc = rc ? rc : vf_mapping_apply(cli, &args->mapping, &mapping, &options, err);
    rc = rc ? rc : resolve_source(cli, args, &options, &password, err);
    rc = rc ? rc : vf_explain_run(&options, cli->cancel, &e, err);
    rc = rc ? rc : put(cli, (enum explain_output)args->output, &e, err);
    vf_explanation_release(&e);
    vf_mapping_release(&mapping);
    vf_secret_free(password);
    return rc;
}

static const char *const outputs[] = {"table", "json", "yaml", NULL};

static const struct vf_option what_options[] = {
    {.name = "vm",
     .kind = VF_OPTION_STRING,
     .value = "NAME",
     .help = "the same as the operand",
     .offset = offsetof(struct explain_args, vm)},
    {.name = "ova",
     .kind = VF_OPTION_STRING,
     .value = "FILE",
     .help = "an OVA instead: file, http or https URL, or - for standard input",
     .offset = offsetof(struct explain_args, ova),
     .complete = VF_COMPLETE_FILE},
    {.name = "ovf",
     .kind = VF_OPTION_STRING,
     .value = "FILE",
     .help = "an OVF descriptor instead",
     .offset = offsetof(struct explain_args, ovf),
     .complete = VF_COMPLETE_FILE},
    {.name = "name",
     .kind = VF_OPTION_STRING,
     .value = "NAME",
     .help = "what to call the VM, instead of the name it has",
     .offset = offsetof(struct explain_args, name)},
    {.name = "namespace",
     .letter = 'n',
     .kind = VF_OPTION_STRING,
     .value = "NAMESPACE",
     .help = "where it would be",
     .offset = offsetof(struct explain_args, namespace_name)},
};

static const struct vf_option output_options[] = {
    {.name = "output",
     .letter = 'o',
     .kind = VF_OPTION_CHOICE,
     .value = "FORMAT",
     .help = "form of the result",
     .choices = outputs,
     .offset = offsetof(struct explain_args, output)},
};

static const struct vf_option_group groups[] = {
    {.title = "What to explain", .options = what_options, .n_options = VF_COUNT(what_options)},
    VF_LOGIN_GROUP(struct explain_args, login),
    VF_TRUST_GROUP(struct explain_args, trust),
    VF_MAPPING_GROUP(struct explain_args, mapping),
    {.title = "Output", .options = output_options, .n_options = VF_COUNT(output_options)},
    VF_COMMON_GROUP,
};

const struct vf_command vf_cmd_explain = {
    .name = "explain",
    .summary = "show what a VM would become, and who says so of each field",
    .operands = "[VM]",
    .max_operands = 1,
    .details =
        "The VM goes by its name, its path (/DC0/vm/prod/web01) or its reference (vm-42). Of every "
        "field of its VirtualMachine is shown what it would be, and who says so: option (or the "
        "mapping file), source (with its names there), guest OS (the table of guest operating "
        "systems), template (yours), or default (vmferry's). What stands higher in this list has "
        "the last word. Behind the fields stands what is lost, or is to be decided. No cluster is "
        "asked, and nothing is changed: claims and storage are as they would be written into a "
        "directory.",
    .examples = "  vmferry explain web01\n"
                "  vmferry explain web01 --mapping mapping.yaml --disk 1:bus=sata\n"
                "  vmferry explain --ova appliance.ova -o json | jq '.fields[] | select(.from == "
                "\"option\")'\n",
    .groups = groups,
    .n_groups = VF_COUNT(groups),
    .args_size = sizeof(struct explain_args),
    .run = run_explain,
};
