/* Rules of the source: vCenter or ESXi, hosts, datastores. Those of the account's privileges are in
 * rules_account.c. */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "importer/base/mem.h"
#include "importer/vsphere/version.h"
#include "jobs/preflight/looks.h"
#include "jobs/preflight/rights.h"
#include "jobs/report/text.h"

/* ExportSnapshot came with 5.5; 6.5 is the oldest that anybody tests vSphere clients with. */
#define EXPORT_SNAPSHOT_VERSION "5.5"
#define OLDEST_USUAL_VERSION    "6.5"

/* Nothing here has a token of the server's clock, but log lines, names of snapshots and their ages
 * are compared; single sign-on bears ten minutes. */
#define SKEW_TOLD_MS 30000
#define SKEW_BAD_MS  (5 * 60 * 1000)

/* What a snapshot grows by nobody knows: vSphere's own alarm is at 15 % left, and a tenth of what
 * the VM uses is a busy day. With little, and less than the last one, a guest may stand still
 * within minutes. */
#define FREE_LOW_PERCENT 10u
#define GROWTH_PERCENT   10u
#define FREE_LEAST_BYTES (1ull << 30)

static const struct vf_source_facts *source_of(const struct vf_check *c)
{
    return c->facts->source.known ? &c->facts->source : NULL;
}

static bool is_older(const struct vf_source_facts *s, const char *version)
{
    return s->api_version && vf_vim_compare_versions(s->api_version, version) < 0;
}

/* --- the server -------------------------------------------------------------------------- */

static bool has_unseen_datastore(const struct vf_source_facts *s, const struct vf_vm *vm)
{
    for (size_t i = 0; i < vm->n_disks; i++) {
        const struct vf_vm_disk *d = &vm->disks[i];
        if (d->datastore && !vf_datastore_find(s->datastores, s->n_datastores, d)) {
            return true;
        }
    }
    return false;
}

/* An account sees what it has System.Read on, and vSphere says nothing of the rest. */
static void tell_unseen(const struct vf_check *c, const struct vf_source_facts *s)
{
    size_t hosts = 0, datastores = 0;
    for (size_t i = 0; i < c->facts->n_vms; i++) {
        const struct vf_vm *vm = &c->facts->vms[i];
        hosts +=
            s->hosts_known && vm->host_moref && !vf_host_find(s->hosts, s->n_hosts, vm->host_moref);
        datastores += s->datastores_known && has_unseen_datastore(s, vm);
    }
    if (hosts) {
        vf_found(c, NULL, "not judged: the hosts of %zu VM%s, which the account does not see",
                 hosts, vf_check_plural(hosts));
    }
    if (datastores) {
        vf_found(c, NULL,
                 "not judged: datastores with disks of %zu VM%s, which the account does not see",
                 datastores, vf_check_plural(datastores));
    }
}

static void check_unreadable(const struct vf_check *c)
{
    const struct vf_source_facts *s = source_of(c);
    for (size_t i = 0; s && i < s->n_unknown; i++) {
        vf_found(c, NULL, "not judged: %s", s->unknown[i]);
    }
    if (s) {
        tell_unseen(c, s);
    }
}

static void check_clock(const struct vf_check *c)
{
    const struct vf_source_facts *s = source_of(c);
    char text[VF_TEXT_DURATION_SIZE];
    if (!s || !s->clock_known) {
        return;
    }
    uint64_t apart_ms = (uint64_t)(s->clock_skew_ms < 0 ? -s->clock_skew_ms : s->clock_skew_ms);
    if (apart_ms < SKEW_TOLD_MS) {
        return;
    }
    vf_found_as(c, apart_ms < SKEW_BAD_MS ? VF_INFORMATION : VF_WARNING, NULL, NULL,
                "the clock of %s is %s %s this machine's", s->is_esxi ? "the host" : "vCenter",
                vf_text_duration(text, apart_ms / 1000),
                s->clock_skew_ms < 0 ? "behind" : "ahead of");
}

static void check_old_version(const struct vf_check *c)
{
    const struct vf_source_facts *s = source_of(c);
    if (s && is_older(s, OLDEST_USUAL_VERSION)) {
        vf_found(c, NULL, "vSphere %s speaks version %s of the API",
                 s->version ? s->version : "of unknown version", s->api_version);
    }
}

