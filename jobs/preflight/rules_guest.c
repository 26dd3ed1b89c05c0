/* Rules of the guest: what runs in the VM, as vSphere and the guest's tools tell. */
#include <inttypes.h>
#include <string.h>
#include <strings.h>

#include "importer/base/mem.h"
#include "jobs/preflight/looks.h"

#define MIB ((uint64_t)1 << 20)

/* --- file systems ------------------------------------------------------------------------ */

/* What a guest conversion (virt-v2v(1), "Free space in the guest") needs for drivers and for a new
 * initramfs. */
static uint64_t needed_mib(const char *path)
{
    if (strcmp(path, "/") == 0 || strncasecmp(path, "C:", 2) == 0) {
        return 100;
    }
    return strcmp(path, "/boot") == 0 ? 50 : 10;
}

/* Packages of snapd and discs in drives are full by nature. */
static bool is_read_only(const struct vf_vm_guest_disk *d)
{
    static const char *const places[] = {"/snap/", "/var/lib/snapd/", "/media/", "/run/media/",
                                         "/mnt/cdrom"};
    for (size_t i = 0; i < sizeof places / sizeof *places; i++) {
        if (strncmp(d->path, places[i], strlen(places[i])) == 0) {
            return true;
        }
    }
    return d->free_bytes == 0 && d->path[0] != '/' && strncasecmp(d->path, "C:", 2) != 0;
}

static void check_free_space(const struct vf_check *c)
{
    for (size_t i = 0; i < c->vm->n_guest_disks; i++) {
        const struct vf_vm_guest_disk *d = &c->vm->guest_disks[i];
        uint64_t mib = d->path ? needed_mib(d->path) : 0;
        if (d->path && d->capacity_bytes && d->free_bytes < mib * MIB && !is_read_only(d)) {
            char *vf_autofree object = vf_xasprintf("file system \"%s\"", d->path);
            vf_found(c, object,
                     "%" PRIu64 " MiB are free, of the %" PRIu64
                     " MiB that drivers and a new initramfs need",
                     d->free_bytes / MIB, mib);
        }
    }
}

/* --- operating system -------------------------------------------------------------------- */

static const struct vf_os *os_of(const struct vf_check *c)
{
    const struct vf_mapping *m = vf_check_mapping(c);
    const struct vf_os_table *table = c->facts->os_table;
    if (!table) {
        return NULL;
    }
    return m && m->os ? vf_os_by_name(table, m->os) : vf_os_find(table, c->vm);
}

static void check_os_unsupported(const struct vf_check *c)
{
    const struct vf_os *os = os_of(c);
    if (os && os->unsupported) {
        vf_found(c, NULL, "the guest is \"%s\" (row \"%s\" of the table of operating systems)",
                 c->vm->guest_name ? c->vm->guest_name
                 : c->vm->guest_id ? c->vm->guest_id
                                   : "unknown",
                 os->name);
    }
}

static bool is_other(const char *id)
{
    return !id || !*id || strcmp(id, "otherGuest") == 0 || strcmp(id, "otherGuest64") == 0;
}

static void check_os_unknown(const struct vf_check *c)
{
    const struct vf_mapping *m = vf_check_mapping(c);
    if (is_other(c->vm->guest_id) && !(m && m->os)) {
        vf_found(c, NULL, "vSphere does not tell the guest's operating system (%s%s%s)",
                 c->vm->guest_id && *c->vm->guest_id ? "\"" : "",
                 c->vm->guest_id && *c->vm->guest_id ? c->vm->guest_id : "no guest ID",
                 c->vm->guest_id && *c->vm->guest_id ? "\"" : "");
    }
}

/* IDs of 64-bit guests have "64" in them. */
static void check_32_bit(const struct vf_check *c)
{
    const char *id = c->vm->guest_id;
    if (c->vm->family != VF_GUEST_OTHER && !is_other(id) && !strstr(id, "64")) {
        vf_found(c, NULL, "the guest is a 32-bit one (\"%s\")", id);
    }
}

static bool is_server(const struct vf_vm *vm)
{
    const char *id = vm->guest_id ? vm->guest_id : "", *name = vm->guest_name ? vm->guest_name : "";
    return strcasestr(id, "srv") || strcasestr(id, "server") || strcasestr(name, "server");
}

