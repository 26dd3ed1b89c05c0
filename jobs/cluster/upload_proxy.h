/* CDI's upload proxy: where it is, how it is trusted, whether it answers. */
#ifndef JOBS_CLUSTER_UPLOAD_PROXY_H
#define JOBS_CLUSTER_UPLOAD_PROXY_H

#include <vmferry/cancel.h>
#include <vmferry/error.h>

#include "importer/base/http.h"
#include "importer/kube/cdi.h"
#include "jobs/import.h"

/* At the address that was told, or else that CDI publishes; trusted as was told, or else by CDI's
 * own bundle. It is asked once, so that a wrong address or certificate is found before anything is
 * made. *ret_url (heap) has no slash at its end. VF_MISSING: no address is known; VF_AUTH: not
 * trusted; VF_RETRY: no way there; VF_INVALID: no address. */
int vf_upload_proxy_open(const struct vf_import_cluster *cluster, const struct vf_cdi_facts *facts,
                         const struct vf_cancel *cancel, struct vf_http **ret_http, char **ret_url,
                         struct vf_error **err);

#endif
