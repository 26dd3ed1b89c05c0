/* What the VM's NICs are to be attached to. */
#include <stdlib.h>
#include <string.h>

#include "converters/vm/network_map.h"
#include "importer/base/mem.h"
#include "importer/kube/resources.h"
#include "jobs/cluster/landing.h"

/* "NAME" or "NAMESPACE/NAME" */
static int check_attachment(const struct vf_landing_cluster *l, const char *attachment,
                            struct vf_error **err)
{
    const char *slash = strchr(attachment, '/');
    char *vf_autofree ns =
        slash ? vf_xstrndup(attachment, (size_t)(slash - attachment)) : vf_xstrdup(l->ns);
    struct vf_kube_ref ref = {
        .resource = &vf_kube_network_attachments, .ns = ns, .name = slash ? slash + 1 : attachment};
    struct vf_kube_options options = {.cancel = l->landing.im->cancel};
    struct vf_error *e = NULL;
    int rc = vf_kube_get(l->client, &ref, &options, NULL, &e);
    if (rc == VF_AUTH && vf_error_http_status(e) == 403) {
        /* Whether it is there is KubeVirt's to find out; nothing is copied amiss. */
        vf_error_clear(&e);
        rc = 0;
    }
    if (rc) {
        vf_error_hint(&e, "--network SOURCE=[NAMESPACE/]NAME names one that is there, "
                          "SOURCE=ignore leaves the NIC out");
    }
    vf_error_move(err, &e);
    return rc;
}

int vf_cluster_check_networks(const struct vf_landing_cluster *l, const struct vf_vm *vm,
                              struct vf_error **err)
{
    const struct vf_import *im = l->landing.im;
    struct vf_network_choice *choices = NULL;
    int rc = vf_network_map_resolve(&im->networks, vm, &choices, err);
    for (size_t i = 0; i < vm->n_nics && rc == 0; i++) {
        const struct vf_network_choice *c = &choices[i];
        if (c->kind != VF_NETWORK_ATTACHMENT || (c->guessed && !im->options->cluster.start)) {
            continue; /* a guess is warned of as what the VM may lack */
        }
        rc = check_attachment(l, c->attachment, err);
        if (rc) {
            rc = vf_error_wrap(err, rc, "NIC %zu on network \"%s\"", i,
                               vm->nics[i].network ? vm->nics[i].network : "");
        }
    }
    vf_network_choices_free(choices, vm->n_nics);
    return rc;
}
