/* A disk is opened as a file of its datastore, which reads its first and last sector, and then read
 * for a moment.
 */
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "importer/base/clock.h"
#include "importer/base/mem.h"
#include "importer/source/datastore.h"
#include "importer/vsphere/cookie.h"
#include "importer/vsphere/datacenter.h"
#include "jobs/parallel.h"
#include "jobs/preflight/probe.h"

#define TIMEOUT_MS    8000
#define PIECE_BYTES   (1u << 20)
#define MAX_PIECES    32u
#define READ_MS       2000
#define TELLING_BYTES (4u << 20) /* of less, no rate can be told */
#define TELLING_MS    20

struct reading {
    struct vf_disk *disk;
    int64_t end_ms;
    _Atomic uint64_t n_bytes;
};

static int read_piece(void *opaque, size_t index, struct vf_error **err)
{
    struct reading *r = opaque;
    uint64_t offset = (uint64_t)index * PIECE_BYTES;
    if (vf_clock_ms() >= r->end_ms || offset >= r->disk->size_bytes) {
        return 0;
    }
    uint64_t left = r->disk->size_bytes - offset;
    size_t n = left < PIECE_BYTES ? (size_t)left : PIECE_BYTES;
    void *vf_autofree buffer = vf_xcalloc(n, 1);
    int rc = r->disk->ops->pread(r->disk, buffer, n, offset, err);
    if (rc == 0) {
        atomic_fetch_add(&r->n_bytes, n);
    }
    return rc;
}

static int measure(struct vf_disk *disk, double *ret_bytes_per_s, struct vf_error **err)
{
    int64_t start_ms = vf_clock_ms();
    struct reading r = {.disk = disk, .end_ms = start_ms + READ_MS};
    int rc = vf_parallel_run(MAX_PIECES, VF_DATASTORE_REQUESTS, read_piece, &r, NULL, err);
    int64_t took_ms = vf_clock_ms() - start_ms;
    if (rc == 0 && r.n_bytes >= TELLING_BYTES && took_ms >= TELLING_MS) {
        *ret_bytes_per_s = (double)r.n_bytes * 1000.0 / (double)took_ms;
    }
    return rc;
}

static int read_disk(const struct vf_probes *p, const struct vf_vm *vm, const struct vf_vm_disk *d,
                     double *ret_bytes_per_s, struct vf_error **err)
{
    static const struct vf_retry_policy policy = {
        .max_tries = 3, .first_wait_ms = 250, .timeout_ms = TIMEOUT_MS};
    char *vf_autofree dc_path = NULL;
    struct vf_http *http = NULL;
    struct vf_disk *disk = NULL;
    int rc = vf_vsphere_fetch_datacenter_path(p->vs, vm->moref, &dc_path, err);
    rc = rc ? rc : vf_http_new(vf_vsphere_http_options(p->vs), p->limit, &http, err);
    if (rc == 0) {
        const struct vf_datastore_options o = {.http = http,
                                               .authority = vf_vsphere_authority(p->vs),
                                               .dc_path = dc_path,
                                               .file = d->file,
                                               .size_bytes = d->capacity_bytes,
                                               .cookie = vf_vsphere_fetch_cookie,
                                               .cookie_opaque = p->vs,
                                               .retry = &policy,
                                               .timeout_ms = TIMEOUT_MS,
                                               .cancel = p->limit};
        rc = vf_datastore_open(&o, &disk, err);
    }
    rc = rc ? rc : measure(disk, ret_bytes_per_s, err);
    vf_disk_free(disk);
    vf_http_free(http);
    return rc;
}

/* One whose content is a file: a delta's base is the file of another name. */
static const struct vf_vm_disk *find_disk(const struct vf_vm *vm, const struct vf_vm_disk *like)
{
    for (size_t i = 0; i < vm->n_disks; i++) {
        const struct vf_vm_disk *d = &vm->disks[i];
        if (vf_datastore_has(like->datastore_moref, like->datastore, d) && d->file && !d->delta &&
            !d->rdm && !d->encrypted) {
            return d;
        }
    }
    return NULL;
}

void vf_probe_https(const struct vf_probes *p, const struct vf_vm *vm,
                    const struct vf_vm_disk *like)
{
    const struct vf_probe_of of = {.transport = VF_TRANSPORT_HTTPS,
                                   .vm = vm,
                                   .datastore = like->datastore,
                                   .datastore_moref = like->datastore_moref,
                                   .object = like->datastore};
    const struct vf_vm_disk *d = find_disk(vm, like);
    struct vf_error *e = NULL;
    double rate = 0;
    if (!d) {
        vf_probe_not_tried(p, &of,
                           "no disk there is a plain file: snapshots, raw devices, or "
                           "encryption are in the way",
                           NULL);
    } else if (vf_probe_is_over(p) || !p->vs) {
        vf_probe_not_tried(p, &of, p->no_session ? p->no_session : "no time was left", NULL);
    } else if (read_disk(p, vm, d, &rate, &e)) {
        vf_probe_file_failed(p, &of, &e);
    } else {
        vf_probe_good(p, &of, rate);
    }
    vf_error_free(e);
}
