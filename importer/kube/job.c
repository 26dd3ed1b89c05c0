#include "importer/kube/job.h"

#include <stdlib.h>
#include <string.h>

#include "importer/base/clock.h"
#include "importer/base/json.h"
#include "importer/base/log.h"
#include "importer/base/mem.h"
#include "importer/kube/hold.h"
#include "importer/kube/job_log.h"
#include "importer/kube/metadata.h"
#include "importer/kube/resources.h"
#include "importer/kube/text.h"
#include "importer/kube/watch.h"

/* What pods wait for is told by no change of their Job. */
#define TICK_S 2
/* A pod that runs is looked at every so many ticks. */
#define TICKS_RUNNING 5
/* From the end of the Job to the end of its log. */
#define LOG_END_MS 15000
/* A kubelet cuts termination messages there. */
#define MAX_MESSAGE_BYTES 4096
#define MAX_TEXT_BYTES    600

struct following {
    struct vf_kube_client *client;
    const struct vf_job_follow *follow;
    const char *ns;
    struct vf_job_log *log; /* NULL: not wanted */
    char *uid, *container;
    int64_t start_deadline_ms; /* 0: none */
    bool started;              /* a pod runs, or ran */
    unsigned ticks;
    char *message; /* told last; NULL: nothing holds it up */
    const char *hint;
    struct vf_job_end end;
};

static bool is(const char *have, const char *value)
{
    return have && strcmp(have, value) == 0;
}

static bool is_same(const char *a, const char *b)
{
    return a == b || (a && b && strcmp(a, b) == 0);
}

void vf_job_end_release(struct vf_job_end *end)
{
    free(end->reason);
    free(end->message);
    free(end->pod_name);
    *end = (struct vf_job_end){.exit_code = -1};
}

/* The pod's own container, not those that an admission put beside it. */
static const cJSON *find_container(const cJSON *pod, const char *name)
{
    const cJSON *status = vf_json_object(pod, "status"), *item;
    cJSON_ArrayForEach(item, vf_json_array(status, "containerStatuses"))
    {
        if (is(vf_json_string(item, "name"), name)) {
            return item;
        }
    }
    return NULL;
}

static const cJSON *get_state(const cJSON *pod, const char *container, const char *which)
{
    return vf_json_object(vf_json_object(find_container(pod, container), "state"), which);
}

/* Of now, or of the time before a restart. */
static const cJSON *get_termination(const cJSON *pod, const char *container)
{
    const cJSON *now = get_state(pod, container, "terminated");
    const cJSON *last = vf_json_object(find_container(pod, container), "lastState");
    return now ? now : vf_json_object(last, "terminated");
}

static bool has_ended(const cJSON *pod)
{
    return is(vf_kube_phase(pod), "Succeeded") || is(vf_kube_phase(pod), "Failed");
}

static const char *created(const cJSON *object)
{
    const char *when = vf_json_string(vf_json_object(object, "metadata"), "creationTimestamp");
    return when ? when : "";
}

static const cJSON *find_last(const struct following *f, const cJSON *pods)
{
    const cJSON *last = NULL, *pod;
    cJSON_ArrayForEach(pod, pods)
    {
        if (vf_kube_name(pod) && vf_kube_is_owned_by(pod, f->uid) &&
            (!last || strcmp(created(pod), created(last)) > 0)) {
            last = pod;
        }
    }
    return last;
}

/* Of the container, and of the pod where its node ended it; "Error" and "Completed" go with every
 * exit code. */
static const char *get_reason(const cJSON *pod, const cJSON *terminated)
{
    const char *reason = vf_json_string(terminated, "reason");
    const char *of_pod = vf_json_string(vf_json_object(pod, "status"), "reason");
    if (of_pod && *of_pod) {
        return of_pod;
    }
    return reason && *reason && !is(reason, "Error") && !is(reason, "Completed") ? reason : NULL;
}

static void set_text(char **field, const char *text, size_t max_bytes)
{
    free(*field);
    *field = text && *text ? vf_kube_clean_text(text, max_bytes) : NULL;
}

static void remember_end(struct following *f, const cJSON *pod)
{
    const cJSON *terminated = get_termination(pod, f->container);
    const cJSON *code = cJSON_GetObjectItemCaseSensitive(terminated, "exitCode");
    const char *message = vf_json_string(terminated, "message");
    if (!is_same(f->end.pod_name, vf_kube_name(pod))) {
        vf_job_end_release(&f->end);
        f->end.pod_name = vf_xstrdup(vf_kube_name(pod));
    }
    if (!terminated && !has_ended(pod)) {
        return;
    }
    if (!message || !*message) {
        message = vf_json_string(vf_json_object(pod, "status"), "message");
    }
    f->end.exit_code = cJSON_IsNumber(code) ? code->valueint : -1;
    set_text(&f->end.reason, get_reason(pod, terminated), MAX_TEXT_BYTES);
    set_text(&f->end.message, message, MAX_MESSAGE_BYTES);
}

