#include <fnmatch.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "converters/vm/mapping.h"
#include "importer/base/mem.h"

static bool is_same(const char *a, const char *b)
{
    return a && strcmp(a, b) == 0;
}

/* How long the name is without the "-000001.vmdk" of a snapshot's file, of which there is another
 * one whenever a snapshot comes or goes. */
static size_t base_length(const char *file)
{
    static const char end[] = ".vmdk";
    size_t n = strlen(file);
    if (n < sizeof end - 1 || strcmp(file + n - (sizeof end - 1), end) != 0) {
        return n;
    }
    n -= sizeof end - 1;
    size_t digits = n;
    while (digits > 0 && file[digits - 1] >= '0' && file[digits - 1] <= '9') {
        digits--;
    }
    return n - digits == 6 && digits > 1 && file[digits - 1] == '-' ? digits - 1 : n;
}

/* Both are files of disks, and of the same one. */
static bool is_same_file(const char *file, const char *told)
{
    if (is_same(file, told)) {
        return true;
    }
    size_t n = file ? base_length(file) : 0;
    return n > 0 && file[n] != '\0' && told[base_length(told)] != '\0' && n == base_length(told) &&
           strncmp(file, told, n) == 0;
}

static bool is_told(const struct vf_disk_rule *rule, const struct vf_vm_disk *disk)
{
    char number[16];
    snprintf(number, sizeof number, "%u", disk->position);
    return strcmp(rule->disk, number) == 0 || is_same(disk->label, rule->disk) ||
           is_same_file(disk->file, rule->disk) ||
           (disk->uuid && strcasecmp(disk->uuid, rule->disk) == 0);
}

bool vf_disk_rule_matches(const struct vf_disk_rule *rule, const struct vf_vm *vm)
{
    for (size_t i = 0; i < vm->n_disks; i++) {
        if (is_told(rule, &vm->disks[i])) {
            return true;
        }
    }
    for (size_t i = 0; i < vm->n_other_disks; i++) {
        if (is_told(rule, &vm->other_disks[i])) {
            return true;
        }
    }
    return false;
}

const struct vf_disk_rule *vf_mapping_rule_for(const struct vf_mapping *m,
                                               const struct vf_vm_disk *disk)
{
    for (size_t i = 0; m && i < m->n_disks; i++) {
        if (is_told(&m->disks[i], disk)) {
            return &m->disks[i];
        }
    }
    return NULL;
}

const struct vf_disk_rule *vf_mapping_disk_rule(const struct vf_mapping *m, const struct vf_vm *vm,
                                                size_t i)
{
    return vf_mapping_rule_for(m, &vm->disks[i]);
}

static int check_told_once(const struct vf_mapping *m, const struct vf_vm_disk *disk,
                           struct vf_error **err)
{
    const struct vf_disk_rule *rule = vf_mapping_rule_for(m, disk);
    for (size_t i = 0; rule && i < m->n_disks; i++) {
        if (&m->disks[i] != rule && is_told(&m->disks[i], disk)) {
            vf_error_set(
                err, VF_INVALID, "disk %u (\"%s\") is told of twice: as \"%s\" and as \"%s\"",
                disk->position, disk->label ? disk->label : "", rule->disk, m->disks[i].disk);
            vf_error_hint(err, "tell all of it by one of the two names");
            return VF_INVALID;
        }
    }
    return 0;
}

int vf_mapping_check_vm(const struct vf_mapping *m, const struct vf_vm *vm, struct vf_error **err)
{
    int rc = 0;
    for (size_t i = 0; i < vm->n_disks && rc == 0; i++) {
        rc = check_told_once(m, &vm->disks[i], err);
    }
    for (size_t i = 0; i < vm->n_other_disks && rc == 0; i++) {
        rc = check_told_once(m, &vm->other_disks[i], err);
    }
    return rc;
}

static const struct vf_storage_rule *storage_rule(const struct vf_mapping *m,
                                                  const struct vf_vm_disk *disk)
{
    for (size_t i = 0; i < m->n_storage; i++) {
        const struct vf_storage_rule *rule = &m->storage[i];
        if (fnmatch(rule->datastore, disk->datastore ? disk->datastore : "", 0) == 0 ||
            is_same(disk->datastore, rule->datastore)) {
            return rule;
        }
    }
    return NULL;
}

static const char *first(const char *a, const char *b, const char *c)
{
    return a ? a : b ? b : c;
}

struct vf_disk_storage vf_mapping_storage_of(const struct vf_mapping *m, const struct vf_vm *vm,
                                             size_t i)
{
    static const struct vf_disk_rule no_disk_rule;
    static const struct vf_storage_rule no_storage_rule;
    static const struct vf_mapping nothing;
    const struct vf_vm_disk *disk = &vm->disks[i];
    m = m ? m : &nothing;
    const struct vf_disk_rule *d = vf_mapping_rule_for(m, disk);
    const struct vf_storage_rule *s = storage_rule(m, disk);
    d = d ? d : &no_disk_rule;
    s = s ? s : &no_storage_rule;
    struct vf_disk_storage found = {
        .storage_class = first(d->storage_class, s->storage_class, m->storage_class),
        .volume_mode = first(d->volume_mode, s->volume_mode, m->volume_mode),
        .access_mode = first(d->access_mode, s->access_mode, m->access_mode)};
    if (disk->shared) {
        found.volume_mode = first(found.volume_mode, "Block", NULL);
        found.access_mode = first(found.access_mode, "ReadWriteMany", NULL);
    }
    return found;
}

enum vf_map_rdm vf_mapping_rdm_of(const struct vf_mapping *m, const struct vf_vm_disk *disk)
{
    const struct vf_disk_rule *rule = vf_mapping_rule_for(m, disk);
    enum vf_map_rdm rdm = rule && rule->rdm ? rule->rdm : m ? m->rdm : VF_RDM_ASK;
    return rdm == VF_RDM_UNSET ? VF_RDM_ASK : rdm;
}

static bool is_copied(const struct vf_mapping *m, const struct vf_vm_disk *disk)
{
    const struct vf_disk_rule *rule = vf_mapping_rule_for(m, disk);
    if (rule && (rule->skip == VF_YES || rule->claim)) {
        return false;
    }
    enum vf_map_rdm rdm = vf_mapping_rdm_of(m, disk);
    return !disk->rdm || (rdm != VF_RDM_LUN && rdm != VF_RDM_IGNORE);
}

bool vf_mapping_copies_disk(const struct vf_mapping *m, const struct vf_vm *vm, size_t i)
{
    return is_copied(m, &vm->disks[i]);
}

void vf_mapping_set_aside(const struct vf_mapping *m, struct vf_vm *vm)
{
    size_t n = 0;
    for (size_t i = 0; i < vm->n_disks; i++) {
        struct vf_vm_disk *disk = &vm->disks[i];
        if (is_copied(m, disk)) {
            vm->disks[n++] = *disk;
            continue;
        }
        size_t at = vm->n_other_disks++;
        vm->other_disks = vf_xrealloc_array(vm->other_disks, at + 1, sizeof *vm->other_disks);
        for (; at > 0 && vm->other_disks[at - 1].position > disk->position; at--) {
            vm->other_disks[at] = vm->other_disks[at - 1];
        }
        vm->other_disks[at] = *disk;
    }
    vm->n_disks = n;
}
