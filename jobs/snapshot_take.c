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

static void carry_nic(struct vf_vm_nic *to, const struct vf_vm_nic *from)
{
    if (!to->network || !to->network[0]) {
        vf_replace_string(&to->network, from->network);
    }
    if (to->n_addresses == 0 && from->n_addresses > 0) {
        to->addresses = vf_xcalloc(from->n_addresses, sizeof *to->addresses);
        for (; to->n_addresses < from->n_addresses; to->n_addresses++) {
            struct vf_vm_address *a = &to->addresses[to->n_addresses];
            *a = from->addresses[to->n_addresses];
            a->ip = vf_xstrdup(a->ip);
        }
    }
}

void vf_snapshot_carry_live_facts(struct vf_vm *frozen, const struct vf_vm *live)
{
    carry_string(&frozen->moref, live->moref);
    carry_string(&frozen->folder, live->folder);
    vf_replace_string(&frozen->host, live->host);
    carry_string(&frozen->guest_hostname, live->guest_hostname);
    frozen->power = live->power;
    frozen->tools_running = live->tools_running;
    for (size_t i = 0; i < frozen->n_disks; i++) {
        for (size_t j = 0; j < live->n_disks; j++) {
            if (frozen->disks[i].key == live->disks[j].key) {
                frozen->disks[i].used_bytes = live->disks[j].used_bytes;
            }
        }
    }
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
