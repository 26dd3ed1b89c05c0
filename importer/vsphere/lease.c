#include "importer/vsphere/lease.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "importer/base/log.h"
#include "importer/base/mem.h"
#include "importer/base/xml.h"
#include "importer/vsphere/lease_info.h"
#include "importer/vsphere/property.h"
#include "importer/vsphere/requests.h"
#include "importer/vsphere/session.h"
#include "importer/vsphere/vim_names.h"
#include "importer/vsphere/watch.h"

#define READY_TIMEOUT_MS    (2 * 60 * 1000)
#define PROGRESS_TIMEOUT_MS 20000
#define END_TIMEOUT_MS      15000

static const char what_export[] = "export the VM";

struct vf_lease {
    struct vf_vsphere *vs;
    char *moref;
    struct vf_lease_info info;
    pthread_mutex_t lock; /* of `ended` */
    bool ended;           /* completed, aborted or gone */
};

static bool is_ended(struct vf_lease *l)
{
    pthread_mutex_lock(&l->lock);
    bool ended = l->ended;
    pthread_mutex_unlock(&l->lock);
    return ended;
}

static void set_ended(struct vf_lease *l)
{
    pthread_mutex_lock(&l->lock);
    l->ended = true;
    pthread_mutex_unlock(&l->lock);
}

struct state {
    enum vf_lease_state state;
    struct vf_fault fault; /* type NULL: none */
    struct vf_lease_info *info;
    const struct vf_vsphere *vs;
};

static enum vf_lease_state parse_state(const char *s)
{
    return s && strcmp(s, "ready") == 0          ? VF_LEASE_READY
           : s && strcmp(s, "initializing") == 0 ? VF_LEASE_INITIALIZING
           : s && strcmp(s, "done") == 0         ? VF_LEASE_DONE
                                                 : VF_LEASE_ERROR;
}

static int on_lease(void *opaque, const struct vf_ref *ref, const xmlNode *content,
                    struct vf_error **err)
{
    struct state *s = opaque;
    (void)ref;
    char *vf_autofree text = vf_xml_text(vf_property_value(content, "state"));
    s->state = parse_state(text);
    const xmlNode *error = vf_property_value(content, "error");
    vf_fault_release(&s->fault);
    if (error && vf_xml_child(error, VF_VIM_NS, "fault")) {
        vf_fault_parse_localized(error, &s->fault);
    }
    if (s->info && s->state == VF_LEASE_READY) {
        return vf_lease_info_parse(s->info, vf_property_value(content, "info"), s->vs->authority,
                                   s->vs->host, err);
    }
    return 0;
}

static int fetch_state(struct vf_lease *l, struct vf_lease_info *info, bool cleanup,
                       struct state *ret, struct vf_error **err)
{
    static const char *const with_info[] = {"state", "error", "info", NULL};
    static const char *const without[] = {"state", "error", NULL};
    *ret = (struct state){.state = VF_LEASE_ERROR, .info = info, .vs = l->vs};
    struct vf_error *e = NULL;
    int rc = vf_property_fetch_object(l->vs, VF_MO_LEASE, l->moref, info ? with_info : without,
                                      cleanup, "read the export lease", on_lease, ret, &e);
    if (rc == VF_MISSING) {
        ret->state = VF_LEASE_GONE;
        vf_error_clear(&e);
        rc = 0;
    }
    vf_error_move(err, &e);
    if (rc) {
        vf_fault_release(&ret->fault);
    }
    return rc;
}

/* What the end of a lease before its time means to the one who reads from it. */
static int set_lost(const struct state *s, struct vf_error **err)
{
    if (s->fault.type && strcmp(s->fault.type, "Timedout") == 0) {
        vf_error_set(err, VF_CONFLICT, "the export lease timed out");
        vf_error_set_reason(err, "Timedout");
        vf_error_hint(err, "nothing was read for too long: see whether the target is slow or full, "
                           "or copy fewer disks at once");
    } else if (s->state == VF_LEASE_GONE) {
        vf_error_set(err, VF_CONFLICT,
                     "the export lease is gone: it timed out, or was ended by "
                     "somebody else");
        vf_error_set_reason(err, "ManagedObjectNotFound");
    } else if (s->fault.type) {
        vf_fault_set_error(err, &s->fault, "go on with the export");
        return vf_fault_code(s->fault.type);
    } else {
        vf_error_set(err, VF_CONFLICT, "the export lease was ended by vSphere");
    }
    return VF_CONFLICT;
}

