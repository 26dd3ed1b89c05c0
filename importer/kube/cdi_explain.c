#include "importer/kube/cdi_explain.h"

#include <stdlib.h>
#include <string.h>

#include "importer/base/json.h"
#include "importer/base/mem.h"
#include "importer/kube/cdi_names.h"
#include "importer/kube/metadata.h"
#include "importer/kube/resources.h"
#include "importer/kube/text.h"

#define MAX_TEXT_BYTES 600
/* Of a pod: the target, the scratch space, and some more that an admission may add. */
#define MAX_POD_VOLUMES 8

struct explaining {
    struct vf_kube_client *client;
    const char *ns;
    const struct vf_cancel *cancel;
    struct vf_kube_hold *h;
};

static bool is(const char *have, const char *value)
{
    return have && strcmp(have, value) == 0;
}

/* Of the condition that CDI sets when it cannot make the claim. */
static void hold_claim_refused(struct vf_kube_hold *h, const cJSON *volume)
{
    const cJSON *bound = vf_kube_condition(volume, "Bound");
    const char *reason = vf_json_string(bound, "reason");
    char *vf_autofree message =
        vf_kube_clean_text(vf_json_string(bound, "message"), MAX_TEXT_BYTES);
    if (is(reason, VF_CDI_CLAIM_NOT_VALID)) {
        vf_kube_hold_set(h, VF_INVALID,
                         "check the storage class and its StorageProfile, or choose with "
                         "--storage-class, --volume-mode and --access-mode",
                         "CDI cannot make the claim: %s", message);
    } else if (is(reason, VF_CDI_EXCEEDED_QUOTA)) {
        vf_kube_hold_set(h, VF_SPACE,
                         "have the namespace's ResourceQuota raised, or free what is not needed; "
                         "an upload takes the claim's size twice, for its scratch space",
                         "quota: %s", message);
    }
}

static bool binds_immediately(const cJSON *volume)
{
    return vf_kube_annotation(volume, VF_CDI_BIND_IMMEDIATELY) != NULL;
}

void vf_cdi_hold_volume(struct vf_kube_hold *h, const cJSON *volume)
{
    const char *phase = vf_kube_phase(volume);
    hold_claim_refused(h, volume);
    if (is(phase, VF_CDI_FAILED)) {
        vf_kube_hold_set(h, VF_MISSING, NULL, "the claim has lost its volume");
    }
    /* Asked to bind at once, CDI still names the phase so until its pod is scheduled. */
    if ((is(phase, VF_CDI_WAIT_FOR_CONSUMER) || is(phase, VF_CDI_PENDING_POPULATION)) &&
        !binds_immediately(volume)) {
        vf_kube_hold_set(h, 0,
                         "go on with --bind-immediately, or with a storage class whose "
                         "volumeBindingMode is Immediate",
                         "the claim waits for its first consumer: its storage class makes a volume "
                         "only when a pod uses it");
    }
}

static int fetch_claim(const struct explaining *x, const char *name, cJSON **ret_claim,
                       struct vf_error **err)
{
    const struct vf_kube_ref ref = {.resource = &vf_kube_claims, .ns = x->ns, .name = name};
    return vf_kube_get_if_may(x->client, &ref, x->cancel, ret_claim, err);
}

static int hold_by_events(const struct explaining *x, const cJSON *object, const char *what,
                          enum vf_kube_hold_scope scope, struct vf_error **err)
{
    return vf_kube_fetch_hold_events(x->client, x->ns, vf_kube_uid(object), what, scope, x->cancel,
                                     x->h, err);
}

static char *describe(const char *what, const cJSON *object)
{
    char *vf_autofree name = vf_kube_clean_text(vf_kube_name(object), 253);
    return vf_xasprintf("%s \"%s\"", what, name);
}

/* A claim beside the target that has to be bound as well. */
static int hold_by_other_claim(const struct explaining *x, const char *name, struct vf_error **err)
{
    cJSON *claim = NULL;
    int rc = fetch_claim(x, name, &claim, err);
    if (!rc && claim && !is(vf_kube_phase(claim), "Bound")) {
        char *vf_autofree what = describe("claim", claim);
        rc = hold_by_events(x, claim, what, VF_KUBE_HOLD_ALL, err);
    }
    cJSON_Delete(claim);
    return rc;
}

static int hold_by_pod_claims(const struct explaining *x, const cJSON *pod, const char *target,
                              struct vf_error **err)
{
    const cJSON *volume;
    unsigned n = 0;
    int rc = 0;
    cJSON_ArrayForEach(volume, vf_json_array(vf_json_object(pod, "spec"), "volumes"))
    {
        const char *name =
            vf_json_string(vf_json_object(volume, "persistentVolumeClaim"), "claimName");
        if (name && strcmp(name, target) != 0 && !rc && n++ < MAX_POD_VOLUMES) {
            rc = hold_by_other_claim(x, name, err);
        }
    }
    return rc;
}

