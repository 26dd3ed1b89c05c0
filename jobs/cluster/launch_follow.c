#include "jobs/cluster/launch_follow.h"

#include <pthread.h>

#include "importer/base/mem.h"
#include "importer/kube/metadata.h"
#include "importer/kube/owned.h"
#include "jobs/cluster/landing.h"
#include "jobs/cluster/launch_job.h"

#define NAP_MS (60 * 60 * 1000)

/* Two threads: the caller's follows the Job, the other deletes it when the import is cancelled. */
struct follow {
    struct vf_worker_run *run;
    struct vf_cancel *over;    /* the import is cancelled, or the Job was followed to its end */
    struct vf_cancel *ended;   /* the latter */
    struct vf_cancel *give_up; /* following it has no sense any more */
};

static void tell(void *opaque, const char *message, const char *hint)
{
    const struct vf_import *im = ((struct vf_worker_run *)opaque)->im;
    if (hint) {
        vf_report_warning(im->reporter, im->vm_name, "the worker cannot start: %s (%s)", message,
                          hint);
    } else {
        vf_report_warning(im->reporter, im->vm_name, "the worker cannot start: %s", message);
    }
}

static void take_line(void *opaque, const char *line, size_t len)
{
    vf_worker_events_line(&((struct vf_worker_run *)opaque)->events, line, len);
}

static void stop_job(struct follow *f)
{
    struct vf_worker_run *r = f->run;
    struct vf_import *im = r->im;
    struct vf_error *e = NULL;
    atomic_store(&r->stopped, true);
    vf_report_phase(im->reporter, im->vm_name, "cleanup",
                    "stopping Job \"%s\": its worker has %d s to clean up at the source",
                    vf_kube_name(r->job), VF_WORKER_GRACE_S);
    int rc = vf_owned_delete(r->client, r->job, 0, NULL, &e);
    if (rc) {
        char *vf_autofree text = vf_error_format(e);
        vf_report_warning(im->reporter, im->vm_name, "%s: it may still run", text);
    }
    vf_error_free(e);
    if (rc || vf_cancel_wait(f->ended, VF_WORKER_DELETE_TIMEOUT_MS, NULL) == 0) {
        vf_cancel_trigger(f->give_up);
    }
}

static void *stop_when_cancelled(void *opaque)
{
    struct follow *f = opaque;
    while (vf_cancel_wait(f->over, NAP_MS, NULL) == 0) {
    }
    if (vf_cancel_is_set(f->ended)) {
        return NULL;
    }
    if (f->run->leave) {
        vf_cancel_trigger(f->give_up);
    } else {
        stop_job(f);
    }
    return NULL;
}

static int follow(struct follow *f, struct vf_error **err)
{
    struct vf_worker_run *r = f->run;
    const struct vf_job_follow jf = {
        .ns = vf_kube_namespace(r->job),
        .name = vf_kube_name(r->job),
        .uid = vf_kube_uid(r->job),
        .tell = tell,
        .line = take_line,
        .opaque = r,
        .start_timeout_ms =
            vf_cluster_timeout_ms(&r->im->options->cluster.where, VF_CLUSTER_READY_TIMEOUT_MS),
        .through_deletion = true,
        .cancel = f->give_up};
    pthread_t stopper;
    if (pthread_create(&stopper, NULL, stop_when_cancelled, f) != 0) {
        return vf_error_set(err, VF_INTERNAL, "cannot start a thread");
    }
    int rc = vf_job_follow(r->client, &jf, &r->end, err);
    vf_cancel_trigger(f->ended);
    vf_cancel_trigger(f->over);
    pthread_join(stopper, NULL);
    return rc;
}

int vf_worker_follow(struct vf_worker_run *r, struct vf_error **err)
{
    struct follow f = {.run = r,
                       .over = vf_cancel_new(r->im->cancel),
                       .ended = vf_cancel_new(NULL),
                       .give_up = vf_cancel_new(NULL)};
    int rc = f.over && f.ended && f.give_up ? follow(&f, err)
                                            : vf_error_set(err, VF_INTERNAL, "no descriptor left");
    vf_cancel_free(f.over);
    vf_cancel_free(f.ended);
    vf_cancel_free(f.give_up);
    return rc;
}
