/* By byte ranges of the flat files, through the datastore browser (importer/source/datastore).
 *
 * Why the flat file is what the snapshot froze: a snapshot makes of each disk's file a base that
 * nobody writes to any more, and sends the guest's writes to a new delta on top of it. So the file
 * of the disk's backing as the snapshot has it (its config.hardware.device, not the VM's) is the
 * state of that moment, whether the VM is on or off, for as long as this snapshot exists. Three
 * things make it something else:
 *
 * - The datastore has a way of its own to make snapshots, and the VM writes on to the same file. So
 *   the VM's backing is looked at, too: it must be another one.
 * - The backing is itself a delta, on top of an older snapshot (somebody's, or one of ours that was
 *   not removed) or of a parent (a linked clone): the base then has an older state, and the
 *   difference is in a format of its own. Its backing has a parent; such a disk is refused.
 * - The snapshot goes away in the middle: its removal writes the delta's content into the base.
 *   This is why the snapshot is looked for once more when the last byte was read.
 *
 * A disk that takes no part in snapshots is written to all the time, and an encrypted one or a raw
 * device has something else in its file: all refused.
 */
#include <stdlib.h>
#include <string.h>

#include "importer/base/inject.h"
#include "importer/base/mem.h"
#include "importer/source/datastore.h"
#include "importer/vsphere/cookie.h"
#include "importer/vsphere/datacenter.h"
#include "importer/vsphere/inventory.h"
#include "jobs/area_copy.h"
#include "jobs/migration/transport_private.h"

/* A request costs a round trip and a search through the datastore's names: so much in each, unless
 * as many as are asked for would not fit into the budget. */
#define REQUEST_BYTES (1u << 20)
#define BUDGET_BYTES  (32u << 20)

#define MAX_REQUESTS 256u
#define SECTOR_BYTES 512u

#define PROBE_TIMEOUT_MS 10000

struct https {
    struct vf_transport base;
    const struct vf_transport_env *env;
    const struct vf_transport_options *options;
    struct vf_http *http; /* shared by the disks; made at the first use */
    /* Of the round: */
    char *dc_path;
    bool has_live;
    struct vf_vm live; /* the VM as it is, not as the snapshot has it */
};

static void forget_round(struct https *h)
{
    free(vf_take(h->dc_path));
    if (h->has_live) {
        vf_vm_release(&h->live);
    }
    h->has_live = false;
}

static bool is_written_to(const struct vf_vm *live, const struct vf_vm_disk *d)
{
    for (size_t i = 0; i < live->n_disks; i++) {
        const struct vf_vm_disk *now = &live->disks[i];
        if (now->key == d->key && now->file && strcmp(now->file, d->file) == 0) {
            return !d->independent || live->power != VF_POWER_OFF;
        }
    }
    return false;
}

/* Why a file cannot be the disk; NULL: it can. */
static const char *find_flaw(const struct vf_vm *live, const struct vf_vm_disk *d)
{
    if (!d->file || !*d->file) {
        return "it has no file";
    }
    if (d->delta) {
        return "its file holds only what was written since an older snapshot";
    }
    if (d->rdm) {
        return "it is a raw device";
    }
    if (d->encrypted) {
        return "its file is encrypted";
    }
    if (d->independent && live->power != VF_POWER_OFF) {
        return "it takes no part in snapshots, and the guest writes to it";
    }
    return is_written_to(live, d) ? "the VM writes to its file in spite of the snapshot" : NULL;
}

static int check_disk(const struct vf_vm *live, const struct vf_vm_disk *d, struct vf_error **err)
{
    const char *flaw = find_flaw(live, d);
    if (!flaw) {
        return 0;
    }
    vf_error_set(err, VF_UNSUPPORTED, "the disk cannot be read as a file: %s", flaw);
    vf_error_set_reason(err, VF_DATASTORE_NOT_FLAT);
    vf_error_hint(err, d->delta ? "remove the VM's other snapshots, or choose another transport"
                                : "choose another transport");
    return VF_UNSUPPORTED;
}

static int prepare(struct https *h, const struct vf_vm *frozen, struct vf_error **err)
{
    int rc = 0;
    if (!h->http) {
        rc = vf_http_new(vf_vsphere_http_options(h->env->vs), NULL, &h->http, err);
    }
    forget_round(h); /* a VM may be moved between rounds */
    rc = rc ? rc : vf_vsphere_fetch_datacenter_path(h->env->vs, frozen->moref, &h->dc_path, err);
    if (rc == 0) {
        rc = vf_vsphere_fetch_vm(h->env->vs, frozen->moref, &h->live, err);
        h->has_live = rc == 0;
    }
    return rc;
}

