/* The VM, its tracking and its snapshots; source_vm_power.c: its power and its notes. */
#include <stdlib.h>
#include <string.h>

#include "importer/base/buf.h"
#include "importer/base/clock.h"
#include "importer/base/inject.h"
#include "importer/base/mem.h"
#include "importer/vsphere/inventory.h"
#include "importer/vsphere/snapshot.h"
#include "jobs/find_vm.h"
#include "jobs/migration/source_vm_private.h"

#define SHUTDOWN_TIMEOUT_MS (5 * 60 * 1000)
#define MAX_OWN             2
/* vCenter may be restarted in the middle of a clean-up, and is away for minutes then. */
#define PATIENCE_MS           (7 * 60 * 1000)
#define CANCELLED_PATIENCE_MS (10 * 1000)
#define PATIENCE_WAIT_MS      2000

/* --- the VM ------------------------------------------------------------------------------ */

/* What tells this VM from all others, a copy of it in the same inventory too. */
static const char *identity(const struct vf_vm *vm)
{
    return vm->instance_uuid ? vm->instance_uuid : vm->bios_uuid ? vm->bios_uuid : vm->moref;
}

static bool has_prefix(const struct vf_vm_snapshot *sn)
{
    static const char prefix[] = VF_MIGRATION_SNAPSHOT_PREFIX;
    return sn->name && strncmp(sn->name, prefix, sizeof prefix - 1) == 0;
}

static bool is_own(const struct vf_source_vm *s, const struct vf_vm_snapshot *sn)
{
    return has_prefix(sn) && sn->description && strstr(sn->description, s->mark);
}

static void warn_of_strangers(const struct vf_source_vm *s)
{
    for (size_t i = 0; i < s->vm.n_snapshots; i++) {
        const struct vf_vm_snapshot *sn = &s->vm.snapshots[i];
        if (has_prefix(sn) && !is_own(s, sn)) {
            vf_report_warning(s->reporter, s->vm.name,
                              "snapshot \"%s\" (%s) is named like one of vmferry, but was made for "
                              "another VM: it is left alone; remove it in vSphere if nobody needs "
                              "it",
                              sn->name, sn->moref);
        }
    }
}

int vf_source_vm_open(const struct vf_source_vm_options *options, struct vf_source_vm **ret,
                      struct vf_error **err)
{
    struct vf_source_vm *s = vf_xcalloc(1, sizeof *s);
    vf_vm_init(&s->vm);
    s->reporter = options->reporter;
    s->cancel = options->cancel;
    s->mapping = options->mapping;
    s->quiesce = !options->no_quiesce;
    s->hard_power_off = options->hard_power_off;
    s->shutdown_timeout_ms =
        options->shutdown_timeout_ms ? options->shutdown_timeout_ms : SHUTDOWN_TIMEOUT_MS;
    int rc = vf_vsphere_login(options->vsphere, options->cancel, &s->vs, err);
    if (rc == 0) {
        rc = vf_find_vm(s->vs, options->vm, s->reporter, &s->vm, err);
    }
    if (rc) {
        vf_source_vm_free(s);
        return rc;
    }
    vf_mapping_set_aside(s->mapping, &s->vm);
    s->seen_on = s->vm.power == VF_POWER_ON;
    s->mark = vf_xasprintf("[vmferry: vm %s]", identity(&s->vm));
    s->description = vf_xasprintf("made by vmferry to copy the disks while the VM runs; removed by "
                                  "it, safe to remove once no vmferry works on this VM %s",
                                  s->mark);
    warn_of_strangers(s);
    *ret = s;
    return 0;
}

void vf_source_vm_free(struct vf_source_vm *s)
{
    if (!s) {
        return;
    }
    vf_vsphere_free(s->vs);
    vf_snapshot_taken_release(&s->taken);
    vf_vm_release(&s->vm);
    free(s->mark);
    free(s->description);
    free(s);
}

struct vf_vsphere *vf_source_vm_vsphere(const struct vf_source_vm *s)
{
    return s->vs;
}

const struct vf_vm *vf_source_vm_get(const struct vf_source_vm *s)
{
    return &s->vm;
}

const struct vf_vm *vf_source_vm_get_frozen(const struct vf_source_vm *s)
{
    return s->taken.has_frozen ? &s->taken.frozen : NULL;
}

