/* Why a DataVolume, or a claim, does not get on. */
#ifndef IMPORTER_KUBE_CDI_EXPLAIN_H
#define IMPORTER_KUBE_CDI_EXPLAIN_H

#include <cjson/cJSON.h>

#include <vmferry/cancel.h>
#include <vmferry/error.h>

#include "importer/kube/client.h"
#include "importer/kube/hold.h"

/* Reads the claim `name`, the claims and the pod that it hangs on, and their events, as far as this
 * account may. `volume` is the DataVolume as it was read last; NULL for a claim that has none.
 * *h is zero on entry, and stays so when nothing is known to be wrong. Errors: of the client. */
int vf_cdi_explain(struct vf_kube_client *client, const char *ns, const char *name,
                   const cJSON *volume, const struct vf_cancel *cancel, struct vf_kube_hold *h,
                   struct vf_error **err);

/* The part that a DataVolume alone tells. Pure. */
void vf_cdi_hold_volume(struct vf_kube_hold *h, const cJSON *volume);

#endif
