/* By VMware's own library, which the user brings along: for each disk of a round an nbdkit with its
 * vddk plugin, read over NBD. The library follows the snapshot's chain of deltas by itself.
 */
#include <stdlib.h>
#include <string.h>

#include "importer/base/http.h"
#include "importer/base/inject.h"
#include "importer/base/mem.h"
#include "importer/source/nbd.h"
#include "importer/source/vddk.h"
#include "jobs/area_copy.h"
#include "jobs/migration/transport_private.h"

/* All through one connection to the library: several to one disk were seen to be slower. */
#define REQUESTS 64u

/* Of a full copy: whole leaves of the digest need not be read back. */
#define FULL_READS      32u
#define FULL_READ_BYTES (1u << 20)

#define SECTOR_BYTES 512u

struct vddk {
    struct vf_transport base;
    const struct vf_transport_env *env;
    const struct vf_transport_options *options;
    char *port;       /* NULL: the usual one */
    char *thumbprint; /* of vCenter; asked for at the first use unless it was given */
};

/* The one of the certificate that the session trusts, by whichever of its rules. */
static int find_thumbprint(struct vddk *v, const struct vf_cancel *cancel, struct vf_error **err)
{
    if (v->thumbprint) {
        return 0;
    }
    if (v->options->vddk_thumbprint) {
        v->thumbprint = vf_xstrdup(v->options->vddk_thumbprint);
        return 0;
    }
    struct vf_vsphere *vs = v->env->vs;
    char *vf_autofree url = vf_xasprintf("https://%s/sdk", vf_vsphere_authority(vs));
    int rc =
        vf_http_fetch_thumbprint(vf_vsphere_http_options(vs), url, cancel, &v->thumbprint, err);
    if (rc) {
        vf_error_hint(err, "give the SHA-1 thumbprint of vCenter's certificate with "
                           "--vddk-thumbprint");
        return vf_error_wrap(err, rc, "looking for the thumbprint that VMware's library wants");
    }
    return 0;
}

static struct vf_vddk_options library_of(const struct vddk *v, const struct vf_cancel *cancel)
{
    return (struct vf_vddk_options){.program = v->options->nbdkit_program,
                                    .plugin = v->options->nbdkit_plugin,
                                    .libdir = v->options->vddk_libdir,
                                    .cancel = cancel};
}

static int start(const struct vddk *v, const struct vf_vm *frozen, const char *snapshot,
                 const struct vf_vm_disk *d, const struct vf_cancel *cancel,
                 struct vf_nbdkit **ret_server, struct vf_error **err)
{
    struct vf_vddk_options o = library_of(v, cancel);
    o.server = vf_vsphere_host(v->env->vs);
    o.port = v->port;
    o.user = vf_vsphere_user(v->env->vs);
    o.password = v->options->password;
    o.thumbprint = v->thumbprint;
    o.vm = frozen->moref;
    o.snapshot = snapshot;
    o.file = d->file;
    int rc = vf_vddk_start(&o, ret_server, err);
    return rc ? rc : vf_inject("transport.vddk.started", err);
}

static int check_size(const struct vf_disk *disk, const struct vf_vm_disk *d, struct vf_error **err)
{
    if (disk->size_bytes != d->capacity_bytes) {
        return vf_error_set(
            err, VF_CONFLICT, "the library shows a disk of %llu bytes, but the hardware says %llu",
            (unsigned long long)disk->size_bytes, (unsigned long long)d->capacity_bytes);
    }
    return 0;
}