const char *vf_source_vm_get_snapshot(const struct vf_source_vm *s)
{
    return s->taken.moref;
}

int vf_source_vm_look(struct vf_source_vm *s, struct vf_error **err)
{
    struct vf_vm fresh;
    int rc = vf_vsphere_fetch_vm(s->vs, s->vm.moref, &fresh, err);
    if (rc) {
        return rc;
    }
    if (strcmp(fresh.name, s->vm.name) != 0) {
        vf_report_info(s->reporter, fresh.name, "the VM was called \"%s\" before", s->vm.name);
    }
    /* Tags are asked for once. */
    fresh.tags = vf_take(s->vm.tags);
    fresh.n_tags = s->vm.n_tags;
    s->vm.n_tags = 0;
    vf_vm_release(&s->vm);
    s->vm = fresh;
    vf_mapping_set_aside(s->mapping, &s->vm);
    s->seen_on = s->seen_on || fresh.power == VF_POWER_ON;
    if (s->taken.has_frozen) {
        vf_snapshot_carry_live_facts(&s->taken.frozen, &s->vm);
    }
    return 0;
}

bool vf_source_vm_try_again(const struct vf_source_vm *s, int64_t start_ms,
                            const struct vf_error *e)
{
    int64_t patience_ms = vf_cancel_is_set(s->cancel) ? CANCELLED_PATIENCE_MS : PATIENCE_MS;
    if (vf_error_code(e) != VF_RETRY || vf_clock_ms() - start_ms >= patience_ms) {
        return false;
    }
    vf_report_info(s->reporter, s->vm.name, "%s: trying again", vf_error_message(e));
    vf_cancel_wait(NULL, PATIENCE_WAIT_MS, NULL);
    return true;
}

/* --- tracking ---------------------------------------------------------------------------- */

static int refuse_stun(struct vf_error **err)
{
    vf_error_set(err, VF_CONFLICT,
                 "changed-block tracking of the VM is not at work: to begin it a snapshot has to "
                 "be made and removed, at which the running VM stands still for a moment, twice");
    vf_error_hint(err, "permit it with --allow-stun");
    return VF_CONFLICT;
}

bool vf_source_vm_is_stun_due(const struct vf_source_vm *s)
{
    for (size_t i = 0; i < s->vm.n_disks; i++) {
        if (vf_cbt_get_state(&s->vm, &s->vm.disks[i]) == VF_CBT_ON) {
            return false;
        }
    }
    return vf_cbt_is_stun_due(&s->vm) && !s->stunned;
}

static void tell_untracked(struct vf_source_vm *s)
{
    if (s->told_untracked) {
        return;
    }
    s->told_untracked = true;
    for (size_t i = 0; i < s->vm.n_disks; i++) {
        const struct vf_vm_disk *d = &s->vm.disks[i];
        enum vf_cbt_state state = vf_cbt_get_state(&s->vm, d);
        if (state != VF_CBT_ON) {
            vf_report_warning(s->reporter, s->vm.name,
                              "%s is not tracked%s: every round copies it in full",
                              d->label ? d->label : "a disk",
                              state == VF_CBT_OUTSIDE
                                  ? " (it is independent, or a raw device)"
                                  : " (its own \"ctkEnabled\" in the VM's advanced configuration "
                                    "may be off)");
        }
    }
}

static int stun(struct vf_source_vm *s, struct vf_error **err)
{
    char *vf_autofree name = vf_snapshot_new_name(VF_MIGRATION_SNAPSHOT_PREFIX);
    vf_report_phase(s->reporter, s->vm.name, "tracking",
                    "a snapshot made and removed lets changed-block tracking begin");
    int rc = vf_inject("source.stun", err);
    rc = rc ? rc : vf_cbt_stun(s->vs, s->vm.moref, name, s->description, err);
    s->stunned = rc == 0;
    return rc;
}

