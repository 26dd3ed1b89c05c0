#include "jobs/find_vm.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "importer/base/buf.h"
#include "importer/base/mem.h"
#include "importer/vsphere/inventory.h"

#define MAX_LISTED 10

static bool is_reference(const char *s)
{
    if (strncmp(s, "vm-", 3) == 0) {
        s += 3;
    }
    return *s && strspn(s, "0123456789") == strlen(s);
}

static bool path_matches(const struct vf_vm *vm, const char *path)
{
    size_t n = vm->folder ? strlen(vm->folder) : 0;
    return n && strncmp(path, vm->folder, n) == 0 && path[n] == '/' &&
           strcmp(path + n + 1, vm->name) == 0;
}

static int several(const char *name, const struct vf_vm *vms, const size_t *hits, size_t n,
                   struct vf_error **err)
{
    struct vf_buf b;
    vf_buf_init(&b, 64 << 10);
    for (size_t i = 0; i < n && i < MAX_LISTED; i++) {
        const struct vf_vm *vm = &vms[hits[i]];
        vf_buf_printf(&b, "%s%s/%s (%s)", i ? ", " : "", vm->folder ? vm->folder : "", vm->name,
                      vm->moref);
    }
    if (n > MAX_LISTED) {
        vf_buf_printf(&b, " and %zu more", n - MAX_LISTED);
    }
    vf_error_set(err, VF_CONFLICT, "%zu VMs are called \"%s\": %s", n, name, b.data);
    vf_error_hint(err, "give the path or the reference of one of them");
    vf_buf_release(&b);
    return VF_CONFLICT;
}

/* Names that hold the wanted one or begin alike. */
static int none(const char *name, const struct vf_vm *vms, size_t n, struct vf_error **err)
{
    struct vf_buf b;
    unsigned listed = 0;
    vf_buf_init(&b, 64 << 10);
    size_t prefix = strlen(name) < 3 ? strlen(name) : 3;
    for (size_t i = 0; i < n && listed < MAX_LISTED; i++) {
        if (strcasestr(vms[i].name, name) || strncasecmp(vms[i].name, name, prefix) == 0) {
            vf_buf_printf(&b, "%s\"%s\"", listed++ ? ", " : "", vms[i].name);
        }
    }
    vf_error_set(err, VF_MISSING, "no VM is called \"%s\" among the %zu that this user may see",
                 name, n);
    if (listed) {
        vf_error_hint(err, "near names: %s", b.data);
    } else {
        vf_error_hint(err, "vmferry inventory lists them");
    }
    vf_buf_release(&b);
    return VF_MISSING;
}

int vf_find_among(const char *name, const struct vf_vm *vms, size_t n, const char **ret_moref,
                  struct vf_error **err)
{
    size_t *vf_autofree hits = vf_xcalloc(n, sizeof *hits);
    size_t n_hits = 0;
    for (size_t i = 0; i < n; i++) {
        if (strcmp(vms[i].name, name) == 0 || (name[0] == '/' && path_matches(&vms[i], name))) {
            hits[n_hits++] = i;
        }
    }
    /* A name comes before a reference that happens to read the same. */
    for (size_t i = 0; i < n && n_hits == 0 && is_reference(name); i++) {
        if (strcmp(vms[i].moref, name) == 0) {
            hits[n_hits++] = i;
        }
    }
    if (n_hits == 0) {
        return none(name, vms, n, err);
    }
    if (n_hits > 1) {
        return several(name, vms, hits, n_hits, err);
    }
    *ret_moref = vms[hits[0]].moref;
    return 0;
}

/* They become labels, and are no reason not to go on. */
static int add_tags(struct vf_vsphere *vs, struct vf_reporter *reporter, struct vf_vm *vm,
                    struct vf_error **err)
{
    struct vf_vm_notes notes = {0};
    int rc = vf_vsphere_is_esxi(vs) ? 0 : vf_vsphere_add_tags(vs, vm, 1, &notes, err);
    if (rc == 0 && notes.tags_unavailable) {
        vf_report_warning(reporter, vm->name, "its tags are not known, and not carried: %s",
                          notes.tags_reason ? notes.tags_reason : "there is no tagging service");
    }
    vf_vm_notes_release(&notes);
    return rc;
}

