#include "jobs/cli/transport_args.h"

#include "jobs/cli/target_args.h"

/* In the order of enum vf_transport_kind. */
static const char *const transports[] = {"auto", "nfc", "https", "vddk", "cdi", NULL};

const struct vf_option vf_transport_option_table[VF_N_TRANSPORT_OPTIONS] = {
    {.name = "transport",
     .kind = VF_OPTION_CHOICE,
     .value = "HOW",
     .help = "how the disks are read; auto is vddk where there is a --vddk-libdir, https where the "
             "datastore lets every disk be read, else nfc, and says why",
     .choices = transports,
     .offset = offsetof(struct vf_transport_args, transport)},
    {.name = "connections",
     .kind = VF_OPTION_NUMBER,
     .value = "N",
     .help = "https, vddk: requests under way of one disk; as many as serve best unless said "
             "otherwise",
     .min = 1,
     .max = 256,
     .offset = offsetof(struct vf_transport_args, connections)},
    {.name = "vddk-libdir",
     .kind = VF_OPTION_STRING,
     .value = "DIR",
     .help = "vddk: VMware's library as it was unpacked, vmware-vix-disklib-distrib",
     .offset = offsetof(struct vf_transport_args, vddk_libdir),
     .complete = VF_COMPLETE_DIR},
    {.name = "vddk-thumbprint",
     .kind = VF_OPTION_STRING,
     .value = "HEX",
     .help = "vddk, cdi: SHA-1 of the source's certificate, as the library wants it; else of the "
             "certificate that was met",
     .offset = offsetof(struct vf_transport_args, vddk_thumbprint)},
    {.name = "vddk-image",
     .kind = VF_OPTION_STRING,
     .value = "IMAGE",
     .help =
         "cdi: container image with VMware's library; else the one in CDI's ConfigMap v2v-vmware",
     .offset = offsetof(struct vf_transport_args, vddk_image)},
    {.name = "nbdkit",
     .kind = VF_OPTION_STRING,
     .value = "PROGRAM",
     .help = "vddk: instead of the nbdkit in PATH",
     .offset = offsetof(struct vf_transport_args, nbdkit),
     .complete = VF_COMPLETE_FILE},
};

int vf_transport_resolve(struct vf_cli *cli, const struct vf_transport_args *args,
                         const struct vf_import_options *import,
                         struct vf_transport_options *ret_transport, struct vf_error **err)
{
    enum vf_transport_kind kind = (enum vf_transport_kind)args->transport;
    bool nbd = kind == VF_TRANSPORT_VDDK || (kind == VF_TRANSPORT_AUTO && args->vddk_libdir);
    static const char vddk[] = "--transport vddk";
    const struct vf_option_fit fits[] = {
        {args->vddk_libdir != NULL, kind == VF_TRANSPORT_VDDK || kind == VF_TRANSPORT_AUTO,
         "vddk-libdir", "--transport vddk or auto"},
        {args->vddk_thumbprint != NULL, nbd || kind == VF_TRANSPORT_CDI, "vddk-thumbprint",
         "--transport vddk or cdi"},
        {args->vddk_image != NULL, kind == VF_TRANSPORT_CDI, "vddk-image", "--transport cdi"},
        {args->nbdkit != NULL, nbd, "nbdkit", vddk},
        {args->connections != 0, kind != VF_TRANSPORT_NFC && kind != VF_TRANSPORT_CDI,
         "connections", "--transport https or vddk"},
    };
    if (kind == VF_TRANSPORT_CDI && (import->target != VF_TO_CLAIM || import->to_path)) {
        return vf_cli_misuse(cli, err, "\"--transport cdi\" goes with \"--to pvc\" only");
    }
    *ret_transport = (struct vf_transport_options){.kind = kind,
                                                   .vddk_libdir = args->vddk_libdir,
                                                   .vddk_thumbprint = args->vddk_thumbprint,
                                                   .vddk_image = args->vddk_image,
                                                   .nbdkit_program = args->nbdkit,
                                                   .connections = args->connections};
    return vf_option_fits(cli, fits, VF_COUNT(fits), err);
}