static void check_snapshot_export(const struct vf_check *c)
{
    const struct vf_source_facts *s = source_of(c);
    if (s && is_older(s, EXPORT_SNAPSHOT_VERSION) && vf_check_takes_snapshot(c) &&
        vf_check_may_use(c->options, VF_TRANSPORT_NFC)) {
        vf_found(c, NULL, "version %s of the API exports no snapshot, and the copy needs one",
                 s->api_version);
    }
}

static void check_esxi(const struct vf_check *c)
{
    const struct vf_source_facts *s = source_of(c);
    if (s && s->is_esxi) {
        vf_found(c, NULL, "an ESXi host is talked to directly");
    }
}

static void check_free_licence(const struct vf_check *c)
{
    const struct vf_source_facts *s = source_of(c);
    if (s && s->free_licence && vf_check_takes_snapshot(c)) {
        vf_found(c, NULL, "the ESXi host has the free licence, and the copy takes a snapshot");
    }
}

/* --- hosts ------------------------------------------------------------------------------- */

static const struct vf_host *host_of(const struct vf_check *c, const struct vf_vm *vm)
{
    const struct vf_source_facts *s = source_of(c);
    return s ? vf_host_find(s->hosts, s->n_hosts, vm->host_moref) : NULL;
}

static char *host_object(const struct vf_host *h)
{
    return vf_xasprintf("host \"%s\"", h->name ? h->name : h->moref);
}

static void check_host_disconnected(const struct vf_check *c)
{
    const struct vf_host *h = host_of(c, c->vm);
    /* The VM's own state says the same by another rule. */
    if (h && !h->connected && c->vm->connection != VF_CONNECTION_DISCONNECTED) {
        char *vf_autofree object = host_object(h);
        vf_found(c, object, "the VM's host does not answer vCenter");
    }
}

static void check_host_maintenance(const struct vf_check *c)
{
    const struct vf_host *h = host_of(c, c->vm);
    if (h && h->maintenance) {
        char *vf_autofree object = host_object(h);
        vf_found(c, object, "the VM's host is in maintenance mode");
    }
}

/* How many VMs of a cluster's a matter concerns. */
static size_t count_vms(const struct vf_check *c, const char *cluster,
                        bool (*concerns)(const struct vf_vm *))
{
    size_t n = 0;
    for (size_t i = 0; i < c->facts->n_vms; i++) {
        const struct vf_vm *vm = &c->facts->vms[i];
        const struct vf_host *h = host_of(c, vm);
        n += h && h->cluster && strcmp(h->cluster, cluster) == 0 && concerns(vm);
    }
    return n;
}

/* Once for each cluster with VMs of ours for whose hosts `has` holds, which then does for all. */
static void tell_clusters(const struct vf_check *c, bool (*has)(const struct vf_host *),
                          bool (*concerns)(const struct vf_vm *), const char *what)
{
    const struct vf_source_facts *s = source_of(c);
    for (size_t i = 0; s && i < s->n_hosts; i++) {
        const char *cluster = s->hosts[i].cluster;
        bool before = !cluster || !has(&s->hosts[i]);
        for (size_t j = 0; j < i && !before; j++) {
            before = s->hosts[j].cluster && strcmp(s->hosts[j].cluster, cluster) == 0;
        }
        size_t n = before ? 0 : count_vms(c, cluster, concerns);
        if (n) {
            char *vf_autofree object = vf_xasprintf("cluster \"%s\"", cluster);
            vf_found(c, object, "%s (%zu VM%s)", what, n, vf_check_plural(n));
        }
    }
}

static bool has_drs(const struct vf_host *h)
{
    return h->drs;
}

static bool has_dpm(const struct vf_host *h)
{
    return h->dpm;
}

static bool has_ha(const struct vf_host *h)
{
    return h->ha;
}

static bool is_on(const struct vf_vm *vm)
{
    return vm->power == VF_POWER_ON;
}

static bool is_off(const struct vf_vm *vm)
{
    return vm->power == VF_POWER_OFF;
}

static void check_drs(const struct vf_check *c)
{
    if (c->options->warm) {
        tell_clusters(c, has_drs, is_on, "DRS may move VMs between the rounds of a migration");
    }
}

static void check_dpm(const struct vf_check *c)
{
    tell_clusters(c, has_dpm, is_off,
                  "DPM may power down the host that a VM which is off is exported from");
}

static void check_ha(const struct vf_check *c)
{
    tell_clusters(c, has_ha, is_on,
                  "HA starts VMs on another host when theirs fails, which ends a copy under way");
}

