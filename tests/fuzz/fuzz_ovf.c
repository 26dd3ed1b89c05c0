/* An OVF descriptor, and the manifests made from whatever it says. */
#include <stdint.h>
#include <stdlib.h>

#include "converters/vm/manifest.h"
#include "converters/vm/ovf.h"

#define MAX_DISKS 256

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct vf_ovf ovf;
    struct vf_error *err = NULL;
    if (vf_ovf_parse((const char *)data, size, "fuzz", &ovf, &err)) {
        free(vf_error_format(err));
        vf_error_free(err);
        return 0;
    }
    struct vf_manifest_options options = {.source = ovf.vm.annotation};
    struct vf_manifests m;
    char *text = NULL;
    /* What the parser takes must be fit to be written down, but for more disks than KubeVirt takes.
     */
    int rc = vf_manifests_build(&ovf.vm, &options, &m, NULL);
    if (rc ? ovf.vm.n_disks <= MAX_DISKS : vf_manifests_render(&m, &text, NULL)) {
        abort();
    }
    free(text);
    if (rc == 0) {
        vf_manifests_release(&m);
    }
    for (size_t i = 0; i < ovf.n_files; i++) {
        vf_ovf_find_disk(&ovf, vf_ovf_find_file(&ovf, ovf.files[i].name));
    }
    vf_ovf_release(&ovf);
    return 0;
}
