#include "importer/kube/job_log.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "importer/base/buf.h"
#include "importer/base/clock.h"
#include "importer/base/log.h"
#include "importer/base/mem.h"
#include "importer/kube/client_private.h"
#include "importer/kube/exec.h"
#include "importer/kube/resources.h"

#define READ_BYTES (16u << 10)
/* Before a line: "2026-11-21T17:27:17.123456789+02:00 " */
#define MAX_STAMP_BYTES 40
/* A worker may have nothing to say for long; a dead connection is found after this. */
#define STALL_TIMEOUT_MS 300000
#define FIRST_PAUSE_MS   200
#define MAX_PAUSE_MS     5000
/* Failures in a row after which the log of an ended pod is given up. */
#define MAX_FAILURES 5

struct pod {
    char *name, *container;
    bool ended; /* nothing more is written */
    bool done;  /* read to its end */
};

/* Lock: `lock` protects pods, n_pods, finishing and idle; never held while lines are told. */
struct vf_job_log {
    struct vf_kube_client *client;
    const char *ns;
    vf_job_log_line_fn *line;
    void *opaque;
    struct vf_cancel *cancel;
    pthread_t thread;
    pthread_mutex_t lock;
    pthread_cond_t changed;
    struct pod *pods;
    size_t n_pods;
    bool finishing; /* no pod more will be told of */
    bool idle;      /* the thread is at its end */
};

/* How far the log of a pod was told. */
struct position {
    struct vf_job_log_time time;
    unsigned n_at; /* lines told that have this very time */
    bool any;
};

struct reading {
    struct vf_job_log *log;
    const char *pod, *container;
    struct position at;
    bool catching_up; /* after a resumption, until the first line that is new */
    unsigned skipped; /* lines with the position's time, of this stream */
    struct vf_buf line;
};

static int compare(const struct vf_job_log_time *a, const struct vf_job_log_time *b)
{
    if (a->seconds != b->seconds) {
        return a->seconds < b->seconds ? -1 : 1;
    }
    return a->nanos < b->nanos ? -1 : a->nanos > b->nanos;
}

/* Nine digits behind the point, those that are missing as zeros. */
static uint32_t parse_nanos(const char *stamp)
{
    const char *point = strchr(stamp, '.');
    uint32_t nanos = 0;
    for (unsigned i = 0; i < 9; i++) {
        bool digit = point && point[1] >= '0' && point[1] <= '9';
        nanos = nanos * 10 + (digit ? (uint32_t)(point[1] - '0') : 0);
        if (digit) {
            point++;
        }
    }
    return nanos;
}

bool vf_job_log_parse_line(const char *line, struct vf_job_log_time *ret_time,
                           const char **ret_text)
{
    char stamp[MAX_STAMP_BYTES + 1];
    size_t len = strcspn(line, " ");
    if (len > MAX_STAMP_BYTES) {
        return false;
    }
    memcpy(stamp, line, len);
    stamp[len] = '\0';
    int64_t seconds = vf_kube_parse_time(stamp);
    if (seconds < 0) {
        return false;
    }
    *ret_time = (struct vf_job_log_time){.seconds = seconds, .nanos = parse_nanos(stamp)};
    *ret_text = line + len + (line[len] == ' ');
    return true;
}

/* sinceTime has whole seconds: some lines come again. */
static bool was_told(struct reading *r, const struct vf_job_log_time *time)
{
    if (!r->catching_up) {
        return false;
    }
    int order = compare(time, &r->at.time);
    if (order < 0 || (order == 0 && r->skipped < r->at.n_at)) {
        r->skipped += order == 0;
        return true;
    }
    r->catching_up = false;
    return false;
}

static void on_line(struct reading *r)
{
    struct vf_job_log_time time;
    const char *text;
    char *line = r->line.data ? r->line.data : (char[1]){0};
    if (!vf_job_log_parse_line(line, &time, &text)) {
        /* Of the kubelet, on trouble with the log itself. */
        vf_debug("kube: log of pod %s: a line without a time is left out", r->pod);
        return;
    }
    if (was_told(r, &time)) {
        return;
    }
    bool same = r->at.any && compare(&time, &r->at.time) == 0;
    r->at.n_at = same ? r->at.n_at + 1 : 1;
    r->at.time = time;
    r->at.any = true;
    size_t len = r->line.len - (size_t)(text - line);
    if (len > VF_JOB_LOG_MAX_LINE) {
        len = VF_JOB_LOG_MAX_LINE;
        line[text - line + (ptrdiff_t)len] = '\0';
    }
    r->log->line(r->log->opaque, text, len);
}

