/* Rules of what a copy of a running VM, and a warm migration, need of it: snapshots, changed-block
 * tracking, guest tools. */
#include <string.h>

#include "importer/base/mem.h"
#include "importer/vsphere/cbt.h"
#include "jobs/preflight/looks.h"
#include "jobs/snapshot_take.h"

/* VMware KB 1025279: at most 32 in a chain, for good performance 2 or 3. */
#define CHAIN_MAX   32
#define CHAIN_TALL  3
#define CBT_MIN_VMX 7u

static bool is_tracked(const struct vf_vm *vm)
{
    for (size_t i = 0; i < vm->n_disks; i++) {
        if (vf_cbt_get_state(vm, &vm->disks[i]) == VF_CBT_ON) {
            return true;
        }
    }
    return false;
}

/* As vf_source_vm_track has it. */
static bool must_begin(const struct vf_vm *vm)
{
    return !vm->cbt_enabled || (vf_cbt_is_stun_due(vm) && !is_tracked(vm));
}

static bool can_track(const struct vf_vm *vm)
{
    unsigned hardware = vf_check_hardware(vm);
    return vm->cbt_enabled || (vm->cbt_supported && (hardware == 0 || hardware >= CBT_MIN_VMX));
}

static void check_cbt_unsupported(const struct vf_check *c)
{
    if (c->options->warm && !can_track(c->vm)) {
        vf_found(c, NULL, "hardware %s knows no changed-block tracking",
                 c->vm->hardware ? c->vm->hardware : "of unknown version");
    }
}

static void check_cbt_off(const struct vf_check *c)
{
    if (!c->options->warm || !can_track(c->vm) || !must_begin(c->vm)) {
        return;
    }
    const char *what = c->vm->cbt_enabled ? "is on, but not at work yet" : "is off";
    if (c->vm->power != VF_POWER_ON) {
        vf_found_as(c, VF_INFORMATION, NULL, "nothing: it is begun while the VM is off",
                    "changed-block tracking %s", what);
    } else if (c->options->allow_stun) {
        vf_found_as(c, VF_INFORMATION, NULL, "nothing: --allow-stun permits it",
                    "changed-block tracking %s: to begin it the VM stands still for a moment, "
                    "twice",
                    what);
    } else {
        vf_found(c, NULL,
                 "changed-block tracking %s: to begin it the running VM has to stand still for a "
                 "moment, twice",
                 what);
    }
}

static bool is_ours(const struct vf_vm_snapshot *s)
{
    static const char import[] = VF_SNAPSHOT_IMPORT_PREFIX;
    return s->name && (strncmp(s->name, import, sizeof import - 1) == 0 ||
                       strncmp(s->name, "vmferry-warm-", 13) == 0);
}

/* The first one that stays: a warm migration begins by removing those that an earlier start of it
 * left. */
static const struct vf_vm_snapshot *find_lasting(const struct vf_check *c, size_t *ret_n)
{
    const struct vf_vm_snapshot *first = NULL;
    *ret_n = 0;
    for (size_t i = 0; i < c->vm->n_snapshots; i++) {
        const struct vf_vm_snapshot *s = &c->vm->snapshots[i];
        if (!c->options->warm || !is_ours(s)) {
            first = first ? first : s;
            ++*ret_n;
        }
    }
    return first;
}

static void check_cbt_snapshots(const struct vf_check *c)
{
    const struct vf_vm *vm = c->vm;
    size_t n;
    const struct vf_vm_snapshot *s = find_lasting(c, &n);
    if (c->options->warm && s && can_track(vm) && must_begin(vm)) {
        vf_found(c, NULL,
                 "changed-block tracking cannot begin while the VM has snapshots, and it has %zu "
                 "(\"%s\"%s)",
                 n, s->name ? s->name : "", n > 1 ? ", ..." : "");
    }
}

static void check_cbt_disk(const struct vf_check *c)
{
    const struct vf_vm *vm = c->vm;
    if (!c->options->warm || !vm->cbt_enabled || !is_tracked(vm)) {
        return;
    }
    for (size_t i = 0; i < vm->n_disks; i++) {
        if (vf_cbt_get_state(vm, &vm->disks[i]) != VF_CBT_ON) {
            char *vf_autofree object = vf_check_disk_object(&vm->disks[i]);
            vf_found(c, object, "the disk is not tracked: every round copies it in full");
        }
    }
}

