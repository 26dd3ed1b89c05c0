#include "converters/disk/qcow2_disk.h"

#include "tests/support/fuzz_disk.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct vf_layer layer = {.fd = fuzz_fd(data, size), .name = "fuzz"};
    struct vf_disk *disk = NULL;
    if (vf_qcow2_disk_open(&layer, &disk, NULL, NULL) == 0) {
        fuzz_disk(disk);
    } else {
        close(layer.fd);
    }
    return 0;
}