static void tell_log(const struct following *f, const cJSON *pods)
{
    const cJSON *pod;
    cJSON_ArrayForEach(pod, pods)
    {
        const char *name = vf_kube_name(pod);
        bool began =
            get_state(pod, f->container, "running") || get_state(pod, f->container, "terminated");
        if (f->log && name && began && vf_kube_is_owned_by(pod, f->uid)) {
            vf_job_log_tell_pod(f->log, name, f->container, has_ended(pod));
        }
    }
}

static void tell_hold(struct following *f, const struct vf_kube_hold *h)
{
    if (is_same(f->message, h->message)) {
        return;
    }
    vf_replace_string(&f->message, h->message);
    f->hint = h->hint;
    if (f->message && f->follow->tell) {
        f->follow->tell(f->follow->opaque, f->message, f->hint);
    }
}

/* What keeps the last pod, or the first one that there should be. */
static int explain(struct following *f, const cJSON *pod, struct vf_error **err)
{
    struct vf_kube_hold h = {0};
    int rc = 0;
    if (!pod) {
        rc = vf_kube_fetch_hold_events(f->client, f->ns, f->uid, "the Job has no pod",
                                       VF_KUBE_HOLD_WARNINGS, f->follow->cancel, &h, err);
    } else if (is(vf_kube_phase(pod), "Pending") || !get_state(pod, f->container, "running")) {
        char *vf_autofree name = vf_kube_clean_text(vf_kube_name(pod), 253);
        char *vf_autofree what = vf_xasprintf("pod \"%s\"", name);
        vf_kube_hold_pod(&h, pod);
        if (is(vf_kube_phase(pod), "Pending")) {
            rc = vf_kube_fetch_hold_events(f->client, f->ns, vf_kube_uid(pod), what,
                                           VF_KUBE_HOLD_WARNINGS, f->follow->cancel, &h, err);
        }
    }
    if (!rc) {
        tell_hold(f, &h);
    }
    vf_kube_hold_release(&h);
    return rc;
}

static int list_pods(const struct following *f, cJSON **ret_pods, struct vf_error **err)
{
    const struct vf_kube_ref ref = {.resource = &vf_kube_pods, .ns = f->ns};
    const struct vf_kube_options options = {.cancel = f->follow->cancel};
    char *vf_autofree labels = vf_xasprintf("job-name=%s", f->follow->name);
    const struct vf_kube_select select = {.labels = labels};
    return vf_kube_list(f->client, &ref, &select, &options, ret_pods, NULL, err);
}

static int look_at_pods(struct following *f, bool with_reasons, struct vf_error **err)
{
    struct vf_error *e = NULL;
    cJSON *pods = NULL;
    int rc = list_pods(f, &pods, &e);
    if (!rc) {
        const cJSON *last = find_last(f, pods);
        if (last) {
            remember_end(f, last);
            f->started |= get_state(last, f->container, "running") ||
                          get_state(last, f->container, "terminated");
        }
        tell_log(f, pods);
        rc = with_reasons ? explain(f, last, &e) : 0;
    }
    cJSON_Delete(pods);
    if (rc == VF_RETRY) {
        /* The Job goes on without being looked at; whether the server comes back, its watch tells.
         */
        vf_debug("kube: pods of Job %s: %s", f->follow->name, vf_error_message(e));
        vf_error_clear(&e);
        rc = 0;
    }
    vf_error_move(err, &e);
    return rc;
}

static int timed_out(const struct following *f, const char *goal, int64_t timeout_ms,
                     struct vf_error **err)
{
    vf_error_set(err, VF_RETRY, "its pod did not %s within %lld s%s%s", goal,
                 (long long)(timeout_ms + 500) / 1000, f->message ? ": " : "",
                 f->message ? f->message : "");
    vf_error_set_reason(err, VF_KUBE_REASON_TIMEOUT);
    if (f->message && f->hint) {
        vf_error_hint(err, "%s", f->hint);
    }
    return VF_RETRY;
}

static int check_start(const struct following *f, struct vf_error **err)
{
    if (f->started || !f->start_deadline_ms || vf_clock_ms() < f->start_deadline_ms) {
        return 0;
    }
    return timed_out(f, "start", f->follow->start_timeout_ms, err);
}

