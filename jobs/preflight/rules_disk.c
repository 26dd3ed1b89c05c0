/* Rules of the disks that are copied, one by one and among all VMs that were chosen. */
#include <inttypes.h>
#include <string.h>

#include "importer/base/mem.h"
#include "jobs/preflight/looks.h"

/* KubeVirt's admission: disks of all kinds. */
#define MAX_DISKS   256u
#define SECTOR_SIZE 512u

/* `judge` for each disk that is copied. */
static void each(const struct vf_check *c,
                 void (*judge)(const struct vf_check *c, size_t i, const struct vf_vm_disk *d,
                               const char *object))
{
    for (size_t i = 0; i < c->vm->n_disks; i++) {
        char *vf_autofree object = vf_check_disk_object(&c->vm->disks[i]);
        judge(c, i, &c->vm->disks[i], object);
    }
}

static void judge_datastore(const struct vf_check *c, size_t i, const struct vf_vm_disk *d,
                            const char *object)
{
    (void)i;
    if (!d->datastore || !*d->datastore) {
        vf_found(c, object, "the disk is on no datastore (file \"%s\")", d->file ? d->file : "");
    }
}

static void judge_size(const struct vf_check *c, size_t i, const struct vf_vm_disk *d,
                       const char *object)
{
    (void)i;
    if (d->capacity_bytes == 0) {
        vf_found(c, object, "the disk is said to have no size");
    }
}

static void judge_odd(const struct vf_check *c, size_t i, const struct vf_vm_disk *d,
                      const char *object)
{
    (void)i;
    if (d->capacity_bytes % SECTOR_SIZE != 0) {
        vf_found(c, object, "its size, %" PRIu64 " bytes, is no multiple of %u", d->capacity_bytes,
                 SECTOR_SIZE);
    }
}

static void judge_encrypted(const struct vf_check *c, size_t i, const struct vf_vm_disk *d,
                            const char *object)
{
    (void)i;
    if (d->encrypted) {
        vf_found(c, object, "the disk is encrypted");
    }
}

static void judge_independent(const struct vf_check *c, size_t i, const struct vf_vm_disk *d,
                              const char *object)
{
    (void)i;
    if (d->independent && vf_check_takes_snapshot(c)) {
        vf_found(c, object, "the disk is independent (%s): no snapshot holds it",
                 d->mode ? d->mode : "independent");
    }
}

static void judge_volatile(const struct vf_check *c, size_t i, const struct vf_vm_disk *d,
                           const char *object)
{
    (void)i;
    const char *mode = d->mode ? d->mode : "";
    if (strstr(mode, "nonpersistent") || strcmp(mode, "undoable") == 0) {
        vf_found(c, object,
                 "what is written to the disk is thrown away at power-off (%s): in the "
                 "cluster it stays",
                 mode);
    }
}

static void judge_delta(const struct vf_check *c, size_t i, const struct vf_vm_disk *d,
                        const char *object)
{
    (void)i;
    if (d->delta && c->vm->n_snapshots == 0) {
        vf_found(c, object,
                 "its file holds only what differs from another's, though the VM has no "
                 "snapshot");
    }
}

/* --- raw device mappings ----------------------------------------------------------------- */

static enum vf_map_rdm decision(const struct vf_check *c, size_t i)
{
    return vf_mapping_rdm_of(vf_check_mapping(c), &c->vm->disks[i]);
}

static void judge_rdm(const struct vf_check *c, size_t i, const struct vf_vm_disk *d,
                      const char *object)
{
    if (d->rdm && decision(c, i) == VF_RDM_ASK) {
        vf_found(c, object,
                 "the disk is a raw device mapping%s%s%s, and nobody said what becomes "
                 "of it",
                 d->rdm_device ? " of \"" : "", d->rdm_device ? d->rdm_device : "",
                 d->rdm_device ? "\"" : "");
    }
}

static void judge_rdm_physical(const struct vf_check *c, size_t i, const struct vf_vm_disk *d,
                               const char *object)
{
    if (d->rdm && d->rdm_physical && decision(c, i) == VF_RDM_COPY && vf_check_takes_snapshot(c)) {
        vf_found(c, object,
                 "the disk is a raw device mapping in physical mode: no snapshot holds "
                 "it");
    }
}

/* --- shared disks ------------------------------------------------------------------------ */

