/* NetworkAttachmentDefinitions, which NICs are attached to.
 *
 * Source: github.com/k8snetworkplumbingwg/multi-net-spec (k8s.cni.cncf.io/v1); KubeVirt,
 * interfaces and networks (multus.networkName: [NAMESPACE/]NAME).
 */
#ifndef IMPORTER_KUBE_ATTACHMENT_H
#define IMPORTER_KUBE_ATTACHMENT_H

#include <vmferry/cancel.h>
#include <vmferry/error.h>

#include "importer/kube/client.h"

/* Is "NAME" (of namespace `ns`) or "NAMESPACE/NAME" there? VF_MISSING, with what to do; VF_AUTH
 * with status 403 when this account may not look. */
int vf_kube_check_attachment(struct vf_kube_client *client, const char *ns, const char *attachment,
                             const struct vf_cancel *cancel, struct vf_error **err);

#endif
