#include "converters/vm/kubevirt_drives.h"

static bool is_taken(const struct vf_drives *drives, uint32_t boot)
{
    for (size_t i = 0; i < drives->n_items; i++) {
        if (drives->items[i].boot == boot) {
            return true;
        }
    }
    return false;
}

/* Whether any place is told. */
static bool take_told(struct vf_drives *drives, struct vf_concerns *concerns)
{
    bool any = false;
    for (size_t i = 0; i < drives->n_items; i++) {
        struct vf_drive *d = &drives->items[i];
        uint32_t boot = d->rule ? d->rule->boot : 0;
        if (boot == 0) {
            continue;
        }
        uint32_t place = boot;
        while (is_taken(drives, place)) {
            place++;
        }
        if (place != boot && concerns) {
            vf_concerns_add(concerns, "disk.boot-order",
                            "%s is told to be number %u of the boot order, as another disk is: it "
                            "is number %u",
                            d->name, boot, place);
        }
        d->boot = place;
        d->boot_note = (struct vf_drive_note){VF_ORIGIN_OPTION, "boot of the disk"};
        any = true;
    }
    return any;
}

static struct vf_drive *find_disk(struct vf_drives *drives, int32_t key)
{
    for (size_t i = 0; i < drives->n_items; i++) {
        if (drives->items[i].disk && drives->items[i].disk->key == key) {
            return &drives->items[i];
        }
    }
    return NULL;
}

static bool is_media(const struct vf_drive *d)
{
    return d->kind == VF_DRIVE_CDROM && d->claim;
}

static void number_first(struct vf_drives *drives, bool cdrom, uint32_t *next,
                         struct vf_drive_note note)
{
    for (size_t i = 0; i < drives->n_items; i++) {
        struct vf_drive *d = &drives->items[i];
        if (cdrom ? is_media(d) : d->disk != NULL) {
            if (d->boot == 0) {
                d->boot = (*next)++;
                d->boot_note = note;
            }
            return;
        }
    }
}

static bool number_key(const struct vf_manifest_plan *plan, struct vf_drives *drives, int32_t key,
                       uint32_t *next)
{
    struct vf_drive *d = find_disk(drives, key);
    if (d && d->boot == 0) {
        d->boot = (*next)++;
        d->boot_note = (struct vf_drive_note){VF_ORIGIN_SOURCE, "bootOptions.bootOrder"};
    }
    for (size_t i = 0; i < plan->vm->n_nics && !d; i++) {
        if (plan->vm->nics[i].key == key && !drives->nic_boot[i] &&
            plan->networks[i].kind != VF_NETWORK_IGNORE) {
            drives->nic_boot[i] = (*next)++;
        }
    }
    return d != NULL;
}

void vf_drives_choose_boot(const struct vf_manifest_plan *plan, struct vf_drives *drives,
                           struct vf_concerns *concerns)
{
    const struct vf_vm *vm = plan->vm;
    uint32_t next = 1;
    bool any_disk = false;
    if (take_told(drives, concerns)) {
        return;
    }
    if (vm->boot_keys_cdrom_first) {
        number_first(drives, true, &next,
                     (struct vf_drive_note){VF_ORIGIN_SOURCE, "bootOptions.bootOrder"});
    }
    for (size_t i = 0; i < vm->n_boot_keys; i++) {
        any_disk |= number_key(plan, drives, vm->boot_keys[i], &next);
    }
    if (!any_disk) {
        number_first(drives, false, &next,
                     (struct vf_drive_note){VF_ORIGIN_SOURCE, "the first disk"});
    }
    if (next == 1) {
        number_first(drives, true, &next,
                     (struct vf_drive_note){VF_ORIGIN_DEFAULT, "nothing else has a system"});
    }
}