/* Microsoft, "SAN policy" of diskpart: servers leave disks on a bus that they take for shared
 * offline when they see them for the first time. */
static void check_offline_disks(const struct vf_check *c)
{
    const struct vf_vm *vm = c->vm;
    if (vm->family == VF_GUEST_WINDOWS && is_server(vm) && vm->n_disks > 1) {
        vf_found(c, NULL, "it has %zu disks: all but the first may be offline at the first start",
                 vm->n_disks);
    }
}

/* --- what tools tell --------------------------------------------------------------------- */

static bool tools_tell(const struct vf_vm *vm)
{
    return vm->power == VF_POWER_ON && vm->tools == VF_TOOLS_RUNNING;
}

static void check_hostname(const struct vf_check *c)
{
    const char *name = c->vm->guest_hostname ? c->vm->guest_hostname : "";
    if (!tools_tell(c->vm)) {
        return;
    }
    if (!*name) {
        vf_found(c, NULL, "the guest tools tell no host name");
    } else if (strcasecmp(name, "localhost") == 0 || strncasecmp(name, "localhost.", 10) == 0) {
        vf_found(c, NULL, "the guest calls itself \"%s\"", name);
    }
}

static void check_addresses(const struct vf_check *c)
{
    const struct vf_vm *vm = c->vm;
    size_t n = 0;
    for (size_t i = 0; i < vm->n_nics; i++) {
        n += vm->nics[i].n_addresses;
    }
    if (tools_tell(vm) && vm->n_nics && n == 0) {
        vf_found(c, NULL, "the guest tools tell no address of the VM's %zu NIC%s", vm->n_nics,
                 vf_check_plural(vm->n_nics));
    }
}

const struct vf_rule vf_rules_guest[] = {
    {.id = "guest.free-space",
     .severity = VF_INFORMATION,
     .area = VF_AREA_VM,
     .looks_at = "free space of each file system, as guest tools tell",
     .message = "drivers and a new initramfs need 100 MiB in / or C:, 50 MiB in /boot, 10 MiB "
                "elsewhere; whoever puts them there, since vmferry itself converts no guest",
     .action = "make room in the guest (old kernels, logs) before the copy",
     .check = check_free_space},
    {.id = "guest.os-unsupported",
     .severity = VF_WARNING,
     .area = VF_AREA_VM,
     .looks_at = "guest operating system",
     .message = "the guest cannot be expected to run on KVM",
     .action = "try it with an import before the source is given up; --os ROW, if it is something "
               "else than vSphere says",
     .check = check_os_unsupported},
    {.id = "guest.os-unknown",
     .severity = VF_INFORMATION,
     .area = VF_AREA_VM,
     .looks_at = "guest ID",
     .message = "vSphere does not tell the operating system, so that bus and NIC model are chosen "
                "as for any",
     .action = "--os ROW tells it; --disk-bus sata is what most guests boot from",
     .check = check_os_unknown},
    {.id = "guest.32-bit",
     .severity = VF_INFORMATION,
     .area = VF_AREA_VM,
     .looks_at = "guest ID",
     .message = "32-bit guests run on KVM, but there are no virtio drivers any more for most, and "
                "tools for conversion pass them by",
     .action = "try it with an import before the source is given up",
     .check = check_32_bit},
    {.id = "guest.disks-offline",
     .severity = VF_INFORMATION,
     .area = VF_AREA_VM,
     .looks_at = "Windows Server with more than one disk",
     .message = "Windows Server may leave disks that it finds on another bus offline (its SAN "
                "policy)",
     .action = "before the copy, in the guest: diskpart, \"san policy=OnlineAll\"",
     .check = check_offline_disks},
    {.id = "guest.hostname",
     .severity = VF_WARNING,
     .area = VF_AREA_VM,
     .looks_at = "host name, as guest tools tell",
     .message =
         "the guest has no host name of its own, and may take that of the new VM, or the one "
         "that DHCP gives it",
     .action = "set a host name in the guest before the copy",
     .check = check_hostname},
    {.id = "guest.addresses-unknown",
     .severity = VF_WARNING,
     .area = VF_AREA_VM,
     .looks_at = "addresses of NICs, as guest tools tell",
     .message = "no address of the guest is known, so that static ones cannot be kept or noted",
     .action = "upgrade the guest tools, or write the addresses down",
     .check = check_addresses},
    {.id = NULL},
};