int vf_find_vm(struct vf_vsphere *vs, const char *name, struct vf_reporter *reporter,
               struct vf_vm *ret_vm, struct vf_error **err)
{
    const struct vf_vm_query query = {.brief = true};
    struct vf_vm *vms = NULL;
    size_t n = 0;
    const char *moref = NULL;
    int rc = vf_vsphere_fetch_vms(vs, &query, &vms, &n, NULL, err);
    rc = rc ? rc : vf_find_among(name, vms, n, &moref, err);
    rc = rc ? rc : vf_vsphere_fetch_vm(vs, moref, ret_vm, err);
    if (rc == 0) {
        rc = add_tags(vs, reporter, ret_vm, err);
        if (rc) {
            vf_vm_release(ret_vm);
        }
    }
    vf_vms_free(vms, n);
    return rc;
}

static int check_disk(const struct vf_vm *vm, const struct vf_vm_disk *d,
                      const struct vf_mapping *mapping, struct vf_error **err)
{
    const char *label = d->label ? d->label : "a disk";
    if (d->encrypted) {
        vf_error_set(err, VF_UNSUPPORTED, "%s is encrypted", label);
        vf_error_hint(err, "decrypt it on the source (edit the VM's storage policy) first");
    } else if (d->rdm && vf_mapping_rdm_of(mapping, d) != VF_RDM_COPY) {
        vf_error_set(err, VF_UNSUPPORTED,
                     "%s is a raw device mapping, and nobody said what becomes of it", label);
        vf_error_hint(err,
                      "--rdm copy takes its content, lun attaches the claim that --disk names, "
                      "ignore leaves it out");
    } else if (vm->power == VF_POWER_ON && d->rdm_physical) {
        vf_error_set(err, VF_UNSUPPORTED,
                     "%s is a raw device mapping in physical mode: no snapshot holds it, so it "
                     "cannot be copied while the VM runs",
                     label);
        vf_error_hint(err, "power the VM off, or turn the mapping into virtual mode");
    } else if (vm->power == VF_POWER_ON && d->independent) {
        vf_error_set(err, VF_UNSUPPORTED,
                     "%s is independent (%s): no snapshot holds it, so it cannot be copied while "
                     "the VM runs",
                     label, d->mode ? d->mode : "independent");
        vf_error_hint(err, "power the VM off, or change the disk's mode while it is off");
    } else if (vm->power == VF_POWER_ON && d->shared) {
        vf_error_set(err, VF_UNSUPPORTED,
                     "%s is shared with other VMs: no snapshot can be taken while the VM runs",
                     label);
        vf_error_hint(err, "power the VM off first");
    } else if (d->capacity_bytes == 0) {
        vf_error_set(err, VF_INVALID, "%s is said to have no size", label);
    } else {
        return 0;
    }
    return err ? (int)vf_error_code(*err) : VF_UNSUPPORTED;
}

int vf_vm_check_exportable(const struct vf_vm *vm, const struct vf_mapping *mapping,
                           struct vf_error **err)
{
    int told_rc = vf_mapping_check_vm(mapping, vm, err);
    if (told_rc) {
        return told_rc;
    }
    if (vm->power == VF_POWER_SUSPENDED) {
        vf_error_set(err, VF_CONFLICT, "the VM is suspended: its disks do not hold all its state");
        vf_error_hint(err, "resume it or power it off first");
        return VF_CONFLICT;
    }
    for (size_t i = 0; i < vm->n_disks; i++) {
        int rc = check_disk(vm, &vm->disks[i], mapping, err);
        if (rc) {
            return rc;
        }
    }
    return 0;
}
