/* What the VM's NICs are to be attached to. */
#include "converters/vm/network_map.h"
#include "importer/kube/attachment.h"
#include "jobs/cluster/landing.h"

static int check_attachment(const struct vf_landing_cluster *l, const char *attachment,
                            struct vf_error **err)
{
    struct vf_error *e = NULL;
    int rc = vf_kube_check_attachment(l->client, l->ns, attachment, l->landing.im->cancel, &e);
    if (rc == VF_AUTH && vf_error_http_status(e) == 403) {
        /* Whether it is there is KubeVirt's to find out; nothing is copied amiss. */
        vf_error_clear(&e);
        rc = 0;
    }
    vf_error_move(err, &e);
    return rc;
}

int vf_cluster_check_networks(const struct vf_landing_cluster *l, const struct vf_vm *vm,
                              struct vf_error **err)
{
    const struct vf_import *im = l->landing.im;
    struct vf_network_choice *choices = NULL;
    int rc = vf_network_map_resolve(vf_import_networks(im), vm, &choices, err);
    for (size_t i = 0; i < vm->n_nics && rc == 0; i++) {
        const struct vf_network_choice *c = &choices[i];
        if (!c->attachment || (c->guessed && !im->options->cluster.start)) {
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