static void judge_shared(const struct vf_check *c, size_t i, const struct vf_vm_disk *d,
                         const char *object)
{
    (void)i;
    if (d->shared && vf_check_takes_snapshot(c)) {
        vf_found(c, object, "the disk is shared: vSphere makes no snapshot of the VM");
    }
}

/* The same file at another VM of those chosen. Each pair is told of once, at the later one. */
static void judge_copied_twice(const struct vf_check *c, size_t i, const struct vf_vm_disk *d,
                               const char *object)
{
    (void)i;
    size_t n;
    const struct vf_fact_key *k = vf_fact_keys_find(&c->facts->disk_files, d->file, &n);
    for (; n > 0; n--, k++) {
        if (k->vm < c->index && !k->aside) {
            const char *other = c->facts->vms[k->vm].name;
            vf_found(c, object,
                     "it is also a disk of \"%s\" (%s): each would get a copy of its own",
                     other ? other : "", d->file);
            return;
        }
    }
}

static void judge_in_use(const struct vf_check *c, size_t i, const struct vf_vm_disk *d,
                         const char *object)
{
    (void)i;
    size_t n;
    const struct vf_fact_key *k = vf_fact_keys_find(&c->facts->disk_files, d->file, &n);
    for (; n > 0; n--, k++) {
        const struct vf_vm *other = &c->facts->vms[k->vm];
        if (k->vm != c->index && other->power == VF_POWER_ON) {
            vf_found(c, object, "it is also a disk of \"%s\", which runs and writes to it",
                     other->name ? other->name : "");
            return;
        }
    }
}

/* --- all of them ------------------------------------------------------------------------- */

static void check_datastore(const struct vf_check *c)
{
    each(c, judge_datastore);
}

static void check_size(const struct vf_check *c)
{
    each(c, judge_size);
}

static void check_odd(const struct vf_check *c)
{
    each(c, judge_odd);
}

static void check_encrypted(const struct vf_check *c)
{
    each(c, judge_encrypted);
}

static void check_independent(const struct vf_check *c)
{
    each(c, judge_independent);
}

static void check_volatile(const struct vf_check *c)
{
    each(c, judge_volatile);
}

static void check_delta(const struct vf_check *c)
{
    each(c, judge_delta);
}

static void check_rdm(const struct vf_check *c)
{
    each(c, judge_rdm);
}

static void check_rdm_physical(const struct vf_check *c)
{
    each(c, judge_rdm_physical);
}

/* A snapshot is of the whole VM, and so are the disks that are set aside. */
static void check_shared(const struct vf_check *c)
{
    each(c, judge_shared);
    for (size_t i = 0; i < c->vm->n_other_disks; i++) {
        char *vf_autofree object = vf_check_disk_object(&c->vm->other_disks[i]);
        judge_shared(c, i, &c->vm->other_disks[i], object);
    }
}

static void check_copied_twice(const struct vf_check *c)
{
    each(c, judge_copied_twice);
}

static void check_in_use(const struct vf_check *c)
{
    each(c, judge_in_use);
}

static void check_count(const struct vf_check *c)
{
    const struct vf_vm *vm = c->vm;
    size_t n = vm->n_disks + vm->n_other_disks;
    if (n > MAX_DISKS) {
        vf_found(c, NULL, "the VM has %zu disks, and KubeVirt takes %u", n, MAX_DISKS);
    }
}

static void check_used(const struct vf_check *c)
{
    size_t unknown = 0;
    for (size_t i = 0; i < c->vm->n_disks; i++) {
        unknown += c->vm->disks[i].used_bytes == 0;
    }
    if (unknown) {
        vf_found(c, NULL,
                 "of %zu of %zu disk%s vSphere does not tell how much is used: time and "
                 "space are reckoned with the full size",
                 unknown, c->vm->n_disks, vf_check_plural(c->vm->n_disks));
    }
}