static unsigned requests_of(const struct https *h)
{
    unsigned n = h->options->connections ? h->options->connections : VF_DATASTORE_REQUESTS;
    return n < MAX_REQUESTS ? n : MAX_REQUESTS;
}

static int open_disk(struct https *h, const struct vf_vm_disk *d,
                     const struct vf_retry_policy *retry, unsigned timeout_ms,
                     const struct vf_cancel *cancel, struct vf_disk **ret_disk,
                     struct vf_error **err)
{
    int rc = check_disk(&h->live, d, err);
    if (rc) {
        return rc;
    }
    const struct vf_datastore_options o = {.http = h->http,
                                           .authority = vf_vsphere_authority(h->env->vs),
                                           .dc_path = h->dc_path,
                                           .file = d->file,
                                           .size_bytes = d->capacity_bytes,
                                           .cookie = vf_vsphere_fetch_cookie,
                                           .cookie_opaque = h->env->vs,
                                           .max_requests = requests_of(h),
                                           .retry = retry,
                                           .timeout_ms = timeout_ms,
                                           .cancel = cancel};
    return vf_datastore_open(&o, ret_disk, err);
}

static int copy_disk(void *opaque, const struct vf_transport_round *round,
                     const struct vf_transport_disk *d, struct vf_cancel *cancel,
                     struct vf_error **err)
{
    struct https *h = opaque;
    struct vf_disk *disk = NULL;
    (void)round;
    int rc = vf_inject("transport.https.open", err);
    rc = rc ? rc : open_disk(h, d->disk, NULL, 0, cancel, &disk, err);
    if (rc == 0) {
        unsigned each = BUDGET_BYTES / requests_of(h) / SECTOR_BYTES * SECTOR_BYTES;
        const struct vf_area_copy c = {.disk = disk,
                                       .sink = d->sink,
                                       .areas = d->todo,
                                       .requests = requests_of(h),
                                       .request_bytes = each < REQUEST_BYTES ? each : REQUEST_BYTES,
                                       .budget_bytes = BUDGET_BYTES,
                                       .progress = d->progress,
                                       .cancel = cancel};
        rc = vf_area_copy_run(&c, err);
    }
    vf_disk_free(disk);
    return rc;
}

static int https_copy(struct vf_transport *t, const struct vf_transport_round *round,
                      struct vf_cancel *cancel, struct vf_error **err)
{
    struct https *h = (struct https *)t;
    struct vf_error *e = NULL;
    int rc = prepare(h, round->frozen, &e);
    rc = rc ? rc : vf_transport_each_disk(h->env, round, copy_disk, h, cancel, &e);
    if (rc) {
        rc = vf_transport_explain(h->env, round, rc, &e);
    } else {
        rc = vf_transport_check_frozen(h->env, round, &e);
    }
    vf_error_move(err, &e);
    if (rc && cancel) {
        vf_cancel_trigger(cancel);
    }
    return rc;
}

int vf_transport_https_probe(struct vf_transport *t, const struct vf_vm *frozen,
                             const struct vf_cancel *cancel, struct vf_error **err)
{
    static const struct vf_retry_policy policy = {
        .max_tries = 4, .first_wait_ms = 250, .max_wait_ms = 4000, .timeout_ms = PROBE_TIMEOUT_MS};
    struct https *h = (struct https *)t;
    int rc = prepare(h, frozen, err);
    for (size_t i = 0; i < frozen->n_disks && rc == 0; i++) {
        const struct vf_vm_disk *d = &frozen->disks[i];
        struct vf_disk *disk = NULL;
        rc = open_disk(h, d, &policy, PROBE_TIMEOUT_MS, cancel, &disk, err);
        vf_disk_free(disk);
        if (rc) {
            rc = vf_error_wrap(err, rc, "disk %zu (%s)", i, d->label ? d->label : "without label");
        }
    }
    return rc;
}

static void https_free(struct vf_transport *t)
{
    struct https *h = (struct https *)t;
    forget_round(h);
    vf_http_free(h->http);
    free(h);
}

struct vf_transport *vf_transport_https_new(const struct vf_transport_options *options,
                                            const struct vf_transport_env *env)
{
    static const struct vf_transport_ops ops = {.copy = https_copy, .free = https_free};
    struct https *h = vf_xcalloc(1, sizeof *h);
    h->base = (struct vf_transport){.ops = &ops, .kind = VF_TRANSPORT_HTTPS};
    h->env = env;
    h->options = options;
    return &h->base;
}
