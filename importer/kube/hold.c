#include "importer/kube/hold.h"

#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "importer/base/json.h"
#include "importer/base/mem.h"
#include "importer/kube/metadata.h"
#include "importer/kube/resources.h"
#include "importer/kube/text.h"

#define MAX_TEXT_BYTES 600

static const char quota_hint[] =
    "have the namespace's ResourceQuota raised, or free what is not needed";
static const char schedule_hint[] =
    "look at what the nodes have left, at their taints, and at where the volume can be reached";
static const char image_hint[] =
    "check that the nodes may pull this image: its name, the registry, the pull secrets";
static const char mount_hint[] = "look at the volume's driver, and whether another node has it";
static const char provision_hint[] =
    "look at the provisioner of the storage class, or choose another one with --storage-class";
static const char consumer_hint[] =
    "go on with --bind-immediately, or with a storage class whose volumeBindingMode is Immediate";

void vf_kube_hold_set(struct vf_kube_hold *h, int code, const char *hint, const char *fmt, ...)
{
    if (h->message) {
        return;
    }
    va_list ap;
    va_start(ap, fmt);
    h->message = vf_xvasprintf(fmt, ap);
    va_end(ap);
    h->code = code;
    h->hint = hint;
}

void vf_kube_hold_release(struct vf_kube_hold *h)
{
    free(h->message);
    *h = (struct vf_kube_hold){0};
}

static bool is_any(const char *s, const char *const *known)
{
    for (; s && *known; known++) {
        if (strcmp(s, *known) == 0) {
            return true;
        }
    }
    return false;
}

static const char *hint_for_reason(const char *reason, const char *message)
{
    static const struct {
        const char *reason, *hint;
    } hints[] = {
        {"Unschedulable", schedule_hint},
        {"FailedScheduling", schedule_hint},
        {"ErrImagePull", image_hint},
        {"ImagePullBackOff", image_hint},
        {"InvalidImageName", image_hint},
        {"ErrImageNeverPull", image_hint},
        {"ImageInspectError", image_hint},
        {"RegistryUnavailable", image_hint},
        {"FailedMount", mount_hint},
        {"FailedAttachVolume", mount_hint},
        {"FailedMapVolume", mount_hint},
        {"ProvisioningFailed", provision_hint},
        {"FailedBinding", provision_hint},
        {"ExternalProvisioning", provision_hint},
        {"WaitForFirstConsumer", consumer_hint},
        {"ErrExceededQuota", quota_hint},
    };
    if (message && strstr(message, "exceeded quota")) {
        return quota_hint;
    }
    for (size_t i = 0; reason && i < sizeof hints / sizeof *hints; i++) {
        if (strcmp(hints[i].reason, reason) == 0) {
            return hints[i].hint;
        }
    }
    return NULL;
}

/* "the upload pod cannot be scheduled: 0/3 nodes are available" */
static void set_reason(struct vf_kube_hold *h, const char *what, const char *reason,
                       const char *message)
{
    char *vf_autofree why = vf_kube_clean_text(reason, 80);
    char *vf_autofree text = vf_kube_clean_text(message, MAX_TEXT_BYTES);
    vf_kube_hold_set(h, 0, hint_for_reason(reason, message), "%s: %s%s%s", what, why,
                     *why && *text ? ": " : "", text);
}

static void hold_containers(struct vf_kube_hold *h, const char *what, const cJSON *statuses)
{
    /* On the way to start; everything else that a container waits for is trouble. */
    static const char *const on_its_way[] = {"ContainerCreating", "PodInitializing", NULL};
    const cJSON *item;
    cJSON_ArrayForEach(item, statuses)
    {
        const cJSON *waiting = vf_json_object(vf_json_object(item, "state"), "waiting");
        const char *reason = vf_json_string(waiting, "reason");
        if (!waiting || !reason || is_any(reason, on_its_way)) {
            continue;
        }
        const char *message = vf_json_string(waiting, "message");
        const cJSON *last = vf_json_object(vf_json_object(item, "lastState"), "terminated");
        const char *death = vf_json_string(last, "message");
        set_reason(h, what, reason, death && *death ? death : message);
    }
}

