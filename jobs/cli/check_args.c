#include "jobs/cli/check_args.h"

#include <stdlib.h>

#include "importer/base/mem.h"
#include "importer/base/suggest.h"
#include "jobs/preflight/rule.h"
#include "jobs/report/text.h"

static const char *const checks[] = {"all", "none", NULL};

const struct vf_option vf_check_options[VF_N_CHECK_OPTIONS] = {
    {.name = "check",
     .kind = VF_OPTION_CHOICE,
     .value = "WHAT",
     .help =
         "what is judged before anything is touched, by the rules of \"vmferry check\": what is "
         "critical ends it, and what is a warning is told. none takes the risk",
     .choices = checks,
     .offset = offsetof(struct vf_check_args, check)},
    {.name = "skip-check",
     .kind = VF_OPTION_LIST,
     .value = "ID",
     .help = "do not judge by this rule; \"vmferry check --list-rules\" shows them all",
     .offset = offsetof(struct vf_check_args, skip)},
};

static int unknown_id(struct vf_cli *cli, const char *id, struct vf_error **err)
{
    const struct vf_rule *const *rules = vf_rules_all();
    size_t n = 0;
    while (rules[n]) {
        n++;
    }
    const char **names = vf_xcalloc(n + 1, sizeof *names);
    for (size_t i = 0; i < n; i++) {
        names[i] = rules[i]->id;
    }
    const char *near = vf_suggest(id, names, n);
    free(names);
    char *vf_autofree shown = vf_text_safe(id);
    return near ? vf_cli_misuse(cli, err, "no rule is called \"%s\"; did you mean %s?", shown, near)
                : vf_cli_misuse(cli, err,
                                "no rule is called \"%s\"; \"vmferry check --list-rules\" shows "
                                "them all",
                                shown);
}

int vf_check_ids(struct vf_cli *cli, const char *const *ids, struct vf_error **err)
{
    for (; ids && *ids; ids++) {
        if (!vf_rule_find(*ids)) {
            return unknown_id(cli, *ids, err);
        }
    }
    return 0;
}

int vf_check_apply(struct vf_cli *cli, const struct vf_check_args *args,
                   struct vf_import_options *options, struct vf_error **err)
{
    const char *const *skip = (const char *const *)args->skip;
    options->no_check = args->check != 0;
    options->skip_checks = skip;
    if (options->no_check && skip) {
        return vf_cli_misuse(cli, err,
                             "options \"--check\" none and \"--skip-check\" contradict each other");
    }
    return vf_check_ids(cli, skip, err);
}
