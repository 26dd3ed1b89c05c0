/* Waiting for DataVolumes and claims. */
#include <stdlib.h>
#include <string.h>

#include "importer/base/clock.h"
#include "importer/base/json.h"
#include "importer/base/mem.h"
#include "importer/kube/cdi.h"
#include "importer/kube/cdi_explain.h"
#include "importer/kube/cdi_names.h"
#include "importer/kube/metadata.h"
#include "importer/kube/resources.h"
#include "importer/kube/text.h"
#include "importer/kube/watch.h"

/* What holds a DataVolume up is told by events of other objects. */
#define TICK_S 3

struct waiting;

/* 0: not yet; 1: so it should be; a negative code (with *err set): it never will be. */
typedef int check_fn(struct waiting *w, const cJSON *object, struct vf_error **err);

struct waiting {
    struct vf_kube_client *client;
    const struct vf_cdi_wait *wait;
    const struct vf_kube_resource *resource;
    const char *ns;
    check_fn *check;
    int restarts;
    cJSON *object;            /* as the watch had it last; NULL: there is none */
    char *phase, *message;    /* as they were told last */
    int64_t phase_since_ms;   /* on vf_clock_ms() */
    struct vf_kube_hold hold; /* what holds it up now, told or not */
};

static bool is(const char *have, const char *value)
{
    return have && strcmp(have, value) == 0;
}

static bool is_same(const char *a, const char *b)
{
    return a == b || (a && b && strcmp(a, b) == 0);
}

/* Most of what holds things up is gone by itself within seconds. */
static bool is_early(const struct waiting *w, const struct vf_kube_hold *h)
{
    return !h->code && h->hint && vf_clock_ms() - w->phase_since_ms < w->wait->patience_ms;
}

static void tell(struct waiting *w)
{
    const struct vf_kube_hold *h = &w->hold;
    char *vf_autofree phase = vf_kube_clean_text(vf_kube_phase(w->object), 80);
    bool new_phase = !is_same(phase, w->phase);
    if (new_phase) {
        w->phase_since_ms = vf_clock_ms();
    }
    bool early = is_early(w, h);
    const char *message = h->message && !early ? h->message : "";
    bool news = new_phase || !is_same(message, w->message);
    vf_replace_string(&w->phase, phase);
    vf_replace_string(&w->message, message);
    if (news && w->wait->tell) {
        w->wait->tell(w->wait->opaque, w->phase, w->message, early ? NULL : h->hint);
    }
}

/* An explanation that cannot be had is no failure of what is waited for. */
static int explain(struct waiting *w, struct vf_error **err)
{
    const struct vf_cdi_wait *wait = w->wait;
    const cJSON *volume = w->resource == &vf_kube_data_volumes ? w->object : NULL;
    struct vf_kube_hold *h = &w->hold;
    struct vf_error *e = NULL;
    vf_kube_hold_release(h);
    int rc = vf_cdi_explain(w->client, w->ns, wait->name, volume, wait->cancel, h, &e);
    if (rc == VF_CANCELLED) {
        vf_error_move(err, &e);
        return rc;
    }
    vf_error_free(e);
    if (h->code) {
        vf_error_set(err, (enum vf_code)h->code, "%s", h->message);
        if (h->hint) {
            vf_error_hint(err, "%s", h->hint);
        }
        return h->code;
    }
    tell(w);
    return 0;
}

static int is_missing(const char *how, struct vf_error **err)
{
    return vf_error_set(err, VF_MISSING, "it %s", how);
}

static int look(struct waiting *w, struct vf_error **err)
{
    const char *uid = vf_kube_uid(w->object);
    if (w->wait->uid && !is(uid, w->wait->uid)) {
        return vf_error_set(err, VF_CONFLICT, "it is another one than the one that was made");
    }
    if (vf_kube_is_being_deleted(w->object)) {
        return is_missing("is being deleted", err);
    }
    int rc = w->check(w, w->object, err);
    return rc ? rc : explain(w, err);
}

static int on_event(void *opaque, enum vf_kube_event event, const cJSON *object,
                    struct vf_error **err)
{
    struct waiting *w = opaque;
    switch (event) {
    case VF_KUBE_CHANGED:
        cJSON_Delete(w->object);
        w->object = cJSON_Duplicate(object, 1);
        return look(w, err);
    case VF_KUBE_DELETED:
        /* Another one under the name may have been seen before, and was an end. */
        return is_missing("was deleted", err);
    case VF_KUBE_SYNCED:
        return w->object      ? 0
               : w->wait->uid ? is_missing("is not there any more", err)
                              : is_missing("is not there", err);
    case VF_KUBE_TICK:
        return look(w, err);
    }
    return 0;
}

static int give_up(const struct waiting *w, const char *goal, struct vf_error **err)
{
    const char *phase = w->phase && *w->phase ? w->phase : "none";
    const char *message = w->hold.message ? w->hold.message : "";
    vf_error_set(err, VF_RETRY, "it did not become %s within %lld s: its phase is %s%s%s", goal,
                 (long long)(w->wait->timeout_ms + 500) / 1000, phase, *message ? ", " : "",
                 message);
    vf_error_set_reason(err, VF_KUBE_REASON_TIMEOUT);
    if (w->hold.hint) {
        vf_error_hint(err, "%s", w->hold.hint);
    }
    return VF_RETRY;
}

