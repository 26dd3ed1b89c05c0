/* The source's side of the world: the VM, its tracking and its snapshots. */
#include <stdlib.h>
#include <string.h>

#include "importer/base/clock.h"
#include "importer/base/mem.h"
#include "jobs/migration/world.h"

static struct vf_real_world *real(struct vf_world *w)
{
    return (struct vf_real_world *)w;
}

/* Some disk that can be tracked is not. */
static bool is_tracked(const struct vf_vm *vm)
{
    for (size_t i = 0; i < vm->n_disks; i++) {
        enum vf_cbt_state state = vf_cbt_get_state(vm, &vm->disks[i]);
        if (state == VF_CBT_OFF) {
            return false;
        }
    }
    return true;
}

int vf_world_look(struct vf_world *w, struct vf_world_view *ret, struct vf_error **err)
{
    struct vf_real_world *r = real(w);
    int rc = vf_source_vm_look(r->source, err);
    if (rc) {
        return rc;
    }
    const struct vf_vm *vm = vf_source_vm_get(r->source);
    *ret = (struct vf_world_view){.power = vm->power,
                                  .tracking = is_tracked(vm),
                                  .stun_due = vf_source_vm_is_stun_due(r->source),
                                  .stays_on = vf_source_vm_stays_on(r->source)};
    vf_source_vm_count_snapshots(r->source, &ret->own_snapshots, &ret->user_snapshots);
    return 0;
}

int vf_world_enable_tracking(struct vf_world *w, bool may_stun, struct vf_error **err)
{
    return vf_source_vm_track(real(w)->source, may_stun, err);
}

/* The snapshot that a broken round was copied from, if there is such a round. */
static const char *find_wanted(const struct vf_checkpoint *c)
{
    for (size_t i = 0; i < c->n_disks; i++) {
        if (c->disks[i].phase != VF_CHECKPOINT_COMPLETE && c->disks[i].snapshot) {
            return c->disks[i].snapshot;
        }
    }
    return NULL;
}

static int hold_snapshot(struct vf_real_world *r, enum vf_round_kind kind, struct vf_error **err)
{
    const char *wanted = find_wanted(&r->checkpoint);
    if (kind == VF_ROUND_PRECOPY && wanted) {
        struct vf_error *e = NULL;
        int rc = vf_source_vm_adopt_snapshot(r->source, wanted, &e);
        if (rc != VF_MISSING) {
            vf_error_move(err, &e);
            return rc;
        }
        vf_error_free(e);
    }
    return vf_source_vm_take_snapshot(r->source, err);
}

const struct vf_transport_env *vf_world_transport_env(struct vf_real_world *r)
{
    r->transport_env =
        (struct vf_transport_env){.vs = vf_source_vm_vsphere(r->source),
                                  .pool = r->im.env.pool,
                                  .reporter = r->im.reporter,
                                  .vm = r->im.vm_name,
                                  .parallel_disks = r->options->import.parallel_disks,
                                  .cancel = r->im.cancel};
    return &r->transport_env;
}

static int choose_transport(struct vf_real_world *r, struct vf_error **err)
{
    const struct vf_migration_options *o = r->options;
    struct vf_transport *chosen = NULL;
    char *vf_autofree reason = NULL;
    if (o->transport.kind == VF_TRANSPORT_CDI) {
        return 0; /* made with its target */
    }
    int rc = vf_transport_choose(&o->transport, vf_world_transport_env(r), r->snapshot,
                                 vf_source_vm_get_frozen(r->source), &chosen, &reason, err);
    if (rc) {
        return rc;
    }
    bool same = r->transport && r->transport->kind == chosen->kind;
    vf_transport_free(r->transport);
    r->transport = chosen;
    if (!same) {
        vf_report_info(r->im.reporter, r->im.vm_name, "transport %s: %s",
                       vf_transport_name(chosen->kind), reason);
    }
    vf_watch_set_transport(r->watch, vf_transport_name(chosen->kind), reason);
    return 0;
}

int vf_world_take_snapshot(struct vf_world *w, enum vf_round_kind kind, struct vf_error **err)
{
    struct vf_real_world *r = real(w);
    int rc = hold_snapshot(r, kind, err);
    if (rc) {
        return rc;
    }
    r->snapshot = vf_source_vm_get_snapshot(r->source);
    rc = vf_world_fit_target(r, vf_source_vm_get_frozen(r->source), err);
    return rc ? rc : choose_transport(r, err);
}

int vf_world_shut_down(struct vf_world *w, struct vf_error **err)
{
    return vf_source_vm_shut_down(real(w)->source, err);
}

int vf_world_remove_snapshots(struct vf_world *w, struct vf_error **err)
{
    struct vf_real_world *r = real(w);
    r->snapshot = NULL;
    int rc = vf_source_vm_remove_snapshots(r->source, err);
    if (rc == 0) {
        vf_world_refresh_digests(r);
    }
    return rc;
}

int vf_world_power_on(struct vf_world *w, struct vf_error **err)
{
    return vf_source_vm_power_on(real(w)->source, err);
}

int vf_world_note(struct vf_world *w, struct vf_error **err)
{
    struct vf_real_world *r = real(w);
    char now[VF_CLOCK_RFC3339_SIZE];
    vf_clock_rfc3339(now);
    char *vf_autofree text =
        vf_xasprintf("migrated by vmferry on %s to %s.\n"
                     "Do not power this VM on: its successor has its addresses and, from that "
                     "moment on, its newer data.",
                     now, r->target->place ? r->target->place : r->im.name);
    return vf_source_vm_note(r->source, text, err);
}
