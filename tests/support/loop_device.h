/* A block device over a file, for tests that run as root. */
#ifndef TESTS_SUPPORT_LOOP_DEVICE_H
#define TESTS_SUPPORT_LOOP_DEVICE_H

#include <stdbool.h>
#include <stdint.h>

struct loop_device {
    char path[256]; /* of its node, in the folder of `backing` */
    int fd;
};

/* Whether one could be had: not without root, nor in every container. `backing` exists; sectors of
 * sector_bytes (512, 4096). The device goes with its last user. */
bool loop_device_open(struct loop_device *d, const char *backing, uint32_t sector_bytes);
void loop_device_close(struct loop_device *d);

#endif