static int on_change(void *opaque, const char *path, const xmlNode *value, bool *ret_done,
                     struct vf_error **err)
{
    (void)opaque;
    (void)path;
    (void)err;
    char *vf_autofree text = vf_xml_text(value);
    *ret_done = parse_state(text) != VF_LEASE_INITIALIZING;
    return 0;
}

static int wait_ready(struct vf_lease *l, struct vf_error **err)
{
    static const char *const paths[] = {"state", NULL};
    struct vf_watch w = {.type = VF_MO_LEASE,
                         .moref = l->moref,
                         .paths = paths,
                         .what = what_export,
                         .timeout_ms = READY_TIMEOUT_MS,
                         .change = on_change};
    int rc = vf_watch_run(l->vs, &w, err);
    if (rc) {
        return rc;
    }
    struct state s;
    rc = fetch_state(l, &l->info, false, &s, err);
    if (rc == 0 && s.state != VF_LEASE_READY) {
        if (s.fault.type) {
            rc = vf_fault_set_error(err, &s.fault, what_export);
        } else {
            rc = set_lost(&s, err);
        }
    }
    vf_fault_release(&s.fault);
    return rc;
}

static int open_lease(struct vf_vsphere *vs, const char *method, const char *type,
                      const char *moref, struct vf_lease **ret_lease, struct vf_error **err)
{
    struct vf_buf body;
    vf_buf_init(&body, VF_SOAP_MAX_REQUEST);
    vf_soap_encode_plain(&body, method, type, moref);
    /* Should the answer be lost, the first lease times out unused. */
    struct vf_call call = {
        .method = method, .what = what_export, .body = &body, .flags = VF_CALL_REPEATABLE};
    struct vf_answer answer = {0};
    int rc = vf_session_call(vs, &call, &answer, err);
    vf_buf_release(&body);
    if (rc) {
        return rc;
    }
    char *lease_moref = vf_answer_returnval(&answer);
    vf_answer_release(&answer);
    if (!lease_moref || !*lease_moref) {
        free(lease_moref);
        return vf_error_set(err, VF_INVALID, "cannot %s: no lease came", what_export);
    }
    struct vf_lease *l = vf_xcalloc(1, sizeof *l);
    l->vs = vs;
    l->moref = lease_moref;
    pthread_mutex_init(&l->lock, NULL);
    rc = wait_ready(l, err);
    if (rc) {
        vf_lease_free(l);
        return rc;
    }
    *ret_lease = l;
    return 0;
}

int vf_lease_open_vm(struct vf_vsphere *vs, const char *vm_moref, struct vf_lease **ret_lease,
                     struct vf_error **err)
{
    struct vf_error *e = NULL;
    int rc = open_lease(vs, "ExportVm", VF_MO_VM, vm_moref, ret_lease, &e);
    if (vf_fault_is(e, "InvalidPowerState")) {
        vf_error_hint(&e, "a VM that is not powered off is exported from a snapshot");
    }
    vf_error_move(err, &e);
    return rc;
}

int vf_lease_open_snapshot(struct vf_vsphere *vs, const char *snapshot_moref,
                           struct vf_lease **ret_lease, struct vf_error **err)
{
    return open_lease(vs, "ExportSnapshot", VF_MO_SNAPSHOT, snapshot_moref, ret_lease, err);
}

void vf_lease_free(struct vf_lease *lease)
{
    if (!lease) {
        return;
    }
    struct vf_error *e = NULL;
    if (vf_lease_abort(lease, &e)) {
        vf_debug("vsphere: %s", vf_error_message(e));
    }
    vf_error_free(e);
    vf_lease_info_release(&lease->info);
    pthread_mutex_destroy(&lease->lock);
    free(lease->moref);
    free(lease);
}

const struct vf_lease_device *vf_lease_devices(const struct vf_lease *lease, size_t *ret_n)
{
    *ret_n = lease->info.n_devices;
    return lease->info.devices;
}

unsigned vf_lease_timeout_s(const struct vf_lease *lease)
{
    return lease->info.timeout_s;
}

const char *vf_lease_moref(const struct vf_lease *lease)
{
    return lease->moref;
}

int vf_lease_match_disks(const struct vf_lease *lease, const struct vf_vm *vm, int *ret_index,
                         struct vf_error **err)
{
    return vf_lease_info_match(&lease->info, vm, ret_index, err);
}

