/* Rules of what lies between: what the probes found, and what follows for each VM. */
#include <stdlib.h>
#include <string.h>

#include "importer/base/mem.h"
#include "jobs/preflight/estimate.h"
#include "jobs/preflight/looks.h"
#include "jobs/preflight/rights.h"
#include "jobs/report/text.h"

/* Under it a VM of 100 GiB takes most of a working day. */
#define SLOW_BYTES_PER_S (5.0 * 1024 * 1024)

static bool same(const char *a, const char *b)
{
    return a && b && strcmp(a, b) == 0;
}

/* Else a Job in the cluster copies, whose names and routes may be others. */
static bool copies_here(const struct vf_check *c)
{
    const struct vf_import_options *import = c->options->import;
    return !import || import->target != VF_TO_CLAIM || import->to_path;
}

/* A transport without which the copy cannot be: the one asked for, or the only one. */
static bool is_needed(const struct vf_check *c, enum vf_transport_kind kind)
{
    static const enum vf_transport_kind kinds[] = {VF_TRANSPORT_NFC, VF_TRANSPORT_HTTPS,
                                                   VF_TRANSPORT_VDDK};
    for (size_t i = 0; i < sizeof kinds / sizeof kinds[0]; i++) {
        if (kinds[i] != kind && vf_check_may_use(c->options, kinds[i])) {
            return false;
        }
    }
    return vf_check_may_use(c->options, kind);
}

/* --- hosts ------------------------------------------------------------------------------- */

static size_t count_on_host(const struct vf_check *c, const char *moref)
{
    size_t n = 0;
    for (size_t i = 0; moref && i < c->facts->n_vms; i++) {
        n += same(c->facts->vms[i].host_moref, moref);
    }
    return n;
}

/* Certain is what a real export's URL named; of a host known by its name alone vSphere may name
 * another address in the URLs. */
static enum vf_severity host_severity(const struct vf_check *c, const struct vf_probe_result *r)
{
    if (r->guessed || !copies_here(c)) {
        return VF_WARNING;
    }
    return is_needed(c, VF_TRANSPORT_NFC) ? VF_CRITICAL : VF_WARNING;
}

static void tell_hosts(const struct vf_check *c, enum vf_probe_failure failure)
{
    for (size_t i = 0; i < c->facts->path.n_results; i++) {
        const struct vf_probe_result *r = &c->facts->path.results[i];
        if (r->failure != failure) {
            continue;
        }
        size_t n = count_on_host(c, r->host_moref);
        char *vf_autofree object = vf_xasprintf("host \"%s\"", r->object ? r->object : "?");
        char *vf_autofree vms =
            n ? vf_xasprintf(" (%zu VM%s there)", n, vf_check_plural(n)) : vf_xstrdup("");
        vf_found_as(c, host_severity(c, r), object, r->hint, "%s%s%s%s", r->reason, vms,
                    r->guessed ? "; only the name that vCenter has for it was tried" : "",
                    copies_here(c) ? ""
                                   : "; this is so from here, and the copy runs in the cluster");
    }
}

static void check_name(const struct vf_check *c)
{
    tell_hosts(c, VF_PROBE_NAME);
}

static void check_port(const struct vf_check *c)
{
    tell_hosts(c, VF_PROBE_PORT);
}

static void check_certificate(const struct vf_check *c)
{
    tell_hosts(c, VF_PROBE_CERTIFICATE);
}

/* --- transports -------------------------------------------------------------------------- */

static char *result_object(const struct vf_probe_result *r)
{
    if (r->datastore) {
        return vf_xasprintf("datastore \"%s\"", r->datastore);
    }
    return r->object ? vf_xasprintf("host \"%s\"", r->object) : NULL;
}

static void tell_refused(const struct vf_check *c, enum vf_transport_kind kind)
{
    for (size_t i = 0; i < c->facts->path.n_results; i++) {
        const struct vf_probe_result *r = &c->facts->path.results[i];
        if (r->transport != kind || r->failure != VF_PROBE_REFUSED) {
            continue;
        }
        bool asked_for = c->options->warm && c->options->transport.kind == kind;
        char *vf_autofree object = result_object(r);
        vf_found_as(c, asked_for && c->rule->severity < VF_WARNING ? VF_WARNING : c->rule->severity,
                    object, r->hint, "VM \"%s\"%s: %s", r->vm ? r->vm : "?",
                    r->running ? ", which runs" : "", r->reason);
    }
}

static void check_nfc(const struct vf_check *c)
{
    tell_refused(c, VF_TRANSPORT_NFC);
}

static void check_https(const struct vf_check *c)
{
    tell_refused(c, VF_TRANSPORT_HTTPS);
}

static void check_vddk(const struct vf_check *c)
{
    tell_refused(c, VF_TRANSPORT_VDDK);
}

