/* KubeVirt as a client meets it.
 *
 * Source: KubeVirt v1.8, docs and staging/src/kubevirt.io/api (core/v1, subresources).
 */
#ifndef IMPORTER_KUBE_VIRTUAL_MACHINE_H
#define IMPORTER_KUBE_VIRTUAL_MACHINE_H

#include <cjson/cJSON.h>
#include <stdbool.h>
#include <stdint.h>

#include <vmferry/cancel.h>
#include <vmferry/error.h>

#include "importer/kube/client.h"

/* Is KubeVirt here, with the version this client speaks? VF_UNSUPPORTED when not. */
int vf_virtual_machine_check(struct vf_kube_client *client, const struct vf_cancel *cancel,
                             struct vf_error **err);

/* Create `object` (with dry_run: have the server check it and keep nothing). When the answer to a
 * create is lost the object is looked for by name: ours is taken as created. VF_INVALID with the
 * webhook's fields when it is refused; VF_RETRY when a webhook cannot be reached. *ret_object (may
 * be NULL) as the server completed it. */
int vf_virtual_machine_create(struct vf_kube_client *client, const char *ns, const cJSON *object,
                              bool dry_run, const struct vf_cancel *cancel, cJSON **ret_object,
                              struct vf_error **err);

/* Ask KubeVirt to start it: PUT .../start of the subresource API. Running already is good. */
int vf_virtual_machine_start(struct vf_kube_client *client, const char *ns, const char *name,
                             const struct vf_cancel *cancel, struct vf_error **err);

/* printableStatus as it changes; 1: enough. */
typedef int vf_virtual_machine_tell_fn(void *opaque, const char *status, const char *message);

/* Follow the VM's status until it is `Running` (0), or timeout_ms passes (VF_RETRY with reason
 * VF_KUBE_REASON_TIMEOUT and the last status in the message), or it is in a state it does not
 * leave by itself (ErrorUnschedulable, DataVolumeError, ErrorPvcNotFound, CrashLoopBackOff,
 * ErrImagePull ...: VF_CONFLICT, with condition's message). `tell` may be NULL. */
int vf_virtual_machine_wait_running(struct vf_kube_client *client, const char *ns, const char *name,
                                    int64_t timeout_ms, vf_virtual_machine_tell_fn *tell,
                                    void *opaque, const struct vf_cancel *cancel,
                                    struct vf_error **err);

/* Does a VirtualMachine, or an instance of one, name the claim or DataVolume `name` anywhere? Pure.
 */
bool vf_virtual_machine_uses(const cJSON *object, const char *name);

#endif