int vf_source_vm_track(struct vf_source_vm *s, bool may_stun, struct vf_error **err)
{
    int rc = vf_source_vm_look(s, err);
    if (rc) {
        return rc;
    }
    bool due = !s->vm.cbt_enabled || vf_source_vm_is_stun_due(s);
    if (due && s->vm.power == VF_POWER_ON && !may_stun) {
        return refuse_stun(err);
    }
    if (!s->vm.cbt_enabled) {
        vf_report_phase(s->reporter, s->vm.name, "tracking", "enabling changed-block tracking");
        rc = vf_cbt_enable(s->vs, s->vm.moref, NULL, err);
        rc = rc ? rc : vf_inject("source.tracked", err);
        rc = rc ? rc : vf_source_vm_look(s, err);
    }
    if (rc == 0 && vf_source_vm_is_stun_due(s)) {
        rc = stun(s, err);
        rc = rc ? rc : vf_source_vm_look(s, err);
    }
    if (rc == 0) {
        tell_untracked(s);
    }
    return rc;
}

int vf_source_vm_fetch_changes(void *source, const struct vf_cbt_query *q,
                               struct vf_cbt_answer *ret, struct vf_error **err)
{
    const struct vf_source_vm *s = source;
    return vf_cbt_fetch_areas(s->vs, q, ret, err);
}

/* --- snapshots --------------------------------------------------------------------------- */

void vf_source_vm_count_snapshots(const struct vf_source_vm *s, size_t *ret_own, size_t *ret_others)
{
    *ret_own = *ret_others = 0;
    for (size_t i = 0; i < s->vm.n_snapshots; i++) {
        (*(is_own(s, &s->vm.snapshots[i]) ? ret_own : ret_others))++;
    }
}

int vf_source_vm_adopt_snapshot(struct vf_source_vm *s, const char *moref, struct vf_error **err)
{
    struct vf_snapshot_taken adopted = {0};
    int rc = vf_source_vm_look(s, err);
    if (rc) {
        return rc;
    }
    for (size_t i = 0; i < s->vm.n_snapshots && !adopted.moref; i++) {
        if (is_own(s, &s->vm.snapshots[i]) && strcmp(s->vm.snapshots[i].moref, moref) == 0) {
            adopted.moref = vf_xstrdup(moref);
            adopted.name = vf_xstrdup(s->vm.snapshots[i].name);
        }
    }
    if (!adopted.moref) {
        return vf_error_set(err, VF_MISSING, "the VM has no snapshot \"%s\" of vmferry any more",
                            moref);
    }
    rc = vf_snapshot_fetch(s->vs, s->vm.moref, moref, &adopted.frozen, &adopted.quiesced, err);
    if (rc) {
        vf_snapshot_taken_release(&adopted);
        return rc;
    }
    adopted.has_frozen = true;
    vf_mapping_set_aside(s->mapping, &adopted.frozen);
    vf_snapshot_carry_live_facts(&adopted.frozen, &s->vm);
    vf_snapshot_taken_release(&s->taken);
    s->taken = adopted;
    return 0;
}

static int refuse_third(size_t own, struct vf_error **err)
{
    vf_error_set(err, VF_CONFLICT, "the VM has %zu snapshots of vmferry already, no more are made",
                 own);
    vf_error_hint(err, "make sure that no other vmferry works on this VM, then remove them with "
                       "vmferry cancel, or in vSphere");
    return VF_CONFLICT;
}

int vf_source_vm_take_snapshot(struct vf_source_vm *s, struct vf_error **err)
{
    size_t own, others;
    int rc = vf_source_vm_look(s, err);
    if (rc) {
        return rc;
    }
    vf_source_vm_count_snapshots(s, &own, &others);
    if (own >= MAX_OWN) {
        return refuse_third(own, err);
    }
    char *vf_autofree name = vf_snapshot_new_name(VF_MIGRATION_SNAPSHOT_PREFIX);
    const struct vf_snapshot_take take = {.vs = s->vs,
                                          .reporter = s->reporter,
                                          .vm = &s->vm,
                                          .mapping = s->mapping,
                                          .name = name,
                                          .description = s->description,
                                          .quiesce = s->quiesce && s->vm.power == VF_POWER_ON,
                                          .told = s->told_unquiesced};
    struct vf_snapshot_taken taken = {0};
    rc = vf_inject("source.snapshot", err);
    rc = rc ? rc : vf_snapshot_take(&take, &taken, err);
    rc = rc ? rc : vf_inject("source.snapshotted", err);
    /* A guest that could not be frozen stood still for a while already: once is enough. What counts
     * in the end is the last snapshot, and its guest is off. */
    s->quiesce = s->quiesce && !taken.quiesce_failed;
    s->told_unquiesced = s->told_unquiesced || taken.told;
    if (rc && taken.has_frozen) {
        vf_vm_release(&taken.frozen);
        taken.has_frozen = false;
    }
    if (taken.moref) {
        vf_snapshot_taken_release(&s->taken);
        s->taken = taken;
    } else {
        vf_snapshot_taken_release(&taken);
    }
    return rc;
}

