/* An export is opened, its first disk read for a moment, and ended by an abort. */
#include <stdlib.h>
#include <string.h>

#include "importer/base/clock.h"
#include "importer/base/mem.h"
#include "importer/vsphere/fault.h"
#include "jobs/export_streams.h"
#include "jobs/preflight/probe.h"

#define READ_BYTES    (16u << 20)
#define READ_MS       2000
#define FIRST_BYTE_MS 8000
#define BUFFER_BYTES  (256u << 10)
#define TELLING_BYTES (1u << 20) /* of less, no rate can be told */
#define TELLING_MS    20

/* "esx1.example:443" of "https://esx1.example/nfc/..."; what follows is the ticket. */
static char *authority_of(const char *url)
{
    const char *start = strstr(url, "://");
    start = start ? start + 3 : url;
    size_t len = strcspn(start, "/?#");
    bool has_port = len && memchr(start, ':', len) && start[len - 1] != ']';
    return vf_xasprintf("%.*s%s", (int)(len < 300 ? len : 300), start, has_port ? "" : ":443");
}

/* That no more came: the stream's own times, or the end of the probes'. */
static bool is_timeout(int rc, int64_t moved_ms, int64_t deadline_ms)
{
    int64_t now_ms = vf_clock_ms();
    return rc == VF_CANCELLED ||
           (rc == VF_RETRY && (now_ms - moved_ms >= FIRST_BYTE_MS || now_ms >= deadline_ms));
}

/* What came before a timeout proves the way as well as more would. */
static int read_for_a_moment(struct vf_stream *in, int64_t deadline_ms, double *ret_bytes_per_s,
                             struct vf_error **err)
{
    struct vf_error *e = NULL;
    char *vf_autofree buffer = vf_xcalloc(BUFFER_BYTES, 1);
    int64_t start_ms = vf_clock_ms(), took_ms = 0;
    size_t n_bytes = 0;
    while (n_bytes < READ_BYTES && took_ms < READ_MS) {
        size_t n = 0;
        int rc = in->ops->read(in, buffer, BUFFER_BYTES, &n, &e);
        if (rc && n_bytes > 0 && is_timeout(rc, start_ms + took_ms, deadline_ms)) {
            vf_error_free(e);
            return 0;
        }
        if (rc) {
            vf_error_move(err, &e);
            return rc;
        }
        if (n == 0) {
            break;
        }
        n_bytes += n;
        took_ms = vf_clock_ms() - start_ms;
    }
    if (n_bytes == 0) {
        return vf_error_set(err, VF_INVALID, "the export of the disk is empty");
    }
    if (n_bytes >= TELLING_BYTES && took_ms >= TELLING_MS) {
        *ret_bytes_per_s = (double)n_bytes * 1000.0 / (double)took_ms;
    }
    return 0;
}

static int read_device(const struct vf_probes *p, const struct vf_lease_device *device,
                       double *ret_bytes_per_s, struct vf_error **err)
{
    struct vf_http *http = NULL;
    struct vf_stream *in = NULL;
    struct vf_http_request req = {.url = device->url,
                                  .stall_timeout_ms = FIRST_BYTE_MS,
                                  .deadline_ms = vf_clock_ms() + FIRST_BYTE_MS + READ_MS};
    int rc = vf_export_connect(p->http, device, p->limit, &http, err);
    rc = rc ? rc : vf_http_open(http, &req, &in, err);
    rc = rc ? rc : read_for_a_moment(in, req.deadline_ms, ret_bytes_per_s, err);
    vf_stream_free(in);
    vf_http_free(http);
    return rc;
}

static const struct vf_lease_device *first_disk(const struct vf_lease *lease)
{
    size_t n;
    const struct vf_lease_device *devices = vf_lease_devices(lease, &n);
    for (size_t i = 0; i < n; i++) {
        if (devices[i].disk) {
            return &devices[i];
        }
    }
    return NULL;
}

static void try_lease(const struct vf_probes *p, struct vf_probe_of *of,
                      const struct vf_lease *lease, bool *ret_seen)
{
    const struct vf_lease_device *device = first_disk(lease);
    struct vf_error *e = NULL;
    double rate = 0;
    if (!device) {
        vf_probe_not_tried(p, of, "the VM's export has no disk", NULL);
        return;
    }
    char *vf_autofree authority = authority_of(device->url);
    of->object = authority;
    of->at_host = true;
    *ret_seen = true;
    if (read_device(p, device, &rate, &e)) {
        vf_probe_failed(p, of, &e);
    } else {
        vf_probe_good(p, of, rate);
    }
    of->object = NULL; /* it was this function's */
}

void vf_probe_nfc(const struct vf_probes *p, const struct vf_vm *vm, const char *snapshot,
                  bool *ret_seen)
{
    struct vf_probe_of of = {.transport = VF_TRANSPORT_NFC, .vm = vm};
    struct vf_lease *lease = NULL;
    struct vf_error *e = NULL;
    if (vf_probe_is_over(p) || !p->vs) {
        vf_probe_not_tried(p, &of, p->no_session ? p->no_session : "no time was left", NULL);
        return;
    }
    int rc = snapshot ? vf_lease_open_snapshot(p->vs, snapshot, &lease, &e)
                      : vf_lease_open_vm(p->vs, vm->moref, &lease, &e);
    if (rc == 0) {
        try_lease(p, &of, lease, ret_seen);
    } else if (vf_fault_is(e, "TaskInProgress")) {
        vf_probe_not_tried(p, &of, "the VM is busy with another task", NULL);
    } else {
        vf_probe_failed(p, &of, &e);
    }
    vf_lease_free(lease);
    vf_error_free(e);
}
