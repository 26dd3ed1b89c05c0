#include "jobs/snapshot_take.h"

#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include "importer/base/mem.h"
#include "importer/vsphere/fault.h"
#include "importer/vsphere/snapshot.h"

char *vf_snapshot_new_name(const char *prefix)
{
    char now[32];
    time_t t = time(NULL);
    struct tm tm;
    gmtime_r(&t, &tm);
    strftime(now, sizeof now, "%Y%m%dT%H%M%SZ", &tm);
    return vf_xasprintf("%s%s-%ld", prefix, now, (long)getpid());
}

void vf_snapshot_taken_release(struct vf_snapshot_taken *t)
{
    free(t->moref);
    free(t->name);
    if (t->has_frozen) {
        vf_vm_release(&t->frozen);
    }
    *t = (struct vf_snapshot_taken){0};
}

static int create(const struct vf_snapshot_take *t, struct vf_snapshot_taken *ret,
                  struct vf_error **err)
{
    struct vf_error *e = NULL;
    ret->name = vf_xstrdup(t->name);
    vf_report_phase(t->reporter, t->vm->name, "snapshot", "taking snapshot \"%s\"", t->name);
    int rc = vf_snapshot_create(t->vs, t->vm->moref, t->name, t->description, t->quiesce,
                                &ret->moref, &e);
    if (rc && t->quiesce && vf_fault_is_quiesce(e)) {
        vf_report_warning(t->reporter, t->vm->name,
                          "the guest could not be quiesced (%s); going on with a crash-consistent "
                          "snapshot",
                          vf_error_message(e));
        ret->quiesce_failed = ret->told = true;
        vf_error_clear(&e);
        rc = vf_snapshot_create(t->vs, t->vm->moref, t->name, t->description, false, &ret->moref,
                                &e);
    }
    vf_error_move(err, &e);
    return rc ? vf_error_wrap(err, rc, "taking a snapshot") : 0;
}

static void carry_string(char **to, const char *from)
{
    if (!*to) {
        *to = vf_xstrdup(from);
    }
}

static void carry_strings(char ***to, size_t *n_to, char *const *from, size_t n)
{
    if (*n_to > 0 || n == 0) {
        return;
    }
    *to = vf_xcalloc(n, sizeof **to);
    for (; *n_to < n; (*n_to)++) {
        (*to)[*n_to] = vf_xstrdup(from[*n_to]);
    }
}

static void carry_nic(struct vf_vm_nic *to, const struct vf_vm_nic *from)
{
    if (!to->network || !to->network[0]) {
        vf_replace_string(&to->network, from->network);
    }
    carry_string(&to->gateway4, from->gateway4);
    carry_string(&to->gateway6, from->gateway6);
    if (to->n_addresses == 0 && from->n_addresses > 0) {
        to->addresses = vf_xcalloc(from->n_addresses, sizeof *to->addresses);
        for (; to->n_addresses < from->n_addresses; to->n_addresses++) {
            struct vf_vm_address *a = &to->addresses[to->n_addresses];
            *a = from->addresses[to->n_addresses];
            a->ip = vf_xstrdup(a->ip);
        }
    }
}

/* What the VM's place in the inventory says. */
static void carry_place(struct vf_vm *frozen, const struct vf_vm *live)
{
    carry_string(&frozen->moref, live->moref);
    carry_string(&frozen->folder, live->folder);
    vf_replace_string(&frozen->host, live->host);
    vf_replace_string(&frozen->host_moref, live->host_moref);
    vf_replace_string(&frozen->cluster, live->cluster);
    frozen->host_cpu_mhz = live->host_cpu_mhz;
    carry_strings(&frozen->tags, &frozen->n_tags, live->tags, live->n_tags);
    if (frozen->n_attributes == 0 && live->n_attributes > 0) {
        frozen->attributes = vf_xcalloc(live->n_attributes, sizeof *frozen->attributes);
        for (; frozen->n_attributes < live->n_attributes; frozen->n_attributes++) {
            const struct vf_vm_attribute *from = &live->attributes[frozen->n_attributes];
            frozen->attributes[frozen->n_attributes] = (struct vf_vm_attribute){
                .name = vf_xstrdup(from->name), .value = vf_xstrdup(from->value)};
        }
    }
}