static bool is_on(const struct vf_vm *vm, const struct vf_probe_result *r)
{
    if (!r->datastore) {
        return same(vm->host_moref, r->host_moref) || same(vm->name, r->vm);
    }
    for (size_t i = 0; i < vm->n_disks; i++) {
        if (vf_datastore_has(r->datastore_moref, r->datastore, &vm->disks[i])) {
            return true;
        }
    }
    return false;
}

/* Where this VM is, the transport was tried in vain, and not with a failure that may be another
 * VM's own: a host that cannot be reached is everybody's, a refusal only the VM's that was asked
 * for. */
static bool is_barred(const struct vf_check *c, enum vf_transport_kind kind)
{
    bool barred = false;
    for (size_t i = 0; i < c->facts->path.n_results; i++) {
        const struct vf_probe_result *r = &c->facts->path.results[i];
        if (r->transport != kind || r->guessed || !is_on(c->vm, r) ||
            r->failure == VF_PROBE_NOT_TRIED) {
            continue;
        }
        if (r->failure == VF_PROBE_GOOD) {
            return false;
        }
        barred |= r->failure != VF_PROBE_REFUSED || same(r->vm, c->vm->name);
    }
    return barred;
}

static void check_none_left(const struct vf_check *c)
{
    static const enum vf_transport_kind kinds[] = {VF_TRANSPORT_NFC, VF_TRANSPORT_HTTPS,
                                                   VF_TRANSPORT_VDDK};
    size_t n_used = 0, n_barred = 0;
    for (size_t i = 0; i < sizeof kinds / sizeof kinds[0]; i++) {
        bool used = vf_check_may_use(c->options, kinds[i]);
        n_used += used;
        n_barred += used && is_barred(c, kinds[i]);
    }
    if (n_used && n_used == n_barred) {
        vf_found_as(c, copies_here(c) ? VF_CRITICAL : VF_WARNING, NULL, NULL,
                    "%s was tried for the VM in vain",
                    n_used == 1 ? "the one transport that it may take"
                                : "each transport that it may take");
    }
}

/* --- the rest ---------------------------------------------------------------------------- */

/* One for each reason: a thousand hosts without time are one matter. */
static void check_not_tried(const struct vf_check *c)
{
    const struct vf_path_facts *p = &c->facts->path;
    for (size_t i = 0; i < p->n_results; i++) {
        const struct vf_probe_result *r = &p->results[i];
        size_t n = 0;
        bool before = r->failure != VF_PROBE_NOT_TRIED;
        for (size_t j = 0; j < p->n_results && !before; j++) {
            const struct vf_probe_result *other = &p->results[j];
            bool alike = other->failure == VF_PROBE_NOT_TRIED && other->transport == r->transport &&
                         same(other->reason, r->reason);
            before = alike && j < i;
            n += alike;
        }
        if (before) {
            continue;
        }
        const char *what =
            r->transport == VF_TRANSPORT_AUTO ? "a host" : vf_transport_name(r->transport);
        char *vf_autofree at =
            r->vm ? vf_xasprintf(" (VM \"%s\"%s)", r->vm, n > 1 ? " and others" : "")
                  : vf_xstrdup("");
        vf_found_as(c, VF_INFORMATION, NULL, r->hint, "%s was not tried%s: %s", what, at,
                    r->reason);
    }
}

static void check_slow(const struct vf_check *c)
{
    char rate[VF_TEXT_BYTES_SIZE];
    for (size_t i = 0; i < c->facts->path.n_results; i++) {
        const struct vf_probe_result *r = &c->facts->path.results[i];
        if (r->bytes_per_s > 0 && r->bytes_per_s < SLOW_BYTES_PER_S) {
            char *vf_autofree object = result_object(r);
            vf_found(c, object, "%s brought %s/s of VM \"%s\"", vf_transport_name(r->transport),
                     vf_text_bytes(rate, (uint64_t)r->bytes_per_s), r->vm ? r->vm : "?");
        }
    }
}

static uint64_t whole_seconds(double s)
{
    return s < 1e9 ? (uint64_t)((s < 1 ? 1 : s) + 0.5) : 1000000000u;
}

