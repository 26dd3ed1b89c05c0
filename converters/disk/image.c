#include "converters/disk/image.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "converters/disk/mapped_disk.h"
#include "converters/disk/qcow2_disk.h"
#include "converters/disk/raw_disk.h"
#include "converters/disk/vmdk_image.h"

static int open_file(const char *path, int *ret_fd, struct vf_error **err)
{
    /* A FIFO must not stall us before fstat tells what it is. */
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    if (fd < 0) {
        return vf_error_set_errno(err, errno, "cannot open \"%s\"", path);
    }
    struct stat st;
    if (fstat(fd, &st) != 0 || (!S_ISREG(st.st_mode) && !S_ISBLK(st.st_mode))) {
        close(fd);
        return vf_error_set(err, VF_UNSUPPORTED, "\"%s\" is neither a file nor a block device",
                            path);
    }
    *ret_fd = fd;
    return 0;
}

static bool is_vmdk(enum vf_image_kind kind)
{
    switch (kind) {
    case VF_IMAGE_VMDK_DESCRIPTOR:
    case VF_IMAGE_VMDK_SPARSE:
    case VF_IMAGE_VMDK_STREAM:
    case VF_IMAGE_VMDK_COWD:
    case VF_IMAGE_VMDK_SESPARSE:
        return true;
    default:
        return false;
    }
}

/* The kind that `format` asks for, checked against the content. */
static int choose_kind(int fd, const char *path, const char *format, enum vf_image_kind *ret_kind,
                       struct vf_error **err)
{
    if (format && strcmp(format, "raw") == 0) {
        *ret_kind = VF_IMAGE_RAW;
        return 0;
    }
    int rc = vf_probe_fd(fd, path, ret_kind, err);
    if (rc || !format) {
        return rc;
    }
    if (strcmp(format, "vmdk") != 0 && strcmp(format, "qcow2") != 0) {
        return vf_error_set(err, VF_UNSUPPORTED, "\"%s\" is no format that is read here", format);
    }
    if (strcmp(format, "vmdk") == 0 ? !is_vmdk(*ret_kind) : *ret_kind != VF_IMAGE_QCOW2) {
        return vf_error_set(err, VF_INVALID, "\"%s\" is not in format %s: it looks like %s", path,
                            format, vf_image_kind_name(*ret_kind));
    }
    return 0;
}

static int refuse(const char *path, enum vf_image_kind kind, struct vf_error **err)
{
    vf_error_set(err, VF_UNSUPPORTED, "\"%s\" is not read as a disk: it is %s", path,
                 vf_image_kind_name(kind));
    if (kind == VF_IMAGE_VMDK_COWD || kind == VF_IMAGE_VMDK_SESPARSE) {
        vf_error_hint(err, "it holds what changed since a snapshot; name the small descriptor "
                           "beside it (NAME-000001.vmdk), which knows the parent");
    }
    return VF_UNSUPPORTED;
}

/* Takes fd over, whatever comes. */
static int open_kind(int fd, const char *path, struct vf_disk **ret_disk,
                     struct vf_image_info *info, struct vf_error **err)
{
    struct vf_layer layer = {.fd = fd, .name = path};
    int rc;
    switch (info->kind) {
    case VF_IMAGE_RAW:
        rc = vf_raw_disk_open(fd, path, 0, UINT64_MAX, ret_disk, err);
        break;
    case VF_IMAGE_QCOW2:
        rc = vf_qcow2_disk_open(&layer, ret_disk, &info->unclean_shutdown, err);
        if (rc) {
            rc = vf_error_wrap(err, rc, "\"%s\"", path);
        }
        break;
    case VF_IMAGE_VMDK_DESCRIPTOR:
    case VF_IMAGE_VMDK_SPARSE:
        rc = vf_vmdk_image_open(path, ret_disk, info, err);
        close(fd);
        return rc ? vf_error_wrap(err, rc, "\"%s\"", path) : 0;
    default:
        rc = refuse(path, info->kind, err);
        break;
    }
    if (rc) {
        close(fd);
    }
    return rc;
}

int vf_image_open(const char *path, const char *format, struct vf_disk **ret_disk,
                  struct vf_image_info *ret_info, struct vf_error **err)
{
    struct vf_image_info info = {.n_extents = 1, .n_layers = 1};
    int fd = -1;
    int rc = open_file(path, &fd, err);
    if (rc) {
        return rc;
    }
    rc = choose_kind(fd, path, format, &info.kind, err);
    if (rc) {
        close(fd);
        return rc;
    }
    rc = open_kind(fd, path, ret_disk, &info, err);
    if (rc == 0 && ret_info) {
        *ret_info = info;
    }
    return rc;
}