/* --- snapshots --------------------------------------------------------------------------- */

static void check_snapshot_chain(const struct vf_check *c)
{
    int32_t depth = 0;
    for (size_t i = 0; i < c->vm->n_snapshots; i++) {
        int32_t d = c->vm->snapshots[i].depth + 1;
        depth = d > depth ? d : depth;
    }
    if (depth >= CHAIN_MAX && vf_check_takes_snapshot(c)) {
        vf_found_as(c, VF_CRITICAL, NULL, NULL,
                    "its snapshots are %d deep, and vSphere allows no more than %d: none can be "
                    "made for the copy",
                    (int)depth, CHAIN_MAX);
    } else if (depth > CHAIN_TALL) {
        vf_found(c, NULL, "its snapshots are %d deep: reading through all of them is slow",
                 (int)depth);
    }
}

static void check_snapshot_leftover(const struct vf_check *c)
{
    for (size_t i = 0; i < c->vm->n_snapshots; i++) {
        const struct vf_vm_snapshot *s = &c->vm->snapshots[i];
        if (is_ours(s)) {
            char *vf_autofree object = vf_xasprintf("snapshot \"%s\"", s->name);
            vf_found(c, object, "it (%s) is of another vmferry, or was left by one that was killed",
                     s->moref ? s->moref : "without reference");
        }
    }
}

static void check_snapshot_https(const struct vf_check *c)
{
    size_t n;
    if (find_lasting(c, &n) && c->options->transport.kind == VF_TRANSPORT_HTTPS) {
        vf_found(c, NULL,
                 "the VM has %zu snapshot%s: ranges of its disks' files do not hold all of "
                 "its content",
                 n, vf_check_plural(n));
    }
}

static void check_consolidation(const struct vf_check *c)
{
    if (c->vm->consolidation_needed) {
        vf_found(c, NULL, "disks of removed snapshots were not merged yet");
    }
}

/* DirectPath I/O and SR-IOV: vSphere refuses snapshots of a VM that has such a device. */
static void check_snapshot_passthrough(const struct vf_check *c)
{
    const struct vf_vm *vm = c->vm;
    if (!vf_check_takes_snapshot(c)) {
        return;
    }
    for (size_t i = 0; i < vm->n_devices; i++) {
        if (vm->devices[i].kind == VF_DEVICE_PCI_PASSTHROUGH) {
            char *vf_autofree object =
                vf_xasprintf("device \"%s\"", vm->devices[i].label ? vm->devices[i].label : "");
            vf_found(c, object, "the device is passed through from the host");
        }
    }
    for (size_t i = 0; i < vm->n_nics; i++) {
        if (vm->nics[i].model && strcmp(vm->nics[i].model, "sriov") == 0) {
            char *vf_autofree object = vf_check_nic_object(vm, i);
            vf_found(c, object, "the NIC is a function of the host's (SR-IOV)");
        }
    }
}

/* --- guest tools ------------------------------------------------------------------------- */

static void check_tools(const struct vf_check *c, enum vf_tools which, const char *what)
{
    if (c->vm->tools != which || c->vm->power != VF_POWER_ON) {
        return;
    }
    if (!c->options->warm) {
        vf_found_as(c, VF_WARNING, NULL, NULL,
                    "guest tools %s: the copy is as after a power loss, not quiesced", what);
    } else if (c->options->hard_power_off) {
        vf_found_as(c, VF_WARNING, NULL, "shut the guest down by hand for a clean end",
                    "guest tools %s: the cutover will power the VM off hard", what);
    } else {
        vf_found(c, NULL, "guest tools %s: the cutover cannot shut the guest down", what);
    }
}

static void check_tools_missing(const struct vf_check *c)
{
    check_tools(c, VF_TOOLS_NOT_INSTALLED, "are not installed");
}

static void check_tools_stopped(const struct vf_check *c)
{
    check_tools(c, VF_TOOLS_NOT_RUNNING, "do not run");
}

static void check_tools_outdated(const struct vf_check *c)
{
    if (c->vm->tools_outdated && c->vm->tools == VF_TOOLS_RUNNING) {
        vf_found(c, NULL, "vSphere says that the guest tools want an upgrade");
    }
}

