#include "importer/kube/virtual_machine.h"

#include <stdlib.h>
#include <string.h>

#include "importer/base/json.h"
#include "importer/base/mem.h"
#include "importer/base/retry.h"
#include "importer/kube/client_private.h"
#include "importer/kube/metadata.h"
#include "importer/kube/owned.h"
#include "importer/kube/resources.h"
#include "importer/kube/text.h"
#include "importer/kube/watch.h"

#define MAX_TEXT_BYTES 600

static bool is(const char *have, const char *value)
{
    return have && strcmp(have, value) == 0;
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

int vf_virtual_machine_check(struct vf_kube_client *client, const struct vf_cancel *cancel,
                             struct vf_error **err)
{
    int rc = vf_cancel_check(cancel, err);
    return rc ? rc : vf_kube_check_resource(client, &vf_kube_virtual_machines, "KubeVirt", err);
}

/* Is what is there now the very object that a create without an answer was to make? */
static bool is_what_was_sent(const cJSON *now, const cJSON *sent)
{
    const struct vf_owner owner = {
        .import = vf_kube_label(sent, VF_OWNED_IMPORT),
        .source_uuid = vf_kube_annotation(sent, VF_OWNED_SOURCE_UUID),
    };
    if (!owner.import || vf_kube_is_being_deleted(now)) {
        return false;
    }
    enum vf_owned owned = vf_owned_judge(now, &owner);
    return owned == VF_OWNED_UNFINISHED || owned == VF_OWNED_FINISHED;
}

/* After a create whose outcome is not known: 0 when it is there, VF_RETRY when it is not. */
static int find_created(struct vf_kube_client *client, const struct vf_kube_ref *ref,
                        const cJSON *sent, const struct vf_kube_options *options,
                        cJSON **ret_object, struct vf_error **err)
{
    cJSON *now = NULL;
    int rc = vf_kube_get(client, ref, options, &now, NULL);
    if (rc) {
        return rc == VF_MISSING ? VF_RETRY : rc;
    }
    if (is_what_was_sent(now, sent)) {
        *ret_object = now;
        return 0;
    }
    cJSON_Delete(now);
    vf_error_clear(err);
    return vf_error_set(err, VF_CONFLICT,
                        "virtual machine \"%s\" is there already, made by another", ref->name);
}

struct creating {
    struct vf_kube_client *client;
    const struct vf_kube_ref *ref;
    const cJSON *object;
    const struct vf_kube_options *options;
    bool in_doubt; /* an earlier create may have been carried out */
};

static int create_once(struct creating *c, cJSON **ret_object, struct vf_error **err)
{
    int rc = vf_kube_create(c->client, c->ref, c->object, c->options, ret_object, err);
    if (c->options->dry_run) {
        return rc;
    }
    bool exists = rc == VF_CONFLICT && is(vf_error_reason(*err), VF_KUBE_REASON_ALREADY_EXISTS);
    if (rc == VF_RETRY || (exists && c->in_doubt)) {
        c->in_doubt = true;
        struct vf_error *e = NULL;
        int found = find_created(c->client, c->ref, c->object, c->options, ret_object, &e);
        if (found == 0 || e) {
            vf_error_clear(err);
            vf_error_move(err, &e);
            return found;
        }
    }
    return rc;
}

int vf_virtual_machine_create(struct vf_kube_client *client, const char *ns, const cJSON *object,
                              bool dry_run, const struct vf_cancel *cancel, cJSON **ret_object,
                              struct vf_error **err)
{
    const char *name = vf_kube_name(object);
    const struct vf_kube_ref ref = {.resource = &vf_kube_virtual_machines, .ns = ns, .name = name};
    const struct vf_kube_options options = {.dry_run = dry_run, .cancel = cancel};
    struct creating c = {.client = client, .ref = &ref, .object = object, .options = &options};
    struct vf_retry retry;
    struct vf_error *e = NULL;
    cJSON *created = NULL;
    int rc;
    if (!name) {
        return vf_error_set(err, VF_INTERNAL, "a virtual machine needs a name");
    }
    vf_retry_init(&retry, &client->retry, cancel ? cancel : client->cancel);
    do {
        rc = create_once(&c, &created, &e);
    } while (vf_retry_again(&retry, &rc, &e));
    vf_error_move(err, &e);
    if (!rc && ret_object) {
        *ret_object = created;
    } else {
        cJSON_Delete(created);
    }
    return rc;
}

/* Those whose strategy is to run need no start, and KubeVirt refuses one (pkg/virt-api/rest). */
static bool runs_or_will(const cJSON *vm)
{
    static const char *const strategies[] = {"Always", "Once", NULL};
    static const char *const statuses[] = {"Running",   "Starting", "Provisioning",
                                           "Migrating", "Paused",   "WaitingForVolumeBinding",
                                           NULL};
    const cJSON *spec = vf_json_object(vm, "spec");
    const cJSON *status = vf_json_object(vm, "status");
    return is_any(vf_json_string(spec, "runStrategy"), strategies) ||
           vf_json_bool(spec, "running", false) ||
           is_any(vf_json_string(status, "printableStatus"), statuses);
}

static bool is_started(struct vf_kube_client *client, const char *ns, const char *name,
                       const struct vf_kube_options *options)
{
    const struct vf_kube_ref ref = {.resource = &vf_kube_virtual_machines, .ns = ns, .name = name};
    cJSON *vm = NULL;
    int rc = vf_kube_get(client, &ref, options, &vm, NULL);
    bool started = !rc && runs_or_will(vm);
    cJSON_Delete(vm);
    return started;
}

/* A start that comes twice is refused the second time, and then looked at. */
int vf_virtual_machine_start(struct vf_kube_client *client, const char *ns, const char *name,
                             const struct vf_cancel *cancel, struct vf_error **err)
{
    const struct vf_kube_ref ref = {
        .resource = &vf_kube_machine_subresources, .ns = ns, .name = name, .subresource = "start"};
    const struct vf_kube_options options = {.cancel = cancel};
    struct vf_retry retry;
    struct vf_error *e = NULL;
    int rc;
    vf_retry_init(&retry, &client->retry, cancel ? cancel : client->cancel);
    do {
        rc = vf_kube_update(client, &ref, NULL, &options, NULL, &e);
        if (rc == VF_CONFLICT && is_started(client, ns, name, &options)) {
            vf_error_clear(&e);
            rc = 0;
        }
    } while (vf_retry_again(&retry, &rc, &e));
    vf_error_move(err, &e);
    return rc;
}

struct following {
    vf_virtual_machine_tell_fn *tell;
    void *opaque;
    char *status, *message;
};

/* The condition that tells why: the first of these that is as it should not be. */
static const char *find_message(const cJSON *vm)
{
    static const struct {
        const char *type, *bad;
    } conditions[] = {
        {"Failure", "True"},
        {"PodScheduled", "False"},
        {"DataVolumesReady", "False"},
        {"Ready", "False"},
    };
    for (size_t i = 0; i < sizeof conditions / sizeof *conditions; i++) {
        const char *message = vf_json_string(vf_kube_condition(vm, conditions[i].type), "message");
        if (message && *message &&
            vf_kube_condition_is(vm, conditions[i].type, conditions[i].bad)) {
            return message;
        }
    }
    return NULL;
}

/* What the states that a VM does not leave by itself ask for; NULL for the others. */
static const char *hint_for(const char *status)
{
    static const struct {
        const char *status, *hint;
    } ends[] = {
        {"ErrorUnschedulable", "look at what the nodes have left, and at where the disks can be "
                               "reached"},
        {"DataVolumeError", "look at the DataVolumes of the virtual machine"},
        {"ErrorPvcNotFound", "look at the claims of the virtual machine"},
        {"CrashLoopBackOff", "look at the log of its virt-launcher pod"},
        {"ErrImagePull", "check that the nodes may pull KubeVirt's images"},
        {"ImagePullBackOff", "check that the nodes may pull KubeVirt's images"},
        {"Terminating", "somebody deletes it"},
    };
    for (size_t i = 0; status && i < sizeof ends / sizeof *ends; i++) {
        if (strcmp(ends[i].status, status) == 0) {
            return ends[i].hint;
        }
    }
    return NULL;
}

/* KubeVirt checks what it starts once more, and tells it by a condition. */
static bool is_refused(const cJSON *vm)
{
    const char *message = vf_json_string(vf_kube_condition(vm, "Failure"), "message");
    return message && vf_kube_condition_is(vm, "Failure", "True") &&
           strstr(message, "denied the request");
}

static int tell_status(struct following *f, const cJSON *vm)
{
    const char *status = vf_json_string(vf_json_object(vm, "status"), "printableStatus");
    char *vf_autofree clean = vf_kube_clean_text(status, 80);
    char *vf_autofree message = vf_kube_clean_text(find_message(vm), MAX_TEXT_BYTES);
    if (is(f->status, clean) && is(f->message, message)) {
        return 0;
    }
    vf_replace_string(&f->status, clean);
    vf_replace_string(&f->message, message);
    return f->tell && *clean ? f->tell(f->opaque, f->status, f->message) : 0;
}

static int judge(void *opaque, const cJSON *vm, struct vf_error **err)
{
    struct following *f = opaque;
    if (!vm) {
        return vf_error_set(err, VF_MISSING, "it is not there");
    }
    if (tell_status(f, vm)) {
        return 1;
    }
    const char *hint = hint_for(f->status);
    if (hint || is_refused(vm)) {
        vf_error_set(err, VF_CONFLICT, "it does not start: its status is %s%s%s",
                     *f->status ? f->status : "none", *f->message ? ": " : "", f->message);
        if (hint) {
            vf_error_hint(err, "%s", hint);
        }
        return VF_CONFLICT;
    }
    return is(f->status, "Running");
}

static int give_up(const struct following *f, int64_t timeout_ms, struct vf_error **err)
{
    vf_error_set(err, VF_RETRY, "it does not run after %lld s: its status is %s%s%s",
                 (long long)(timeout_ms + 500) / 1000, *f->status ? f->status : "none",
                 *f->message ? ": " : "", f->message);
    vf_error_set_reason(err, VF_KUBE_REASON_TIMEOUT);
    return VF_RETRY;
}

int vf_virtual_machine_wait_running(struct vf_kube_client *client, const char *ns, const char *name,
                                    int64_t timeout_ms, vf_virtual_machine_tell_fn *tell,
                                    void *opaque, const struct vf_cancel *cancel,
                                    struct vf_error **err)
{
    const struct vf_kube_ref ref = {.resource = &vf_kube_virtual_machines, .ns = ns, .name = name};
    struct following f = {.tell = tell, .opaque = opaque};
    struct vf_error *e = NULL;
    int rc = vf_kube_wait(client, &ref, judge, &f, timeout_ms, cancel, NULL, &e);
    if (rc == VF_RETRY && f.status && is(vf_error_reason(e), VF_KUBE_REASON_TIMEOUT)) {
        vf_error_clear(&e);
        rc = give_up(&f, timeout_ms, &e);
    }
    free(f.status);
    free(f.message);
    vf_error_move(err, &e);
    return rc ? vf_error_wrap(err, rc, "virtual machine \"%s\"", name) : 0;
}

static bool same(const char *a, const char *b)
{
    return a && b && strcmp(a, b) == 0;
}

/* Disks are named in many places: volumes by claim or by DataVolume, what lies below an ephemeral
 * disk, dumps of memory, utility volumes, and volumes that are about to be plugged in or moved. All
 * of them call them by one of two keys. */
static bool mentions_disk(const cJSON *tree, const char *name)
{
    const cJSON *item;
    cJSON_ArrayForEach(item, tree)
    {
        if ((same(item->string, "claimName") && same(cJSON_GetStringValue(item), name)) ||
            (same(item->string, "dataVolume") && same(vf_json_string(item, "name"), name)) ||
            mentions_disk(item, name)) {
            return true;
        }
    }
    return false;
}

bool vf_virtual_machine_uses(const cJSON *object, const char *name)
{
    const cJSON *spec = vf_json_object(object, "spec"), *volume;
    cJSON_ArrayForEach(volume, vf_json_array(spec, "dataVolumeTemplates"))
    {
        if (same(vf_json_string(vf_json_object(volume, "metadata"), "name"), name)) {
            return true;
        }
    }
    return mentions_disk(object, name);
}
