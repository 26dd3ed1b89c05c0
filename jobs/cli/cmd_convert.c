#include <stdlib.h>

#include "importer/base/json.h"
#include "importer/base/mem.h"
#include "jobs/cli/commands.h"
#include "jobs/cli/output.h"
#include "jobs/cli/progress.h"
#include "jobs/convert.h"

struct convert_args {
    struct vf_common_args common;
    struct vf_progress_args progress;
    int format; /* enum vf_format */
    const char *from;
    bool overwrite, digest;
    unsigned threads;
};

static int put_digest(struct vf_cli *cli, const struct convert_args *args,
                      const struct vf_convert_result *result, struct vf_error **err)
{
    const char *target = args->common.operands[1];
    if (args->progress.mode != VF_PROGRESS_JSON) {
        char *vf_autofree text = vf_xasprintf("%s  %s\n", result->digest, target);
        return vf_cli_put(cli, text, err);
    }
    cJSON *line = vf_json_new_object();
    vf_json_add_string(line, "event", "digest");
    vf_json_add_string(line, "digest", result->digest);
    vf_json_add_u64(line, "size_bytes", result->size_bytes);
    vf_json_add_string(line, "target", target);
    char *vf_autofree json = vf_json_print(line, false);
    char *vf_autofree text = vf_xasprintf("%s\n", json);
    cJSON_Delete(line);
    return vf_cli_put(cli, text, err);
}

static int run_convert(struct vf_cli *cli, const void *opaque, struct vf_error **err)
{
    const struct convert_args *args = opaque;
    const struct vf_convert_options options = {
        .source = args->common.operands[0],
        .source_format = args->from,
        .target = args->common.operands[1],
        .format = (enum vf_format)args->format,
        .overwrite = args->overwrite,
        .digest = args->digest,
        .threads = args->threads,
    };
    struct vf_convert_result result = {0};
    struct vf_reporter *reporter;
    int rc = vf_progress_open(cli, &args->progress, args->common.debug, &reporter, err);
    if (rc) {
        return rc;
    }
    rc = vf_convert_run(&options, reporter, cli->cancel, &result, err);
    vf_progress_close(reporter, rc, err);
    if (rc == 0 && result.digest) {
        rc = put_digest(cli, args, &result, err);
    }
    if (rc == 0) {
        vf_convert_result_release(&result);
    }
    return rc;
}

/* The order is that of enum vf_format. */
static const char *const formats[] = {"auto", "raw", "qcow2", NULL};

static const struct vf_option options[] = {
    {.name = "format",
     .kind = VF_OPTION_CHOICE,
     .value = "FORMAT",
     .help = "what is written; auto goes by the suffix of DST",
     .choices = formats,
     .offset = offsetof(struct convert_args, format)},
    {.name = "from",
     .kind = VF_OPTION_STRING,
     .value = "FORMAT",
     .help = "what SRC is (vmdk, ova, qcow2, raw, vhdx, ...), when its content does not say",
     .offset = offsetof(struct convert_args, from)},
    {.name = "overwrite",
     .kind = VF_OPTION_FLAG,
     .help = "replace DST when it exists",
     .offset = offsetof(struct convert_args, overwrite)},
    {.name = "digest",
     .kind = VF_OPTION_FLAG,
     .help = "print the digest of the disk's content on standard output",
     .offset = offsetof(struct convert_args, digest)},
    {.name = "threads",
     .kind = VF_OPTION_NUMBER,
     .value = "N",
     .help = "threads that inflate; one a core and two more unless said otherwise",
     .min = 1,
     .max = 256,
     .offset = offsetof(struct convert_args, threads)},
};

static const struct vf_option_group groups[] = {
    {.options = options, .n_options = VF_COUNT(options)},
    VF_PROGRESS_GROUP(struct convert_args, progress),
    VF_COMMON_GROUP,
};

const struct vf_command vf_cmd_convert = {
    .name = "convert",
    .summary = "turn a VMDK, OVA or other disk image into raw or qcow2",
    .operands = "SRC DST",
    .min_operands = 2,
    .max_operands = 2,
    .complete = VF_COMPLETE_FILE,
    .details =
        "SRC is a file, or \"-\" for a streamOptimized VMDK or an OVA on standard input. DST "
        "appears under its name only when it is complete.",
    .examples = "  vmferry convert web01.vmdk web01.qcow2\n"
                "  curl -s https://images.example/web01.ova | vmferry convert - web01.img\n",
    .groups = groups,
    .n_groups = VF_COUNT(groups),
    .args_size = sizeof(struct convert_args),
    .left_behind = "what may be left behind: DST with the suffix .partial",
    .run = run_convert,
};
