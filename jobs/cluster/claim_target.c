/* A disk's copy goes into its claim, which is mounted here: PATH/disk-N. */
#include <inttypes.h>
#include <string.h>

#include "importer/base/json.h"
#include "importer/base/mem.h"
#include "importer/kube/resources.h"
#include "importer/target/claim.h"
#include "jobs/cluster/landing.h"

static int open_claim(struct vf_disk_target *target, uint64_t size_bytes,
                      const struct vf_cancel *cancel, struct vf_sink **ret_sink,
                      struct vf_error **err)
{
    struct vf_cluster_disk *d = (struct vf_cluster_disk *)target;
    d->size_bytes = size_bytes;
    d->tries++;
    /* A disk.img of this very import may be there from a try whose answer was lost; whether the
     * claim may be written at all was settled before. */
    int rc = vf_claim_sink_open(d->mount, size_bytes, true, ret_sink, err);
    if (rc) {
        return vf_error_wrap(err, rc, "claim \"%s\"", d->claim);
    }
    vf_claim_sink_set_cancel(*ret_sink, cancel);
    return 0;
}

/* The next try takes the partial file over. */
static void discard(struct vf_disk_target *target)
{
    (void)target;
}

static const struct vf_disk_target_ops ops = {.open = open_claim, .discard = discard};

void vf_cluster_claim_target_init(struct vf_cluster_disk *d)
{
    const char *path = d->landing->landing.im->options->to_path;
    d->target.ops = &ops;
    d->mount = path ? vf_xasprintf("%s/disk-%zu", path, d->index) : NULL;
}

/* A warm migration may have marked it as complete in a cutover that failed then. */
static bool may_be_filled(const struct vf_landing_cluster *l, const cJSON *claim)
{
    enum vf_owned owned = vf_owned_judge(claim, &l->owner);
    return vf_owned_is_warm(claim) == l->warm &&
           (owned == VF_OWNED_UNFINISHED || (l->warm && owned == VF_OWNED_FINISHED));
}

/* Only a claim that was made for this import is ever written to. */
static int check_owner(struct vf_cluster_disk *d, const struct vf_cancel *cancel,
                       struct vf_error **err)
{
    struct vf_landing_cluster *l = d->landing;
    struct vf_kube_ref ref = {.resource = &vf_kube_claims, .ns = l->ns, .name = d->claim};
    struct vf_kube_options options = {.cancel = cancel};
    cJSON *object = NULL;
    int rc = vf_kube_get(l->client, &ref, &options, &object, err);
    if (rc == VF_MISSING) {
        vf_error_hint(err,
                      "the claims are made by \"vmferry %s --to pvc\", which then has a Job fill "
                      "them",
                      l->warm ? "migrate --warm" : "import");
    }
    if (rc == 0 && !may_be_filled(l, object)) {
        rc = vf_error_set(err, VF_CONFLICT,
                          "claim \"%s\" was not made for this %s: it is not written to", d->claim,
                          l->warm ? "migration" : "import");
        vf_error_hint(err,
                      "a claim to be filled has the labels that \"vmferry %s --to pvc\" gives "
                      "it",
                      l->warm ? "migrate --warm" : "import");
    }
    cJSON_Delete(object);
    return rc;
}

int vf_cluster_claim_prepare(struct vf_cluster_disk *d, const struct vf_cancel *cancel,
                             struct vf_error **err)
{
    struct vf_claim_info info = {.mode = VF_CLAIM_FILESYSTEM};
    struct vf_import *im = d->landing->landing.im;
    int rc = check_owner(d, cancel, err);
    if (rc == 0) {
        rc = vf_claim_probe(d->mount, &info, err);
    }
    if (rc == 0 && info.mode == VF_CLAIM_BLOCK && info.room_bytes < d->size_bytes) {
        rc = vf_error_set(err, VF_SPACE,
                          "the device \"%s\" has %" PRIu64 " bytes, the disk %" PRIu64, d->mount,
                          info.room_bytes, d->size_bytes);
    } else if (rc == 0 && info.room_bytes < d->size_bytes) {
        vf_report_warning(im->reporter, im->vm_name,
                          "claim \"%s\" has %" PRIu64 " bytes free for a disk of %" PRIu64
                          ": enough only while parts of the disk are empty",
                          d->claim, info.room_bytes, d->size_bytes);
    }
    return rc ? vf_error_wrap(err, rc, "claim \"%s\"", d->claim) : 0;
}
