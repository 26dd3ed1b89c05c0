/* Private to the import job: what its sources (import_vsphere.c, import_package.c) and its landings
 * (landing_dir.c, cluster/) share.
 *
 * Order: the landing is opened, vf_import_prepare once the VM is known, the copies,
 * vf_import_finish; the landing is freed in any case.
 */
#ifndef JOBS_IMPORT_PLAN_H
#define JOBS_IMPORT_PLAN_H

#include <cjson/cJSON.h>

#include <vmferry/vm.h>

#include "converters/vm/manifest.h"
#include "converters/vm/mapping.h"
#include "jobs/disk_copy.h"
#include "jobs/import.h"

struct vf_import;
struct vf_landing;

/* The reason (vf_error_reason) of a VF_CANCELLED by which a landing's prepare ends the import well
 * before anything is copied here: a dry run, or a Job that did it all. */
#define VF_IMPORT_LANDED "Landed"

/* Where a VM lands: a folder, or a cluster. */
struct vf_landing_ops {
    /* The VM is known, and nothing of it was touched yet. Makes sure of im->name (which it may
     * replace) and gives each of im->copies its target; refuses what can be refused. `vm` may lack
     * capacities, which a stream tells later. */
    int (*prepare)(struct vf_landing *l, const struct vf_vm *vm, struct vf_error **err);
    /* Every disk is whole and durable: make what belongs around them. */
    int (*finish)(struct vf_landing *l, const struct vf_vm *vm, struct vf_error **err);
    /* Removes what is not finished, or tells what had to stay. */
    void (*free)(struct vf_landing *l);
};

struct vf_landing {
    const struct vf_landing_ops *ops;
    struct vf_import *im;          /* borrowed */
    char *place;                   /* for people, once it is known; freed by ops->free */
    struct vf_kube_client *client; /* of a cluster; borrowed; NULL: none is asked */
};

struct vf_import {
    const struct vf_import_options *options;
    struct vf_reporter *reporter;
    struct vf_cancel *cancel; /* the user's, with this job's own on top */
    struct vf_copy_env env;
    struct vf_landing *landing;
    char *vm_name; /* as the source calls it */
    char *name;    /* of objects and files */
    struct vf_disk_copy *copies;
    size_t n_copies;
    bool prepared; /* the landing is: a broken copy may be tried again */
    bool warned;   /* of what the VM loses */
    bool finished; /* what was to be made is there, whatever else fails */
    bool snapshot, quiesced;
    char *source;                /* for record and manifests */
    cJSON *documents;            /* of a dry run: array of what would be made */
    struct vf_manifests planned; /* of one that asks no cluster: the same, with all that is known */
};

/* What NICs go by; NULL: nothing is told. */
const struct vf_network_map *vf_import_networks(const struct vf_import *im);

/* One for each of the VM's disks, in the place of those before; the targets are the landing's. */
void vf_import_make_copies(struct vf_import *im, const struct vf_vm *vm);

/* What it owns but for the landing and the documents; a zeroed one too. */
void vf_import_release(struct vf_import *im);

/* Makes the copies of `vm`'s disks, and has the landing prepare for them. What is not copied was
 * set aside before (vf_mapping_set_aside); a VM may have nothing else, and then no copy follows. */
int vf_import_prepare(struct vf_import *im, const struct vf_vm *vm, struct vf_error **err);
int vf_import_finish(struct vf_import *im, const struct vf_vm *vm, struct vf_error **err);

/* As vf_import_run with a dry run that asks no cluster, and tells nobody. *ret_vm is the VM's name
 * at the source; both are the caller's. */
int vf_import_plan(const struct vf_import_options *options, struct vf_cancel *cancel, char **ret_vm,
                   struct vf_manifests *ret_planned, struct vf_error **err);

/* "vsphere", "ova", ... */
const char *vf_import_kind_name(enum vf_import_kind kind);

int vf_import_vsphere(struct vf_import *im, struct vf_error **err);
int vf_import_package(struct vf_import *im, struct vf_error **err);
int vf_import_vmdk(struct vf_import *im, struct vf_error **err);

int vf_landing_dir_open(struct vf_import *im, const char *path, struct vf_landing **ret_landing,
                        struct vf_error **err);
/* Builds what would be made, and ends the import. */
struct vf_landing *vf_landing_plan_new(struct vf_import *im);
/* target UPLOAD or CLAIM */
int vf_landing_cluster_open(struct vf_import *im, struct vf_landing **ret_landing,
                            struct vf_error **err);

#endif
