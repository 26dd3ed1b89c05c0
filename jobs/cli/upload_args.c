#include "jobs/cli/upload_args.h"

#include "jobs/cli/connect.h"
#include "jobs/cli/target_args.h"

/* In the order of enum vf_import_coding. */
static const char *const codings[] = {"auto", "gzip", "zstd", NULL};

const struct vf_option vf_upload_options[VF_N_UPLOAD_OPTIONS] = {
    {.name = "bind-immediately",
     .kind = VF_OPTION_FLAG,
     .help = "upload: where the storage waits for the first consumer of a claim, have the volume "
             "made at once; it may be on a node where the VM cannot run",
     .offset = offsetof(struct vf_upload_args, bind_immediately)},
    {.name = "upload-proxy",
     .kind = VF_OPTION_STRING,
     .value = "URL",
     .help = "upload: of CDI's upload proxy; else as CDI publishes it",
     .offset = offsetof(struct vf_upload_args, proxy)},
    {.name = "upload-ca-file",
     .kind = VF_OPTION_STRING,
     .value = "FILE",
     .help = "upload: PEM certificates to trust the proxy by; else CDI's own, else the system's",
     .offset = offsetof(struct vf_upload_args, ca_file),
     .complete = VF_COMPLETE_FILE},
    {.name = "upload-thumbprint",
     .kind = VF_OPTION_STRING,
     .value = "HEX",
     .help = "upload: trust exactly the proxy's certificate with this SHA-1 or SHA-256",
     .offset = offsetof(struct vf_upload_args, thumbprint)},
    {.name = "upload-insecure-skip-verify",
     .kind = VF_OPTION_FLAG,
     .help = "upload: trust any certificate of the proxy: whoever sits on the path can change the "
             "disk",
     .offset = offsetof(struct vf_upload_args, insecure)},
    {.name = "upload-coding",
     .kind = VF_OPTION_CHOICE,
     .value = "CODING",
     .help = "upload: how a disk is compressed on its way; auto is zstd where the version of CDI "
             "can be read and is known to take it, else gzip, which costs thrice the CPU",
     .choices = codings,
     .offset = offsetof(struct vf_upload_args, coding)},
};

static int resolve_proxy(struct vf_cli *cli, const struct vf_upload_args *args,
                         struct vf_import_cluster *cluster, struct vf_error **err)
{
    struct vf_trust_args trust = {.ca_file = args->ca_file,
                                  .thumbprint = args->thumbprint,
                                  .insecure = args->insecure,
                                  .prefix = "upload-"};
    int rc =
        args->proxy ? vf_connect_check_url(cli, "option \"--upload-proxy\"", args->proxy, err) : 0;
    return rc ? rc : vf_trust_resolve(cli, &trust, &cluster->proxy_http, err);
}

int vf_upload_apply(struct vf_cli *cli, const struct vf_upload_args *args,
                    struct vf_import_options *options, struct vf_error **err)
{
    bool upload = options->target == VF_TO_UPLOAD;
    static const char where[] = "--to upload";
    const struct vf_option_fit fits[] = {
        {args->bind_immediately, upload, "bind-immediately", where},
        {args->proxy != NULL, upload, "upload-proxy", where},
        {args->coding != VF_IMPORT_CODING_AUTO, upload, "upload-coding", where},
        {args->ca_file != NULL, upload, "upload-ca-file", where},
        {args->thumbprint != NULL, upload, "upload-thumbprint", where},
        {args->insecure, upload, "upload-insecure-skip-verify", where},
    };
    options->cluster.bind_immediately = args->bind_immediately;
    options->cluster.proxy_url = args->proxy;
    options->cluster.coding = (enum vf_import_coding)args->coding;
    int rc = vf_option_fits(cli, fits, VF_COUNT(fits), err);
    return rc ? rc : resolve_proxy(cli, args, &options->cluster, err);
}
