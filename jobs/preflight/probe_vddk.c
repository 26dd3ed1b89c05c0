/* VMware's library is loaded, logs in, and reads a disk, as the transport itself tries it. */
#include <stdlib.h>

#include "importer/base/mem.h"
#include "jobs/preflight/probe.h"

void vf_probe_vddk(const struct vf_probes *p, const struct vf_vm *vm, const char *snapshot)
{
    const struct vf_probe_of of = {.transport = VF_TRANSPORT_VDDK, .vm = vm};
    if (vf_probe_is_over(p) || !p->vs) {
        vf_probe_not_tried(p, &of, p->no_session ? p->no_session : "no time was left", NULL);
        return;
    }
    const struct vf_transport_env env = {
        .vs = p->vs, .reporter = p->reporter, .vm = vm->name, .cancel = p->limit};
    struct vf_transport *t = vf_transport_vddk_new(&p->options->transport, &env);
    char *vf_autofree version = NULL;
    struct vf_error *e = NULL;
    if (vf_transport_vddk_probe(t, snapshot, vm, p->limit, &version, &e)) {
        vf_probe_failed(p, &of, &e);
    } else {
        vf_probe_good(p, &of, 0);
    }
    vf_transport_free(t);
    vf_error_free(e);
}