void vf_kube_hold_pod(struct vf_kube_hold *h, const cJSON *pod)
{
    const cJSON *status = vf_json_object(pod, "status");
    const char *phase = vf_kube_phase(pod);
    char *vf_autofree name = vf_kube_clean_text(vf_kube_name(pod), 253);
    char *vf_autofree what = vf_xasprintf("pod \"%s\"", name);
    if (phase && (strcmp(phase, "Succeeded") == 0 || strcmp(phase, "Failed") == 0)) {
        return;
    }
    const cJSON *scheduled = vf_kube_condition(pod, "PodScheduled");
    const char *is_scheduled = vf_json_string(scheduled, "status");
    if (is_scheduled && strcmp(is_scheduled, "False") == 0) {
        set_reason(h, what, vf_json_string(scheduled, "reason"),
                   vf_json_string(scheduled, "message"));
    }
    hold_containers(h, what, vf_json_array(status, "initContainerStatuses"));
    hold_containers(h, what, vf_json_array(status, "containerStatuses"));
}

/* Events have their time in one of three places, by who wrote them. */
static const char *time_of(const cJSON *event)
{
    const char *last = vf_json_string(vf_json_object(event, "series"), "lastObservedTime");
    last = last ? last : vf_json_string(event, "lastTimestamp");
    last = last ? last : vf_json_string(event, "eventTime");
    last = last ? last : vf_json_string(vf_json_object(event, "metadata"), "creationTimestamp");
    return last ? last : "";
}

static bool is_warning(const cJSON *event)
{
    const char *type = vf_json_string(event, "type");
    return type && strcmp(type, "Warning") == 0;
}

/* Of type Normal, these tell what is waited for. */
static bool tells_of_waiting(const cJSON *event)
{
    static const char *const known[] = {"WaitForFirstConsumer", "ExternalProvisioning",
                                        "WaitForPodScheduled", "FailedBinding", NULL};
    return is_any(vf_json_string(event, "reason"), known);
}

static bool counts(const cJSON *event, enum vf_kube_hold_scope scope)
{
    static const char *const of_binding[] = {"ProvisioningFailed", "FailedBinding",
                                             "FailedScheduling", NULL};
    if (!is_warning(event)) {
        return scope == VF_KUBE_HOLD_ALL && tells_of_waiting(event);
    }
    return scope != VF_KUBE_HOLD_BOUND || !is_any(vf_json_string(event, "reason"), of_binding);
}

void vf_kube_hold_events(struct vf_kube_hold *h, const char *what, const cJSON *events,
                         enum vf_kube_hold_scope scope)
{
    const cJSON *found = NULL, *event;
    cJSON_ArrayForEach(event, events)
    {
        if (!counts(event, scope)) {
            continue;
        }
        int order = !found ? 1 : (int)is_warning(event) - (int)is_warning(found);
        if (order > 0 || (order == 0 && strcmp(time_of(event), time_of(found)) >= 0)) {
            found = event;
        }
    }
    if (found) {
        set_reason(h, what, vf_json_string(found, "reason"), vf_json_string(found, "message"));
    }
}

static bool is_out_of_sight(int rc, const struct vf_error *e)
{
    const char *reason = vf_error_reason(e);
    return rc == VF_MISSING || (rc == VF_AUTH && vf_error_http_status(e) == 403) ||
           (reason && strcmp(reason, VF_KUBE_REASON_NOT_SERVED) == 0);
}

int vf_kube_fetch_hold_events(struct vf_kube_client *client, const char *ns, const char *uid,
                              const char *what, enum vf_kube_hold_scope scope,
                              const struct vf_cancel *cancel, struct vf_kube_hold *h,
                              struct vf_error **err)
{
    const struct vf_kube_ref ref = {.resource = &vf_kube_events, .ns = ns};
    const struct vf_kube_options options = {.cancel = cancel};
    struct vf_error *e = NULL;
    cJSON *events = NULL;
    if (h->message || !uid) {
        return 0;
    }
    char *vf_autofree fields = vf_xasprintf("involvedObject.uid=%s", uid);
    const struct vf_kube_select select = {.fields = fields};
    int rc = vf_kube_list(client, &ref, &select, &options, &events, NULL, &e);
    if (rc && is_out_of_sight(rc, e)) {
        vf_error_free(e);
        return 0;
    }
    vf_kube_hold_events(h, what, events, scope);
    cJSON_Delete(events);
    vf_error_move(err, &e);
    return rc;
}

int vf_kube_get_if_may(struct vf_kube_client *client, const struct vf_kube_ref *ref,
                       const struct vf_cancel *cancel, cJSON **ret_object, struct vf_error **err)
{
    const struct vf_kube_options options = {.cancel = cancel};
    struct vf_error *e = NULL;
    int rc = vf_kube_get(client, ref, &options, ret_object, &e);
    if (rc && is_out_of_sight(rc, e)) {
        vf_error_free(e);
        return 0;
    }
    vf_error_move(err, &e);
    return rc;
}
