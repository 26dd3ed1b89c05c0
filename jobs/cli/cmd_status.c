#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "importer/base/json.h"
#include "importer/base/mem.h"
#include "jobs/cli/board_pick.h"
#include "jobs/cli/commands.h"
#include "jobs/cli/output.h"
#include "jobs/cli/status_view.h"

#define WATCH_MS 2000

enum status_output { OUTPUT_TABLE, OUTPUT_JSON, OUTPUT_YAML };

struct status_args {
    struct vf_common_args common;
    struct vf_cluster_args cluster;
    int output; /* enum status_output */
    bool watch;
};

/* One by itself, or those of a namespace. */
static cJSON *tree_of(const struct status_args *args, const struct vf_board_list *list)
{
    if (args->common.n_operands > 0) {
        return vf_status_to_json(&list->rows[0]);
    }
    cJSON *tree = vf_json_new_object();
    cJSON *migrations = vf_json_add_array(tree, "migrations");
    for (size_t i = 0; i < list->n; i++) {
        cJSON_AddItemToArray(migrations, vf_status_to_json(&list->rows[i]));
    }
    return tree;
}

/* As it is put out. JSON that is watched is one line each time. */
static int print(const struct status_args *args, const struct vf_board_list *list, char **ret_text,
                 struct vf_error **err)
{
    if (args->output == OUTPUT_TABLE) {
        *ret_text = args->common.n_operands > 0 ? vf_status_print(&list->rows[0])
                                                : vf_status_print_table(list->rows, list->n);
        return 0;
    }
    cJSON *tree = tree_of(args, list);
    int rc = vf_cli_print_tree(tree, args->output == OUTPUT_YAML, !args->watch, ret_text, err);
    cJSON_Delete(tree);
    return rc;
}

static bool has_ended(const struct vf_board_list *list)
{
    for (size_t i = 0; i < list->n; i++) {
        if (!vf_migration_phase_is_end(list->rows[i].status->phase)) {
            return false;
        }
    }
    return true;
}

/* A terminal is redrawn; elsewhere what has changed follows what was there. */
static int put(struct vf_cli *cli, const struct status_args *args, const char *text,
               const char *last, struct vf_error **err)
{
    if (args->watch && args->output == OUTPUT_TABLE && isatty(fileno(cli->out))) {
        char *vf_autofree screen = vf_xasprintf("\033[H\033[2J%s", text);
        return vf_cli_put(cli, screen, err);
    }
    if (last && strcmp(last, text) == 0) {
        return 0;
    }
    const char *between = !last                          ? ""
                          : args->output == OUTPUT_TABLE ? "\n"
                          : args->output == OUTPUT_YAML  ? "---\n"
                                                         : "";
    char *vf_autofree all = vf_xasprintf("%s%s", between, text);
    return vf_cli_put(cli, all, err);
}

static int show(struct vf_cli *cli, const struct status_args *args, char **last, bool *ret_ended,
                struct vf_error **err)
{
    const char *operand = args->common.n_operands > 0 ? args->common.operands[0] : NULL;
    struct vf_board_list list = {0};
    char *text = NULL;
    int rc = vf_board_list(cli, operand, &args->cluster, &list, err);
    if (rc == 0 && list.n == 0 && args->output == OUTPUT_TABLE) {
        fprintf(cli->err, "vmferry: no warm migration is in this namespace\n");
        rc = 0;
    } else if (rc == 0) {
        rc = print(args, &list, &text, err);
        rc = rc ? rc : put(cli, args, text, *last, err);
    }
    *ret_ended = has_ended(&list);
    vf_board_list_release(&list);
    free(*last);
    *last = text;
    return rc;
}

static int run_status(struct vf_cli *cli, const void *opaque, struct vf_error **err)
{
    const struct status_args *args = opaque;
    char *vf_autofree last = NULL;
    bool ended;
    int rc;
    do {
        rc = show(cli, args, &last, &ended, err);
    } while (rc == 0 && args->watch && !ended && vf_cancel_wait(cli->cancel, WATCH_MS, NULL) == 0);
    return rc;
}

static const char *const outputs[] = {"table", "json", "yaml", NULL};

static const struct vf_option options[] = {
    {.name = "output",
     .letter = 'o',
     .kind = VF_OPTION_CHOICE,
     .value = "FORMAT",
     .help = "form of the result",
     .choices = outputs,
     .offset = offsetof(struct status_args, output)},
    {.name = "watch",
     .letter = 'w',
     .kind = VF_OPTION_FLAG,
     .help = "show it again whenever it changes, until the migration has ended; json is one line "
             "each time",
     .offset = offsetof(struct status_args, watch)},
};

static const struct vf_option_group groups[] = {
    {.options = options, .n_options = VF_COUNT(options)},
    VF_CLUSTER_GROUP(struct status_args, cluster),
    VF_COMMON_GROUP,
};

const struct vf_command vf_cmd_status = {
    .name = "status",
    .summary = "show how warm migrations stand",
    .operands = "[dir:PATH|NAME]",
    .max_operands = 1,
    .complete = VF_COMPLETE_TARGET,
    .details =
        "Of a migration into a folder, or of one in a cluster; without an operand of all in the "
        "namespace. Shown are its phase and the next step, the round and how much of it is copied, "
        "how fast, what has changed since the last snapshot, and for how long the VM would be down "
        "in a cutover now. Status 1 means that there is none; how it ended is for whoever runs "
        "it, and in what is shown.",
    .examples = "  vmferry status dir:/srv/web01\n"
                "  vmferry status --namespace prod\n"
                "  vmferry status web01 --namespace prod -o json | jq .forecast.downtimeMs\n",
    .groups = groups,
    .n_groups = VF_COUNT(groups),
    .args_size = sizeof(struct status_args),
    .run = run_status,
};
