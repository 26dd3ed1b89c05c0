/* Private to jobs/cluster: a VM lands in a cluster. What the landing (landing.c), its disks
 * (upload_target.c, claim_target.c), the machine (machine.c) and the Job that copies (launch.c)
 * share.
 */
#ifndef JOBS_CLUSTER_LANDING_H
#define JOBS_CLUSTER_LANDING_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <vmferry/vm.h>

#include "importer/base/http.h"
#include "importer/kube/cdi.h"
#include "importer/kube/client.h"
#include "importer/kube/owned.h"
#include "importer/kube/storage.h"
#include "importer/target/upload.h"
#include "jobs/import_plan.h"

/* How long the cluster may take, unless it was told; each wait says what it waits for. */
#define VF_CLUSTER_READY_TIMEOUT_MS     (10 * 60 * 1000)
#define VF_CLUSTER_SUCCEEDED_TIMEOUT_MS (30 * 60 * 1000)
#define VF_CLUSTER_DELETE_TIMEOUT_MS    (2 * 60 * 1000)
#define VF_CLUSTER_START_TIMEOUT_MS     (5 * 60 * 1000)
#define VF_CLUSTER_CREATE_TIMEOUT_MS    (5 * 60 * 1000)

struct vf_landing_cluster;

/* One disk and its claim. */
struct vf_cluster_disk {
    struct vf_disk_target target;
    struct vf_landing_cluster *landing;
    size_t index;
    char *claim;       /* name of the claim, and of the DataVolume if there is one */
    const char *label; /* "Hard disk 1"; the copy's */
    const struct vf_kube_storage *storage; /* of the landing's */
    char *mount;                           /* target CLAIM: device or folder */
    uint64_t size_bytes;                   /* 0: not known yet */
    char *uid;      /* of what was made for it: DataVolume or claim; NULL: nothing */
    bool may_exist; /* no uid: a create was sent, and its answer lost */
    unsigned tries; /* uploads that were begun */
    bool in_doubt;  /* of an upload all was sent, and its answer lost */
};

/* One kind of storage that disks were mapped to. */
struct vf_cluster_storage {
    char *class_name, *volume_mode, *access_mode; /* as wished for; NULL: the cluster's choice */
    struct vf_kube_storage *storage;
};

struct vf_landing_cluster {
    struct vf_landing landing;
    struct vf_kube_client *client; /* requests have cancels of their own; the clean-up has none */
    const char *ns;                /* the client's */
    struct vf_cdi_facts facts;
    struct vf_cluster_storage *storages; /* each asked for once */
    size_t n_storages;
    struct vf_http *proxy; /* target UPLOAD; so the two below */
    char *proxy_url;
    enum vf_upload_coding coding;
    char *source_uuid;
    struct vf_owner owner; /* borrows from the import */
    struct vf_cluster_disk *disks;
    size_t n_disks;
    bool keep;  /* what was made stays, even when the import fails */
    bool whole; /* the VM was accepted */
    bool kept;  /* of a warm migration: its checkpoint is elsewhere than on the claims, and there */
    bool warm;  /* of a warm migration: owner.warm is set, and what is unfinished is gone on with */
};

/* landing_open.c */

/* Client, namespace, what has to be served: l->landing.im is set. */
int vf_cluster_landing_connect(struct vf_landing_cluster *l, struct vf_error **err);
void vf_cluster_landing_release(struct vf_landing_cluster *l); /* all but l itself */
bool vf_cluster_is_upload(const struct vf_landing_cluster *l);
/* The claims are made here, by whoever makes the Job that fills them. */
bool vf_cluster_is_launch(const struct vf_landing_cluster *l);
/* What stays the same for this VM, whatever it is called. Caller frees. */
char *vf_cluster_identity(const struct vf_import *im, const struct vf_vm *vm);
/* The server looks at a claim without keeping it: rights, quota, webhooks. *ret_object (may be
 * NULL) is what would be made. */
int vf_cluster_check_claim(struct vf_cluster_disk *d, cJSON **ret_object, struct vf_error **err);
/* The server looks at the VM in the same way. Appends to `documents`. */
int vf_cluster_check_machine(struct vf_landing_cluster *l, const struct vf_vm *vm, cJSON *documents,
                             struct vf_error **err);
/* "disk 1 (Hard disk 2): ..." */
int vf_cluster_wrap_disk(const struct vf_cluster_disk *d, int rc, struct vf_error **err);

/* storages.c: d->storage, as the mapping tells of disk `i` of the VM. Errors name the disk. */
int vf_cluster_choose_storage(struct vf_cluster_disk *d, const struct vf_vm *vm, size_t i,
                              struct vf_error **err);
