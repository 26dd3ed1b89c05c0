#include "jobs/preflight/probe.h"

#include <stdlib.h>
#include <string.h>

#include "importer/base/mem.h"

bool vf_probe_is_over(const struct vf_probes *p)
{
    return vf_cancel_is_set(p->limit);
}

/* `r` has what is not of `of`; its strings are handed over. */
static void add(const struct vf_probes *p, const struct vf_probe_of *of, struct vf_probe_result r)
{
    r.transport = of->transport;
    r.guessed = of->guessed;
    r.datastore = vf_xstrdup(of->datastore);
    r.datastore_moref = vf_xstrdup(of->datastore_moref);
    r.object = vf_xstrdup(of->object);
    if (of->vm) {
        r.vm = vf_xstrdup(of->vm->name);
        r.host_moref = vf_xstrdup(of->vm->host_moref);
        r.running = of->vm->power == VF_POWER_ON;
    }
    struct vf_path_facts *facts = &p->log->facts;
    pthread_mutex_lock(&p->log->lock);
    facts->results = vf_xrealloc_array(facts->results, facts->n_results + 1, sizeof r);
    facts->results[facts->n_results++] = r;
    pthread_mutex_unlock(&p->log->lock);
}

void vf_probe_good(const struct vf_probes *p, const struct vf_probe_of *of, double bytes_per_s)
{
    add(p, of, (struct vf_probe_result){.failure = VF_PROBE_GOOD, .bytes_per_s = bytes_per_s});
}

void vf_probe_not_tried(const struct vf_probes *p, const struct vf_probe_of *of, const char *why,
                        const char *hint)
{
    add(p, of,
        (struct vf_probe_result){
            .failure = VF_PROBE_NOT_TRIED, .reason = vf_xstrdup(why), .hint = vf_xstrdup(hint)});
}

/* A status is the ESXi host's own answer; to a probe of the host alone any answer is good, so that
 * one which makes it fail is a proxy's. */
static enum vf_probe_failure failure_of(const struct vf_probe_of *of, const struct vf_error *e)
{
    if (vf_error_code(e) == VF_CANCELLED) {
        return VF_PROBE_NOT_TRIED;
    }
    if (!of->at_host) {
        return VF_PROBE_REFUSED;
    }
    if (vf_error_http_status(e)) {
        return of->transport == VF_TRANSPORT_AUTO ? VF_PROBE_PORT : VF_PROBE_REFUSED;
    }
    switch (vf_error_code(e)) {
    case VF_MISSING:
        return VF_PROBE_NAME;
    case VF_AUTH:
        return VF_PROBE_CERTIFICATE;
    case VF_RETRY:
    case VF_UNSUPPORTED: /* it speaks no TLS */
        return VF_PROBE_PORT;
    default:
        return VF_PROBE_REFUSED;
    }
}

static void add_failure(const struct vf_probes *p, const struct vf_probe_of *of, char *reason,
                        struct vf_error **err)
{
    struct vf_probe_result r = {.failure = failure_of(of, *err), .reason = reason};
    if (r.failure == VF_PROBE_NOT_TRIED) {
        vf_replace_string(&r.reason, "it did not come to an end in the time that probes have");
        r.hint = vf_xstrdup(vf_error_get_hint(*err)); /* what it left behind */
    } else if (!of->at_host || vf_error_http_status(*err)) {
        /* What helps with an address that a person gave does not help with one of vSphere's. */
        r.hint = vf_xstrdup(vf_error_get_hint(*err));
    }
    add(p, of, r);
    vf_error_clear(err);
}

void vf_probe_failed(const struct vf_probes *p, const struct vf_probe_of *of, struct vf_error **err)
{
    add_failure(p, of, vf_error_format(*err), err);
}

void vf_probe_file_failed(const struct vf_probes *p, const struct vf_probe_of *of,
                          struct vf_error **err)
{
    add_failure(p, of, vf_transport_explain_https(of->vm, *err), err);
}
