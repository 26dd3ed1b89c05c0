#include <string.h>

#include "converters/vm/kubevirt_drives.h"

/* More than a guest of any size makes use of at once. */
#define MAX_THREADS 32

static bool may_have_thread(const struct vf_drive *d)
{
    return d->disk && strcmp(d->bus, "virtio") == 0;
}

static void take_told_thread(struct vf_drive *d, size_t number, struct vf_concerns *concerns)
{
    enum vf_tristate told = d->rule ? d->rule->io_thread : VF_UNSET;
    if (told == VF_YES && !may_have_thread(d)) {
        if (concerns) {
            vf_concerns_add(concerns, "disk.io-thread",
                            "disk %zu gets no I/O thread of its own: KubeVirt has them for virtio "
                            "only, and it is on %s",
                            number, d->bus);
        }
        return;
    }
    d->io_thread = told == VF_YES;
    d->io_thread_note = (struct vf_drive_note){VF_ORIGIN_OPTION, "ioThread of the disk"};
}

/* The largest one left that is large enough; NULL: none. */
static struct vf_drive *largest(const struct vf_drives *drives)
{
    struct vf_drive *best = NULL;
    for (size_t i = 0; i < drives->n_items; i++) {
        struct vf_drive *d = &drives->items[i];
        if (!may_have_thread(d) || d->io_thread || (d->rule && d->rule->io_thread != VF_UNSET) ||
            d->disk->capacity_bytes < VF_THREAD_DISK_BYTES) {
            continue;
        }
        if (!best || d->disk->capacity_bytes > best->disk->capacity_bytes) {
            best = d;
        }
    }
    return best;
}

void vf_drives_choose_threads(const struct vf_manifest_plan *plan, struct vf_drives *drives,
                              struct vf_concerns *concerns)
{
    size_t n_threads = 0, n_disks = 0;
    for (size_t i = 0; i < drives->n_items; i++) {
        if (drives->items[i].disk) {
            take_told_thread(&drives->items[i], i, concerns);
            n_threads += drives->items[i].io_thread;
            n_disks++;
        }
    }
    size_t room = plan->vm->cpus / 2 < MAX_THREADS ? plan->vm->cpus / 2 : MAX_THREADS;
    if (plan->vm->cpus < VF_THREAD_CPUS || n_disks < 2) {
        return;
    }
    for (struct vf_drive *d; n_threads < room && (d = largest(drives)); n_threads++) {
        d->io_thread = true;
        d->io_thread_note =
            (struct vf_drive_note){VF_ORIGIN_DEFAULT, "a large disk of a VM with several"};
    }
}