static void on_data(struct reading *r, const char *data, size_t len)
{
    while (len) {
        const char *end = memchr(data, '\n', len);
        size_t part = end ? (size_t)(end - data) : len;
        size_t room = r->line.max - r->line.len;
        vf_buf_append(&r->line, data, part < room ? part : room);
        part += end != NULL;
        data += part;
        len -= part;
        if (end) {
            on_line(r);
            vf_buf_clear(&r->line);
        }
    }
}

static char *make_query(const struct reading *r)
{
    char *vf_autofree container = vf_http_escape(r->container);
    char since[64] = "";
    if (r->at.any) {
        time_t t = (time_t)r->at.time.seconds;
        struct tm tm;
        if (gmtime_r(&t, &tm)) {
            strftime(since, sizeof since, "&sinceTime=%Y-%m-%dT%H%%3A%M%%3A%SZ", &tm);
        }
    }
    return vf_xasprintf("?follow=true&timestamps=true&container=%s%s", container, since);
}

static int read_stream(struct reading *r, struct vf_stream *stream, bool *ret_progress,
                       struct vf_error **err)
{
    char *vf_autofree chunk = vf_xcalloc(1, READ_BYTES);
    int rc = 0;
    for (size_t n = 1; !rc && n;) {
        rc = stream->ops->read(stream, chunk, READ_BYTES, &n, err);
        if (!rc && n) {
            *ret_progress = true;
            on_data(r, chunk, n);
        }
    }
    if (!rc && r->line.len) {
        on_line(r); /* a last line that has no end */
    }
    vf_buf_clear(&r->line);
    return rc;
}

/* One stream: 0 when it came to its end. */
static int read_once(struct reading *r, bool *ret_progress, struct vf_error **err)
{
    struct vf_job_log *log = r->log;
    const struct vf_kube_ref ref = {
        .resource = &vf_kube_pods, .ns = log->ns, .name = r->pod, .subresource = "log"};
    char *vf_autofree query = make_query(r);
    struct vf_kube_credential *credential = NULL;
    struct vf_stream *stream = NULL;
    struct vf_kube_call call;
    int rc = vf_kube_call_init(&call, log->client, &ref, "get", query, log->cancel, err);
    if (rc) {
        return rc;
    }
    r->catching_up = r->at.any;
    r->skipped = 0;
    call.repeatable = true;
    rc = vf_kube_call_open(log->client, &call, STALL_TIMEOUT_MS, &credential, &stream, err);
    rc = rc ? rc : read_stream(r, stream, ret_progress, err);
    vf_stream_free(stream);
    if (credential) {
        vf_kube_keeper_give(log->client->keeper, credential);
    }
    vf_kube_call_release(&call);
    return rc;
}

static struct pod *find_pod(struct vf_job_log *log, const char *name)
{
    for (size_t i = 0; i < log->n_pods; i++) {
        if (strcmp(log->pods[i].name, name) == 0) {
            return &log->pods[i];
        }
    }
    return NULL;
}

static bool has_ended(struct vf_job_log *log, const char *name)
{
    pthread_mutex_lock(&log->lock);
    const struct pod *pod = find_pod(log, name);
    bool ended = pod && pod->ended;
    pthread_mutex_unlock(&log->lock);
    return ended;
}

/* Is there a sense in another try? Rights that lack and pods that are gone do not come back. */
static bool may_come(int rc)
{
    return rc == 0 || rc == VF_RETRY || rc == VF_INVALID;
}

/* Until a stream that was opened after the pod had ended came to its own end. */
static void read_pod(struct vf_job_log *log, const char *name, const char *container)
{
    struct reading r = {.log = log, .pod = name, .container = container};
    int64_t pause_ms = FIRST_PAUSE_MS;
    unsigned failures = 0;
    vf_buf_init(&r.line, VF_JOB_LOG_MAX_LINE + MAX_STAMP_BYTES + 1);
    for (bool more = true; more;) {
        struct vf_error *e = NULL;
        bool progress = false, ended = has_ended(log, name);
        int rc = read_once(&r, &progress, &e);
        if (rc) {
            vf_debug("kube: log of pod %s: %s", name, vf_error_message(e));
        }
        vf_error_free(e);
        failures = rc && !progress ? failures + 1 : 0;
        pause_ms = progress ? FIRST_PAUSE_MS : pause_ms;
        more = may_come(rc) && !(ended && (rc == 0 || failures >= MAX_FAILURES)) &&
               vf_cancel_wait(log->cancel, pause_ms, NULL) == 0;
        pause_ms = pause_ms * 2 < MAX_PAUSE_MS ? pause_ms * 2 : MAX_PAUSE_MS;
    }
    vf_buf_release(&r.line);
}