static const char *name_of(const struct vf_source_vm *s, const char *moref)
{
    if (s->taken.moref && s->taken.name && strcmp(s->taken.moref, moref) == 0) {
        return s->taken.name;
    }
    for (size_t i = 0; i < s->vm.n_snapshots; i++) {
        if (strcmp(s->vm.snapshots[i].moref, moref) == 0 && s->vm.snapshots[i].name) {
            return s->vm.snapshots[i].name;
        }
    }
    return VF_MIGRATION_SNAPSHOT_PREFIX "...";
}

/* Each, whatever becomes of the others; *first keeps the first failure. */
static void remove_each(struct vf_source_vm *s, char *const *morefs, struct vf_error **first)
{
    for (; *morefs; morefs++) {
        struct vf_error *e = NULL;
        vf_report_phase(s->reporter, s->vm.name, "cleanup", "removing snapshot \"%s\"",
                        name_of(s, *morefs));
        int rc = vf_inject("source.unsnapshot", &e);
        rc = rc ? rc : vf_snapshot_remove(s->vs, *morefs, true, &e);
        if (rc == 0) {
            vf_inject("source.unsnapshotted", &e);
        }
        vf_error_move(first, &e);
    }
}

static int name_left(struct vf_source_vm *s, char *const *morefs, struct vf_error **first,
                     struct vf_error **err)
{
    struct vf_buf list;
    int rc = (int)vf_error_code(*first);
    vf_buf_init(&list, 4096);
    for (size_t i = 0; morefs[i]; i++) {
        vf_buf_printf(&list, "%s\"%s\" (%s)", i ? ", " : "", name_of(s, morefs[i]), morefs[i]);
    }
    vf_error_wrap(first, rc, "removing snapshot %s, which grows while the VM runs", list.data);
    vf_buf_release(&list);
    vf_error_move(err, first);
    return rc;
}

static int remove_once(struct vf_source_vm *s, struct vf_error **err)
{
    char **morefs = NULL, **left = NULL;
    size_t n = 0, n_left = 0;
    struct vf_error *first = NULL;
    int rc = vf_snapshot_find(s->vs, s->vm.moref, VF_MIGRATION_SNAPSHOT_PREFIX, s->mark, &morefs,
                              &n, err);
    if (rc) {
        return rc;
    }
    remove_each(s, morefs, &first);
    /* A removal that failed in the merging may have taken the snapshot away all the same. */
    if (first &&
        vf_snapshot_find(s->vs, s->vm.moref, VF_MIGRATION_SNAPSHOT_PREFIX, s->mark, &left, &n_left,
                         NULL) == 0 &&
        n_left == 0) {
        vf_report_warning(s->reporter, s->vm.name, "the snapshot is gone, but: %s",
                          vf_error_message(first));
        vf_error_clear(&first);
    }
    if (first) {
        rc = name_left(s, left ? left : morefs, &first, err);
    } else {
        vf_snapshot_taken_release(&s->taken);
    }
    if (n > n_left) {
        vf_snapshot_settle_disks(s->vs, s->reporter, &s->vm);
    }
    vf_snapshot_morefs_free(morefs);
    vf_snapshot_morefs_free(left);
    return rc;
}

int vf_source_vm_remove_snapshots(struct vf_source_vm *s, struct vf_error **err)
{
    int64_t start_ms = vf_clock_ms();
    for (;;) {
        struct vf_error *e = NULL;
        int rc = remove_once(s, &e);
        if (rc == 0 || !vf_source_vm_try_again(s, start_ms, e)) {
            vf_error_move(err, &e);
            return rc;
        }
        vf_error_free(e);
    }
}
