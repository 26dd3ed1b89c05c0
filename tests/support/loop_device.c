#include "tests/support/loop_device.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/loop.h>
#include <stdio.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#define LOOP_MAJOR 7
#define TRIES      100

/* Between "free" and "taken" another may take it. A container's /dev need not have its node. */
static bool take_free(struct loop_device *d, int control, const struct loop_config *config)
{
    int number = ioctl(control, LOOP_CTL_GET_FREE);
    if (number < 0 || mknod(d->path, S_IFBLK | 0600, makedev(LOOP_MAJOR, (unsigned)number)) != 0) {
        return false;
    }
    d->fd = open(d->path, O_RDWR | O_CLOEXEC);
    if (d->fd >= 0 && ioctl(d->fd, LOOP_CONFIGURE, config) == 0) {
        return true;
    }
    int errnum = errno;
    loop_device_close(d);
    errno = errnum;
    return false;
}

bool loop_device_open(struct loop_device *d, const char *backing, uint32_t sector_bytes)
{
    int file = open(backing, O_RDWR | O_CLOEXEC);
    int control = open("/dev/loop-control", O_RDWR | O_CLOEXEC);
    bool taken = false;
    d->fd = -1;
    snprintf(d->path, sizeof d->path, "%s.device", backing);
    if (file >= 0 && control >= 0) {
        struct loop_config config = {
            .fd = (uint32_t)file, .block_size = sector_bytes, .info.lo_flags = LO_FLAGS_AUTOCLEAR};
        for (unsigned i = 0; i < TRIES && !taken; i++) {
            taken = take_free(d, control, &config);
            if (!taken && errno != EBUSY) {
                break;
            }
        }
    }
    if (control >= 0) {
        close(control);
    }
    if (file >= 0) {
        close(file);
    }
    return taken;
}

void loop_device_close(struct loop_device *d)
{
    if (d->fd >= 0) {
        close(d->fd);
    }
    d->fd = -1;
    unlink(d->path);
}
