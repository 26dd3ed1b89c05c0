/* A disk's copy goes into its claim through CDI's upload proxy. */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "importer/base/mem.h"
#include "importer/kube/resources.h"
#include "importer/target/upload.h"
#include "jobs/cluster/landing.h"
#include "jobs/stages/stage.h"

/* Uploads of one disk that are begun before giving up. */
#define MAX_TRIES 5

/* Disks that are copied at the same time, unless it was told. */
#define DEFAULT_PARALLEL 4

/* An upload that arrived is Succeeded within seconds of its answer; one that did not leaves the
 * server waiting for another. */
#define DOUBT_TIMEOUT_MS (2 * 60 * 1000)

int vf_cluster_upload_choose_coding(struct vf_landing_cluster *l, struct vf_error **err)
{
    const struct vf_import *im = l->landing.im;
    bool zstd = im->options->cluster.coding == VF_IMPORT_ZSTD;
    int rc = im->options->cluster.coding == VF_IMPORT_CODING_AUTO
                 ? vf_cdi_fetch_takes_zstd(l->client, im->cancel, &zstd, err)
                 : 0;
    l->coding = zstd ? VF_UPLOAD_ZSTD : VF_UPLOAD_GZIP;
    return rc;
}

/* --- the DataVolume ---------------------------------------------------------------------- */

static int64_t timeout_ms(const struct vf_cluster_disk *d, int64_t usual_ms)
{
    return vf_cluster_timeout_ms(&d->landing->landing.im->options->cluster.where, usual_ms);
}

static int make_volume(struct vf_cluster_disk *d, const struct vf_cancel *cancel,
                       struct vf_error **err)
{
    struct vf_claim_plan plan = vf_cluster_claim_plan(d);
    cJSON *object = NULL;
    int rc = vf_cdi_build_upload_volume(&plan, &object, err);
    return rc ? rc : vf_cluster_make(d, &vf_kube_data_volumes, object, false, cancel, err);
}

int vf_cluster_upload_prepare(struct vf_cluster_disk *d, const struct vf_cancel *cancel,
                              struct vf_error **err)
{
    int rc = d->uid ? 0 : make_volume(d, cancel, err);
    if (rc == 0) {
        struct vf_cdi_wait wait =
            vf_cluster_wait(d, timeout_ms(d, VF_CLUSTER_READY_TIMEOUT_MS), cancel);
        rc = vf_cdi_wait_upload_ready(d->landing->client, &wait, err);
    }
    return rc;
}

/* --- the sink ---------------------------------------------------------------------------- */

/* An upload whose success is what the claim says, not what the proxy answered. */
struct upload {
    struct vf_stage stage;
    struct vf_cluster_disk *disk;
    const struct vf_cancel *cancel;
    int restarts; /* of the upload pod, when it began */
};

static bool has_reason(const struct vf_error *e, const char *reason)
{
    const char *given = vf_error_reason(e);
    return given && strcmp(given, reason) == 0;
}

static int fetch_token(void *opaque, struct vf_secret **ret_token, struct vf_error **err)
{
    const struct upload *u = opaque;
    const struct vf_landing_cluster *l = u->disk->landing;
    struct vf_error *e = NULL;
    int rc = vf_cdi_fetch_upload_token(l->client, l->ns, u->disk->claim, u->cancel, ret_token, &e);
    return vf_cluster_settle(rc, &e, err);
}

/* What to look at when uploads fail again and again. */
static int explain(const struct upload *u, int rc, struct vf_error **err)
{
    const struct vf_cluster_disk *d = u->disk;
    const struct vf_error *e = err ? *err : NULL;
    if (rc != VF_RETRY) {
        return rc;
    }
    if (has_reason(e, VF_UPLOAD_REASON_TOKEN)) {
        vf_error_hint(err, "the logs of cdi-uploadproxy and cdi-apiserver tell why a token that "
                           "CDI has just given is refused");
    } else if (vf_error_http_status(e)) {
        vf_error_hint(err,
                      "kubectl describe pod -n %s cdi-upload-%s, its log and that of "
                      "cdi-uploadproxy tell more",
                      d->landing->ns, d->claim);
    } else if (!has_reason(e, VF_CDI_REASON_RESTARTED)) {
        vf_error_hint(err,
                      "look for what closes the connection to the upload proxy: an ingress or "
                      "load balancer with a limit of size or time, mostly; --upload-proxy goes "
                      "around it");
    }
    return vf_error_wrap(err, rc, "upload into \"%s\"", d->claim);
}

static int upload_write(struct vf_sink *s, const void *buf, size_t len_bytes, uint64_t offset_bytes,
                        struct vf_error **err)
{
    const struct upload *u = (const struct upload *)s;
    return explain(u, vf_sink_write(u->stage.next, buf, len_bytes, offset_bytes, err), err);
}

