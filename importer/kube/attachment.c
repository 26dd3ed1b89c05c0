#include "importer/kube/attachment.h"

#include <string.h>

#include "importer/base/mem.h"
#include "importer/kube/resources.h"

int vf_kube_check_attachment(struct vf_kube_client *client, const char *ns, const char *attachment,
                             const struct vf_cancel *cancel, struct vf_error **err)
{
    const char *slash = strchr(attachment, '/');
    char *vf_autofree of =
        slash ? vf_xstrndup(attachment, (size_t)(slash - attachment)) : vf_xstrdup(ns);
    const struct vf_kube_ref ref = {
        .resource = &vf_kube_network_attachments, .ns = of, .name = slash ? slash + 1 : attachment};
    const struct vf_kube_options options = {.cancel = cancel};
    struct vf_error *e = NULL;
    int rc = vf_kube_get(client, &ref, &options, NULL, &e);
    if (rc) {
        vf_error_hint(&e, "--network SOURCE=[NAMESPACE/]NAME names one that is there, "
                          "SOURCE=ignore leaves the NIC out");
    }
    vf_error_move(err, &e);
    return rc;
}