static int wait_for(struct waiting *w, const char *goal, struct vf_error **err)
{
    const struct vf_cdi_wait *wait = w->wait;
    const struct vf_kube_ref ref = {.resource = w->resource, .ns = w->ns, .name = wait->name};
    const struct vf_kube_watch_options options = {
        .timeout_ms = wait->timeout_ms, .cancel = wait->cancel, .tick_s = TICK_S};
    struct vf_error *e = NULL;
    int rc = vf_kube_watch(w->client, &ref, &options, on_event, w, &e);
    if (rc == VF_RETRY && w->object && is(vf_error_reason(e), VF_KUBE_REASON_TIMEOUT)) {
        vf_error_clear(&e);
        rc = give_up(w, goal, &e);
    }
    cJSON_Delete(w->object);
    free(w->phase);
    free(w->message);
    vf_kube_hold_release(&w->hold);
    vf_error_move(err, &e);
    return rc ? vf_error_wrap(err, rc, "%s \"%s\"", vf_kube_kind(w->resource), wait->name) : 0;
}

static struct waiting begin(struct vf_kube_client *client, const struct vf_cdi_wait *wait,
                            const struct vf_kube_resource *resource, check_fn *check)
{
    return (struct waiting){.client = client,
                            .wait = wait,
                            .resource = resource,
                            .ns = wait->ns ? wait->ns : vf_kube_client_namespace(client),
                            .check = check};
}

static int fetch_claim(struct vf_kube_client *client, const char *ns, const char *name,
                       const struct vf_cancel *cancel, cJSON **ret_claim, struct vf_error **err)
{
    const struct vf_kube_ref ref = {.resource = &vf_kube_claims, .ns = ns, .name = name};
    const struct vf_kube_options options = {.cancel = cancel};
    return vf_kube_get(client, &ref, &options, ret_claim, err);
}

/* The DataVolume's phase is what the controller saw; the proxy asks the claim. */
static int check_upload_ready(struct waiting *w, const cJSON *volume, struct vf_error **err)
{
    const char *phase = vf_kube_phase(volume);
    cJSON *claim = NULL;
    if (is(phase, VF_CDI_SUCCEEDED)) {
        return vf_error_set(err, VF_CONFLICT, "an upload into it has ended");
    }
    if (!is(phase, VF_CDI_UPLOAD_READY)) {
        return 0;
    }
    int rc = fetch_claim(w->client, w->ns, w->wait->name, w->wait->cancel, &claim, err);
    if (!rc) {
        rc = vf_kube_has_annotation(claim, VF_CDI_POD_READY, "true");
    }
    cJSON_Delete(claim);
    return rc;
}

int vf_cdi_wait_upload_ready(struct vf_kube_client *client, const struct vf_cdi_wait *wait,
                             struct vf_error **err)
{
    struct waiting w = begin(client, wait, &vf_kube_data_volumes, check_upload_ready);
    return wait_for(&w, "ready for an upload", err);
}

static int parse_restarts(const char *text)
{
    char *end;
    long value = text ? strtol(text, &end, 10) : 0;
    return text && (*end || value < 0 || value > 1000000) ? 0 : (int)value;
}

static int restarted(struct vf_error **err)
{
    vf_error_set(err, VF_RETRY, "the upload pod was restarted: what was sent is lost");
    vf_error_set_reason(err, VF_CDI_REASON_RESTARTED);
    return VF_RETRY;
}

/* A pod that has run is never Pending again: then it is another one. */
static bool is_new_pod(const cJSON *claim)
{
    const char *phase = vf_kube_annotation(claim, VF_CDI_POD_PHASE);
    return phase && (!*phase || strcmp(phase, "Pending") == 0 || strcmp(phase, "Failed") == 0);
}

static int check_succeeded(struct waiting *w, const cJSON *volume, struct vf_error **err)
{
    cJSON *claim = NULL;
    if (is(vf_kube_phase(volume), VF_CDI_SUCCEEDED)) {
        return 1;
    }
    int rc = fetch_claim(w->client, w->ns, w->wait->name, w->wait->cancel, &claim, err);
    if (!rc && (parse_restarts(vf_kube_annotation(claim, VF_CDI_POD_RESTARTS)) > w->restarts ||
                is_new_pod(claim))) {
        rc = restarted(err);
    }
    cJSON_Delete(claim);
    return rc;
}

int vf_cdi_wait_succeeded(struct vf_kube_client *client, const struct vf_cdi_wait *wait,
                          int restarts, struct vf_error **err)
{
    struct waiting w = begin(client, wait, &vf_kube_data_volumes, check_succeeded);
    w.restarts = restarts;
    return wait_for(&w, "Succeeded", err);
}

static int check_bound(struct waiting *w, const cJSON *claim, struct vf_error **err)
{
    (void)w;
    (void)err;
    return is(vf_kube_phase(claim), "Bound");
}

int vf_cdi_wait_bound(struct vf_kube_client *client, const struct vf_cdi_wait *wait,
                      struct vf_error **err)
{
    struct waiting w = begin(client, wait, &vf_kube_claims, check_bound);
    return wait_for(&w, "Bound", err);
}

int vf_cdi_fetch_upload_state(struct vf_kube_client *client, const char *ns, const char *name,
                              const struct vf_cancel *cancel, int *ret_restarts, char **ret_phase,
                              struct vf_error **err)
{
    cJSON *claim = NULL;
    int rc = fetch_claim(client, ns, name, cancel, &claim, err);
    if (!rc) {
        const char *phase = vf_kube_annotation(claim, VF_CDI_POD_PHASE);
        *ret_restarts = parse_restarts(vf_kube_annotation(claim, VF_CDI_POD_RESTARTS));
        *ret_phase = phase && *phase ? vf_kube_clean_text(phase, 80) : NULL;
    }
    cJSON_Delete(claim);
    return rc;
}