/* CDI's pod: what it says itself says less than the claims that it waits for. */
static int hold_by_pod(const struct explaining *x, const cJSON *claim, struct vf_error **err)
{
    const char *upload = vf_kube_annotation(claim, VF_CDI_POD_NAME);
    const char *name = upload ? upload : vf_kube_annotation(claim, VF_CDI_IMPORT_POD);
    cJSON *pod = NULL;
    if (!name || x->h->message) {
        return 0;
    }
    const struct vf_kube_ref ref = {.resource = &vf_kube_pods, .ns = x->ns, .name = name};
    int rc = vf_kube_get_if_may(x->client, &ref, x->cancel, &pod, err);
    if (rc || !pod) {
        return rc;
    }
    if (is(vf_kube_phase(pod), "Pending")) {
        char *vf_autofree what = describe("pod", pod);
        rc = hold_by_pod_claims(x, pod, vf_kube_name(claim) ? vf_kube_name(claim) : "", err);
        vf_kube_hold_pod(x->h, pod);
        rc = rc ? rc : hold_by_events(x, pod, what, VF_KUBE_HOLD_WARNINGS, err);
    } else {
        vf_kube_hold_pod(x->h, pod);
    }
    cJSON_Delete(pod);
    return rc;
}

/* What CDI tells of its pod; the only thing when it could not make one. */
static void hold_by_annotations(struct vf_kube_hold *h, const cJSON *claim)
{
    const char *reason = vf_kube_annotation(claim, VF_CDI_RUNNING_REASON);
    const char *text = vf_kube_annotation(claim, VF_CDI_RUNNING_MESSAGE);
    if (is(vf_kube_annotation(claim, VF_CDI_BOUND_REASON), VF_CDI_AWAITING_VDDK)) {
        vf_kube_hold_set(h, 0,
                         "name the image with VMware's library by --vddk-image, or in ConfigMap "
                         "\"v2v-vmware\" of CDI's namespace, key \"vddk-init-image\"",
                         "CDI has not been told which image has VMware's library");
    }
    if (!text || !*text) {
        return;
    }
    char *vf_autofree message = vf_kube_clean_text(text, MAX_TEXT_BYTES);
    if (is(reason, VF_CDI_EXCEEDED_QUOTA)) {
        /* Other uploads that end make room. */
        vf_kube_hold_set(h, 0,
                         "have the namespace's ResourceQuota raised, or move fewer disks at "
                         "a time",
                         "quota: %s", message);
    }
    vf_kube_hold_set(h, 0, NULL, "%s", message);
}

static int explain_claim(const struct explaining *x, const cJSON *claim, bool no_consumer_hint,
                         struct vf_error **err)
{
    const char *phase = vf_kube_phase(claim);
    const char *prime = vf_kube_annotation(claim, VF_CDI_PRIME_NAME);
    bool bound = is(phase, "Bound");
    int rc = 0;
    if (vf_kube_is_being_deleted(claim)) {
        vf_kube_hold_set(x->h, 0, "look at what still uses it",
                         "a claim of that name is being deleted");
    }
    if (is(phase, "Lost")) {
        vf_kube_hold_set(x->h, VF_MISSING, NULL, "the claim has lost its volume");
    }
    rc = hold_by_events(x, claim, "the claim", bound ? VF_KUBE_HOLD_BOUND : VF_KUBE_HOLD_WARNINGS,
                        err);
    if (!rc && prime && !bound) {
        rc = hold_by_other_claim(x, prime, err);
    }
    rc = rc ? rc : hold_by_pod(x, claim, err);
    hold_by_annotations(x->h, claim);
    if (!rc && !bound && !no_consumer_hint) {
        rc = hold_by_events(x, claim, "the claim", VF_KUBE_HOLD_ALL, err);
    }
    return rc;
}

static int explain_without_claim(const struct explaining *x, const cJSON *volume,
                                 struct vf_error **err)
{
    int rc = volume ? hold_by_events(x, volume, "the DataVolume", VF_KUBE_HOLD_WARNINGS, err) : 0;
    if (!rc && volume && !vf_kube_phase(volume)) {
        vf_kube_hold_set(x->h, 0, "look at CDI's controller (deployment \"cdi-deployment\")",
                         "CDI has not begun with it");
    }
    return rc;
}

int vf_cdi_explain(struct vf_kube_client *client, const char *ns, const char *name,
                   const cJSON *volume, const struct vf_cancel *cancel, struct vf_kube_hold *h,
                   struct vf_error **err)
{
    const struct explaining x = {.client = client, .ns = ns, .cancel = cancel, .h = h};
    cJSON *claim = NULL;
    vf_cdi_hold_volume(h, volume);
    if (h->message) {
        return 0;
    }
    int rc = fetch_claim(&x, name, &claim, err);
    if (rc) {
        return rc;
    }
    rc = claim ? explain_claim(&x, claim, volume && binds_immediately(volume), err)
               : explain_without_claim(&x, volume, err);
    cJSON_Delete(claim);
    return rc;
}
