/* The neutral VM model: lifecycle, the guest's order of disks, families of guests. */
#include <vmferry/vm.h>

#include <stdlib.h>
#include <string.h>
#include <strings.h>

void vf_vm_init(struct vf_vm *vm)
{
    *vm = (struct vf_vm){.power = VF_POWER_UNKNOWN};
}

static void free_strings(char **strings, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        free(strings[i]);
    }
    free(strings);
}

static void release_disk(struct vf_vm_disk *d)
{
    free(d->label);
    free(d->source_id);
    free(d->file);
    free(d->datastore);
    free(d->datastore_moref);
    free(d->mode);
    free(d->uuid);
    free(d->change_id);
    free(d->controller_type);
    free(d->rdm_device);
}

static void release_nic(struct vf_vm_nic *n)
{
    free(n->label);
    free(n->mac);
    free(n->model);
    free(n->network);
    for (size_t i = 0; i < n->n_addresses; i++) {
        free(n->addresses[i].ip);
    }
    free(n->addresses);
    free(n->gateway4);
    free(n->gateway6);
}

static void release_strings(struct vf_vm *vm)
{
    free(vm->name);
    free(vm->moref);
    free(vm->folder);
    free(vm->host);
    free(vm->instance_uuid);
    free(vm->bios_uuid);
    free(vm->guest_id);
    free(vm->guest_name);
    free(vm->guest_hostname);
    free(vm->hardware);
    free(vm->annotation);
    free_strings(vm->tags, vm->n_tags);
    free(vm->host_moref);
    free(vm->cluster);
    free(vm->question);
    free(vm->latency);
    free(vm->evc_mode);
    free(vm->boot_keys);
    free_strings(vm->dns_servers, vm->n_dns_servers);
    free_strings(vm->dns_search, vm->n_dns_search);
}

static void release_lists(struct vf_vm *vm)
{
    for (size_t i = 0; i < vm->n_attributes; i++) {
        free(vm->attributes[i].name);
        free(vm->attributes[i].value);
    }
    free(vm->attributes);
    for (size_t i = 0; i < vm->n_cdroms; i++) {
        free(vm->cdroms[i].label);
        free(vm->cdroms[i].file);
        free(vm->cdroms[i].datastore);
    }
    free(vm->cdroms);
    for (size_t i = 0; i < vm->n_devices; i++) {
        free(vm->devices[i].label);
        free(vm->devices[i].type);
    }
    free(vm->devices);
    for (size_t i = 0; i < vm->n_guest_disks; i++) {
        free(vm->guest_disks[i].path);
    }
    free(vm->guest_disks);
}

static void release_disks(struct vf_vm_disk *disks, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        release_disk(&disks[i]);
    }
    free(disks);
}

void vf_vm_release(struct vf_vm *vm)
{
    release_strings(vm);
    release_lists(vm);
    release_disks(vm->disks, vm->n_disks);
    release_disks(vm->other_disks, vm->n_other_disks);
    for (size_t i = 0; i < vm->n_nics; i++) {
        release_nic(&vm->nics[i]);
    }
    free(vm->nics);
    for (size_t i = 0; i < vm->n_snapshots; i++) {
        free(vm->snapshots[i].moref);
        free(vm->snapshots[i].name);
        free(vm->snapshots[i].description);
    }
    free(vm->snapshots);
    vf_vm_init(vm);
}

/* Firmware hands a guest its disks in this order of buses; what nobody named comes last. */
static int bus_rank(enum vf_bus bus)
{
    switch (bus) {
    case VF_BUS_SATA:
        return 0;
    case VF_BUS_IDE:
        return 1;
    case VF_BUS_SCSI:
        return 2;
    case VF_BUS_NVME:
        return 3;
    case VF_BUS_UNKNOWN:
        break;
    }
    return 4;
}

static int compare_numbers(int64_t a, int64_t b)
{
    return (a > b) - (a < b);
}

static int compare_disks(const void *pa, const void *pb)
{
    const struct vf_vm_disk *a = pa, *b = pb;
    int c = compare_numbers(bus_rank(a->bus), bus_rank(b->bus));
    if (c == 0) {
        c = compare_numbers(a->bus_number, b->bus_number);
    }
    if (c == 0) {
        c = compare_numbers(a->unit_number, b->unit_number);
    }
    return c ? c : compare_numbers(a->key, b->key);
}

void vf_vm_sort_disks(struct vf_vm *vm)
{
    if (vm->n_disks > 1) {
        qsort(vm->disks, vm->n_disks, sizeof vm->disks[0], compare_disks);
    }
    for (size_t i = 0; i < vm->n_disks; i++) {
        vm->disks[i].position = (uint32_t)i;
    }
}

static int compare_cdroms(const void *pa, const void *pb)
{
    const struct vf_vm_cdrom *a = pa, *b = pb;
    int c = compare_numbers(bus_rank(a->bus), bus_rank(b->bus));
    if (c == 0) {
        c = compare_numbers(a->bus_number, b->bus_number);
    }
    if (c == 0) {
        c = compare_numbers(a->unit_number, b->unit_number);
    }
    return c ? c : compare_numbers(a->key, b->key);
}

void vf_vm_sort_cdroms(struct vf_vm *vm)
{
    if (vm->n_cdroms > 1) {
        qsort(vm->cdroms, vm->n_cdroms, sizeof vm->cdroms[0], compare_cdroms);
    }
}

static bool contains_any(const char *text, const char *const *words)
{
    for (; *words; words++) {
        if (strcasestr(text, *words)) {
            return true;
        }
    }
    return false;
}

/* guestId is VirtualMachineGuestOsIdentifier of the vSphere API: every Windows since 3.1 begins
 * with "win"; Linux goes by the names of its distributions. Darwin, too, holds "win": so only a
 * beginning counts. */
static enum vf_guest_family family_of_id(const char *id)
{
    static const char *const linux_ids[] = {
        "linux",    "rhel",   "redhat", "centos",  "debian", "ubuntu",   "sles",
        "suse",     "fedora", "mandr",  "asianux", "coreos", "photon",   "nld9",
        "oesGuest", "crx",    "pardus", "kylin",   "sjds",   "fusionos", NULL};

    if (strncasecmp(id, "win", 3) == 0) {
        return VF_GUEST_WINDOWS;
    }
    return contains_any(id, linux_ids) ? VF_GUEST_LINUX : VF_GUEST_OTHER;
}

static enum vf_guest_family family_of_name(const char *name)
{
    static const char *const linux_names[] = {"linux",
                                              "red hat",
                                              "centos",
                                              "debian",
                                              "ubuntu",
                                              "suse",
                                              "fedora",
                                              "mandrake",
                                              "mandriva",
                                              "asianux",
                                              "coreos",
                                              "photon",
                                              "novell open enterprise",
                                              "sun java desktop",
                                              "fusionos",
                                              "vmware crx",
                                              NULL};

    if (strcasestr(name, "windows") ||
        (strcasestr(name, "microsoft") && !strcasestr(name, "ms-dos"))) {
        return VF_GUEST_WINDOWS;
    }
    return contains_any(name, linux_names) ? VF_GUEST_LINUX : VF_GUEST_OTHER;
}

enum vf_guest_family vf_vm_guest_family(const char *guest_id, const char *guest_name)
{
    enum vf_guest_family family = guest_id ? family_of_id(guest_id) : VF_GUEST_OTHER;
    if (family == VF_GUEST_OTHER && guest_name) {
        family = family_of_name(guest_name);
    }
    return family;
}
