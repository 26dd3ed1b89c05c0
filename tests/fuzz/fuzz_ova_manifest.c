/* The manifest of an OVF package. */
#include <stdint.h>
#include <stdlib.h>

#include "importer/source/ovf_manifest.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct vf_ovf_manifest m;
    struct vf_error *err = NULL;
    if (vf_ovf_manifest_parse((const char *)data, size, "fuzz", &m, &err)) {
        free(vf_error_format(err));
        vf_error_free(err);
        return 0;
    }
    struct vf_ovf_digest d = {.mask = VF_OVF_ALL_DIGESTS};
    for (size_t i = 0; i < m.n_entries; i++) {
        if (vf_ovf_name_check(m.entries[i].name, NULL) ||
            !vf_ovf_manifest_mask(&m, m.entries[i].name)) {
            abort();
        }
        vf_ovf_manifest_check(&m, m.entries[i].name, &d, NULL);
    }
    vf_ovf_manifest_check_all(&m, NULL);
    vf_ovf_manifest_release(&m);
    return 0;
}
