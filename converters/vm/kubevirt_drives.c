#include "converters/vm/kubevirt_drives.h"

#include <fnmatch.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "converters/vm/cloud_init.h"
#include "importer/base/json.h"
#include "importer/base/mem.h"

/* Adds to a list that may not be there, when nobody wants to know. */
#define TELL(concerns, ...)                                                                        \
    do {                                                                                           \
        if (concerns) {                                                                            \
            vf_concerns_add(concerns, __VA_ARGS__);                                                \
        }                                                                                          \
    } while (0)

static struct vf_drive *add_drive(struct vf_drives *drives, enum vf_drive_kind kind)
{
    drives->items = vf_xrealloc_array(drives->items, drives->n_items + 1, sizeof *drives->items);
    struct vf_drive *d = &drives->items[drives->n_items++];
    *d = (struct vf_drive){.kind = kind};
    return d;
}

static const char *label_of(const char *label, const char *otherwise)
{
    return label && *label ? label : otherwise;
}

static enum vf_map_rdm rdm_of(const struct vf_manifest_plan *plan, const struct vf_disk_rule *rule)
{
    enum vf_map_rdm rdm = rule && rule->rdm ? rule->rdm : plan->mapping->rdm;
    return rdm == VF_RDM_UNSET ? VF_RDM_ASK : rdm;
}

static void tell_copied(const struct vf_manifest_plan *plan, const struct vf_vm_disk *d,
                        const struct vf_disk_rule *rule, size_t number,
                        struct vf_concerns *concerns)
{
    const char *label = label_of(d->label, "a disk");
    if (d->rdm && rdm_of(plan, rule) == VF_RDM_ASK) {
        TELL(concerns, "disk.rdm",
             "disk %zu (\"%s\") is a raw device mapping, and nobody said what becomes of it",
             number, label);
    } else if (d->rdm) {
        TELL(concerns, "disk.rdm",
             "disk %zu (\"%s\") is a raw device mapping: its content is copied, the LUN%s%s is not "
             "passed through",
             number, label, d->rdm_device ? " " : "", d->rdm_device ? d->rdm_device : "");
    }
    if (d->shared) {
        TELL(concerns, "disk.shared",
             "disk %zu (\"%s\") is shared with other VMs: its claim must be ReadWriteMany and "
             "Block, and they must name the same one",
             number, label);
    }
}

static void add_copied(const struct vf_manifest_plan *plan, size_t i, size_t number,
                       struct vf_drives *drives, struct vf_concerns *concerns)
{
    struct vf_drive *d = add_drive(drives, VF_DRIVE_COPIED);
    d->disk = &plan->vm->disks[i];
    d->claim = plan->claims[i];
    d->rule = vf_mapping_rule_for(plan->mapping, d->disk);
    snprintf(d->name, sizeof d->name, "disk-%zu", number);
    tell_copied(plan, d->disk, d->rule, number, concerns);
}

/* A disk that is not copied: somebody's claim stands for it, or nothing does. */
static void add_other(const struct vf_manifest_plan *plan, size_t i, size_t number,
                      struct vf_drives *drives, struct vf_concerns *concerns)
{
    const struct vf_vm_disk *disk = &plan->vm->other_disks[i];
    const struct vf_disk_rule *rule = vf_mapping_rule_for(plan->mapping, disk);
    const char *label = label_of(disk->label, "a disk");
    bool lun = disk->rdm && rdm_of(plan, rule) == VF_RDM_LUN;
    bool skipped = rule && rule->skip == VF_YES;
    if (skipped || !rule || !rule->claim) {
        if (lun && !skipped) {
            TELL(concerns, "disk.lun-unclaimed",
                 "disk %zu (\"%s\") is to be a LUN, but no claim is named for it: the VM would be "
                 "without it",
                 number, label);
        } else {
            TELL(concerns, "disk.left-out", "disk %zu (\"%s\") is left out, as told", number,
                 label);
        }
        return;
    }
    struct vf_drive *d = add_drive(drives, lun ? VF_DRIVE_LUN : VF_DRIVE_CLAIM);
    d->disk = disk;
    d->rule = rule;
    d->claim = rule->claim;
    snprintf(d->name, sizeof d->name, "disk-%zu", number);
    if (lun) {
        TELL(concerns, "disk.lun",
             "disk %zu (\"%s\") is not copied: the claim \"%s\" is passed through in its place, "
             "and must lead to the LUN %s",
             number, label, d->claim, disk->rdm_device ? disk->rdm_device : "itself");
    } else {
        TELL(concerns, "disk.attached",
             "disk %zu (\"%s\") is not copied: the claim \"%s\" is attached in its place", number,
             label, d->claim);
    }
}

/* The two lists of the model, each in order, become one again. */
static void add_disks(const struct vf_manifest_plan *plan, struct vf_drives *drives,
                      struct vf_concerns *concerns)
{
    const struct vf_vm *vm = plan->vm;
    size_t copied = 0, other = 0;
    while (copied < vm->n_disks || other < vm->n_other_disks) {
        size_t number = copied + other;
        bool take_other =
            copied == vm->n_disks || (other < vm->n_other_disks &&
                                      vm->other_disks[other].position < vm->disks[copied].position);
        if (take_other) {
            add_other(plan, other++, number, drives, concerns);
        } else {
            add_copied(plan, copied++, number, drives, concerns);
        }
    }
}

