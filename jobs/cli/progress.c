#include "jobs/cli/progress.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "jobs/report/report.h"

static const char *const modes[] = {"auto", "bar", "json", "none", NULL};

const struct vf_option vf_progress_options[VF_N_PROGRESS_OPTIONS] = {
    {.name = "progress",
     .kind = VF_OPTION_CHOICE,
     .value = "HOW",
     .help = "bars on a terminal and plain lines elsewhere (auto), JSON lines on standard output, "
             "or only warnings (none)",
     .choices = modes,
     .offset = offsetof(struct vf_progress_args, mode)},
    {.name = "quiet",
     .letter = 'q',
     .kind = VF_OPTION_FLAG,
     .help = "say nothing but errors, not even warnings",
     .offset = offsetof(struct vf_progress_args, quiet)},
};

static bool has_terminal(FILE *out)
{
    const char *term = getenv("TERM");
    return isatty(fileno(out)) && term && *term && strcmp(term, "dumb") != 0;
}

int vf_progress_open(struct vf_cli *cli, const struct vf_progress_args *args, bool debug,
                     struct vf_reporter **ret_reporter, struct vf_error **err)
{
    if (args->quiet && args->mode != VF_PROGRESS_AUTO && args->mode != VF_PROGRESS_NONE) {
        return vf_cli_misuse(cli, err,
                             "options \"--quiet\" and \"--progress\" contradict each other");
    }
    bool terminal = has_terminal(cli->err);
    const char *no_color = getenv("NO_COLOR");
    struct vf_report_options options = {
        .out = cli->err, .color = terminal && !(no_color && *no_color), .cancel = cli->cancel};
    if (args->quiet) {
        *ret_reporter = vf_report_plain_new(&options, VF_REPORT_SILENT);
    } else if (args->mode == VF_PROGRESS_NONE) {
        *ret_reporter = vf_report_plain_new(&options, VF_REPORT_WARNINGS);
    } else if (args->mode == VF_PROGRESS_JSON) {
        options.out = cli->out;
        options.color = false;
        *ret_reporter = vf_report_json_new(&options);
    } else if (terminal && !(debug && args->mode == VF_PROGRESS_AUTO)) {
        *ret_reporter = vf_report_bar_new(&options);
    } else {
        *ret_reporter = vf_report_plain_new(&options, VF_REPORT_PLAIN);
    }
    return 0;
}

void vf_progress_close(struct vf_reporter *reporter, int rc, struct vf_error *const *err)
{
    vf_report(reporter,
              &(struct vf_event){.type = VF_EVENT_RESULT, .error = rc && err ? *err : NULL});
    vf_reporter_free(reporter);
}