/* The first pod that is not read yet; NULL when there will be none. With the lock held. */
static struct pod *next_pod(struct vf_job_log *log)
{
    while (!vf_cancel_is_set(log->cancel)) {
        for (size_t i = 0; i < log->n_pods; i++) {
            if (!log->pods[i].done) {
                return &log->pods[i];
            }
        }
        if (log->finishing) {
            return NULL;
        }
        pthread_cond_wait(&log->changed, &log->lock);
    }
    return NULL;
}

static void *run(void *opaque)
{
    struct vf_job_log *log = opaque;
    struct pod *pod;
    pthread_mutex_lock(&log->lock);
    while ((pod = next_pod(log))) {
        char *vf_autofree name = vf_xstrdup(pod->name);
        char *vf_autofree container = vf_xstrdup(pod->container);
        pthread_mutex_unlock(&log->lock);
        read_pod(log, name, container);
        pthread_mutex_lock(&log->lock);
        find_pod(log, name)->done = true;
    }
    log->idle = true;
    pthread_cond_broadcast(&log->changed);
    pthread_mutex_unlock(&log->lock);
    return NULL;
}

int vf_job_log_new(struct vf_kube_client *client, const char *ns, vf_job_log_line_fn *line,
                   void *opaque, struct vf_job_log **ret_log, struct vf_error **err)
{
    struct vf_job_log *log = vf_xcalloc(1, sizeof *log);
    pthread_condattr_t attr;
    *log = (struct vf_job_log){.client = client, .ns = ns, .line = line, .opaque = opaque};
    log->cancel = vf_cancel_new(NULL);
    pthread_mutex_init(&log->lock, NULL);
    pthread_condattr_init(&attr);
    pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    pthread_cond_init(&log->changed, &attr);
    pthread_condattr_destroy(&attr);
    int errnum = log->cancel ? pthread_create(&log->thread, NULL, run, log) : ENOMEM;
    if (errnum) {
        vf_cancel_free(log->cancel);
        pthread_cond_destroy(&log->changed);
        pthread_mutex_destroy(&log->lock);
        free(log);
        return vf_error_set_errno(err, errnum, "cannot start a thread for the log");
    }
    *ret_log = log;
    return 0;
}

void vf_job_log_tell_pod(struct vf_job_log *log, const char *pod, const char *container, bool ended)
{
    pthread_mutex_lock(&log->lock);
    struct pod *known = find_pod(log, pod);
    if (!known) {
        log->pods = vf_xrealloc_array(log->pods, log->n_pods + 1, sizeof *log->pods);
        known = &log->pods[log->n_pods++];
        *known = (struct pod){.name = vf_xstrdup(pod), .container = vf_xstrdup(container)};
    }
    known->ended |= ended;
    pthread_cond_broadcast(&log->changed);
    pthread_mutex_unlock(&log->lock);
}

void vf_job_log_finish(struct vf_job_log *log, int64_t timeout_ms)
{
    int64_t deadline_ms = vf_clock_ms() + timeout_ms;
    const struct timespec deadline = {.tv_sec = (time_t)(deadline_ms / 1000),
                                      .tv_nsec = (long)(deadline_ms % 1000) * 1000000};
    pthread_mutex_lock(&log->lock);
    log->finishing = true;
    for (size_t i = 0; i < log->n_pods; i++) {
        log->pods[i].ended = true;
    }
    pthread_cond_broadcast(&log->changed);
    for (int rc = 0; !log->idle && rc == 0;) {
        rc = pthread_cond_timedwait(&log->changed, &log->lock, &deadline);
    }
    pthread_mutex_unlock(&log->lock);
}

void vf_job_log_free(struct vf_job_log *log)
{
    if (!log) {
        return;
    }
    vf_cancel_trigger(log->cancel);
    pthread_mutex_lock(&log->lock);
    pthread_cond_broadcast(&log->changed);
    pthread_mutex_unlock(&log->lock);
    pthread_join(log->thread, NULL);
    for (size_t i = 0; i < log->n_pods; i++) {
        free(log->pods[i].name);
        free(log->pods[i].container);
    }
    free(log->pods);
    pthread_cond_destroy(&log->changed);
    pthread_mutex_destroy(&log->lock);
    vf_cancel_free(log->cancel);
    free(log);
}
