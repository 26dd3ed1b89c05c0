/* `--to pvc --transport cdi`: CDI copies by itself, from vSphere by VMware's library into the
 * claims of DataVolumes, one snapshot after the other (importer/kube/cdi_stage.h). The target makes
 * what it needs for that, keeps the checkpoint, and makes the VM in the end; cdi_transport.h has
 * the rounds copied.
 *
 * The checkpoint is in a ConfigMap, "vmferry.NAME.checkpoint": there is no claim before the first
 * snapshot, and what CDI copied is noted by CDI itself. A DataVolume carries the ConfigMap's uid:
 * one that was made since for other purposes, or by somebody else, is not what the checkpoint
 * describes, and its disk is copied in full.
 *
 * Not had with CDI: digests, checkpoints inside a round, VolumeSnapshots to go back to.
 */
#ifndef JOBS_CLUSTER_CDI_TARGET_H
#define JOBS_CLUSTER_CDI_TARGET_H

#include <vmferry/error.h>

#include "importer/vsphere/vsphere.h"
#include "jobs/import_plan.h"
#include "jobs/migration/transport.h"
#include "jobs/migration/warm_target.h"

/* im->options->target is VF_TO_CLAIM, to_path NULL. `options` (vddk_thumbprint, password) and `vs`
 * are borrowed and must outlive the target. `vm` as it is now says whose the objects are; sets
 * im->name unless it is set. Store and board are there at once. */
int vf_warm_target_cdi_open(struct vf_import *im, const struct vf_transport_options *options,
                            struct vf_vsphere *vs, const struct vf_vm *vm,
                            struct vf_warm_target **ret_target, struct vf_error **err);

#endif
