#include <ctype.h>
#include <string.h>

#include "converters/vm/cloud_init.h"
#include "converters/vm/firmware.h"
#include "converters/vm/kubevirt_drives.h"
#include "importer/base/json.h"
#include "importer/base/mem.h"

/* As the guest knew it (disk.EnableUUID): the digits of the backing's UUID. A virtio-blk or SATA
 * disk shows 20 of them, a SCSI disk all. */
static char *serial_of(const struct vf_drive *d)
{
    char *vf_autofree first = vf_firmware_disk_serial(d->disk->uuid);
    if (!first || strcmp(d->bus, "scsi") != 0) {
        return vf_take(first);
    }
    char *all = vf_xcalloc(33, 1);
    size_t n = 0;
    for (const char *c = d->disk->uuid; *c && n < 32; c++) {
        if (isxdigit((unsigned char)*c)) {
            all[n++] = (char)tolower((unsigned char)*c);
        }
    }
    return all;
}

static void add_serial(const struct vf_manifest_plan *plan, const struct vf_drive *d, cJSON *disk)
{
    char *vf_autofree known = serial_of(d);
    if (d->rule && d->rule->serial) {
        vf_json_add_string(disk, "serial", d->rule->serial);
        vf_origin_note_member(plan->origins, disk, "serial", VF_ORIGIN_OPTION,
                              "serial of the disk");
    } else if (known) {
        vf_json_add_string(disk, "serial", known);
        vf_origin_note_member(plan->origins, disk, "serial", VF_ORIGIN_SOURCE, "backing.uuid %s",
                              d->disk->uuid);
    }
}

static void add_bus(const struct vf_manifest_plan *plan, const struct vf_drive *d, cJSON *target)
{
    vf_json_add_string(target, "bus", d->bus);
    if (d->bus_note.kind == VF_ORIGIN_OS) {
        vf_origin_note_member(plan->origins, target, "bus", VF_ORIGIN_OS, "row \"%s\": %s",
                              plan->os->name, d->bus_note.text);
    } else {
        vf_origin_note_member(plan->origins, target, "bus", d->bus_note.kind, "%s",
                              d->bus_note.text);
    }
}

/* With a cache, a disk that several write to fails at launch. An error of one stops the VM, unless
 * its guest is told, which then can hand over to another one. */
static void add_sharing(const struct vf_manifest_plan *plan, const struct vf_drive *d, cJSON *disk)
{
    bool shared = d->kind == VF_DRIVE_CLAIM || (d->kind == VF_DRIVE_COPIED && d->disk->shared);
    if (shared || d->kind == VF_DRIVE_LUN) {
        vf_json_add_string(disk, "errorPolicy", "report");
        vf_origin_note_member(plan->origins, disk, "errorPolicy", VF_ORIGIN_DEFAULT,
                              "the guest sees errors, and is not stopped");
    }
    if (!shared) {
        return;
    }
    enum vf_origin_kind kind = d->kind == VF_DRIVE_CLAIM ? VF_ORIGIN_OPTION : VF_ORIGIN_SOURCE;
    const char *why = d->kind == VF_DRIVE_CLAIM ? "claim of the disk" : "shared with other VMs";
    vf_json_add_string(disk, "cache", "none");
    vf_origin_note_member(plan->origins, disk, "cache", kind, "%s", why);
    vf_json_add_bool(disk, "shareable", true);
    vf_origin_note_member(plan->origins, disk, "shareable", kind, "%s", why);
}

static void note_place(const struct vf_manifest_plan *plan, const struct vf_drive *d, cJSON *disk)
{
    if (d->disk) {
        vf_origin_note(plan->origins, disk, VF_ORIGIN_SOURCE, "\"%s\"",
                       d->disk->label ? d->disk->label : d->name);
    } else if (d->cdrom) {
        vf_origin_note(plan->origins, disk, VF_ORIGIN_SOURCE, "\"%s\"",
                       d->cdrom->label ? d->cdrom->label : d->name);
    } else {
        vf_origin_note(plan->origins, disk, VF_ORIGIN_OPTION, "addresses by cloud-init");
    }
}

static void add_disk(const struct vf_manifest_plan *plan, const struct vf_drive *d, cJSON *disks)
{
    static const char *const targets[] = {[VF_DRIVE_COPIED] = "disk",
                                          [VF_DRIVE_CLAIM] = "disk",
                                          [VF_DRIVE_LUN] = "lun",
                                          [VF_DRIVE_CDROM] = "cdrom",
                                          [VF_DRIVE_CLOUD_INIT] = "cdrom"};
    cJSON *disk = vf_json_append_object(disks);
    vf_json_add_string(disk, "name", d->name);
    if (d->boot) {
        vf_json_add_u64(disk, "bootOrder", d->boot);
        vf_origin_note_member(plan->origins, disk, "bootOrder", d->boot_note.kind, "%s",
                              d->boot_note.text);
    }
    /* A LUN tells its own serial. */
    if (d->disk && d->kind != VF_DRIVE_LUN) {
        add_serial(plan, d, disk);
    }
    add_bus(plan, d, vf_json_add_object(disk, targets[d->kind]));
    if (d->disk) {
        add_sharing(plan, d, disk);
    }
    if (d->io_thread) {
        vf_json_add_bool(disk, "dedicatedIOThread", true);
        vf_origin_note_member(plan->origins, disk, "dedicatedIOThread", d->io_thread_note.kind,
                              "%s", d->io_thread_note.text);
    }
    note_place(plan, d, disk);
}

void vf_kubevirt_disks(const struct vf_manifest_plan *plan, const struct vf_drives *drives,
                       cJSON *devices)
{
    cJSON *disks = drives->n_items ? vf_json_add_array(devices, "disks") : NULL;
    for (size_t i = 0; i < drives->n_items; i++) {
        add_disk(plan, &drives->items[i], disks);
    }
}
