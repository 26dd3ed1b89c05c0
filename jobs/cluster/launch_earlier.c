/* The worker that an earlier start of this import left. */
#include "importer/base/mem.h"
#include "importer/kube/metadata.h"
#include "importer/kube/resources.h"
#include "jobs/cluster/launch.h"
#include "jobs/cluster/launch_job.h"

static int refuse_job(const struct vf_landing_cluster *l, const cJSON *job, enum vf_owned owned,
                      struct vf_error **err)
{
    const char *name = vf_kube_name(job);
    if (owned != VF_OWNED_UNFINISHED && owned != VF_OWNED_FINISHED) {
        vf_error_set(err, VF_CONFLICT, "there is a Job \"%s\" in namespace \"%s\" already, %s",
                     name, l->ns,
                     owned == VF_OWNED_NOT ? "which is not vmferry's" : "for another VM");
        vf_error_hint(err, "it was left alone; choose another name with --name");
    } else {
        vf_error_set(err, VF_CONFLICT,
                     "Job \"%s\" in namespace \"%s\" still imports this VM, from an earlier start",
                     name, l->ns);
        vf_error_hint(err,
                      "kubectl logs -f -n %s job/%s shows how far it is; vmferry cleanup "
                      "--namespace %s --name %s --force ends it",
                      l->ns, name, l->ns, l->owner.import);
    }
    return VF_CONFLICT;
}

int vf_cluster_check_worker(struct vf_landing_cluster *l, bool look_only, struct vf_error **err)
{
    const struct vf_cancel *cancel = l->landing.im->cancel;
    char *vf_autofree name = vf_worker_job_name(l->owner.import);
    struct vf_kube_ref ref = {.resource = &vf_kube_jobs, .ns = l->ns, .name = name};
    struct vf_kube_options options = {.cancel = cancel};
    struct vf_error *e = NULL;
    cJSON *job = NULL;
    int rc = vf_kube_get(l->client, &ref, &options, &job, &e);
    if (rc) {
        if (rc == VF_MISSING) {
            vf_error_clear(&e);
            rc = 0;
        }
        vf_error_move(err, &e);
        return rc;
    }
    enum vf_owned owned = vf_owned_judge(job, &l->owner);
    bool ours = owned == VF_OWNED_UNFINISHED || owned == VF_OWNED_FINISHED;
    if (!ours || (vf_worker_job_runs(job) && !vf_kube_is_being_deleted(job))) {
        rc = refuse_job(l, job, owned, err);
    } else if (!look_only) {
        rc = vf_owned_delete(l->client, job, VF_WORKER_DELETE_TIMEOUT_MS, cancel, err);
    }
    cJSON_Delete(job);
    return rc;
}