static void check_duration(const struct vf_check *c)
{
    struct vf_estimate e;
    char bytes[VF_TEXT_BYTES_SIZE], rate[VF_TEXT_BYTES_SIZE];
    char copy[VF_TEXT_DURATION_SIZE], down[VF_TEXT_DURATION_SIZE];
    vf_estimate_copy(c->options, c->vm, &c->facts->path, &e);
    if (e.bytes == 0) {
        return;
    }
    const char *transport =
        vf_transport_name(vf_estimate_transport(c->options, c->vm, &c->facts->path));
    vf_text_bytes(bytes, e.bytes);
    vf_text_bytes(rate, (uint64_t)e.bytes_per_s);
    vf_text_duration(copy, whole_seconds(e.copy_s));
    vf_text_duration(down, whole_seconds(e.downtime_s));
    const char *how = e.measured ? "as measured for a moment" : "the usual rate, not measured";
    if (c->options->warm) {
        vf_found(c, NULL,
                 "the first round takes about %s (%s by %s at %s/s, %s), the cutover about %s if "
                 "the guest writes a twentieth of its disks in a day",
                 copy, bytes, transport, rate, how, down);
    } else {
        vf_found(c, NULL, "the copy takes about %s (%s by %s at %s/s, %s)%s", copy, bytes,
                 transport, rate, how,
                 c->vm->power == VF_POWER_ON ? ", of the state at its beginning" : "");
    }
}

const struct vf_rule vf_rules_path[] = {
    {.id = "host.name-unresolved",
     .severity = VF_CRITICAL,
     .area = VF_AREA_PATH,
     .looks_at = "names of the ESXi hosts that export URLs name",
     .message =
         "nfc reads from the ESXi hosts themselves, and the name of one is not known here; a "
         "warning where only vCenter's name of the host was tried, or the copy runs in the "
         "cluster",
     .action =
         "let the resolver here know the hosts' names (DNS, or /etc/hosts), or give a --proxy "
         "that does",
     .once = true,
     .check = check_name},
    {.id = "host.port-closed",
     .severity = VF_CRITICAL,
     .area = VF_AREA_PATH,
     .looks_at = "port 443 of the ESXi hosts, or the one that an export URL names",
     .message = "nfc reads from the ESXi hosts themselves, and one does not answer",
     .action = "open TCP port 443 from here to the ESXi hosts, or choose a transport that goes "
               "through vCenter (https)",
     .once = true,
     .check = check_port},
    {.id = "host.certificate",
     .severity = VF_CRITICAL,
     .area = VF_AREA_PATH,
     .looks_at = "certificates of the ESXi hosts",
     .message = "a host shows another certificate than the one that vCenter knows, or one that is "
                "not trusted: something may stand between",
     .action = "see who answers there; after a host's certificate was replaced, reconnect the host "
               "in vCenter",
     .once = true,
     .check = check_certificate},
    {.id = "nfc.refused",
     .severity = VF_WARNING,
     .area = VF_AREA_PATH,
     .looks_at = "an export that was opened, read for a moment, and ended",
     .message = "the export of a VM cannot be opened or read",
     .action = "see what the message says; VApp.Export is the privilege",
     .once = true,
     .check = check_nfc},
    {.id = "https.refused",
     .severity = VF_INFORMATION,
     .area = VF_AREA_PATH,
     .looks_at = "a read of a disk as a file of each datastore",
     .message = "the datastore does not let the disk be read as a file: with --transport auto "
                "another transport is taken; a warning where https was asked for",
     .action = "nothing, or choose another transport; many datastores refuse files of running VMs",
     .once = true,
     .check = check_https},
    {.id = "vddk.refused",
     .severity = VF_WARNING,
     .area = VF_AREA_PATH,
     .looks_at = "a read of a disk by VMware's library",
     .message = "VMware's library is given, and does not read the disk",
     .action = "see what the message says; the library needs nbdkit with its vddk plugin, and the "
               "ESXi hosts' ports 443 and 902",
     .once = true,
     .check = check_vddk},
    {.id = "path.no-transport",
     .severity = VF_CRITICAL,
     .area = VF_AREA_PATH,
     .looks_at = "all probes that concern the VM",
     .message = "no transport is left by which the VM's disks could be read",
     .action = "see why each failed, and mend one of them",
     .check = check_none_left},
    {.id = "path.slow",
     .severity = VF_WARNING,
     .area = VF_AREA_PATH,
     .looks_at = "rates that probes measured",
     .message = "a read came in at less than 5 MiB/s",
     .action = "see whether a link, a proxy or the host is busy; try another transport",
     .once = true,
     .check = check_slow},
    {.id = "path.not-tried",
     .severity = VF_INFORMATION,
     .area = VF_AREA_PATH,
     .looks_at = "probes that could not be made",
     .message = "something was not tried, so that it may fail at the copy",
     .action = "check fewer VMs at once, or what the message says",
     .once = true,
     .check = check_not_tried},
    {.id = "copy.duration",
     .severity = VF_INFORMATION,
     .area = VF_AREA_PATH,
     .looks_at = "used size of the disks, and the rate that was measured or is usual",
     .message =
         "what the copy is expected to take; other load and the target's speed are not in it",
     .action = "nothing",
     .check = check_duration},
    {.id = NULL},
};
