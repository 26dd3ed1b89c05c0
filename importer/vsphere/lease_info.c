#include "importer/vsphere/lease_info.h"

#include <stdlib.h>
#include <string.h>

#include "importer/base/mem.h"
#include "importer/base/xml.h"
#include "importer/vsphere/url.h"
#include "importer/vsphere/vim_names.h"
#include "importer/vsphere/vm_draft.h"

#define MAX_DEVICES       1024
#define DEFAULT_TIMEOUT_S 300 /* what vSphere is seen to give */

static void release_device(struct vf_lease_device *d)
{
    free(d->key);
    if (d->url) {
        explicit_bzero(d->url, strlen(d->url));
        free(d->url);
    }
    free(d->thumbprint);
    free(d->target_id);
}

void vf_lease_info_release(struct vf_lease_info *info)
{
    for (size_t i = 0; i < info->n_devices; i++) {
        release_device(&info->devices[i]);
    }
    free(info->devices);
    *info = (struct vf_lease_info){0};
}

static char *text_or_null(const xmlNode *n, const char *name)
{
    char *s = vf_xml_child_text(n, VF_VIM_NS, name);
    if (s && !*s) {
        free(s);
        s = NULL;
    }
    return s;
}

static int parse_device(struct vf_lease_device *d, const xmlNode *n, const char *authority,
                        const char *host, struct vf_error **err)
{
    char *vf_autofree url = text_or_null(n, "url");
    d->key = text_or_null(n, "key");
    d->thumbprint = text_or_null(n, "sslThumbprint");
    d->target_id = text_or_null(n, "targetId");
    d->disk = vf_xml_child_bool(n, VF_VIM_NS, "disk", false);
    d->file_size = -1;
    vf_xml_child_i64(n, VF_VIM_NS, "fileSize", &d->file_size);
    if (d->file_size <= 0) {
        d->file_size = -1;
    }
    if (!d->key || !url) {
        return vf_error_set(err, VF_INVALID, "the lease gives a device without key or address");
    }
    int rc = vf_vsphere_map_device_url(url, authority, host, &d->url, err);
    explicit_bzero(url, strlen(url));
    return rc;
}

int vf_lease_info_parse(struct vf_lease_info *ret, const xmlNode *info, const char *authority,
                        const char *host, struct vf_error **err)
{
    vf_lease_info_release(ret);
    uint64_t timeout_s = 0;
    vf_xml_child_u64(info, VF_VIM_NS, "leaseTimeout", &timeout_s);
    ret->timeout_s =
        timeout_s > 0 && timeout_s <= INT32_MAX ? (unsigned)timeout_s : DEFAULT_TIMEOUT_S;
    const xmlNode *n = vf_xml_child(info, VF_VIM_NS, "deviceUrl");
    for (; n; n = vf_xml_next(n, VF_VIM_NS, "deviceUrl")) {
        if (ret->n_devices >= MAX_DEVICES) {
            return vf_error_set(err, VF_RANGE, "the lease gives more than %d devices", MAX_DEVICES);
        }
        ret->devices = vf_xrealloc_array(ret->devices, ret->n_devices + 1, sizeof ret->devices[0]);
        struct vf_lease_device *d = &ret->devices[ret->n_devices++];
        *d = (struct vf_lease_device){0};
        int rc = parse_device(d, n, authority, host, err);
        if (rc) {
            return rc;
        }
    }
    if (ret->n_devices == 0) {
        return vf_error_set(err, VF_INVALID, "the lease gives no device");
    }
    return 0;
}

static bool parse_number(const char **s, int32_t *ret)
{
    size_t digits = strspn(*s, "0123456789");
    if (digits == 0 || digits > 6) {
        return false;
    }
    *ret = (int32_t)strtol(*s, NULL, 10);
    *s += digits;
    return true;
}

/* "/vm-42/ParaVirtualSCSIController0:1": the controller's class, its bus number, the unit. */
static bool parse_key(const char *key, enum vf_bus *bus, int32_t *bus_number, int32_t *unit)
{
    const char *slash = strrchr(key, '/');
    const char *name = slash ? slash + 1 : key;
    const char *number = name + strcspn(name, "0123456789");
    *bus = vf_controller_bus(name, (size_t)(number - name));
    return *bus != VF_BUS_UNKNOWN && parse_number(&number, bus_number) && *number++ == ':' &&
           parse_number(&number, unit) && *number == '\0';
}

static int find_disk(const struct vf_lease_device *device, const struct vf_vm_disk *disks, size_t n)
{
    enum vf_bus bus;
    int32_t bus_number, unit;
    int found = -1;
    if (!device->disk || !parse_key(device->key, &bus, &bus_number, &unit)) {
        return -1;
    }
    for (size_t i = 0; i < n; i++) {
        const struct vf_vm_disk *d = &disks[i];
        if (d->bus == bus && d->bus_number == bus_number && d->unit_number == unit) {
            if (found >= 0) {
                return -1;
            }
            found = (int)i;
        }
    }
    return found;
}

int vf_lease_match_disk(const struct vf_lease_device *device, const struct vf_vm *vm)
{
    return find_disk(device, vm->disks, vm->n_disks);
}

static size_t count_disks(const struct vf_lease_info *info)
{
    size_t n = 0;
    for (size_t i = 0; i < info->n_devices; i++) {
        n += info->devices[i].disk;
    }
    return n;
}

static int match_one(const struct vf_lease_info *info, size_t at, const struct vf_vm *vm,
                     const int *before, int *ret_index, struct vf_error **err)
{
    const struct vf_lease_device *d = &info->devices[at];
    enum vf_bus bus;
    int32_t bus_number, unit;
    int found = vf_lease_match_disk(d, vm);
    /* A key of another form says nothing; one that names a place without disk says no. */
    if (found < 0 && !parse_key(d->key, &bus, &bus_number, &unit) && count_disks(info) == 1 &&
        vm->n_disks == 1 && vm->n_other_disks == 0) {
        found = 0;
    }
    if (found < 0 && find_disk(d, vm->other_disks, vm->n_other_disks) >= 0) {
        return 0;
    }
    if (found < 0) {
        return vf_error_set(err, VF_INVALID,
                            "the lease's file \"%s\" belongs to none of the VM's disks", d->key);
    }
    for (size_t i = 0; i < at; i++) {
        if (before[i] == found) {
            return vf_error_set(err, VF_INVALID,
                                "the lease's files \"%s\" and \"%s\" claim the same disk",
                                info->devices[i].key, d->key);
        }
    }
    *ret_index = found;
    return 0;
}

int vf_lease_info_match(const struct vf_lease_info *info, const struct vf_vm *vm, int *ret_index,
                        struct vf_error **err)
{
    for (size_t i = 0; i < info->n_devices; i++) {
        ret_index[i] = -1;
        if (info->devices[i].disk) {
            int rc = match_one(info, i, vm, ret_index, &ret_index[i], err);
            if (rc) {
                return rc;
            }
        }
    }
    return 0;
}