/* --- datastores -------------------------------------------------------------------------- */

/* What is asked of each datastore that the VM's disks are on; `used_bytes` of them there. */
typedef void datastore_fn(const struct vf_check *c, const struct vf_datastore *d,
                          const char *object, uint64_t used_bytes);

static void each_datastore(const struct vf_check *c, datastore_fn *fn)
{
    const struct vf_source_facts *s = source_of(c);
    const struct vf_vm *vm = c->vm;
    for (size_t i = 0; s && i < vm->n_disks; i++) {
        const struct vf_vm_disk *at = &vm->disks[i];
        const struct vf_datastore *d = vf_datastore_find(s->datastores, s->n_datastores, at);
        bool before = false;
        uint64_t used = 0;
        for (size_t j = 0; j < vm->n_disks; j++) {
            const struct vf_vm_disk *disk = &vm->disks[j];
            bool here = vf_datastore_has(at->datastore_moref, at->datastore, disk);
            before |= here && j < i;
            if (here) {
                used += disk->used_bytes ? disk->used_bytes : disk->capacity_bytes;
            }
        }
        if (d && !before) {
            char *vf_autofree object =
                vf_xasprintf("datastore \"%s\"", d->name ? d->name : d->moref);
            fn(c, d, object, used);
        }
    }
}

static void inaccessible(const struct vf_check *c, const struct vf_datastore *d, const char *object,
                         uint64_t used_bytes)
{
    (void)used_bytes;
    if (!d->accessible && c->vm->connection != VF_CONNECTION_INACCESSIBLE) {
        vf_found(c, object, "the datastore with disks of the VM cannot be reached by any host");
    }
}

static void check_datastore_inaccessible(const struct vf_check *c)
{
    each_datastore(c, inaccessible);
}

static void in_maintenance(const struct vf_check *c, const struct vf_datastore *d,
                           const char *object, uint64_t used_bytes)
{
    (void)used_bytes;
    if (d->maintenance) {
        vf_found(c, object,
                 "the datastore with disks of the VM is in maintenance mode, or enters "
                 "it: VMs are moved away from it");
    }
}

static void check_datastore_maintenance(const struct vf_check *c)
{
    each_datastore(c, in_maintenance);
}

static void too_full(const struct vf_check *c, const struct vf_datastore *d, const char *object,
                     uint64_t used_bytes)
{
    char left[VF_TEXT_BYTES_SIZE], whole[VF_TEXT_BYTES_SIZE], used[VF_TEXT_BYTES_SIZE];
    if (!d->accessible || d->capacity_bytes == 0) {
        return;
    }
    bool low = d->free_bytes / FREE_LOW_PERCENT < d->capacity_bytes / 100;
    bool little = d->free_bytes / GROWTH_PERCENT < used_bytes / 100;
    if (!low && !little) {
        return;
    }
    bool scarce = little && d->free_bytes < FREE_LEAST_BYTES;
    vf_found_as(c, scarce ? VF_CRITICAL : VF_WARNING, object, NULL,
                "%s of %s are free (%" PRIu64 " %%) for the snapshot of a VM that uses %s there",
                vf_text_bytes(left, d->free_bytes), vf_text_bytes(whole, d->capacity_bytes),
                d->free_bytes / (d->capacity_bytes / 100 + 1), vf_text_bytes(used, used_bytes));
}

static void check_datastore_space(const struct vf_check *c)
{
    if (vf_check_takes_snapshot(c)) {
        each_datastore(c, too_full);
    }
}

