#include <stdlib.h>
#include <string.h>

#include "importer/base/buf.h"
#include "importer/base/mem.h"
#include "importer/vsphere/inventory.h"
#include "jobs/cli/commands.h"
#include "jobs/cli/connect.h"
#include "jobs/cli/inventory_view.h"
#include "jobs/cli/near.h"
#include "jobs/cli/output.h"
#include "jobs/cli/select_args.h"

enum inventory_output { OUTPUT_TABLE, OUTPUT_WIDE, OUTPUT_JSON, OUTPUT_YAML };

struct inventory_args {
    struct vf_common_args common;
    struct vf_login_args login;
    struct vf_trust_args trust;
    struct vf_select_args select;
    int output; /* enum inventory_output */
};

/* A name that is written out is expected to exist; a pattern may match nothing. Those that other
 * filters left out do exist: only a second look without filters can tell, and is had only then. */
static int check_names(struct vf_vsphere *vs, const char *const *names, const struct vf_vm *vms,
                       size_t n, struct vf_error **err)
{
    const char *missing = vf_near_first_missing(names, vms, n);
    if (!missing) {
        return 0;
    }
    struct vf_vm *all = NULL;
    size_t n_all = 0;
    const struct vf_vm_query query = {.brief = true};
    int rc = vf_vsphere_fetch_vms(vs, &query, &all, &n_all, NULL, err);
    if (rc) {
        return rc;
    }
    missing = vf_near_first_missing(names, all, n_all);
    if (missing) {
        rc = vf_near_set_error(err, missing, all, n_all);
    }
    vf_vms_free(all, n_all);
    return rc;
}

static void warn(struct vf_cli *cli, const struct vf_vm_notes *notes, bool wanted_tags)
{
    if (notes->tags_unavailable && wanted_tags) {
        fprintf(cli->err, "vmferry: warning: tags are not known: %s\n",
                notes->tags_reason ? notes->tags_reason : "there is no tagging service");
    }
    if (notes->attributes_unavailable) {
        fprintf(cli->err, "vmferry: warning: custom attributes are not known: %s\n",
                notes->attributes_reason);
    }
    if (notes->unreadable > 0) {
        fprintf(cli->err,
                "vmferry: warning: this user may not read all of %zu VMs; they need System.Read\n",
                notes->unreadable);
    }
}

static int put_vms(struct vf_cli *cli, enum inventory_output output, const struct vf_vm *vms,
                   size_t n, struct vf_error **err)
{
    if (output == OUTPUT_TABLE || output == OUTPUT_WIDE) {
        if (n == 0) {
            fprintf(cli->err, "vmferry: no vm matches\n");
        }
        char *vf_autofree text = vf_inventory_table(vms, n, output == OUTPUT_WIDE);
        return vf_cli_put(cli, text, err);
    }
    cJSON *tree = vf_inventory_tree(vms, n);
    int rc = vf_cli_put_tree(cli, tree, output == OUTPUT_YAML, err);
    cJSON_Delete(tree);
    return rc;
}

static int list(struct vf_cli *cli, const struct inventory_args *args, struct vf_vsphere *vs,
                struct vf_error **err)
{
    bool full = args->output != OUTPUT_TABLE;
    struct vf_vm_query query = vf_select_query_of(&args->select);
    query.want_tags = full;
    query.want_disk_usage = args->output == OUTPUT_JSON || args->output == OUTPUT_YAML;
    query.want_attributes = query.want_disk_usage;
    struct vf_vm *vms = NULL;
    size_t n = 0;
    struct vf_vm_notes notes = {0};
    int rc = vf_vsphere_fetch_vms(vs, &query, &vms, &n, &notes, err);
    if (rc == 0) {
        rc = check_names(vs, query.names, vms, n, err);
    }
    if (rc == 0) {
        warn(cli, &notes, full);
        rc = put_vms(cli, (enum inventory_output)args->output, vms, n, err);
    }
    vf_vm_notes_release(&notes);
    vf_vms_free(vms, n);
    return rc;
}

static int run_inventory(struct vf_cli *cli, const void *opaque, struct vf_error **err)
{
    const struct inventory_args *args = opaque;
    struct vf_vsphere_options options;
    struct vf_secret *password = NULL;
    struct vf_vsphere *vs = NULL;
    int rc = vf_connect_resolve(cli, &args->login, &args->trust, &options, &password, err);
    if (rc == 0) {
        rc = vf_vsphere_login(&options, cli->cancel, &vs, err);
    }
    vf_secret_free(password);
    if (rc == 0) {
        rc = list(cli, args, vs, err);
    }
    vf_vsphere_free(vs);
    return rc;
}

static const char *const outputs[] = {"table", "wide", "json", "yaml", NULL};

static const struct vf_option output_options[] = {
    {.name = "output",
     .letter = 'o',
     .kind = VF_OPTION_CHOICE,
     .value = "FORMAT",
     .help = "form of the result",
     .choices = outputs,
     .offset = offsetof(struct inventory_args, output)},
};

static const struct vf_option_group groups[] = {
    VF_LOGIN_GROUP(struct inventory_args, login),
    VF_TRUST_GROUP(struct inventory_args, trust),
    VF_SELECT_GROUP(struct inventory_args, select),
    {.title = "Output", .options = output_options, .n_options = VF_COUNT(output_options)},
    VF_COMMON_GROUP,
};

const struct vf_command vf_cmd_inventory = {
    .name = "inventory",
    .summary = "list the virtual machines of a vCenter or ESXi host",
    .operands = "",
    .details =
        "All VMs are listed unless some are selected: a VM must satisfy every kind of selection "
        "that is given, and of one kind any (names and patterns are one kind). The order is by "
        "folder, then name. Tables round sizes; json and yaml have every fact, with sizes in "
        "bytes.",
    .examples =
        "  vmferry inventory --source https://vcenter.example --user administrator@vsphere.local\n"
        "  vmferry inventory --folder /DC0/vm/prod --glob 'web*' --power on -o wide\n"
        "  vmferry inventory -o json | jq -r '.vms[] | select(.cbt_enabled | not) | .name'\n",
    .groups = groups,
    .n_groups = VF_COUNT(groups),
    .args_size = sizeof(struct inventory_args),
    .run = run_inventory,
};