static int copy_disk(void *opaque, const struct vf_transport_round *round,
                     const struct vf_transport_disk *d, struct vf_cancel *cancel,
                     struct vf_error **err)
{
    const struct vddk *v = opaque;
    unsigned requests = v->options->connections ? v->options->connections : REQUESTS;
    const struct vf_nbd_options nbd = {.in_flight = requests};
    struct vf_nbdkit *server = NULL;
    struct vf_disk *disk = NULL;
    int rc = start(v, round->frozen, round->snapshot, d->disk, cancel, &server, err);
    rc = rc ? rc : vf_nbdkit_open_disk(server, &nbd, &disk, err);
    rc = rc ? rc : check_size(disk, d->disk, err);
    if (rc == 0) {
        /* The map of the blocks that are allocated is slow to be had (seconds for a large disk):
         * of what was written lately most is, and it is not worth it. */
        const struct vf_area_copy c = {.disk = disk,
                                       .sink = d->sink,
                                       .areas = d->todo,
                                       .requests = d->base_change_id       ? requests
                                                   : requests < FULL_READS ? requests
                                                                           : FULL_READS,
                                       .request_bytes = d->base_change_id ? 0 : FULL_READ_BYTES,
                                       .skip_holes = !d->base_change_id,
                                       .progress = d->progress,
                                       .cancel = cancel};
        rc = vf_area_copy_run(&c, err);
    }
    vf_disk_free(disk);
    vf_nbdkit_free(server);
    return rc;
}

static int vddk_copy(struct vf_transport *t, const struct vf_transport_round *round,
                     struct vf_cancel *cancel, struct vf_error **err)
{
    struct vddk *v = (struct vddk *)t;
    struct vf_error *e = NULL;
    int rc = find_thumbprint(v, cancel, &e);
    rc = rc ? rc : vf_transport_each_disk(v->env, round, copy_disk, v, cancel, &e);
    if (rc) {
        rc = vf_transport_explain(v->env, round, rc, &e);
    } else {
        rc = vf_transport_check_frozen(v->env, round, &e);
    }
    vf_error_move(err, &e);
    if (rc && cancel) {
        vf_cancel_trigger(cancel);
    }
    return rc;
}

static int read_first(const struct vddk *v, const char *snapshot, const struct vf_vm *frozen,
                      const struct vf_cancel *cancel, struct vf_error **err)
{
    const struct vf_nbd_options nbd = {.retry = {.max_tries = 2, .first_wait_ms = 500}};
    const struct vf_vm_disk *d = &frozen->disks[0];
    struct vf_nbdkit *server = NULL;
    struct vf_disk *disk = NULL;
    uint8_t sector[SECTOR_BYTES];
    int rc = start(v, frozen, snapshot, d, cancel, &server, err);
    rc = rc ? rc : vf_nbdkit_open_disk(server, &nbd, &disk, err);
    rc = rc ? rc : check_size(disk, d, err);
    rc = rc ? rc : disk->ops->pread(disk, sector, sizeof sector, 0, err);
    vf_disk_free(disk);
    vf_nbdkit_free(server);
    return rc ? vf_error_wrap(err, rc, "disk 0 (%s)", d->label ? d->label : "without label") : 0;
}

int vf_transport_vddk_probe(struct vf_transport *t, const char *snapshot,
                            const struct vf_vm *frozen, const struct vf_cancel *cancel,
                            char **ret_version, struct vf_error **err)
{
    struct vddk *v = (struct vddk *)t;
    const struct vf_vddk_options library = library_of(v, cancel);
    char *vf_autofree version = NULL;
    int rc = vf_vddk_probe(&library, &version, err);
    rc = rc ? rc : find_thumbprint(v, cancel, err);
    if (rc == 0 && frozen->n_disks) {
        rc = read_first(v, snapshot, frozen, cancel, err);
    }
    if (rc == 0) {
        *ret_version = vf_take(version);
    }
    return rc;
}

static void vddk_free(struct vf_transport *t)
{
    struct vddk *v = (struct vddk *)t;
    free(v->port);
    free(v->thumbprint);
    free(v);
}

struct vf_transport *vf_transport_vddk_new(const struct vf_transport_options *options,
                                           const struct vf_transport_env *env)
{
    static const struct vf_transport_ops ops = {.copy = vddk_copy, .free = vddk_free};
    struct vddk *v = vf_xcalloc(1, sizeof *v);
    v->base = (struct vf_transport){.ops = &ops, .kind = VF_TRANSPORT_VDDK};
    v->env = env;
    v->options = options;
    const char *authority = vf_vsphere_authority(env->vs);
    size_t host = strlen(vf_vsphere_host(env->vs));
    if (authority[host] == ':') {
        v->port = vf_xstrdup(authority + host + 1);
    }
    return &v->base;
}