/* A datastore stands in brackets, which are a set of characters to fnmatch(3). */
static bool iso_matches(const struct vf_iso_rule *rule, const struct vf_vm_cdrom *cdrom)
{
    const char *pattern = rule->file, *file = cdrom->file;
    if (!file || strcmp(pattern, file) == 0) {
        return file != NULL;
    }
    const char *end = *pattern == '[' ? strstr(pattern, "] ") : NULL;
    size_t n = end ? (size_t)(end - pattern) + 2 : 0;
    return strncmp(pattern, file, n) == 0 && fnmatch(pattern + n, file + n, 0) == 0;
}

bool vf_iso_rule_matches(const struct vf_iso_rule *rule, const struct vf_vm *vm)
{
    for (size_t i = 0; i < vm->n_cdroms; i++) {
        if (vm->cdroms[i].kind == VF_CDROM_ISO && iso_matches(rule, &vm->cdroms[i])) {
            return true;
        }
    }
    return false;
}

static const char *iso_claim(const struct vf_mapping *m, const struct vf_vm_cdrom *cdrom)
{
    for (size_t i = 0; i < m->n_isos; i++) {
        if (iso_matches(&m->isos[i], cdrom)) {
            return m->isos[i].claim;
        }
    }
    return NULL;
}

static void tell_unused_isos(const struct vf_manifest_plan *plan, struct vf_concerns *concerns)
{
    for (size_t i = 0; i < plan->mapping->n_isos; i++) {
        if (!vf_iso_rule_matches(&plan->mapping->isos[i], plan->vm)) {
            TELL(concerns, "mapping.iso-unused",
                 "no drive of the VM has an ISO \"%s\", for which a claim is named",
                 plan->mapping->isos[i].file);
        }
    }
}

static void add_cdroms(const struct vf_manifest_plan *plan, struct vf_drives *drives,
                       struct vf_concerns *concerns)
{
    enum vf_map_cdrom way = plan->mapping->cdroms;
    size_t n_empty = 0;
    for (size_t i = 0; i < plan->vm->n_cdroms; i++) {
        const struct vf_vm_cdrom *cdrom = &plan->vm->cdroms[i];
        bool iso = cdrom->kind == VF_CDROM_ISO;
        const char *claim = way == VF_CDROMS_KEEP && iso ? iso_claim(plan->mapping, cdrom) : NULL;
        if (iso && !claim) {
            TELL(concerns, "cdrom.iso-lost", "the ISO \"%s\" in \"%s\" is not carried%s",
                 label_of(cdrom->file, ""), label_of(cdrom->label, "a CD-ROM drive"),
                 way == VF_CDROMS_KEEP ? ": no claim is named for it" : "");
        }
        if (way == VF_CDROMS_DROP) {
            continue;
        }
        struct vf_drive *d = add_drive(drives, VF_DRIVE_CDROM);
        d->cdrom = cdrom;
        d->claim = claim;
        snprintf(d->name, sizeof d->name, "cdrom-%zu", i);
        n_empty += claim == NULL;
    }
    if (n_empty) {
        TELL(concerns, "cdrom.empty",
             "%zu CD-ROM drive%s without a medium: KubeVirt takes that with the feature gate "
             "DeclarativeHotplugVolumes only, which is on from version 1.9",
             n_empty, n_empty == 1 ? "" : "s");
    }
}

static void add_cloud_init(const struct vf_manifest_plan *plan, struct vf_drives *drives,
                           struct vf_concerns *concerns)
{
    if (plan->mapping->addresses != VF_ADDRESSES_CLOUD_INIT ||
        vf_kubevirt_family(plan) != VF_GUEST_LINUX) {
        return;
    }
    cJSON *network = vf_cloud_init_network(plan->vm, plan->networks);
    if (!network) {
        return;
    }
    char *text = vf_json_print(network, false);
    cJSON_Delete(network);
    if (strlen(text) > VF_CLOUD_INIT_MAX_BYTES) {
        TELL(concerns, "nic.address-lost",
             "the static addresses are not given to cloud-init: they take %zu bytes, and KubeVirt "
             "takes %d inside of a VM",
             strlen(text), VF_CLOUD_INIT_MAX_BYTES);
        free(text);
        return;
    }
    drives->network_data = text;
    struct vf_drive *d = add_drive(drives, VF_DRIVE_CLOUD_INIT);
    snprintf(d->name, sizeof d->name, "cloud-init");
    TELL(concerns, "guest.cloud-init",
         "the static addresses are kept by cloud-init, if it is installed in the guest and "
         "enabled");
}

void vf_drives_plan(const struct vf_manifest_plan *plan, struct vf_concerns *concerns,
                    struct vf_drives *ret_drives)
{
    struct vf_drives drives = {.nic_boot = vf_xcalloc(plan->vm->n_nics, sizeof(uint32_t))};
    add_disks(plan, &drives, concerns);
    add_cdroms(plan, &drives, concerns);
    tell_unused_isos(plan, concerns);
    add_cloud_init(plan, &drives, concerns);
    vf_drives_choose_buses(plan, &drives, concerns);
    vf_drives_choose_boot(plan, &drives, concerns);
    vf_drives_choose_threads(plan, &drives, concerns);
    *ret_drives = drives;
}

void vf_drives_release(struct vf_drives *drives)
{
    free(drives->items);
    free(drives->nic_boot);
    free(drives->network_data);
    *drives = (struct vf_drives){0};
}

const struct vf_drive *vf_drives_first(const struct vf_drives *drives)
{
    const struct vf_drive *first = NULL;
    for (size_t i = 0; i < drives->n_items; i++) {
        const struct vf_drive *d = &drives->items[i];
        if (d->disk && d->boot && (!first || d->boot < first->boot)) {
            first = d;
        }
    }
    return first;
}