/* The Job says so last, when its pods have ended. */
static bool is_over(struct following *f, const cJSON *job)
{
    const cJSON *failed = vf_kube_condition(job, "Failed");
    const char *message = vf_json_string(failed, "message");
    f->end.succeeded = vf_kube_condition_is(job, "Complete", "True");
    if (f->end.succeeded || !is(vf_json_string(failed, "status"), "True")) {
        return f->end.succeeded;
    }
    if (!f->end.message && message && *message) {
        f->end.message = vf_kube_clean_text(message, MAX_TEXT_BYTES);
    }
    return true;
}

static int read_job(struct following *f, const cJSON *job, struct vf_error **err)
{
    const cJSON *template = vf_json_object(vf_json_object(job, "spec"), "template");
    const cJSON *containers = vf_json_array(vf_json_object(template, "spec"), "containers");
    const char *container = vf_json_string(cJSON_GetArrayItem(containers, 0), "name");
    const char *uid = vf_kube_uid(job);
    if (!uid || !container) {
        return vf_error_set(err, VF_INVALID, "the API server's Job is none");
    }
    if (f->follow->uid && strcmp(uid, f->follow->uid) != 0) {
        return vf_error_set(err, VF_CONFLICT, "it is another one than the one that was made");
    }
    if (vf_kube_is_being_deleted(job) && !f->follow->through_deletion) {
        return vf_error_set(err, VF_MISSING, "it is being deleted");
    }
    vf_replace_string(&f->uid, uid);
    vf_replace_string(&f->container, container);
    return 0;
}

static int on_job(struct following *f, const cJSON *job, struct vf_error **err)
{
    int rc = read_job(f, job, err);
    bool over = !rc && (vf_kube_condition_is(job, "Complete", "True") ||
                        vf_kube_condition_is(job, "Failed", "True"));
    rc = rc ? rc : look_at_pods(f, !over, err);
    if (rc) {
        return rc;
    }
    return over ? is_over(f, job) : check_start(f, err);
}

static int on_tick(struct following *f, struct vf_error **err)
{
    int rc = 0;
    if (!f->started || f->message || ++f->ticks % TICKS_RUNNING == 0) {
        rc = look_at_pods(f, true, err);
    }
    return rc ? rc : check_start(f, err);
}

static int on_event(void *opaque, enum vf_kube_event event, const cJSON *object,
                    struct vf_error **err)
{
    struct following *f = opaque;
    switch (event) {
    case VF_KUBE_CHANGED:
        return on_job(f, object, err);
    case VF_KUBE_DELETED:
        return vf_error_set(err, VF_MISSING, "it was deleted");
    case VF_KUBE_SYNCED:
        return f->uid ? 0 : vf_error_set(err, VF_MISSING, "it is not there");
    case VF_KUBE_TICK:
        return on_tick(f, err);
    }
    return 0;
}

static int watch(struct following *f, struct vf_error **err)
{
    const struct vf_job_follow *o = f->follow;
    const struct vf_kube_ref ref = {.resource = &vf_kube_jobs, .ns = f->ns, .name = o->name};
    const struct vf_kube_watch_options options = {
        .timeout_ms = o->timeout_ms, .cancel = o->cancel, .tick_s = TICK_S};
    struct vf_error *e = NULL;
    int64_t begun_ms = vf_clock_ms();
    f->start_deadline_ms = o->start_timeout_ms ? begun_ms + o->start_timeout_ms : 0;
    int rc = vf_kube_watch(f->client, &ref, &options, on_event, f, &e);
    if (rc == VF_RETRY && f->uid && o->timeout_ms && vf_clock_ms() - begun_ms >= o->timeout_ms) {
        vf_error_clear(&e);
        rc = timed_out(f, "end", o->timeout_ms, &e);
    }
    vf_error_move(err, &e);
    return rc;
}

int vf_job_follow(struct vf_kube_client *client, const struct vf_job_follow *follow,
                  struct vf_job_end *ret_end, struct vf_error **err)
{
    struct following f = {.client = client,
                          .follow = follow,
                          .ns = follow->ns ? follow->ns : vf_kube_client_namespace(client),
                          .end = {.exit_code = -1}};
    int rc = 0;
    if (follow->line) {
        rc = vf_job_log_new(client, f.ns, follow->line, follow->opaque, &f.log, err);
    }
    rc = rc ? rc : watch(&f, err);
    bool gone = rc == VF_MISSING && follow->through_deletion;
    if ((!rc || gone) && f.log) {
        vf_job_log_finish(f.log, LOG_END_MS);
    }
    vf_job_log_free(f.log);
    if (rc) {
        vf_job_end_release(&f.end);
        vf_error_wrap(err, rc, "Job \"%s\"", follow->name);
    } else {
        *ret_end = f.end;
    }
    free(f.uid);
    free(f.container);
    free(f.message);
    return rc;
}
