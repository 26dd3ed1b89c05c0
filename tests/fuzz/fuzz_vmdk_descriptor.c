#include "converters/disk/vmdk_descriptor.h"

#include <string.h>

#include "converters/disk/open_beneath.h"
#include "converters/disk/probe.h"
#include "tests/support/check.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* What the rest of the program relies on. */
static void check_descriptor(const struct vf_vmdk_descriptor *d)
{
    uint64_t sectors = 0;
    vf_test_check(d->n_extents > 0 && d->n_extents <= VF_VMDK_MAX_EXTENTS);
    for (size_t i = 0; i < d->n_extents; i++) {
        const struct vf_vmdk_extent *e = &d->extents[i];
        vf_test_check(e->sectors > 0);
        vf_test_check((e->type == VF_VMDK_ZERO) == (e->file == NULL));
        vf_test_check((e->file == NULL) == (e->file_bytes == NULL));
        vf_test_check(e->offset_sectors == 0 || e->type == VF_VMDK_FLAT);
        vf_test_check(!e->file || !vf_name_is_beneath(e->file) || e->file[0] != '/');
        sectors += e->sectors;
    }
    vf_test_check(sectors == d->capacity_sectors);
    vf_test_check(sectors <= VMDK_MAX_CAPACITY_BYTES / VMDK_SECTOR_BYTES);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct vf_vmdk_descriptor d;
    struct vf_error *err = NULL;
    const char *what = NULL;
    vf_probe_head(data, size, &what);
    vf_test_check(what != NULL);
    int rc = vf_vmdk_descriptor_parse((const char *)data, size, &d, &err);
    vf_test_check((rc == 0) == (err == NULL));
    if (rc == 0) {
        check_descriptor(&d);
        vf_vmdk_descriptor_release(&d);
    }
    vf_error_free(err);
    return 0;
}