static int upload_zero(struct vf_sink *s, uint64_t offset_bytes, uint64_t length_bytes,
                       struct vf_error **err)
{
    const struct upload *u = (const struct upload *)s;
    return explain(u, vf_sink_zero(u->stage.next, offset_bytes, length_bytes, err), err);
}

static int upload_finish(struct vf_sink *s, struct vf_error **err)
{
    struct upload *u = (struct upload *)s;
    struct vf_cluster_disk *d = u->disk;
    struct vf_import *im = d->landing->landing.im;
    struct vf_error *e = NULL;
    int64_t wait_ms = timeout_ms(d, VF_CLUSTER_SUCCEEDED_TIMEOUT_MS);
    int rc = vf_sink_finish(u->stage.next, &e);
    bool doubt = false;
    if (has_reason(e, VF_UPLOAD_REASON_DOUBT) ||
        (d->in_doubt && has_reason(e, VF_UPLOAD_REASON_DONE))) {
        /* The content of every try is the same; the claim tells whether one of them arrived. */
        wait_ms = wait_ms < DOUBT_TIMEOUT_MS ? wait_ms : DOUBT_TIMEOUT_MS;
        vf_report_info(im->reporter, im->vm_name,
                       "\"%s\": the answer to the upload was lost; asking the claim for up to "
                       "%lld s whether it arrived",
                       d->claim, (long long)wait_ms / 1000);
        doubt = d->in_doubt = true;
        vf_error_clear(&e);
        rc = 0;
    }
    if (rc == 0) {
        struct vf_cdi_wait wait = vf_cluster_wait(d, wait_ms, u->cancel);
        rc = vf_cdi_wait_succeeded(d->landing->client, &wait, u->restarts, &e);
        if (!doubt) { /* else the server may still wait for what did not arrive */
            return explain(u, vf_cluster_settle(rc, &e, err), err);
        }
    }
    vf_error_move(err, &e);
    return explain(u, rc, err);
}

static void upload_free(struct vf_sink *s)
{
    vf_sink_free(((struct vf_stage *)s)->next);
    free(s);
}

static const struct vf_sink_ops sink_ops = {.write = upload_write,
                                            .zero = upload_zero,
                                            .read = vf_stage_read,
                                            .flush = vf_stage_flush,
                                            .finish = upload_finish,
                                            .free = upload_free};

/* Deflating is what an upload takes most of; all that run share the processors. */
static unsigned threads_of_one(const struct vf_landing_cluster *l)
{
    const struct vf_import_options *o = l->landing.im->options;
    size_t parallel = o->parallel_disks ? o->parallel_disks : DEFAULT_PARALLEL;
    long cpus = o->threads ? (long)o->threads : sysconf(_SC_NPROCESSORS_ONLN);
    parallel = parallel < l->n_disks ? parallel : l->n_disks;
    return cpus > (long)parallel ? (unsigned)(cpus / (long)parallel) : 1;
}

static int open_upload(struct vf_disk_target *target, uint64_t size_bytes,
                       const struct vf_cancel *cancel, struct vf_sink **ret_sink,
                       struct vf_error **err)
{
    struct vf_cluster_disk *d = (struct vf_cluster_disk *)target;
    struct vf_landing_cluster *l = d->landing;
    if (d->tries++ >= MAX_TRIES) {
        return vf_error_set(err, VF_CONFLICT, "%u uploads of this disk broke", MAX_TRIES);
    }
    d->size_bytes = size_bytes;
    char *vf_autofree phase = NULL;
    int restarts = 0;
    struct vf_error *e = NULL;
    int rc = vf_cluster_upload_prepare(d, cancel, &e);
    if (rc == 0) {
        rc = vf_cdi_fetch_upload_state(l->client, l->ns, d->claim, cancel, &restarts, &phase, &e);
    }
    if (rc) {
        return vf_cluster_settle(rc, &e, err);
    }
    struct upload *u = vf_xcalloc(1, sizeof *u);
    *u = (struct upload){.disk = d, .cancel = cancel, .restarts = restarts};
    struct vf_upload_options options = {.http = l->proxy,
                                        .url = l->proxy_url,
                                        .fetch_token = fetch_token,
                                        .opaque = u,
                                        .size_bytes = size_bytes,
                                        .coding = l->coding,
                                        .threads = threads_of_one(l),
                                        .cancel = cancel};
    struct vf_sink *next = NULL;
    rc = vf_upload_sink_open(&options, &next, err);
    if (rc) {
        free(u);
        return rc;
    }
    vf_stage_init(&u->stage, &sink_ops, next);
    *ret_sink = &u->stage.base;
    return 0;
}

/* The upload server takes the next try from the beginning. */
static void discard(struct vf_disk_target *target)
{
    (void)target;
}

static const struct vf_disk_target_ops ops = {.open = open_upload, .discard = discard};

void vf_cluster_upload_target_init(struct vf_cluster_disk *d)
{
    d->target.ops = &ops;
}