const struct vf_rule vf_rules_source[] = {
    {.id = "source.unreadable",
     .severity = VF_INFORMATION,
     .area = VF_AREA_SOURCE,
     .looks_at = "what vSphere was asked for",
     .message = "a part of the source could not be read, so that its rules were not judged",
     .action = "see what the message says; System.Read on hosts and datastores is enough for most",
     .once = true,
     .check = check_unreadable},
    {.id = "source.clock-skew",
     .severity = VF_WARNING,
     .area = VF_AREA_SOURCE,
     .looks_at = "the server's clock against this machine's",
     .message = "the clocks are apart: logs cannot be put side by side, the ages of snapshots and "
                "migrations come out wrong, and single sign-on fails from ten minutes on",
     .action = "set both by NTP",
     .once = true,
     .check = check_clock},
    {.id = "source.old-version",
     .severity = VF_WARNING,
     .area = VF_AREA_SOURCE,
     .looks_at = "version of the vSphere API",
     .message = "vSphere is older than 6.5, with which nothing here is tested",
     .action = "try it with a VM that does not matter, or update vCenter first",
     .once = true,
     .check = check_old_version},
    {.id = "source.snapshot-export",
     .severity = VF_CRITICAL,
     .area = VF_AREA_SOURCE,
     .looks_at = "version of the vSphere API, and whether the copy takes a snapshot",
     .message = "vSphere before 5.5 exports no snapshot (ExportSnapshot): nfc reads only VMs that "
                "are off",
     .action = "power the VM off and import it cold",
     .check = check_snapshot_export},
    {.id = "source.esxi",
     .severity = VF_INFORMATION,
     .area = VF_AREA_SOURCE,
     .looks_at = "kind of the server",
     .message = "a bare ESXi host tells no tags and no privileges, has no folders, and a VM that "
                "vCenter moves away is gone from it",
     .action = "name vCenter instead, where there is one",
     .once = true,
     .check = check_esxi},
    {.id = "source.free-licence",
     .severity = VF_CRITICAL,
     .area = VF_AREA_SOURCE,
     .looks_at = "licence of a bare ESXi host, and whether the copy takes a snapshot",
     .message = "with the free licence an ESXi host's API only reads: snapshots are refused "
                "(RestrictedVersion)",
     .action = "power the VM off and import it cold, or give the host a licence",
     .check = check_free_licence},
    {.id = "host.disconnected",
     .severity = VF_CRITICAL,
     .area = VF_AREA_SOURCE,
     .looks_at = "connection of the VM's host",
     .message = "vCenter does not reach the VM's host, and neither snapshot nor copy can be had",
     .action = "bring the host back, or let the VM be registered on another one",
     .check = check_host_disconnected},
    {.id = "host.maintenance",
     .severity = VF_WARNING,
     .area = VF_AREA_SOURCE,
     .looks_at = "maintenance mode of the VM's host",
     .message = "the VM's host may go down at any moment, and with it a copy under way",
     .action = "wait until the host is back, or move the VM to another one",
     .check = check_host_maintenance},
    {.id = "cluster.drs",
     .severity = VF_INFORMATION,
     .area = VF_AREA_SOURCE,
     .looks_at = "DRS of clusters with VMs that run",
     .message = "a VM may be on another host in the next round, which then has to be reached from "
                "here too; while an export is open vSphere does not move it",
     .action = "let every host of the cluster be reached, or set DRS to manual meanwhile",
     .once = true,
     .check = check_drs},
    {.id = "cluster.dpm",
     .severity = VF_INFORMATION,
     .area = VF_AREA_SOURCE,
     .looks_at = "DPM of clusters with VMs that are off",
     .message = "a host that has no running VM may be powered down, and the copy of a VM that is "
                "off there breaks",
     .action = "switch DPM off for the time of the copy",
     .once = true,
     .check = check_dpm},
    {.id = "cluster.ha",
     .severity = VF_INFORMATION,
     .area = VF_AREA_SOURCE,
     .looks_at = "HA of clusters with VMs that run",
     .message = "when a host fails, its VMs start on another one; a copy from it breaks, and goes "
                "on where it can be resumed",
     .action = "nothing; the same command again continues",
     .once = true,
     .check = check_ha},
    {.id = "datastore.inaccessible",
     .severity = VF_CRITICAL,
     .area = VF_AREA_SOURCE,
     .looks_at = "datastores of the VM's disks",
     .message = "no host reaches the datastore, so that nothing on it can be read",
     .action = "bring the datastore back, or leave its disks out (--disk N:skip)",
     .check = check_datastore_inaccessible},
    {.id = "datastore.maintenance",
     .severity = VF_WARNING,
     .area = VF_AREA_SOURCE,
     .looks_at = "maintenance mode of the datastores of the VM's disks",
     .message = "the VM's disks may be moved to another datastore while they are copied",
     .action = "wait until its maintenance is over, or until the VM has been moved",
     .check = check_datastore_maintenance},
    {.id = "datastore.space",
     .severity = VF_WARNING,
     .area = VF_AREA_SOURCE,
     .looks_at = "free space of the datastores of a VM that a snapshot is taken of",
     .message = "while a snapshot stands, all that the guest writes takes room on the datastore; "
                "where none is left the guest stands still, and others on it too",
     .action = "make room on the datastore, or copy at a quiet time",
     .check = check_datastore_space},
    {.id = NULL},
};