/* Of a claim that is there, as it is, whatever the mapping tells by now. */
int vf_cluster_choose_storage_of(struct vf_cluster_disk *d, const char *class_name,
                                 const char *volume_mode, const struct vf_vm *vm, size_t i,
                                 struct vf_error **err);
/* The same before the VM is known, where no more than one kind can be wished for: what is not there
 * is told before anybody logs in to the source. */
int vf_cluster_check_storage(struct vf_landing_cluster *l, struct vf_error **err);
void vf_cluster_storages_release(struct vf_landing_cluster *l);
/* class "fast", or classes "fast", "slow": of all disks. Caller frees. */
char *vf_cluster_describe_storages(const struct vf_landing_cluster *l);

/* landing.c */

/* Every disk is whole: its size and digest as the copies have them, its claim labelled so.
 * `by_volume`: of DataVolumes that were made here, known again by their uid. */
int vf_cluster_mark_complete(struct vf_landing_cluster *l, bool by_volume, struct vf_error **err);

/* The plan of a disk's claim; borrows from the landing. */
struct vf_claim_plan vf_cluster_claim_plan(const struct vf_cluster_disk *d);
/* The wait for this disk's object. */
struct vf_cdi_wait vf_cluster_wait(struct vf_cluster_disk *d, int64_t timeout_ms,
                                   const struct vf_cancel *cancel);
/* Create the object of a disk that was built (freed here) and note its uid, also where the answer
 * is lost or the import cancelled meanwhile. */
int vf_cluster_make(struct vf_cluster_disk *d, const struct vf_kube_resource *resource,
                    cJSON *object, bool dry_run, const struct vf_cancel *cancel,
                    struct vf_error **err);

/* Takes *e over as *err. What the cluster did not do in its time, or could not be asked for as long
 * as it may be away, another copy would not change: such a VF_RETRY becomes VF_CONFLICT. */
int vf_cluster_settle(int rc, struct vf_error **e, struct vf_error **err);

/* names.c: settle im->name, and with it the claims', against what is in the cluster. Removes what
 * an earlier try of this import left unless only `look`ing; what a warm migration left is gone on
 * with by a warm one, and refused by an import. */
int vf_cluster_settle_names(struct vf_landing_cluster *l, const struct vf_vm *vm, bool look,
                            struct vf_error **err);

/* upload_target.c */
void vf_cluster_upload_target_init(struct vf_cluster_disk *d);
/* Make the DataVolume of a disk whose size is known, and wait until it takes an upload. */
int vf_cluster_upload_prepare(struct vf_cluster_disk *d, const struct vf_cancel *cancel,
                              struct vf_error **err);
/* How disks are compressed on their way. */
int vf_cluster_upload_choose_coding(struct vf_landing_cluster *l, struct vf_error **err);

/* claim_target.c */
void vf_cluster_claim_target_init(struct vf_cluster_disk *d);
/* The claim is ours, mounted, writable and large enough. */
int vf_cluster_claim_prepare(struct vf_cluster_disk *d, const struct vf_cancel *cancel,
                             struct vf_error **err);

/* machine.c */

/* The VirtualMachine as it will be made, marked as ours; warns of what the VM loses, once. */
int vf_cluster_build_machine(struct vf_landing_cluster *l, const struct vf_vm *vm,
                             cJSON **ret_object, struct vf_error **err);
/* Make it, start it if that was asked for, and say where it is. */
int vf_cluster_make_machine(struct vf_landing_cluster *l, const struct vf_vm *vm,
                            struct vf_error **err);
/* The two halves. Of a warm migration one that is there already, of this very one, is good. */
int vf_cluster_create_machine(struct vf_landing_cluster *l, const struct vf_vm *vm,
                              struct vf_error **err);
int vf_cluster_start_machine(struct vf_landing_cluster *l, struct vf_error **err);
/* Is the VirtualMachine of that name there, and this import's? */
int vf_cluster_fetch_made(const struct vf_landing_cluster *l, const struct vf_cancel *cancel,
                          bool *ret_made, struct vf_error **err);

/* networks.c: the NetworkAttachmentDefinitions that the VM's NICs were told to use are there; with
 * --start those that are guessed too, since the VM would not start. */
int vf_cluster_check_networks(const struct vf_landing_cluster *l, const struct vf_vm *vm,
                              struct vf_error **err);

/* launch.c: claims, a Secret and a Job that mounts them and imports the VM with target CLAIM; the
 * Job is followed to its end, and removed. On failure the claims are removed by the landing. */
int vf_cluster_launch(struct vf_landing_cluster *l, const struct vf_vm *vm, struct vf_error **err);

#endif
