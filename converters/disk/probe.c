#include "converters/disk/probe.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>
#include <unistd.h>

#include "converters/disk/mapped_disk.h"
#include "converters/disk/vhd_format.h"
#include "converters/disk/vmdk_descriptor.h"
#include "converters/disk/vmdk_format.h"
#include "importer/base/bytes.h"
#include "importer/base/file_io.h"

/* A magic number, and what it tells. */
struct magic {
    size_t offset;
    const char *bytes;
    size_t len;
    enum vf_image_kind kind;
    const char *what;
};

#define MAGIC(offset, bytes, kind, what)                                                           \
    {                                                                                              \
        offset, bytes, sizeof(bytes) - 1, VF_IMAGE_##kind, what                                    \
    }

static const struct magic magics[] = {
    MAGIC(0, "COWD", VMDK_COWD, "COWD snapshot data"),
    MAGIC(0, "\xbe\xba\xfe\xca\0\0\0\0", VMDK_SESPARSE, "SESparse snapshot data"),
    MAGIC(0, "QFI\xfb\0\0\0\1", FOREIGN, "a qcow image of version 1"),
    MAGIC(0, "QFI\xfb", QCOW2, "qcow2"),
    MAGIC(0, "conectix", VHD, "VHD"),
    MAGIC(0, "vhdxfile", VHDX, "VHDX"),
    MAGIC(64, "\x7f\x10\xda\xbe", VDI, "VDI"),
    MAGIC(257, "ustar", TAR, "a tar archive"),
    MAGIC(0, "\x1f\x8b\x08", GZIP, "gzip"),
    MAGIC(0, "<?xml", OVF, "XML"),
    MAGIC(0, "<Envelope", OVF, "XML"),
    MAGIC(0, "\xef\xbb\xbf<?xml", OVF, "XML"),
    MAGIC(0, "PK\3\4", FOREIGN, "a zip archive"),
    MAGIC(0, "BZh", FOREIGN, "bzip2"),
    MAGIC(0,
          "\xfd"
          "7zXZ\0",
          FOREIGN, "xz"),
    MAGIC(0, "\x28\xb5\x2f\xfd", FOREIGN, "zstd"),
    MAGIC(0, "7z\xbc\xaf\x27\x1c", FOREIGN, "a 7z archive"),
    MAGIC(0, "QED\0", FOREIGN, "a QED image"),
    MAGIC(0, "WithoutFreeSpace", FOREIGN, "a Parallels image"),
    MAGIC(0, "WithouFreSpacExt", FOREIGN, "a Parallels image"),
    MAGIC(0, "LUKS\xba\xbe", FOREIGN, "a LUKS volume"),
};

static bool matches(const struct magic *m, const uint8_t *head, size_t len)
{
    return len >= m->offset + m->len && memcmp(head + m->offset, m->bytes, m->len) == 0;
}

/* Hosted sparse and streamOptimized share a header; compressed grains, markers or a directory at
 * the end tell the latter. */
static enum vf_image_kind sparse_kind(const uint8_t *head, size_t len)
{
    if (len < VMDK_SPARSE_OVERHEAD) {
        return VF_IMAGE_VMDK_SPARSE;
    }
    uint32_t flags = le32_load(head + VMDK_SPARSE_FLAGS);
    bool stream = (flags & (VMDK_FLAG_COMPRESSED | VMDK_FLAG_MARKERS)) ||
                  le64_load(head + VMDK_SPARSE_GD_OFFSET) == VMDK_GD_AT_END;
    return stream ? VF_IMAGE_VMDK_STREAM : VF_IMAGE_VMDK_SPARSE;
}

enum vf_image_kind vf_probe_head(const void *head, size_t len, const char **ret_what)
{
    const uint8_t *bytes = head;
    enum vf_image_kind kind = VF_IMAGE_RAW;
    const char *what = NULL;
    if (len >= 4 && le32_load(bytes) == VMDK_SPARSE_MAGIC) {
        kind = sparse_kind(bytes, len);
    } else if (vf_vmdk_descriptor_is(head, len)) {
        kind = VF_IMAGE_VMDK_DESCRIPTOR;
    } else {
        for (size_t i = 0; i < sizeof magics / sizeof *magics; i++) {
            if (matches(&magics[i], bytes, len)) {
                kind = magics[i].kind;
                what = magics[i].what;
                break;
            }
        }
    }
    if (ret_what) {
        *ret_what = what ? what : vf_image_kind_name(kind);
    }
    return kind;
}

const char *vf_image_kind_name(enum vf_image_kind kind)
{
    switch (kind) {
    case VF_IMAGE_RAW:
        return "raw";
    case VF_IMAGE_VMDK_DESCRIPTOR:
        return "VMDK descriptor";
    case VF_IMAGE_VMDK_SPARSE:
        return "hosted sparse VMDK";
    case VF_IMAGE_VMDK_STREAM:
        return "streamOptimized VMDK";
    case VF_IMAGE_VMDK_COWD:
        return "COWD snapshot data";
    case VF_IMAGE_VMDK_SESPARSE:
        return "SESparse snapshot data";
    case VF_IMAGE_QCOW2:
        return "qcow2";
    case VF_IMAGE_VHD:
        return "VHD";
    case VF_IMAGE_VHDX:
        return "VHDX";
    case VF_IMAGE_VDI:
        return "VDI";
    case VF_IMAGE_TAR:
        return "tar archive";
    case VF_IMAGE_GZIP:
        return "gzip";
    case VF_IMAGE_OVF:
        return "XML";
    case VF_IMAGE_FOREIGN:
        return "another format";
    }
    return "unknown";
}

