#include <string.h>

#include "converters/vm/kubevirt_machine.h"
#include "converters/vm/kubevirt_volumes.h"
#include "converters/vm/manifest_private.h"
#include "converters/vm/names.h"
#include "importer/base/utf8.h"

static bool has_control(const char *s)
{
    for (size_t len = strlen(s); len > 0;) {
        uint32_t c;
        size_t n = vf_utf8_decode(s, len, &c);
        if (n == 0 || c < 0x20 || (c >= 0x7f && c < 0xa0) || c == 0x2028 || c == 0x2029) {
            return true;
        }
        s += n;
        len -= n;
    }
    return false;
}

/* NULL, which is a default, is among any. */
static int check_word(const char *word, const char *what, const char *const *words,
                      struct vf_error **err)
{
    for (size_t i = 0; word && words[i]; i++) {
        if (strcmp(word, words[i]) == 0) {
            return 0;
        }
    }
    return word ? vf_error_set(err, VF_INVALID, "\"%s\" is no %s", word, what) : 0;
}

static int check_class(const char *name, struct vf_error **err)
{
    if (name && !vf_name_is_subdomain(name)) {
        return vf_error_set(err, VF_INVALID, "\"%s\" is no name of a storage class", name);
    }
    return 0;
}

/* Claims may be pre-bound to no class at all, which is "". */
static int check_disk(const struct vf_manifest_plan *plan, size_t i, struct vf_error **err)
{
    static const char *const volume_modes[] = {"Block", "Filesystem", NULL};
    static const char *const access_modes[] = {"ReadWriteOnce", "ReadWriteMany", "ReadOnlyMany",
                                               "ReadWriteOncePod", NULL};
    const struct vf_manifest_disk *o = vf_kubevirt_disk_options(plan, i);
    if (!vf_name_is_subdomain(plan->claims[i])) {
        return vf_error_set(err, VF_INVALID, "\"%s\" is no name of a claim", plan->claims[i]);
    }
    if (o->image && has_control(o->image)) {
        return vf_error_set(err, VF_INVALID,
                            "the file of disk %zu has a name that cannot be written down", i);
    }
    int rc = check_word(o->volume_mode, "mode of a volume", volume_modes, err);
    if (rc == 0) {
        rc = check_word(o->access_mode, "access mode of a claim", access_modes, err);
    }
    return rc || !o->storage_class || !*o->storage_class ? rc : check_class(o->storage_class, err);
}

static int check_devices(const struct vf_mapping *m, struct vf_error **err)
{
    static const char *const buses[] = {"virtio", "sata", "scsi", "usb", NULL};
    static const char *const models[] = {"virtio",   "e1000", "e1000e",  "igb",
                                         "ne2k_pci", "pcnet", "rtl8139", NULL};
    int rc = check_word(m->disk_bus, "bus of a disk in KubeVirt", buses, err);
    return rc ? rc : check_word(m->nic_model, "model of a NIC in KubeVirt", models, err);
}

int vf_manifest_check(const struct vf_manifest_plan *plan, struct vf_error **err)
{
    const struct vf_manifest_options *o = plan->options;
    if (!vf_name_is_label(plan->name)) {
        return vf_error_set(err, VF_INVALID,
                            "\"%s\" is no name for a virtual machine in Kubernetes", plan->name);
    }
    if (o->namespace_name && !vf_name_is_label(o->namespace_name)) {
        return vf_error_set(err, VF_INVALID, "\"%s\" is no name of a namespace", o->namespace_name);
    }
    int rc = vf_mapping_check(plan->mapping, err);
    rc = rc ? rc : vf_mapping_check_vm(plan->mapping, plan->vm, err);
    rc = rc ? rc : check_class(plan->mapping->storage_class, err);
    rc = rc ? rc : check_devices(plan->mapping, err);
    rc = rc ? rc : vf_kubevirt_check_machine(plan, err);
    for (size_t i = 0; i < plan->vm->n_disks && rc == 0; i++) {
        rc = check_disk(plan, i, err);
    }
    return rc;
}
