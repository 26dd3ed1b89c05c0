/* Rules of the folder that a VM lands in: --to dir:PATH. */
#include "jobs/preflight/looks.h"
#include "jobs/report/text.h"

static void check_usable(const struct vf_check *c)
{
    const struct vf_folder_facts *f = &c->facts->folder;
    if (f->trouble) {
        vf_found(c, NULL, "no VM can be copied into \"%s\": %s", f->path, f->trouble);
    }
}

/* Each VM by itself, since a folder takes one. A thick disk may be all zero, and one of which
 * nothing is told may be, too: only what is known to be used counts. */
static void check_space(const struct vf_check *c)
{
    const struct vf_folder_facts *f = &c->facts->folder;
    uint64_t need = 0;
    for (size_t i = 0; i < c->vm->n_disks; i++) {
        const struct vf_vm_disk *d = &c->vm->disks[i];
        uint64_t used = d->used_bytes < d->capacity_bytes ? d->used_bytes : d->capacity_bytes;
        need = need > UINT64_MAX - used ? UINT64_MAX : need + used;
    }
    if (f->has_free && need > f->free_bytes) {
        char ask[VF_TEXT_BYTES_SIZE], have[VF_TEXT_BYTES_SIZE];
        vf_found(c, NULL, "its disks hold %s, and \"%s\" has space for %s",
                 vf_text_bytes(ask, need), f->path, vf_text_bytes(have, f->free_bytes));
    }
}

const struct vf_rule vf_rules_dir[] = {
    {.id = "dir.unusable",
     .severity = VF_CRITICAL,
     .area = VF_AREA_TARGET,
     .looks_at = "the folder of --to dir:PATH, or the one that it is to be made in",
     .message = "the folder is not there and cannot be made, or cannot be written into",
     .action = "make the parent folder and see that it may be written into, or give another target",
     .folder = true,
     .once = true,
     .check = check_usable},
    {.id = "dir.space",
     .severity = VF_CRITICAL,
     .area = VF_AREA_TARGET,
     .looks_at = "free space of the file system of --to dir:PATH, and what the disks hold",
     .message = "the disks hold more than is free: the import would be refused",
     .action = "free space there or give a target on a larger filesystem",
     .folder = true,
     .check = check_space},
    {.id = NULL},
};
