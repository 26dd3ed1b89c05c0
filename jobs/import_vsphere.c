/* Import from vCenter or an ESXi host: cold by ExportVm, running by a snapshot's export. */
#include <stdlib.h>
#include <string.h>

#include "importer/base/mem.h"
#include "importer/vsphere/inventory.h"
#include "importer/vsphere/lease.h"
#include "importer/vsphere/snapshot.h"
#include "jobs/export_copy.h"
#include "jobs/export_streams.h"
#include "jobs/find_vm.h"
#include "jobs/import_plan.h"
#include "jobs/preflight/preflight.h"
#include "jobs/snapshot_take.h"

struct vsphere_import {
    struct vf_import *im;
    struct vf_vsphere *vs;
    struct vf_vm vm;                /* as it is */
    struct vf_snapshot_taken taken; /* its moref NULL: none made, or removed again */
    struct vf_lease *lease;
};

static const struct vf_vm *exported_vm(const struct vsphere_import *v)
{
    return v->taken.has_frozen ? &v->taken.frozen : &v->vm;
}

/* --- snapshot ---------------------------------------------------------------------------- */

static void warn_of_leftovers(const struct vsphere_import *v)
{
    for (size_t i = 0; i < v->vm.n_snapshots; i++) {
        const char *name = v->vm.snapshots[i].name;
        if (name &&
            strncmp(name, VF_SNAPSHOT_IMPORT_PREFIX, strlen(VF_SNAPSHOT_IMPORT_PREFIX)) == 0) {
            vf_report_warning(v->im->reporter, v->vm.name,
                              "snapshot \"%s\" (%s) is of an earlier or another vmferry; remove it "
                              "once none runs any more",
                              name, v->vm.snapshots[i].moref);
        }
    }
}

static int take_snapshot(struct vsphere_import *v, struct vf_error **err)
{
    struct vf_import *im = v->im;
    warn_of_leftovers(v);
    char *vf_autofree name = vf_snapshot_new_name(VF_SNAPSHOT_IMPORT_PREFIX);
    const struct vf_snapshot_take take = {
        .vs = v->vs,
        .reporter = im->reporter,
        .vm = &v->vm,
        .mapping = im->options->mapping,
        .name = name,
        .description = "made by vmferry for a copy of the disks; removed when the copy ends, safe "
                       "to remove once no vmferry runs",
        .quiesce = !im->options->no_quiesce};
    int rc = vf_snapshot_take(&take, &v->taken, err);
    if (rc) {
        return rc;
    }
    im->snapshot = true;
    im->quiesced = v->taken.quiesced;
    if (v->taken.frozen.n_disks != v->vm.n_disks) {
        return vf_error_set(err, VF_CONFLICT,
                            "the snapshot holds %zu disks, but the VM has %zu: its hardware was "
                            "changed meanwhile",
                            v->taken.frozen.n_disks, v->vm.n_disks);
    }
    return 0;
}

/* Clean-up: whatever happened before, and also when cancelled. */
static int remove_snapshot(struct vsphere_import *v, struct vf_error **err)
{
    if (!v->taken.moref) {
        return 0;
    }
    vf_report_phase(v->im->reporter, v->vm.name, "cleanup", "removing snapshot \"%s\"",
                    v->taken.name);
    int rc = vf_snapshot_remove(v->vs, v->taken.moref, true, err);
    if (rc) {
        vf_error_hint(err,
                      "the snapshot \"%s\" (%s) may still be there: remove it in vSphere, it "
                      "grows while the VM runs",
                      v->taken.name, v->taken.moref);
        return vf_error_wrap(err, rc, "removing the snapshot");
    }
    free(vf_take(v->taken.moref));
    return 0;
}

/* --- export ------------------------------------------------------------------------------ */

