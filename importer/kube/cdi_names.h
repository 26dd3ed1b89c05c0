/* Names of CDI's: annotations, phases, reasons.
 *
 * Source: kubevirt.io/containerized-data-importer v1.65, pkg/controller/common/util.go,
 * pkg/controller/upload-controller.go, pkg/controller/datavolume/controller-base.go;
 * kubevirt.io/containerized-data-importer-api v1.65, pkg/apis/core/v1beta1/types.go.
 */
#ifndef IMPORTER_KUBE_CDI_NAMES_H
#define IMPORTER_KUBE_CDI_NAMES_H

#define VF_CDI_PREFIX "cdi.kubevirt.io/"

/* The one CDIConfig. */
#define VF_CDI_CONFIG "config"

/* Where the uploads' proxy publishes who signs its certificate. */
#define VF_CDI_NAMESPACE  "cdi"
#define VF_CDI_PROXY_CA   "cdi-uploadproxy-signer-bundle"
#define VF_CDI_BUNDLE_KEY "ca-bundle.crt"

/* Annotations of a DataVolume. */
#define VF_CDI_USE_POPULATOR    VF_CDI_PREFIX "storage.usePopulator"
#define VF_CDI_BIND_IMMEDIATELY VF_CDI_PREFIX "storage.bind.immediate.requested"
#define VF_CDI_DELETE_AFTER     VF_CDI_PREFIX "storage.deleteAfterCompletion"

/* Annotations of a claim. */
#define VF_CDI_POD_NAME        VF_CDI_PREFIX "storage.uploadPodName"
#define VF_CDI_IMPORT_POD      VF_CDI_PREFIX "storage.import.importPodName"
#define VF_CDI_POD_PHASE       VF_CDI_PREFIX "storage.pod.phase"
#define VF_CDI_POD_READY       VF_CDI_PREFIX "storage.pod.ready"
#define VF_CDI_POD_RESTARTS    VF_CDI_PREFIX "storage.pod.restarts"
#define VF_CDI_RUNNING_MESSAGE VF_CDI_PREFIX "storage.condition.running.message"
#define VF_CDI_RUNNING_REASON  VF_CDI_PREFIX "storage.condition.running.reason"
#define VF_CDI_BOUND_MESSAGE   VF_CDI_PREFIX "storage.condition.bound.message"
#define VF_CDI_BOUND_REASON    VF_CDI_PREFIX "storage.condition.bound.reason"
#define VF_CDI_PRIME_NAME      VF_CDI_PREFIX "storage.populator.pvcPrime"

/* Annotations of a claim that is filled in stages. The first one with "." and the stage behind; the
 * second one once the last stage is copied, and the others are gone. */
#define VF_CDI_STAGE_COPIED VF_CDI_PREFIX "storage.checkpoint.copied"
#define VF_CDI_STAGES_DONE  VF_CDI_PREFIX "storage.checkpoint.done"
#define VF_CDI_STAGE_NOW    VF_CDI_PREFIX "storage.checkpoint.current"
#define VF_CDI_RUNNING      VF_CDI_PREFIX "storage.condition.running"

/* Annotation of a StorageProfile. */
#define VF_CDI_MINIMUM_SIZE VF_CDI_PREFIX "minimumSupportedPvcSize"

/* Phases of a DataVolume. */
#define VF_CDI_WAIT_FOR_CONSUMER  "WaitForFirstConsumer"
#define VF_CDI_PENDING_POPULATION "PendingPopulation"
#define VF_CDI_UPLOAD_SCHEDULED   "UploadScheduled"
#define VF_CDI_UPLOAD_READY       "UploadReady"
#define VF_CDI_SUCCEEDED          "Succeeded"
#define VF_CDI_FAILED             "Failed"

/* Reasons of conditions and events. */
#define VF_CDI_CLAIM_NOT_VALID "ErrClaimNotValid"
#define VF_CDI_EXCEEDED_QUOTA  "ErrExceededQuota"
#define VF_CDI_AWAITING_VDDK   "AwaitingVDDK"

#endif