int vf_lease_progress(struct vf_lease *lease, unsigned percent, struct vf_error **err)
{
    struct vf_buf body;
    vf_buf_init(&body, VF_SOAP_MAX_REQUEST);
    vf_encode_lease_progress(&body, lease->moref, percent);
    struct vf_call call = {.method = "HttpNfcLeaseProgress",
                           .what = "renew the export lease",
                           .body = &body,
                           .flags = VF_CALL_REPEATABLE,
                           .timeout_ms = PROGRESS_TIMEOUT_MS};
    struct vf_error *e = NULL;
    int rc = vf_session_call_void(lease->vs, &call, &e);
    vf_buf_release(&body);
    if (rc && vf_error_reason(e)) {
        rc = vf_lease_explain(lease, rc, &e);
    }
    vf_error_move(err, &e);
    return rc;
}

static int end_once(struct vf_lease *lease, const char *method, unsigned flags, unsigned timeout_ms,
                    struct vf_error **err)
{
    struct vf_buf body;
    vf_buf_init(&body, VF_SOAP_MAX_REQUEST);
    vf_soap_encode_plain(&body, method, VF_MO_LEASE, lease->moref);
    struct vf_call call = {.method = method,
                           .what = "end the export lease",
                           .body = &body,
                           .flags = VF_CALL_CLEANUP | flags,
                           .timeout_ms = timeout_ms};
    int rc = vf_session_call_void(lease->vs, &call, err);
    vf_buf_release(&body);
    return rc;
}

/* A fault of Complete: all is well only if an attempt before, whose answer was lost, did it. */
static int after_fault(struct vf_lease *lease, bool sent_before, int rc, struct vf_error **err)
{
    struct state s;
    if (fetch_state(lease, NULL, true, &s, NULL)) {
        return rc;
    }
    bool done = s.state == VF_LEASE_DONE || (s.state == VF_LEASE_GONE && sent_before);
    if (s.state != VF_LEASE_READY && s.state != VF_LEASE_INITIALIZING) {
        set_ended(lease);
        vf_error_clear(err);
        rc = done ? 0 : set_lost(&s, err);
    }
    vf_fault_release(&s.fault);
    return rc;
}

int vf_lease_complete(struct vf_lease *lease, struct vf_error **err)
{
    struct vf_error *e = NULL;
    int rc = 0;
    if (is_ended(lease)) {
        return 0;
    }
    struct vf_retry retry;
    vf_session_retry_init(lease->vs, END_TIMEOUT_MS, true, &retry);
    for (unsigned attempt = 1;; attempt++) {
        /* ONCE: whether it was sent before decides what a fault means. */
        rc = end_once(lease, "HttpNfcLeaseComplete", VF_CALL_ONCE, END_TIMEOUT_MS / 3, &e);
        if (rc == 0) {
            set_ended(lease);
            return 0;
        }
        if (vf_error_reason(e)) {
            rc = after_fault(lease, attempt > 1, rc, &e);
            break;
        }
        if (!vf_retry_again(&retry, &rc, &e)) {
            break;
        }
    }
    vf_error_move(err, &e);
    return rc;
}

int vf_lease_abort(struct vf_lease *lease, struct vf_error **err)
{
    if (is_ended(lease)) {
        return 0;
    }
    struct vf_error *e = NULL;
    int rc = end_once(lease, "HttpNfcLeaseAbort", VF_CALL_REPEATABLE, END_TIMEOUT_MS, &e);
    if (rc == 0 || (vf_error_reason(e) && rc != VF_AUTH)) {
        set_ended(lease); /* a fault says that there is nothing to abort any more */
        vf_error_clear(&e);
        rc = 0;
    }
    vf_error_move(err, &e);
    return rc;
}

int vf_lease_fetch_state(struct vf_lease *lease, enum vf_lease_state *ret_state, char **ret_reason,
                         struct vf_error **err)
{
    struct state s;
    int rc = fetch_state(lease, NULL, false, &s, err);
    if (rc) {
        return rc;
    }
    *ret_state = s.state;
    if (ret_reason) {
        struct vf_error *e = NULL;
        *ret_reason = NULL;
        if (s.state == VF_LEASE_ERROR) {
            set_lost(&s, &e);
            *ret_reason = vf_error_format(e);
        }
        vf_error_free(e);
    }
    vf_fault_release(&s.fault);
    return 0;
}

int vf_lease_explain(struct vf_lease *lease, int code, struct vf_error **err)
{
    struct state s;
    if (code == 0 || code == VF_CANCELLED || fetch_state(lease, NULL, true, &s, NULL)) {
        return code;
    }
    if (s.state != VF_LEASE_READY && s.state != VF_LEASE_INITIALIZING) {
        struct vf_error *lost = NULL;
        code = set_lost(&s, &lost);
        if (err) {
            vf_error_clear(err);
        }
        vf_error_move(err, &lost);
    }
    vf_fault_release(&s.fault);
    return code;
}
