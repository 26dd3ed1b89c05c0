/* The Secret that CDI's importers log in to the source with. */
#include <string.h>

#include "importer/base/inject.h"
#include "importer/base/json.h"
#include "importer/base/mem.h"
#include "importer/base/secret.h"
#include "importer/kube/metadata.h"
#include "importer/kube/resources.h"
#include "jobs/cluster/cdi_private.h"
#include "jobs/cluster/launch_job.h"

/* Keys of the Secret, as CDI wants them (doc/datavolumes.md, "VDDK Data Volume"). */
#define USER_KEY     "accessKeyId"
#define PASSWORD_KEY "secretKey"

int vf_cdi_choose_secret(struct vf_cdi_target *t, const cJSON *volumes, struct vf_error **err)
{
    const cJSON *volume;
    cJSON_ArrayForEach(volume, volumes)
    {
        const cJSON *source = vf_json_object(vf_json_object(volume, "spec"), "source");
        const char *name = vf_json_string(vf_json_object(source, "vddk"), "secretRef");
        if (name && !t->secret && vf_owned_is_ours(volume)) {
            t->secret = vf_xstrdup(name);
        }
    }
    return t->secret ? 0 : vf_worker_secret_name(t->l.owner.import, &t->secret, err);
}

static int build_secret(const struct vf_cdi_target *t, cJSON **ret_secret, struct vf_error **err)
{
    const char *user = vf_vsphere_user(t->vs);
    if (!user || !t->options->password) {
        return vf_error_set(err, VF_INVALID, "CDI needs a user and a password for the source");
    }
    cJSON *secret = vf_json_new_object();
    vf_json_add_string(secret, "apiVersion", "v1");
    vf_json_add_string(secret, "kind", "Secret");
    cJSON *metadata = vf_json_add_object(secret, "metadata");
    vf_json_add_string(metadata, "name", t->secret);
    vf_json_add_string(metadata, "namespace", t->l.ns);
    vf_owned_mark(secret, &t->l.owner, NULL);
    vf_json_add_string(secret, "type", "Opaque");
    cJSON *data = vf_json_add_object(secret, "stringData");
    vf_json_add_string(data, USER_KEY, user);
    vf_json_add_string(data, PASSWORD_KEY, vf_secret_reveal(t->options->password));
    *ret_secret = secret;
    return 0;
}

/* Those of a run that was killed before a DataVolume named them, too. A Job's go with it. */
static bool is_of_cdi(const cJSON *secret)
{
    const cJSON *metadata = vf_json_object(secret, "metadata");
    return vf_owned_is_ours(secret) && vf_owned_is_warm(secret) &&
           !vf_json_array(metadata, "ownerReferences");
}

int vf_cdi_remove_secrets(struct vf_cdi_target *t, struct vf_error **err)
{
    cJSON *secrets = NULL;
    const cJSON *secret;
    int rc = vf_cdi_target_list(t, &vf_kube_secrets, NULL, &secrets, err);
    cJSON_ArrayForEach(secret, secrets)
    {
        if (rc == 0 && is_of_cdi(secret)) {
            rc = vf_cdi_target_delete(t, &vf_kube_secrets, secret, err);
        }
    }
    vf_json_delete_wiped(secrets);
    return rc;
}

int vf_cdi_provide_secret(struct vf_cdi_target *t, struct vf_error **err)
{
    const struct vf_kube_ref ref = {.resource = &vf_kube_secrets, .ns = t->l.ns};
    const struct vf_kube_options options = {.cancel = t->base.im->cancel};
    cJSON *secret = NULL;
    int rc = build_secret(t, &secret, err);
    rc = rc ? rc : vf_cdi_remove_secrets(t, err);
    rc = rc ? rc : vf_inject("cdi.secret", err);
    rc = rc ? rc : vf_kube_create(t->l.client, &ref, secret, &options, NULL, err);
    vf_json_delete_wiped(secret);
    return rc ? vf_error_wrap(err, rc, "making the Secret that CDI logs in with") : 0;
}
