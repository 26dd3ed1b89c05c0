/* Private to the import job: what its sources (import_vsphere.c, import_package.c) share.
 *
 * Order: open_target, then prepare once the VM is known, then the copies, then finish.
 */
#ifndef JOBS_IMPORT_PLAN_H
#define JOBS_IMPORT_PLAN_H

#include <vmferry/vm.h>

#include "importer/target/dir.h"
#include "jobs/disk_copy.h"
#include "jobs/import.h"
#include "jobs/record.h"

enum vf_import_progress {
    VF_IMPORT_COPYING,    /* only partial files */
    VF_IMPORT_COMMITTING, /* some files may have their final names, and others not */
    VF_IMPORT_WHOLE,      /* the record is written */
};

struct vf_import {
    const struct vf_import_options *options;
    struct vf_reporter *reporter;
    struct vf_cancel *cancel; /* the user's, with this job's own on top */
    struct vf_copy_env env;
    struct vf_dir *dir;
    char *vm_name; /* as the source calls it */
    char *name;    /* of objects and files */
    struct vf_disk_copy *copies;
    size_t n_copies;
    char *manifests; /* text, made before the copy so that what cannot be described is
                        told early; made again with the digests */
    enum vf_import_progress progress;
    bool warned; /* of what the VM loses */
    bool snapshot, quiesced;
    char *source; /* for record and manifests */
};

/* Prepare a copy for each disk of `vm`: names, reservations, space; warn of what the VM loses. */
int vf_import_prepare(struct vf_import *im, const struct vf_vm *vm, struct vf_error **err);

/* Commit images, manifests and record, in that order. */
int vf_import_finish(struct vf_import *im, const struct vf_vm *vm, struct vf_error **err);

int vf_import_vsphere(struct vf_import *im, struct vf_error **err);
int vf_import_package(struct vf_import *im, struct vf_error **err);
int vf_import_vmdk(struct vf_import *im, struct vf_error **err);

#endif