const struct vf_rule vf_rules_tracking[] = {
    {.id = "cbt.unsupported",
     .severity = VF_CRITICAL,
     .area = VF_AREA_VM,
     .looks_at = "hardware version, of a warm migration",
     .message = "virtual hardware below version 7 knows no changed-block tracking",
     .action = "upgrade the VM's hardware compatibility, or import it cold",
     .check = check_cbt_unsupported},
    {.id = "cbt.off",
     .severity = VF_CRITICAL,
     .area = VF_AREA_VM,
     .looks_at = "changed-block tracking, of a warm migration",
     .message =
         "changed-block tracking is not at work; to begin it the running VM stands still for "
         "a moment, twice, which nobody permitted",
     .action = "permit it with --allow-stun",
     .check = check_cbt_off},
    {.id = "cbt.snapshots",
     .severity = VF_CRITICAL,
     .area = VF_AREA_VM,
     .looks_at = "changed-block tracking and snapshots, of a warm migration",
     .message = "changed-block tracking cannot begin before the last snapshot is gone",
     .action = "remove the VM's snapshots in vSphere, or import it cold",
     .check = check_cbt_snapshots},
    {.id = "cbt.disk-untracked",
     .severity = VF_WARNING,
     .area = VF_AREA_VM,
     .looks_at = "change ID of each disk, of a warm migration",
     .message = "the disk is not tracked though the VM is: every round copies it in full, the last "
                "one during the downtime",
     .action = "set its \"ctkEnabled\" in the VM's advanced configuration while the VM is off",
     .check = check_cbt_disk},
    {.id = "snapshot.chain",
     .severity = VF_WARNING,
     .area = VF_AREA_VM,
     .looks_at = "depth of the snapshot tree",
     .message = "reading through many snapshots is slow; at 32, none can be made for the copy",
     .action = "remove snapshots that nobody needs, in vSphere",
     .check = check_snapshot_chain},
    {.id = "snapshot.leftover",
     .severity = VF_WARNING,
     .area = VF_AREA_VM,
     .looks_at = "names of snapshots",
     .message = "a snapshot of vmferry's is there: another one works on the VM, or was killed; it "
                "grows while the VM runs",
     .action = "if no vmferry works on the VM, remove it in vSphere; that of a warm migration goes "
               "with vmferry cancel",
     .check = check_snapshot_leftover},
    {.id = "snapshot.https",
     .severity = VF_CRITICAL,
     .area = VF_AREA_VM,
     .looks_at = "snapshots, with --transport https",
     .message = "https reads the file of a disk, which holds all of it only without snapshots",
     .action = "remove the VM's snapshots, or use --transport auto",
     .check = check_snapshot_https},
    {.id = "snapshot.passthrough",
     .severity = VF_CRITICAL,
     .area = VF_AREA_VM,
     .looks_at = "devices of the host's, where a snapshot is needed",
     .message = "vSphere makes no snapshot of a VM with a PCI device or NIC passed through",
     .action = "power the VM off, take the device out, and try again",
     .check = check_snapshot_passthrough},
    {.id = "snapshot.consolidation",
     .severity = VF_WARNING,
     .area = VF_AREA_VM,
     .looks_at = "whether consolidation is needed",
     .message = "disks of removed snapshots were not merged: the VM reads slowly, and a snapshot "
                "more makes it worse",
     .action = "consolidate the VM's disks in vSphere (Snapshots, Consolidate)",
     .check = check_consolidation},
    {.id = "tools.missing",
     .severity = VF_CRITICAL,
     .area = VF_AREA_VM,
     .looks_at = "guest tools of a running VM",
     .message = "without guest tools the guest can be neither quiesced nor shut down for the "
                "cutover of a warm migration",
     .action = "install open-vm-tools or VMware Tools, or permit --hard-power-off",
     .check = check_tools_missing},
    {.id = "tools.stopped",
     .severity = VF_CRITICAL,
     .area = VF_AREA_VM,
     .looks_at = "guest tools of a running VM",
     .message = "guest tools are installed but do not run: the guest can be neither quiesced nor "
                "shut down for the cutover of a warm migration",
     .action = "start them in the guest (service vmtoolsd), or permit --hard-power-off",
     .check = check_tools_stopped},
    {.id = "tools.outdated",
     .severity = VF_INFORMATION,
     .area = VF_AREA_VM,
     .looks_at = "version of the guest tools",
     .message = "outdated guest tools may fail to quiesce or shut down the guest",
     .action = "upgrade them if a snapshot or a shutdown fails",
     .check = check_tools_outdated},
    {.id = NULL},
};