static int copy_disks(struct vsphere_import *v, struct vf_error **err)
{
    struct vf_import *im = v->im;
    struct vf_cancel *cancel = vf_cancel_new(im->cancel);
    if (!cancel) {
        return vf_error_set(err, VF_INTERNAL, "no descriptor left");
    }
    vf_report_phase(im->reporter, v->vm.name, "copy", "%zu disk%s of \"%s\" by NFC export%s",
                    im->n_copies, im->n_copies == 1 ? "" : "s", v->vm.name,
                    v->taken.moref ? " of the snapshot" : "");
    int rc = vf_export_open(v->vs, &v->vm, v->taken.moref, im->reporter, &v->lease, err);
    if (rc == 0) {
        struct vf_export_copy x = {.vs = v->vs,
                                   .lease = v->lease,
                                   .vm = exported_vm(v),
                                   .http = &im->options->vsphere.http,
                                   .env = &im->env,
                                   .copies = im->copies,
                                   .parallel = im->options->parallel_disks,
                                   .cancel = cancel};
        rc = vf_export_copy_run(&x, err);
    }
    if (rc == 0) {
        struct vf_error *e = NULL;
        if (vf_lease_complete(v->lease, &e) != 0) {
            /* All was read and checked; the lease ends by itself. */
            vf_report_warning(im->reporter, v->vm.name, "the export could not be closed: %s",
                              vf_error_message(e));
        }
        vf_error_free(e);
    }
    vf_lease_free(vf_take(v->lease));
    vf_cancel_free(cancel);
    return rc;
}

/* What would keep the copy from being made does not keep anybody from a look at what it would be.
 */
static int check_exportable(const struct vsphere_import *v, struct vf_error **err)
{
    struct vf_error *e = NULL;
    int rc = vf_vm_check_exportable(&v->vm, v->im->options->mapping, &e);
    if (rc && v->im->options->dry_run) {
        vf_report_warning(v->im->reporter, v->vm.name, "it could not be copied now: %s",
                          vf_error_message(e));
        vf_error_clear(&e);
        rc = 0;
    }
    vf_error_move(err, &e);
    return rc;
}

/* By the rules of preflight, before anything is touched. */
static int judge(const struct vsphere_import *v, struct vf_error **err)
{
    const struct vf_import *im = v->im;
    const struct vf_check_options check = {.import = im->options};
    if (im->options->no_check || im->options->dry_run) {
        return 0;
    }
    return vf_preflight_before_copy(&check, v->vs, im->landing->client, &v->vm,
                                    im->options->skip_checks, im->reporter, im->cancel, err);
}

static int import_found(struct vsphere_import *v, struct vf_error **err)
{
    struct vf_import *im = v->im;
    int rc = check_exportable(v, err);
    rc = rc ? rc : judge(v, err);
    if (rc == 0) {
        /* Before the snapshot: what can be refused is refused without touching the VM. */
        rc = vf_import_prepare(im, &v->vm, err);
    }
    if (rc == 0 && v->vm.n_disks > 0) {
        rc = v->vm.power == VF_POWER_ON ? take_snapshot(v, err) : 0;
        rc = rc ? rc : copy_disks(v, err);
    }
    bool had_snapshot = v->taken.moref != NULL;
    struct vf_error *e = NULL;
    int cleanup_rc = remove_snapshot(v, &e);
    if (had_snapshot && cleanup_rc == 0) {
        vf_snapshot_settle_disks(v->vs, im->reporter, &v->vm);
    }
    if (cleanup_rc && rc) {
        char *vf_autofree text = vf_error_format(e);
        vf_report_warning(im->reporter, v->vm.name, "%s; %s", text, vf_error_get_hint(e));
    }
    if (rc == 0) {
        rc = vf_import_finish(im, exported_vm(v), err);
    }
    if (rc == 0 && cleanup_rc) {
        vf_error_wrap(&e, cleanup_rc, "the import (%s) is complete, but", im->landing->place);
        vf_error_move(err, &e);
        rc = cleanup_rc;
    }
    vf_error_free(e);
    return rc;
}

int vf_import_vsphere(struct vf_import *im, struct vf_error **err)
{
    struct vsphere_import v = {.im = im};
    vf_vm_init(&v.vm);
    vf_report_phase(im->reporter, im->options->vm, "connect", "logging in to %s",
                    im->options->vsphere.url);
    int rc = vf_vsphere_login(&im->options->vsphere, im->cancel, &v.vs, err);
    if (rc) {
        return rc;
    }
    im->source = vf_xstrdup(vf_vsphere_host(v.vs));
    rc = vf_find_vm(v.vs, im->options->vm, im->reporter, &v.vm, err);
    if (rc == 0) {
        vf_mapping_set_aside(im->options->mapping, &v.vm);
        rc = import_found(&v, err);
        if (rc) {
            rc = vf_error_wrap(err, rc, "vm \"%s\"", v.vm.name);
        }
    }
    vf_vsphere_free(v.vs);
    vf_vm_release(&v.vm);
    vf_snapshot_taken_release(&v.taken);
    return rc;
}