/* What the VM's host and its guest say while it is there. */
static void carry_runtime(struct vf_vm *frozen, const struct vf_vm *live)
{
    frozen->power = live->power;
    frozen->connection = live->connection;
    vf_replace_string(&frozen->question, live->question);
    vf_replace_string(&frozen->evc_mode, live->evc_mode);
    frozen->fault_tolerant = live->fault_tolerant;
    frozen->numa_affinity = live->numa_affinity;
    frozen->cbt_supported = live->cbt_supported;
    frozen->consolidation_needed = live->consolidation_needed;
    frozen->tools = live->tools;
    frozen->tools_running = live->tools_running;
    frozen->tools_outdated = live->tools_outdated;
    carry_string(&frozen->guest_hostname, live->guest_hostname);
    carry_strings(&frozen->dns_servers, &frozen->n_dns_servers, live->dns_servers,
                  live->n_dns_servers);
    carry_strings(&frozen->dns_search, &frozen->n_dns_search, live->dns_search, live->n_dns_search);
    if (frozen->n_guest_disks == 0 && live->n_guest_disks > 0) {
        frozen->guest_disks = vf_xcalloc(live->n_guest_disks, sizeof *frozen->guest_disks);
        for (; frozen->n_guest_disks < live->n_guest_disks; frozen->n_guest_disks++) {
            struct vf_vm_guest_disk *to = &frozen->guest_disks[frozen->n_guest_disks];
            *to = live->guest_disks[frozen->n_guest_disks];
            to->path = vf_xstrdup(to->path);
        }
    }
}

static void carry_usage(struct vf_vm_disk *disks, size_t n, const struct vf_vm_disk *live,
                        size_t n_live)
{
    for (size_t i = 0; i < n; i++) {
        for (size_t j = 0; j < n_live; j++) {
            if (disks[i].key == live[j].key) {
                disks[i].used_bytes = live[j].used_bytes;
            }
        }
    }
}

void vf_snapshot_carry_live_facts(struct vf_vm *frozen, const struct vf_vm *live)
{
    carry_place(frozen, live);
    carry_runtime(frozen, live);
    carry_usage(frozen->disks, frozen->n_disks, live->disks, live->n_disks);
    carry_usage(frozen->disks, frozen->n_disks, live->other_disks, live->n_other_disks);
    carry_usage(frozen->other_disks, frozen->n_other_disks, live->disks, live->n_disks);
    carry_usage(frozen->other_disks, frozen->n_other_disks, live->other_disks, live->n_other_disks);
    for (size_t i = 0; i < frozen->n_nics; i++) {
        for (size_t j = 0; j < live->n_nics; j++) {
            if (frozen->nics[i].key == live->nics[j].key) {
                carry_nic(&frozen->nics[i], &live->nics[j]);
            }
        }
    }
}

int vf_snapshot_take(const struct vf_snapshot_take *t, struct vf_snapshot_taken *ret,
                     struct vf_error **err)
{
    int rc = create(t, ret, err);
    if (rc == 0) {
        rc = vf_snapshot_fetch(t->vs, t->vm->moref, ret->moref, &ret->frozen, &ret->quiesced, err);
    }
    if (rc) {
        return rc;
    }
    ret->has_frozen = true;
    vf_mapping_set_aside(t->mapping, &ret->frozen);
    vf_snapshot_carry_live_facts(&ret->frozen, t->vm);
    if (!ret->quiesced && !ret->told && !t->told && t->vm->power == VF_POWER_ON) {
        ret->told = true;
        vf_report_warning(t->reporter, t->vm->name,
                          "the snapshot is crash-consistent%s: the disks are as after a power "
                          "failure",
                          t->vm->tools_running ? "" : " (guest tools do not run)");
    }
    return 0;
}

void vf_snapshot_settle_disks(struct vf_vsphere *vs, struct vf_reporter *reporter,
                              const struct vf_vm *vm)
{
    bool needed = false;
    struct vf_error *e = NULL;
    int rc = vf_vm_fetch_consolidation_needed(vs, vm->moref, &needed, &e);
    if (rc == 0 && needed && !vm->consolidation_needed) {
        vf_report_phase(reporter, vm->name, "cleanup", "consolidating the disks");
        rc = vf_vm_consolidate(vs, vm->moref, &e);
    }
    if (rc) {
        char *vf_autofree text = vf_error_format(e);
        vf_report_warning(reporter, vm->name,
                          "the VM's disks may need consolidation (%s); look at it in vSphere",
                          text);
    }
    vf_error_free(e);
}