const struct vf_rule vf_rules_disk[] = {
    {.id = "disk.no-datastore",
     .severity = VF_CRITICAL,
     .area = VF_AREA_VM,
     .looks_at = "datastore of each disk",
     .message = "the disk's file is on no datastore that vSphere knows",
     .action = "see in vSphere whether its datastore is mounted, or take the disk out: "
               "--disk N:skip",
     .check = check_datastore},
    {.id = "disk.size-zero",
     .severity = VF_CRITICAL,
     .area = VF_AREA_VM,
     .looks_at = "size of each disk",
     .message = "vSphere tells no size of the disk, mostly since its file is damaged or away",
     .action = "see in vSphere what is wrong with its file, or leave it out: --disk N:skip",
     .check = check_size},
    {.id = "disk.size-odd",
     .severity = VF_WARNING,
     .area = VF_AREA_VM,
     .looks_at = "size of each disk",
     .message = "a size that is no multiple of 512 bytes is rounded up by whoever reads the image",
     .action = "grow the disk to a full MiB in vSphere",
     .check = check_odd},
    {.id = "disk.too-many",
     .severity = VF_CRITICAL,
     .area = VF_AREA_VM,
     .looks_at = "number of disks",
     .message = "KubeVirt takes at most 256 disks",
     .action = "leave some out: --disk N:skip",
     .check = check_count},
    {.id = "disk.encrypted",
     .severity = VF_CRITICAL,
     .area = VF_AREA_VM,
     .looks_at = "encryption of each disk",
     .message = "an encrypted disk cannot be read outside of vSphere",
     .action = "change its storage policy to one without encryption, while the VM is off",
     .check = check_encrypted},
    {.id = "disk.independent",
     .severity = VF_CRITICAL,
     .area = VF_AREA_VM,
     .looks_at = "mode of each disk, where a snapshot is needed",
     .message = "independent disks are outside of snapshots, from which running VMs are copied",
     .action = "power the VM off and import it cold, change the disk's mode while it is off, or "
               "leave it out: --disk N:skip",
     .check = check_independent},
    {.id = "disk.not-persistent",
     .severity = VF_WARNING,
     .area = VF_AREA_VM,
     .looks_at = "mode of each disk",
     .message = "vSphere throws away at power-off what the guest wrote to the disk, and KubeVirt "
                "keeps it",
     .action = "nothing, if the guest can live with that",
     .check = check_volatile},
    {.id = "disk.delta",
     .severity = VF_WARNING,
     .area = VF_AREA_VM,
     .looks_at = "parents of each disk, of a VM without snapshots",
     .message = "the disk is a linked clone, or of a snapshot that vSphere lost: it needs its "
                "parent's file",
     .action = "consolidate the VM's disks in vSphere; a linked clone is copied whole by nfc",
     .check = check_delta},
    {.id = "disk.rdm-undecided",
     .severity = VF_CRITICAL,
     .area = VF_AREA_VM,
     .looks_at = "raw device mappings",
     .message = "a raw device mapping is a LUN of the storage: whether its content is copied, the "
                "LUN given to the new VM, or left out, is for a person to say",
     .action = "--rdm copy|lun|ignore for all, or --disk N:rdm=copy for one",
     .check = check_rdm},
    {.id = "disk.rdm-physical",
     .severity = VF_CRITICAL,
     .area = VF_AREA_VM,
     .looks_at = "raw device mappings to be copied, where a snapshot is needed",
     .message = "a raw device mapping in physical mode is outside of snapshots, from which running "
                "VMs are copied",
     .action = "power the VM off and import it cold, or turn the mapping into virtual mode",
     .check = check_rdm_physical},
    {.id = "disk.shared-snapshot",
     .severity = VF_CRITICAL,
     .area = VF_AREA_VM,
     .looks_at = "multi-writer disks and shared buses, where a snapshot is needed",
     .message = "vSphere makes no snapshot of a VM with a disk that is shared",
     .action = "power off all VMs that share it, and import them cold",
     .check = check_shared},
    {.id = "disk.copied-twice",
     .severity = VF_CRITICAL,
     .area = VF_AREA_VM,
     .looks_at = "files of disks of all VMs that were chosen",
     .message = "two VMs share the disk, and each would get a copy of its own: from then on they "
                "differ",
     .action = "copy it with one of them, and give the other --disk N:claim=CLAIM",
     .check = check_copied_twice},
    {.id = "disk.in-use",
     .severity = VF_CRITICAL,
     .area = VF_AREA_VM,
     .looks_at = "files of disks of all VMs that were chosen",
     .message = "another VM, which runs, has the same disk: what is copied is not of one moment",
     .action = "shut down all VMs that share the disk before any of them is copied",
     .check = check_in_use},
    {.id = "disk.used-unknown",
     .severity = VF_INFORMATION,
     .area = VF_AREA_VM,
     .looks_at = "used size of disks",
     .message =
         "vSphere does not tell how much of a disk is used, so that estimates take all of it",
     .action = "nothing; the copy reads what is there",
     .check = check_used},
    {.id = NULL},
};
