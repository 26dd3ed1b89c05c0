/* What only a snapshot of the running VM tells: it is taken, read in each way, and removed. */
#include <stdlib.h>
#include <string.h>

#include "importer/base/mem.h"
#include "importer/vsphere/snapshot.h"
#include "jobs/preflight/probe.h"
#include "jobs/preflight/rights.h"
#include "jobs/snapshot_take.h"

static void try_https(const struct vf_probes *p, const struct vf_vm *frozen)
{
    const struct vf_vm_disk *d = frozen->n_disks ? &frozen->disks[0] : NULL;
    const struct vf_probe_of of = {.transport = VF_TRANSPORT_HTTPS,
                                   .vm = frozen,
                                   .datastore = d ? d->datastore : NULL,
                                   .datastore_moref = d ? d->datastore_moref : NULL,
                                   .object = d ? d->datastore : NULL};
    const struct vf_transport_env env = {
        .vs = p->vs, .reporter = p->reporter, .vm = frozen->name, .cancel = p->limit};
    struct vf_transport *t = vf_transport_https_new(&p->options->transport, &env);
    struct vf_error *e = NULL;
    if (vf_transport_https_probe(t, frozen, p->limit, &e)) {
        vf_probe_file_failed(p, &of, &e);
    } else {
        vf_probe_good(p, &of, 0);
    }
    vf_transport_free(t);
}

static void read_by_all(const struct vf_probes *p, const struct vf_vm *frozen, const char *snapshot,
                        bool *ret_seen)
{
    const struct vf_check_options *o = p->options;
    if (vf_check_may_use(o, VF_TRANSPORT_NFC)) {
        vf_probe_nfc(p, frozen, snapshot, ret_seen);
    }
    if (vf_check_may_use(o, VF_TRANSPORT_HTTPS)) {
        try_https(p, frozen);
    }
    if (vf_check_may_use(o, VF_TRANSPORT_VDDK) && o->transport.vddk_libdir) {
        vf_probe_vddk(p, frozen, snapshot);
    }
}

/* Clean-up: whatever happened before, and also when the time is over. */
static void remove_snapshot(const struct vf_probes *p, const struct vf_vm *vm, const char *moref,
                            const char *name)
{
    struct vf_error *e = NULL;
    if (vf_snapshot_remove(p->vs, moref, true, &e)) {
        char *vf_autofree text = vf_error_format(e);
        vf_report_warning(p->reporter, vm->name,
                          "the snapshot \"%s\" (%s) of the probe may still be there (%s): remove "
                          "it in vSphere, it grows while the VM runs",
                          name, moref, text);
    } else {
        vf_snapshot_settle_disks(p->vs, p->reporter, vm);
    }
    vf_error_free(e);
}

/* Of a creation that was cut short: whoever cancels the check sees no findings. */
static void tell_left(const struct vf_probes *p, const struct vf_vm *vm, const struct vf_error *e)
{
    const char *hint = vf_error_get_hint(e);
    if (vf_error_code(e) == VF_CANCELLED && hint) {
        vf_report_warning(p->reporter, vm->name, "the probe's snapshot was cut short: %s", hint);
    }
}

void vf_probe_snapshot(const struct vf_probes *p, const struct vf_vm *vm, bool *ret_seen)
{
    const struct vf_probe_of of = {.transport = VF_TRANSPORT_NFC, .vm = vm};
    struct vf_snapshot_taken taken = {0};
    struct vf_error *e = NULL;
    if (vf_probe_is_over(p) || !p->vs) {
        vf_probe_not_tried(p, &of, p->no_session ? p->no_session : "no time was left", NULL);
        return;
    }
    char *vf_autofree name = vf_snapshot_new_name(VF_SNAPSHOT_IMPORT_PREFIX);
    const struct vf_snapshot_take take = {.vs = p->vs,
                                          .reporter = p->reporter,
                                          .vm = vm,
                                          .name = name,
                                          .description = "made by vmferry to try how the disks can "
                                                         "be read; removed at once, safe to "
                                                         "remove once no vmferry runs",
                                          .told = true};
    if (vf_snapshot_take(&take, &taken, &e) == 0) {
        /* Where the VM lives is no part of a snapshot. */
        vf_replace_string(&taken.frozen.host_moref, vm->host_moref);
        read_by_all(p, &taken.frozen, taken.moref, ret_seen);
    } else {
        tell_left(p, vm, e);
        vf_probe_failed(p, &of, &e);
    }
    if (taken.moref) {
        remove_snapshot(p, vm, taken.moref, name);
    }
    vf_snapshot_taken_release(&taken);
    vf_error_free(e);
}
