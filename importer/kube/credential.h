/* Who we are, kept fresh: tokens from files are read again, plugins run again, and connections made
 * anew when a client certificate changed.
 */
#ifndef IMPORTER_KUBE_CREDENTIAL_H
#define IMPORTER_KUBE_CREDENTIAL_H

#include <stdbool.h>
#include <stdint.h>

#include <vmferry/cancel.h>
#include <vmferry/error.h>

#include "importer/base/http.h"
#include "importer/kube/config.h"

struct vf_kube_keeper;

/* What one request needs. Borrowed from the keeper until given back. */
struct vf_kube_credential {
    struct vf_http *http;
    const struct vf_secret *authorization; /* NULL: none */
};

/* `config` and `cancel` are borrowed and must outlive the keeper. */
int vf_kube_keeper_new(const struct vf_kube_config *config, const struct vf_cancel *cancel,
                       struct vf_kube_keeper **ret_keeper, struct vf_error **err);
void vf_kube_keeper_free(struct vf_kube_keeper *k); /* after all were given back */

/* Any thread. May run a plugin; one thread does, the others wait for it. */
int vf_kube_keeper_take(struct vf_kube_keeper *k, const struct vf_cancel *cancel,
                        struct vf_kube_credential **ret_credential, struct vf_error **err);
void vf_kube_keeper_give(struct vf_kube_keeper *k, struct vf_kube_credential *c);

/* The server refused `c` (401). *ret_changed: there are others now, worth another try. */
int vf_kube_keeper_renew(struct vf_kube_keeper *k, const struct vf_kube_credential *c,
                         const struct vf_cancel *cancel, bool *ret_changed, struct vf_error **err);

#endif
