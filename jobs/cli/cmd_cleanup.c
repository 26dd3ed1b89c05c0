#include <stdlib.h>

#include "importer/base/json.h"
#include "importer/base/mem.h"
#include "jobs/cleanup.h"
#include "jobs/cli/cluster_args.h"
#include "jobs/cli/commands.h"
#include "jobs/cli/output.h"
#include "jobs/cli/table.h"
#include "jobs/report/report.h"

enum cleanup_output { OUTPUT_TABLE, OUTPUT_JSON };

struct cleanup_args {
    struct vf_common_args common;
    struct vf_cluster_args cluster;
    const char *name;
    bool all, force, dry_run;
    int output; /* enum cleanup_output */
};

static int put_table(struct vf_cli *cli, const struct vf_cleanup *c, struct vf_error **err)
{
    static const struct vf_table_column columns[] = {{.title = "KIND"},   {.title = "NAME"},
                                                     {.title = "IMPORT"}, {.title = "STATE"},
                                                     {.title = "ACTION"}, {.title = "REASON"}};
    struct vf_table *t = vf_table_new(columns, VF_COUNT(columns));
    for (size_t i = 0; i < c->n_items; i++) {
        const struct vf_cleanup_item *item = &c->items[i];
        vf_table_add(t, item->kind);
        vf_table_add(t, item->name);
        vf_table_add(t, item->import);
        vf_table_add(t, item->state);
        vf_table_add(t, vf_cleanup_verdict_name(item->verdict));
        vf_table_add(t, item->reason);
    }
    char *vf_autofree text = vf_table_print(t);
    vf_table_free(t);
    return vf_cli_put(cli, text, err);
}

static int put_json(struct vf_cli *cli, const struct vf_cleanup *c, struct vf_error **err)
{
    cJSON *tree = vf_json_new_object();
    vf_json_add_string(tree, "namespace", c->ns);
    cJSON *objects = vf_json_add_array(tree, "objects");
    for (size_t i = 0; i < c->n_items; i++) {
        const struct vf_cleanup_item *item = &c->items[i];
        cJSON *object = vf_json_append_object(objects);
        vf_json_add_string(object, "kind", item->kind);
        vf_json_add_string(object, "name", item->name);
        vf_json_add_string(object, "import", item->import);
        vf_json_add_string(object, "state", item->state);
        vf_json_add_string(object, "action", vf_cleanup_verdict_name(item->verdict));
        vf_json_add_string(object, "reason", item->reason);
    }
    int rc = vf_cli_put_tree(cli, tree, false, err);
    cJSON_Delete(tree);
    return rc;
}

static int put(struct vf_cli *cli, const struct cleanup_args *args, const struct vf_cleanup *c,
               struct vf_error **err)
{
    if (args->output == OUTPUT_JSON) {
        return put_json(cli, c, err);
    }
    if (c->n_items == 0) {
        fprintf(cli->err, "vmferry: nothing of vmferry's is in namespace \"%s\"\n", c->ns);
        return 0;
    }
    return put_table(cli, c, err);
}

static int run_cleanup(struct vf_cli *cli, const void *opaque, struct vf_error **err)
{
    const struct cleanup_args *args = opaque;
    const struct vf_cleanup_options options = {.where = vf_cluster_options_of(&args->cluster),
                                               .import = args->name,
                                               .complete = args->all,
                                               .force = args->force,
                                               .dry_run = args->dry_run};
    const struct vf_report_options report = {.out = cli->err, .cancel = cli->cancel};
    struct vf_reporter *reporter = vf_report_plain_new(&report, VF_REPORT_PLAIN);
    struct vf_cleanup c;
    int rc = vf_cleanup_run(&options, reporter, cli->cancel, &c, err);
    vf_reporter_free(reporter);
    if (c.items) {
        /* What was done is told, whatever else went wrong. */
        int put_rc = put(cli, args, &c, rc ? NULL : err);
        rc = rc ? rc : put_rc;
    }
    vf_cleanup_release(&c);
    return rc;
}

static const char *const outputs[] = {"table", "json", NULL};

static const struct vf_option options[] = {
    {.name = "name",
     .kind = VF_OPTION_STRING,
     .value = "NAME",
     .help = "only what is of the import of the VM of this name; else of all imports",
     .offset = offsetof(struct cleanup_args, name)},
    {.name = "all",
     .kind = VF_OPTION_FLAG,
     .help = "complete disks that no VM uses, too",
     .offset = offsetof(struct cleanup_args, all)},
    {.name = "force",
     .kind = VF_OPTION_FLAG,
     .help = "Jobs that still run, too: their pods are stopped",
     .offset = offsetof(struct cleanup_args, force)},
    {.name = "dry-run",
     .kind = VF_OPTION_FLAG,
     .help = "only tell what would be removed",
     .offset = offsetof(struct cleanup_args, dry_run)},
    {.name = "output",
     .letter = 'o',
     .kind = VF_OPTION_CHOICE,
     .value = "FORMAT",
     .help = "form of the result",
     .choices = outputs,
     .offset = offsetof(struct cleanup_args, output)},
};

static const struct vf_option_group groups[] = {
    {.options = options, .n_options = VF_COUNT(options)},
    VF_CLUSTER_GROUP(struct cleanup_args, cluster),
    VF_COMMON_GROUP,
};

const struct vf_command vf_cmd_cleanup = {
    .name = "cleanup",
    .summary = "remove from a namespace what unfinished imports left there",
    .operands = "",
    .details =
        "Looks at the Jobs, Secrets, DataVolumes and claims that carry vmferry's labels, and at "
        "nothing else. Removed are Jobs that have ended, their Secrets, and disks that are not "
        "complete. Never removed are VirtualMachines, disks that one of them uses, and what "
        "another object owns. A Job that still runs is refused, with its disks, unless --force is "
        "given: then its pod is stopped, and has two minutes to remove its snapshot and to end "
        "its export at the source.\n\n"
        "An upload that is under way looks like one that was broken off, and fails when its disk "
        "is removed: give --name where others may be importing. Exit status 1 means that "
        "something was refused or could not be removed.",
    .examples = "  vmferry cleanup --namespace prod --dry-run\n"
                "  vmferry cleanup --namespace prod --name web01\n",
    .groups = groups,
    .n_groups = VF_COUNT(groups),
    .args_size = sizeof(struct cleanup_args),
    .left_behind = "what was not removed yet is there; \"vmferry cleanup\" again goes on",
    .run = run_cleanup,
};