static bool ends_in(const char *name, const char *suffix)
{
    size_t n = strlen(name), m = strlen(suffix);
    return n >= m && strcasecmp(name + n - m, suffix) == 0;
}

/* NAME-flat.vmdk, NAME-f001.vmdk, NAME-rdm.vmdk: flat data under a VMDK's suffix. */
static bool is_flat_name(const char *name)
{
    size_t n = strlen(name);
    const char *dash = strrchr(name, '-');
    if (!dash || !ends_in(name, ".vmdk")) {
        return false;
    }
    size_t digits = strspn(dash + (dash[1] ? 2 : 1), "0123456789");
    return strcasecmp(dash, "-flat.vmdk") == 0 ||
           ((dash[1] == 'f' || dash[1] == 'F') && digits >= 3 && dash + 2 + digits == name + n - 5);
}

/* A name that promises a format, on content that shows none: the head is damaged, or this is an
 * error page that was saved. As a raw disk it would convert without a word. */
static int check_suffix(const char *path, struct vf_error **err)
{
    static const char *const suffixes[] = {".vmdk", ".qcow2", ".vhd", ".vhdx", ".vdi",
                                           ".ova",  ".ovf",   ".gz",  ".xz",   ".zip"};
    const char *slash = strrchr(path, '/');
    const char *name = slash ? slash + 1 : path;
    if (is_flat_name(name)) {
        return 0;
    }
    for (size_t i = 0; i < sizeof suffixes / sizeof *suffixes; i++) {
        if (ends_in(name, suffixes[i])) {
            vf_error_set(err, VF_INVALID, "\"%s\" does not begin like a %s file", path,
                         suffixes[i]);
            vf_error_hint(err, "copy it again; if it is a raw disk all the same, say --from raw");
            return VF_INVALID;
        }
    }
    return 0;
}

/* A fixed VHD is a raw disk and a footer. The checksum and size are looked at because a guest can
 * write the mark into the last sector of a raw disk. */
static int is_fixed_vhd(int fd, const char *path, uint64_t size, bool *ret, struct vf_error **err)
{
    uint8_t footer[VHD_FOOTER_BYTES];
    *ret = false;
    if (size < 2 * sizeof footer) {
        return 0;
    }
    int rc = vf_file_pread(fd, path, footer, sizeof footer, size - sizeof footer, err);
    if (rc) {
        return rc;
    }
    *ret = memcmp(footer, VHD_COOKIE, 8) == 0 && vf_vhd_checksum_is_good(footer) &&
           be32_load(footer + VHD_TYPE) == VHD_TYPE_FIXED &&
           be64_load(footer + VHD_CURRENT_SIZE) == size - sizeof footer;
    return 0;
}

int vf_probe_fd(int fd, const char *path, enum vf_image_kind *ret_kind, struct vf_error **err)
{
    uint8_t head[VF_PROBE_HEAD_BYTES];
    uint64_t size;
    int rc = vf_file_size(fd, path, &size, err);
    if (rc) {
        return rc;
    }
    size_t n = size < sizeof head ? (size_t)size : sizeof head;
    rc = vf_file_pread(fd, path, head, n, 0, err);
    if (rc) {
        return rc;
    }
    if (n == 0) {
        return vf_error_set(err, VF_INVALID, "\"%s\" is empty", path);
    }
    enum vf_image_kind kind = vf_probe_head(head, n, NULL);
    /* A raw disk may begin with the words of a descriptor; no descriptor is as large as a disk. */
    if (kind == VF_IMAGE_VMDK_DESCRIPTOR && size > VMDK_MAX_DESCRIPTOR_BYTES) {
        return vf_error_set(err, VF_INVALID,
                            "\"%s\" begins as a VMDK descriptor, but has %" PRIu64 " bytes", path,
                            size);
    }
    if (kind == VF_IMAGE_RAW) {
        bool vhd;
        rc = is_fixed_vhd(fd, path, size, &vhd, err);
        if (rc == 0 && vhd) {
            kind = VF_IMAGE_VHD;
        } else if (rc == 0) {
            rc = check_suffix(path, err);
        }
    }
    if (rc == 0) {
        *ret_kind = kind;
    }
    return rc;
}

int vf_probe_file(const char *path, enum vf_image_kind *ret_kind, struct vf_error **err)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    if (fd < 0) {
        return vf_error_set_errno(err, errno, "cannot open \"%s\"", path);
    }
    struct stat st;
    int rc;
    if (fstat(fd, &st) != 0 || (!S_ISREG(st.st_mode) && !S_ISBLK(st.st_mode))) {
        rc = vf_error_set(err, VF_UNSUPPORTED, "\"%s\" is neither a file nor a block device", path);
    } else {
        rc = vf_probe_fd(fd, path, ret_kind, err);
    }
    close(fd);
    return rc;
}
